"""`sweep --plan`: what it draws, measures and foretells, and that it leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets import load_dataset, split_dataset
from pcdarts_tune.planning import networks
from pcdarts_tune.planning.forecast import Fit, Sample, end_times, expected_share, forecast_trial
from pcdarts_tune.planning.inputs import SHAPES, load_planned_images, trace_values
from pcdarts_tune.planning.plan import PlanRequest, draw_proposals, list_sizes, make_plan
from pcdarts_tune.planning.steps import Probe, measure
from pcdarts_tune.planning.text import format_plan
from pcdarts_tune.spaces.load import load_space, read_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings
from pcdarts_tune.training.build import build_search

TINY = """\
name: tiny
data: {dataset: digits, held_out: 0.15}
supernet: {channels: 4, layers: 3, k: 2}
search: {epochs: 4, arch_warmup_epochs: 1, batch_size: 64, augment: {crop_padding: 1}}
evaluation: {channels: 4, layers: 3, epochs: 2, batch_size: 16, auxiliary: false}
retrain: {channels: 4, layers: 3, epochs: 2, auxiliary: false}
tune:
  supernet.k: {type: categorical, choices: [1, 2]}
  search.batch_size:
    type: conditional
    by: supernet.k
    ranges:
      1: {type: categorical, choices: [16, 32]}
      2: {type: int, low: 16, high: 64, step: 16}
"""


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content: what a plan must not change."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a space, and a home that holds a sweep that was never fully made."""
    place = tmp_path_factory.mktemp("place")
    (place / "tiny.yaml").write_text(TINY)
    (place / "home" / "sweeps" / "half").mkdir(parents=True)
    (place / "home" / "sweeps" / "half" / "study.db").write_bytes(b"left by a crash")
    (place / "home" / "cache").mkdir()
    return place


@pytest.fixture(scope="module")
def plan(place: Path) -> dict[str, Any]:
    """What `--plan --json` says, its working directory, home and caches looked at before and after."""
    before = tree(place)
    arguments = ["sweep", "--space", "tiny.yaml", "--trials", "5", "--name", "half", "--seed", "3", "--plan"]
    arguments += ["--set", "search.epochs=5", "--time-budget", "1h", "--max-concurrent", "1"]
    arguments += ["--cpus-per-trial", "1", "--json"]
    arguments += ["--tracking-uri", "http://me:hunter2@127.0.0.1:1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PCDARTS_TUNE_HOME", str(place / "home"))
        patch.setenv("PCDARTS_TUNE_SET", "search.weight_decay=0.002")
        patch.setenv("XDG_CACHE_HOME", str(place / "caches"))
        said: list[str] = []
        patch.setattr("click.echo", lambda text="", **_: said.append(str(text)))
        assert command_line(arguments) == 0
    assert tree(place) == before, "a plan writes nothing"
    assert not any("hunter2" in text for text in said)
    result: dict[str, Any] = json.loads(next(text for text in said if text.startswith("{")))
    return result


def test_a_plan_writes_nothing_and_says_what_would_run(plan: dict[str, Any]) -> None:
    assert (plan["sweep"], plan["trials"], plan["settings"]["seed"]) == ("half", 5, 3)
    assert plan["resources"]["concurrent"] == 1
    assert [one["number"] for one in plan["first_proposals"]] == [0, 1, 2, 3, 4]
    assert plan["first_proposals"][0]["hyperparameters"] == {"supernet.k": 2, "search.batch_size": 64}
    assert plan["memory"]["room_bytes"] > 0
    corners = [
        (one["settings"]["supernet.k"], one["settings"]["search.batch_size"])
        for one in plan["memory"]["sizes"]
    ]
    assert corners == [(1, 16), (1, 32), (2, 16), (2, 64)]
    for one in (*plan["memory"]["sizes"], *plan["first_proposals"]):
        assert one["bytes"] == max(one["search_bytes"], one["evaluation_bytes"]) > 100_000
        assert one["fits"] is True
        assert one["search_seconds"] > 0
        assert one["evaluation_seconds"] > 0
    time = plan["time"]
    trials = [one["search_seconds"] + one["evaluation_seconds"] for one in plan["first_proposals"]]
    assert time["hours"] == pytest.approx(sum(trials) / 3600)
    assert time["gpu_hours"] == sum(trials) * plan["resources"]["gpus"] / 3600
    assert 0 <= time["done_in_time_budget"] <= 5
    assert plan["measured"]["seconds"] > 0


