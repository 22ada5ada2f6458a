"""NAS-Bench-201's cells through the commands: a real sweep on digits, its promotion, and known accuracies beside its trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.commands import run_json

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import FAMILIES, random_genotype, read_genotype

SETTINGS = (
    "data.dataset=digits", "data.image_size=8", "data.held_out=0.2", "data.weights_fraction=null",
    "data.alphas_fraction=null", "supernet.channels=4", "search.epochs=1", "search.arch_warmup_epochs=0",
    "search.augment.crop_padding=1", "evaluation.channels=4", "evaluation.epochs=1", "evaluation.augment.crop_padding=1",
    "retrain.channels=4", "retrain.layers=5", "retrain.epochs=1", "retrain.augment.crop_padding=1",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A home, and a table that knows the accuracy of every cell."""

    home: Path
    table: Path
    board: list[dict[str, Any]]

    def run(self, *arguments: str) -> int:
        return command_line([*arguments, "--home", str(self.home)])


def sweep(home: Path, name: str, *more: str) -> list[dict[str, Any]]:
    changes = [part for setting in SETTINGS for part in ("--set", setting)]
    start = ["sweep", "--space", "nasbench201_cpu", "--name", name, *changes, *more]
    found: list[dict[str, Any]] = run_json([*start, "--home", str(home), "--json", "-q"])
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("nasbench201")
    operations = FAMILIES["nasbench201"].primitives
    rows = []
    for number in range(len(operations) ** 6):
        names = [operations[number // len(operations) ** edge % len(operations)] for edge in range(6)]
        a, b, c, d, e, f = names
        rows.append(
            f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|,{50 + 40 * names.count('skip_connect') / 6:.3f},"
        )
    table = folder / "table.csv"
    table.write_text("arch,digits_s0,digits_s1\n" + "\n".join(rows) + "\n")
    return Place(folder / "home", table, sweep(folder / "home", "cells", "--trials", "2"))


def test_a_sweep_finds_cells_and_one_is_promoted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["state"] for entry in place.board] == ["complete"] * 2
    genotypes = [read_genotype(entry["genotype"]) for entry in place.board]
    assert {genotype.family for genotype in genotypes} == {"nasbench201"}
    assert place.run("promote", "cells", "--json", "-q") == 0
    promoted = json.loads(capsys.readouterr().out)
    assert 0 <= promoted["test_accuracy"] <= 1
    image = place.home / "digit.png"
    Image.new("L", (8, 8), 128).save(image)
    assert place.run("predict", "cells@champion", str(image), "--json") == 0
    assert json.loads(capsys.readouterr().out)["probability"] >= 0.1
    assert place.run("draw", "cells:0", "--cell", "cell", "-o", str(place.home / "cell.svg")) == 0
    assert "Cell: node 1 = " in (place.home / "cell.svg").read_text()
    assert place.run("diff", "cells:0", "cells:1", "-o", str(place.home / "diff.svg")) == 0
    assert place.run("draw", str(genotypes[0]), "-o", str(place.home / "again.svg")) == 0


def test_known_accuracies_stand_in_leaderboard_and_report(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.run("leaderboard", "cells", "--benchmark", str(place.table), "--json") == 0
    for entry in json.loads(capsys.readouterr().out):
        assert entry["known"]["digits"] == pytest.approx(50 + 40 * entry["skip_connections"] / 6, abs=1e-3)
    assert place.run("leaderboard", "cells", "--benchmark", str(place.table)) == 0
    assert "digits" in capsys.readouterr().out.splitlines()[0]
    page = place.home / "report.html"
    assert place.run("report", "cells", "--benchmark", str(place.table), "-o", str(page)) == 0
    text = page.read_text()
    assert "<th>digits" in text.replace(' class="num"', "")
    assert "Weights in each epoch" in text
    assert "0 \\u2192 1" in text


def test_a_sweep_can_aim_at_the_table(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    aims = ("--objective", "benchmark", "--method", "random", "--trials", "3")
    board = sweep(place.home, "aims", *aims, "--benchmark", str(place.table))
    for entry in board:
        assert entry["objective"] == pytest.approx(0.5 + 0.4 * entry["skip_connections"] / 6, abs=1e-5)
    assert board[0]["objective"] == max(entry["objective"] for entry in board)
    assert place.run("sweep", "--space", "nasbench201_cpu", "--objective", "benchmark", "--trials", "1") == 2
    assert "needs a table of known accuracies" in capsys.readouterr().err


def test_a_genotype_of_another_family_is_not_trained(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = str(random_genotype(0, family="nasbench201"))
    assert (
        place.run("retrain", cell, "--space", "quickstart", "-o", str(place.home / "wrong"), "--no-track")
        == 2
    )
    assert "trains cells of DARTS, and this genotype is of NAS-Bench-201" in capsys.readouterr().err
