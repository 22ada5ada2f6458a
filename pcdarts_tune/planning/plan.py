"""All of a plan as plain values: what `--plan --json` prints and `show.as_text` puts into words.

plan = make_plan(PlanRequest(...))
plan["first_proposals"][0]["bytes"], plan["time"]["hours"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from pcdarts_tune.planning.forecast import Forecast, done_within, expected_share, makespan
from pcdarts_tune.spaces.goals import rung_epochs
from pcdarts_tune.spaces.keys import lookup

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.cluster.resources import Share
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.planning.room import Room
    from pcdarts_tune.planning.survey import Survey
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.runner import RunSettings
    from pcdarts_tune.sweeps.sweep import SweepSettings
    from pcdarts_tune.tasks import Proposal

LIMIT = 60.0
"""Seconds that measuring takes, about; a step that has begun is not broken off."""


@dataclass(frozen=True)
class PlanRequest:
    """What to plan.

    Attributes:
        name: of the sweep.
        configuration: dotted key -> where its value comes from, see origins.py.
        flags: parameter -> the same.
        assumed: where the images stand for others, in words.
    """

    name: str
    space: Space
    settings: SweepSettings
    trials: int
    run: RunSettings
    images: DataSet
    configuration: Mapping[str, str]
    flags: Mapping[str, str]
    assumed: str | None = None


def make_plan(request: PlanRequest, *, limit: float = LIMIT) -> dict[str, Any]:
    """Draw, measure, forecast. Nothing is written, and no Ray is started.

    Raises:
        UserError: when no trial could ever run, as the sweep itself would say.
    """
    from pcdarts_tune.datasets.load import about_images
    from pcdarts_tune.machine import set_threads
    from pcdarts_tune.planning.networks import draw, sizes
    from pcdarts_tune.planning.room import room_of_a_trial
    from pcdarts_tune.planning.survey import Survey
    from pcdarts_tune.spaces.settings import apply

    space, images = request.space, request.images
    share, machines = _share(request)
    set_threads(share.threads)
    device = _device(share)
    room = room_of_a_trial(device, share, images_bytes=_bytes_of(images))
    proposals = draw(space, request.settings, request.trials)
    variants = [apply(space, proposal.hyperparameters) for proposal in proposals]
    corners = [(values, apply(space, values)) for values in sizes(space)]
    survey = Survey(
        space,
        images,
        device,
        most_bytes=max(room.bytes, 0.0),
        limit=limit,
        execution=replace(request.settings.execution, compile=False),
    )
    survey.take([*variants, *(variant for _, variant in corners)])
    found = [survey.forecast(variant) for variant in variants]
    return {
        "sweep": request.name,
        "trials": request.trials,
        "settings": _settings(request),
        "settings_from": dict(request.flags),
        "space": space.model_dump(mode="json"),
        "configuration": _configuration(request),
        "data": about_images(images),
        "resources": {**asdict(share), "machines": machines},
        "networks": _networks(survey),
        "first_proposals": [
            {**asdict(proposal), **_expected(one, room)}
            for proposal, one in zip(proposals, found, strict=True)
        ],
        "memory": {
            "room_bytes": room.bytes,
            "room": room.text,
            "sizes": [
                {"settings": _sizes(variant, values), **_expected(survey.forecast(variant), room)}
                for values, variant in corners
            ],
        },
        "time": _time(request, share, found),
        "measured": {
            "device": str(device),
            "threads": share.threads,
            "seconds": survey.clock.spent(),
            "limit": limit,
            "not_tried": survey.untried,
        },
        "notes": list(_notes(request, proposals, found, room, share, device)),
    }


def _share(request: PlanRequest) -> tuple[Share, str]:
    """What a trial gets, and of what."""
    from pcdarts_tune.cluster import resources
    from pcdarts_tune.cluster import session as ray_session

    run = request.run
    if run.address is None:
        there, machines = resources.this_machine(), "this machine"
    else:
        there = ray_session.look(run.address)
        machines = f"the cluster at {run.address}, {len(there.nodes)} nodes"
    wanted = {"cpus": run.cpus, "gpus": run.gpus, "most": run.most}
    return resources.share_resources(there, trials=request.trials, **wanted), machines  # type: ignore[arg-type]


def _device(share: Share) -> torch.device:
    import torch

    from pcdarts_tune.machine import default_device

    return default_device() if share.gpus else torch.device("cpu")


def _settings(request: PlanRequest) -> dict[str, Any]:
    from pcdarts_tune.addresses import without_secret

    values = asdict(request.settings)
    for key in ("tracking_uri", "study_uri"):
        if values.get(key):
            values[key] = without_secret(values[key])
    return values


def _configuration(request: PlanRequest) -> dict[str, dict[str, Any]]:
    """Every value of the space with where it comes from; a tuned key is where the first trial starts."""
    space = request.space
    found: dict[str, dict[str, Any]] = {}
    for key, origin in request.configuration.items():
        if key.startswith("tune."):
            found[key] = {"value": str(space.tune[key.removeprefix("tune.")]), "from": origin}
        else:
            found[key] = {"value": lookup(space, key), "from": origin}
    return found


def _networks(survey: Survey) -> dict[str, Any]:
    from pcdarts_tune.planning.networks import network_cost

    space, genotype, images = survey.space, survey.genotype, survey.images
    return {
        "genotype": survey.genotype_name,
        "supernets": [
            {"settings": survey.named(key), **asdict(cost)} for key, cost in survey.supernets.items()
        ],
        "evaluation": asdict(network_cost(space.evaluation, genotype, images)),
        "retrain": asdict(network_cost(space.retrain, genotype, images)),
    }


def _expected(one: Forecast | None, room: Room) -> dict[str, Any]:
    if one is None:
        nothing = (
            "bytes",
            "search_bytes",
            "evaluation_bytes",
            "fits",
            "search_seconds",
            "evaluation_seconds",
            "basis",
        )
        return dict.fromkeys(nothing)
    return {**asdict(one), "bytes": one.bytes, "fits": one.bytes <= room.bytes and not one.out_of_memory}


def _sizes(variant: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """K and batch, and whatever else the ranges of the space change about a step's size."""
    always = ("supernet.k", "search.batch_size")
    return {**{key: lookup(variant, key) for key in always}, **values}


