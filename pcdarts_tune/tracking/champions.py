"""Who is champion of a registered model, who was before, and why: the alias `champion` and its history.

    set_champion(client, "first", 2, "held-out accuracy 0.98 against 0.97 of version 1")
    roll_back(client, "first", to=None)         # version 1 again

The history is one tag of the registered model, `pcdarts.champions`: JSON, oldest first, what does not fit forgotten.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.registry import CHAMPION, require_model, version_of_alias, versions_of
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_LONGEST = 4500  # characters; databases keep 5000 of a tag


@dataclass(frozen=True)
class ChampionEntry:
    """A version that became champion: when, why, and whether a rollback brought it back."""

    version: int
    since: str
    why: str
    back: bool = False


def compare_with_champion(
    validation_accuracy: float | None,
    comparable: str,
    version: int,
    champion: ModelVersion | None,
    force: bool,
    tag: str = Tag.VALIDATION_ACCURACY,
) -> tuple[bool, str]:
    """Whether a version takes the alias, and why (not). `comparable`: digest of the images and of how they are split;
    scores are compared only within it. `tag` is where versions keep theirs, such as the balanced accuracy."""
    if champion is None:
        return True, "it is the first champion"
    if int(champion.version) == version:
        return True, "it is the champion already"
    if force:
        return True, f"--force; version {champion.version} was champion"
    before = champion.tags.get(tag)
    if validation_accuracy is None or before is None or champion.tags.get(Tag.COMPARABLE) != comparable:
        return False, f"it cannot be compared with version {champion.version} on the same held-out images"
    better = validation_accuracy >= float(before)
    what = "balanced accuracy" if tag == Tag.VALIDATION_BALANCED else "accuracy"
    return better, (
        f"held-out {what} {validation_accuracy:.4f} {'against' if better else 'is below'} {float(before):.4f} "
        f"of version {champion.version}"
    )


def champion_history(client: MlflowClient, model: str) -> list[ChampionEntry]:
    """Who was champion, oldest first; empty where nobody wrote it down or it cannot be read."""
    text = client.get_registered_model(model).tags.get(Tag.CHAMPIONS, "[]")
    try:
        return [
            ChampionEntry(int(entry["version"]), str(entry["since"]), str(entry["why"]), bool(entry["back"]))
            for entry in json.loads(text)
        ]
    except (KeyError, TypeError, ValueError):  # someone edited the tag
        return []


def set_champion(client: MlflowClient, model: str, version: int, why: str, *, back: bool = False) -> None:
    """Give a version the alias, and write down that it has it; nothing where both are so already."""
    holder = version_of_alias(client, model)
    entries = champion_history(client, model)
    known = entries[-1].version if entries else None
    if holder is not None and int(holder.version) not in (known, version):
        # moved by hand, or before there was a history
        entries.append(
            ChampionEntry(int(holder.version), "", "found as champion; who made it so is not on record")
        )
    if holder is None or int(holder.version) != version:
        client.set_registered_model_alias(model, CHAMPION, str(version))
    if not entries or entries[-1].version != version:
        entries.append(ChampionEntry(version, time.strftime("%Y-%m-%dT%H:%M:%S%z"), why, back))
    kept = [asdict(entry) for entry in entries]
    while len(text := json.dumps(kept)) > _LONGEST:
        del kept[0]
    if client.get_registered_model(model).tags.get(Tag.CHAMPIONS) != text:
        client.set_registered_model_tag(model, Tag.CHAMPIONS, text)


def effective_champions(entries: Sequence[ChampionEntry]) -> list[int]:
    """The champions that still count, the present one last: a rollback takes away those it went back behind."""
    stack: list[int] = []
    for entry in entries:
        if entry.back and entry.version in stack:
            del stack[stack.index(entry.version) + 1 :]
        else:
            stack = [version for version in stack if version != entry.version] + [entry.version]
    return stack


def roll_back(client: MlflowClient, model: str, to: int | None = None) -> tuple[int, int, str]:
    """Give the alias back to the champion before the present one, or to version `to`.

    Returns:
        The version that has it now, the one that had it, and why.

    Raises:
        UserError: when there is no such model, version or earlier champion, naming what there is.
    """
    require_model(client, model)
    there = versions_of(client, model)
    shown = ", ".join(map(str, there)) or "none"
    choice = f"pcdarts-tune rollback {model} --to VERSION; versions: {shown}"
    holder = version_of_alias(client, model)
    if holder is None:
        raise UserError(f"{model!r} has no champion to take the alias from", hint=choice)
    now = int(holder.version)
    if to is not None:
        if to not in there:
            raise UserError(
                f"{model!r} has no version {to}; versions: {shown}", hint=f"pcdarts-tune show {model}"
            )
        if to == now:
            raise UserError(f"version {to} of {model!r} is the champion already", hint=choice)
        why = f"rollback --to {to}; version {now} was champion"
    else:
        stack = effective_champions(champion_history(client, model))
        earlier = stack[: stack.index(now)] if now in stack else stack
        earlier = [version for version in earlier if version in there]  # others were deleted since
        if not earlier:
            raise UserError(
                f"no version of {model!r} was champion before version {now}, as far as is on record",
                hint=choice,
            )
        to, why = earlier[-1], f"rollback; version {now} was champion"
    set_champion(client, model, to, why, back=True)
    return to, now, why
