"""Rules that join several fields of a space: each names its keys, and says what is wrong with their values, or None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pcdarts_tune.configuration.ranges import label


@dataclass(frozen=True)
class Rule:
    keys: tuple[str, ...]
    wrong: Callable[..., str | None]
    every: bool = False


def _k_divides(k: int, channels: int) -> str | None:
    if channels % k == 0:
        return None
    legal = [str(n) for n in range(1, channels + 1) if channels % n == 0]
    return f"K = {k} does not divide channels = {channels}; legal for {channels}: {', '.join(legal)}"


def _below(name: str, other: str, *, equal: bool = False) -> Callable[[float, float], str | None]:
    def wrong(value: float, limit: float) -> str | None:
        if value < limit or (equal and value == limit):
            return None
        return f"{name} = {label(value)} must be {'at most' if equal else 'below'} {other} = {label(limit)}; set both"

    return wrong


def _even(stem: str, channels: int) -> str | None:
    odd = stem == "imagenet" and channels % 2
    return (
        f"channels = {channels} must be even with stem: imagenet, which starts with half of them"
        if odd
        else None
    )


def _sized(kind: str, size: int | None) -> str | None:
    missing = kind == "imagenet" and size is None
    return (
        "kind: imagenet crops to data.image_size, which is null; set it (224: the mobile setting)"
        if missing
        else None
    )


def _held_out(split: str, tuned: bool) -> str | None:
    if split == "tuning" or not tuned:
        return None
    return "split: published holds nothing out, so a sweep has nothing to maximise; take tuning, or leave tune out"


def _shares(weights: float | None, alphas: float | None, held_out: float, split: str) -> str | None:
    if weights is None and alphas is None:
        return None
    if weights is None or alphas is None:
        return "weights_fraction and alphas_fraction go together: set both, or neither"
    held = held_out if split == "tuning" and isinstance(held_out, float) else 0.0
    total = weights + alphas + held
    return (
        f"weights_fraction, alphas_fraction and held_out make {total:g}; at most 1"
        if total > 1 + 1e-9
        else None
    )


def _rungs(rungs: tuple[float | int, ...], epochs: int) -> str | None:
    beyond = [label(rung) for rung in rungs if isinstance(rung, int) and rung >= epochs]
    if beyond:
        return f"rungs = {', '.join(beyond)}: not before the end of evaluation.epochs = {epochs}"
    shares = [rung / epochs if isinstance(rung, int) else rung for rung in rungs]
    if shares != sorted(set(shares)):
        return f"rungs = {', '.join(map(label, rungs))} must rise"
    return None


def _edges(skips: int | None, nodes: int) -> str | None:
    if skips is None or skips <= 2 * nodes:
        return None
    return f"skip_connections = {skips}: a cell of {nodes} nodes has {2 * nodes} edges"


def _recipe(name: str) -> list[Rule]:
    return [
        Rule((f"{name}.lr_warmup_epochs", f"{name}.epochs"), _below("lr_warmup_epochs", "epochs")),
        Rule(
            (f"{name}.learning_rate_min", f"{name}.learning_rate"),
            _below("learning_rate_min", "learning_rate", equal=True),
        ),
        Rule((f"{name}.augment.kind", "data.image_size"), _sized),
    ]


RULES = (
    Rule(("supernet.k", "supernet.channels"), _k_divides, every=True),
    Rule(("supernet.stem", "supernet.channels"), _even, every=True),
    Rule(("search.arch_warmup_epochs", "search.epochs"), _below("arch_warmup_epochs", "epochs")),
    *_recipe("search"),
    *_recipe("evaluation"),
    Rule(("evaluation.stem", "evaluation.channels"), _even),
    *_recipe("retrain"),
    Rule(("retrain.stem", "retrain.channels"), _even),
    Rule(("stopping.halving.rungs", "evaluation.epochs"), _rungs),
    Rule(("stopping.collapse.skip_connections", "supernet.nodes"), _edges, every=True),
    Rule(("data.split", "tune"), _held_out),
    Rule(("data.weights_fraction", "data.alphas_fraction", "data.held_out", "data.split"), _shares),
)
