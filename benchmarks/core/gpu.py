"""The CUDA path in one call: is it right, how fast is it, a whole search, a training.

    python benchmarks/core/prepare_cifar.py cifar10.pt.gz cifar10-train.parquet cifar10-test.parquet     # needs pyarrow
    PYTHONPATH=. python benchmarks/core/gpu.py --out results --data cifar10.pt.gz       # PyTorch and torchvision are enough

Four sections, each with its own budget of seconds (0 leaves it out) and its own file, which is written again after
every measurement, so that a later failure loses nothing:

    check.json    forward, gradients and steps against float64 on the CPU; graphed against launched steps; no waiting
    time.json     textbook and fast form, K=1, 2, 4, 8, float32 and bf16, launched and graphed; memory; kernels
    search.json   the paper's CIFAR-10 search, wall time and genotype, for each seed
    train.json    PC_DARTS_cifar, or the cell that was found, for as many epochs as fit

Without --data the images are random: times hold, accuracies mean nothing. `--device cpu --tiny` tries every line.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# PyTorch's profiler announces itself otherwise
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from torch import Tensor
from torch.nn import functional as F

from pcdarts_tune.core.architect import differentiate_only
from pcdarts_tune.core.benchmark import Form, build_form
from pcdarts_tune.core.fast import normalize
from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.loop import evaluate
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps import execution as precision_module
from pcdarts_tune.core.steps.execution import autocast, promote_logits, use_precision
from pcdarts_tune.core.steps.meter import peak_memory, time_step
from pcdarts_tune.core.steps.optimizers import set_learning_rate
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

CPU = torch.device("cpu")
MEAN, STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)
STEPS = 5


class Section:
    """A section's results, written whole after each one."""

    def __init__(self, path: Path, seconds: float, about: dict[str, Any]) -> None:
        self.path, self.seconds, self.begun = path, seconds, time.perf_counter()
        self.results: dict[str, Any] = {"about": about, "finished": False}

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.seconds - (time.perf_counter() - self.begun)

    def keep(self, key: str, value: Any) -> None:
        self.results[key] = value
        self.results["seconds"] = round(time.perf_counter() - self.begun, 2)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.results, indent=1))
        os.replace(part, self.path)
        print(f"[{self.path.stem} {self.results['seconds']:7.1f} s] {key}: {_short(value)}", flush=True)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:197] + "..."


# --- is it right -------------------------------------------------------------------------------------------------------


def check(section: Section, a: argparse.Namespace) -> None:
    """Against float64 on the CPU: errors are ||x - reference|| / ||reference||."""
    names = ("float32", "bf16", "tf32") if a.device.type == "cuda" else ("float32", "bf16")
    for k in a.ks:
        section.keep(f"passes K={k}", _passes(a, k, names))
        if section.left() < 0:
            return
    with _folded():
        section.keep("passes, BatchNorm folded", _passes(a, a.ks[-1], names))
    section.keep("search steps", _search_steps(a, names[:2], order=1))
    section.keep("search steps, order 2", _search_steps(a, names[:1], order=2))
    section.keep("training steps", _training_steps(a, names[:2]))
    section.keep("drop path, graphed against launched", _drop_path(a))
    section.keep("ok", _judged(section.results, a))


def _error(got: Any, reference: Any) -> float:
    got = torch.cat([x.detach().double().cpu().flatten() for x in got])
    reference = torch.cat([x.detach().double().cpu().flatten() for x in reference])
    return float((got - reference).norm() / reference.norm())


def _images(a: argparse.Namespace, count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, a.side, a.side, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 10, (count,), generator=generator)


