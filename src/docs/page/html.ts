/** Text as it stands in HTML, in an attribute too. */
export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** What descriptions are written in: `code`, *emphasis*, and empty lines between paragraphs. */
export function inline(text: string): string {
  return escaped(text)
    .replaceAll(/`([^`]+)`/g, "<code>$1</code>")
    .replaceAll(/(^|[ (])\*([^*`<>]+)\*(?=[ .,;)]|$)/g, "$1<em>$2</em>")
    .replaceAll(/(^|[ (>])(TIDEGATE_[A-Z_]*[A-Z])/g, "$1<code>$2</code>");
}

export function paragraphs(text: string): string {
  return text
    .split("\n\n")
    .map((one) => `<p>${inline(one)}</p>`)
    .join("");
}

export function pre(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value, undefined, 2);
  return `<pre><code>${escaped(text)}</code></pre>`;
}

/** With the head of each column at each cell, for screens on which a table is a list. Cells are HTML. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const cells = (row: readonly string[]) =>
    row.map((cell, i) => `<td data-head="${escaped(head[i] ?? "")}">${cell}</td>`).join("");
  const heads = head.map((one) => `<th scope="col">${escaped(one)}</th>`).join("");
  return `<table><thead><tr>${heads}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("")}</tbody></table>`;
}

export function link(id: string, text: string): string {
  return `<a href="#${escaped(id)}">${text}</a>`;
}
