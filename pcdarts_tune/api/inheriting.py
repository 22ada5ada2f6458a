"""The space and the images of a training where --space is left out: those that what it begins with was made with.

space, data = retraining_space(None, Finder(where).find("first:3", "genotype"), None, ())
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcdarts_tune.api.space import resolve_space
from pcdarts_tune.lineage.inherited import inherit
from pcdarts_tune.say import say
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import change, environment_settings, parse_settings
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.find import Found, GenotypeSource
from pcdarts_tune.training.finetuning import SHARE

DEFAULT = "cifar10"


def retraining_space(
    named: str | Path | Space | None,
    found: Found | GenotypeSource,
    data: Path | None,
    settings: Sequence[str],
) -> tuple[Space, Path | None]:
    """The space that is named, or that of what was found, changed by environment and settings, and `--data`."""
    inherited = inherit(found) if named is None and isinstance(found, Found) else None
    if inherited is None:
        space = resolve_space(named or DEFAULT, settings)
        if named is None:
            recipe = f"space {space.name!r}, {space.retrain.epochs} epochs"
            text = found.text if isinstance(found, Found) else f"genotype {found.origin}"
            say(f"{text} says nothing of how to train it: {recipe}; --space takes another")
        return space, data
    space = change(inherited.space, [*environment_settings(), *parse_settings(settings)])
    say(inherited.in_words(space, images=data is None))
    return space, data or inherited.data_root


def finetuning_base(named: str | None, found: Found, data: Path | None) -> tuple[Space, Path | None, float]:
    """The space whose recipe a fine-tuning takes, `--data`, and the share of epochs and learning rates that it takes."""
    inherited = inherit(found) if named is None else None
    if inherited is None:
        space = load_space(named or DEFAULT)
        if named is None:
            say(f"{found.text} says nothing of its own training: space {space.name!r}; --space takes another")
        return space, data, SHARE
    space = inherited.space
    if data is not None:
        # groups and depth of samples are properties of the other images
        space = change(space, parse_settings(["data.group=null", "data.sample_range=null"]))
    say(inherited.in_words(inherited.space, images=data is None))
    return space, data or inherited.data_root, 1.0 if inherited.finetuned else SHARE
