"""Whose genotypes a promotion trains: the sweep's best, and baselines they have to beat.

candidates(sweep, 3)                            # the three best distinct genotypes
parse_baselines(["default", "random:2"])        # Baselines(default=True, random=2)
random_contestants(sweep, 2)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pcdarts_tune.core.genotype import Genotype, random_genotype
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.sweeps.study.samplers import derived_seed

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import TrialRecord

MOST_RANDOM = 100


@dataclass(frozen=True)
class Contestant:
    """A genotype to train.

    Attributes:
        name: what people read: `trial 3`, `default`, `random 0`.
        trial: whose genotype it is; a baseline has none unless a trial found it.
        run_id: the MLflow run of that trial, or of the baseline's search.
        objective: held-out accuracy of the short training in the sweep.
    """

    name: str
    kind: Literal["candidate", "default", "random", "genotype"]
    genotype: Genotype
    trial: int | None = None
    run_id: str | None = None
    objective: float | None = None


@dataclass(frozen=True)
class Baselines:
    """What to compare with: the search with the space's own values, and so many random genotypes."""

    default: bool = False
    random: int = 0

    def __bool__(self) -> bool:
        return self.default or self.random > 0


def parse_baselines(texts: Iterable[str]) -> Baselines:
    """Read `default`, `random` (one of them) and `random:N`.

    Raises:
        UserError: for anything else.
    """
    default, drawn = False, 0
    for text in texts:
        match = re.fullmatch(r"random(?::(\d{1,3}))?", text)
        if text == "default":
            default = True
        elif match and 1 <= int(match[1] or 1) <= MOST_RANDOM:
            drawn = max(drawn, int(match[1] or 1))
        else:
            raise UserError(
                f"--baseline {text!r} is none{nearest(text, ('default', 'random'))}: default, random, or random:N with "
                f"N from 1 to {MOST_RANDOM}",
                hint="--baseline default --baseline random:2",
            )
    return Baselines(default, drawn)


def candidate(record: TrialRecord) -> Contestant:
    """A trial's genotype."""
    assert record.genotype is not None, "only trials with a genotype are chosen"
    genotype = Genotype.from_dict(record.genotype)
    return Contestant(
        f"trial {record.trial}", "candidate", genotype, record.trial, record.run_id, record.objective
    )


def candidates(sweep: SweepHandle, count: int) -> list[Contestant]:
    """The best `count` distinct genotypes of the sweep, best first, or as many as there are; of several trials that
    found the same one, the first in the leaderboard stands for it."""
    found: dict[str, Contestant] = {}
    for record in sweep.records():
        if len(found) < count and record.state == "complete" and record.genotype is not None:
            contestant = candidate(record)
            found.setdefault(contestant.genotype.canonical_hash(), contestant)
    return list(found.values())


def own_trial(sweep: SweepHandle) -> TrialRecord | None:
    """The first complete trial that ran with the space's own values of everything that is tuned, which the first
    trial of a sweep does: it *is* the search with the default hyperparameters."""
    from pcdarts_tune.spaces.keys import lookup

    def text(values: dict[str, Any]) -> str:
        return json.dumps(values, sort_keys=True)  # tuples are lists in the study

    own = text({key: lookup(sweep.space, key) for key in sweep.space.tune})
    for record in sorted(sweep.records(), key=lambda record: record.trial):
        if record.state == "complete" and record.genotype is not None and text(record.hyperparameters) == own:
            return record
    return None


def random_contestants(sweep: SweepHandle, count: int) -> list[Contestant]:
    """Random genotypes of the space, the same ones for a sweep whenever they are asked for."""
    return drawn_contestants(sweep.space, sweep.settings.seed, count)


def drawn_contestants(space: Space, seed: int, count: int) -> list[Contestant]:
    """Random genotypes of a space, the same ones for a seed."""
    sizes = space.supernet
    return [
        Contestant(
            f"random {number}",
            "random",
            random_genotype(
                derived_seed(seed, "random genotype", number),
                nodes=sizes.nodes,
                primitives=sizes.primitives,
            ),
        )
        for number in range(count)
    ]


def unified(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Equal cells written down alike (a node's two edges may come in either order), so that they are trained once."""
    first: dict[str, Genotype] = {}
    return [
        replace(each, genotype=first.setdefault(each.genotype.canonical_hash(), each.genotype))
        for each in contestants
    ]
