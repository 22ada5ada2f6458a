"""`pcdarts-tune export`: a model as one file for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where


@click.command("export")
@click.argument("model", shell_complete=completing.models)
@click.option(
    "--format", "form", type=click.Choice(["onnx", "pt2", "safetensors"]),
    help="By default what the file's suffix says.",
)  # fmt: skip
@options.output_file(required=True)
@options.store
@options.output
def command(model: str, form: str | None, output: Path, where: Where, as_json: bool) -> None:
    """Write MODEL as one file, read it back and compare it with the model.

    MODEL is a registered model (`name` is its champion; `name@alias` and `name/version` choose another), a folder that
    `retrain` or `finetune` wrote, an exported safetensors file, or the run id (or its first digits) of a training that was
    registered.

    ONNX (needs the extra `onnx`: `uv sync --extra onnx`) and pt2 take `images`, uint8 (N, H, W, C) of the model's image size,
    and give `logits` and `probabilities`; normalising is part of the graph. Class names, preprocessing and genotype are in
    the file's metadata. With --json, one object: {"file", "format", "bytes", "largest_difference", "classes"}.

    \b
    Example:
      pcdarts-tune export first@champion -o first.onnx
      pcdarts-tune export my-model --format pt2 -o my-model.pt2
    """
    from pcdarts_tune.errors import UserError
    from pcdarts_tune.models.export import FORMATS, export_model, image_shape
    from pcdarts_tune.models.model import load_model
    from pcdarts_tune.sweeps.find import Finder

    if form is None:
        form = output.suffix.removeprefix(".")
        if form not in FORMATS:
            hint = f"end it with {', '.join('.' + name for name in FORMATS)}, or give --format"
            raise UserError(f"-o {output}: the suffix names no format", hint=hint)
    loaded = load_model(Finder(where).find(model, "model").model()[0])
    difference = export_model(loaded, output, form)
    size = output.stat().st_size
    if as_json:
        found = {"file": str(output), "format": form, "bytes": size, "largest_difference": difference}
        click.echo(json.dumps({**found, "classes": list(loaded.classes)}))
        return
    click.echo(f"{output}  {form}, {size / 1e6:.1f} MB; logits within {difference:.1g} of the model's")
    if form != "safetensors":
        shape = ", ".join(map(str, image_shape(loaded)))
        click.echo(f"takes images: uint8 (N, {shape}); gives logits and probabilities")
