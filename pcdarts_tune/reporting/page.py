"""An HTML page: a template that extends page.html, filled in by jinja2, which escapes all text.

render("comparison.html", command="report", title="Sweeps a, b", …)

The page needs no network, and its content security policy allows none: plotly.js is in it once, each plot as JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.drawing.cells import cell_svg
from pcdarts_tune.reporting.summary import list_trials
from pcdarts_tune.spaces import naming
from pcdarts_tune.sweeps.leaderboard import short_hours
from pcdarts_tune.training.scoring import describe_scores


def render(template: str, *, command: str, title: str, **values: Any) -> str:
    """The page.

    Args:
        template: file name in this folder.
        command: of pcdarts-tune, that writes it.
        title: of the page, and its heading.
        values: what the template names.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "accuracy": lambda value: "" if value is None else f"{value:.4f}",
        "doubt": describe_scores,
        "list_trials": lambda trials: list_trials([trial.record.trial for trial in trials]),
        "plot_json": lambda plot: plot.to_json(validate=False),  # escapes <, > and /
        "short_hours": short_hours,
        "short_name": naming.short_name,
        "settings": lambda record: naming.format_settings(record.hyperparameters),
        "svg": lambda genotype, title: cell_svg(read_genotype(genotype), title=title),
    }
    return environment.get_template(template).render(
        command=command, title=title, plotly=get_plotlyjs(), **values
    )
