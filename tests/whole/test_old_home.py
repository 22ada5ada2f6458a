"""A home that an older version left: the code still opens it, reports on it, predicts with it and goes on with it.

old_home.tar.gz was made by make_old_home.sh with the code of commit 01f23ca: a finished sweep that was promoted, and one whose
driver was killed when trial 0 was complete and trial 1 in the middle of its search. `expected/` is what that code printed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.soaking.environment import fresh

ARCHIVE = Path(__file__).with_name("old_home.tar.gz")
MADE_AT = "/tmp/pcdarts-old-home/pcdarts-home"
"""Where the home was; MLflow keeps absolute addresses, which the first command that uses it mends."""


class OldHome:
    """A copy of the old home, in another place."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        self.path, self.digit = folder / "pcdarts-home", folder / "digit.png"
        self._expected = folder / "expected"

    def expected(self, name: str) -> Any:
        """What the old code printed."""
        return json.loads((self._expected / f"{name}.json").read_text())

    def says(self, *arguments: str) -> Any:
        """What a command prints with --json, run as a user would, beside the home."""
        command = [sys.executable, "-m", "pcdarts_tune", *arguments, "--json", "--home", str(self.path)]
        return json.loads(self.run(command))

    def run(self, command: list[str]) -> str:
        """What a command prints that must succeed."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=self.path.parent,
            env=fresh(),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> OldHome:
    """For tests that only read."""
    return OldHome(tmp_path_factory.mktemp("old"))


def test_after_a_command_that_uses_mlflow_nothing_in_it_points_to_where_it_was(tmp_path: Path) -> None:
    old = OldHome(tmp_path)
    home = old.path
    old.says("show", "finished@champion")
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute("VACUUM")  # what was overwritten lies in free pages
    left = [path for path in home.rglob("*") if path.is_file() and MADE_AT.encode() in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize("name", ["finished", "interrupted"])
def test_leaderboard_and_status_say_what_they_said(old: OldHome, name: str) -> None:
    assert old.says("leaderboard", name) == old.expected(f"leaderboard_{name}")
    assert old.says("status", name) == old.expected(f"status_{name}")


def test_status_lists_the_sweeps_oldest_first(old: OldHome) -> None:
    assert old.says("status") == old.expected("status") == ["finished", "interrupted"]


def test_the_report_names_the_best_genotype(old: OldHome, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    said, expected = old.says("report", "finished", "-o", str(page)), old.expected("report_finished")
    # its trials did not write down how many images they were scored on: nothing is claimed of what they can tell apart
    assert (said["held_out_images"], said["resolution"], said["noise"]) == (None, None, None)
    unknown = {"held_out_images", "resolution", "level", "summary"}
    assert {key: said[key] for key in expected if key not in unknown} == {
        key: value for key, value in expected.items() if key not in unknown
    }
    assert said["summary"]["Searched"] == expected["summary"]["Searched"]
    best = old.expected("leaderboard_finished")[0]
    assert best["genotype_hash"] in page.read_text()


def test_the_champion_is_shown_with_where_it_comes_from(old: OldHome) -> None:
    marks = {"note": "", "tags": {}}  # came later
    assert old.says("show", "finished@champion") == {**old.expected("show_champion"), **marks}
    promoted = old.expected("promote_finished")
    version = old.says("show", f"finished/{promoted['version']}")
    assert (version["run_id"], version["genotype_hash"]) == (promoted["run_id"], promoted["genotype_hash"])


def test_the_champion_predicts_what_it_predicted(old: OldHome) -> None:
    said, expected = old.says("predict", "finished", "digit.png"), old.expected("predict")
    assert said["class"] == expected["class"]
    assert said["probability"] == pytest.approx(expected["probability"], abs=1e-4)


SERVED = """
import mlflow, numpy, sys
from PIL import Image
mlflow.set_tracking_uri(sys.argv[1])
images = numpy.asarray(Image.open(sys.argv[2]))[None, :, :, None]
print(mlflow.pyfunc.load_model("models:/finished@champion").predict(images)[0].tolist())
"""


def test_the_registered_model_loads_by_mlflow(old: OldHome) -> None:
    """The code kept with it takes `load_model` from `pcdarts_tune.models` where a pcdarts-tune is installed, whichever: its own
    copy serves only where none is."""
    old.says("show", "finished@champion")
    store = f"sqlite:///{old.path}/mlflow.db"
    probabilities = json.loads(old.run([sys.executable, "-c", SERVED, store, str(old.digit)]))
    expected = old.expected("predict")
    assert max(probabilities) == pytest.approx(expected["probability"], abs=1e-4)
    assert probabilities.index(max(probabilities)) == int(expected["class"])


def test_the_interrupted_sweep_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    old = OldHome(tmp_path)
    before = {entry["trial"]: entry for entry in old.expected("leaderboard_interrupted")}
    assert {trial: entry["state"] for trial, entry in before.items()} == {0: "complete", 1: "waiting"}
    after = {entry["trial"]: entry for entry in old.says("resume", "interrupted", "-q")}
    assert {trial: entry["state"] for trial, entry in after.items()} == dict.fromkeys(range(3), "complete")
    place = {"rank"}  # of 3 trials, not of 1
    assert {key: value for key, value in after[0].items() if key not in place} == {
        key: value for key, value in before[0].items() if key not in place
    }
    for same in ("run_id", "hyperparameters", "seed"):
        assert after[1][same] == before[1][same]
    # with their times: what was done before was not done again
    kept = old.expected("checkpoint_records")
    folder = old.path / "sweeps" / "interrupted" / "trials" / "1"
    assert json.loads((folder / "result.json").read_text())["history"][: len(kept)] == kept
    assert sorted(os.listdir(folder)) == ["genotype.json", "result.json"]
    with closing(sqlite3.connect(old.path / "mlflow.db")) as database:
        run = (after[1]["run_id"],)
        assert database.execute("SELECT status FROM runs WHERE run_uuid = ?", run).fetchone() == ("FINISHED",)
        steps = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'search/loss_train' ORDER BY step"
        assert [step for (step,) in database.execute(steps, run)] == [0, 1, 2, 3]
    assert old.says("leaderboard", "finished") == old.expected("leaderboard_finished")
