import { CODES, type Code, type CodeRow } from "../protocol/codes.ts";
import { EXCHANGES, FUNCTION_ERRORS } from "./asyncapi/exchanges.ts";
import { ANY_REQUEST, type Operation } from "./operations/operation.ts";
import { OPERATIONS } from "./operations/operations.ts";

/** What there is to say of a code. */
export interface CodeEntry {
  readonly code: Code;
  readonly cause: string;
  readonly cure: string;
  /** Variables of the configuration that decide about it. */
  readonly keys: readonly string[];
  /** Undefined: it answers no request. */
  readonly status: number | undefined;
  /** Undefined: it ends no connection. */
  readonly close: number | undefined;
  readonly temporary: boolean;
  /** Any request may be answered with it. */
  readonly anywhere: boolean;
  /** The operations, by their ids, and the commands that it may answer, be it within an answer of success. */
  readonly operations: readonly string[];
  readonly commands: readonly string[];
}

/** Every code, in the order of their table. */
export function codeEntries(): CodeEntry[] {
  return (Object.entries(CODES) as [Code, CodeRow][]).map(
    ([code, { title, cure, keys = [], status, close, temporary }]) => ({
      code,
      cause: title,
      cure,
      keys,
      status,
      close,
      temporary,
      anywhere: ANY_REQUEST.includes(code),
      operations: OPERATIONS.filter((operation) => codesOf(operation).includes(code)).map(({ id }) => id),
      commands: [
        ...Object.entries(EXCHANGES).flatMap(([name, { errors }]) => (errors.includes(code) ? [name] : [])),
        ...(FUNCTION_ERRORS.includes(code) ? ["kept"] : []),
      ],
    }),
  );
}

function codesOf({ errors, answers }: Operation): readonly Code[] {
  return [...errors, ...answers.flatMap(({ within = [] }) => within)];
}
