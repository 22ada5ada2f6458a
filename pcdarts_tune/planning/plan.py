"""A plan of a sweep as plain values: what `--plan --json` prints and `text.format_plan` puts into words.

make_plan(PlanRequest(...))["time"]["hours"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from statistics import median
from typing import Any

import torch

from pcdarts_tune.addresses import without_secret
from pcdarts_tune.cluster.resources import Share, share_resources, this_machine
from pcdarts_tune.cluster.session import look_up_cluster
from pcdarts_tune.datasets import DataSet
from pcdarts_tune.datasets.load import about_images
from pcdarts_tune.machine import available_memory, default_device, own_memory, set_threads
from pcdarts_tune.planning.forecast import Forecast, end_times, expected_share
from pcdarts_tune.planning.networks import NetworkMeasurements, affects_steps, network_cost
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.spaces.settings import apply
from pcdarts_tune.spaces.sizes import check_sizes
from pcdarts_tune.spaces.space import Space, rung_epochs
from pcdarts_tune.spaces.tuning import assignments, varied_keys
from pcdarts_tune.sweeps.launch import method_remarks
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.sweeps.sweep import study_settings
from pcdarts_tune.tasks import Proposal

MOST_PROPOSALS = 64
"""How many proposals are drawn at most; further trials are taken to be like these."""
MOST_SIZES = 24
"""How many combinations of settings the table of memory has at most."""
ALWAYS_LISTED = ("supernet.k", "search.batch_size")
"""Settings in every row of that table, tuned or not."""
CUDA_CONTEXT = 500_000_000
"""Bytes of a GPU that a process takes besides its tensors; assumed, not measured."""
RAY = 750_000_000
"""Bytes that Ray's own processes take, as seen on an idle machine."""


@dataclass(frozen=True)
class PlanRequest:
    """A sweep to plan.

    Attributes:
        configuration: dotted key -> where its value comes from, see `inputs.trace_values`.
        flags: parameter -> where its value comes from.
        note: what else to say about the plan, such as that the images stand for others.
    """

    name: str
    space: Space
    settings: SweepSettings
    trials: int
    run: RunSettings
    images: DataSet
    configuration: Mapping[str, str]
    flags: Mapping[str, str]
    note: str | None = None


@dataclass(frozen=True)
class TrialResources:
    """What each trial of a sweep gets: `memory` are bytes for its tensors, computed as `explanation` says, `machines` is where
    trials run, in words, and `device` where steps are measured."""

    share: Share
    machines: str
    device: torch.device
    memory: float
    explanation: str


def make_plan(request: PlanRequest, *, limit: float = 60.0) -> dict[str, Any]:
    """Draw proposals, measure steps and predict time and memory; writes nothing and starts no Ray.

    Args:
        limit: seconds for measuring, about; a step that has begun is not interrupted.

    Raises:
        UserError: no trial could ever run, as the sweep itself would say.
    """
    space, images = request.space, request.images
    resources = find_resources(request)
    share, memory = resources.share, resources.memory
    set_threads(share.threads)
    proposals = draw_proposals(space, request.settings, request.trials)
    variants = [apply(space, proposal.hyperparameters) for proposal in proposals]
    sizes = []
    for values in list_sizes(space):
        variant = apply(space, values)
        listed = ALWAYS_LISTED if space.search.trained_epochs else ()
        sizes.append(({key: lookup(variant, key) for key in listed} | values, variant))
    measured = NetworkMeasurements(
        space,
        images,
        resources.device,
        most_bytes=max(memory, 0.0),
        limit=limit,
        execution=replace(request.settings.execution, compile=False),
    )
    measured.measure([*variants, *(variant for _, variant in sizes)])
    forecasts = [measured.forecast(variant) for variant in variants]
    return {
        "sweep": request.name,
        "trials": request.trials,
        "settings": _describe_settings(request.settings),
        "settings_from": dict(request.flags),
        "space": space.model_dump(mode="json"),
        "configuration": _describe_configuration(request),
        "data": about_images(images),
        "resources": {**asdict(share), "machines": resources.machines},
        "networks": _describe_networks(measured),
        "first_proposals": [
            {**asdict(proposal), **_describe_forecast(forecast, memory)}
            for proposal, forecast in zip(proposals, forecasts, strict=True)
        ],
        "memory": {
            "room_bytes": memory,
            "room": resources.explanation,
            "sizes": [
                {"settings": values, **_describe_forecast(measured.forecast(variant), memory)}
                for values, variant in sizes
            ],
        },
        "time": _describe_time(request, share, forecasts),
        "measured": {
            "device": str(resources.device),
            "threads": share.threads,
            "seconds": measured.seconds,
            "limit": limit,
            "not_tried": measured.skipped,
        },
        "notes": list(_list_notes(request, resources, proposals, forecasts)),
    }


