"""The fast form and the textbook form, timed in turn in one process, so that their ratio holds on a busy machine.

    >>> compare("search", torch.device("cpu"), batch=32, k=4)["ratio"]

A search step is an architecture step and a weight step, first order; an evaluation step trains PC_DARTS_cifar with
auxiliary head and drop path, one network in both forms. The fast form takes `Search`'s and `Training`'s steps; the
textbook form differentiates everything in both, as the published code does, with PyTorch's default optimizers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps import execution
from pcdarts_tune.core.steps.meter import Step, peak_memory, time_step
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

STAGES = ("search", "evaluate")
RATE = 0.01  # of the weights: small enough that random images do not make them overflow


@dataclass(frozen=True)
class Form:
    """One side of the comparison, ready for steps on random images of its own.

    Attributes:
        step: the step that is timed; weight_step: without the architecture's part, launched kernel by kernel.
        execution: how `step` is executed, known after its first call.
    """

    step: Step
    weight_step: Step
    execution: Callable[[], dict[str, str]]
    precision: str


def build_form(
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
) -> Form:
    """A form ("fast" or "textbook") of a stage.

    Raises:
        ValueError: an unknown stage or form, or a precision that the device has not.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
    if form not in ("fast", "textbook"):
        raise ValueError(f"form must be fast or textbook; got {form!r}")
    execution.check_precision(precision, device)
    torch.manual_seed(0)
    images = torch.randn(batch, 3, image_size, image_size, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)
    network: Any
    if stage == "search":
        network = (Supernet if form == "fast" else TextbookSupernet)(channels, layers, k).to(device)
    else:
        network = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels, layers).to(device)
        network.drop_path = 0.2
    if form == "textbook":
        written = {"precision": precision, "compile": "off", "graphs": "off: the textbook form"}
        steps = _plain_steps(network, images, labels, precision)
        return Form(*steps, lambda: written, precision)
    # never read: the steps get their batches from here
    nothing = torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    batches = MemoryBatches(*nothing, num_classes=10, mean=(0.5,) * 3, std=(0.5,) * 3, device=device)
    options: dict[str, Any] = {"precision": precision, "compile": compile, "graphs": graphs}
    job: Any
    if stage == "search":
        job = Search(network, batches, batches, batch_size=batch, learning_rate=RATE, **options)
        inputs, step, weight_step = [images, labels, images, labels], job.step_pair, job.step_weights
    else:
        job = Training(network, batches, batch_size=batch, learning_rate=RATE, **options)
        inputs, step, weight_step = [images, labels], job.step_measured, job.step_measured

    def run(step: Step, *inputs: Any) -> None:
        with execution.explain_compile_errors(compile):
            step(*inputs)

    steps = partial(run, job.graphs.run, stage, step, *inputs), partial(run, weight_step, images, labels)
    return Form(*steps, job.execution, precision)


def _plain_steps(network: Any, images: Tensor, labels: Tensor, precision: str) -> tuple[Step, Step]:
    """The step and the weight step of a network by PyTorch's defaults."""
    search = isinstance(network, TextbookSupernet)
    weights = network.weight_parameters() if search else list(network.parameters())
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.SGD(weights, lr=RATE, momentum=0.9, weight_decay=3e-4)
    ]
    if search:
        arch = network.arch_parameters()
        optimizers.append(torch.optim.Adam(arch, lr=6e-4, betas=(0.5, 0.999), weight_decay=1e-3))

    def step(optimizer: torch.optim.Optimizer) -> None:
        with execution.autocast(images.device, precision):
            output = network(images)
        logits, *auxiliary = output if isinstance(output, tuple) else (output,)
        loss = F.cross_entropy(execution.promote_logits(logits), labels)
        for other in auxiliary:
            loss = loss + 0.4 * F.cross_entropy(execution.promote_logits(other), labels)
        loss.backward()
        if optimizer is optimizers[0]:
            nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        for one in optimizers:
            one.zero_grad()

    def whole_step() -> None:
        for optimizer in reversed(optimizers):
            step(optimizer)

    return whole_step, partial(step, optimizers[0])


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
        note: takes a line that says what is going on.

    Returns:
        For "fast" and "textbook": seconds_per_step (median, min, max, n), steps and images per second (of the medians),
        precision, compile, graphs and peak_memory_bytes; ratio (median of the pairs' ratios, with min and max beside
        it), and the settings.

    Raises:
        ValueError: an unknown stage or a precision that the device has not.
        CompileFailed: torch.compile could not compile the network.
    """
    shape = {"channels": channels, "layers": layers, "image_size": image_size}
    sizes: dict[str, Any] = {"batch": batch, "k": k, **shape}
    options: dict[str, Any] = {"precision": precision, "compile": compile, "graphs": graphs}
    textbook_precision = textbook_precision or precision
    forms = {
        "textbook": build_form("textbook", stage, device, precision=textbook_precision, **sizes),
        "fast": build_form("fast", stage, device, **options, **sizes),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    note("warming up")
    for form in forms.values():
        with execution.use_precision(device, form.precision):
            form.step()
    begun = time.perf_counter()
    while not times["fast"] or (len(times["fast"]) < repeats and time.perf_counter() - begun < seconds):
        for name, form in forms.items():
            with execution.use_precision(device, form.precision):
                times[name].append(time_step(form.step, device))
        note(f"{len(times['fast'])} of {repeats}")
    result: dict[str, Any] = {
        name: {**_summary(times[name], batch), **forms[name].execution()} for name in ("fast", "textbook")
    }
    if memory:
        note("measuring memory")
        for name, form in forms.items():
            with execution.use_precision(device, form.precision):
                result[name]["peak_memory_bytes"] = peak_memory(form.weight_step, device)
        result["peak_memory_bytes"] = result["fast"]["peak_memory_bytes"]
    ratios = [slow / fast for slow, fast in zip(times["textbook"], times["fast"], strict=True)]
    both = f"fast {precision}, textbook {textbook_precision}"
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
        "precision": f"{precision} on both sides" if textbook_precision == precision else both,
        "torch": torch.__version__,
    }


def _summary(times: list[float], batch: int) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "seconds_per_step": {"median": median, "min": min(times), "max": max(times), "n": len(times)},
        "steps_per_second": 1 / median,
        "images_per_second": batch / median,
    }
