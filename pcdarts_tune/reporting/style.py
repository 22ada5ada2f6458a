"""How a report looks: one style sheet, light or dark as the reader's system is, fit for a screen and for paper."""

CSS = """
:root { --page: #ffffff; --ink: #1f2328; --muted: #59636e; --grid: #e4e7eb; --card: #f6f8fa; --line: #d1d9e0;
  --point: #5b8bbf; --best: #c4500c; --lost: #9aa4ae; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --ink: #e6e9ec; --muted: #9aa5b1; --grid: #2a313a; --card: #1c2229; --line: #333c46;
    --point: #6ea3dc; --best: #f08a4b; --lost: #6b7683; --link: #7db7ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1120px; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 42px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 10px; max-width: 86ch; }
a { color: var(--link); }
.quiet, figcaption, caption { color: var(--muted); font-size: 13px; }
caption { text-align: left; padding-bottom: 4px; }
nav { font-size: 13px; margin: 10px 0 0; }
nav a { margin-right: 14px; white-space: nowrap; }
dl.summary { display: grid; grid-template-columns: max-content 1fr; gap: 8px 18px; margin: 18px 0;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px; }
dl.summary dt { font-weight: 600; }
dl.summary dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { background: var(--card); border: 1px solid var(--line); border-radius: 4px; padding: 1px 5px; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; overflow-x: auto;
  margin: 8px 0; }
pre code { background: none; border: 0; padding: 0; overflow-wrap: normal; }
.scroll { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; vertical-align: top; }
th { color: var(--muted); font-weight: 600; border-bottom-color: var(--line); }
th.word, td.word { text-align: left; }
td.long { white-space: normal; min-width: 22em; text-align: left; overflow-wrap: anywhere; }
tr.best td { font-weight: 600; }
tr.level td:first-child { box-shadow: inset 3px 0 0 var(--best); }
figure { margin: 10px 0 18px; }
figure svg { max-width: 100%; height: auto; display: block; }
.paper svg { border: 1px solid var(--line); border-radius: 8px; }
.grid { display: flex; flex-wrap: wrap; gap: 6px 22px; align-items: flex-start; }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 640px) { dl.summary { grid-template-columns: 1fr; gap: 2px; } dl.summary dd { margin-bottom: 10px; } }
@media print { body { max-width: none; padding: 0; } details > *:not(summary) { display: block; } nav { display: none; } }
"""
