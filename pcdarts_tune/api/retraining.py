"""Training a genotype from scratch, once or with several seeds and beside baselines.

done = retrain("first:3", output="trained")
done.test_accuracy; done.model().predict([Path("digit.png")])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune import plugins
from pcdarts_tune.api import options
from pcdarts_tune.api.cells import GenotypeLike, find_named
from pcdarts_tune.api.entering import public
from pcdarts_tune.api.inheriting import retraining_space
from pcdarts_tune.api.space import Settings, setting_texts
from pcdarts_tune.api.where import Files, find_where, path_or_none
from pcdarts_tune.datasets.load import load_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.machine import choose_device
from pcdarts_tune.models.model import LoadedModel, load_model
from pcdarts_tune.promotion.register import Registered, register_model
from pcdarts_tune.promotion.seeds import FolderPlaces, SeedsResult, compare_seeds, read_baselines
from pcdarts_tune.promotion.trainings import Trainings
from pcdarts_tune.spaces import space as models
from pcdarts_tune.sweeps.find import Found, GenotypeSource
from pcdarts_tune.tasks import DEFAULTS, Execution, Workers
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.retraining import retrain as retrain_once
from pcdarts_tune.training.work import Retrained, Retraining


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        folder: of the model, or of several, as it was given.
        done: of one training: accuracies, epochs, seconds, MLflow run.
        registered: the model's version, where it was registered.
        compared: of several trainings: `own` (mean and spread), `results` (baselines too), `verdicts`.
    """

    folder: Path
    done: Retrained | None = None
    registered: Registered | None = None
    compared: SeedsResult | None = None

    @property
    def test_accuracy(self) -> float | None:
        """On the test split; of several seeds the mean."""
        if self.compared is not None:
            return self.compared.own.test.mean
        return None if self.done is None else self.done.test_accuracy

    def model(self, device: str = "auto") -> LoadedModel:
        """The trained network, ready to predict; of several, that of the best seed."""
        folder = self.folder
        if self.compared is not None:
            folder /= f"seed-{self.compared.own.best().seed}"
        return load_model(folder, choose_device(device))

    def to_dict(self) -> dict[str, Any]:
        """What `retrain --json` prints."""
        if self.compared is not None:
            return {"folder": str(self.folder), **self.compared.to_dict()}
        assert self.done is not None, "one training or several"
        version = {} if self.registered is None else self.registered.to_dict()
        return {**self.done.to_dict(), "folder": str(self.folder), **version}


def check_registering(register: str | None, track: bool, *, several: bool = False) -> None:
    """Refuse to register what has no MLflow run, or is not one model.

    Raises:
        UserError: that is what is asked for.
    """
    if register is not None and several:
        raise UserError(
            "--register takes one training", hint="`promote` chooses among several and registers the best"
        )
    if register is not None and not track:
        raise UserError("--register needs the training's MLflow run", hint="leave --no-track out")


def retrain_named(
    named: Found | GenotypeSource,
    where: Where,
    *,
    output: Path,
    space: str | Path | models.Space | None = None,
    data: Path | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    workers: Workers | None = None,
    seeds: int = 1,
    baselines: Sequence[str] = (),
    register: str | None = None,
    track: bool = True,
    execution: Execution = DEFAULTS,
    quiet: bool = False,
) -> Trained:
    """Train what was named with a space's retraining recipe, read the test split once, and write the model; `output` holds
    several where there are `seeds` or `baselines`.

    Args:
        space: None for the one that it was made with.

    Raises:
        UserError: something that is asked for is wrong, or the folder holds something else.
        NonFiniteLoss: the training diverges.
    """
    several, workers = seeds > 1 or bool(baselines), workers or Workers()
    check_registering(register, track, several=several)
    source = named.genotype() if isinstance(named, Found) else named
    resolved, data = retraining_space(space, named, data, settings)
    workers.check(resolved.retrain.batch_size)
    wanted = read_baselines(baselines, where)
    device = choose_device(workers.device, workers.threads)
    plugins.keep(plugin_store(where.home))
    images = load_images(resolved, data, where.home, ("retrain",), quiet=quiet)
    seed = resolved.seed if seed is None else seed
    tracked = _tracked(where, resolved, source) if track else None
    if several:
        places, numbers = FolderPlaces(output.absolute(), tracked), tuple(range(seed, seed + seeds))
        how: dict[str, Any] = {"execution": execution, "workers": workers, "quiet": quiet}
        trainings = Trainings(resolved, images, numbers, device, places, **how)
        return Trained(output, compared=compare_seeds(trainings, places, source, *wanted))
    work = Retraining(resolved, source.genotype, images, seed, execution, groups=workers.parts)
    origin = {"genotype": source.origin}
    done = retrain_once(
        work, output.absolute(), device=device, tracked=tracked, origin=origin, quiet=quiet, workers=workers
    )
    if tracked is not None and done.run_id is not None:
        tracked.store.tag_related(source.run_id, {Tag.RETRAINING_RUN: done.run_id})
    return Trained(output, done, register_training(register, tracked, work, done))


def _tracked(where: Where, space: models.Space, source: GenotypeSource) -> Tracked:
    tags = {Tag.GENOTYPE_ORIGIN: source.origin}
    if source.run_id is not None:
        tags[Tag.TRIAL_RUN] = source.run_id
    return Tracked.at(where, space.name, f"{source.origin} retraining", tags)


def register_training(
    name: str | None, tracked: Tracked | None, work: Retraining, done: Retrained
) -> Registered | None:
    """The version that a training becomes of a registered model; None without a name."""
    if name is None or tracked is None:
        return None
    return register_model(tracked.store, name, work, done)


@public
def retrain(
    genotype: GenotypeLike,
    *,
    output: str | Path,
    space: str | Path | models.Space | None = None,
    data: str | Path | None = None,
    set: Settings = (),
    seed: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    groups: int | None = None,
    address: str | None = None,
    threads: int | None = None,
    seeds: int = 1,
    baseline: str | Iterable[str] = (),
    register: str | None = None,
    track: bool = True,
    precision: str | None = None,
    compile: bool | None = None,
    graphs: bool | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    plugin: Files = (),
    quiet: bool = False,
) -> Trained:
    """Train a genotype from scratch with the retraining recipe of a space, read the test split once, and write the model.

    Args:
        genotype: what `pcdarts-tune retrain` takes, a `Genotype`, a trial, or a mapping as in genotype.json.
        output: the model's folder; what was interrupted goes on from FOLDER.checkpoint.
        space, data: those that it was made with, unless they are given; else `cifar10`.
        set, seed: see `sweep`.
        seeds, baseline: train with so many seeds, and beside "default", "random:2" or a genotype; `output` then holds a
            model for each.
        register: name in the model registry; the new version becomes `champion` unless the present one is better.
        track: record it in MLflow.
        device, workers, groups, address, threads: who trains, see docs/retraining.md.

    Raises:
        UserError: something that is asked for is wrong, or the folder holds something else.
        NonFiniteLoss: the training diverges.
    """
    options.at_least(0, seed=seed)
    options.at_least(1, seeds=seeds)
    where = find_where(home, tracking_uri, plugin=plugin)
    return retrain_named(
        find_named(genotype, where),
        where,
        output=Path(output),
        space=space,
        data=path_or_none(data),
        settings=setting_texts(set),
        seed=seed,
        workers=options.worker_settings(device, workers, groups, address, threads=threads),
        seeds=seeds,
        baselines=options.texts(baseline),
        register=options.parsed("register", options.check_model_name, register),
        track=track,
        execution=Execution(**options.execution_settings(precision, compile, graphs)),
        quiet=quiet,
    )
