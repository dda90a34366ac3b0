import { codeEntries } from "../codes.ts";
import { messageAnchor } from "./frames.ts";
import { escaped, inline, link } from "./html.ts";
import { operationAnchor } from "./http.ts";
import type { Section } from "./section.ts";

/** Every code: cause, cure, where it is met. Its anchor is the code itself. */
export function codeSections(): Section {
  const entries = codeEntries();
  return {
    title: "Codes",
    entries: entries.map(({ code }) => ({ id: code, label: `<code>${escaped(code)}</code>` })),
    html: entries
      .map((entry) => {
        const { code, cause, cure, keys, status, close, temporary, operations, commands } = entry;
        const met = [
          ...operations.map((id) => link(operationAnchor(id), `<code>${escaped(id)}</code>`)),
          ...commands.map((name) => link(messageAnchor(name), `<code>${escaped(name)}</code>`)),
        ];
        const rows: [string, string][] = [
          ["Cause", `${inline(cause)}.`],
          ["Cure", inline(cure)],
          ["Configuration", keys.map((key) => `<code>${escaped(key)}</code>`).join(" ") || "–"],
          ["HTTP", status === undefined ? "–" : String(status)],
          [
            "Close code",
            close === undefined ? "–" : `${close}, ${close < 4500 ? "come back" : "do not come back"}`,
          ],
          ["Temporary", temporary ? "yes: the same can succeed later" : "no"],
          ["Met at", met.join(" ") || "–"],
        ];
        const list = rows.map(([term, text]) => `<dt>${term}</dt><dd>${text}</dd>`).join("");
        return `<article class="card" id="${escaped(code)}"><h3><code>${escaped(code)}</code></h3><dl>${list}</dl></article>`;
      })
      .join("\n"),
  };
}
