import { codeLink, fieldTable, nameOf, type Schema, typeOf } from "./fields.ts";
import { escaped, inline, link, pre, table } from "./html.ts";
import type { Section } from "./section.ts";

/** What of the AsyncAPI document the page shows. */
export interface AsyncApiDocument {
  readonly info: { readonly description: string };
  readonly channels: Readonly<
    Record<
      string,
      {
        readonly address: string;
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
  readonly summary?: string;
  readonly payload: Schema;
  readonly examples?: readonly { readonly payload: unknown }[];
}

export function messageAnchor(name: string): string {
  return `frame-${name}`;
}

const last = ({ $ref }: Reference) => $ref.slice($ref.lastIndexOf("/") + 1);

/** Commands with what they are answered, and everything else that a WebSocket brings. */
export function frameSections(document: AsyncApiDocument): Section {
  const { webSocket } = document.channels;
  const commands = Object.values(document.operations).filter(
    ({ action, channel }) => action === "receive" && last(channel) === "webSocket",
  );
  const sent = Object.keys(webSocket?.messages ?? {}).filter(
    (name) => !commands.some(({ messages }) => messages.some((one) => last(one) === name)),
  );
  const asked = commands.flatMap((operation) => operation.messages.map(last));
  const html = [
    `<p>${inline(document.info.description.split("\n\n")[1] ?? "")}</p>`,
    `<p><code>${escaped(webSocket?.address ?? "")}</code> ${inline(webSocket?.description.split("\n")[0] ?? "")}</p>`,
    "<h3>Client to server</h3>",
    ...commands.map((operation) =>
      messageHtml(last(operation.messages[0] as Reference), "receive", document, operation),
    ),
    "<h3>Server to client</h3>",
    ...sent.map((name) => messageHtml(name, "send", document)),
  ];
  return {
    title: "WebSocket",
    entries: [...asked, ...sent].map((name) => entry(name, document)),
    html: html.join("\n"),
  };
}

/** What event streams bring, and what Redis takes. */
export function streamSections(document: AsyncApiDocument): Section {
  const channels = Object.entries(document.channels).filter(([name]) => name !== "webSocket");
  const names = [...new Set(channels.flatMap(([, { messages }]) => Object.keys(messages)))];
  const rows = channels.map(([, { address, title, description }]) => [
    `<code class="name">${escaped(address)}</code>`,
    `${inline(title)}. ${inline(description)}`,
  ]);
  return {
    title: "Event streams and Redis",
    entries: names.map((name) => entry(name, document)),
    html: `${table(["address", "what it is"], rows)}${names
      .map((name) => messageHtml(name, name === "plain" ? "receive" : "send", document))
      .join("\n")}`,
  };
}

function entry(name: string, { components }: AsyncApiDocument) {
  return { id: messageAnchor(name), label: escaped(components.messages[name]?.title ?? name) };
}

function messageHtml(
  name: string,
  action: Operation["action"],
  { components }: AsyncApiDocument,
  operation?: Operation,
): string {
  const message = components.messages[name] as Message;
  const named = components.schemas[nameOf(message.payload) ?? ""];
  const example = message.examples?.[0]?.payload;
  const fields =
    fieldTable(named ?? message.payload, components.schemas, action === "receive" ? "sent" : "received") ||
    `<p>${typeOf(named ?? message.payload)}</p>`;
  const replies = operation?.reply?.messages.map(last) ?? [];
  const reply = replies.map((one) =>
    link(messageAnchor(one), escaped(components.messages[one]?.title ?? one)),
  );
  const errors = (operation?.["x-errors"] ?? []).map(codeLink);
  return `<article class="card" id="${messageAnchor(name)}">
<h3><span class="method ${action}">${action === "receive" ? "→" : "←"}</span>${escaped(message.title)}</h3>
<p>${inline(message.summary ?? named?.description ?? "")}</p>
${fields}
${example === undefined ? "" : pre(example)}
${reply.length > 0 ? `<p>Answered by ${reply.join(" or ")}. Errors: ${errors.join(" ")}</p>` : ""}
</article>`;
}