def _time(request: PlanRequest, share: Share, found: Sequence[Forecast | None]) -> dict[str, Any] | None:
    """Of the whole sweep; trials that were not drawn are taken to be as long as those that were."""
    halving, epochs = request.space.stopping.halving, request.space.evaluation.epochs
    share_run = expected_share(epochs, rung_epochs(halving.rungs, epochs), halving.keep)
    known = [one.search_seconds + share_run * one.evaluation_seconds for one in found if one is not None]
    if not known:
        return None
    seconds = [known[place % len(known)] for place in range(request.trials)]
    total, budget = sum(seconds), request.run.time_budget
    return {
        "trial_seconds": {"min": min(known), "median": median(known), "max": max(known)},
        "hours": makespan(seconds, share.concurrent) / 3600,
        "gpu_hours": total * share.gpus / 3600,
        "cpu_hours": total * share.cpus / 3600,
        "evaluation_share": share_run,
        "done_in_time_budget": None if budget is None else done_within(seconds, share.concurrent, budget),
    }


def _notes(
    request: PlanRequest,
    proposals: Sequence[Proposal],
    found: Sequence[Forecast | None],
    room: Room,
    share: Share,
    device: torch.device,
) -> Iterator[str]:
    """What a person should know before they start this."""
    if request.assumed:
        yield request.assumed
    lacking = [
        str(proposal.number)
        for proposal, one in zip(proposals, found, strict=True)
        if one is not None and (one.bytes > room.bytes or one.out_of_memory)
    ]
    if lacking:
        more = f" and {len(lacking) - 8} more" if len(lacking) > 8 else ""
        yield (
            f"{len(lacking)} of the {len(proposals)} trials drawn will run out of memory: trial "
            f"{', '.join(lacking[:8])}{more}; lower the batch sizes in the space, raise K, or run fewer at a time"
        )
    if share.gpus and device.type != "cuda":
        yield "there is no GPU here: time and memory are those of this machine's CPU, not of the GPUs the trials get"
    elif request.run.address is not None:
        yield "time and memory were measured on this machine; the cluster's may differ"
    if len(proposals) < request.trials:
        yield f"{len(proposals)} of the {request.trials} trials were drawn; the rest is taken to be like them"


def _bytes_of(images: DataSet) -> int:
    """Of the decoded images; none where they are streamed from disk."""
    import torch

    parts = (images.train_images, images.test_images)
    return sum(part.nbytes for part in parts if isinstance(part, torch.Tensor))
