"""The pieces of an honest promotion: spread, choice, verdicts, random genotypes, who was champion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from scipy import stats

from pcdarts_tune.core.genotype import PUBLISHED, Genotype, random_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.promotion.candidates import Baselines, Candidate, parse_baselines
from pcdarts_tune.promotion.comparison import (
    CandidateResult,
    TrainingResult,
    choose,
    describe_differences,
    tabulate,
)
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spread import Spread
from pcdarts_tune.tracking.champions import (
    champion_history,
    compare_with_champion,
    effective_champions,
    roll_back,
    set_champion,
)
from pcdarts_tune.tracking.registry import version_of_alias
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.work import Retrained, Retraining


def test_the_interval_is_that_of_the_mean() -> None:
    values = (0.971, 0.968, 0.974, 0.9655)
    spread = Spread(values)
    assert spread.mean == pytest.approx(sum(values) / 4)
    low, high = stats.t.interval(0.95, 3, loc=spread.mean, scale=stats.sem(values))
    assert spread.interval == pytest.approx((low, high))
    assert (Spread((0.5,)).std, Spread((0.5,)).interval) == (None, None)
    assert Spread((0.2, 0.9)).interval == (0.0, 1.0), "no accuracy lies beyond"


NAMES = list(PUBLISHED)
SPACE = load_space("quickstart")


def result_of(
    name: str, *accuracies: float | None, kind: Any = "candidate", genotype: str = "", space: Space = SPACE
) -> CandidateResult:
    """A candidate with these held-out accuracies; None: diverged."""
    cells = PUBLISHED[genotype or NAMES[len(name) % len(NAMES)]]
    trainings = []
    for seed, accuracy in enumerate(accuracies):
        work = Retraining(space, cells, None, seed)  # type: ignore[arg-type]  # no image is looked at
        done = None if accuracy is None else Retrained(Path(), None, None, accuracy, 1, 1.0, f"{name}{seed}")
        trainings.append(TrainingResult(work, done, "loss is nan" if done is None else None))
    return CandidateResult(Candidate(name, kind, cells), tuple(trainings))


def test_the_highest_mean_is_chosen_and_its_best_seed() -> None:
    steady, lucky = result_of("steady", 0.96, 0.97, 0.97), result_of("lucky", 0.99, 0.9, 0.9)
    baseline = result_of("random 0", 0.999, 0.999, 0.999, kind="random")
    assert choose([lucky, steady, baseline]) is steady
    assert steady.best().seed == 1, "the first of equals"
    assert choose([result_of("first", 0.9), result_of("second", 0.9)]).name == "first"  # type: ignore[union-attr]


def test_what_diverged_is_chosen_only_when_nothing_else_is_whole() -> None:
    frail, plain = result_of("frail", 0.99, None), result_of("plain", 0.9, 0.9)
    assert choose([frail, plain]) is plain
    assert choose([frail]) is frail
    assert frail.best().seed == 0
    assert choose([result_of("gone", None, None)]) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ((0.90, 0.91, 0.905), "trial 3 is above other with n=3"),
        ((0.999, 0.998, 0.999), "trial 3 is BELOW other with n=3"),
        (
            (0.95, 0.99, 0.97),
            "cannot tell trial 3 from other with n=3: held-out means 0.9700 and 0.9700, the 95 % intervals",
        ),
        ((0.95, 0.99, None), "cannot tell trial 3 from other with n=3 and n=2"),
        ((0.95,), "--seeds 3"),
        ((None, None, None), "other diverged with every seed"),
    ],
)
def test_overlapping_intervals_are_said(other: tuple[float | None, ...], said: str) -> None:
    chosen = result_of("trial 3", 0.970, 0.971, 0.969, genotype=NAMES[0])
    rival = result_of("other", *other, kind="random", genotype=NAMES[1])
    (verdict,) = describe_differences(chosen, [chosen, rival])
    assert said in verdict
    names = [row["genotype"] for row in tabulate([rival, chosen])]
    assert set(names) == {"trial 3", "other"}


def test_the_same_cells_are_no_rival() -> None:
    chosen = result_of("trial 3", 0.97, genotype=NAMES[0])
    same = result_of("default", 0.97, kind="default", genotype=NAMES[0])
    assert describe_differences(chosen, [chosen, same]) == ["default is the genotype of trial 3"]


def test_random_genotypes_are_drawn_uniformly() -> None:
    operations = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")
    drawn = [random_genotype(seed, primitives=operations) for seed in range(600)]
    for genotype in drawn[:50]:
        assert Genotype.from_dict(genotype.to_dict()) == genotype
        for node in range(4):
            (_, a), (_, b) = genotype.normal[2 * node : 2 * node + 2]
            assert a != b
    counted = Counter(name for genotype in drawn for name, _ in genotype.normal + genotype.reduce)
    assert set(counted) == set(operations) - {"none"}
    assert stats.chisquare(list(counted.values())).pvalue > 1e-3
    pairs = Counter(tuple(sorted(p for _, p in genotype.normal[6:8])) for genotype in drawn)
    assert len(pairs) == 10, "every pair of the last node's five predecessors"
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3
    assert random_genotype(3) == random_genotype(3) != random_genotype(4)
    with pytest.raises(ValueError, match="other than 'none'"):
        random_genotype(0, primitives=("none",))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((), Baselines()),
        (("default",), Baselines(default=True)),
        (("random", "default"), Baselines(default=True, random=1)),
        (("random:7",), Baselines(random=7)),
    ],
)
def test_baselines_are_read(given: tuple[str, ...], read: Baselines) -> None:
    assert parse_baselines(given) == read
    assert bool(read) == bool(given)


@pytest.mark.parametrize("text", ["defualt", "random:0", "random:101", "random:x", ""])
def test_other_baselines_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="default, random, or random:N"):
        parse_baselines([text])


class Version:
    """The two fields of MLflow's model version that are compared."""

    def __init__(self, version: int, **tags: str) -> None:
        self.version, self.tags = version, {f"pcdarts.{key}": value for key, value in tags.items()}


