"""A sweep as one HTML page, read from its study alone: while it runs, without MLflow, before any trial is complete.

write_report(open_sweep(where, "first"), Path("first.html"))
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.files import write_output
from pcdarts_tune.reporting.facts import Facts, read_facts
from pcdarts_tune.reporting.importances import EVALUATOR
from pcdarts_tune.reporting.page import render_page
from pcdarts_tune.reporting.plot_study import pareto_front
from pcdarts_tune.reporting.summary import group_failures, summarize

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.sweep import SweepHandle


def write_report(sweep: SweepHandle, path: Path) -> Facts:
    """Write the report to `path`; an existing file is replaced as a whole or left as it is.

    Returns:
        The facts that the report shows.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    facts = read_facts(sweep)
    write_output(path, render_page(facts).encode())
    return facts


def report_json(facts: Facts, path: Path) -> dict[str, Any]:
    """The object that `report --json` prints."""
    return {
        "file": str(path),
        "sweep": facts.sweep.name,
        "trials": facts.target,
        "states": facts.states,
        "best": None if facts.best is None else facts.best.to_dict(),
        "level": [trial.record.trial for trial in facts.tied],
        "held_out_images": facts.held_out,
        "resolution": facts.resolution,
        "hours": facts.spent,
        "importances": {
            "evaluator": EVALUATOR,
            "n": facts.importances.n,
            "shares": facts.importances.shares,
            "above_chance": list(facts.importances.above_chance),
            "spearman": facts.importances.correlations,
        },
        "pareto": pareto_front(facts.records, "params"),
        "lost": {reason: [trial.record.trial for trial in group] for reason, group in group_failures(facts)},
        "summary": {
            part.title: " ".join(filter(None, (part.text, part.command))) for part in summarize(facts)
        },
    }
