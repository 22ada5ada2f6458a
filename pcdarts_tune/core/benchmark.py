"""The fast form and the textbook form, timed in turn in one process, so that their ratio holds on a busy machine.

    >>> result = compare("search", torch.device("cpu"), batch=32, k=4)
    >>> result["ratio"], result["fast"]["seconds_per_step"]["median"]

What the two sides are: contestants.py.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from pcdarts_tune.core.contestants import contestant
from pcdarts_tune.core.precision import hardware
from pcdarts_tune.core.timing import peak_memory, timed


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
