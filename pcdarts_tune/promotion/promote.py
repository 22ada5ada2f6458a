"""From a sweep to a registered model: choose, retrain, compare, test once, register, move `champion`.

    promote(where, "first", device=device).to_dict()    # {"model": "first", "version": 1, "test_accuracy": 0.98, …}

With several candidates, seeds or a baseline, all are trained with the same recipe; the candidate with the highest mean
held-out accuracy is chosen, and of its trainings the best on held-out images is the model: the test split is read for it
alone. Baselines are never registered. An interrupted promotion goes on and a finished one is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.calibration.promoted import Agreement, short_against_full
from pcdarts_tune.core.steps.meter import NonFiniteLoss
from pcdarts_tune.datasets import DataSet, split_dataset
from pcdarts_tune.datasets.load import load_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.promotion.candidates import (
    Baselines,
    Candidate,
    choose_candidates,
    draw_candidates,
    find_default_trial,
    parse_baselines,
    unify_cells,
)
from pcdarts_tune.promotion.comparison import CandidateResult, TrainingResult, choose, describe_differences
from pcdarts_tune.promotion.promotion_run import PromotionRun, lineage_tags
from pcdarts_tune.promotion.register import Registered, register_model
from pcdarts_tune.promotion.trainings import SweepPlaces, Trainings
from pcdarts_tune.say import say
from pcdarts_tune.spaces.scores import score_in_full
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.noise import read_noise
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tasks import Workers
from pcdarts_tune.tracking.reach import require_store
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.journal import digest
from pcdarts_tune.training.work import Retrained


@dataclass(frozen=True)
class Promoted:
    """The version that a promotion registered, and what it was chosen from.

    Attributes:
        agreement: how well the sweep's scores rank the cells that its promotions trained with this recipe; None with fewer
            than two.
    """

    registered: Registered
    chosen: CandidateResult
    training: TrainingResult
    results: tuple[CandidateResult, ...]
    verdicts: tuple[str, ...]
    promotion_run: str | None
    agreement: Agreement | None = None

    @property
    def done(self) -> Retrained:
        """The training of the model."""
        assert self.training.done is not None, "a training that diverged is not chosen"
        return self.training.done

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys first; more follow."""
        registered, done = self.registered, self.done
        return {
            "model": registered.model,
            "version": registered.version,
            "test_accuracy": done.test_accuracy,
            "run_id": done.run_id,
            "champion": registered.champion,
            "validation_accuracy": done.validation_accuracy,
            "trial": self.chosen.candidate.trial,
            "seed": self.training.seed,
            "genotype_hash": self.chosen.candidate.genotype.canonical_hash(),
            "promotion_run": self.promotion_run,
            "comparison": [result.to_dict() for result in self.results],
            "verdicts": list(self.verdicts),
            "agreement": None if self.agreement is None else self.agreement.to_dict(),
        }


