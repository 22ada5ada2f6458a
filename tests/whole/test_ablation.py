"""Issue 13, "It must show" 3: `cifar10_ablation --repeats 2` on the digits becomes a LaTeX table in which every cell has n = 2.

Scaled down: two values of K instead of four, and tiny networks.
"""

from __future__ import annotations

import csv
from pathlib import Path

from support.commands import run_json
from support.latex import check_latex

from pcdarts_tune.cli import group as cli

TINY = (
    "data.dataset=digits", "data.held_out=0.15", "tune.supernet.k={type: categorical, choices: [2, 4]}",
    "supernet.channels=8", "supernet.layers=3", "search.epochs=1", "search.arch_warmup_epochs=0", "search.batch_size=128",
    "evaluation.channels=4", "evaluation.layers=3", "evaluation.epochs=1", "evaluation.batch_size=128",
)  # fmt: skip


def test_an_ablation_becomes_a_table_with_two_searches_in_every_cell(tmp_path: Path) -> None:
    home, settings = tmp_path / "home", [word for setting in TINY for word in ("--set", setting)]
    words = [
        "sweep",
        "--space",
        "cifar10_ablation",
        "--repeats",
        "2",
        "--name",
        "ablation",
        "--home",
        str(home),
    ]
    board = run_json([*words, *settings, "--json"])
    assert [trial["state"] for trial in board] == ["complete"] * 4, "each combination once, without --trials"
    assert len({repeat["seed"] for trial in board for repeat in trial["repeats"]}) == 8
    for name in ("ablation.tex", "ablation.csv"):
        words = [
            "table",
            "ablation",
            "--rows",
            "K",
            "--columns",
            "edge_normalization",
            "-o",
            str(tmp_path / name),
        ]
        assert cli.run([*words, "--home", str(home)]) == 0
    rows = check_latex((tmp_path / "ablation.tex").read_text(encoding="utf-8"), 3)
    assert [row[0] for row in rows] == ["2", "4"]
    assert all(cell.endswith("$ (2)") and r"\pm" in cell for row in rows for cell in row[1:])
    with (tmp_path / "ablation.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert {(row["supernet.k"], row["supernet.edge_normalization"]): row["n"] for row in found} == {
        (k, on): "2" for k in ("2", "4") for on in ("True", "False")
    }
    means = {trial["trial"]: trial["objective"] for trial in board}
    assert sorted(float(row["mean"]) for row in found) == sorted(means.values())
