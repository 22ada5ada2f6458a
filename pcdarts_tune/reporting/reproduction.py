"""How to run a sweep again: the commands, and all that its result depends on."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcdarts_tune.addresses import without_secret
from pcdarts_tune.spaces.printing import to_yaml

if TYPE_CHECKING:
    from pcdarts_tune.reporting.facts import Facts


@dataclass(frozen=True)
class Reproduction:
    """Commands to copy; `facts`: name -> value; the space as YAML, and as a link that holds it."""

    commands: tuple[str, ...]
    facts: dict[str, str]
    exactness: str
    space_file: str
    space_yaml: str
    space_link: str


def reproduction(facts: Facts) -> Reproduction:
    """What to do to get the sweep again."""
    sweep = facts.sweep
    settings, about = sweep.settings, sweep.about
    text = to_yaml(sweep.space) + "\n"
    name = f"{sweep.name}.yaml"
    again = ["pcdarts-tune", "sweep", "--space", name, "--name", f"{sweep.name}-again"]
    again += ["--trials", str(facts.target), "--seed", str(settings.seed)]
    if settings.sampler != sweep.space.sampler:
        again += ["--sampler", settings.sampler]
    if settings.data_root:
        again += ["--data", settings.data_root]
    home = sweep.where.home_flag
    commands = [shlex.join(again) + home]
    if facts.best is not None:
        best = facts.best.record.trial
        commands.append(f"pcdarts-tune reproduce {sweep.name}:{best}{home}   # the best trial alone")
        commands.append(f"pcdarts-tune promote {sweep.name} --trial {best}{home}")
    data = about["data"]
    profile = _listed(data.get("profile", ""))
    known = {
        "sweep": f"{sweep.name}, {about['id']}",
        "begun": about["created"],
        "seed": str(settings.seed),
        "sampler": settings.sampler,
        "data": f"{data['name']}, digest {data['digest']}{f' ({profile})' if profile else ''}",
        "git": about["git"] or "not a checkout",
        **about["versions"],
        "records": without_secret(settings.tracking_uri)
        if settings.tracking_uri
        else "the home's own MLflow store",
    }
    exactness = (
        "Trials get the same hyperparameters where proposals do not depend on the order in which trials end (random "
        "proposals, or one trial at a time), and on a CPU with the same number of threads the same genotypes."
    )
    link = "data:application/yaml;base64," + base64.b64encode(text.encode()).decode()
    return Reproduction(tuple(commands), known, exactness, name, text, link)


def _listed(profile: str) -> str:
    """`1438 train images, 359 test images, ...` from the JSON that the sweep keeps."""
    try:
        values = json.loads(profile)
    except ValueError:
        return ""
    if not isinstance(values, dict):
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
