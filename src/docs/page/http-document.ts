import type { Schema, Schemas } from "./fields.ts";

/** What of the OpenAPI document the page shows. */
export interface OpenApiDocument {
  readonly info: { readonly description: string };
  readonly security: Security;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, SecurityScheme>>;
    readonly headers: Readonly<Record<string, Header>>;
    readonly schemas: Schemas;
  };
}

/** One of these; an empty one is no token at all. */
export type Security = readonly Readonly<Record<string, readonly string[]>>[];

export type SecurityScheme =
  | { readonly type: "http"; readonly scheme: string; readonly description: string }
  | { readonly type: "apiKey"; readonly name: string; readonly description: string };

interface Header {
  readonly description: string;
  readonly schema: Schema;
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  /** Missing: the document's. */
  readonly security?: Security;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Responses;
}

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

/** By status, or `default`, which refers to a component. */
export type Responses = Readonly<Record<string, Response>>;

export interface Response {
  readonly description: string;
  /** Each refers to a component. */
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Content;
}

export type Content = Readonly<
  Record<string, { readonly schema: Schema; readonly examples?: Readonly<Record<string, unknown>> }>
>;
