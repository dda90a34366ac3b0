import { codeLink, fieldTable, nameOf, type Schema, typeOf } from "./fields.ts";
import { card, escaped, inline, link, paragraphs, pre, row } from "./html.ts";
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
  readonly summary: string;
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
    addressHtml(commands?.address),
    `<p>${inline(commands?.description ?? "")}</p>`,
    "<h3>Client to server</h3>",
    ...asked.map((name) => messageHtml(name, document)),
    "<h3>Server to client</h3>",
    ...sent.map((name) => messageHtml(name, document)),
  ];
  return {
    id: "websocket",
    title: "WebSocket",
    entries: [...asked, ...sent].map((name) => entry(name, document)),
    html: html.join("\n"),
  };
}

/** What event streams bring, and what Redis takes. A message of several channels is shown at the first of them. */
export function streamSections(document: AsyncApiDocument): Section {
  const channels = Object.entries(document.channels).filter(
    ([name]) => name !== "commands" && name !== "frames",
  );
  const shown = new Set<string>();
  const html = channels.map(([, { address, title, description, messages }]) => {
    const names = Object.keys(messages);
    const again = names.filter((name) => shown.has(name));
    const fresh = names.filter((name) => !shown.has(name));
    for (const name of fresh) shown.add(name);
    const others =
      again.length > 0
        ? `<p>Also, as above:</p>${row(again.map((name) => messageLink(name, document)))}`
        : "";
    return `<h3>${inline(title)}</h3>${addressHtml(address)}<p>${inline(description)}</p>${fresh.map((name) => messageHtml(name, document)).join("\n")}${others}`;
  });
  return {
    id: "streams",
    title: "Event streams and Redis",
    entries: [...shown].map((name) => entry(name, document)),
    html: html.join("\n"),
  };
}

function addressHtml(address: string | undefined): string {
  return address === undefined ? "" : `<p><code class="path">${escaped(address)}</code></p>`;
}

function entry(name: string, document: AsyncApiDocument) {
  return { id: messageAnchor(name), label: labelOf(name, document) };
}

/** Blocks of one `event:` have one title. */
function labelOf(name: string, { components: { messages } }: AsyncApiDocument): string {
  const { title, summary } = messages[name] as Message;
  const alike = Object.values(messages).filter((one) => one.title === title);
  return escaped(alike.length > 1 ? `${title}: ${summary}` : title);
}

function messageLink(name: string, document: AsyncApiDocument): string {
  return link(messageAnchor(name), labelOf(name, document));
}

function messageHtml(name: string, document: AsyncApiDocument): string {
  const { operations, components } = document;
  const { title, summary, description, headers, payload, examples } = components.messages[name] as Message;
  const command = Object.values(operations).find(
    ({ action, messages }) => action === "receive" && messages.some((one) => last(one) === name),
  );
  const shown = (schema: Schema) => {
    const whole = components.schemas[nameOf(schema) ?? ""] ?? schema;
    const fields = fieldTable(whole, components.schemas, command ? "sent" : "received");
    return fields || `<p>${typeOf(whole)}${headers ? `: ${inline(whole.description ?? "")}` : ""}</p>`;
  };
  const [example] = examples;
  const replies = (command?.reply?.messages ?? []).map((one) => messageLink(last(one), document));
  const errors = (command?.["x-errors"] ?? []).map(codeLink);
  const [direction, arrow] = command ? ["receive", "→"] : ["send", "←"];
  const html = [
    `<p><strong>${inline(summary)}.</strong> ${inline(description)}</p>`,
    headers ? `<h5>Headers</h5>${shown(headers)}<h5>Payload</h5>` : "",
    shown(payload),
    example === undefined ? "" : pre(headers ? example : example.payload),
    replies.length > 0 ? `<p>Answered by ${replies.join(" or ")}. Errors:</p>${row(errors)}` : "",
  ];
  const heading = `<span class="method ${direction}" aria-hidden="true">${arrow}</span> ${escaped(title)}`;
  return card(4, messageAnchor(name), heading, html.join("\n"));
}
