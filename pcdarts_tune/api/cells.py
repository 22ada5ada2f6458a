"""Cells by whatever names them, and their picture.

draw("PC_DARTS_cifar")                  # shows itself in a notebook
draw("first:3", "cells.png", cell="normal")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.api.entering import public
from pcdarts_tune.api.trial import Trial
from pcdarts_tune.api.where import Files, find_where
from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.drawing.cells import cell_svg, draw_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.find import Finder, Found, GenotypeSource

GenotypeLike = str | Path | Trial | AnyGenotype | Mapping[str, Any]
"""A word that names a genotype (sweeps/find.py), a file, a trial, a genotype, or one as JSON has it."""


@dataclass(frozen=True)
class Drawing:
    """The picture of a genotype's cells.

    Attributes:
        cell: which one; `both` for all.
    """

    genotype: AnyGenotype
    cell: str = "both"

    @property
    def svg(self) -> str:
        """One self-contained <svg> element."""
        return cell_svg(self.genotype, which=self.cell)

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whose suffix says how.

        Raises:
            UserError: an unknown suffix, or a folder that cannot be written to.
        """
        return draw_genotype(self.genotype, path, which=self.cell)

    def _repr_svg_(self) -> str:
        return self.svg


@public
def draw(
    genotype: GenotypeLike,
    output: str | Path | None = None,
    *,
    cell: str = "both",
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    plugin: Files = (),
) -> Drawing:
    """Draw the cells of a genotype.

    Args:
        genotype: what `pcdarts-tune draw` takes, a `Genotype`, a trial, or a mapping as in genotype.json.
        output: a file to write the picture to.
        cell: `normal`, `reduce` or `both`; NAS-Bench-201 has one, `cell`.

    Raises:
        UserError: no genotype of that name, no such cell.
    """
    drawing = Drawing(find_cells(genotype, find_where(home, tracking_uri, plugin=plugin)).genotype, cell)
    if output is not None:
        drawing.save(output)
    else:
        _ = drawing.svg  # a mistake is to be found here, not when a notebook shows it
    return drawing


def find_cells(genotype: GenotypeLike, where: Where) -> GenotypeSource:
    """The cells of what was given, and how they are named.

    Raises:
        UserError: it is none, naming what comes near.
    """
    found = find_named(genotype, where)
    return found.genotype() if isinstance(found, Found) else found


def find_named(genotype: GenotypeLike, where: Where) -> Found | GenotypeSource:
    """What a word or path names; cells that were given as such, under their hash.

    Raises:
        UserError: it is no genotype.
    """
    if isinstance(genotype, Trial):
        return Finder(genotype.where).find(str(genotype), "genotype")
    if isinstance(genotype, str | Path):
        return Finder(where).find(str(genotype), "genotype")
    try:
        cells = read_genotype(genotype) if isinstance(genotype, Mapping) else genotype
        return GenotypeSource(cells, cells.canonical_hash())
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"not a genotype: {error}",
            hint="a published name, SWEEP:TRIAL, a file, a Genotype, or its to_dict()",
        ) from None
