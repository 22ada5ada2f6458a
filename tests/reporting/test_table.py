"""Tables for a paper: what stands in a cell, what is refused, and the three forms; sweeps are made without training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.latex import check_latex
from support.made_sweeps import DARTS, PC_DARTS, make_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cli.commands import table as table_command
from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_json
from pcdarts_tune.home import Where
from pcdarts_tune.reporting.table import VALUES, Table, make_table, read_sources, resolve_name
from pcdarts_tune.reporting.table_text import render_csv, render_latex, render_markdown
from pcdarts_tune.spread import Spread
from pcdarts_tune.tasks import CPUS, Outcome

DIGITS = ("data.dataset=digits", "data.held_out=0.15", "retrain.channels=4", "retrain.layers=3")


def outcome(*scores: float) -> Outcome:
    """Of a trial with one search for each score."""
    own = {"genotype": PC_DARTS, "genotype_hash": "aaaaaaaabbbbbbbb", "params": 2_000_000, "macs": 3_000_000}
    repeats = [
        {"seed": n, "genotype_hash": f"{n:08d}", "objective": score, "params": 1_000_000 * n, "macs": 5}
        for n, score in enumerate(scores, 1)
    ]
    many = {"repeats": [{**each, "evaluation_from": None} for each in repeats]} if len(scores) > 1 else {}
    cost = {"metrics": {CPUS: 2.0}, "seconds": 3600.0}
    return Outcome("complete", objective=sum(scores) / len(scores), **own, **many, **cost)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation with eight trials of two searches; one with 16 trials, of which two failed; a sweep of another recipe; one
    with ranges."""
    home = tmp_path_factory.mktemp("tables")
    eight = [outcome(0.90 + n / 100, 0.91 + n / 100) for n in range(8)]
    make_sweep(home, "ablation", eight, DIGITS, space="cifar10_ablation", tracked=False)
    sixteen = [outcome(0.9) if n not in (3, 5) else Outcome("failed", reason="lost") for n in range(16)]
    make_sweep(home, "single", sixteen, DIGITS, space="cifar10_ablation", tracked=False)
    other = (*DIGITS, "evaluation.epochs=3")
    make_sweep(home, "other", [outcome(0.5)], other, space="cifar10_ablation", tracked=False)
    make_sweep(home, "ranges", [outcome(0.5), outcome(0.6)], tracked=False)
    return home


def tabulate(home: Path, *words: str, rows: str = "", columns: str = "", values: str = "") -> Table:
    sources = read_sources(words, Where(home), values.split())
    return make_table(sources, rows.split(), columns.split())


def test_each_search_of_a_cell_counts(home: Path) -> None:
    table = tabulate(home, "ablation", rows="K", columns="edge_normalization")
    assert table.row_values == [(1,), (2,), (4,), (8,)]
    assert table.column_values == [(False,), (True,)]
    assert {spread.n for spread in table.cells.values()} == {2}
    assert table.notes == ()
    # the first trial has the space's own values, and a trial's two searches differ by 0.01
    first = table.cells[(4,), (True,), "accuracy"]
    assert first == Spread((0.9, 0.91))
    assert first.std == pytest.approx(0.01 / 2**0.5)
    assert tabulate(home, "ablation").cells == table.cells, "the settings that differ, if none are named"
    params = tabulate(home, "ablation", rows="supernet.k", columns="EN", values="params cpu_hours")
    assert params.cells[(4,), (True,), "params"].values == (1_000_000, 2_000_000)


def test_what_is_pooled_unequal_or_left_out_is_said(home: Path) -> None:
    table = tabulate(home, "single", rows="K")
    assert {key[0]: spread.n for key, spread in table.cells.items()} != {}
    said = "; ".join(table.notes)
    assert "single: trials without a score are left out (2 failed)" in said
    assert "within cells differ supernet.edge_normalization" in said
    assert "cells have" in said
    assert tabulate(home, "ablation", rows="K", columns="EN trial").notes == ()


