"""The two sides of a comparison, fast form and textbook form, each ready for steps on random images of its own.

    >>> fast = contestant("fast", "search", torch.device("cpu"), batch=32, k=4, channels=16, layers=8)
    >>> fast.step()

A search step is an architecture step and a weight step, first order. The textbook form differentiates everything in both,
as the published code does, and its optimizers are PyTorch's defaults; the fast form takes `Search`'s own steps. An
evaluation step is one training step of PC_DARTS_cifar with auxiliary head and drop path: there both sides are the same
network, the fast side with `Training`'s own step (channels_last; on CUDA as a graph).

The fast form and the textbook form, timed in turn in one process, so that their ratio holds on a busy machine.

    >>> result = compare("search", torch.device("cpu"), batch=32, k=4)
    >>> result["ratio"], result["fast"]["seconds_per_step"]["median"]

What the two sides are: contestants.py.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.execution import autocast, check_precision, compiling, hardware, widened
from pcdarts_tune.core.steps.meter import Step, peak_memory, timed
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

STAGES = ("search", "evaluate")
RATE = 0.01  # of the weights: small enough that random images do not make them overflow


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison.

    Attributes:
        step: the step that is timed; weight_step: without the architecture's part, launched kernel by kernel.
        execution: how `step` is executed, known after its first call.
    """

    step: Step
    weight_step: Step
    execution: Callable[[], dict[str, str]]
    precision: str