def _passes(a: argparse.Namespace, k: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Logits and every gradient of the fast form against the textbook form."""
    torch.manual_seed(k)
    textbook = TextbookSupernet(a.channels, a.layers, k).double()
    fast = Supernet(a.channels, a.layers, k)
    fast.load_published_state(textbook.weight_state())
    with torch.no_grad():
        for p, q in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            q.normal_()
            p.copy_(q)
    images, labels = _images(a, a.check_batch, 1)
    logits = textbook(images)
    F.cross_entropy(logits, labels).backward()
    # the textbook's weight gradients, put where the fast form stores them
    reference = Supernet(a.channels, a.layers, k).double()
    reference.load_published_state(
        {name: p.grad for name, p in textbook.named_parameters() if not name.startswith(("alpha", "beta"))}
    )
    fast.to(a.device)
    images, labels = images.float().to(a.device), labels.to(a.device)
    found = {}
    for name in names:
        with (
            use_precision(a.device, name),
            differentiate_only([*fast.weight_parameters(), *fast.arch_parameters()], []),
        ):
            with autocast(a.device, name):
                got = fast(images)
            F.cross_entropy(promote_logits(got), labels).backward()
        found[name] = {
            "logits": _error([got], [logits]),
            "weight gradients": _error(
                [p.grad for p in fast.weight_parameters()], reference.weight_parameters()
            ),
            "architecture gradients": _error(
                [p.grad for p in fast.arch_parameters()], [p.grad for p in textbook.arch_parameters()]
            ),
        }
        fast.zero_grad()
    return found


def _trajectory(make: Callable[..., Any], a: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Some steps, the learning rate another in each, batches of two sizes: `make` gives (losses, weights)."""
    losses, weights = make(CPU, torch.float64, "float32", False)
    found: dict[str, Any] = {"reference losses": losses}
    for name in names:
        sides = {"launched": make(a.device, torch.float32, name, False)}
        if a.device.type == "cuda":
            sides["graphed"] = make(a.device, torch.float32, name, True)
            sides["launched again"] = make(a.device, torch.float32, name, False)
        found[name] = {
            side: {"losses": got[0], "weights": _error(got[1], weights)} for side, got in sides.items()
        }
        for side in list(sides)[1:]:
            found[name][side]["against launched"] = _error(sides[side][1], sides["launched"][1])
    return found


def _search_steps(a: argparse.Namespace, names: tuple[str, ...], order: int) -> dict[str, Any]:
    def make(
        device: torch.device, dtype: torch.dtype, name: str, graphs: bool
    ) -> tuple[list[float], list[Tensor]]:
        torch.manual_seed(0)
        net = Supernet(a.channels, a.layers, a.ks[-1]).to(device, dtype)
        search = Search(
            net, _few(a, device), _few(a, device), batch_size=4, order=order, precision=name, graphs=graphs
        )
        losses = []
        for step in range(STEPS):
            size = a.check_batch if step % 2 else a.check_batch // 2
            batches = [_images(a, size, 10 * step + half) for half in (0, 1)]
            placed = [(x.to(device, dtype), y.to(device)) for x, y in batches]
            set_learning_rate(search.optimizer, 0.01 * (STEPS - step))
            search.loop.trained.clear()
            with use_precision(device, name), _waiting_refused(device, step > 1):
                search.graphs.run("pair", search.step_pair, *placed[0], *placed[1])
            losses.append(search.loop.trained.read().loss)
        assert not graphs or search.execution()["graphs"] == "on"
        return losses, [*net.parameters(), *net.buffers()]

    return _trajectory(make, a, names)


def _training_steps(a: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    def make(
        device: torch.device, dtype: torch.dtype, name: str, graphs: bool
    ) -> tuple[list[float], list[Tensor]]:
        torch.manual_seed(0)
        net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], a.channels, a.layers).to(device, dtype)
        training = Training(net, _few(a, device), batch_size=4, precision=name, graphs=graphs)
        return _train_steps(training, a, device, dtype, name), [*net.parameters(), *net.buffers()]

    return _trajectory(make, a, names)


def _train_steps(
    training: Training, a: argparse.Namespace, device: torch.device, dtype: torch.dtype, name: str
) -> list[float]:
    losses = []
    for step in range(STEPS):
        images, labels = _images(a, a.check_batch if step % 2 else a.check_batch // 2, step)
        images, labels = images.to(device, dtype), labels.to(device)
        set_learning_rate(training.optimizer, 0.01 * (STEPS - step))
        training.loop.trained.clear()
        with use_precision(device, name), _waiting_refused(device, step > 1):
            training.graphs.run("training", training.step_measured, images, labels)
        losses.append(training.loop.trained.read().loss)
    return losses


def _drop_path(a: argparse.Namespace) -> dict[str, list[float]]:
    """Random masks: a graph must draw what launched steps draw."""
    found = {}
    for side in ("launched", "graphed") if a.device.type == "cuda" else ("launched",):
        torch.manual_seed(0)
        net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], a.channels, a.layers).to(a.device)
        net.drop_path = 0.5
        training = Training(net, _few(a, a.device), batch_size=4, graphs=side == "graphed")
        torch.manual_seed(7)
        found[side] = _train_steps(training, a, a.device, torch.float32, "float32")
    return found


