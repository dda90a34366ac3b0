import { type Command, CommandError } from "../../src/protocol/commands.ts";
import { decodeCommand as decode } from "../../src/schema/decode.ts";

export const LIMITS = { depth: 32, keys: 4_000 };

export function decodeCommand(text: string, payload?: Uint8Array): Command {
  return decode(text, LIMITS, payload);
}

/** Why a frame is no command. @throws {Error} when it is one */
export function refusal(text: string, payload?: Uint8Array): CommandError {
  try {
    decodeCommand(text, payload);
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${text.slice(0, 200)}`);
}
