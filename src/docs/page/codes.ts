import { type CodeEntry, codeEntries } from "../codes.ts";
import { messageAnchor } from "./frames.ts";
import { card, escaped, inline, link, row } from "./html.ts";
import { operationAnchor } from "./http.ts";
import type { Section } from "./section.ts";

/** Every code: cause, cure, where it is met. Its anchor is the code itself. */
export function codeSections(): Section {
  const entries = codeEntries();
  return {
    id: "codes",
    title: "Codes",
    entries: entries.map(({ code }) => ({ id: code, label: `<code>${escaped(code)}</code>` })),
    html: entries
      .map((entry) => {
        const { code, cause, cure, keys, status, close, temporary } = entry;
        const rows: [string, string][] = [
          ["Cause", `${inline(cause)}.`],
          ["Cure", inline(cure)],
          [
            "Configuration",
            keys.length > 0 ? row(keys.map((key) => `<code>${escaped(key)}</code>`)) : "none",
          ],
          ["HTTP", status === undefined ? "–" : String(status)],
          [
            "Close code",
            close === undefined ? "–" : `${close}, ${close < 4500 ? "come back" : "do not come back"}`,
          ],
          ["Temporary", temporary ? "yes: the same can succeed later" : "no"],
          ["Met at", row(metAt(entry))],
        ];
        const list = rows.map(([term, text]) => `<dt>${term}</dt><dd>${text}</dd>`).join("");
        return card(3, code, `<code>${escaped(code)}</code>`, `<dl>${list}</dl>`);
      })
      .join("\n"),
  };
}

function metAt(entry: CodeEntry): string[] {
  return [
    ...entry.operations.map((id) => link(operationAnchor(id), `<code>${escaped(id)}</code>`)),
    ...entry.commands.map((name) => link(messageAnchor(name), `<code>${escaped(name)}</code>`)),
    ...elsewhere(entry),
  ];
}

/** Where a code is met, beside the operations and commands that name it. */
export function elsewhere({ anywhere, close, operations, commands }: CodeEntry): string[] {
  const places = [
    ...(anywhere ? ["any request"] : []),
    ...(close === undefined ? [] : ["the end of a connection"]),
  ];
  // What neither a request, nor a command, nor a close tells is told of a frame that is none of the commands.
  return places.length + operations.length + commands.length === 0 ? ["a frame of no known type"] : places;
}
