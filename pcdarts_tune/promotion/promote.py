"""From a sweep to a registered model: choose, retrain, compare, test once, register, move `champion`.

    promoted = promote(Request(where, "first"), device=device)
    promoted.to_dict()      # {"model": "first", "version": 1, "test_accuracy": 0.98, "run_id": "…", "champion": True, …}

With more than one candidate, seed or a baseline, every genotype is trained with every seed and the same recipe; the
candidate with the highest mean held-out accuracy is chosen, and of its trainings the one with the highest held-out
accuracy is the model. Only then is the test split read, and only for that model. Baselines are compared and never
registered. Every stage is written down when it is done, so that an interrupted promotion goes on and a finished one is
not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.promotion.candidates import Contestant, candidate, candidates, random_contestants, unified
from pcdarts_tune.promotion.comparison import Standing, choose, verdicts
from pcdarts_tune.promotion.registering import Promoted, Request, register_chosen
from pcdarts_tune.say import say
from pcdarts_tune.training.journal import digest

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.promotion.rounds import Contest
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import TrialRecord


def choose_trial(sweep: SweepHandle, *, trial: int | None, run_id: str | None) -> TrialRecord:
    """The trial to promote: the one named by number or MLflow run, else the best.

    Raises:
        UserError: when there is no such trial, or it has no genotype.
        WorkFailed: when no trial is complete.
    """
    if trial is not None:
        chosen = sweep.record(trial)
    elif run_id is not None:
        chosen = sweep.record_of_run(run_id)
    else:
        chosen = sweep.best()
    if chosen.genotype is None:
        reason = f": {chosen.reason}" if chosen.reason else ""
        raise UserError(
            f"trial {chosen.trial} of sweep {sweep.name!r} is {chosen.state}{reason}; it has no genotype to retrain",
            hint=sweep.command("leaderboard"),
        )
    return chosen


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
    from pcdarts_tune.spaces.settings import override

    return override(space, settings) if settings else space


def promote(request: Request, *, device: torch.device, quiet: bool = False) -> Promoted:
    """Promote a sweep's best genotype; goes on where an earlier promotion with the same options stopped.

    Raises:
        UserError: no such sweep or trial, images that cannot be read or are not the sweep's, or a comparison of
            candidates where nothing is held out to compare them on.
        WorkFailed: no trial is complete.
        NonFiniteLoss: the retraining diverges; of several, all of them.
    """
    from pcdarts_tune.promotion.promotion_run import PromotionRun
    from pcdarts_tune.promotion.rounds import Contest
    from pcdarts_tune.sweeps.sweep import open_sweep
    from pcdarts_tune.tracking.store import require_answer

    sweep = open_sweep(request.where, request.sweep)
    space = retraining_space(sweep.space, request.settings)
    request.workers.check(space.retrain.batch_size)
    candidates = _candidates(sweep, request, quiet)
    images = _images(sweep, space, request, quiet)
    require_answer(sweep.tracking_uri)
    store = sweep.store()
    first = sweep.settings.seed if request.seed is None else request.seed
    seeds = tuple(range(first, first + request.seeds))
    execution = replace(sweep.settings.execution, **request.execution)
    contest = Contest(
        sweep,
        space,
        images,
        seeds,
        device,
        store,
        quiet=quiet,
        execution=execution,
        groups=request.workers.parts,
        workers=request.workers,
    )
    if request.single:
        if not quiet:
            say(f"promoting {_told(sweep, candidates[0])}; epochs: {space.retrain.epochs}")
        return _settle(request, contest, contest.train(candidates))
    what = {
        "trained": [contest.work(each, seed).recipe for each in candidates for seed in seeds],
        "baselines": vars(request.baselines),
    }
    run = PromotionRun.open(
        store, sweep, digest(what), name=request.title, space=space, images=images, seed=first
    )
    contest = replace(contest, run=run)
    try:
        contestants = list(candidates)
        if request.baselines.default:
            contestants.append(contest.default_contestant())
        contestants = unified([*contestants, *random_contestants(sweep, request.baselines.random)])
        if not quiet:
            for each in candidates:
                say(f"candidate: {_told(sweep, each)}")
            say(
                f"{len(contestants)} genotypes, {len(seeds)} seeds each, {space.retrain.epochs} epochs, one after another"
            )
        return _settle(request, contest, contest.train(contestants))
    except BaseException as error:
        run.fail(error)
        raise


def _candidates(sweep: SweepHandle, request: Request, quiet: bool) -> list[Contestant]:
    if request.candidates == 1 or request.trial is not None or request.run_id is not None:
        return [candidate(choose_trial(sweep, trial=request.trial, run_id=request.run_id))]
    sweep.best()  # says what is wrong where there is none
    found = candidates(sweep, request.candidates)
    if len(found) < request.candidates and not quiet:
        say(f"note: the sweep has {len(found)} distinct genotypes, not {request.candidates}")
    return found


def _images(sweep: SweepHandle, space: Space, request: Request, quiet: bool) -> DataSet:
    from pcdarts_tune.datasets import split_dataset
    from pcdarts_tune.datasets.load import load_images

    images = load_images(space, request.data or sweep.data_root, request.where.home, quiet=quiet)
    before = sweep.about["data"]["digest"]
    if images.digest != before:
        changed = f"the images of sweep {sweep.name!r} have changed (digest {images.digest}, it began with {before})"
        if not request.force:
            raise UserError(
                f"{changed}: its genotype was not found on them",
                hint="--data DIR where the same images are, or --force to retrain it on these",
            )
        if not quiet:
            say(f"note: {changed}; --force")
    if not request.single and not len(split_dataset(images, space.data).held_out):
        raise UserError(
            f"space {space.name!r} holds no images out (data.split: published): nothing to compare genotypes on but "
            "the test split, which decides nothing",
            hint="promote without --candidates, --seeds and --baseline, or a sweep with data.split=tuning",
        )
    return images


def _settle(request: Request, contest: Contest, standings: list[Standing]) -> Promoted:
    """Choose, test the chosen model once, register it, write the comparison down."""
    from pcdarts_tune.core.steps.meter import NonFiniteLoss

    chosen = choose(standings)
    if chosen is None:
        reasons = {each.failed for standing in standings for each in standing.trainings if each.failed}
        raise NonFiniteLoss(f"every candidate's training diverged: {'; '.join(sorted(reasons))}")
    model = contest.test(chosen.contestant, chosen.best())
    if request.test_all:
        standings = [
            replace(each, trainings=tuple(contest.test(each.contestant, one) for one in each.trainings))
            if each is chosen or each.contestant.kind != "candidate"
            else each
            for each in standings
        ]
    # the same trainings, now with what was read of the test split
    tested = {model.work.recipe: model} | {
        one.work.recipe: one
        for each in standings
        for one in each.trainings
        if one.done and one.done.test_accuracy is not None
    }
    standings = [
        replace(each, trainings=tuple(tested.get(one.work.recipe, one) for one in each.trainings))
        for each in standings
    ]
    chosen = next(each for each in standings if each.name == chosen.name)
    said = tuple(verdicts(chosen, standings))
    promoted = register_chosen(request, contest, chosen, model, standings, said)
    if contest.run is not None:
        note = (
            f"Promotion of sweep `{contest.sweep.name}`: {chosen.name} chosen on held-out images, {chosen.held_out}; "
            f"test accuracy **{promoted.test_accuracy:.4f}** of the model of seed {model.seed}, "
            f"{promoted.model} version {promoted.version}."
        )
        name = f"{request.title}: acc={promoted.test_accuracy:.4f}"
        contest.run.finish(chosen, standings, said, note, name)
    return promoted


def _told(sweep: SweepHandle, each: Contestant) -> str:
    objective = "" if each.objective is None else f", held-out accuracy {each.objective:.4f} in the sweep"
    return f"{each.name} of {sweep.name}{objective}"
