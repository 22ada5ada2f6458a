"""`pcdarts-tune search`: one PC-DARTS search in this process, no Ray needed."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import options
from pcdarts_tune.cli.option_groups import execution_options
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import say, verbosity
from pcdarts_tune.tasks import Execution


@click.command("search")
@options.space("cifar10_paper")
@options.data
@options.settings
@options.seed
@options.output_file("Write the genotype here. An interrupted search goes on from FILE.checkpoint.")
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
    output: Path | None,
    track: bool,
    device: str,
    execution: Execution,
    where: Where,
    as_json: bool,
) -> None:
    """Search once, with the space's own values for what it would tune, and print the genotype as JSON.

    With --json, one object: {"genotype", "genotype_hash", "epochs", "seconds", "metrics"}, and "run_id" with --track.

    \b
    Example:
      pcdarts-tune search --space quickstart --set search.epochs=3 -o genotype.json
      pcdarts-tune retrain genotype.json --space quickstart -o my-model
    """
    from pcdarts_tune.datasets.load import load_images
    from pcdarts_tune.files import write_json
    from pcdarts_tune.spaces.load import read_space
    from pcdarts_tune.tracking.run import Tracked
    from pcdarts_tune.training.searching import Searching, search

    resolved = read_space(space, settings)
    torch_device = choose_device(device)
    images = load_images(resolved, data, where.home, ("search",), quiet=verbosity() < 0)
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
