"""`pcdarts-tune draw`: a genotype's cells as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.core.genotype import FAMILIES
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("draw")
@click.argument("genotype", shell_complete=completing.runs)
@options.output_file("The picture; its suffix decides: .svg, .png, .pdf or .dot.", required=True)
@click.option(
    "--cell",
    type=options.NearestChoice(["both", *(kind for family in FAMILIES.values() for kind in family.kinds)]),
    default="both",
    show_default=True,
    help="Which cell to draw; NAS-Bench-201 has one, `cell`.",
)
@options.store
@options.verbosity
def command(genotype: str, output: Path, cell: str, where: Where) -> None:
    """Draw the cells of GENOTYPE.

    GENOTYPE is a JSON file, a published name such as PC_DARTS_cifar, a text such as Genotype(normal=[...], ...) or a file
    with one, the string of a NAS-Bench-201 cell, SWEEP:TRIAL, a model (its name, model@alias, model/version, or its
    folder), a sweep (its best trial), or an MLflow run id or its first digits.

    \b
    Example:
      pcdarts-tune draw PC_DARTS_cifar -o cells.svg
      pcdarts-tune draw first@champion -o champion.svg
      pcdarts-tune draw genotype.json --cell normal -o normal.png
    """
    from pcdarts_tune.api.cells import Drawing, find_cells

    Drawing(find_cells(genotype, where).genotype, cell).save(output)
    say(f"wrote {output}")
