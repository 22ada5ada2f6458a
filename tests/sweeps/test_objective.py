"""What a space names as its objective: by flag and file, in a trial, with several seeds, and for classes of unequal size."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import click
import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.trial_tasks import Killed, task

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.cli.option_groups import goal_options
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets import DataSet, load_dataset, split_dataset
from pcdarts_tune.datasets.load import load_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.models import load_model
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.trials.log import EvaluationCache
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.tasks import Outcome

SETTINGS = (
    "search.method=random",  # nothing is searched: a trial is its evaluation
    "data.test_fraction=0.7",
    "evaluation.epochs=3",
    "evaluation.channels=4",
)
GOOD, DEFECT = 184, 16
"""Images of either class, 92 % and 8 %."""


def space_with(*settings: str, name: str = "quickstart") -> Space:
    return read_space(name, (*SETTINGS, *settings))


@pytest.fixture(scope="module")
def images() -> DataSet:
    return load_dataset(space_with().data)


def run(
    space: Space, images: DataSet, place: Path, report: Any = None
) -> tuple[Outcome, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    told = task(space, place, seed=3, hyperparameters={})
    outcome = run_trial(told, images, report or records.append)
    return outcome, [record for record in records if record.get("stage") == "evaluation"]


def test_a_space_names_its_score_and_older_spaces_mean_accuracy() -> None:
    values = space_with().model_dump(mode="json")
    assert values["objective"] == "accuracy" and values["evaluation"]["seeds"] == 1
    for gone in ("objective", "repeats"):
        values.pop(gone)
    for section in ("search", "evaluation", "retrain"):
        for key in ("class_weights", "sampling", "seeds"):
            values[section].pop(key, None)
    assert Space.model_validate(values) == space_with()
    assert Space.model_validate({**values, "objective": "evaluation_accuracy"}) == space_with()
    with pytest.raises(UserError, match="los"):
        space_with("objective=los")
    with pytest.raises(UserError, match="both balanced, which counts rare classes twice"):
        space_with("retrain.class_weights=balanced", "retrain.sampling=balanced")


def test_digests_of_recipes_stay_those_of_before(images: DataSet, tmp_path: Path) -> None:
    plain = identity(space_with().evaluation)
    assert not {"seeds", "class_weights", "sampling"} & set(plain)
    assert identity(space_with("evaluation.seeds=2").evaluation) == {**plain, "seeds": 2}

    def name(*settings: str) -> str:
        space = space_with(*settings)
        told = task(space, tmp_path)
        return EvaluationCache.of(told, space, PUBLISHED["PC_DARTS_cifar"], images.digest).name

    others = ("objective=loss", "evaluation.seeds=2", "evaluation.sampling=balanced")
    assert len({name(), *map(name, others)}) == 4, "each is evaluated on its own"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--objective", "loss"], {"objective": "loss", "objectives": ["accuracy"]}),
        (["--objective", "accuracy", "--objective", "latency"], {"objective": "accuracy", "objectives": ["accuracy", "latency"]}),
        (["--objective", "macs", "--objective", "balanced_accuracy"],
         {"objective": "balanced_accuracy", "objectives": ["macs", "accuracy"]}),
        ([], {}),
    ],
)  # fmt: skip
def test_the_flag_names_a_score_and_sizes_beside_it(flags: list[str], expected: dict[str, Any]) -> None:
    found: dict[str, Any] = {}

    @click.command()
    @goal_options
    def command(goals: Any) -> None:
        found.update({goal.key: goal.value for goal in goals})

    assert CliRunner().invoke(command, flags).exit_code == 0
    assert found == expected
    twice = CliRunner().invoke(command, ["--objective", "loss", "--objective", "accuracy"])
    assert twice.exit_code == 2 and "a trial has one score" in twice.output
    assert "'loss'" in CliRunner().invoke(command, ["--objective", "los"]).output


@pytest.mark.parametrize("objective", ["mean_accuracy", "loss", "balanced_accuracy", "train_accuracy"])
def test_a_trial_ends_with_the_score_that_its_space_names(
    objective: str, images: DataSet, tmp_path: Path
) -> None:
    space = space_with(f"objective={objective}")
    outcome, records = run(space, images, tmp_path)
    held_out = split_dataset(images, space.data).held_out
    n, last = len(held_out), records[-1]
    assert outcome.held_out["images"] == n == last["held_out"]["images"]
    by_class = last["held_out"]["by_class"]
    assert [count for _, count in by_class] == np.bincount(
        images.train_labels[held_out], minlength=10
    ).tolist()
    recalls = [(right / count, count) for right, count in by_class]
    accuracy, trained = last["accuracy"], last["trained_images"]
    expected = {
        "mean_accuracy": (
            accuracy,
            math.sqrt(accuracy * (1 - accuracy) / n),
        ),  # a third of 3 epochs is the last
        "loss": (-last["metrics"]["evaluation/loss_held_out"], last["held_out"]["loss_std"] / math.sqrt(n)),
        "balanced_accuracy": (
            statistics.fmean(r for r, _ in recalls),
            math.sqrt(sum(r * (1 - r) / count for r, count in recalls)) / 10,
        ),
        "train_accuracy": (
            last["metrics"]["evaluation/acc_train"],
            math.sqrt((a := last["metrics"]["evaluation/acc_train"]) * (1 - a) / trained),
        ),
    }
    assert (outcome.objective, outcome.standard_error) == pytest.approx(expected[objective])
    assert trained == len(images.train_labels) - n


def test_the_images_that_count_are_those_of_the_split_that_was_made(images: DataSet, tmp_path: Path) -> None:
    """More images than a third cannot be held out, whatever a space written for CIFAR says."""
    space = space_with("data.held_out=5000")
    outcome, _ = run(space, images, tmp_path)
    n = len(split_dataset(images, space.data).held_out)
    assert outcome.held_out["images"] == n < 0.2 * len(images.train_labels)
    assert outcome.objective is not None
    assert outcome.standard_error == pytest.approx(math.sqrt(outcome.objective * (1 - outcome.objective) / n))


def test_an_evaluation_with_several_seeds_goes_on_where_it_stopped(images: DataSet, tmp_path: Path) -> None:
    space = space_with("evaluation.seeds=2")
    whole, records = run(space, images, tmp_path / "whole")
    assert [(record["seed"], record["epoch"], record["epochs"]) for record in records] == [
        (number // 3, number, 6) for number in range(6)
    ]
    ends = [records[2]["accuracy"], records[5]["accuracy"]]
    assert records[0]["metrics"]["evaluation/loss_train"] != records[3]["metrics"]["evaluation/loss_train"]
    assert whole.objective == pytest.approx(statistics.fmean(ends))
    assert whole.seed_std == pytest.approx(statistics.stdev(ends)) and whole.held_out["seeds"] == 2
    one, alone = run(space_with(), images, tmp_path / "one")
    assert [record["accuracy"] for record in alone] == [record["accuracy"] for record in records[:3]]
    assert one.objective == ends[0] and one.seed_std is None

    for stop in (2, 3, 4):  # within the first training, between the two, within the second
        place, seen = tmp_path / f"stopped-{stop}", []

        def report(record: dict[str, Any], stop: int = stop, seen: list[Any] = seen) -> None:
            seen.extend([record] if record["kind"] == "epoch" else [])
            if len(seen) == stop:
                raise Killed

        with pytest.raises(Killed):
            run(space, images, place, report)
        again, _ = run(space, images, place)
        assert (again.objective, again.seed_std) == (whole.objective, whole.seed_std)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey squares, a few of them with a bright spot: `defect`."""
    root, draw = tmp_path_factory.mktemp("imbalanced") / "data", np.random.default_rng(0)
    for split, share in (("train", 1.0), ("test", 0.5)):
        for name, count in (("good", int(GOOD * share)), ("defect", int(DEFECT * share))):
            place = root / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 120, (8, 8)).astype(np.uint8)
                if name == "defect":
                    pixels[2:6, 2:6] += 100
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


