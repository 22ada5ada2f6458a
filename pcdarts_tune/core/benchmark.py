"""The fast form and the textbook form, timed in turn in one process, so that their ratio holds on a busy machine.

    >>> result = compare("search", torch.device("cpu"), batch=32, k=4)
    >>> result["ratio"], result["fast"]["seconds_per_step"]["median"]

A search step is an architecture step and a weight step, first order. The textbook form differentiates everything in both,
as the published code does. An evaluation step is one training step of PC_DARTS_cifar with auxiliary head and drop path;
there the two sides differ in memory format alone (channels_last against the default).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.architect import Architect, only
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

STAGES = ("search", "evaluate")
Step = Callable[[], object]


def compare(
    stage: str,
    device: torch.device,
    *,
    batch: int = 64,
    k: int = 4,
    channels: int = 16,
    layers: int = 8,
    image_size: int = 32,
    repeats: int = 10,
    seconds: float = 60.0,
    memory: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time both forms, one step of each in turn, after one step of each that is not counted.

    Args:
        stage: "search" or "evaluate".
        batch, k, channels, layers, image_size: of the network and its random images; k is the search's.
        repeats: timed steps of each form; fewer where `seconds` are over, one at least.
        memory: whether to measure the peak of one weight step too.
        note: told what is going on.

    Returns:
        For "fast" and "textbook": seconds_per_step (median, min, max, n), steps and images per second (of the medians)
        and peak_memory_bytes; ratio (median of the pairs' ratios, with min and max beside it), and the settings.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
    torch.manual_seed(0)
    images = torch.randn(batch, 3, image_size, image_size, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)
    steps: dict[str, Step] = {}
    weight_steps: dict[str, Step] = {}
    for form in ("textbook", "fast"):
        make = _search_steps if stage == "search" else _training_steps
        steps[form], weight_steps[form] = make(form == "fast", images, labels, k, channels, layers)
    times: dict[str, list[float]] = {"textbook": [], "fast": []}
    note("warming up")
    for step in steps.values():
        step()
    begun = time.perf_counter()
    while not times["fast"] or (len(times["fast"]) < repeats and time.perf_counter() - begun < seconds):
        for form, step in steps.items():
            times[form].append(_timed(step, device))
        note(f"{len(times['fast'])} of {repeats}")
    result: dict[str, Any] = {form: _summary(times[form], batch) for form in ("fast", "textbook")}
    if memory:
        note("measuring memory")
        for form, step in weight_steps.items():
            result[form]["peak_memory_bytes"] = peak_memory(step, device)
        result["peak_memory_bytes"] = result["fast"]["peak_memory_bytes"]
    ratios = [slow / fast for slow, fast in zip(times["textbook"], times["fast"], strict=True)]
    return {
        **result,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "n": len(ratios),
        "stage": stage,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "batch": batch,
        "k": k if stage == "search" else None,
        "channels": channels,
        "layers": layers,
        "image_size": image_size,
        "precision": "float32 on both sides",
        "torch": torch.__version__,
    }


def peak_memory(step: Step, device: torch.device) -> int:
    """Bytes that live tensors grow by at the most during a step: weights, data and optimiser are there before."""
    step()  # what is allocated once
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device) - before)
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def _search_steps(
    fast: bool, images: Tensor, labels: Tensor, k: int, channels: int, layers: int
) -> tuple[Step, Step]:
    net = (Supernet if fast else TextbookSupernet)(channels, layers, k).to(images.device)
    optimizer = torch.optim.SGD(net.weight_parameters(), lr=0.01, momentum=0.9, weight_decay=3e-4)
    architect = Architect(net)

    def forward_backward() -> None:
        F.cross_entropy(net(images), labels).backward()

    def update() -> None:
        nn.utils.clip_grad_norm_(net.weight_parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    def fast_weight_step() -> None:
        with only(net.weight_parameters(), net.arch_parameters()):
            forward_backward()
        update()

    def textbook_weight_step() -> None:
        forward_backward()
        update()
        architect.optimizer.zero_grad()

    def fast_pair() -> None:
        architect.step(images, labels)
        fast_weight_step()

    def textbook_pair() -> None:
        forward_backward()
        architect.optimizer.step()
        architect.optimizer.zero_grad()
        optimizer.zero_grad()
        textbook_weight_step()

    return (fast_pair, fast_weight_step) if fast else (textbook_pair, textbook_weight_step)


def _training_steps(
    fast: bool, images: Tensor, labels: Tensor, k: int, channels: int, layers: int
) -> tuple[Step, Step]:
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels, layers).to(images.device)
    net.drop_path = 0.2
    if fast:
        net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=3e-4)

    def step() -> None:
        logits, auxiliary = net(images)
        loss = F.cross_entropy(logits, labels) + 0.4 * F.cross_entropy(auxiliary, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, step


def _timed(step: Step, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _summary(times: list[float], batch: int) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "seconds_per_step": {"median": median, "min": min(times), "max": max(times), "n": len(times)},
        "steps_per_second": 1 / median,
        "images_per_second": batch / median,
    }