def promote(
    where: Where,
    sweep_name: str,
    *,
    device: torch.device,
    trial: int | None = None,
    run_id: str | None = None,
    candidates: int = 1,
    seeds: int = 1,
    baselines: Iterable[str] = (),
    test_all: bool = False,
    model: str | None = None,
    force: bool = False,
    data: Path | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    execution: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    quiet: bool = False,
) -> Promoted:
    """Promote a sweep's best genotype; goes on where an earlier promotion with the same options stopped.

    Args:
        trial, run_id: which trial; the best one when both are None.
        candidates, seeds: how many of the best distinct genotypes are compared, and trainings of each.
        baselines: `default`, `random` and `random:N`.
        test_all: after the choice, read the test split for every training of the chosen genotype and the baselines.
        model: name to register under; None takes the sweep's.
        force: move the alias even to a worse model, and take other images than the sweep's.
        settings: `KEY=VALUE` changes of the space's retraining recipe.
        seed: of the first training, None for the sweep's; further ones count up from it.
        execution: fields of `Execution` that replace the sweep's.
        workers: who trains. Either goes on with what the other began.

    Raises:
        UserError: no such sweep or trial, images that cannot be read or are not the sweep's, or a comparison of
            candidates where nothing is held out to compare them on.
        WorkFailed: no trial is complete.
        NonFiniteLoss: the retraining diverges; of several, all of them.
    """
    compared, workers = parse_baselines(baselines), workers or Workers()
    sweep = open_sweep(where, sweep_name)
    compared.check(sweep.space)
    space = retraining_space(sweep.space, settings)
    workers.check(space.retrain.batch_size)
    single = candidates == 1 and seeds == 1 and not compared
    chosen = choose_candidates(sweep, candidates, trial=trial, run_id=run_id, quiet=quiet)
    images = _load_images(sweep, space, data, where, force=force, quiet=quiet)
    if not single:
        _require_held_out(space, images)
    require_store(sweep.store(), sweep.experiment)
    first = sweep.settings.seed if seed is None else seed
    places = SweepPlaces(sweep, sweep.store(), None, seeds > 1)
    trainings = Trainings(
        space,
        images,
        tuple(range(first, first + seeds)),
        device,
        places,
        execution=replace(sweep.settings.execution, **(execution or {})),
        workers=workers,
        quiet=quiet,
    )
    model = model or sweep_name
    if single:
        if not quiet and trial is None and run_id is None:
            _propose_candidates(sweep)
        if not quiet:
            say(f"promoting {_in_words(sweep, chosen[0])}; epochs: {space.retrain.epochs}")
        return _conclude(trainings, places, trainings.train(chosen), model, test_all=test_all, force=force)
    what = {
        "trained": [trainings.work(each, number).recipe for each in chosen for number in trainings.seeds],
        "baselines": vars(compared),
    }
    others = ["default"] * compared.default + [f"{compared.random} random"] * (compared.random > 0)
    named = ", ".join([_count(len(chosen), "candidate"), *others, _count(seeds, "seed")])
    title = f"{sweep_name} promotion, {named}"
    run = PromotionRun.open(
        places.store, sweep, digest(what), name=title, space=space, images=images, seed=first
    )
    places = replace(places, run=run)
    trainings = replace(trainings, places=places)
    try:
        together = unify_cells([*chosen, *_find_baselines(trainings, places, compared)])
        if not quiet:
            for each in chosen:
                say(f"candidate: {_in_words(sweep, each)}")
            cells = len({each.genotype.canonical_hash() for each in together})
            named = "" if cells == len(together) else f" under {len(together)} names"
            each_of = (
                f"{_count(seeds, 'seed')} each, {_count(space.retrain.epochs, 'epoch')}, one after another"
            )
            say(f"{_count(cells, 'genotype')}{named}, {each_of}")
        results = trainings.train(together)
        for done in (done for result in results for done in result.done):
            assert done.run_id is not None, "a promotion is always tracked"
            run.adopt(done.run_id)
        promoted = _conclude(trainings, places, results, model, test_all=test_all, force=force)
        done, registered = promoted.done, promoted.registered
        note = (
            f"Promotion of sweep `{sweep.name}`: {promoted.chosen.name} chosen on held-out images, "
            f"{promoted.chosen.held_out}; test accuracy **{done.test_accuracy:.4f}** of the model of seed "
            f"{promoted.training.seed}, {registered.model} version {registered.version}."
        )
        name = f"{title}: acc={done.test_accuracy:.4f}"
        run.finish(
            promoted.chosen, promoted.results, promoted.verdicts, note, name, agreement=promoted.agreement
        )
        return promoted
    except BaseException as error:
        run.fail(error)
        raise


def retraining_space(space: Space, settings: Sequence[str]) -> Space:
    """The sweep's space with `--set retrain.KEY=VALUE`.

    Raises:
        UserError: for a key of another section: what the sweep searched and on which images is settled.
    """
    other = [setting for setting in settings if not setting.strip().startswith("retrain.")]
    if other:
        raise UserError(
            f"--set {other[0]}: a promotion takes only retrain.… ; the rest is settled by the sweep",
            hint="to train on another data set or split: pcdarts-tune retrain",
        )
    return override(space, settings) if settings else space


def _load_images(
    sweep: SweepHandle, space: Space, data: Path | None, where: Where, *, force: bool, quiet: bool
) -> DataSet:
    images = load_images(space, data or sweep.data_root, where.home, ("retrain",), quiet=quiet)
    before = sweep.about["data"]["digest"]
    if images.digest != before:
        changed = f"the images of sweep {sweep.name!r} have changed (digest {images.digest}, it began with {before})"
        if not force:
            raise UserError(
                f"{changed}: its genotype was not found on them",
                hint="--data DIR where the same images are, or --force to retrain it on these",
            )
        if not quiet:
            say(f"note: {changed}; --force")
    return images


def _require_held_out(space: Space, images: DataSet) -> None:
    if not len(split_dataset(images, space.data).held_out):
        raise UserError(
            f"space {space.name!r} holds no images out (data.split: published): nothing to compare genotypes on but "
            "the test split, which decides nothing",
            hint="promote without --candidates, --seeds and --baseline, or a sweep with data.split=tuning",
        )


