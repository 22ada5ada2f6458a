"""The trial, search or training that is reproduced: enough of its record to run it again, and to say, number by number and
epoch by epoch, whether the reproduction came out like it.

original = Original.read(Finder(where).find("first:3"))
str(compare(original, again))       # "equal bit for bit: 54 numbers of 8 epochs, the genotype"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.lineage.inherited import recorded_images
from pcdarts_tune.lineage.record import RunRecord
from pcdarts_tune.machine import cores
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.find import Found
from pcdarts_tune.sweeps.trials.repeats import plain_name, repeat_of
from pcdarts_tune.tasks import Execution
from pcdarts_tune.tracking.provenance import versions
from pcdarts_tune.tracking.tags import Tag

TRAININGS = ("retraining", "finetuning")


@dataclass(frozen=True)
class Original:
    """One run: its record, the space that it computed with, hyperparameters set, and the home that it is reproduced in."""

    record: RunRecord
    space: Space
    where: Where

    @classmethod
    def read(cls, found: Found) -> Original:
        """The record of what was named.

        Raises:
            UserError: for what is no such run, or whose record is not whole.
        """
        if found.cells_alone or found.run is None:
            hint = "name a trial, a search or a retraining; pcdarts-tune resume SWEEP delivers what MLflow missed"
            raise UserError(f"{found.text} has no run in MLflow to reproduce it from", hint=hint)
        record = RunRecord(found.runs, found.run)
        if record.kind not in ("trial", "search", *TRAININGS):
            wrong = f"{found.run.info.run_name} is a {record.kind}, which cannot be run again as one"
            hints = {
                "sweep": f"one of its trials: pcdarts-tune reproduce {record.tags.get(Tag.SWEEP, 'SWEEP')}:0",
                "promotion": "one of its trainings: pcdarts-tune show RUN lists them",
                "reproduction": "the run that it reproduces: pcdarts-tune reproduce "
                + record.tags.get(Tag.REPRODUCES, "RUN"),
            }
            hint = hints.get(record.kind, "a trial (SWEEP:TRIAL), a search or a retraining")
            raise UserError(wrong, hint=hint)
        if record.space is None:
            wrong = f"run {record.run_id} keeps no space that this version can read"
            hint = f"the version of pcdarts-tune that made it: pcdarts-tune show {record.run_id[:12]}"
            raise UserError(wrong, hint=hint)
        if record.kind in TRAININGS and record.genotype is None:
            hint = "pcdarts-tune retrain GENOTYPE trains anew"
            raise UserError(f"run {record.run_id} keeps no genotype.json", hint=hint)
        return cls(record, record.space, found.where)

    @property
    def seed(self) -> int:
        return int(self.record.config.get("seed", self.record.tags.get(Tag.SEED, "0")))

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.record.tags.get(Tag.DEVICE, "cpu").partition(":")[0]

    @property
    def threads(self) -> int | None:
        """On a CPU; None where it was not recorded."""
        threads = self.record.tags.get(Tag.THREADS)
        return None if threads is None else int(threads)

    @property
    def execution(self) -> Execution:
        """Precision and compilation; CUDA graphs as they can be here, since they change no number."""
        tags = self.record.tags
        return Execution(tags.get(Tag.PRECISION, "float32"), tags.get(Tag.COMPILE, "off") != "off")

    @cached_property
    def series(self) -> dict[str, dict[int, float]]:
        """Metric -> epoch -> value, of what the run computed itself: an evaluation may be another trial's."""
        series = self.record.runs.series(self.record.run)
        if Tag.EVALUATION_FROM not in self.record.tags:
            return series
        return {key: values for key, values in series.items() if not key.startswith("evaluation/")}

    @property
    def data_root(self) -> Path | None:
        """Where its images were: the sweep's `--data`, or the path that the run names as its data set's source."""
        return recorded_images(self.record, self.where)

    def warnings(self, device: torch.device) -> Iterator[str]:
        """What is different here, and may make the result different."""
        here = versions()
        for name, version in self.record.versions.items():
            if here.get(name) != version and name not in ("mlflow", "optuna", "ray"):  # these compute nothing
                yield f"{name} is {here.get(name, 'missing')} here, it was {version}"
        if device.type == "cpu" and self.execution.precision == "tf32":
            yield "tf32 is a GPU's; this computes in float32"
        if device.type != self.device:
            yield f"this runs on {device.type}, the original ran on {self.device}: expect other last digits"
        elif device.type == "cuda":
            yield "a GPU adds in another order each time: expect other last digits"
        elif self.threads is None:
            yield f"how many threads it had is not recorded; this has {torch.get_num_threads()}"
        elif self.threads > cores():
            yield f"it had {self.threads} threads, this machine has {cores()} cores: it will be slow"
        if not self.record.versions:
            yield "the versions it was computed with are not recorded"


Series = Mapping[str, Mapping[int, float]]
"""Metric -> epoch -> value."""


@dataclass(frozen=True)
class Rerun:
    """What the reproduction gave; `accuracy` is the one on held-out images at the end."""

    run_id: str
    series: Series
    genotype: dict[str, Any] | None = None
    accuracy: float | None = None
    weights: str | None = None
    state: str = "complete"