def test_more_channels_searched_or_larger_batches_take_more(plan: dict[str, Any]) -> None:
    taken = {
        (one["settings"]["supernet.k"], one["settings"]["search.batch_size"]): one["search_bytes"]
        for one in plan["memory"]["sizes"]
    }
    assert taken[1, 16] < taken[1, 32]
    assert taken[2, 16] < taken[2, 64]
    assert taken[2, 16] < taken[1, 16]


def test_networks_are_those_that_trials_build(plan: dict[str, Any]) -> None:
    found = plan["networks"]
    assert found["genotype"] == "PC_DARTS_cifar"
    assert {one["settings"] for one in found["supernets"]} == {"K=1", "K=2"}
    images = load_dataset(load_space("quickstart").data)
    space = override(load_space("quickstart"), ["retrain.channels=4", "retrain.layers=3"])
    cost = networks.network_cost(space.retrain, PUBLISHED["PC_DARTS_cifar"], images)
    assert (found["retrain"]["parameters"], found["retrain"]["macs"]) == (cost.parameters, cost.macs)


def test_each_value_says_where_it_comes_from(plan: dict[str, Any]) -> None:
    origin = {key: one["from"] for key, one in plan["configuration"].items()}
    assert origin["supernet.channels"] == "tiny.yaml:3"
    assert origin["search.epochs"] == "--set"
    assert origin["search.weight_decay"] == "PCDARTS_TUNE_SET"
    assert origin["search.momentum"] == "default"
    assert origin["search.augment.crop_padding"] == "tiny.yaml:4"
    assert origin["tune.search.batch_size"] == "tiny.yaml:9"
    assert plan["configuration"]["search.epochs"]["value"] == 5
    assert plan["settings_from"]["seed"] == "--seed"
    assert plan["settings_from"]["home"] == "PCDARTS_TUNE_HOME"
    assert plan["settings_from"]["max_failures"] == "default"


def test_the_text_says_the_same(plan: dict[str, Any]) -> None:
    text = format_plan(plan)
    for said in (
        "sweep half: 5 trials",
        "tiny.yaml:3",
        "PCDARTS_TUNE_SET",
        "1 trials at a time",
        "first proposals:",
    ):
        assert said in text
    assert "memory of a trial" in text
    assert "GPU-hours" in text
    assert "trials end within --time-budget" in text
    assert "hunter2" not in text + json.dumps(plan)


