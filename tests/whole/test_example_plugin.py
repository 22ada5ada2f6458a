"""examples/plugin, installed in an environment of its own and as a file: sweep on two nodes, promote, export, predict, serve."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.serving import post, served
from support.soaking.environment import fresh

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "plugin"


@dataclass(frozen=True)
class Place:
    """An environment, and a folder to work in."""

    python: str
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What a command prints, on stdout or, where it fails, on stderr."""
        home = [] if "--home" in arguments else ["--home", str(self.home)]
        done = subprocess.run(
            [self.python, "-m", "pcdarts_tune", *arguments, *home],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=self.folder,
            env=fresh(),
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    def run_all(self, *commands: Sequence[str]) -> list[Any]:
        """What commands print with --json, one after the other in one process."""
        code = (
            "import json, sys; from pcdarts_tune.cli import run\n"
            "for arguments in json.loads(sys.argv[1]): assert run(arguments) == 0, arguments"
        )
        given = [[*each, "--json", "--home", str(self.home)] for each in commands]
        done = subprocess.run(
            [self.python, "-c", code, json.dumps(given)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=self.folder,
            env=fresh(),
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def sweep(self, *arguments: str) -> list[dict[str, Any]]:
        """The leaderboard of a sweep on two nodes."""
        script = str(CHECKOUT / "tests" / "support" / "plugged_cluster.py")
        shared, hidden = self.folder / "shared", self.folder / "hidden"
        command = [self.python, script, *map(str, (self.home, shared, hidden)), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**fresh(), "PYTHONPATH": str(CHECKOUT / "tests")},
        )
        assert done.returncode == 0, done.stderr
        board: list[dict[str, Any]] = json.loads(done.stdout)
        return board


@pytest.fixture
def installed(tmp_path: Path) -> Place:
    """An environment of its own with the example's wheel in it; all else is read from this one."""
    folder, source = tmp_path / "environment", tmp_path / "source"
    venv.create(folder, with_pip=False, symlinks=True)
    shutil.copytree(EXAMPLE, source)
    # what builds is what this environment has: no index is asked
    code = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, "dist"], cwd=source, check=True, capture_output=True, timeout=300
    )
    python = folder / "bin" / "python"
    there, here = (
        subprocess.run(
            [each, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for each in (str(python), sys.executable)
    )
    (wheel,) = (source / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(there)
    (Path(there) / "all_else.pth").write_text(f"{CHECKOUT}\n{here}\n")
    uvicorn = folder / "bin" / "uvicorn"
    uvicorn.write_text(f"#!{python}\nimport sys\nfrom uvicorn.main import main\nsys.exit(main())\n")
    uvicorn.chmod(0o755)
    return Place(str(python), tmp_path)


def follow(place: Place, board: Sequence[dict[str, Any]], name: str) -> None:
    """Promote what a sweep found, and use the model in each way, without a word of the plug-in."""
    (trial,) = board
    assert trial["state"] == "complete", trial["reason"]
    shapes = _shapes()
    image = place.folder / "square.png"
    Image.fromarray(shapes["test_images"][0]).save(image)
    (promoted,) = place.run_all(["promote", name, "-q"])
    assert promoted["version"] == 1
    exported = place.folder / "model.pt2"
    said, _ = place.run_all(
        ["predict", name, str(image)], ["export", name, "--format", "pt2", "-o", str(exported)]
    )
    assert said["class"] in shapes["classes"]
    assert exported.is_file()
    uri = f"sqlite:///{place.home}/mlflow.db"
    with served(f"{name}@champion", uri, place.folder, place.python) as address:
        body = {"inputs": shapes["test_images"][:1, ..., None].tolist()}
        (probabilities,) = post(address, body)["predictions"]
    assert max(probabilities) == pytest.approx(said["probability"], abs=1e-5)


def _shapes() -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "shapes_plugin"}
    exec(compile((EXAMPLE / "shapes_plugin.py").read_text(), "shapes_plugin.py", "exec"), scope)
    found: dict[str, Any] = scope["shapes"]()
    return found


ONLY = ["--set", "supernet.primitives=[none,se_conv_3x3]"]
"""Every cell then consists of the plug-in's operation."""


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="nodes with folders of their own need root"
)
def test_as_a_package(installed: Place) -> None:
    board = installed.sweep("--space", "shapes", "--trials", "1", "--name", "shapes", "--json", "-q", *ONLY)
    assert {edge[0] for edge in board[0]["genotype"]["normal"]} == {"se_conv_3x3"}
    record = json.loads((installed.home / "sweeps" / "shapes" / "sweep.json").read_text())
    (named,) = record["plugins"]
    assert (named["package"], named["version"]) == ("pcdarts-tune-shapes", "1.0")
    follow(installed, board, "shapes")
    # where the package is not installed it is named
    lacking = Place(sys.executable, installed.folder)
    assert "operation 'se_conv_3x3' comes from package pcdarts-tune-shapes 1.0" in lacking.run(
        "leaderboard", "shapes", fails=True
    )


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="nodes with folders of their own need root"
)
def test_as_a_file(tmp_path: Path) -> None:
    place, hidden = Place(sys.executable, tmp_path), tmp_path / "hidden"
    hidden.mkdir()
    file = Path(shutil.copy(EXAMPLE / "shapes_plugin.py", hidden))
    named = ["--plugin", str(file), "--space", "shapes", "--trials", "1", "--name", "shapes"]
    board = place.sweep(*named, "--json", "-q", *ONLY)
    assert {edge[0] for edge in board[0]["genotype"]["normal"]} == {"se_conv_3x3"}
    file.unlink()
    follow(place, board, "shapes")
    other = ["predict", str(next((place.home / "mlartifacts").glob("**/model.json")).parent)]
    said = place.run(*other, str(tmp_path / "square.png"), "--home", str(tmp_path / "other"), fails=True)
    assert "operation 'se_conv_3x3' comes from plug-in shapes_plugin.py" in said
    assert "--plugin" in said


def test_the_data_set_is_what_it_says() -> None:
    found = _shapes()
    assert found["images"].shape == (480, 16, 16)
    assert np.bincount(found["labels"]).tolist() == [160, 160, 160]