@dataclass(frozen=True)
class Agreement:
    """How the two compare.

    Attributes:
        numbers, epochs: how many were compared.
        first: metric, epoch and both values where they first differ.
        largest: metric and largest difference, relative to the original's size (absolute below 1).
        missing: metrics or epochs that only one of them has.
        genotype, weights: whether they are equal, None where one of them is not known.
    """

    numbers: int
    epochs: int
    first: tuple[str, int, float, float] | None
    largest: tuple[str, float] | None
    missing: tuple[str, ...]
    genotype: bool | None
    weights: bool | None
    accuracy: tuple[float | None, float | None]
    ended: tuple[str, str]

    @property
    def equal(self) -> bool:
        """Bit for bit, in all that was compared; nothing compared is not equal (a drawn genotype has no epochs)."""
        pairs_equal = self.accuracy[0] == self.accuracy[1] and self.ended[0] == self.ended[1]
        differs = self.first is not None or self.missing or False in (self.genotype, self.weights)
        return (self.numbers > 0 or self.genotype is True) and pairs_equal and not differs

    def __str__(self) -> str:
        compared = f"{self.numbers} numbers of {self.epochs} epochs"
        if self.equal:
            also = {"the genotype": self.genotype, "the weights": self.weights}
            return f"equal bit for bit: {', '.join([compared, *(name for name in also if also[name])])}"
        parts = [f"differs ({compared} compared)"]
        if self.ended[0] != self.ended[1]:
            parts.append(f"it ended as {self.ended[1]}, the original as {self.ended[0]}")
        if self.first is not None:
            metric, epoch, before, now = self.first
            parts.append(f"first at epoch {epoch + 1} in {metric}: {now!r}, was {before!r}")
        if self.largest is not None:
            parts.append(f"most in {self.largest[0]}, by {self.largest[1]:.2g}")
        if None not in self.accuracy:
            parts.append("held-out accuracy {1:.4f}, was {0:.4f}".format(*self.accuracy))
        if self.genotype is not None:
            parts.append("the same genotype" if self.genotype else "another genotype")
        if self.missing:
            parts.append(f"only one of them has {', '.join(self.missing[:3])}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        first = self.first and dict(zip(("metric", "epoch", "before", "now"), self.first, strict=True))
        largest = self.largest and dict(zip(("metric", "relative"), self.largest, strict=True))
        return {
            "equal": self.equal,
            "verdict": str(self),
            "numbers": self.numbers,
            "epochs": self.epochs,
            "first_difference": first,
            "largest_difference": largest,
            "genotype_equal": self.genotype,
            "weights_equal": self.weights,
            "held_out": list(self.accuracy),
            "missing": list(self.missing),
        }


LATER = ("/balanced_acc_held_out",)
"""Ends of metrics that older versions did not record."""


def compare(original: Original, again: Rerun) -> Agreement:
    """Compare what was recorded with what came out."""
    before, now = _computed(original.series), _computed(again.series)
    evaluated = {repeat_of(key) for key in before if plain_name(key).startswith("evaluation/")}
    # else it was another trial's: the accuracy says it
    now = {
        key: values
        for key, values in now.items()
        if repeat_of(key) in evaluated or not plain_name(key).startswith("evaluation/")
    }
    # a version that recorded less is compared in what it recorded
    now = {key: values for key, values in now.items() if key in before or not key.endswith(LATER)}
    # the search first, then the evaluation, epoch by epoch
    was = sorted(
        (repeat_of(metric), plain_name(metric).startswith("evaluation/"), epoch, metric, value)
        for metric, values in before.items()
        for epoch, value in values.items()
    )
    pairs = [(*entry[1:], now[entry[3]][entry[2]]) for entry in was if entry[2] in now.get(entry[3], {})]
    points = [{(metric, at) for metric in series for at in series[metric]} for series in (before, now)]
    different = [(metric, at, value, other) for _, at, metric, value, other in pairs if value != other]
    relative = [(metric, abs(b - a) / max(1.0, abs(a))) for metric, _, a, b in different]
    record, trained = original.record, original.record.tags.get(Tag.WEIGHTS)
    cells = None if again.genotype is None else read_genotype(again.genotype)
    return Agreement(
        len(pairs),
        len({entry[:3] for entry in was if entry[2] in now.get(entry[3], {})}),
        different[0] if different else None,
        max(relative, key=lambda pair: pair[1]) if relative else None,
        tuple(sorted({metric for metric, _ in points[0] ^ points[1]})),
        None if record.genotype is None or cells is None else cells == record.genotype,
        None if trained is None or again.weights is None else trained == again.weights,
        (record.accuracy, again.accuracy),
        (record.tags.get(Tag.OUTCOME, "complete"), again.state),
    )


def _computed(series: Series) -> dict[str, Mapping[int, float]]:
    """The numbers that a computation decides, and not the machine or what was done afterwards."""
    other = (
        "system/",
        "trials/",
        "test/",
        "test_recall/",
        "held_out/",
        "held_out_recall/",
        "cost/",
        "repeats/",
    )
    machine = ("seconds", "images_per_second", "peak_memory_bytes", "_hours", "latency_ms")
    decided = {
        key
        for key in series
        if "/" in key and not plain_name(key).startswith(other) and not key.endswith(machine)
    }
    return {key: values for key, values in series.items() if key in decided}
