"""The report of a sweep as a file, and what it says as values.

report_sweep(open_sweep(where, "first"), Path("first.html")).to_dict()["best"]
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.reporting.facts import Facts
from pcdarts_tune.reporting.report import report_json, write_report
from pcdarts_tune.sweeps.benchmark import read_benchmark
from pcdarts_tune.sweeps.sweep import SweepHandle


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        path: of the page.
        facts: what it shows.
    """

    path: Path
    facts: Facts

    def to_dict(self) -> dict[str, Any]:
        """What `report --json` prints."""
        return report_json(self.facts, self.path)

    def __repr__(self) -> str:
        return f"<report {self.path}>"

    def _repr_html_(self) -> str:
        summary = self.to_dict()["summary"]
        lines = "".join(
            f"<dt>{html.escape(title)}</dt><dd>{html.escape(text)}</dd>" for title, text in summary.items()
        )
        link = html.escape(self.path.as_posix())
        return f'<a href="{link}" target="_blank">{link}</a><dl>{lines}</dl>'


def report_sweep(
    sweep: SweepHandle, output: Path | None, benchmark: Path | None = None, truth: str | None = None
) -> Report:
    """Write the report of a sweep; SWEEP.html here unless `output` says otherwise.

    Raises:
        UserError: the folder does not exist or cannot be written to, or a table of accuracies that cannot be read.
    """
    path = output or Path(f"{sweep.name}.html")
    return Report(path, write_report(sweep, path, *read_benchmark(benchmark, truth)))
