r"""A table for a paper as LaTeX (package booktabs), Markdown, CSV or plain text.

    render_latex(table, "pcdarts-tune table ablation -o ablation.tex")
    \begin{table} ... 4 & $97.10 \pm 0.21$ (2) & $96.80 \pm 0.14$ (2) \\ ... \end{table}

Accuracies are per cent, except in CSV, which has the numbers as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from pcdarts_tune.errors import UserError, nearest, visible
from pcdarts_tune.files import write_output
from pcdarts_tune.reporting.table import COMPARED, NAMES, Key, Table
from pcdarts_tune.spaces.naming import SHORT_NAMES, short_value
from pcdarts_tune.spread import Spread

_ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "-": "-", "±": r"$\pm$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def write_table(table: Table, path: Path, command: str) -> None:
    """Write the table as its suffix says; `command` is how it is made again.

    Raises:
        UserError: an unknown suffix, or a folder that cannot be written to.
    """
    renders: dict[str, Callable[[Table, str], str]] = {
        ".tex": render_latex,
        ".md": lambda table, _: render_markdown(table),
        ".csv": lambda table, _: render_csv(table),
    }
    if (render := renders.get(path.suffix.lower())) is None:
        raise UserError(
            f"cannot tell from {path.name!r} what to write; the name must end in {', '.join(renders)}"
            f"{nearest(path.suffix, renders)}",
            hint=f"-o {path.with_suffix('.tex').name}",
        )
    write_output(path, render(table, command))


def render_latex(table: Table, command: str) -> str:
    """One `table` environment; a comment says how it was made and what to bear in mind."""
    head, rows = text_cells(table, math=True)
    labels, fields = len(table.rows), len(head) - len(table.rows)
    comments = [command, *(f"note: {note}" for note in table.notes), r"\usepackage{booktabs}"]
    above = []
    if table.columns:
        names = _escape(", ".join(map(name_title, table.columns)))
        above = [
            rf"    {'& ' * labels}\multicolumn{{{fields}}}{{c}}{{{names}}} \\",
            rf"    \cmidrule(lr){{{labels + 1}-{labels + fields}}}",
        ]
    lines = [
        *(f"% {visible(' '.join(comment.split()))}" for comment in comments),
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escape(_caption(table))}}}",
        rf"  \begin{{tabular}}{{{'l' * labels}{'r' * fields}}}",
        r"    \toprule",
        *above,
        rf"    {' & '.join(map(_escape, head))} \\",
        r"    \midrule",
        *(rf"    {' & '.join([*map(_escape, row[:labels]), *row[labels:]])} \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def render_markdown(table: Table) -> str:
    """A pipe table, and under it the caption and the notes."""
    head, rows = text_cells(table)
    marks = ["---"] * len(table.rows) + ["---:"] * (len(head) - len(table.rows))
    lines = [f"| {' | '.join(map(_escape_pipe, cells))} |" for cells in (head, marks, *rows)]
    notes = "".join(f"\nNote: {visible(note)}.\n" for note in table.notes)
    return "\n".join(lines) + f"\n\n{_caption(table)}.\n{notes}"


def render_csv(table: Table) -> str:
    """A line for each cell: its settings, `value` where there are several, `mean`, `std` and `n`; numbers as they are."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\n")
    several = len(table.values) > 1
    writer.writerow([*table.rows, *table.columns, *(["value"] * several), "mean", "std", "n"])
    for (row, column, value), spread in table.cells.items():
        std = "" if spread.std is None else repr(spread.std)
        named = [value] * several
        writer.writerow([*row, *column, *named, repr(spread.mean), std, spread.n])
    return target.getvalue()


def text_cells(table: Table, *, math: bool = False) -> tuple[list[str], list[list[str]]]:
    """Headings, and rows of cells.

    Args:
        math: numbers as LaTeX, and headings of columns without the setting's name, which stands above them.
    """
    fields = [(column, value) for column in table.column_values for value in table.values]
    head = [*map(name_title, table.rows), *(_head(table, column, value, math) for column, value in fields)]
    rows = [
        [
            *_labels(table.rows, row),
            *(_number(table.cells.get((row, column, value)), value, math=math) for column, value in fields),
        ]
        for row in table.row_values
    ]
    return head, rows


def name_title(name: str) -> str:
    """`supernet.edge_normalization` -> `edge normalization`, `supernet.k` -> `K`."""
    if name in NAMES:
        return name
    short = SHORT_NAMES.get(name, "")
    return short if short in ("K", "C") else name.rpartition(".")[2].replace("_", " ")


def _labels(names: Sequence[str], key: Key) -> list[str]:
    parts = zip(names, key, strict=True)
    return ["" if part is None else str(part) if name in NAMES else short_value(part) for name, part in parts]


def _head(table: Table, column: Key, value: str, plain: bool) -> str:
    labels = _labels(table.columns, column)
    if not plain:
        names = map(name_title, table.columns)
        labels = [
            label if name in ("sweep", "genotype") else f"{name}={label}"
            for name, label in zip(names, labels, strict=True)
        ]
    title = f"{table.titles[value]}{_unit(value, table.titles[value])}"
    alone = bool(labels) and len(table.values) == 1
    return ", ".join(labels) if alone else " ".join(filter(None, (", ".join(labels), title)))


def _unit(value: str, title: str = "") -> str:
    if value in COMPARED:
        return "" if "loss" in title else " (%)"
    return {"params": " (M)", "macs": " (M)"}.get(value, "")


def _caption(table: Table) -> str:
    titles = ", ".join(f"{table.titles[value]}{_unit(value, table.titles[value])}" for value in table.values)
    counts = sorted({spread.n for spread in table.cells.values()})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n from {counts[0]} to {counts[-1]}"
    return f"Mean ± standard deviation (n) of {titles}; {n}"


def _number(spread: Spread | None, value: str, *, math: bool) -> str:
    """`97.10 ± 0.21 (2)`; two digits of a per cent, three that count of the rest."""
    if spread is None:
        return "--"
    scale = 100.0 if value in COMPARED and all(0 <= each <= 1 for each in spread.values) else 1.0
    scale = 1e-6 if value in ("params", "macs") else scale

    def text(number: float) -> str:
        return f"{number * scale:.2f}" if scale == 100.0 else f"{number * scale:.3g}"

    mean, std = text(spread.mean), None if spread.std is None else text(spread.std)
    sign, dollar = (r"\pm", "$") if math else ("±", "")
    return f"{dollar}{mean if std is None else f'{mean} {sign} {std}'}{dollar} ({spread.n})"


def _escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(sign, sign) for sign in visible(text).replace("\n", " "))


def _escape_pipe(text: str) -> str:
    return visible(text).replace("|", "\\|").replace("\n", " ")
