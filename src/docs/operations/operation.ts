import type { TObject, TProperties, TSchema } from "typebox";
import type { Code } from "../../protocol/codes.ts";
import { as, channel, user } from "../../schema/fields.ts";

/** One thing that the API offers: from their table the OpenAPI document, the page and the tests are made. */
export interface Operation {
  /** Its name, for those who generate clients. */
  readonly id: string;
  readonly method: "get" | "post" | "delete";
  /** As in OpenAPI: `{channel}`. */
  readonly path: string;
  readonly group: Group;
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly body?: TSchema;
  readonly answers: readonly OperationAnswer[];
  /** Every code of its problems, but those that any request may be answered with. */
  readonly errors: readonly Code[];
  readonly token: "required" | "optional" | "none";
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  /** Of an array: it may be given many times. */
  readonly schema: TSchema;
  readonly required?: boolean;
}

export interface OperationAnswer {
  readonly status: number;
  readonly description: string;
  /** By media type; none: no body. */
  readonly content?: Readonly<Record<string, TSchema>>;
  /** Codes that it may tell within: of an event of a batch, or in a stream that ends then. */
  readonly within?: readonly Code[];
}

export const GROUPS = {
  events: "Publishing, reading and following events.",
  presence: "Who is there.",
  access: "What a token allows.",
  administration: "What concerns others. Needs the claim `admin` in the token.",
  connecting: "The way to a WebSocket.",
  documents: "What describes all this. Public.",
} as const;
export type Group = keyof typeof GROUPS;

export const JSON_TYPE = "application/json";

/** What any request may be answered with. */
export const ANY_REQUEST: readonly Code[] = ["not_found", "method_not_allowed", "internal"];

/** Of whoever is asked for a token. */
export const TOKEN: readonly Code[] = [
  "origin_not_allowed",
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_revoked",
  "auth_unavailable",
];
export const BODY: readonly Code[] = ["unsupported_media_type", "too_big", "bad_frame", "too_complex"];

export const channelInPath: Parameter = { name: "channel", in: "path", schema: channel, required: true };
export const userInPath: Parameter = { name: "user", in: "path", schema: user, required: true };

export function query(name: string, schema: TSchema): Parameter {
  return { name, in: "query", schema };
}

/** The queries that a handler checks. */
export function queries(schema: TObject): Parameter[] {
  const { properties, required = [] } = schema as { properties: TProperties; required?: readonly string[] };
  return Object.entries(properties).map(([name, schema]) => ({
    ...query(name, schema as TSchema),
    ...(required.includes(name) && { required: true }),
  }));
}

/** Of a request that asks for a stream. */
export function streaming(position: TSchema, last: TSchema): readonly Parameter[] {
  return [
    { name: "Last-Event-ID", in: "header", schema: position },
    query("last_event_id", as(position, "As `Last-Event-ID`, for who cannot set a header.")),
    query("last", last),
  ];
}