@pytest.mark.parametrize(
    ("accuracy", "champion", "force", "takes"),
    [
        (0.9, None, False, True),
        (None, None, False, True),
        (0.9, Version(1, validation_accuracy="0.8", comparable="c"), False, True),
        (0.8, Version(1, validation_accuracy="0.8", comparable="c"), False, True),
        (0.7, Version(1, validation_accuracy="0.8", comparable="c"), False, False),
        (0.7, Version(1, validation_accuracy="0.8", comparable="c"), True, True),
        (0.9, Version(1, validation_accuracy="0.8", comparable="other"), False, False),
        (None, Version(1, validation_accuracy="0.8", comparable="c"), False, False),
        (0.9, Version(1), False, False),
        (0.7, Version(2, validation_accuracy="0.7", comparable="c"), False, True),
    ],
)
def test_alias_never_moves_to_a_worse_model(
    accuracy: float | None, champion: Any, force: bool, takes: bool
) -> None:
    assert compare_with_champion(accuracy, "c", 2, champion, force)[0] == takes


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    uri = f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"
    return mlflow.MlflowClient(uri, uri)


def registered(client: mlflow.MlflowClient, name: str, versions: int) -> str:
    """A registered model with so many versions; where their files are plays no part."""
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, "s3://somewhere/model")
    return name


def champion(client: mlflow.MlflowClient, name: str) -> int:
    holder = version_of_alias(client, name)
    assert holder is not None
    return int(holder.version)


def test_rollback_goes_back_one_champion_after_the_other(client: mlflow.MlflowClient) -> None:
    name = registered(client, "plain", 3)
    for version in (1, 2, 3):
        set_champion(client, name, version, f"because {version}")
    assert [(entry.version, entry.why) for entry in champion_history(client, name)] == [
        (1, "because 1"), (2, "because 2"), (3, "because 3"),
    ]  # fmt: skip
    assert roll_back(client, name)[:2] == (2, 3)
    assert champion(client, name) == 2
    assert roll_back(client, name)[:2] == (1, 2)
    with pytest.raises(UserError, match="no version of 'plain' was champion before version 1") as refused:
        roll_back(client, name)
    assert "--to VERSION; versions: 1, 2, 3" in str(refused.value.hint)
    assert champion(client, name) == 1
    assert roll_back(client, name, to=3)[:2] == (3, 1)
    assert roll_back(client, name)[:2] == (1, 3)
    set_champion(client, name, 2, "better again")
    assert effective_champions(champion_history(client, name)) == [1, 2]
    assert [entry.back for entry in champion_history(client, name)] == [
        False,
        False,
        False,
        True,
        True,
        True,
        True,
        False,
    ]


def test_rollback_knows_champions_that_others_made(client: mlflow.MlflowClient) -> None:
    name = registered(client, "by-hand", 4)
    client.set_registered_model_alias(name, "champion", "1")  # before there was a history
    set_champion(client, name, 2, "better")
    client.set_registered_model_alias(name, "champion", "4")
    assert roll_back(client, name)[:2] == (2, 4)
    client.delete_model_version(name, "1")
    with pytest.raises(UserError, match="before version 2"):
        roll_back(client, name)
    client.set_registered_model_tag(name, Tag.CHAMPIONS, '[{"version": "one"}]')
    assert champion_history(client, name) == []


def test_rollback_refuses_what_cannot_be(client: mlflow.MlflowClient) -> None:
    name = registered(client, "refused", 2)
    with pytest.raises(UserError, match="has no champion"):
        roll_back(client, name)
    set_champion(client, name, 2, "first")
    with pytest.raises(UserError, match="no version 7; versions: 1, 2"):
        roll_back(client, name, to=7)
    with pytest.raises(UserError, match="version 2 of 'refused' is the champion already"):
        roll_back(client, name, to=2)
    with pytest.raises(UserError, match=r"no registered model 'refusd' \(did you mean 'refused'\?\)"):
        roll_back(client, "refusd")


def test_a_long_history_keeps_its_end(client: mlflow.MlflowClient) -> None:
    name = registered(client, "long", 2)
    for number in range(60):
        set_champion(client, name, 1 + number % 2, f"reason {number}, with a few words more")
    assert len(client.get_registered_model(name).tags[Tag.CHAMPIONS]) <= 5000
    entries = champion_history(client, name)
    assert entries[-1].why.startswith("reason 59")
    assert 10 < len(entries) < 60
    assert champion(client, name) == 2


def test_balanced_accuracies_are_compared_where_they_are_the_objective() -> None:
    space = override(SPACE, ["objective=balanced_accuracy"])

    def scored(name: str, accuracy: float, balanced: float) -> CandidateResult:
        found = result_of(name, accuracy, space=space)
        done = replace(found.done[0], held_out_scores={"balanced_accuracy": balanced})
        return replace(found, trainings=(replace(found.trainings[0], done=done),))

    majority, both = scored("majority", 0.92, 0.5), scored("both", 0.85, 0.8)
    assert choose([majority, both]) is both and both.held_out.values == (0.8,)
    assert tabulate([majority, both])[0]["held-out balanced mean"] == 0.8
    assert choose([result_of("majority", 0.92), result_of("both", 0.85)]).name == "majority"  # type: ignore[union-attr]