def find_resources(request: PlanRequest) -> TrialResources:
    """What each trial gets of the machines that the request names.

    Raises:
        UserError: no machine can run a trial, or the cluster does not answer.
    """
    run, images = request.run, request.images
    if run.address is None:
        cluster, machines = this_machine(), "this machine"
    else:
        cluster = look_up_cluster(run.address)
        machines = f"the cluster at {run.address}, {len(cluster.nodes)} nodes"
    share = share_resources(
        cluster, trials=request.trials, cpus=run.cpus, gpus=run.gpus, most=run.most, threads=run.threads
    )
    device = default_device() if share.gpus else torch.device("cpu")
    parts = (images.train_images, images.test_images)  # not tensors where they are streamed from disk
    decoded = sum(part.nbytes for part in parts if isinstance(part, torch.Tensor))
    memory, explanation = memory_of_trial(device, share, images_bytes=decoded)
    return TrialResources(share, machines, device, memory, explanation)


def memory_of_trial(device: torch.device, share: Share, *, images_bytes: int) -> tuple[float, str]:
    """Bytes that a trial's tensors may take, and how they were computed; those of the decoded data set, `images_bytes`, Ray
    keeps once for all trials of a machine."""
    if device.type == "cuda":
        about, part = torch.cuda.get_device_properties(device), min(1.0, share.gpus)
        total = f"{part:g} of {about.name} with {about.total_memory / 1e9:.1f} GB"
        text = f"{total}, less {CUDA_CONTEXT / 1e9:g} GB for CUDA itself"
        return part * about.total_memory - CUDA_CONTEXT, text
    free, process, ray = available_memory(), own_memory(), RAY + 2 * images_bytes
    text = (
        f"{free / 1e9:.1f} GB are free here, among {share.concurrent} at a time, less "
        f"{ray / 1e9:.1f} GB for Ray and {process / 1e9:.1f} GB for each process"
    )
    return (free - ray) / share.concurrent - process, text


def draw_proposals(space: Space, settings: SweepSettings, trials: int) -> list[Proposal]:
    """The first proposals of a sweep of so many trials, from a study in memory.

    Exact for those that do not depend on results: the space's own values, a grid, and random draws. A sampler that
    learns proposes something else once enough trials have ended; its later proposals are drawn at random here.
    """
    study = SweepStudy.unsaved(**study_settings(space, settings))
    return [study.ask(trials) for _ in range(min(trials, MOST_PROPOSALS))]


def list_sizes(space: Space) -> list[dict[str, Any]]:
    """Combinations of the ends of all ranges that decide the memory of a step, such as
    `{"supernet.k": 1, "search.batch_size": 64}`; a single empty one where no range does."""
    keys = [key for key in varied_keys(space.tune) if affects_steps(key)]
    return list(islice(assignments(space.tune, keys, every=False), MOST_SIZES))


def _describe_settings(settings: SweepSettings) -> dict[str, Any]:
    uris = {"tracking_uri": settings.tracking_uri, "study_uri": settings.study_uri}
    return asdict(settings) | {key: without_secret(uri) for key, uri in uris.items() if uri}


