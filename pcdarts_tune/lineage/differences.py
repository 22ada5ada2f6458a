"""What differs between two runs: settings, numbers, cells, circumstances.

found = differences(describe(finder.find("first:0")), describe(finder.find("first:3")))
found.settings      # {"supernet.k": (4, 2)}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.lineage.describe import Subject

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Differences:
    """Two subjects and what differs; a value that one of them has not is None.

    Attributes:
        settings: values of the space, by dotted key.
        results: numbers, all those that both or one of them have.
        genotype: nodes whose edges differ, by name; None where one of them has no genotype.
        about: seed, data, versions, device.
        alike: how many settings are equal.
    """

    a: Subject
    b: Subject
    settings: dict[str, Pair]
    results: dict[str, Pair]
    genotype: dict[str, Pair] | None
    about: dict[str, Pair]
    alike: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": {"name": self.a.name, "reference": self.a.reference, "run_id": self.a.run_id},
            "b": {"name": self.b.name, "reference": self.b.reference, "run_id": self.b.run_id},
            **{key: getattr(self, key) for key in ("settings", "results", "genotype", "about")},
        }


def differences(a: Subject, b: Subject) -> Differences:
    """Compare two subjects. Settings are compared where both have the section they belong to: a trial has no recipe of
    retraining, and a retraining none of search."""
    common = {_section(key) for key in a.settings} & {_section(key) for key in b.settings}
    mine, its = (
        {key: value for key, value in each.settings.items() if _section(key) in common} for each in (a, b)
    )
    settings, cells = _different(mine, its), None
    if a.genotype is not None and b.genotype is not None:
        cells = _different(genotype_lines(a.genotype), genotype_lines(b.genotype))
    results = {key: (a.results.get(key), b.results.get(key)) for key in {**a.results, **b.results}}
    about = _different(_versions_apart(a.about), _versions_apart(b.about))
    return Differences(a, b, settings, results, cells, about, len({**mine, **its}) - len(settings))


def _section(key: str) -> str:
    return key.partition(".")[0]


def _versions_apart(about: dict[str, Any]) -> dict[str, Any]:
    versions = about.get("versions") or {}
    others = {key: value for key, value in about.items() if key != "versions"}
    return others | {f"version of {name}": version for name, version in versions.items()}


def _different(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def genotype_lines(genotype: Genotype) -> dict[str, str]:
    """`normal node 0` -> its edges, and so on for both cells; equal cells give equal lines, whatever their order."""
    lines = {}
    for kind, cell, concat in (
        ("normal", genotype.normal, genotype.normal_concat),
        ("reduce", genotype.reduce, genotype.reduce_concat),
    ):
        states = ["c_{k-2}", "c_{k-1}", *(f"node {i}" for i in range(len(cell) // 2))]
        for node in range(len(cell) // 2):
            pair = sorted(cell[2 * node : 2 * node + 2], key=lambda edge: (edge[1], edge[0]))
            edges = (f"{operation}({states[source]})" for operation, source in pair)
            lines[f"{kind} node {node}"] = " + ".join(edges)
        lines[f"{kind} output"] = f"concat({', '.join(states[i] for i in sorted(concat))})"
    return lines
