"""LaTeX without a LaTeX: whether a table is one."""

from __future__ import annotations

import re


def check_latex(text: str, fields: int) -> list[list[str]]:
    """The rows between the rules; braces, environments and cells fit."""
    plain = re.sub(r"\\[\\{}&%$#_]", "", "\n".join(line for line in text.splitlines() if line[0] != "%"))
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    for name in ("table", "tabular"):
        assert plain.count(f"\\begin{{{name}}}") == plain.count(f"\\end{{{name}}}") == 1
    rules = [text.index(f"\\{name}rule\n") for name in ("top", "mid", "bottom")]
    assert rules == sorted(rules)
    body = text[rules[1] : rules[2]].splitlines()[1:-1]
    rows = [re.split(r"(?<!\\) & ", line.strip().removesuffix(r" \\")) for line in body]
    assert all(line.endswith(r" \\") for line in body)
    assert {len(row) for row in rows} == {fields}
    return rows