IMBALANCED = (
    "data.dataset=folder", "data.held_out=0.25", "retrain.channels=4", "retrain.layers=3", "retrain.epochs=2",
    "retrain.batch_size=16", "retrain.drop_path=0.0", "retrain.augment.cutout=0",
)  # fmt: skip


def test_a_trial_on_unequal_classes_is_scored_by_both(folder: Path, tmp_path: Path) -> None:
    space = space_with(*IMBALANCED, "objective=balanced_accuracy", "evaluation.sampling=balanced")
    images = load_images(space, folder, tmp_path, quiet=True)
    outcome, records = run(space, images, tmp_path / "trial")
    assert outcome.held_out["majority"] == 46 / 50 and outcome.held_out["images"] == 50
    by_class = dict(zip(images.classes, records[-1]["held_out"]["by_class"], strict=True))
    assert (by_class["good"][1], by_class["defect"][1]) == (46, 4)
    assert outcome.objective == pytest.approx((by_class["good"][0] / 46 + by_class["defect"][0] / 4) / 2)


def test_a_retraining_says_the_recall_of_every_class(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for text in (*IMBALANCED, "retrain.class_weights=balanced") for word in ("--set", text)]
    home, model = ["--home", str(tmp_path / "home")], str(tmp_path / "model")
    command = [
        "retrain",
        "PC_DARTS_cifar",
        "--space",
        "quickstart",
        "--data",
        str(folder),
        "-o",
        model,
        *settings,
        *home,
    ]
    assert command_line([*command, "--track"]) == 0
    said = capsys.readouterr().out
    assert "(majority class 92 %, balanced accuracy" in said and " ± " in said
    assert command_line([*command, "--track", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)

    # every test image anew, one by one, from its file
    loaded, right = load_model(Path(model)), {"good": 0, "defect": 0}
    for file in sorted(folder.glob("test/*/*.png")):
        right[file.parent.name] += loaded.predict([file])[0].class_name == file.parent.name
    rows = {row["class"]: row for row in done["test_scores"]["by_class"]}
    assert {name: row["images"] for name, row in rows.items()} == {"good": GOOD // 2, "defect": DEFECT // 2}
    recalls = {name: right[name] / rows[name]["images"] for name in right}
    assert {name: row["recall"] for name, row in rows.items()} == recalls
    assert done["test_scores"]["balanced_accuracy"] == pytest.approx(statistics.fmean(recalls.values()))
    assert done["test_accuracy"] == pytest.approx(sum(right.values()) / 100)
    assert done["held_out_scores"]["majority"] == 0.92

    client = mlflow.MlflowClient(default_tracking_uri(tmp_path / "home"))
    metrics = client.get_run(done["run_id"]).data.metrics
    assert {name: metrics[f"test_recall/{name}"] for name in recalls} == recalls
    assert metrics["held_out/majority"] == 0.92
    table = json.loads(
        Path(client.download_artifacts(done["run_id"], "classes.json", str(tmp_path))).read_text()
    )
    assert table["columns"] == ["class", "held_out images", "held_out recall", "test images", "test recall"]
    assert (
        dict(zip(table["columns"], table["data"][0], strict=True))["test recall"]
        == recalls[table["data"][0][0]]
    )
