"""What a plan is made from: the images, and where each value of the configuration comes from.

trace_values(space, "quickstart", ["search.epochs=3"])["search.epochs"]      # "--set"; of others "quickstart.yaml:6"
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import click
import torch
from click.core import ParameterSource

from pcdarts_tune.datasets import DataSet
from pcdarts_tune.datasets.named import default_root, has_torchvision_files
from pcdarts_tune.spaces.load import read_draft
from pcdarts_tune.spaces.naming import constants
from pcdarts_tune.spaces.settings import VARIABLE
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.launch import load_images

DEFAULT = "default"
SHAPES = {
    "fashion_mnist": (10, 60_000, 10_000, 1, 28),
    "cifar10": (10, 50_000, 10_000, 3, 32),
    "cifar100": (100, 50_000, 10_000, 3, 32),
}
"""Number of classes, training images, test images and channels, and the side in pixels, of published data sets."""


def load_planned_images(space: Space, data: Path | None, home: Path) -> tuple[DataSet, str | None]:
    """The images of a sweep, read without keeping a decoded copy.

    Returns:
        The images, and None. Where the sweep would download a published data set: noise of its sizes, and a note that
        says so.

    Raises:
        UserError: as the sweep itself would raise it.
    """
    name, root = space.data.dataset, data or default_root()
    absent = name in SHAPES and not has_torchvision_files(name, root, unpacked=True)
    empty = data is None or (data.is_dir() and not any(data.iterdir()))
    if not (absent and space.data.download and empty):
        return load_images(space, data, home, keep=False), None
    shape = f"{SHAPES[name][1]} training images of {SHAPES[name][0]} classes"
    note = f"{name} is not in {root}: the sweep would fetch it; planned for noise of its sizes, {shape}"
    return _generate_images(space), note


def _generate_images(space: Space) -> DataSet:
    name = space.data.dataset
    classes, train, test, channels, side = SHAPES[name]
    side = space.data.image_size or side
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> torch.Tensor:
        return torch.randint(256, (count, channels, side, side), generator=generator, dtype=torch.uint8)

    return DataSet(
        name,
        tuple(map(str, range(classes))),
        draw(train),
        torch.arange(train) % classes,
        draw(test),
        torch.arange(test) % classes,
        (0.5,) * channels,
        (0.25,) * channels,
        digest="noise",
        source=f"noise of the sizes of {name}",
    )


def trace_values(
    space: Space, text: str, settings: Iterable[str], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Dotted key -> where its value comes from, in a space that `read_space(text, settings)` returned: FILE:LINE, the
    environment variable, `--set` or `default`. A range has the key `tune.KEY`."""
    places = read_draft(text).places
    found: dict[str, str] = {}
    for key in [*constants(space), *space.tune, *(f"tune.{key}" for key in space.tune)]:
        path = ("tune", key.removeprefix("tune.")) if key.startswith("tune.") else tuple(key.split("."))
        if len(places) == 1 and key in ("name", "description"):
            path = ()  # a space that another package builds in Python
        found[key] = places[path][1] if path in places else DEFAULT
    for origin, given in ((VARIABLE, shlex.split(environment.get(VARIABLE, ""))), ("--set", settings)):
        keys = [setting.partition("=")[0].strip() for setting in given]
        found |= {key: origin for key in keys if key in found}
    return found


def trace_flags(ctx: click.Context) -> dict[str, str]:
    """Parameter of the running command -> its `--flag`, its environment variable, or `default`."""

    def trace(parameter: click.Parameter) -> str:
        source = ctx.get_parameter_source(parameter.name or "")
        if source == ParameterSource.COMMANDLINE:
            return max(parameter.opts, key=len)
        return str(parameter.envvar) if source == ParameterSource.ENVIRONMENT else DEFAULT

    return {parameter.name: trace(parameter) for parameter in ctx.command.params if parameter.name}
