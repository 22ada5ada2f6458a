"""What a checkpoint costs a training, by the size of its state: see overhead.py, of which this is a part.

A state is copied while the training waits. Then it is written beside it, and what the training loses meanwhile is
measured with a thread of small operations, each of which asks for Python's lock as a training step's do.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NETWORKS = {
    "quickstart's supernet": ("supernet", {"channels": 8, "layers": 4, "k": 4, "in_channels": 1}),
    "cifar10's supernet, K=4": ("supernet", {"channels": 16, "layers": 8, "k": 4}),
    "cifar10's evaluation (C=16, 8 cells)": ("network", {"channels": 16, "layers": 8, "auxiliary": False}),
    "the paper's retraining (C=36, 20 cells)": ("network", {"channels": 36, "layers": 20, "auxiliary": True}),
}


def spread(seconds: list[float]) -> dict[str, float] | None:
    """Mean, median, extremes and number."""
    if not seconds:
        return None
    return {
        "mean": statistics.mean(seconds),
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "n": len(seconds),
    }


def copied(name: str, repeats: int = 10) -> dict[str, Any]:
    """How long a network's state with its optimizer's takes to copy and to write, and what a training beside loses."""
    import torch

    from pcdarts_tune.core.genotype import PUBLISHED
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.core.steps.checkpoints import Snapshot, save_checkpoint, write_snapshot
    from pcdarts_tune.core.supernet import Supernet

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    kind, sizes = NETWORKS[name]
    net: torch.nn.Module = (
        Supernet(**sizes)
        if kind == "supernet"
        else EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], num_classes=10, **sizes)
    ).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    def state() -> dict[str, Any]:
        return {"network": net.state_dict(), "optimizer": optimizer.state_dict()}

    snapshot = Snapshot()
    snapshot.take(state())
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "checkpoint"
        copy, lost, whole = [], [], []
        for _ in range(repeats):
            copy.append(seconds(lambda: snapshot.take(state())))
            lost.append(lost_beside(lambda: write_snapshot(path, snapshot)))
            whole.append(seconds(lambda: save_checkpoint(path, state())))
        size = path.stat().st_size
    return {
        "network": name,
        "bytes": size,
        "tensors": len(list(tensors(state()))),
        "copy": spread(copy),
        "lost": spread(lost),
        "written in the training's own thread": spread(whole),
    }


def tensors(state: Any) -> Iterator[Any]:
    import torch

    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def lost_beside(work: Callable[[], object], calibrate: float = 0.2) -> float:
    """Seconds that a thread of small operations, each of which asks for Python's lock, loses while `work` is done."""
    import torch

    x = torch.randn(64, 64)

    def operations(go_on: Callable[[], bool]) -> tuple[int, float]:
        done, begun = 0, time.perf_counter()
        while go_on():
            x.add(1.0)
            done += 1
        return done, time.perf_counter() - begun

    end = time.perf_counter() + calibrate
    alone, took = operations(lambda: time.perf_counter() < end)
    thread = threading.Thread(target=work)
    thread.start()
    beside, elapsed = operations(thread.is_alive)
    return max(0.0, elapsed - beside * took / alone)
