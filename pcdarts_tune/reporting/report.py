"""A sweep as one HTML page, read from its study alone: while it runs, with MLflow away, with no trial finished.

write_report(open_sweep(where, "first"), Path("first.html"))
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.files import write_output
from pcdarts_tune.reporting.facts import Facts, gather

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.sweep import SweepHandle


def write_report(sweep: SweepHandle, path: Path) -> Facts:
    """Write the report; a file that was there is replaced whole or not at all.

    Returns:
        What it says.

    Raises:
        UserError: the folder is missing or cannot be written to.
    """
    from pcdarts_tune.reporting.page import page

    facts = gather(sweep)
    write_output(path, page(facts).encode())
    return facts


def report_json(facts: Facts, path: Path) -> dict[str, Any]:
    """What `report --json` prints."""
    from pcdarts_tune.reporting.figures import pareto
    from pcdarts_tune.reporting.importances import EVALUATOR
    from pcdarts_tune.reporting.summary import losses, summary

    shown = [(s, float(s.record.params)) for s in facts.complete if s.record.params is not None]
    return {
        "file": str(path),
        "sweep": facts.sweep.name,
        "trials": facts.target,
        "states": facts.states,
        "best": None if facts.best is None else facts.best.to_dict(),
        "level": [s.record.trial for s in facts.level],
        "held_out_images": facts.held_out,
        "resolution": facts.resolution,
        "hours": facts.spent,
        "importances": {
            "evaluator": EVALUATOR,
            "n": facts.importances.n,
            "shares": facts.importances.shares,
            "above_chance": list(facts.importances.above_chance),
            "spearman": facts.importances.trend,
        },
        "pareto": [s.record.trial for s, _ in pareto(shown)],
        "lost": {reason: [s.record.trial for s in group] for reason, group in losses(facts)},
        "summary": {said.about: " ".join(filter(None, (said.text, said.command))) for said in summary(facts)},
    }
