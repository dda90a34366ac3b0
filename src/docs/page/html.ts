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

/** Cells are HTML. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const heads = head.map((one) => `<th scope="col">${escaped(one)}</th>`).join("");
  const cells = (row: readonly string[]) => row.map((cell) => `<td>${cell}</td>`).join("");
  return `<table><thead><tr>${heads}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("")}</tbody></table>`;
}

export function link(id: string, text: string): string {
  return `<a href="#${escaped(id)}">${text}</a>`;
}

/** Short things beside each other, as many as a line holds. They are HTML. */
export function row(items: readonly string[]): string {
  return `<ul class="row">${items.map((item) => `<li>${item}</li>`).join("")}</ul>`;
}

/** One thing that is described, with the anchor `id`. @param level of its heading: one below that of what it is in */
export function card(level: 3 | 4, id: string, heading: string, html: string): string {
  return `<article class="card" id="${escaped(id)}"><h${level}>${heading}</h${level}>${html}</article>`;
}
