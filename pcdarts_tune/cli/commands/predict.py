"""`pcdarts-tune predict`: what a model says about images."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.errors import UserError, visible
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import say

if TYPE_CHECKING:
    from torch import Tensor

    from pcdarts_tune.models.model import LoadedModel, Prediction

BATCH = 64
"""Images that are classified at a time."""


@click.command("predict")
@click.argument("model", shell_complete=completing.models)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Give the N likeliest classes of each image."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout, with a line of titles.")
@options.device
@options.store
@options.output
def command(
    model: str,
    images: tuple[Path, ...],
    top: int | None,
    as_csv: bool,
    device: str,
    where: Where,
    as_json: bool,
) -> int:
    """Print the likeliest class of each IMAGE and its probability.

    MODEL is a registered model (`name` is its champion; `name@alias` and `name/version` choose another), a folder that
    `retrain` or `finetune` wrote, an exported safetensors file, or the run id (or its first digits) of a training that was
    registered. Of an IMAGE that is a folder, all images in it and below it are classified; what else it holds is named.

    An image that cannot be read is reported, and the others are classified all the same; the exit code is 1, or 2 where
    it is one that was given by its own name. With --json, one object a line: {"image", "class", "probability"}, and with
    --top "top", a list of {"class", "probability"}, likeliest first. With --csv the columns image, class, probability, and
    of further classes class_2, probability_2 and so on.

    \b
    Example:
      pcdarts-tune predict first@champion cat.png dog.jpg
      pcdarts-tune predict my-model *.png --json
      pcdarts-tune predict my-model photos/ --top 5 --csv > photos.csv
    """
    from pcdarts_tune.models.model import load_model
    from pcdarts_tune.sweeps.find import Finder

    if as_json and as_csv:
        raise click.UsageError("--json and --csv: one of them")
    loaded = load_model(Finder(where).find(model, "model").model()[0], choose_device(device))
    show = _show_csv(min(top or 1, len(loaded.classes))) if as_csv else _show_json if as_json else _show_text
    count = 0
    unreadable: list[bool] = []  # whether it was given by its own name
    batch: list[tuple[Path, Tensor]] = []
    for image, named in _find(images):
        count += 1
        try:
            batch.append((image, _read(loaded, image)))
        except UserError as error:
            unreadable.append(named)
            click.echo(f"Error: {visible(str(error))}", err=True)
        if len(batch) == BATCH:
            _classify(loaded, model, batch, top or 0, show)
            batch = []
    _classify(loaded, model, batch, top or 0, show)
    if unreadable:
        click.echo(f"{len(unreadable)} of {count} images could not be read.", err=True)
    return 0 if not unreadable else 2 if any(unreadable) else 1


def _find(images: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Each image, those of folders too, and whether it was given by its own name; a folder without any stands for itself."""
    from pcdarts_tune.datasets.folder import list_images

    for image in images:
        if not image.is_dir():
            yield image, True
            continue
        try:
            found, left_out = list_images(image)
        except UserError:  # said when it is read
            found, left_out = [], ""
        if left_out:
            say(f"note: {left_out}")
        if not found:
            yield image, True
        for each in found:
            yield each, False


def _read(loaded: LoadedModel, image: Path) -> Tensor:
    from pcdarts_tune.datasets import read_image
    from pcdarts_tune.datasets.folder import list_images

    if image.is_dir() and not list_images(image)[0]:
        raise UserError(f"{image} holds no images", hint="give a folder with PNG or JPEG files, or the files")
    return read_image(image, loaded.preprocessing)


def _classify(
    loaded: LoadedModel,
    model: str,
    batch: list[tuple[Path, Tensor]],
    top: int,
    show: Callable[[Prediction], None],
) -> None:
    if not batch:
        return
    names, images = [str(path) for path, _ in batch], [x for _, x in batch]
    try:
        predictions = loaded.classify(images, names, top=top)
    except ValueError as error:  # the network does not take images of the size that its description says
        hint = "copy the model anew from where it was made, or make it again: pcdarts-tune retrain"
        raise UserError(f"{model} cannot predict: {error}", hint=hint) from error
    for prediction in predictions:
        show(prediction)


def _show_json(prediction: Prediction) -> None:
    click.echo(json.dumps(prediction.to_dict()))


def _show_text(prediction: Prediction) -> None:
    said = prediction.top or ((prediction.class_name, prediction.probability),)
    listed = "  ".join(f"{name}  {probability:.3f}" for name, probability in said)
    click.echo(visible(f"{prediction.image}  {listed}"))


def _show_csv(classes: int) -> Callable[[Prediction], None]:
    """Write the line of titles; what writes a line for each image."""
    more = [f"{title}_{number}" for number in range(2, classes + 1) for title in ("class", "probability")]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "class", "probability", *more])

    def show(prediction: Prediction) -> None:
        said = prediction.top or ((prediction.class_name, prediction.probability),)
        writer.writerow([prediction.image, *(value for pair in said for value in pair)])

    return show
