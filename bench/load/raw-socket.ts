import { connect, type Socket } from "node:net";

// One buffer for all sockets: a read is worked off before the next one begins, so nothing is allocated per read.
const scratch = Buffer.allocUnsafe(256 * 1024);

/**
 * A socket that sends `request`, as cheap to read as Node allows.
 * @param read is given each read's bytes, which are overwritten by the next
 * @param end is told why, perhaps twice
 */
export function rawSocket(
  port: number,
  request: Buffer,
  read: (bytes: Buffer) => void,
  end: (reason: string) => void,
): Socket {
  const callback = (bytes: number): boolean => {
    read(scratch.subarray(0, bytes));
    return true;
  };
  const socket = connect({ port, host: "127.0.0.1", onread: { buffer: scratch, callback } });
  socket.write(request);
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("closed"));
  return socket;
}
