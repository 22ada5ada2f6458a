"""What `retrain`, `finetune` and `promote` print at their end: accuracies, genotypes side by side, the registered version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pcdarts_tune.home import Where
from pcdarts_tune.promotion.comparison import CandidateResult, tabulate
from pcdarts_tune.promotion.register import Registered
from pcdarts_tune.promotion.seeds import SeedsResult
from pcdarts_tune.say import print_table, say
from pcdarts_tune.training.scoring import describe_scores
from pcdarts_tune.training.work import Retrained


def print_comparison(results: Sequence[CandidateResult], chosen: str) -> None:
    """The table on stdout, the chosen one marked; columns without a number are left out."""

    def text(value: Any) -> str:
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    rows = tabulate(results)
    # a number that is 0 everywhere says something, a count of what went wrong does not
    empty = {"diverged": (None, 0)}
    shown = [name for name in rows[0] if any(row[name] not in empty.get(name, (None,)) for row in rows)]
    marks = ["*" if row["genotype"] == chosen else "" for row in rows]
    cells = [[mark, *(text(row[name]) for name in shown)] for mark, row in zip(marks, rows, strict=True)]
    print_table(["", *shown], cells, left=3)


def accuracies(done: Retrained) -> str:
    """On the test split, and on held-out images where there are some."""
    test = f"test accuracy {done.test_accuracy:.4f}{describe_scores(done.test_scores)}"
    if done.validation_accuracy is None:
        return test
    return f"{test}, held-out accuracy {done.validation_accuracy:.4f}{describe_scores(done.held_out_scores)}"


def print_seeds(compared: SeedsResult, output: Path) -> None:
    """Every training of a genotype, its baselines side by side, and mean and spread."""
    own = compared.own
    for each in own.trainings:
        said = f"diverged: {each.failed}" if each.done is None else accuracies(each.done)
        click.echo(f"{output / f'seed-{each.seed}'}: {said}")
    if len(compared.results) > 1:
        print_comparison(compared.results, own.name)
        for verdict in compared.verdicts:
            click.echo(verdict)
    if own.held_out.values:
        click.echo(f"held-out accuracy {own.held_out}")
    click.echo(f"test accuracy {own.test}")
    say(f"next: pcdarts-tune predict {output / f'seed-{own.best().seed}'} IMAGE...")


def print_training(
    done: Retrained,
    output: Path,
    where: Where,
    registered: Registered | None,
    as_json: Mapping[str, Any] | None,
) -> None:
    """What came of a training, and the version that it became; `output` is the folder as it was given, `as_json` what is printed
    instead."""
    if registered is not None and not registered.champion:
        model = registered.model
        say(
            f"{model} keeps its champion: {registered.why}. pcdarts-tune rollback {model} --to {registered.version}"
            f"{where.home_flag} moves the alias all the same."
        )
    if as_json is not None:
        click.echo(json.dumps(as_json))
        return
    click.echo(f"{output}: {accuracies(done)}")
    name = str(output)
    if registered is not None:
        alias = ", champion" if registered.champion else ""
        click.echo(f"{registered.model} version {registered.version}{alias}")
        name = f"{registered.reference}{where.home_flag}"
    say(f"next: pcdarts-tune predict {name} IMAGE...")
