"""`leaderboard A B`: sweeps side by side, against numbers that are computed here from what was recorded."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from support.made_sweeps import DARTS, PC_DARTS, SMALL, make_sweep

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.comparison import Comparison, compare_sweeps, differing_evaluations
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tasks import CPUS, Outcome

TUNED = [0.70, 0.68, None, 0.74, 0.91, 0.91, 0.60, 0.66, 0.95, 0.50]
"""Scores by trial; None for one that failed."""
TUNED_SECONDS = [100.0, 140.0, 20.0, 90.0, 60.0, 300.0, 100.0, 100.0, 45.0, 45.0]
RANDOM = [(0.60, 0.70, 0.80), (0.72, 0.74, 0.76), (0.90, 0.50, 0.70)]
"""Scores of the three searches of each trial."""


def tuned() -> list[Outcome]:
    found = []
    for score, seconds in zip(TUNED, TUNED_SECONDS, strict=True):
        known: dict[str, Any] = {"seconds": seconds, "metrics": {CPUS: 2.0}}
        if score is None:
            found.append(Outcome("failed", reason="out of memory", **known))
        else:
            cells = {"genotype": PC_DARTS, "genotype_hash": "b", "params": 5, "macs": 9}
            found.append(Outcome("complete", score, **cells, **known))
    return found


def drawn() -> list[Outcome]:
    found = []
    for scores in RANDOM:
        repeats = [
            {"seed": seed, "genotype_hash": "a", "objective": score} for seed, score in enumerate(scores)
        ]
        found.append(
            Outcome(
                "complete",
                statistics.fmean(scores),
                genotype=DARTS,
                genotype_hash="a",
                params=4,
                macs=8,
                seconds=90.0,
                metrics={CPUS: 1.0, "repeats/std": statistics.stdev(scores)},
                repeats=repeats,
            )
        )
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("compared")
    make_sweep(home, "tuned", tuned())
    make_sweep(home, "random", drawn(), (*SMALL, "search.method=random", "repeats=3"))
    make_sweep(home, "longer", (), (*SMALL, "evaluation.epochs=16", "data.held_out=0.2"))
    return home


@pytest.fixture(scope="module")
def compared(home: Path) -> Comparison:
    return compare_sweeps([open_sweep(Where(home), name) for name in ("tuned", "random")])


def test_the_best_after_so_many_trials(compared: Comparison) -> None:
    first, second = compared.courses
    assert compared.points == [1, 2, 3, 4, 8, 10]
    for count in range(1, len(TUNED) + 1):
        best = first.after_trials(count)
        assert best is not None
        assert best.objective == max(score for score in TUNED[:count] if score is not None)
        assert best.trial == TUNED.index(best.objective), "of equal ones the earliest"
        assert (best.std, best.n) == (None, 1)
    assert first.after_trials(len(TUNED) + 1) is None
    for count in range(1, len(RANDOM) + 1):
        best = second.after_trials(count)
        assert best is not None
        means = [statistics.fmean(scores) for scores in RANDOM[:count]]
        assert best.objective == max(means)
        assert best.std == pytest.approx(statistics.stdev(RANDOM[means.index(max(means))]))
        assert best.n == 3


def test_the_best_within_the_same_hours(compared: Comparison) -> None:
    costs = {"tuned": [2 * seconds / 3600 for seconds in TUNED_SECONDS], "random": [90 / 3600] * 3}
    scores = {"tuned": TUNED, "random": [statistics.fmean(each) for each in RANDOM]}
    assert compared.unit == "CPU"
    whole = {name: sum(each) for name, each in costs.items()}
    budgets, expected = compared.budgets, [whole["random"] / 4]
    while expected[-1] * 2 < whole["tuned"]:
        expected.append(expected[-1] * 2)
    assert budgets == pytest.approx([*expected, whole["tuned"]])
    for course in compared.courses:
        for budget in budgets:
            spent, within = 0.0, []
            for cost, score in zip(costs[course.name], scores[course.name], strict=True):
                spent += cost
                if spent <= budget + 1e-12 and score is not None:
                    within.append(score)
            best = course.after_hours(budget)
            assert (None if best is None else best.objective) == max(within, default=None)


def test_all_trials_stand_in_one_order(compared: Comparison, home: Path) -> None:
    rows = [(course.name, trial.record.trial, trial.rank) for course, trial in compared.pooled]
    scored = [("tuned", at, score) for at, score in enumerate(TUNED) if score is not None]
    scored += [("random", at, statistics.fmean(scores)) for at, scores in enumerate(RANDOM)]
    # ties: fewer parameters first, then the order of the sweeps, then numbers
    scored.sort(key=lambda row: (-row[2], row[0] == "tuned", row[1]))
    assert rows[:-1] == [(name, trial, rank) for rank, (name, trial, _) in enumerate(scored, 1)]
    assert rows[-1] == ("tuned", 2, None)
    columns = compared.columns()
    assert list(columns)[:3] == ["rank", "sweep", "trial"]
    assert columns["sweep"] == [name for name, _, _ in rows]
    alone = open_sweep(Where(home), "tuned").records()
    assert [trial for name, trial, _ in rows if name == "tuned"] == [record.trial for record in alone]


def test_the_command_prints_tables_and_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["leaderboard", "tuned", "random", "--home", str(home)]
    assert command_line([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["sweep"], each["method"], each["repeats"]) for each in found["sweeps"]] == [
        ("tuned", "pc-darts", 1),
        ("random", "random", 3),
    ]
    assert [each["trials"] for each in found["sweeps"][1]["after_trials"]] == [1, 2, 3]
    assert found["sweeps"][0]["after_trials"][-1] == {
        "trials": 10,
        "trial": 8,
        "objective": 0.95,
        "std": None,
        "n": 1,
    }
    assert len(found["trials"]) == len(TUNED) + len(RANDOM)
    assert {"sweep", "method", "rank", "trial", "objective"} <= set(found["trials"][0])
    assert any("searches of a trial: 1 in tuned, 3 in random" in note for note in found["notes"])
    assert command_line(words) == 0
    captured = capsys.readouterr()
    lines = [line.split() for line in captured.out.splitlines()]
    assert lines[2] == ["2", "0.7000", "0.7400", "±", "0.0200", "(3)"]
    assert "best within CPU-hours" in captured.out
    assert "note: searches of a trial" in captured.err
    # one sweep alone is what it always was: a list
    assert command_line(["leaderboard", "tuned", "--json", "--home", str(home)]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert isinstance(alone, list)
    assert "sweep" not in alone[0]


def test_compare_draws_curves_and_says_the_same(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["leaderboard", "tuned", "random", "--home", str(home)]) == 0
    board = capsys.readouterr().out
    page = tmp_path / "rivals.html"
    assert command_line(["compare", "tuned", "random", "-o", str(page), "--home", str(home)]) == 0
    out = capsys.readouterr().out
    curves, same = out[: out.index(board)], out[out.index(board) :]
    assert same == board, "what `leaderboard` prints of both comes after the curves"
    # best so far of tuned: .70 .70 .70 .74 .91 .91 .91 .91 .95 .95; of random: .70 .74 .74
    lines = curves.splitlines()
    assert lines[:3] == [
        "best so far over 10 trials, 0.7000 to 0.9500:",
        "  tuned   ▁▁▁▂▇▇▇▇██",
        "  random  ▁▂▂",
    ]
    assert lines[4].startswith("best so far over 0.56 CPU-hours") and lines[5].endswith("█")
    assert "<html" in page.read_text() and "tuned" in page.read_text()
    assert command_line(["compare", "tuned", "random", "--json", "--home", str(home)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert command_line(["leaderboard", "tuned", "random", "--json", "--home", str(home)]) == 0
    assert found == json.loads(capsys.readouterr().out)
    assert command_line(["compare", "tuned", "--home", str(home)]) == 2
    assert "nothing to be compared with" in capsys.readouterr().err


def test_the_report_draws_the_best_so_far(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "rivals.html"
    assert command_line(["report", "tuned", "random", "-o", str(page), "--json", "--home", str(home)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("file") == str(page)
    assert [each["sweep"] for each in told["sweeps"]] == ["tuned", "random"]
    text = page.read_text()
    plots = dict(re.findall(r'<script type="application/json" data-plot="([^"]+)">(.*?)</script>', text))
    first, second = json.loads(plots["best-trials"])["data"]
    so_far = [max(score for score in TUNED[:count] if score is not None) for count in range(1, 11)]
    assert (first["name"], first["x"], first["y"]) == ("tuned", list(range(1, 11)), so_far)
    means = [statistics.fmean(scores) for scores in RANDOM]
    assert second["y"] == [max(means[:count]) for count in (1, 2, 3)]
    first, second = json.loads(plots["best-hours"])["data"]
    assert first["x"] == pytest.approx([sum(TUNED_SECONDS[:count]) * 2 / 3600 for count in range(1, 11)])
    assert second["x"] == pytest.approx([90 / 3600, 180 / 3600, 270 / 3600])
    assert "Method random, 3 searches a trial; 3 of 3 trials ended" in text
    assert text.count("<tr>") > len(TUNED) + len(RANDOM)
    assert "://" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL), "nothing from the network"


def test_sweeps_that_score_differently_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (open_sweep(Where(home), name) for name in ("tuned", "longer"))
    with pytest.raises(UserError, match="cannot be ranked together") as raised:
        compare_sweeps([a, b])
    for text in ("data.held_out 0.15 in tuned, 0.2 in longer", "evaluation.epochs 15 in tuned, 16 in longer"):
        assert text in str(raised.value)
    other = open_sweep(Where(home), "random")
    assert differing_evaluations(a, other) == []
    other.about["data"] = {**other.about["data"], "digest": "others"}
    assert differing_evaluations(a, other) == [
        f"images {a.about['data']['digest']} in tuned, others in random"
    ]
    assert command_line(["leaderboard", "tuned", "longer", "--home", str(home)]) == 2
    assert "evaluation.epochs" in capsys.readouterr().err
    assert command_line(["leaderboard", "tuned", "tuned", "--home", str(home)]) == 2
    assert "named twice" in capsys.readouterr().err


def test_trials_of_several_searches_keep_their_scores_where_sweeps_share_numbers(tmp_path: Path) -> None:
    settings = (*SMALL, "repeats=2")
    for name, scores in (("high", (0.90, 0.91, 0.92)), ("low", (0.60, 0.61, 0.62))):
        ended = [
            Outcome(
                "complete", score, genotype=DARTS, genotype_hash="a", params=4, macs=8, standard_error=0.02,
                repeats=[{"seed": seed, "genotype_hash": "a", "objective": score} for seed in range(2)],
            )
            for score in scores
        ]  # fmt: skip
        make_sweep(tmp_path, name, ended, settings)
    for order in (("high", "low"), ("low", "high")):
        compared = compare_sweeps([open_sweep(Where(tmp_path), name) for name in order])
        assert not any("within the noise" in note for note in compared.notes)
    alone = compare_sweeps([open_sweep(Where(tmp_path), "high")])
    assert any("the accuracy of 3 genotypes" in note for note in alone.notes)


def test_a_sweep_that_has_not_begun_is_empty_not_wrong(home: Path) -> None:
    make_sweep(home, "begun", ())
    both = compare_sweeps([open_sweep(Where(home), name) for name in ("begun", "tuned")])
    assert both.courses[0].after_trials(1) is None
    assert (both.unit, both.budgets) == (None, [])
    assert json.dumps(both.to_dict())
    alone = compare_sweeps([open_sweep(Where(home), "begun")])
    assert (alone.points, alone.pooled) == ([], [])
