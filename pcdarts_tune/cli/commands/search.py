"""`pcdarts-tune search`: one PC-DARTS search in this process, no Ray needed."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from pcdarts_tune import plugins
from pcdarts_tune.cli import options
from pcdarts_tune.cli.option_groups import execution_options
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import print_table, say, verbosity
from pcdarts_tune.tasks import Execution

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.sweeps.seeds import SeedsWork


@click.command("search")
@options.space("cifar10_paper")
@options.data
@options.settings
@options.seed
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Search with N seeds, from --seed on, and evaluate each derived cell as a trial of a sweep is.",
)
@options.output_file(
    "Write the genotype here. An interrupted search goes on from FILE.checkpoint, with --seeds from the folder FILE.seeds."
)
@click.option(
    "--track", is_flag=True, help="Record the search in MLflow, so that it can be shown and reproduced."
)
@options.device
@execution_options()
@options.store
@options.output
def command(
    space: str,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    seeds: int | None,
    output: Path | None,
    track: bool,
    device: str,
    execution: Execution,
    where: Where,
    as_json: bool,
) -> None:
    """Search once, with the space's own values for what it would tune, and print the genotype as JSON.

    With --json, one object: {"genotype", "genotype_hash", "epochs", "seconds", "metrics"}, and "run_id" with --track.

    With --seeds, a line for each seed, and mean, standard deviation and number of what the cells score; the genotype is the
    best one. With --json, one object: {"seeds", "score": {"mean", "std", "interval", "n", "values"},
    "genotype", "genotype_hash", "runs": [{"seed", "state", "objective", "genotype", ...}]}. FILE.seeds stays, so that more
    --seeds add to them.

    \b
    Example:
      pcdarts-tune search --space quickstart --set search.epochs=3 -o genotype.json
      pcdarts-tune retrain genotype.json --space quickstart -o my-model
      pcdarts-tune search --space quickstart --seeds 5 -o best.json
    """
    from pcdarts_tune.datasets.load import load_images
    from pcdarts_tune.files import write_json
    from pcdarts_tune.spaces.load import read_space
    from pcdarts_tune.tracking.run import Tracked
    from pcdarts_tune.training.searching import Searching, search

    resolved = read_space(space, settings)
    torch_device = choose_device(device)
    if seeds is not None and track:
        raise click.UsageError(
            "--track records one search; `sweep --trials 1 --repeats N` records several with their evaluations"
        )
    stages = ("search",) if seeds is None else ("search", "evaluation")
    plugins.keep(plugin_store(where.home))
    images = load_images(resolved, data, where.home, stages, quiet=verbosity() < 0)
    if seeds is not None:
        from pcdarts_tune.sweeps.seeds import SeedsWork

        first = resolved.seed if seed is None else seed
        several = SeedsWork(resolved, images, tuple(range(first, first + seeds)), execution)
        _search_seeds(several, output, torch_device, space, as_json=as_json)
        return
    work = Searching(resolved, images, resolved.seed if seed is None else seed, execution)
    checkpoint = None if output is None else output.with_name(f"{output.name}.checkpoint").absolute()
    tracked = None
    if track:
        tracked = Tracked.at(where, resolved.name, f"{resolved.name} search, seed {work.seed}")
    found = search(work, checkpoint=checkpoint, device=torch_device, tracked=tracked, quiet=verbosity() < 0)
    if output is not None and checkpoint is not None:
        write_json(output, found.genotype.to_dict())
        if found.undelivered is None:
            checkpoint.unlink(missing_ok=True)
        say(f"wrote {output}; next: pcdarts-tune retrain {output} --space {space} -o my-model")
    else:
        say("next: save it with -o genotype.json, then pcdarts-tune retrain genotype.json -o my-model")
    result = found.to_dict() | ({"run_id": found.run_id} if track else {})
    click.echo(json.dumps(result if as_json else found.genotype.to_dict()))
    if found.undelivered is not None:
        if checkpoint is None:
            hint = "the genotype is printed; with -o FILE the epochs would have been kept, too"
            found.undelivered.hint = hint
        raise found.undelivered


def _search_seeds(
    work: SeedsWork, output: Path | None, device: torch.device, space: str, *, as_json: bool
) -> None:
    from pcdarts_tune.files import write_json
    from pcdarts_tune.spaces import naming
    from pcdarts_tune.spaces.scores import score_title, scored_on
    from pcdarts_tune.sweeps.seeds import search_seeds

    with TemporaryDirectory() as passing:
        place = Path(passing) if output is None else output.with_name(f"{output.name}.seeds").absolute()
        found = search_seeds(work, place, device=device, quiet=verbosity() < 0)
    best = found.best
    if output is not None:
        write_json(output, best.genotype)
        say(f"wrote {output}; next: pcdarts-tune retrain {output} --space {space} -o my-model")
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    rows = [
        [
            *("*" if each is best else "", str(seed)),
            "" if each.objective is None else f"{each.objective:.4f}",
            *(naming.short_count(each.params), naming.short_count(each.macs)),
            *((each.genotype_hash or "")[:8], ": ".join(filter(None, (each.state, each.reason)))),
        ]
        for seed, each in zip(found.seeds, found.outcomes, strict=True)
    ]
    score, images = score_title(work.space.objective), scored_on(work.space.objective)
    print_table(["", "seed", score, "params", "MACs", "genotype", "outcome"], rows, left=1)
    click.echo(f"{score} of the derived cells on {images}: {found.score}")
