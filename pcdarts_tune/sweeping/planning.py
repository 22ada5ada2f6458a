"""`sweep --plan`: what a sweep would be, said before anything is written or started."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.sweeping.launch import about_images
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.sweep import SweepSettings
    from pcdarts_tune.sweeping.runner import RunSettings


def show_plan(
    name: str,
    space: Space,
    settings: SweepSettings,
    images: DataSet,
    *,
    trials: int,
    run: RunSettings,
    as_json: bool,
) -> int:
    """Say what a sweep would be: settings, first proposals, resources. Nothing is written, no Ray is started."""
    import optuna

    from pcdarts_tune.recording.naming import ordered_keys
    from pcdarts_tune.spaces import describe
    from pcdarts_tune.study import SweepStudy
    from pcdarts_tune.sweep import study_settings
    from pcdarts_tune.sweeping.resources import share_resources, this_machine

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = SweepStudy(optuna.create_study(direction="maximize"), **study_settings(space, settings))
    proposals = [asdict(study.ask(trials)) for _ in range(min(trials, 5))]
    share = None
    if run.address is None:
        share = share_resources(this_machine(), trials=trials, cpus=run.cpus, gpus=run.gpus, most=run.most)
    if as_json:
        plan: dict[str, Any] = {
            "sweep": name,
            "trials": trials,
            "settings": asdict(settings),
            "space": space.model_dump(mode="json"),
            "data": about_images(images),
            "first_proposals": proposals,
            "resources": None if share is None else asdict(share),
        }
        click.echo(json.dumps(plan))
        return 0
    click.echo(f"sweep {name}: {trials} trials, seed {settings.seed}, sampler {settings.sampler}")
    click.echo(describe(space))
    sizes = "x".join(map(str, images.image_size))
    click.echo(
        f"data: {images.name}, {len(images.train_labels)} training images {sizes}, {images.num_classes} classes"
    )
    click.echo(f"trials run {share if share is not None else f'on the cluster at {run.address}'}")
    click.echo("first proposals:")
    for proposal in proposals:
        values = proposal["hyperparameters"]
        shown = " ".join(f"{key}={values[key]:.4g}" if isinstance(values[key], float) else f"{key}={values[key]}"
                         for key in ordered_keys(values))  # fmt: skip
        click.echo(f"  trial {proposal['number']}: {shown or 'the space as it is'}")
    say("nothing was written; without --plan it runs")
    return 0
