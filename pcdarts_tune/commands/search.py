"""`pcdarts-tune search`: one PC-DARTS search in this process, no Ray needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.terminal.options import (
    choose_device,
    data_option,
    device_option,
    home_option,
    json_option,
    say,
    seed_option,
    set_option,
    space_option,
    verbosity,
    verbosity_options,
)

if TYPE_CHECKING:
    from pcdarts_tune.core.search import SearchEpoch


@click.command("search", short_help="One PC-DARTS search in this process.")
@space_option("cifar10_paper")
@data_option
@set_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the genotype here. An interrupted search goes on from FILE.checkpoint.",
)
@device_option
@home_option
@json_option
@verbosity_options
def command(
    space: str,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    output: Path | None,
    device: str,
    home: Path,
    as_json: bool,
) -> None:
    """Search once, with the space's own values for what it would tune, and print the genotype as JSON.

    With --json, one object: {"genotype", "genotype_hash", "epochs", "seconds", "metrics"}.

    \b
    Example:
      pcdarts-tune search --space quickstart --set search.epochs=3 -o genotype.json
      pcdarts-tune retrain genotype.json --space quickstart -o my-model
    """
    from pcdarts_tune.build import build_search
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.home import write_json
    from pcdarts_tune.resumable import Resumable, digest
    from pcdarts_tune.sources import load_images, read_space
    from pcdarts_tune.terminal.progress import Progress

    resolved = read_space(space, settings)
    seed = resolved.seed if seed is None else seed
    where = choose_device(device)
    images = load_images(resolved, data, home, quiet=verbosity() < 0)
    values = resolved.model_dump(mode="json")
    recipe = digest(
        {"seed": seed, "data": images.digest} | {key: values[key] for key in ("data", "supernet", "search")}
    )
    checkpoint = None if output is None else output.with_name(f"{output.name}.checkpoint").absolute()
    work = Resumable(build_search(resolved, images, device=where, seed=seed), checkpoint, recipe, _record)
    total = resolved.search.epochs
    with Progress("search", total, start=len(work.history), quiet=verbosity() < 0) as progress:
        for entry in work:
            metrics = entry["metrics"]
            note = f"supernet accuracy {metrics['search/acc_train']:.3f}, {entry['skips']} skip connections"
            progress.update(len(work.history), note)

    last = work.history[-1]
    genotype = Genotype.from_dict(last["genotype"])
    if output is not None:
        write_json(output, genotype.to_dict())
        work.finish()
        say(f"wrote {output}; next: pcdarts-tune retrain {output} --space {space} -o my-model")
    else:
        say("next: save it with -o genotype.json, then pcdarts-tune retrain genotype.json -o my-model")
    result = {
        "genotype": genotype.to_dict(),
        "genotype_hash": genotype.canonical_hash(),
        "epochs": len(work.history),
        "seconds": sum(entry["seconds"] for entry in work.history),
        "metrics": last["metrics"],
    }
    click.echo(json.dumps(result if as_json else genotype.to_dict()))


def _record(epoch: SearchEpoch) -> dict[str, Any]:
    return {
        "genotype": epoch.genotype.to_dict(),
        "metrics": epoch.metrics(),
        "skips": epoch.skip_connections,
        "seconds": epoch.seconds,
    }
