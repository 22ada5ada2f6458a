"""A sweep as one HTML page, read from its study alone: while it runs, without MLflow, before any trial is complete.

write_report(open_sweep(where, "first"), Path("first.html"))

Facts, drawings and plots are filled into template.html, see page.py.
"""

from __future__ import annotations

import base64
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from pcdarts_tune.addresses import without_secret
from pcdarts_tune.files import write_output
from pcdarts_tune.reporting import figures
from pcdarts_tune.reporting.alphas import plot_alphas
from pcdarts_tune.reporting.facts import Facts, read_facts, read_profile
from pcdarts_tune.reporting.page import render
from pcdarts_tune.reporting.plot_study import EVALUATOR, FEWEST, pareto_front
from pcdarts_tune.reporting.summary import group_failures, summarize
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.scores import score_title, scored_on
from pcdarts_tune.sweeps.benchmark import Benchmark
from pcdarts_tune.sweeps.leaderboard import leaderboard_columns
from pcdarts_tune.sweeps.sweep import SweepHandle


def write_report(
    sweep: SweepHandle, path: Path, benchmark: Benchmark | None = None, known: tuple[str, ...] = ()
) -> Facts:
    """Write the report to `path`, and return the facts that it shows; an existing file is replaced as a whole or left.

    Args:
        benchmark: known accuracies that stand beside the trials. `known`: its columns that are shown.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    facts = read_facts(sweep, benchmark, known)
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
        "objective": facts.score,
        "held_out_images": facts.held_out,
        "majority": None if facts.best is None else facts.best.record.held_out.get("majority"),
        "noise": None if facts.noise is None else facts.noise.to_dict(),
        "resolution": facts.resolution,
        "agreement": None if facts.agreement is None else facts.agreement.to_dict(),
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
        "summary": {part.title: f"{part.text} {part.command}".strip() for part in summarize(facts)},
    }


MOST_DRAWN = 3
"""The number of genotypes whose cells are drawn."""
MOST_UNFOLDED = 30
"""The number of trials in the leaderboard that are not folded away."""


def render_page(facts: Facts) -> str:
    """The report as HTML."""
    sizes = facts.sweep.space.supernet
    with hide_warnings():
        plots = {
            "history": figures.plot_history(facts),
            "importances": figures.plot_importances(facts),
            "settings": figures.plot_settings(facts),
            "sizes": figures.plot_sizes(facts),
            "alphas": plot_alphas(facts.alphas, sizes.primitives, sizes.edge_primitives),
            "costs": figures.plot_costs(facts),
        }
    genotypes = facts.best_of_each_genotype
    return render(
        "template.html",
        command="report",
        title=f"Sweep {facts.sweep.name}",
        facts=facts,
        sweep=facts.sweep,
        score=score_title(facts.score),
        scored_on=scored_on(facts.score),
        evaluator=EVALUATOR,
        fewest=FEWEST,
        summary=summarize(facts),
        leaderboard=leaderboard_columns(facts.trials, facts.keys, facts.score, facts.known),
        shown=MOST_UNFOLDED,
        plots=plots,
        genotypes=genotypes,
        drawn=MOST_DRAWN,
        most_found=max(genotypes, key=lambda trial: len(trial.found_by), default=None),
        trial_of={trial.record.genotype_hash: trial.record.trial for trial in reversed(facts.complete)},
        failures=group_failures(facts),
        reproduce=describe_reproduction(facts),
    )


@contextmanager
def hide_warnings() -> Iterator[None]:
    """Hide what Optuna warns of: few trials, experimental features."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def describe_reproduction(facts: Facts) -> dict[str, Any]:
    """The commands that run the sweep again, what its result depends on, and its space as YAML and as a link."""
    sweep = facts.sweep
    settings, about, home = sweep.settings, sweep.about, sweep.where.home_flag
    file, text = f"{sweep.name}.yaml", naming.to_yaml(sweep.space) + "\n"
    again = ["pcdarts-tune", "sweep", "--space", file, "--name", f"{sweep.name}-again"]
    again += ["--trials", str(facts.target), "--seed", str(settings.seed)]
    again += ["--sampler", settings.sampler] if settings.sampler != sweep.space.sampler else []
    again += ["--data", settings.data_root] if settings.data_root else []
    commands = [shlex.join(again) + home]
    if facts.best is not None:
        best = facts.best.record.trial
        commands.append(f"pcdarts-tune reproduce {sweep.name}:{best}{home}   # the best trial alone")
        commands.append(f"pcdarts-tune promote {sweep.name} --trial {best}{home}")
    data, uri = about["data"], settings.tracking_uri
    sizes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in read_profile(sweep).items())
    known = {
        "sweep": f"{sweep.name}, {about['id']}",
        "begun": about["created"],
        "seed": settings.seed,
        "sampler": settings.sampler,
        "data": f"{data['name']}, digest {data['digest']}{f' ({sizes})' if sizes else ''}",
        "git": about["git"] or "not a checkout",
        **about["versions"],
        "records": without_secret(uri) if uri else "the home's own MLflow store",
    }
    link = f"data:application/yaml;base64,{base64.b64encode(text.encode()).decode()}"
    return {"commands": "\n".join(commands), "known": known, "file": file, "yaml": text, "link": link}