def _find_baselines(trainings: Trainings, places: SweepPlaces, baselines: Baselines) -> list[Candidate]:
    """The baselines of a sweep. `default` is the genotype of the trial which ran with the space's own hyperparameters, as
    the first trial of a sweep does, or else of one search that is run now, with the seed such a trial would have had."""
    sweep, found = places.sweep, []
    if baselines.default and (record := find_default_trial(sweep)) is not None:
        if not trainings.quiet:
            say(
                f"baseline default: the genotype of trial {record.trial}, which ran with the space's own values"
            )
        found.append(replace(Candidate.of_trial(record), name="default", kind="default"))
    elif baselines.default:
        tracked = places.tracked("search with the space's own values", {Tag.BASELINE: "default"})
        own = sweep.settings
        found.append(trainings.search_default(sweep.space, own.seed, own.execution, places.folder, tracked))
    return found + draw_candidates(sweep.space, sweep.settings.seed, baselines.random)


def _conclude(
    trainings: Trainings,
    places: SweepPlaces,
    results: Sequence[CandidateResult],
    model: str,
    *,
    test_all: bool,
    force: bool,
) -> Promoted:
    """Choose, test the chosen model once, register it."""
    chosen = choose(results)
    if chosen is None:
        reasons = set().union(*(result.failures for result in results))
        raise NonFiniteLoss(f"every candidate's training diverged: {'; '.join(sorted(reasons))}")
    training = trainings.test(chosen.candidate, chosen.best())
    if test_all:
        tested = [each for each in results if each is chosen or each.candidate.kind != "candidate"]
        known = [each for result in map(trainings.test_all, tested) for each in result.trainings]
    else:
        known = [training]
    # the same trainings, now with what was read of the test split
    read = {each.work.recipe: each for each in known}
    results = [
        replace(each, trainings=tuple(read.get(one.work.recipe, one) for one in each.trainings))
        for each in results
    ]
    chosen = next(each for each in results if each.name == chosen.name)
    registered = _register(places, chosen, training, model, force=force)
    verdicts = tuple(describe_differences(chosen, results))
    run_id = None if places.run is None else places.run.run_id
    agreement = short_against_full(places.sweep, training.work.setting)
    return Promoted(registered, chosen, training, tuple(results), verdicts, run_id, agreement)


def _register(
    places: SweepPlaces, chosen: CandidateResult, training: TrainingResult, model: str, *, force: bool
) -> Registered:
    """Register the chosen model with its lineage in tags, and name it in the runs that it comes from."""
    done, candidate, spread = training.done, chosen.candidate, chosen.held_out
    assert done is not None, "a training that diverged is not chosen"
    run_id = None if places.run is None else places.run.run_id
    tags = {
        **lineage_tags(places.sweep),
        Tag.TRIAL: str(candidate.trial),
        Tag.TRIAL_RUN: candidate.run_id,
        Tag.PROMOTION_RUN: run_id,
        Tag.VALIDATION_MEAN: repr(spread.mean) if spread.n > 1 else None,
        Tag.VALIDATION_STD: None if spread.std is None else repr(spread.std),
        Tag.VALIDATION_N: str(spread.n) if spread.n > 1 else None,
    }
    registered = register_model(places.store, model, training.work, done, tags=tags, force=force)
    places.store.tag_related(candidate.run_id, {Tag.RETRAINING_RUN: done.run_id})
    for related in (candidate.run_id, run_id, places.sweep.study.notes().get("run")):
        places.store.tag_related(related, {Tag.MODEL: registered.reference})
    return registered


def _propose_candidates(sweep: SweepHandle) -> None:
    """Say that the best of a sweep is not known where its trials lie within the noise, and what would tell."""
    noise = read_noise(sweep.records(), sweep.space.objective)
    if noise is not None and noise.within:
        options = ["--candidates", str(noise.candidates), "--seeds", "3"]
        say(f"note: {noise}")
        say(f"to let the best of them compete: {sweep.command('promote', *options)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _in_words(sweep: SweepHandle, each: Candidate) -> str:
    if each.objective is None:
        return f"{each.name} of {sweep.name}"
    error = "" if each.standard_error is None else f" ± {each.standard_error:.4f}"
    score = score_in_full(sweep.space.objective)
    return f"{each.name} of {sweep.name}, {score} {each.objective:.4f}{error} in the sweep"
