import { Ajv, type AnySchema } from "ajv";
import { asyncApi } from "../../src/docs/asyncapi/asyncapi.ts";
import { parseId } from "../../src/protocol/position.ts";

export interface AsyncApiDocument {
  readonly info: { readonly version: string };
  readonly servers: object;
  readonly channels: Readonly<Record<string, { readonly messages: Readonly<Record<string, Reference>> }>>;
  readonly operations: Readonly<Record<string, { readonly messages: readonly Reference[] }>>;
  readonly components: {
    readonly messages: Readonly<Record<string, DocumentedMessage>>;
    readonly schemas: object;
    readonly correlationIds: Readonly<Record<string, { readonly location: string }>>;
  };
}

interface Reference {
  readonly $ref: string;
}

export interface DocumentedMessage {
  readonly summary?: string;
  readonly description?: string;
  readonly correlationId?: Reference;
  readonly headers?: { readonly properties?: object };
  readonly payload: object;
  readonly examples?: readonly Carried[];
}

/** What a channel carries; of a text frame there are no headers. */
export interface Carried {
  readonly headers?: unknown;
  readonly payload: unknown;
}

/** As a reader gets it: what JSON does not hold is not in it. */
export function documentOf(version = "1.2.3"): AsyncApiDocument {
  return JSON.parse(JSON.stringify(asyncApi(version))) as AsyncApiDocument;
}

/** Holds values against the schemas of a document, by the document alone, in the dialect that AsyncAPI has: draft 7. */
export class Holder {
  readonly #document: AsyncApiDocument;
  readonly #checks = new Map<object, (value: unknown) => boolean>();
  // A word or a format that is not known throws. Lengths count as ours do (src/schema/shape.ts).
  readonly #ajv = new Ajv({
    strict: true,
    strictTypes: false,
    strictRequired: false,
    unicode: false,
    logger: false,
  });

  constructor(document: AsyncApiDocument) {
    this.#document = document;
    for (const word of ["components", "x-unit", "x-error", "x-rule", "x-extensible-enum"])
      this.#ajv.addKeyword(word);
    this.#ajv.addKeyword({
      keyword: "x-position",
      type: "string",
      validate: (_: true, id: string) => parseId(id) !== undefined,
    });
    this.#ajv.addFormat("binary", true);
  }

  fits(schema: object, value: unknown): boolean {
    let check = this.#checks.get(schema);
    if (!check) {
      const { schemas } = this.#document.components;
      const compiled = this.#ajv.compile({ allOf: [schema], components: { schemas } } as AnySchema);
      check = (one) => compiled(one) === true;
      this.#checks.set(schema, check);
    }
    return check(value);
  }

  /** The messages of a channel that it could be: by AsyncAPI, one. */
  messagesOf(channel: string, { headers, payload }: Carried): string[] {
    const names = Object.keys(this.#document.channels[channel]?.messages ?? {});
    return names.filter((name) => {
      const message = this.#document.components.messages[name];
      if (!message) throw new Error(`there is no message ${name}`);
      return (
        this.fits(message.payload, payload) &&
        (message.headers === undefined || this.fits(message.headers, headers ?? {}))
      );
    });
  }

  /** Examples of schemas that are none of what they stand for. @returns where, and how many were looked at */
  misfits(): { readonly misfits: string[]; readonly examples: number } {
    const misfits: string[] = [];
    let examples = 0;
    const visit = (value: unknown, path: string): void => {
      if (typeof value !== "object" || value === null) return;
      const isSchema = /\/(schemas|headers|payload|query)\//.test(`${path}/`);
      for (const [word, inner] of Object.entries(value)) {
        if (word !== "examples" || !Array.isArray(inner)) visit(inner, `${path}/${word}`);
        else if (isSchema) {
          examples += inner.length;
          const wrong = inner.filter((example) => !this.fits(value, example));
          misfits.push(...wrong.map((example) => `${path}: ${JSON.stringify(example)}`));
        }
      }
    };
    visit(this.#document, "");
    return { misfits, examples };
  }
}
