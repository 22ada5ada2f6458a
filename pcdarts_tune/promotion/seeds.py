"""`retrain --seeds`: a genotype trained with several seeds, beside baselines where they are asked for.

    trainings = Trainings(space, images, seeds=(0, 1, 2), device=device, places=FolderPlaces(folder))
    compare_seeds(trainings, trainings.places, genotype, *read_baselines(["random:2"], where)).to_dict()

Nothing is chosen by the test split, so it is read for every training, once all of them are done. Everything lies below the
folder, each model in one like `seed-0`, and an interrupted comparison goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcdarts_tune.core.steps.meter import NonFiniteLoss
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_json
from pcdarts_tune.home import Where
from pcdarts_tune.promotion.candidates import (
    Baselines,
    Candidate,
    draw_candidates,
    parse_baselines,
    unify_cells,
)
from pcdarts_tune.promotion.comparison import CandidateResult, Measure, describe_differences
from pcdarts_tune.promotion.trainings import Place, Trainings
from pcdarts_tune.say import say
from pcdarts_tune.sweeps.find import GenotypeSource, find_genotype
from pcdarts_tune.sweeps.written_cells import is_written_out
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.work import Retraining

SUMMARY = "comparison.json"
"""The file in the folder that says what came of all trainings."""


@dataclass(frozen=True)
class FolderPlaces:
    """Where trainings with several seeds are kept and recorded.

    Attributes:
        folder: of everything: `seed-0` and so on are models, those of a baseline lie in a folder of its own.
        tracked: where they are recorded, under names of their own; None for nowhere.
    """

    folder: Path
    tracked: Tracked | None = None

    def __call__(self, candidate: Candidate, work: Retraining) -> Place:
        name, place = candidate.name, self.folder
        tags = {Tag.GENOTYPE_ORIGIN: name}
        if candidate.kind != "candidate":
            tags[Tag.BASELINE] = name
            plain = re.sub(r"[^\w.-]+", "-", name)
            if plain != name and candidate.kind == "genotype":  # a/b.json and a-b.json
                plain += f"-{candidate.genotype.canonical_hash()}"
            place /= plain
        if candidate.run_id is not None:
            tags[Tag.SEARCH_RUN if candidate.kind == "default" else Tag.TRIAL_RUN] = candidate.run_id
        title = f"{name} retraining seed {work.seed}"
        tracked = self.tracked and replace(self.tracked, name=title, tags=tags)
        folder, checkpoint = place / f"seed-{work.seed}", place / f"seed-{work.seed}.checkpoint"
        return Place(folder, checkpoint, tracked, {"genotype": name})


@dataclass(frozen=True)
class SeedsResult:
    """What came of all trainings: the genotype's first, then the baselines'."""

    results: tuple[CandidateResult, ...]
    verdicts: tuple[str, ...]

    @property
    def own(self) -> CandidateResult:
        """Those of the genotype itself."""
        return self.results[0]

    def to_dict(self) -> dict[str, Any]:
        own = self.own
        return {
            "genotype": own.candidate.genotype.to_dict(),
            "genotype_hash": own.candidate.genotype.canonical_hash(),
            "seeds": [each.seed for each in own.trainings],
            "test": own.test.to_dict(),
            "held_out": own.held_out.to_dict() if own.held_out.values else None,
            "diverged": own.diverged,
            "runs": [{"seed": each.seed, **each.done.to_dict()} for each in own.trainings if each.done],
            "comparison": [result.to_dict() for result in self.results],
            "verdicts": list(self.verdicts),
        }


def read_baselines(texts: Iterable[str], where: Where) -> tuple[Baselines, list[Candidate]]:
    """What `--baseline` names: kinds of baselines, and genotypes, each once.

    Raises:
        UserError: for one that is neither a genotype nor a kind of baseline.
    """
    kinds, named = [], []
    for text in dict.fromkeys(texts):
        if text.partition(":")[0] in ("default", "random"):
            kinds.append(text)
        else:
            source = find_genotype(text, where)
            # a text is long, and its name becomes that of a folder
            name = source.origin if is_written_out(text) else text
            named.append(Candidate(name, "genotype", source.genotype, run_id=source.run_id))
    return parse_baselines(kinds), named


def compare_seeds(
    trainings: Trainings,
    places: FolderPlaces,
    genotype: GenotypeSource,
    baselines: Baselines,
    named: Sequence[Candidate],
) -> SeedsResult:
    """Train everything, read the test split, and write down what came of it; `named`: genotypes that are baselines.

    Raises:
        UserError: when the folder holds something else.
        NonFiniteLoss: when the genotype diverges with every seed.
    """
    baselines.check(trainings.space)
    if (places.folder / "model.json").is_file():
        raise UserError(
            f"{places.folder} holds one model; several seeds make a folder of models",
            hint="choose another folder with -o",
        )
    own = Candidate(genotype.origin, "candidate", genotype.genotype, run_id=genotype.run_id)
    others = [*_drop_equal(own, named), *_make_baselines(trainings, places, baselines)]
    # two files of one name are two genotypes
    others = [
        replace(each, name=f"{each.name} (baseline)") if each.name == own.name else each for each in others
    ]
    results = trainings.train(unify_cells([own, *others]))
    if not results[0].done:
        raise NonFiniteLoss(f"every training diverged: {'; '.join(sorted(results[0].failures))}")
    results = [trainings.test_all(each) for each in results]
    measure: Measure = "held_out" if results[0].held_out.values else "test"
    compared = SeedsResult(tuple(results), tuple(describe_differences(results[0], results, measure)))
    write_json(places.folder / SUMMARY, compared.to_dict())
    return compared


def _drop_equal(own: Candidate, named: Sequence[Candidate]) -> list[Candidate]:
    """Those of the named genotypes that have other cells than the genotype itself."""
    kept = []
    for each in named:
        if each.genotype.canonical_hash() == own.genotype.canonical_hash():
            say(f"baseline {each.name} has the same cells as {own.name}: left out")
        else:
            kept.append(each)
    return kept


def _make_baselines(trainings: Trainings, places: FolderPlaces, baselines: Baselines) -> list[Candidate]:
    """The default genotype, which is searched now unless it was, and random ones."""
    space, seed, found = trainings.space, trainings.seeds[0], []
    if baselines.default:
        title = f"{space.name} search with the space's own values"
        tracked = places.tracked and replace(places.tracked, name=title, tags={Tag.BASELINE: "default"})
        found.append(trainings.search_default(space, seed, trainings.execution, places.folder, tracked))
    return found + draw_candidates(space, seed, baselines.random)
