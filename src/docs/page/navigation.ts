import { escaped, link } from "./html.ts";
import type { Section } from "./section.ts";

const ID = "contents";

/**
 * What leads to everything. Where there is room it stands beside the page; where there is not, only the sections are
 * shown until somebody follows the link to all of it, and again once they have chosen (`:target`, in style.ts). No
 * `details`: beside the page their lists would be seen, and be said to be closed.
 */
export function navigation(sections: readonly Section[]): string {
  const parts = sections.map(({ id, title, entries }) => {
    const items = entries.map((one) => `<li>${link(one.id, one.label)}</li>`).join("");
    return `<li>${link(id, escaped(title))}${items && `<ul>${items}</ul>`}</li>`;
  });
  const all = `<p>${link(ID, "All contents")}</p>`;
  return `<nav id="${ID}" aria-label="Contents"><ul>${parts.join("")}</ul>${all}</nav>`;
}
