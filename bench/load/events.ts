const DATA_BYTES = 200;
/** Numbers begin here so that every one has ten digits and can be read at a fixed width. */
export const FIRST_NUMBER = 1_000_000_000;
const NUMBER_DIGITS = 10;
const NUMBER_KEY = Buffer.from('"n":1');
const ID_KEY = Buffer.from('"id":"');
const [QUOTE, LETTER_N, , COLON] = NUMBER_KEY as unknown as [number, number, number, number];

export const channelName = (index: number): string => `bench-${index}`;

/** The `data` of event `number`: exactly 200 bytes of JSON. */
export function eventData(number: number): string {
  const start = `{"n":${number},"pad":"`;
  return `${start}${"x".repeat(DATA_BYTES - start.length - 2)}"}`;
}

/** The event as a gateway delivers it, with a timestamp of the right length. */
export function wholeEvent(channel: string, number: number): string {
  const head = `{"type":"message","channel":"${channel}","timestamp":"2026-03-08T14:30:00.123Z"`;
  return `${head},"data":${eventData(number)}}`;
}

/** Whether the number's key stands at `at`; a frame of the same channel has it where the last one had it. */
export function hasNumberAt(buffer: Buffer, at: number): boolean {
  return buffer[at] === QUOTE && buffer[at + 1] === LETTER_N && buffer[at + 3] === COLON;
}

/** Where the number's key stands within the payload, or -1. */
export function findNumber(buffer: Buffer, start: number, length: number): number {
  return buffer.subarray(start, start + length).indexOf(NUMBER_KEY);
}

export function readNumber(buffer: Buffer, keyAt: number): number {
  const first = keyAt + 4;
  let number = 0;
  for (let digit = 0; digit < NUMBER_DIGITS; digit++) {
    number = number * 10 + (buffer[first + digit] as number) - 48;
  }
  return number;
}

/** The id of an event that was published with history. */
export function readId(buffer: Buffer, start: number, length: number): string {
  const frame = buffer.subarray(start, start + length);
  const at = frame.indexOf(ID_KEY);
  if (at < 0) throw new Error(`an event without an id: ${frame.toString("latin1", 0, 120)}`);
  return frame.toString("latin1", at + ID_KEY.length, frame.indexOf(QUOTE, at + ID_KEY.length));
}