def contestant(
    form: str,
    stage: str,
    device: torch.device,
    *,
    batch: int,
    k: int,
    channels: int,
    layers: int,
    image_size: int = 32,
    precision: str = "float32",
    compile: bool = False,
    graphs: bool | str = "auto",
) -> Contestant:
    """A form ("fast" or "textbook") of a stage, with its own random images.

    Raises:
        ValueError: an unknown stage or form, or a precision that the device has not.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
    if form not in ("fast", "textbook"):
        raise ValueError(f"form must be fast or textbook; got {form!r}")
    check_precision(precision, device)
    torch.manual_seed(0)
    images = torch.randn(batch, 3, image_size, image_size, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)
    if form == "textbook":
        make = _textbook_search if stage == "search" else _textbook_training
        step, weight_step = make(images, labels, precision, k, channels, layers)
        written = {"precision": precision, "compile": "off", "graphs": "off: the textbook form"}
        return Contestant(step, weight_step, lambda: written, precision)
    # never read: the steps get their batches from here
    batches = MemoryBatches(
        torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8),
        torch.zeros(2, dtype=torch.int64),
        num_classes=10,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        device=device,
    )
    options: dict[str, Any] = {
        "precision": precision,
        "compile": compile,
        "graphs": graphs,
        "learning_rate": RATE,
    }
    if stage == "search":
        supernet = Supernet(channels, layers, k).to(device)
        search = Search(supernet, batches, batches, batch_size=batch, **options)
        both = (images, labels, images, labels)
        return Contestant(
            _plainly(compile, lambda: search.graphs.run("pair", search.step_pair, *both)),
            _plainly(compile, lambda: search.step_weights(images, labels)),
            search.execution,
            precision,
        )
    network = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels, layers).to(device)
    network.drop_path = 0.2
    training = Training(network, batches, batch_size=batch, **options)
    return Contestant(
        _plainly(compile, lambda: training.graphs.run("training", training.step_measured, images, labels)),
        _plainly(compile, lambda: training.step_measured(images, labels)),
        training.execution,
        precision,
    )


def _plainly(compile: bool, step: Step) -> Step:
    def told() -> None:
        with compiling(compile):
            step()

    return told if compile else step


def _textbook_search(
    images: Tensor, labels: Tensor, precision: str, k: int, channels: int, layers: int
) -> tuple[Step, Step]:
    net = TextbookSupernet(channels, layers, k).to(images.device)
    weights, arch = net.weight_parameters(), net.arch_parameters()
    optimizer = torch.optim.SGD(weights, lr=RATE, momentum=0.9, weight_decay=3e-4)
    arch_optimizer = torch.optim.Adam(arch, lr=6e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def forward_backward() -> None:
        with autocast(images.device, precision):
            logits = net(images)
        F.cross_entropy(widened(logits), labels).backward()

    def weight_step() -> None:
        forward_backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        optimizer.zero_grad()
        arch_optimizer.zero_grad()

    def pair() -> None:
        forward_backward()
        arch_optimizer.step()
        arch_optimizer.zero_grad()
        optimizer.zero_grad()
        weight_step()

    return pair, weight_step


def _textbook_training(
    images: Tensor, labels: Tensor, precision: str, k: int, channels: int, layers: int
) -> tuple[Step, Step]:
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels, layers).to(images.device)
    net.drop_path = 0.2
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=3e-4)

    def step() -> None:
        with autocast(images.device, precision):
            logits, auxiliary = net(images)
        loss = F.cross_entropy(widened(logits), labels)
        loss = loss + 0.4 * F.cross_entropy(widened(auxiliary), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, step


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
    precision: str = "float32",
    textbook_precision: str | None = None,
    compile: bool = False,
    graphs: bool | str = "auto",
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time both forms, one step of each in turn, after one step of each that is not counted.

    Args:
        stage: "search" or "evaluate".
        batch, k, channels, layers, image_size: of the network and its random images; k is the search's.
        repeats: timed steps of each form; fewer where `seconds` are over, one at least.
        memory: whether to measure the peak of one weight step too.
        precision: of the fast form; textbook_precision: of the other, by default the same.
        compile, graphs: of the fast form, see `Search`.
        note: told what is going on.

    Returns:
        For "fast" and "textbook": seconds_per_step (median, min, max, n), steps and images per second (of the medians),
        precision, compile, graphs and peak_memory_bytes; ratio (median of the pairs' ratios, with min and max beside
        it), and the settings.

    Raises:
        ValueError: an unknown stage or a precision that the device has not.
        CompileFailed: torch.compile could not compile the network.
    """
    sizes: dict[str, Any] = {
        "batch": batch, "k": k, "channels": channels, "layers": layers, "image_size": image_size,
    }  # fmt: skip
    sides = {
        "textbook": contestant("textbook", stage, device, precision=textbook_precision or precision, **sizes),
        "fast": contestant(
            "fast", stage, device, precision=precision, compile=compile, graphs=graphs, **sizes
        ),
    }
    times: dict[str, list[float]] = {form: [] for form in sides}
    note("warming up")
    for side in sides.values():
        with hardware(device, side.precision):
            side.step()
    begun = time.perf_counter()
    while not times["fast"] or (len(times["fast"]) < repeats and time.perf_counter() - begun < seconds):
        for form, side in sides.items():
            with hardware(device, side.precision):
                times[form].append(timed(side.step, device))
        note(f"{len(times['fast'])} of {repeats}")
    result: dict[str, Any] = {
        form: {**_summary(times[form], batch), **sides[form].execution()} for form in ("fast", "textbook")
    }
    if memory:
        note("measuring memory")
        for form, side in sides.items():
            with hardware(device, side.precision):
                result[form]["peak_memory_bytes"] = peak_memory(side.weight_step, device)
        result["peak_memory_bytes"] = result["fast"]["peak_memory_bytes"]
    ratios = [slow / fast for slow, fast in zip(times["textbook"], times["fast"], strict=True)]
    both = sides["textbook"].precision == precision
    return {
        **result,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "n": len(ratios),
        "stage": stage,
        "device": str(device),
        "device_name": result["fast"]["device"],
        "threads": torch.get_num_threads(),
        **sizes,
        "k": k if stage == "search" else None,
        "precision": f"{precision} on both sides"
        if both
        else f"fast {precision}, textbook {sides['textbook'].precision}",
        "torch": torch.__version__,
    }


def _summary(times: list[float], batch: int) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "seconds_per_step": {"median": median, "min": min(times), "max": max(times), "n": len(times)},
        "steps_per_second": 1 / median,
        "images_per_second": batch / median,
    }