def _few(a: argparse.Namespace, device: torch.device) -> MemoryBatches:
    """Images that are never read: the steps are given theirs."""
    images, labels = torch.zeros(4, 3, a.side, a.side, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    return MemoryBatches(images, labels, num_classes=10, mean=MEAN, std=STD, device=device)


@contextlib.contextmanager
def _folded() -> Iterator[None]:
    """BatchNorm folded on CUDA too, as on a CPU."""
    normalize.FOLDED_ON.add("cuda")
    try:
        yield
    finally:
        normalize.FOLDED_ON.discard("cuda")


@contextlib.contextmanager
def _waiting_refused(device: torch.device, refused: bool) -> Iterator[None]:
    """CUDA raises where the host would wait; not in the first steps, which capture."""
    if device.type != "cuda" or not refused:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _judged(results: dict[str, Any], a: argparse.Namespace) -> dict[str, bool]:
    """Within what rounding explains: the method is exact, so more would be a defect."""
    said = {}
    for k in a.ks:
        if f"passes K={k}" in results:
            exact = results[f"passes K={k}"]["float32"]
            said[f"float32 passes K={k}"] = exact["logits"] < 1e-4 and max(exact.values()) < 1e-3
            rough = results[f"passes K={k}"]["bf16"]
            said[f"bf16 passes K={k}"] = rough["logits"] < 0.2
    for steps in ("search steps", "training steps"):
        for name, most in (("float32", 1e-2), ("bf16", 0.3)):
            sides = results[steps][name]
            said[f"{name} {steps}"] = all(side["weights"] < most for side in sides.values())
            if "graphed" in sides:
                # a GPU adds in another order each time: as near as two launched runs are to each other, or nearly
                spread = max(sides["launched again"]["against launched"], 1e-6)
                said[f"{name} {steps}, graphed"] = sides["graphed"]["against launched"] < 20 * spread
    masks = results["drop path, graphed against launched"]
    if "graphed" in masks:
        pairs = zip(masks["launched"], masks["graphed"], strict=True)
        said["drop path, graphed"] = all(abs(x - y) < 1e-2 * abs(x) for x, y in pairs)
    return said


# --- how fast is it ----------------------------------------------------------------------------------------------------


def speed(section: Section, a: argparse.Namespace) -> None:
    """Steps in turn: the machine's other work slows all sides alike."""
    for k in [*([4] if 4 in a.ks else []), *(k for k in a.ks if k != 4)]:
        _compare(section, a, f"search K={k}", "search", k)
    _compare(section, a, "evaluate", "evaluate", 1)
    if a.device.type != "cuda":
        return
    for name in ("float32", "bf16"):
        side = _side(a, "fast", "search", 4, name, True)
        section.keep(f"kernels of a step, K=4, {name}", _kernels(side, a.device))
    for name in ("float32", "bf16"):
        if section.left() > 0:
            precision_module.CUDNN_BENCHMARK = False
            side = _side(a, "fast", "search", 4, name, True)
            section.keep(
                f"without cuDNN's search, K=4, {name}", _summary(_times([side], a, section)[0], a.batch)
            )
            precision_module.CUDNN_BENCHMARK = True
    for name in ("float32", "bf16"):
        if section.left() > 0:
            with _folded():
                side = _side(a, "fast", "search", 4, name, True)
                section.keep(
                    f"BatchNorm folded, K=4, {name}", _summary(_times([side], a, section)[0], a.batch)
                )
    if a.compile and section.left() > 0:
        side = _side(a, "fast", "search", 4, "bf16", True, compiled=True)
        section.keep("compiled, K=4, bf16", _summary(_times([side], a, section)[0], a.batch))


def _side(
    a: argparse.Namespace, form: str, stage: str, k: int, name: str, graphs: bool, compiled: bool = False
) -> Form:
    sizes = (a.batch, a.channels, a.layers) if stage == "search" else a.training_sizes
    batch, channels, layers = sizes
    wanted: Any = {"graphs": "auto" if graphs else False, "compile": compiled} if form == "fast" else {}
    return build_form(
        form,
        stage,
        a.device,
        batch=batch,
        k=k,
        channels=channels,
        layers=layers,
        image_size=a.side,
        precision=name,
        **wanted,
    )


def _compare(section: Section, a: argparse.Namespace, key: str, stage: str, k: int) -> None:
    if section.left() < 0:
        section.keep(key, "left out: no time left")
        return
    batch = a.batch if stage == "search" else a.training_sizes[0]
    sides = {
        f"{form} {name}{' graphs' if graphs else ''}": _side(a, form, stage, k, name, graphs)
        for name in ("float32", "bf16")
        for form, graphs in (("textbook", False), ("fast", False), ("fast", True))
    }
    if a.device.type == "cuda":
        sides["fast tf32 graphs"] = _side(a, "fast", stage, k, "tf32", True)
    times = dict(zip(sides, _times(list(sides.values()), a, section), strict=True))
    found: dict[str, Any] = {}
    for name, side in sides.items():
        found[name] = {**_summary(times[name], batch), **side.execution()}
        with use_precision(a.device, side.precision):
            found[name]["weight_step_peak_bytes"] = peak_memory(side.weight_step, a.device)
    found["ratios"] = {
        f"{mine} over {other}": statistics.median(
            slow / fast for slow, fast in zip(times[other], times[mine], strict=True)
        )
        for mine in sides
        if mine.endswith("graphs")
        for other in ("textbook float32", "textbook bf16")
    }
    section.keep(key, found)


def _times(sides: list[Form], a: argparse.Namespace, section: Section) -> list[list[float]]:
    """Seconds of each side's steps, taken in turn; the first of each are not counted."""
    for side in sides:
        with use_precision(a.device, side.precision):
            for _ in range(2):
                side.step()
    times: list[list[float]] = [[] for _ in sides]
    begun, most = time.perf_counter(), max(2.0, min(30.0, section.left() / 4))
    while not times[0] or (len(times[0]) < a.repeats and time.perf_counter() - begun < most):
        for side, mine in zip(sides, times, strict=True):
            with use_precision(a.device, side.precision):
                mine.append(time_step(side.step, a.device))
    return times


def _summary(times: list[float], batch: int) -> dict[str, Any]:
    median = statistics.median(times)
    return {
        "seconds_per_step": {"median": median, "min": min(times), "max": max(times), "n": len(times)},
        "images_per_second": batch / median,
    }


def _kernels(side: Form, device: torch.device) -> dict[str, Any]:
    """What one step launches, and where its time goes."""
    from torch.profiler import ProfilerActivity, profile

    with use_precision(device, side.precision):
        for _ in range(2):
            side.step()
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            side.step()
            torch.cuda.synchronize()
    rows = [row for row in profiler.key_averages() if row.self_device_time_total > 0]
    rows.sort(key=lambda row: -row.self_device_time_total)
    return {
        "kernels": sum(row.count for row in rows),
        "milliseconds": sum(row.self_device_time_total for row in rows) / 1000,
        "top": [[row.key[:90], row.count, round(row.self_device_time_total / 1000, 4)] for row in rows[:25]],
        **side.execution(),
    }


# --- a whole search, a training ----------------------------------------------------------------------------------------


def load(a: argparse.Namespace) -> dict[str, tuple[Tensor, Tensor]]:
    """(images uint8 (N, 3, H, W), labels) of "train" and "test": what prepare_cifar.py wrote, or random ones."""
    if a.data is None:
        generator = torch.Generator().manual_seed(0)
        counts = {"train": a.images, "test": a.images // 5}
        return {
            split: (
                torch.randint(0, 256, (count, 3, a.side, a.side), generator=generator, dtype=torch.uint8),
                torch.randint(0, 10, (count,), generator=generator),
            )
            for split, count in counts.items()
        }
    from torchvision.io import ImageReadMode, decode_image

    found = {}
    with gzip.open(a.data, "rb") as file:
        packed = torch.load(io.BytesIO(file.read()), weights_only=True)
    for split, part in packed.items():
        ends = part["ends"].tolist()
        files = [part["bytes"][begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        images = torch.stack([decode_image(file, ImageReadMode.RGB) for file in files])
        found[split] = (images, part["labels"])
    return found


def _batches(
    part: tuple[Tensor, Tensor], a: argparse.Namespace, augment: Augmentation | None
) -> MemoryBatches:
    return MemoryBatches(*part, num_classes=10, mean=MEAN, std=STD, augment=augment, device=a.device)


def search(section: Section, a: argparse.Namespace) -> None:
    """Section 4 of the paper: two halves of 25,000, 50 epochs, batch 256, K=4, architecture frozen for 15."""
    images, labels = load(a)["train"]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    halves = [(images[rows], labels[rows]) for rows in order.chunk(2)]
    crops = Augmentation(4, True, 0)
    for name in a.search_precisions:
        for seed in a.seeds:
            if section.left() < 0:
                return
            begun = time.perf_counter()
            torch.manual_seed(seed)
            job = Search(
                Supernet(a.channels, a.layers, a.ks[-1] if a.tiny else 4).to(a.device),
                *(_batches(half, a, crops) for half in halves),
                epochs=a.search_epochs,
                batch_size=a.batch,
                arch_warmup_epochs=min(15, a.search_epochs // 2),
                seed=seed,
                precision=name,
            )
            epochs = []
            for epoch in job:
                epochs.append(
                    {"seconds": epoch.seconds, **epoch.metrics(), "genotype": epoch.genotype.to_dict()}
                )
                if section.left() < 0:
                    break
            section.keep(
                f"{name}, seed {seed}",
                {
                    "wall_seconds": time.perf_counter() - begun,
                    "epochs": len(epochs),
                    "of": a.search_epochs,
                    "train_accuracy": epochs[-1]["search/acc_train"],
                    "genotype": epochs[-1]["genotype"],
                    **job.execution(),
                    "curve": epochs,
                },
            )


def train(section: Section, a: argparse.Namespace) -> None:
    """The retraining recipe, 5,000 images held out for the curve; the test images are read once, at the end."""
    data = load(a)
    images, labels = data["train"]
    held = len(labels) // 10
    parts = (images[:-held], labels[:-held]), (images[-held:], labels[-held:])
    augment = Augmentation(4, True, a.side // 2)
    genotype, origin = _cell(a)
    batch, channels, layers = a.training_sizes

    def make(epochs: int) -> Training:
        torch.manual_seed(0)
        network = EvaluationNetwork(genotype, channels, layers).to(a.device)
        return Training(
            network,
            _batches(parts[0], a, augment),
            _batches(parts[1], a, None),
            epochs=epochs,
            batch_size=batch,
            precision=a.train_precision,
        )

    probe = make(2)
    first, second = list(probe)
    section.keep("probe", {"first_epoch": first.seconds, "second_epoch": second.seconds, **probe.execution()})
    epochs = a.train_epochs or max(1, min(600, int(0.9 * section.left() / max(second.seconds * 1.1, 1e-3))))
    begun, job, curve = time.perf_counter(), make(epochs), []
    for epoch in job:
        curve.append({"seconds": epoch.seconds, **epoch.metrics("train")})
        if epoch.epoch % 10 == 9 or epoch.epoch + 1 == epochs:
            section.keep("curve", {"genotype": origin, "epochs": len(curve), "of": epochs, "epoch": curve})
        if section.left() < -60:
            break
    test = evaluate(job.network, _batches(data["test"], a, None), batch, precision=a.train_precision)
    section.keep(
        "result",
        {
            "genotype": origin,
            "epochs": len(curve),
            "of": epochs,
            "wall_seconds": time.perf_counter() - begun,
            "held_out_accuracy": curve[-1]["train/acc_held_out"],
            "test_accuracy": test[1],
            "images": "random" if a.data is None else str(a.data),
            **job.execution(),
        },
    )


def _cell(a: argparse.Namespace) -> tuple[Genotype, str]:
    if a.genotype == "found":
        found = json.loads((a.out / "search.json").read_text())
        key = f"{a.search_precisions[0]}, seed {a.seeds[0]}"
        return Genotype.from_dict(found[key]["genotype"]), f"found: {key}"
    return PUBLISHED[a.genotype], a.genotype


SECTIONS: dict[str, Callable[[Section, argparse.Namespace], None]] = {
    "check": check,
    "time": speed,
    "search": search,
    "train": train,
}


def table(out: Path) -> str:
    """What was found, short."""
    lines = []
    found = {
        name: json.loads((out / f"{name}.json").read_text())
        for name in SECTIONS
        if (out / f"{name}.json").exists()
    }
    if "check" in found:
        said = found["check"].get("ok", {})
        lines.append(
            f"check: {sum(said.values())} of {len(said)} hold; not: {[k for k, v in said.items() if not v]}"
        )
    for key, sides in found.get("time", {}).items():
        if isinstance(sides, dict) and "ratios" in sides:
            lines.append(f"{key}: ms a step, peak GB of a weight step")
            for name, side in sides.items():
                if name != "ratios":
                    median = 1000 * side["seconds_per_step"]["median"]
                    lines.append(f"  {name:28}{median:9.2f}{side['weight_step_peak_bytes'] / 1e9:9.2f}")
            lines += [f"  {name}: {ratio:.1f}" for name, ratio in sides["ratios"].items()]
    for key, run in found.get("search", {}).items():
        if isinstance(run, dict) and "wall_seconds" in run:
            lines.append(
                f"search {key}: {run['wall_seconds']:.1f} s for {run['epochs']} of {run['of']} epochs, "
                f"graphs {run['graphs']}, training accuracy {run['train_accuracy']:.4f}"
            )
    result = found.get("train", {}).get("result")
    if result:
        lines.append(
            f"train {result['genotype']}: {_short({k: v for k, v in result.items() if k != 'genotype'})}"
        )
    lines += [f"{name} failed: {part['error'][-300:]}" for name, part in found.items() if "error" in part]
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="what prepare_cifar.py wrote; without it, random images")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU does in seconds")
    for name, seconds in (("check", 120), ("time", 240), ("search", 150), ("train", 0)):
        parser.add_argument(f"--{name}-seconds", type=float, default=seconds, help="0 leaves the section out")
    parser.add_argument(
        "--ks", type=int, nargs="+", default=[1, 2, 8, 4], help="the last one is checked most"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="time torch.compile too")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--search-epochs", type=int, default=50)
    parser.add_argument("--search-precisions", nargs="+", default=["bf16", "float32"])
    parser.add_argument(
        "--genotype", default="PC_DARTS_cifar", help="a published name, or `found`: see search.json"
    )
    parser.add_argument("--train-epochs", type=int, default=0, help="0: as many as fit")
    parser.add_argument("--train-precision", default="bf16")
    a = parser.parse_args()
    a.channels, a.layers, a.side, a.check_batch, a.images = 16, 8, 32, 16, 50000
    a.training_sizes = (96, 36, 20)
    if a.tiny:
        a.channels, a.layers, a.side, a.check_batch, a.images = 4, 3, 8, 8, 60
        a.batch, a.repeats, a.search_epochs, a.ks, a.training_sizes = 8, 2, 2, [1, 2], (8, 4, 3)
        a.train_epochs = a.train_epochs or 2
    return a


def main() -> int:
    a = arguments()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)
    about: dict[str, Any] = {
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "device": str(a.device),
    }
    if a.device.type == "cuda":
        properties = torch.cuda.get_device_properties(a.device)
        about |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    about["settings"] = {key: str(value) for key, value in vars(a).items()}
    failed = False
    for name, run in SECTIONS.items():
        seconds = getattr(a, f"{name}_seconds")
        if seconds <= 0:
            continue
        section = Section(a.out / f"{name}.json", seconds, about)
        try:
            run(section, a)
            section.keep("finished", True)
        except Exception:
            failed = True
            section.keep("error", traceback.format_exc())
        if a.device.type == "cuda":
            torch.cuda.empty_cache()
    print(table(a.out))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
