"""Small things that commands say: columns of a comparison, seeds, bounds, counts, hints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pcdarts_tune.cli import run
from pcdarts_tune.cli.results import print_comparison
from pcdarts_tune.cli.show import _text
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets.load import load_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.promotion.candidates import Candidate
from pcdarts_tune.promotion.comparison import CandidateResult, TrainingResult
from pcdarts_tune.spaces.load import load_space, read_space
from pcdarts_tune.spaces.space import DataConfig
from pcdarts_tune.training.work import Retrained, Retraining


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("search.learning_rate=-1", "-1 is not legal; must be above 0 and at most 10"),
        ("search.learning_rate=11", "11 is not legal; must be above 0 and at most 10"),
        ("search.momentum=1.5", "1.5 is not legal; must be at least 0 and below 1"),
        ("search.epochs=0", "0 is not legal; must be at least 1 and at most 10000"),
        ("search.arch_grad_clip=-2", "-2 is not legal; must be above 0 and at most 1000000 or null"),
        ("search.batch_size=abc", "'abc' is not legal; must be a whole number, at least 2 and at most 65536"),
    ],
)
def test_a_bound_is_said_once(setting: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_space("cifar10", [setting])
    assert str(error.value).endswith(says), str(error.value)


def test_spaces_takes_settings_and_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PCDARTS_TUNE_SET", "search.epochs=40 retrain.epochs=7")
    assert run(["spaces", "cifar10", "--set", "search.epochs=44", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["search"]["epochs"], shown["retrain"]["epochs"]) == (44, 7)
    assert run(["spaces", "--set", "search.epochs=44"]) == 2
    assert "--set changes one space" in capsys.readouterr().err
    assert run(["spaces", "cifar10", "--set", "search.epochs=0"]) == 2
    assert "--set search.epochs=0: search.epochs: 0 is not legal" in capsys.readouterr().err


def test_a_name_that_is_a_file_without_its_suffix_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("name: mine\n", encoding="utf-8")
    assert run(["spaces", "mine"]) == 2
    assert "mine.yaml for the file" in capsys.readouterr().err


def test_seeds_are_printed_as_commands_take_them() -> None:
    assert _text("seed", 1234567) == _text("data.split_seed", 1234567) == "1234567"
    assert _text("params", 1234567) == "1,234,567"
    assert _text("seed", None) == "-"


def test_a_column_of_zeros_is_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    cells, space = PUBLISHED["PC_DARTS_cifar"], load_space("quickstart")

    def result(name: str, *accuracies: float) -> CandidateResult:
        trainings = [
            TrainingResult(
                Retraining(space, cells, None, seed),  # type: ignore[arg-type]  # no image is looked at
                Retrained(Path(), None, None, accuracy, 1, 1.0, "w"),
            )
            for seed, accuracy in enumerate(accuracies)
        ]
        return CandidateResult(Candidate(name, "candidate", cells), tuple(trainings))

    results = [result("first:0", 0.0, 0.1, 0.0), result("first:1", 0.0, 0.0, 0.2)]
    assert results[0].held_out.interval and results[0].held_out.interval[0] == 0
    print_comparison(results, "first:0")
    head = capsys.readouterr().out.splitlines()[0]
    assert "95 % low" in head and "95 % high" in head and "std" in head
    assert "diverged" not in head and "test" not in head


@pytest.mark.parametrize("limit", [8.0, 1e-9], ids=["in memory", "streamed"])
def test_progress_counts_every_image_once(limit: float, tmp_path: Path) -> None:
    for split, count in (("train", 40), ("test", 20)):
        for number in range(count):
            folder = tmp_path / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number).save(folder / f"{number}.png")
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    said: list[tuple[int, int]] = []
    data = DataConfig(dataset="folder", max_unreadable=0.1, memory_limit_gb=limit)
    load_dataset(data, tmp_path, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (60, 60)
    assert {total for _, total in said} == {60}
    assert [done for done, _ in said] == sorted(done for done, _ in said)
