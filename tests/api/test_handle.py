"""The handle of a sweep, the drawing and the space, over sweeps that were made without training."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.made_sweeps import FOUND, make_sweep

import pcdarts_tune as pt
from pcdarts_tune.core.genotype import PUBLISHED, random_genotype
from pcdarts_tune.tasks import Outcome


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_sweep(home, "made", FOUND, tracked=False)
    return home


@pytest.fixture
def sweep(home: Path) -> pt.Sweep:
    return pt.open_sweep("made", home=home)


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = ("click", "mlflow", "optuna", "pandas", "pydantic", "ray", "torch")
    script = (
        f"import sys, pcdarts_tune as pt; print(dir(pt)); assert not [m for m in {heavy} if m in sys.modules]"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in pt.__all__)


def test_every_name_is_there() -> None:
    assert all(getattr(pt, name).__doc__ for name in pt.__all__)
    with pytest.raises(AttributeError, match="swep"):
        pt.swep  # noqa: B018


def test_the_leaderboard_is_a_frame(sweep: pt.Sweep) -> None:
    frame = sweep.leaderboard()
    assert list(frame.columns[:5]) == ["rank", "trial", "state", "objective", "standard_error"]
    assert list(frame.trial) == [1, 0, 2]
    assert list(frame.state) == ["complete", "complete", "failed"]
    assert frame["rank"].isna().sum() == 1
    assert frame.objective.dtype == "float64"
    assert frame.params.dtype == "Int64"
    assert {"supernet.k", "search.learning_rate"} <= set(frame.columns)
    assert frame.genotype[0] == PUBLISHED["PC_DARTS_cifar"]
    assert frame.reason[2] == "out of memory"
    assert not {"spread", "latency", "pareto"} & set(frame.columns), "nobody has any"


def test_a_sweep_without_trials_has_an_empty_leaderboard(tmp_path: Path) -> None:
    make_sweep(tmp_path, "empty", (), tracked=False)
    empty = pt.open_sweep("empty", home=tmp_path)
    assert empty.leaderboard().empty
    assert "no trials" in empty._repr_html_()
    with pytest.raises(pt.WorkFailed, match="no complete trial"):
        empty.best  # noqa: B018


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: SQLite waits for a disk 200 times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_the_leaderboard_of_200_trials_takes_less_than_2_seconds(memory: Path) -> None:
    cells = [random_genotype(seed) for seed in range(200)]
    outcomes = [
        Outcome(
            "complete",
            objective=0.5 + seed / 1000,
            genotype=cell.to_dict(),
            genotype_hash=cell.canonical_hash(),
        )
        for seed, cell in enumerate(cells)
    ]
    make_sweep(memory, "many", outcomes, tracked=False)
    begun = time.process_time()  # other tests may have the cores
    frame = pt.open_sweep("many", home=memory).leaderboard()
    assert time.process_time() - begun < 2
    assert list(frame.objective) == sorted(frame.objective, reverse=True)
    assert len(frame) == 200


def test_the_best_trial_goes_where_a_genotype_goes(sweep: pt.Sweep) -> None:
    best = sweep.best
    assert (str(best), best.number, best.objective) == ("made:1", 1, 0.9)
    assert best.genotype == PUBLISHED["PC_DARTS_cifar"]
    assert pt.draw(best).svg == pt.draw("PC_DARTS_cifar").svg == best._repr_svg_()
    assert (
        sweep.trial(0).hyperparameters["supernet.k"]
        == sweep.leaderboard().set_index("trial").loc[0, "supernet.k"]
    )
    with pytest.raises(pt.UserError, match="no trial 9"):
        sweep.trial(9)


def test_the_study_is_for_reading(sweep: pt.Sweep) -> None:
    study = sweep.study
    assert study.best_value == 0.9
    assert len(study.trials) == 3
    assert isinstance(study.trials_dataframe(), pd.DataFrame)
    for change in (
        study.ask,
        lambda: study.set_user_attr("a", 1),
        lambda: study.enqueue_trial({"supernet.k": 1}),
    ):
        with pytest.raises(pt.UserError, match="for reading"):
            change()
    assert len(sweep.study.trials) == 3


def test_a_report_says_what_it_shows(sweep: pt.Sweep, tmp_path: Path) -> None:
    report = sweep.report(tmp_path / "made.html")
    assert report.path.read_text().startswith("<!")
    assert report.to_dict()["best"]["trial"] == 1
    assert "made.html" in report._repr_html_()


def test_a_notebook_shows_the_sweep(sweep: pt.Sweep) -> None:
    shown = sweep._repr_html_()
    assert "<b>made</b>, space quickstart: 2 complete, 1 failed" in shown
    assert shown.count("<tr>") == 4
    assert "<svg" in shown
    assert repr(sweep) == "<sweep made, space quickstart: 2 complete, 1 failed>"


def test_a_drawing_shows_and_saves_itself(tmp_path: Path) -> None:
    genotype = PUBLISHED["DARTS_V2"]
    drawing = pt.draw(genotype.to_dict(), tmp_path / "cells.svg", cell="normal")
    assert (
        drawing._repr_svg_() == (tmp_path / "cells.svg").read_text() == pt.draw(genotype, cell="normal").svg
    )
    assert drawing.save(tmp_path / "cells.png").stat().st_size > 1000
    with pytest.raises(pt.UserError, match="did you mean 'normal'"):
        pt.draw(genotype, cell="nromal")
    with pytest.raises(pt.UserError, match="did you mean 'PC_DARTS_cifar'"):
        pt.draw("PC_DARTS_cifr", home=tmp_path)
    with pytest.raises(pt.UserError, match="not a genotype"):
        pt.draw(3)  # type: ignore[arg-type]


def test_a_space_is_loaded_and_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    space = pt.Space.load("quickstart")
    changed = space.override(
        "search.epochs=3",
        {"search.arch_warmup_epochs": 1, "tune.search.batch_size": None},
    )
    assert isinstance(changed, pt.Space)
    assert (changed.search.epochs, changed.search.arch_warmup_epochs) == (3, 1)
    assert changed.override({"search.epochs": space.search.epochs}) != space
    assert "quickstart" in changed._repr_html_()
    with pytest.raises(pt.UserError, match=r"search\.epochs"):
        space.override("search.epochs=none")
    with pytest.raises(pt.UserError, match="did you mean 'search.epochs'"):
        space.override({"search.epoch": 3})
    monkeypatch.setenv("PCDARTS_TUNE_SET", "search.epochs=4")
    assert pt.Space.load("quickstart").search.epochs == 4


def test_mistakes_name_the_nearest_and_carry_their_hint(sweep: pt.Sweep, home: Path) -> None:
    with pytest.raises(pt.UserError, match=r"sweep\(\) has no option 'trails' \(did you mean 'trials'\?\)"):
        pt.sweep("quickstart", trails=4)  # type: ignore[call-arg]
    with pytest.raises(pt.UserError, match=r"Sweep\.promote\(\) has no option 'candidate'"):
        sweep.promote(candidate=3)  # type: ignore[call-arg]
    with pytest.raises(pt.UserError, match="did you mean 'made'") as raised:
        pt.open_sweep("mdae", home=home)
    assert raised.value.__notes__ == [f"Hint: {raised.value.hint}"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "trials: 0 is not legal; a whole number, 1 or more"),
        ({"trials": 2.5}, "trials: 2.5 is not legal"),
        ({"gpus_per_trial": -1}, "gpus_per_trial: -1 is not legal; 0 or more"),
        ({"precision": "bf61"}, "did you mean 'bf16'"),
        ({"time_budget": "2 weeks"}, "time_budget: '2 weeks' is no duration"),
        ({"cpus_per_trial": 0}, "cpus_per_trial: 0 is not legal"),
        ({"max_params": "much"}, "max_params: 'much' is not legal"),
        ({"objective": ["loss", "accuracy"]}, "a trial has one score"),
        ({"method": "pc-drats"}, "did you mean 'pc-darts'"),
        ({"set": {"search.epoch": 3}}, "did you mean 'search.epochs'"),
        ({"name": "a/b"}, "cannot name a sweep"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    options: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(pt.UserError, match=said.replace("(", r"\(")):
        pt.sweep("quickstart", home=tmp_path / "home", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "home").exists()


def test_promoting_takes_one_choice(sweep: pt.Sweep) -> None:
    with pytest.raises(pt.UserError, match="both name a trial"):
        sweep.promote(trial=1, run="abc")
    with pytest.raises(pt.UserError, match="takes the sweep's best"):
        sweep.promote(trial=1, candidates=2)
