"""`pcdarts-tune search`: one PC-DARTS search in this process, no Ray needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import options
from pcdarts_tune.cli.option_groups import execution_options
from pcdarts_tune.home import Where
from pcdarts_tune.say import print_table, say, verbosity
from pcdarts_tune.tasks import Execution

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.seeds import SeedsFound


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
@click.option(
    "--from",
    "--weights",
    "weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Begin with a supernet's weights by their published names, as torch.save writes them; no code in the file is run.",
)
@click.option(
    "--derive-only", is_flag=True, help="With --from: derive the cell of these weights without searching."
)
@options.device
@options.threads
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
    weights: Path | None,
    derive_only: bool,
    device: str,
    threads: int | None,
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
      pcdarts-tune search --from weights.pt --derive-only -o genotype.json
    """
    from pcdarts_tune.api.searching import check_tracking, search_space
    from pcdarts_tune.api.space import resolve_space

    resolved = resolve_space(space, settings)
    with options.wrong_usage():
        check_tracking(seeds, track, weights, derive_only)
    found = search_space(
        resolved,
        where,
        data=data,
        seed=seed,
        seeds=seeds,
        output=output,
        track=track,
        weights=weights,
        derive_only=derive_only,
        device=device,
        threads=threads,
        execution=execution,
        quiet=verbosity() < 0,
    )
    if output is not None:
        say(f"wrote {output}; next: pcdarts-tune retrain {output} --space {space} -o my-model")
    elif seeds is None:
        say("next: save it with -o genotype.json, then pcdarts-tune retrain genotype.json -o my-model")
    if found.seeds is not None and not as_json:
        _print_seeds(found.seeds, resolved.objective)
        return
    click.echo(json.dumps(found.to_dict() if as_json else found.genotype.to_dict()))
    if found.found is not None and (lacking := found.found.undelivered) is not None:
        if output is None:
            lacking.hint = "the genotype is printed; with -o FILE the epochs would have been kept, too"
        raise lacking


def _print_seeds(found: SeedsFound, objective: str) -> None:
    from pcdarts_tune.spaces import naming
    from pcdarts_tune.spaces.scores import score_title, scored_on

    best = found.best
    rows = [
        [
            *("*" if each is best else "", str(seed)),
            "" if each.objective is None else f"{each.objective:.4f}",
            *(naming.short_count(each.params), naming.short_count(each.macs)),
            *((each.genotype_hash or "")[:8], ": ".join(filter(None, (each.state, each.reason)))),
        ]
        for seed, each in zip(found.seeds, found.outcomes, strict=True)
    ]
    score, images = score_title(objective), scored_on(objective)
    print_table(["", "seed", score, "params", "MACs", "genotype", "outcome"], rows, left=1)
    click.echo(f"{score} of the derived cells on {images}: {found.score}")
