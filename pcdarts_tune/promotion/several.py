"""`retrain --seeds`: a genotype trained with several seeds, beside baselines where they are asked for.

    wanted = SeveralSeeds(folder, space, images, seeds=(0, 1, 2), device=device)
    result = compare(wanted, genotype, baselines)
    result.to_dict()                # mean, standard deviation and n of test and held-out accuracies, every run
    wanted.folder / "seed-0"        # a model like any other

Nothing is chosen by the test split, so it is read for every training, once all of them are done. Everything lies below the
folder, and an interrupted comparison goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_json
from pcdarts_tune.promotion.candidates import Contestant, drawn_contestants, parse_baselines, unified
from pcdarts_tune.promotion.comparison import Measure, Standing, verdicts
from pcdarts_tune.promotion.rounds import Rounds, searched_contestant
from pcdarts_tune.say import say
from pcdarts_tune.sweeps.find import GenotypeSource, read_genotype
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.work import Retraining

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.home import Where
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.tasks import Workers

SUMMARY = "comparison.json"


@dataclass(frozen=True)
class SeveralSeeds(Rounds):
    """Trains a genotype, and baselines beside it, with several seeds.

    Attributes:
        folder: of everything: `seed-0` and so on are models, those of a baseline lie in a folder of its own.
        recorded: where trainings are recorded, named after this; None for nowhere.
    """

    folder: Path
    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    device: torch.device
    recorded: Tracked | None = None
    quiet: bool = False
    execution: Execution = DEFAULTS
    groups: int = 1
    workers: Workers | None = None

    def places(self, each: Contestant, work: Retraining) -> tuple[Path, Path]:
        place = self.folder
        if each.kind != "candidate":
            plain = re.sub(r"[^\w.-]+", "-", each.name)
            if plain != each.name and each.kind == "genotype":  # a/b.json and a-b.json
                plain += f"-{each.genotype.canonical_hash()}"
            place /= plain
        return place / f"seed-{work.seed}", place / f"seed-{work.seed}.checkpoint"

    def origin(self, each: Contestant) -> Mapping[str, Any]:
        return {"genotype": each.name}

    def tracked(self, each: Contestant, seed: int) -> Tracked | None:
        if self.recorded is None:
            return None
        tags = {Tag.GENOTYPE_ORIGIN: each.name}
        if each.kind != "candidate":
            tags[Tag.BASELINE] = each.name
        if each.run_id is not None:
            tags[Tag.SEARCH_RUN if each.kind == "default" else Tag.TRIAL_RUN] = each.run_id
        return replace(self.recorded, name=f"{each.name} retraining seed {seed}", tags=tags)


@dataclass(frozen=True)
class Compared:
    """What came of it: the genotype's standing first, then the baselines'."""

    standings: tuple[Standing, ...]
    measure: Measure
    verdicts: tuple[str, ...] = field(default=())

    @property
    def own(self) -> Standing:
        return self.standings[0]

    def to_dict(self) -> dict[str, Any]:
        own = self.own
        return {
            "genotype": own.contestant.genotype.to_dict(),
            "genotype_hash": own.contestant.genotype.canonical_hash(),
            "seeds": [each.seed for each in own.trainings],
            "test": own.test.to_dict(),
            "held_out": own.held_out.to_dict() if own.held_out.values else None,
            "diverged": own.diverged,
            "runs": [{"seed": each.seed, **each.done.to_dict()} for each in own.trainings if each.done],
            "comparison": [standing.to_dict() for standing in self.standings],
            "verdicts": list(self.verdicts),
        }


def compare(wanted: SeveralSeeds, genotype: GenotypeSource, baselines: Sequence[Contestant]) -> Compared:
    """Train everything, read the test split, and write down what came of it.

    Raises:
        UserError: when the folder holds something else.
        NonFiniteLoss: when the genotype diverges with every seed.
    """
    from pcdarts_tune.core.steps.meter import NonFiniteLoss

    if (wanted.folder / "model.json").is_file():
        raise UserError(
            f"{wanted.folder} holds one model; several seeds make a folder of models",
            hint="choose another folder with -o",
        )
    own = Contestant(genotype.origin, "candidate", genotype.genotype, run_id=genotype.run_id)
    others = list(_others(own, baselines))
    standings = wanted.train(unified([own, *others]))
    if not standings[0].diverged < len(wanted.seeds):
        reasons = {each.failed for each in standings[0].trainings if each.failed}
        raise NonFiniteLoss(f"every training diverged: {'; '.join(sorted(reasons))}")
    standings = [
        replace(each, trainings=tuple(wanted.test(each.contestant, one) for one in each.trainings))
        for each in standings
    ]
    measure: Measure = "held_out" if standings[0].held_out.values else "test"
    said = tuple(verdicts(standings[0], standings, measure))
    compared = Compared(tuple(standings), measure, said)
    write_json(wanted.folder / SUMMARY, compared.to_dict())
    return compared


def _others(own: Contestant, baselines: Iterable[Contestant]) -> Iterator[Contestant]:
    """The baselines but for the genotype itself, all names different: two files of one name are two genotypes."""
    for each in baselines:
        if each.kind == "genotype" and each.genotype.canonical_hash() == own.genotype.canonical_hash():
            say(f"baseline {each.name} has the same cells as {own.name}: left out")
        else:
            yield replace(each, name=f"{each.name} (baseline)") if each.name == own.name else each


def named_baselines(texts: Iterable[str], where: Where) -> dict[str, GenotypeSource]:
    """Those `--baseline` values that are genotypes.

    Raises:
        UserError: for one that is neither a genotype nor a kind of baseline.
    """
    found = {}
    for text in texts:
        if text.partition(":")[0] in ("default", "random"):
            parse_baselines([text])
        else:
            found[text] = read_genotype(text, where)
    return found


def baselines_of(
    wanted: SeveralSeeds, texts: Iterable[str], others: Mapping[str, GenotypeSource], seed: int
) -> list[Contestant]:
    """The contestants that `--baseline` names, each once; `default` is searched now.

    Args:
        others: those of `texts` that are genotypes.
        seed: of the search and of random genotypes.

    Raises:
        UserError: for what is neither a genotype nor a kind of baseline.
    """
    named = parse_baselines(text for text in texts if text not in others)
    found = [
        Contestant(text, "genotype", source.genotype, run_id=source.run_id) for text, source in others.items()
    ]
    if named.default:
        tracked = wanted.recorded and replace(
            wanted.recorded,
            name=f"{wanted.space.name} search with the space's own values",
            tags={Tag.BASELINE: "default"},
        )
        found.append(
            searched_contestant(
                wanted.space,
                wanted.images,
                derived_seed(seed, "trial", 0),  # as the first trial of a sweep
                wanted.folder,
                device=wanted.device,
                execution=wanted.execution,
                tracked=tracked,
                quiet=wanted.quiet,
            )
        )
    return found + drawn_contestants(wanted.space, seed, named.random)
