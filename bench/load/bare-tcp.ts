/**
 * Node's TCP handle without `net.Socket` around it. A storm of short connections through `net` costs the generator
 * twice what it costs the server, so the generator would be what is measured.
 */
interface Handle {
  onread: () => void;
  connect(request: object, address: string, port: number): number;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  writeBuffer(request: object, buffer: Buffer): number;
  /** Closes with RST. */
  reset(done: () => void): number;
}

interface Bindings {
  tcp_wrap: {
    TCP: new (kind: number) => Handle;
    TCPConnectWrap: new () => { oncomplete: (status: number) => void };
    constants: { SOCKET: number };
  };
  stream_wrap: {
    WriteWrap: new () => object;
    streamBaseState: Int32Array;
    kReadBytesOrError: number;
  };
}

const { binding } = process as unknown as { binding: <N extends keyof Bindings>(name: N) => Bindings[N] };
const { TCP, TCPConnectWrap, constants } = binding("tcp_wrap");
const { WriteWrap, streamBaseState, kReadBytesOrError } = binding("stream_wrap");

export interface Exchange {
  port: number;
  request: Buffer;
  /** Filled with each read; may be shared, a read is worked off before the next. */
  into: Buffer;
  /** Whether these bytes are what was waited for. */
  isAnswer: (bytes: number) => boolean;
  /** Called once, when the connection is gone. */
  done: (answered: boolean) => void;
}

/** Connects, writes one request, waits for its answer and resets the connection. */
export function exchange({ port, request, into, isAnswer, done }: Exchange): void {
  const handle = new TCP(constants.SOCKET);
  let over = false;
  const end = (answered: boolean): void => {
    if (over) return;
    over = true;
    handle.reset(() => done(answered));
  };
  handle.useUserBuffer(into);
  handle.onread = () => {
    const bytes = streamBaseState[kReadBytesOrError] as number;
    if (bytes < 0) end(false);
    else if (bytes > 0 && isAnswer(bytes)) end(true);
  };
  const connecting = new TCPConnectWrap();
  connecting.oncomplete = (status) => {
    if (status !== 0) return end(false);
    handle.readStart();
    handle.writeBuffer(new WriteWrap(), request);
  };
  if (handle.connect(connecting, "127.0.0.1", port) !== 0) end(false);
}
