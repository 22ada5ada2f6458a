"""What a word on the command line names for deletion, and doing it: a sweep, or a version of a registered model.

    deletions = find_deletions(where, ["first", "flowers/2"], Choices())
    delete(where, deletions)

A deletion of that name that was interrupted comes first, and alone: what was begun is ended before anything else of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.keeping.journal import Entry, Journal
from pcdarts_tune.keeping.sweep_deletion import SweepDeletion
from pcdarts_tune.keeping.version_deletion import VersionDeletion
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tracking.lookup import registered_models

Deletion = SweepDeletion | VersionDeletion


@dataclass(frozen=True)
class Choices:
    """What may be deleted: a champion too (`champion`), and of sweeps all but what MLflow has (`keep_runs`)."""

    champion: bool = False
    keep_runs: bool = False


def interrupted(where: Where, names: Sequence[str]) -> list[Deletion]:
    """The deletions of these names that have begun and not ended.

    Raises:
        UserError: the note of one cannot be read.
    """
    plain = {name.removeprefix("sweep:").removeprefix("models:/") for name in names}
    return [_go_on(where, entry) for entry in Journal(where.home).pending() if entry.name in plain]


def _go_on(where: Where, entry: Entry) -> Deletion:
    kind = SweepDeletion if entry.kind == "sweep" else VersionDeletion
    return kind.again(where, entry)


def find_deletions(where: Where, names: Sequence[str], choices: Choices) -> list[Deletion]:
    """What the names are, each once; nothing is done yet.

    Raises:
        UserError: one is neither sweep nor version, or may not be deleted; it says why.
    """
    return [_find(where, name, choices) for name in dict.fromkeys(names)]


def _find(where: Where, text: str, choices: Choices) -> Deletion:
    sweeps, name = sweep_names(where.home), text.removeprefix("sweep:")
    if name in sweeps:
        return SweepDeletion.plan(open_sweep(where, name), keep_runs=choices.keep_runs)
    match = re.fullmatch(r"([^:/@]+)[:/](\d+)", text)
    models = registered_models(where.home)
    if match is not None and match[1] in sweeps and (":" in text or match[1] not in models):
        raise UserError(
            f"{text} is a trial, and trials are not deleted one by one: a study knows all of its trials",
            hint=f"pcdarts-tune delete {match[1]} for the whole sweep; pcdarts-tune clean for checkpoints",
        )
    if "/" in text or "@" in text:
        return VersionDeletion.plan(where, text, champion=choices.champion)
    if name in models:
        shown = ", ".join(each for each in models[name] if "/" in each)
        raise UserError(
            f"{name!r} is a registered model: its versions are deleted one by one: {shown}",
            hint=f"pcdarts-tune delete {name}/VERSION",
        )
    there = f"; sweeps: {', '.join(sweeps[-10:])}" if sweeps else ""
    raise UserError(
        f"no sweep or model named {text!r} in {where.home}{nearest(text, [*sweeps, *models])}{there}",
        hint="pcdarts-tune list shows what there is, or --home where it is",
    )


def delete(where: Where, deletions: Sequence[Deletion]) -> None:
    """Do them one after the other.

    Raises:
        UserError: another process deletes, or a sweep runs.
        WorkFailed: something could not be removed; what was begun goes on with the same command.
    """
    with Journal(where.home).locked() as journal:
        for deletion in deletions:
            deletion.run(journal)