def test_what_does_not_fit_is_said(
    place: Path, plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {one["settings"]["search.batch_size"]: one["bytes"] for one in plan["memory"]["sizes"][2:]}
    memory = (taken[16] + taken[64]) / 2, "between the two"
    monkeypatch.setattr("pcdarts_tune.planning.plan.memory_of_trial", lambda *_, **__: memory)
    text = str(place / "tiny.yaml")
    space = read_space(text, ["supernet.k=2"])
    images, _ = load_planned_images(space, None, place / "home")
    request = PlanRequest(
        "s", space, SweepSettings(), 2, RunSettings(cpus=1, most=1), images, trace_values(space, text, []), {}
    )
    found = make_plan(request, limit=4.0)
    fits = {one["settings"]["search.batch_size"]: one["fits"] for one in found["memory"]["sizes"]}
    assert fits == {16: True, 64: False}
    assert any("will run out of memory: trial 0" in note for note in found["notes"])
    assert "NO" in format_plan(found)


def test_proposals_of_a_plan_are_the_study_s(place: Path) -> None:
    # tests/whole/test_sweep.py compares them with those of a sweep that ran
    space = read_space("quickstart")
    drawn = draw_proposals(space, SweepSettings(seed=11), 12)
    assert drawn == draw_proposals(space, SweepSettings(seed=11), 12)
    assert drawn[1:] != draw_proposals(space, SweepSettings(seed=12), 12)[1:]
    ablation = read_space("cifar10_ablation")
    grid = [tuple(one.hyperparameters.values()) for one in draw_proposals(ablation, SweepSettings(), 8)]
    assert len(set(grid)) == 8, "a whole grid comes once"
    assert list_sizes(read_space("cifar10_paper")) == [{}]


def test_a_line_through_two_batches_foretells_a_third(place: Path) -> None:
    space = read_space(str(place / "tiny.yaml"))
    images = load_dataset(space.data)
    device = torch.device("cpu")
    probe = Probe(lambda: build_search(space, images, device=device, seed=0), device)
    fit = measure(probe, [16, 32, 64], macs=1, seconds=60.0, most_bytes=1e12)
    assert [one.batch for one in fit.samples] == [16, 32, 64]
    short = Fit(fit.samples[:2])
    assert short.at(64).bytes == pytest.approx(fit.at(64).bytes, rel=0.1)
    assert short.basis(64) == "from batch 16 and 32"
    assert fit.basis(64) == "measured"


def sample(batch: int, seconds: float) -> Sample:
    return Sample(
        batch, weights=seconds, alphas=2 * seconds, score=seconds / 2, resident=100.0, added=10.0 * batch
    )


def test_lines() -> None:
    fit = Fit((sample(4, 1.0), sample(8, 1.5)))
    assert fit.at(16).weights == pytest.approx(2.5)
    assert fit.at(6).weights == pytest.approx(1.25)
    assert fit.at(8) == fit.samples[1]
    assert fit.at(16).bytes == 100 + 160
    assert Fit((sample(4, 1.0),)).at(8).bytes == 100 + 80
    assert Fit((sample(4, 1.0),)).at(8).weights == 2.0
    assert not fit.exceeds_memory(64)
    assert Fit(fit.samples, too_large=32).exceeds_memory(64)


def test_a_trial_is_its_steps() -> None:
    space = override(load_space("quickstart"), ["search.batch_size=64", "supernet.k=4"])
    images = load_dataset(space.data)
    splits = split_dataset(images, space.data)
    fit = Fit((sample(64, 1.0),))
    found = forecast_trial(space, fit, fit, splits)
    weights, held_out = len(splits.weights) / 64, len(splits.held_out) / 64
    assert found.search_seconds == pytest.approx(6 * (weights * 1.0 + held_out * 0.5) + 4 * weights * 2.0)
    training = weights + len(splits.alphas) / 64
    assert found.evaluation_seconds == pytest.approx(15 * (training * 1.0 + held_out * 0.5))


def test_a_schedule_is_as_long_as_its_fullest_place() -> None:
    assert max(end_times([3.0, 1.0, 1.0, 1.0], places=2)) == 3.0
    assert max(end_times([1.0, 1.0, 1.0, 3.0], places=2)) == 4.0
    assert max(end_times([2.0] * 5, places=1)) == 10.0
    assert sum(end <= 2.0 for end in end_times([1.0, 1.0, 1.0, 3.0], places=2)) == 3
    assert expected_share(100, [], keep=0.34) == 1.0
    assert expected_share(100, [10, 40], keep=0.5) == pytest.approx((10 + 15 + 15) / 100)


def test_a_published_set_that_is_not_here_is_planned_for_by_its_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    space = override(load_space("fashion_mnist"), [])
    images, note = load_planned_images(space, None, tmp_path / "home")
    assert images.train_images.shape == (60_000, 1, 28, 28)
    assert images.num_classes == SHAPES["fashion_mnist"][0]
    assert "the sweep would fetch it" in str(note)
    assert list(tmp_path.iterdir()) == []
