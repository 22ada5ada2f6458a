"""`pcdarts-tune finetune`: train a model further on another data set."""

from __future__ import annotations

from pathlib import Path

import click

from pcdarts_tune import plugins
from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, worker_options
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import say, verbosity
from pcdarts_tune.tasks import Execution, Workers
from pcdarts_tune.tracking.tags import Tag


@click.command("finetune")
@click.argument("model", shell_complete=completing.models)
@options.space("cifar10", "that of MODEL")
@options.data
@options.settings
@options.seed
@click.option("--freeze", is_flag=True, help="Train the new classifier alone; all other weights stay.")
@options.output_folder("Folder for the new model. An interrupted training goes on from FOLDER.checkpoint.")
@worker_options
@options.register
@options.track
@execution_options()
@options.store
@options.output
def command(
    model: str,
    space: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    freeze: bool,
    output: Path,
    workers: Workers,
    register: str | None,
    track: bool,
    execution: Execution,
    where: Where,
    as_json: bool,
) -> None:
    """Give MODEL a new classifier, train it on another data set, evaluate it once on the test split, and write the new
    model.

    MODEL is a registered model (`name` is its champion; `name@alias` and `name/version` choose another), a folder that
    `retrain` or `finetune` wrote, an exported safetensors file, or the run id (or its first digits) of a training that was
    registered. The recipe is that of the model's own training, or with --space that space's for retraining, with a tenth
    of its epochs and learning rate (a model that was fine-tuned: the recipe that did it); --set retrain.epochs=… and the like
    say otherwise. Images are brought to the size that the model takes unless
    data.image_size says otherwise, and normalised with the new data set's own constants. They must have as many channels.

    With --json, what `retrain --json` prints, and "finetuned_from".

    \b
    Example:
      pcdarts-tune finetune flowers@champion --data my-flowers -o my-flowers-model --register my-flowers
      pcdarts-tune finetune my-model --space quickstart --freeze --set retrain.epochs=5 -o other
    """
    from pcdarts_tune.api.inheriting import finetuning_base
    from pcdarts_tune.api.retraining import Trained, check_registering, register_training
    from pcdarts_tune.cli.results import print_training
    from pcdarts_tune.datasets.load import load_images
    from pcdarts_tune.sweeps.find import Finder
    from pcdarts_tune.tracking.run import Tracked
    from pcdarts_tune.training.finetuning import Initial, check_channels, finetuning_space, in_words
    from pcdarts_tune.training.retraining import retrain
    from pcdarts_tune.training.work import Retraining

    with options.wrong_usage():
        check_registering(register, track)
    found = Finder(where).find(model, "model")
    initial, loaded = Initial.read(*found.model(), freeze=freeze)
    base, data, share = finetuning_base(space, found, data)
    resolved = finetuning_space(base, loaded, settings, freeze=freeze, share=share)
    workers.check(resolved.retrain.batch_size)
    torch_device = choose_device(workers.device, workers.threads)
    quiet = verbosity() < 0
    plugins.keep(plugin_store(where.home))
    images = load_images(resolved, data, where.home, ("retrain",), quiet=quiet)
    check_channels(loaded, images)
    say(in_words(loaded, resolved, images, freeze=freeze))
    seed = resolved.seed if seed is None else seed
    work = Retraining(resolved, loaded.genotype, images, seed, execution, workers.parts, initial)
    tracked, origin = None, {"finetuned_from": initial.to_dict()}
    if track:
        tags = {Tag.KIND: "finetuning", **initial.tags()}
        short = Path(initial.name).name if Path(initial.name).is_absolute() else initial.name
        tracked = Tracked.at(where, resolved.name, f"{short} fine-tuning on {images.name}", tags)
    done = retrain(
        work,
        output.absolute(),
        device=torch_device,
        tracked=tracked,
        origin=origin,
        quiet=quiet,
        workers=workers,
    )
    trained = Trained(output, done, register_training(register, tracked, work, done))
    printed = {**trained.to_dict(), **origin} if as_json else None
    print_training(done, output, where, trained.registered, printed)