def test_several_sweeps_stand_side_by_side_and_only_what_can_be_compared_is_pooled(home: Path) -> None:
    table = tabulate(home, "ablation", "single", rows="K EN", columns="sweep")
    assert table.column_values == [("ablation",), ("single",)]
    pooled = tabulate(home, "ablation", "single", rows="K", columns="EN")
    assert pooled.cells[(4,), (True,), "accuracy"].n == 4
    with pytest.raises(UserError, match=r"cannot be compared: evaluation.epochs 25 in ablation, 3 in other"):
        tabulate(home, "ablation", "other", rows="K")
    apart = tabulate(home, "ablation", "other")
    assert apart.rows == ("sweep",)
    assert any("different recipes" in note for note in apart.notes)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"rows": "K", "columns": "K"}, "supernet.k is in rows and columns"),
        ({"rows": "edge_normalisation"}, "no setting .did you mean 'edge_normalization'"),
        ({"rows": "learning_rate"}, "may mean search.learning_rate, evaluation.learning_rate"),
        ({"values": "gpu_hours"}, "ablation: no complete trial has gpu_hours; there are accuracy,"),
        ({"values": "test_accuracy"}, "ablation: no training of a genotype has test_accuracy"),
    ],
)
def test_mistakes_are_named(home: Path, how: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        tabulate(home, "ablation", **how)


def test_a_name_means_the_setting_that_is_tuned() -> None:
    assert resolve_name("learning_rate", ["search.learning_rate"]) == "search.learning_rate"
    assert resolve_name("lr", []) == "search.learning_rate"
    assert resolve_name("genotype", []) == "genotype"


def test_latex_is_whole_and_escaped(home: Path) -> None:
    table = tabulate(home, "ablation", rows="K", columns="edge_normalization")
    text = render_latex(table, "pcdarts-tune table ablation")
    rows = check_latex(text, 3)
    assert text.startswith("% pcdarts-tune table ablation\n% \\usepackage{booktabs}\n\\begin{table}\n")
    assert r"& \multicolumn{2}{c}{edge normalization} \\" in text
    assert r"\cmidrule(lr){2-3}" in text
    assert r"K & off & on \\" in text
    assert rows[2][2] == r"$90.50 \pm 0.71$ (2)"
    assert all(cell.endswith("$ (2)") for row in rows for cell in row[1:])
    assert r"Mean $\pm$ standard deviation (n) of accuracy (\%); n = 2" in text
    odd = Table(
        ("genotype",), (), [("a_b & 100% #1 {x} \\input ~^|\n",)], [()], ("params",), {"params": "p_x"},
        {(("a_b & 100% #1 {x} \\input ~^|\n",), (), "params"): Spread((1.5e6,))}, ("a\nnote",),
    )  # fmt: skip
    rows = check_latex(render_latex(odd, "x\ny"), 2)
    assert rows[0][1] == "$1.5$ (1)"
    assert r"a\_b \& 100\% \#1 \{x\} \textbackslash{}input \textasciitilde{}\textasciicircum{}" in rows[0][0]


def test_markdown_and_csv(home: Path) -> None:
    table = tabulate(home, "ablation", rows="K", columns="EN")
    lines = render_markdown(table).splitlines()
    assert lines[:2] == ["| K | edge normalization=off | edge normalization=on |", "| --- | ---: | ---: |"]
    assert "90.50 ± 0.71 (2) |" in lines[4]
    rows = list(csv.DictReader(render_csv(table).splitlines()))
    assert list(rows[0]) == ["supernet.k", "supernet.edge_normalization", "mean", "std", "n"]
    assert len(rows) == 8
    assert {row["n"] for row in rows} == {"2"}
    found = next(
        row for row in rows if (row["supernet.k"], row["supernet.edge_normalization"]) == ("4", "True")
    )
    assert float(found["mean"]) == 0.905
    both = list(csv.DictReader(render_csv(tabulate(home, "single", values="accuracy params")).splitlines()))
    assert {row["value"] for row in both} == {"accuracy", "params"}


def test_the_command_writes_by_suffix_and_prints(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["table", "ablation", "--rows", "K", "--columns", "EN", "--home", str(home)]
    for suffix, begins in (
        (".tex", "% pcdarts-tune table ablation --rows K"),
        (".md", "| K |"),
        (".csv", "supernet.k,"),
    ):
        file = tmp_path / f"out{suffix}"
        assert cli.run([*words, "-o", str(file)]) == 0
        assert file.read_text(encoding="utf-8").startswith(begins)
    assert capsys.readouterr().out == ""
    assert cli.run([*words, "-o", str(tmp_path / "out.pdf")]) == 2
    assert "must end in .tex, .md, .csv" in capsys.readouterr().err
    assert cli.run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {cell["n"] for cell in found["cells"]} == {2}
    assert found["cells"][0]["row"] == {"supernet.k": 1}
    assert cli.run(words) == 0
    assert "edge normalization=on" in capsys.readouterr().out
    assert cli.run(["table", "ranges", "--rows", "lr", "--home", str(home)]) == 0
    assert cli.run(["table", "nothing", "--home", str(home)]) == 2


def model(folder: Path, cells: dict[str, object], **origin: object) -> None:
    folder.mkdir(parents=True)
    write_json(folder / "genotype.json", cells)
    result = {"test_accuracy": origin.pop("test"), "validation_accuracy": origin.pop("held_out", None)}
    write_json(folder / "model.json", {"origin": {"result": result, "cost": {"params": 3e6}, **origin}})


def test_trainings_of_folders_and_promotions(home: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    for seed, test in enumerate((0.97, 0.98)):
        about = {"setting": "s", "settings": {"retrain": {"epochs": 600}}}
        model(cells / f"seed-{seed}", PC_DARTS, genotype="PC_DARTS_cifar", test=test, **about)
        model(cells / "random-1" / f"seed-{seed}", DARTS, genotype="random-1", test=0.96, **about)
    (cells / "seed-9").mkdir()
    (cells / "seed-9" / "model.json").write_text("{")
    table = tabulate(home, str(cells), values="test_accuracy params")
    assert table.rows == ("genotype",)
    assert table.cells[("PC_DARTS_cifar",), (), "test_accuracy"].values == (0.97, 0.98)
    assert table.cells[("random-1",), (), "params"].mean == 3e6
    assert tabulate(home, str(cells), rows="retrain.epochs genotype").row_values[0] == (600, "PC_DARTS_cifar")
    text = render_latex(table, "")
    assert r"PC\_DARTS\_cifar & $97.50 \pm 0.71$ (2) & $3 \pm 0$ (2) \\" in text
    promotions = home / "sweeps" / "ablation" / "promotions"
    for n, trial in enumerate((0, 0, None)):
        model(
            promotions / f"{n}",
            PC_DARTS if trial == 0 else DARTS,
            trial=trial,
            setting="s",
            test=None,
            held_out=0.9,
        )
    table = tabulate(home, "ablation", values="held_out_accuracy")
    assert table.row_values[0] == ("trial 0",)
    assert [spread.n for spread in table.cells.values()] == [2, 1]
    assert tabulate(home, "ablation", rows="K", values="held_out_accuracy").row_values == [(4,), (None,)]
    model(cells / "seed-3", PC_DARTS, genotype="PC_DARTS_cifar", setting="other", test=0.9)
    with pytest.raises(UserError, match="different recipes or images"):
        tabulate(home, str(cells))


def test_a_leaderboard_as_csv(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["leaderboard", "ablation", "--csv", "--home", str(home)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, 9)]
    best = rows[0]
    assert (float(best["objective"]), best["searches"], best["sweep"]) == (
        pytest.approx(0.975),
        "2",
        "ablation",
    )
    assert best["supernet.k"] in ("1", "2", "4", "8")
    assert float(best["cpu_hours"]) == 2.0
    assert read_genotype(best["genotype"]).to_dict() == PC_DARTS
    assert cli.run(["leaderboard", "ablation", "single", "--csv", "--home", str(home)]) == 0
    both = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(both) == 24
    assert {row["sweep"] for row in both} == {"ablation", "single"}
    failed = [row for row in both if row["state"] == "failed"]
    assert [(row["reason"], row["objective"], row["genotype"]) for row in failed] == [("lost", "", "")] * 2
    assert cli.run(["leaderboard", "ablation", "--csv", "--json", "--home", str(home)]) == 2


def test_the_command_offers_every_value() -> None:
    assert table_command.VALUES == VALUES
