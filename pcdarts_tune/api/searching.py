"""One search, or one with each of several seeds, in this process.

found = search("quickstart", set="search.epochs=3", output="genotype.json")
found.genotype              # found shows its cells in a notebook
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.api import options
from pcdarts_tune.api.entering import public
from pcdarts_tune.api.space import Settings, resolve_space, setting_texts
from pcdarts_tune.api.where import Files, find_where, path_or_none
from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.datasets.load import load_images
from pcdarts_tune.drawing.cells import cell_svg
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_json
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import say
from pcdarts_tune.spaces import space as models
from pcdarts_tune.sweeps.seeds import SeedsFound, SeedsWork, search_seeds
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.training.published import PublishedWeights
from pcdarts_tune.training.searching import Found, Searching
from pcdarts_tune.training.searching import search as search_once

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Searched:
    """What a search came to.

    Attributes:
        genotype: of several seeds, that of the highest score.
        found: of one search: epochs, seconds, metrics of the last epoch, MLflow run.
        seeds: of several: how each ended, `score` (mean, deviation, n), `best`.
    """

    genotype: AnyGenotype
    found: Found | None = None
    seeds: SeedsFound | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `search --json` prints."""
        if self.seeds is not None:
            return self.seeds.to_dict()
        assert self.found is not None, "one search or several"
        return self.found.to_dict() | ({} if self.found.run_id is None else {"run_id": self.found.run_id})

    def _repr_svg_(self) -> str:
        return cell_svg(self.genotype)


def check_tracking(
    seeds: int | None, track: bool, weights: Path | None = None, derive_only: bool = False
) -> None:
    """Refuse to record several searches as one, and what does not go with weights that are brought in.

    Raises:
        UserError: that is what is asked for.
    """
    if seeds is not None and track:
        raise UserError(
            "--track records one search",
            hint="`sweep --trials 1 --repeats N` records several with their evaluations",
        )
    if weights is not None and (track or seeds is not None):
        with_what = "--track records what the space and a seed give again" if track else "--seeds begins anew"
        raise UserError(
            f"--from begins one search with weights from elsewhere, and {with_what}",
            hint=f"leave {'--track' if track else '--seeds'} out",
        )
    if derive_only and weights is None:
        raise UserError(
            "--derive-only derives the cell of weights that were trained elsewhere",
            hint="--from FILE brings them in",
        )


def search_space(
    space: models.Space,
    where: Where,
    *,
    data: Path | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    output: Path | None = None,
    track: bool = False,
    weights: Path | None = None,
    derive_only: bool = False,
    device: str = "auto",
    threads: int | None = None,
    execution: Execution = DEFAULTS,
    quiet: bool = False,
) -> Searched:
    """Search with the space's own values for what it would tune, and write the genotype.

    Args:
        seeds: search with so many seeds, from `seed` on, and evaluate each cell.
        output: the genotype's file. An interrupted search goes on from FILE.checkpoint, several from the folder FILE.seeds.
        weights, derive_only: begin with these, see `training.published`, and derive their cell without searching.

    Raises:
        UserError: images that cannot be read, a checkpoint of something else, no such device.
        WorkFailed: of several seeds none came to a score.
        NonFiniteLoss: the search diverges.
    """
    check_tracking(seeds, track, weights, derive_only)
    brought = None if weights is None else PublishedWeights.read(weights)
    torch_device = choose_device(device, threads)
    plugins.keep(plugin_store(where.home))
    stages = ("search",) if seeds is None else ("search", "evaluation")
    images = load_images(space, data, where.home, stages, quiet=quiet)
    work = Searching(space, images, space.seed if seed is None else seed, execution, brought, derive_only)
    if seeds is not None:
        return _search_seeds(work, seeds, output, torch_device, quiet=quiet)
    checkpoint = None if output is None else output.with_name(f"{output.name}.checkpoint").absolute()
    tracked = Tracked.at(where, space.name, f"{space.name} search, seed {work.seed}") if track else None
    found = search_once(work, checkpoint=checkpoint, device=torch_device, tracked=tracked, quiet=quiet)
    if output is not None and checkpoint is not None:
        write_json(output, found.genotype.to_dict())
        if found.undelivered is None:
            checkpoint.unlink(missing_ok=True)
    return Searched(found.genotype, found)


def _search_seeds(
    work: Searching, seeds: int, output: Path | None, device: torch.device, *, quiet: bool
) -> Searched:
    numbers = tuple(range(work.seed, work.seed + seeds))
    several = SeedsWork(work.space, work.images, numbers, work.execution)
    with TemporaryDirectory() as passing:
        place = Path(passing) if output is None else output.with_name(f"{output.name}.seeds").absolute()
        found = search_seeds(several, place, device=device, quiet=quiet)
    best = found.best
    if output is not None:
        write_json(output, best.genotype)
    return Searched(read_genotype(best.genotype), seeds=found)


@public
def search(
    space: str | Path | models.Space = "cifar10_paper",
    *,
    data: str | Path | None = None,
    set: Settings = (),
    seed: int | None = None,
    seeds: int | None = None,
    output: str | Path | None = None,
    track: bool = False,
    weights: str | Path | None = None,
    derive_only: bool = False,
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
    compile: bool | None = None,
    graphs: bool | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    plugin: Files = (),
    quiet: bool = False,
) -> Searched:
    """Search once in this process, with the space's own values for what it would tune.

    Args:
        space: a name, a YAML file, or a `Space`.
        data, set, seed: see `sweep`.
        seeds: search with so many seeds, and evaluate each derived cell as a trial of a sweep is; the genotype is the best.
        output: write the genotype here; what was interrupted goes on from files beside it.
        track: record the search in MLflow.
        weights: begin with a supernet's weights from this file, `--from` of the command; with `derive_only` derive their cell
            without searching.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        threads: of the CPU; PyTorch's number when it is left out.

    Raises:
        UserError: something that is asked for is wrong.
        NonFiniteLoss: the search diverges.
    """
    options.at_least(0, seed=seed)
    options.at_least(1, seeds=seeds, threads=threads)
    where = find_where(home, tracking_uri, plugin=plugin)
    found = search_space(
        resolve_space(space, setting_texts(set)),
        where,
        data=path_or_none(data),
        seed=seed,
        seeds=seeds,
        output=None if output is None else Path(output),
        track=track,
        threads=threads,
        weights=path_or_none(weights),
        derive_only=derive_only,
        device=options.one_of("device", device, options.DEVICES),
        execution=Execution(**options.execution_settings(precision, compile, graphs)),
        quiet=quiet,
    )
    if found.found is not None and found.found.undelivered is not None:
        # the genotype is not to be lost with it
        say(f"Error: {found.found.undelivered}", always=True)
    return found
