"""The end of `retrain` and `finetune`: into the registry where that is wanted, and what came of it on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.terminal.options import home_flag, say

if TYPE_CHECKING:
    from pcdarts_tune.recording.epoch_run import Tracked
    from pcdarts_tune.retraining import Retrained, Retraining


def conclude(
    work: Retraining,
    done: Retrained,
    output: Path,
    *,
    home: Path,
    register: str | None,
    tracked: Tracked | None,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Register and print a training.

    Args:
        output: the folder as it was given.
        register: the name to register under.
        more: goes into the JSON.
    """
    from pcdarts_tune.terminal.comparison import accuracies

    entered = None
    if register is not None and tracked is not None:
        from pcdarts_tune.promoting.entering import enter

        entered = enter(tracked.store, register, work, done)
        if not entered.champion:
            say(
                f"{register} keeps its champion: {entered.why}. pcdarts-tune rollback {register} --to {entered.version}"
                f"{home_flag(home)} moves the alias all the same."
            )
    if as_json:
        version = {} if entered is None else entered.to_dict()
        click.echo(json.dumps({**done.to_dict(), "folder": str(output), **version, **(more or {})}))
        return
    click.echo(f"{output}: {accuracies(done)}")
    name = str(output)
    if entered is not None:
        click.echo(f"{entered.model} version {entered.version}{', champion' if entered.champion else ''}")
        name = f"{entered.reference}{home_flag(home)}"
    say(f"next: pcdarts-tune predict {name} IMAGE...")
