"""Tables of known accuracies: what is read, shown, and refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from support.made_sweeps import DARTS, PC_DARTS, make_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED, random_genotype, read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.places import place_at
from pcdarts_tune.sweeps.benchmark import FILE, Benchmark, look_up, read_benchmark
from pcdarts_tune.sweeps.leaderboard import add_known, leaderboard_columns, rank_trials
from pcdarts_tune.tasks import Outcome, TrialRecord

ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
OTHER = "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
TABLE = f"""index,arch,cifar10_val12,cifar10_val200_s0,cifar10_val200_s1,cifar100_val200_s0,params_M
0,{ARCH},82.834,90.5,91.5,70.24,0.802426
1,{OTHER},61.5,75.25,,40.125,0.1
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(TABLE.encode()))
    return path


def record(number: int, genotype: dict[str, object] | None, objective: float | None) -> TrialRecord:
    read = None if genotype is None else read_genotype(genotype)
    return TrialRecord(
        trial=number,
        state="failed" if objective is None else "complete",
        hyperparameters={},
        genotype=genotype,
        genotype_hash=None if read is None else read.canonical_hash(),
        objective=objective,
    )


def test_seeds_are_averaged_over_those_that_a_row_has(table: Path) -> None:
    read = Benchmark.read(table)
    assert read.columns == ("cifar10_val12", "cifar10_val200", "cifar100_val200", "params_M")
    assert read.averaged == ("cifar10_val200", "cifar100_val200") == read.choose()
    known = read.known(read_genotype(ARCH))
    assert known == pytest.approx(
        {"cifar10_val12": 82.834, "cifar10_val200": 91.0, "cifar100_val200": 70.24, "params_M": 0.802426}
    )
    assert (read.known(read_genotype(OTHER)) or {})["cifar10_val200"] == 75.25
    assert read.known(PUBLISHED["DARTS_V2"]) is None
    assert read.objective_column("cifar10") == "cifar10_val200"
    assert read.objective_column("digits", "cifar10_val12") == "cifar10_val12"


def test_known_accuracies_stand_beside_the_trials(table: Path) -> None:
    read, shown = read_benchmark(table, "cifar10_val200,params_M")
    unknown = random_genotype(3, family="nasbench201").to_dict()
    records = [record(0, {"arch": OTHER}, 0.9), record(1, unknown, 0.5), record(2, None, None)]
    board = add_known(rank_trials(records), read)
    columns = leaderboard_columns(board, [], "accuracy", shown)
    assert columns["cifar10_val200"] == ["75.25", "", ""]
    assert columns["params_M"] == ["0.1", "", ""]
    assert list(columns)[4:6] == ["cifar10_val200", "params_M"]
    known = [trial.to_dict()["known"] for trial in board]
    assert (known[0]["cifar10_val12"], *known[1:]) == (61.5, None, None)
    assert all("known" not in trial.to_dict() for trial in add_known(rank_trials(records), None))


def test_the_objective_is_looked_up_as_a_share_of_one(table: Path, tmp_path: Path) -> None:
    place = place_at(tmp_path / "kept")
    with pytest.raises(UserError, match="keeps no table"):
        look_up(place, read_genotype(ARCH))
    Benchmark.read(table).keep("cifar10_val200", place)
    assert json.loads((tmp_path / "kept" / FILE).read_text())["column"] == "cifar10_val200"
    assert look_up(place, read_genotype(ARCH)) == ("cifar10_val200", 0.91)
    with pytest.raises(ValueError, match="no value of this cell"):
        look_up(place, PUBLISHED["NASNet"])


@pytest.mark.parametrize(
    ("content", "truth", "says"),
    [
        ("a,b\n1,2\n", None, "no column holds a cell"),
        (f"arch\n{ARCH}\n", None, "no column holds numbers"),
        (f"arch,x\n{ARCH[:-5]},1\n", None, ":2: "),
        (f"arch,accuracy\n{ARCH},1\n", "acuracy", "did you mean 'accuracy'"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, content: str, truth: str | None, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=says):
        read_benchmark(path, truth)


def test_a_column_without_a_table_and_an_unclear_objective_are_refused(table: Path) -> None:
    with pytest.raises(UserError, match="names a column of no file"):
        read_benchmark(None, "accuracy")
    with pytest.raises(UserError, match="which column is to be maximised"):
        Benchmark.read(table).objective_column("digits")


def test_known_accuracies_stand_beside_the_trials_of_several_sweeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, table = tmp_path / "home", tmp_path / "cells.json"
    make_sweep(home, "a", [Outcome("complete", 0.7, genotype=DARTS, genotype_hash="a", params=1, macs=1)])
    make_sweep(home, "b", [Outcome("complete", 0.8, genotype=PC_DARTS, genotype_hash="b", params=1, macs=1)])
    rows = [{"genotype": "DARTS_V2", "error": 2.83}, {"genotype": PC_DARTS, "error": 2.57}]
    table.write_text(json.dumps(rows))
    words = ["leaderboard", "a", "b", "--benchmark", str(table), "--home", str(home)]
    assert cli.run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in lines[-2:]] == ["2.57", "2.83"]
    assert cli.run([*words, "--json"]) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert [trial["known"] for trial in trials] == [{"error": 2.57}, {"error": 2.83}]
    assert cli.run([*words, "--truth", "eror"]) == 2
    assert "did you mean 'error'" in capsys.readouterr().err
