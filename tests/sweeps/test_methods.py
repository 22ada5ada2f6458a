"""`search.method`: random search as a trial like others, in the study, the plan and one search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.trial_tasks import task

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.planning.plan import draw_proposals
from pcdarts_tune.promotion.candidates import Baselines
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.training.build import build_training
from pcdarts_tune.training.methods import BUILDERS, build_method

SETTINGS = ("data.test_fraction=0.7", "evaluation.epochs=2", "evaluation.channels=4")


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space("quickstart", (*SETTINGS, "search.method=random"))


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


def test_every_method_that_a_space_may_name_is_built() -> None:
    assert set(METHODS) == set(BUILDERS)


def test_random_search_tunes_nothing_that_it_ignores(space: Space) -> None:
    assert space.tune == {}
    assert read_space("quickstart", SETTINGS).tune
    nodes = "tune.supernet.nodes={type: int, low: 2, high: 4}"
    assert list(read_space("quickstart", ("search.method=random", nodes)).tune) == ["supernet.nodes"]
    with pytest.raises(UserError, match=r"'randum' is no method \(did you mean 'random'"):
        read_space("quickstart", ("search.method=randum",))
    with pytest.raises(UserError, match="a sweep has one method"):
        read_space("quickstart", ("tune.search.method={type: categorical, choices: [random]}",))


def test_a_random_trial_draws_by_its_seed_and_is_evaluated_like_others(
    space: Space, images: DataSet, tmp_path: Path
) -> None:
    records: list[dict[str, Any]] = []
    told = task(space, tmp_path, seed=23, hyperparameters={})
    outcome = run_trial(told, images, records.append)
    drawn = random_genotype(23, nodes=space.supernet.nodes, primitives=space.supernet.primitives)
    assert outcome.genotype == drawn.to_dict()
    stages = [record.get("stage", record.get("method")) for record in records]
    assert stages == ["random", "evaluation", "evaluation"]
    assert not any(name.startswith(("search/", "arch/")) for name in outcome.metrics)
    training = build_training(
        space, drawn, images, device=torch.device("cpu"), seed=told.evaluation_seed, stage="evaluation"
    )
    assert outcome.objective == [epoch.valid_accuracy for epoch in training][-1]


def test_cells_of_another_family_are_drawn_too(images: DataSet) -> None:
    space = read_space("nasbench201", ("search.method=random",))
    device = torch.device("cpu")
    found = build_method(space, images, device=device, seed=3).genotype()
    sizes = space.supernet
    drawn = random_genotype(3, nodes=sizes.nodes, primitives=sizes.primitives, family="nasbench201")
    assert found == drawn
    assert found.canonical_hash() != random_genotype(3).canonical_hash()


def test_each_trial_of_a_random_sweep_is_another_genotype(space: Space) -> None:
    settings = SweepSettings(seed=5, sampler="tpe")
    proposals = draw_proposals(space, settings, 8)
    assert all(proposal.hyperparameters == {} for proposal in proposals)
    assert proposals == draw_proposals(space, settings, 8)
    assert len({random_genotype(proposal.seed).canonical_hash() for proposal in proposals}) == 8


def test_one_random_search_is_the_genotype_of_its_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "--space", "quickstart", "--set", "search.method=random", "--seed", "7", "--json"]
    assert command_line([*words, "--home", str(tmp_path), "-o", str(tmp_path / "g.json"), "--track"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["genotype"], found["epochs"]) == (random_genotype(7).to_dict(), 0)
    assert json.loads((tmp_path / "g.json").read_text()) == found["genotype"]
    assert not (tmp_path / "g.json.checkpoint").exists()


def test_a_plan_counts_no_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--space", "quickstart", "--method", "random", "--trials", "3", "--plan"]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    assert command_line([*words, "--home", str(tmp_path), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["configuration"]["search.method"] == {"value": "random", "from": "--method"}
    assert plan["networks"]["supernets"] == []
    for proposal in plan["first_proposals"]:
        assert proposal["search_seconds"] == 0 < proposal["evaluation_seconds"]
        assert proposal["fits"]
    assert any("drawn at random by its seed" in note for note in plan["notes"])
    assert command_line([*words, "--home", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "tuned: nothing" in text
    assert "learns from trials" not in text


def test_a_method_that_searches_nothing_has_no_default_to_compare_with(space: Space) -> None:
    Baselines(random=2).check(space)
    with pytest.raises(UserError, match="searches nothing"):
        Baselines(default=True).check(space)
