/** Of the page, in both colour schemes and down to 320 px. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --text: #1c2430; --quiet: #5b6675; --back: #ffffff; --raised: #f4f6f9; --line: #dbe1e8; --accent: #0b62b8;
  --get: #0b62b8; --post: #1b7a43; --delete: #b3261e; --send: #7a3fb0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e3e8ee; --quiet: #98a4b3; --back: #12161c; --raised: #1b2129; --line: #2d3640; --accent: #6cb2f7;
    --get: #6cb2f7; --post: #63c88d; --delete: #f2857c; --send: #c39bf0;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back); overflow-wrap: break-word; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 0.3em; }
a:hover { text-decoration-thickness: 2px; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: 0.875em; }
code { overflow-wrap: anywhere; }
pre { margin: 0.75rem 0; padding: 0.75rem 1rem; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; }
pre code { font-size: 0.8125rem; }
h1 { margin: 0 0 0.5rem; font-size: 2rem; line-height: 1.2; }
h2 { margin: 3.5rem 0 1rem; padding-bottom: 0.4rem; border-bottom: 1px solid var(--line); font-size: 1.5rem; }
h3 { margin: 2.5rem 0 0.5rem; font-size: 1.25rem; }
h5 { margin: 1.25rem 0 0.25rem; font-size: 0.8125rem; color: var(--quiet); text-transform: uppercase; letter-spacing: 0.04em; }
p { margin: 0.5rem 0; max-width: 46rem; }
ul { margin: 0.5rem 0; padding-left: 1.2rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; font-size: 0.875rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 0.5rem; top: 0.5rem; padding: 0.5rem 0.75rem; background: var(--back); border: 1px solid var(--line); border-radius: 6px; }
nav { padding: 1.5rem; border-right: 1px solid var(--line); font-size: 0.875rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav > ul > li > a { font-weight: 600; color: var(--text); }
nav > ul > li { margin-bottom: 1rem; }
nav li li { padding: 0.1rem 0; }
main { min-width: 0; padding: 2rem 2.5rem 6rem; max-width: 64rem; }
table { width: 100%; margin: 0.5rem 0; border-collapse: collapse; font-size: 0.875rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); }
th, td { padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { width: 26%; }
td:nth-child(2):not(:last-child) { width: 21%; }
.name { font-weight: 600; }
.quiet { color: var(--quiet); }
.method { display: inline-block; min-width: 3.2em; padding: 0.05em 0.45em; border: 1px solid currentColor; border-radius: 4px; font: 600 0.75rem/1.5 ui-monospace, monospace; text-align: center; vertical-align: 0.12em; }
.get { color: var(--get); } .post, .receive { color: var(--post); } .delete { color: var(--delete); } .send { color: var(--send); }
.path { font-weight: 600; font-size: 1rem; }
.card { margin: 0 0 1rem; padding: 0.25rem 1.25rem 0.75rem; border: 1px solid var(--line); border-radius: 8px; }
.card > :first-child { margin: 0.75rem 0 0.25rem; font-size: 1.0625rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; margin: 0.5rem 0; font-size: 0.9375rem; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
dd .row { margin: 0; }
.card:target, code:target { outline: 2px solid var(--accent); outline-offset: -1px; }
code:target { outline-offset: 3px; border-radius: 2px; }
@media (min-width: 60rem) {
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; }
  nav p { display: none; }
}
@media (max-width: 59.99rem) {
  nav { border-right: 0; border-bottom: 1px solid var(--line); padding: 0.75rem 1rem; }
  nav:not(:target) > ul { display: flex; flex-wrap: wrap; gap: 0 1.25rem; }
  nav:not(:target) > ul > li { margin: 0; }
  nav:not(:target) li ul, nav:target p { display: none; }
  nav a { display: inline-block; padding: 0.25rem 0; }
  nav p { margin: 0; }
  main { padding: 1.25rem 1rem 4rem; }
}
@media (max-width: 40rem) {
  h1 { font-size: 1.625rem; }
  .card { padding: 0.25rem 0.9rem 0.6rem; }
  table, tbody, tr { display: block; }
  thead { position: absolute; left: -100rem; }
  tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
  td, td:first-child, td:nth-child(2):not(:last-child) { display: inline; width: auto; padding: 0 0.5rem 0 0; border: 0; }
  td:last-child { display: block; padding: 0; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.4rem; }
}
@media print { nav { display: none; } body { display: block; } }
`;
