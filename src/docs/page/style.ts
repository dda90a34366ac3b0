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
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: 0.875em; }
code { overflow-wrap: anywhere; }
pre { margin: 0.75rem 0; padding: 0.75rem 1rem; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; }
pre code { overflow-wrap: normal; font-size: 0.8125rem; }
h1 { margin: 0 0 0.5rem; font-size: 2rem; line-height: 1.2; }
h2 { margin: 3.5rem 0 1rem; padding-bottom: 0.4rem; border-bottom: 1px solid var(--line); font-size: 1.5rem; }
h3 { margin: 2.25rem 0 0.5rem; font-size: 1.125rem; }
h4 { margin: 1.25rem 0 0.25rem; font-size: 0.8125rem; color: var(--quiet); text-transform: uppercase; letter-spacing: 0.04em; }
p { margin: 0.5rem 0; max-width: 46rem; }
ul { margin: 0.5rem 0; padding-left: 1.2rem; }
nav { padding: 1.5rem; border-right: 1px solid var(--line); font-size: 0.875rem; }
nav ul { margin: 0 0 1rem; padding: 0; list-style: none; }
nav li { padding: 0.1rem 0; }
nav b { display: block; margin-bottom: 0.25rem; }
nav summary { cursor: pointer; font-weight: 600; margin-bottom: 0.75rem; }
main { min-width: 0; padding: 2rem 2.5rem 6rem; max-width: 64rem; }
table { width: 100%; margin: 0.5rem 0; border-collapse: collapse; font-size: 0.875rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); }
th, td { padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { width: 26%; }
td:nth-child(2) { width: 26%; }
.name { font-weight: 600; }
.quiet { color: var(--quiet); }
.method { display: inline-block; min-width: 3.2em; padding: 0.05em 0.45em; margin-right: 0.4em; border: 1px solid currentColor; border-radius: 4px; font: 600 0.75rem/1.5 ui-monospace, monospace; text-align: center; vertical-align: 0.12em; }
.get { color: var(--get); } .post, .receive { color: var(--post); } .delete { color: var(--delete); } .send { color: var(--send); }
.path { font-weight: 600; font-size: 1rem; }
.card { margin: 0 0 1rem; padding: 0.25rem 1.25rem 0.75rem; border: 1px solid var(--line); border-radius: 8px; }
.card h3 { margin: 0.75rem 0 0.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; margin: 0.5rem 0; font-size: 0.9375rem; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
:target { outline: 2px solid var(--accent); outline-offset: 4px; border-radius: 4px; }
@media (min-width: 60rem) {
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; }
  nav details::details-content { content-visibility: visible; display: block; }
  nav summary { list-style: none; cursor: default; margin-bottom: 0.25rem; }
  nav summary::-webkit-details-marker { display: none; }
}
@media (max-width: 60rem) {
  nav { border-right: 0; border-bottom: 1px solid var(--line); padding: 0.75rem 1rem; }
  main { padding: 1.25rem 1rem 4rem; }
}
@media (max-width: 40rem) {
  h1 { font-size: 1.625rem; }
  .card { padding: 0.25rem 0.9rem 0.6rem; }
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
  td, td:first-child, td:nth-child(2) { width: auto; padding: 0.05rem 0; border: 0; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.4rem; }
}
@media print { nav { display: none; } body { display: block; } }
`;
