"""What a run says of itself in MLflow: two lines of Markdown, with links that work inside MLflow's own pages.

describe_trial(proposal, outcome, sweep="first", parent="2f6c…", experiment_id="1")
describe_sweep("first", "quickstart", states, best, links)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcdarts_tune.spaces import naming
from pcdarts_tune.tracking.view import view_key, view_link

if TYPE_CHECKING:
    from pcdarts_tune.tasks import Outcome, Proposal, TrialRecord


@dataclass(frozen=True)
class SweepLinks:
    """Where a sweep is in MLflow: its experiment and the key of its view; made once its run is open."""

    experiment_id: str
    sweep: str
    identity: str

    def run(self, text: str, run_id: str | None) -> str:
        """A link to a run."""
        if run_id is None:
            return text
        return f"[{text}](#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning)"

    def trials(self, text: str, *, charts: bool) -> str:
        """A link to the sweep's trials, best first."""
        key = view_key(self.sweep, self.identity)
        return f"[{text}]({view_link('', self.experiment_id, key, charts=charts)})"


def describe_trial(proposal: Proposal, outcome: Outcome, links: SweepLinks, parent: str) -> str:
    """A trial in two lines."""
    settings = naming.format_settings(proposal.hyperparameters) or "the space's own settings"
    sweep = links.run(links.sweep, parent)
    title = f"Trial {proposal.number} of sweep {sweep}"
    others = links.trials("the other trials", charts=False)
    if outcome.objective is None:
        return f"{title} {outcome.state}: {outcome.reason}\n\nSettings: {settings}. Beside it: {others}."
    source = "" if outcome.evaluation_from is None else f" (evaluated by trial {outcome.evaluation_from})"
    size = "" if outcome.params is None else f", {naming.short_count(outcome.params)} parameters"
    return (
        f"{title}: accuracy **{outcome.objective:.4f}** on held-out images{source}{size}; beside it: {others}.\n\n"
        f"Settings: {settings}. To retrain it: `pcdarts-tune promote {links.sweep} --trial {proposal.number}`"
    )


def describe_sweep(
    space: str, states: dict[str, int], target: int, best: TrialRecord | None, links: SweepLinks
) -> str:
    """A sweep in two lines: what came of it, and where to go on."""
    counted = ", ".join(f"{number} {state}" for state, number in states.items()) or "no trial yet"
    first = f"Sweep `{links.sweep}` of space `{space}`: {counted} of {target}."
    if best is not None and best.objective is not None:
        trial = links.run(f"trial {best.trial}", best.run_id)
        settings = naming.format_settings(best.hyperparameters) or "default settings"
        first += f" Best: {trial}, accuracy **{best.objective:.4f}** on held-out images ({settings})."
    table, charts = (
        links.trials("all trials, best first", charts=False),
        links.trials("as charts", charts=True),
    )
    promote = (
        f" To retrain and register the best: `pcdarts-tune promote {links.sweep}`" if best is not None else ""
    )
    return f"{first}\n\nLook at {table}, or {charts}.{promote}"
