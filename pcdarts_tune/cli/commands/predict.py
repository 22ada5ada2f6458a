"""`pcdarts-tune predict`: what a model says about images."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.errors import UserError, visible
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device


@click.command("predict")
@click.argument("model", shell_complete=completing.models)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.device
@options.store
@options.output
def command(model: str, images: tuple[Path, ...], device: str, where: Where, as_json: bool) -> int:
    """Print the likeliest class of each IMAGE and its probability.

    MODEL is a registered model (`name` is its champion; `name@alias` and `name/version` choose another), a folder that
    `retrain` or `finetune` wrote, an exported safetensors file, or the run id (or its first digits) of a training that was
    registered. An image that cannot be read is reported, the others
    are classified all the same, and the exit code is 2. With --json, one object a line: {"image", "class", "probability"}.

    \b
    Example:
      pcdarts-tune predict first@champion cat.png dog.jpg
      pcdarts-tune predict my-model *.png --json
    """
    from pcdarts_tune.models.model import load_model
    from pcdarts_tune.sweeps.find import Finder

    loaded = load_model(Finder(where).find(model, "model").model()[0], choose_device(device))
    unreadable = 0
    for image in images:
        try:
            prediction = loaded.predict([image])[0]
        except UserError as error:
            unreadable += 1
            what = f"{error}; name its images: {image}/*" if Path(image).is_dir() else str(error)
            click.echo(f"Error: {visible(what)}", err=True)
            continue
        except ValueError as error:  # the network does not take images of the size that its description says
            hint = "copy the model anew from where it was made, or make it again: pcdarts-tune retrain"
            raise UserError(f"{model} cannot predict: {error}", hint=hint) from error
        if as_json:
            click.echo(json.dumps(prediction.to_dict()))
        else:
            named = visible(f"{prediction.image}  {prediction.class_name}")
            click.echo(f"{named}  {prediction.probability:.3f}")
    if unreadable:
        click.echo(f"{unreadable} of {len(images)} images could not be read.", err=True)
    return 2 if unreadable else 0