def _describe_configuration(request: PlanRequest) -> dict[str, dict[str, Any]]:
    """Every value of the space and where it comes from; for a tuned key the value of the first trial."""
    space = request.space

    def value(key: str) -> Any:
        name = key.removeprefix("tune.")
        return lookup(space, key) if name == key else str(space.tune[name])

    return {key: {"value": value(key), "from": origin} for key, origin in request.configuration.items()}


def _describe_networks(measured: NetworkMeasurements) -> dict[str, Any]:
    space, genotype, images = measured.space, measured.genotype, measured.images
    return {
        "genotype": measured.genotype_name,
        "supernets": [
            {"settings": measured.describe(key), **asdict(cost)} for key, cost in measured.supernets.items()
        ],
        "evaluation": asdict(network_cost(space.evaluation, genotype, images)),
        "retrain": asdict(network_cost(space.retrain, genotype, images)),
    }


def _describe_forecast(forecast: Forecast | None, memory: float) -> dict[str, Any]:
    if forecast is None:
        stages = ("search_seconds", "evaluation_seconds", "search_bytes", "evaluation_bytes")
        return dict.fromkeys((*stages, "bytes", "fits", "basis"))
    return {**asdict(forecast), "bytes": forecast.bytes, "fits": forecast.fits(memory)}


def _describe_time(
    request: PlanRequest, share: Share, forecasts: Sequence[Forecast | None]
) -> dict[str, Any] | None:
    """Time of the whole sweep; trials that were not drawn are taken to be as long as those that were."""
    halving, evaluation = request.space.stopping.halving, request.space.evaluation
    rungs = rung_epochs(halving.rungs, evaluation.epochs)
    run = expected_share(evaluation.all_epochs, rungs, halving.keep)
    # a trial that passes the rungs with its first search runs the others whole
    more = (request.space.repeats - 1) * halving.keep ** len(rungs)
    known = [
        (1 + more) * one.search_seconds + (run + more) * one.evaluation_seconds
        for one in forecasts
        if one is not None
    ]
    if not known:
        return None
    seconds = [known[trial % len(known)] for trial in range(request.trials)]
    ends, budget = end_times(seconds, share.concurrent), request.run.time_budget
    return {
        "trial_seconds": {"min": min(known), "median": median(known), "max": max(known)},
        "hours": max(ends) / 3600,
        "gpu_hours": sum(seconds) * share.gpus / 3600,
        "cpu_hours": sum(seconds) * share.cpus / 3600,
        "evaluation_share": run,
        "done_in_time_budget": None if budget is None else sum(end <= budget for end in ends),
    }


def _list_notes(
    request: PlanRequest,
    resources: TrialResources,
    proposals: Sequence[Proposal],
    forecasts: Sequence[Forecast | None],
) -> Iterator[str]:
    """What to know before the sweep is started."""
    if request.note:
        yield request.note
    yield from method_remarks(request.space)
    yield from check_sizes(request.space, request.images.image_size, ("search", "evaluation", "retrain"))
    lacking = [
        str(proposal.number)
        for proposal, forecast in zip(proposals, forecasts, strict=True)
        if forecast is not None and not forecast.fits(resources.memory)
    ]
    if lacking:
        more = f" and {len(lacking) - 8} more" if len(lacking) > 8 else ""
        yield (
            f"{len(lacking)} of the {len(proposals)} trials drawn will run out of memory: trial "
            f"{', '.join(lacking[:8])}{more}; lower the batch sizes in the space, raise K, or run fewer at a time"
        )
    if resources.share.gpus and resources.device.type != "cuda":
        yield "there is no GPU here: time and memory are those of this machine's CPU, not of the GPUs the trials get"
    elif request.run.address is not None:
        yield "time and memory were measured on this machine; the cluster's may differ"
    if len(proposals) < request.trials:
        yield f"{len(proposals)} of the {request.trials} trials were drawn; the rest is taken to be like them"
