import { codeLink, fieldTable, nameOf, type Schema, typeOf } from "./fields.ts";
import { escaped, inline, link, paragraphs, pre, table } from "./html.ts";
import type { Section } from "./section.ts";

/** What of the AsyncAPI document the page shows. */
export interface AsyncApiDocument {
  readonly info: { readonly description: string };
  readonly channels: Readonly<
    Record<
      string,
      {
        /** Missing: it has none of its own. */
        readonly address?: string;
        readonly title: string;
        readonly description: string;
        readonly messages: object;
      }
    >
  >;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly components: {
    readonly messages: Readonly<Record<string, Message>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

interface Reference {
  readonly $ref: string;
}

interface Operation {
  readonly action: "receive" | "send";
  readonly channel: Reference;
  readonly messages: readonly Reference[];
  readonly reply?: { readonly messages: readonly Reference[] };
  readonly "x-errors"?: readonly string[];
}

interface Message {
  readonly title: string;
  readonly description: string;
  readonly headers?: Schema;
  readonly payload: Schema;
  readonly examples: readonly { readonly headers?: unknown; readonly payload: unknown }[];
}

export function messageAnchor(name: string): string {
  return `frame-${name}`;
}

const last = ({ $ref }: Reference) => $ref.slice($ref.lastIndexOf("/") + 1);

/** Commands with what they are answered, and everything else that a WebSocket brings. */
export function frameSections(document: AsyncApiDocument): Section {
  const { commands, frames } = document.channels;
  const asked = Object.keys(commands?.messages ?? {});
  const sent = Object.keys(frames?.messages ?? {});
  const html = [
    paragraphs(document.info.description.split("\n\n").slice(1).join("\n\n")),
    `<p><code>${escaped(commands?.address ?? "")}</code> ${inline(commands?.description ?? "")}</p>`,
    "<h3>Client to server</h3>",
    ...asked.map((name) => messageHtml(name, document)),
    "<h3>Server to client</h3>",
    ...sent.map((name) => messageHtml(name, document)),
  ];
  return {
    title: "WebSocket",
    entries: [...asked, ...sent].map((name) => entry(name, document)),
    html: html.join("\n"),
  };
}

/** What event streams bring, and what Redis takes. */
export function streamSections(document: AsyncApiDocument): Section {
  const channels = Object.entries(document.channels).filter(
    ([name]) => name !== "commands" && name !== "frames",
  );
  const names = [...new Set(channels.flatMap(([, { messages }]) => Object.keys(messages)))];
  const rows = channels.map(([, { address, title, description }]) => [
    address === undefined ? "–" : `<code class="name">${escaped(address)}</code>`,
    `${inline(title)}. ${inline(description)}`,
  ]);
  return {
    title: "Event streams and Redis",
    entries: names.map((name) => entry(name, document)),
    html: `${table(["address", "what it is"], rows)}${names.map((name) => messageHtml(name, document)).join("\n")}`,
  };
}

function entry(name: string, { components }: AsyncApiDocument) {
  return { id: messageAnchor(name), label: escaped(components.messages[name]?.title ?? name) };
}

function messageHtml(name: string, { operations, components }: AsyncApiDocument): string {
  const { title, description, headers, payload, examples } = components.messages[name] as Message;
  const command = Object.values(operations).find(
    ({ action, messages }) => action === "receive" && messages.some((one) => last(one) === name),
  );
  const shown = (schema: Schema) => {
    const whole = components.schemas[nameOf(schema) ?? ""] ?? schema;
    const fields = fieldTable(whole, components.schemas, command ? "sent" : "received");
    return fields || `<p>${typeOf(whole)}${headers ? `: ${inline(whole.description ?? "")}` : ""}</p>`;
  };
  const [example] = examples;
  const replies = (command?.reply?.messages ?? []).map(last);
  const reply = replies.map((one) =>
    link(messageAnchor(one), escaped(components.messages[one]?.title ?? one)),
  );
  const errors = (command?.["x-errors"] ?? []).map(codeLink);
  return `<article class="card" id="${messageAnchor(name)}">
<h3><span class="method ${command ? "receive" : "send"}">${command ? "→" : "←"}</span>${escaped(title)}</h3>
<p>${inline(description)}</p>
${headers ? `<h4>Headers</h4>${shown(headers)}<h4>Payload</h4>` : ""}${shown(payload)}
${example === undefined ? "" : pre(headers ? example : example.payload)}
${reply.length > 0 ? `<p>Answered by ${reply.join(" or ")}. Errors: ${errors.join(" ")}</p>` : ""}
</article>`;
}
