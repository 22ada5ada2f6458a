"""`predict`, `draw`, `spaces` and `ui`."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml
from PIL import Image

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.home import artifact_root, default_tracking_uri
from pcdarts_tune.models.model import save_model
from pcdarts_tune.spaces.load import list_spaces, load_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.tracking.server import trials_link
from pcdarts_tune.tracking.store import MlflowStore

GENOTYPE = PUBLISHED["DARTS_V2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "channels": 4,
        "layers": 3,
        "num_classes": 2,
        "stem": "cifar",
        "auxiliary": False,
    }
    network = EvaluationNetwork(GENOTYPE, in_channels=3, **sizes)
    preprocessing = {"image_size": 8, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "resize": "fit"}
    folder = tmp_path_factory.mktemp("models") / "model"
    return save_model(folder, network, GENOTYPE, {**sizes, "in_channels": 3}, ("cat", "dog"), preprocessing)


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (12, 9)) -> Path:
    array = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(array).convert(mode).save(path)
    return path


def test_predict_gives_one_object_an_image(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [
        picture(tmp_path / "a.png"),
        picture(tmp_path / "b.jpg", "L"),
        picture(tmp_path / "c.png", "RGBA"),
    ]
    assert cli.run(["predict", str(model), *map(str, images), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["image"] for entry in found] == [str(image) for image in images]
    for entry in found:
        assert set(entry) == {"image", "class", "probability"}
        assert entry["class"] in ("cat", "dog")
        assert 0.5 <= entry["probability"] <= 1


def test_unreadable_images_are_named_and_the_others_are_classified(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = picture(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:60])
    names = ["text.png", "good.png", "missing.png", "cut.png"]
    assert cli.run(["predict", str(model), *[str(tmp_path / name) for name in names]]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good}  ")
    assert len(captured.out.splitlines()) == 1
    for name in ("text.png", "missing.png", "cut.png"):
        assert name in captured.err
    assert "3 of 4 images" in captured.err


def test_a_folder_is_classified_whole(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcdarts_tune.cli.commands.predict.BATCH", 2)
    root = tmp_path / "a, b"
    (root / "deep" / "er").mkdir(parents=True)
    names = ["deep/er/z", "deep/x.jpg", "photo.png", "y.png"]  # by content where the suffix does not say
    for name in names:
        picture(tmp_path / "one.png").rename(root / name) if name == "deep/er/z" else picture(root / name)
    (root / "notes.txt").write_text("no image")
    (root / "clip.mp4").write_bytes(b"no image")
    (root / ".hidden.png").write_bytes(b"no image")
    arguments = ["predict", str(model), str(root)]
    assert cli.run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert [entry["image"] for entry in found] == [str(root / name) for name in names]
    assert f"2 files in {root} are not read: 1 .mp4 (save them as PNG or JPEG), 1 .txt" in captured.err
    # a damaged one ends nothing, and what was not given by its own name is no wrong usage
    (root / "cut.png").write_bytes((root / "y.png").read_bytes()[:60])
    assert cli.run([*arguments, "--top", "5", "--csv"]) == 1
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["image"] for row in rows] == [str(root / name) for name in names]
    for row, entry in zip(rows, found, strict=True):
        assert (row["class"], float(row["probability"])) == (
            entry["class"],
            pytest.approx(entry["probability"], abs=1e-6),
        )
        assert {row["class"], row["class_2"]} == {"cat", "dog"}
        assert float(row["probability"]) + float(row["probability_2"]) == pytest.approx(1)
    assert f"{root / 'cut.png'} is no readable image" in captured.err
    assert "1 of 5 images could not be read" in captured.err
    assert cli.run([*arguments, str(root / "cut.png"), "--top", "2", "--json"]) == 2
    top = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(entry) for entry in top] == [{"image", "class", "probability", "top"}] * 4
    assert [len(entry["top"]) for entry in top] == [2] * 4
    for entry in top:
        assert entry["top"][0] == {"class": entry["class"], "probability": entry["probability"]}
    (tmp_path / "empty").mkdir()
    assert cli.run(["predict", str(model), str(tmp_path / "empty")]) == 2
    assert "holds no images" in capsys.readouterr().err
    assert cli.run([*arguments, "--csv", "--json"]) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "nothing is recorded"),
        ("no/such/folder", "no such model folder"),
        (".", "is no model: model.safetensors, genotype.json, model.json missing"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["predict", name, "image.png", "--home", str(tmp_path / "home")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("suffix", "begins"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph")]
)
def test_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, begins: bytes) -> None:
    target, source = tmp_path / f"cells.{suffix}", tmp_path / "genotype.json"
    assert cli.run(["draw", "DARTS_V2", "-o", str(target)]) == 0
    assert begins in target.read_bytes()[:200]
    assert capsys.readouterr().out == ""
    source.write_text(json.dumps(GENOTYPE.to_dict()))
    again = tmp_path / f"again.{suffix}"
    assert cli.run(["draw", str(source), "-o", str(again), "-q"]) == 0
    assert again.read_bytes() == target.read_bytes()
    assert capsys.readouterr() == ("", "")


def test_spaces_lists_every_space(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["spaces"]) == 0
    shown = capsys.readouterr().out
    assert cli.run(["spaces", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == [space.name for space in list_spaces()]
    for entry, space in zip(listed, list_spaces(), strict=True):
        assert entry["name"] in shown
        assert entry["description"] in shown
        assert list(entry["tune"]) == list(space.tune)
        assert ", ".join(space.tune) in shown


@pytest.mark.parametrize("name", [space.name for space in list_spaces()])
def test_space_shown_as_yaml_is_the_space(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["spaces", name]) == 0
    copied = tmp_path / "copied.yaml"
    copied.write_text(capsys.readouterr().out)
    assert load_space(copied) == load_space(name)
    assert cli.run(["spaces", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load_space(name).model_dump(mode="json")
    assert yaml.safe_load(copied.read_text())["name"] == name


def test_link_shows_the_trials_of_a_sweep_flat_and_best_first() -> None:
    link = trials_link("http://127.0.0.1:5000", "7", "first")
    assert link.startswith("http://127.0.0.1:5000/#/experiments/7/runs?")
    query = dict(urllib.parse.parse_qsl(link.partition("?")[2]))
    assert query["workflowType"] == "machine_learning"
    assert query["searchFilter"] == "tags.\"pcdarts.sweep\"='first' and tags.\"pcdarts.kind\"='trial'"
    assert query["orderByKey"] == "metrics.`objective`"
    assert query["orderByAsc"] == "false"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which something is recorded; its path holds what addresses give a meaning."""
    home = tmp_path_factory.mktemp("recorded") / "100% of 20%20?"
    home.mkdir()
    store = MlflowStore(default_tracking_uri(home), artifact_root(home))
    store.open_run("quickstart", {"pcdarts.sweep": "first", "pcdarts.kind": "sweep"}, name="first")
    return home


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ui_serves_the_home_s_store_until_it_is_ended(recorded: Path, sign: int, code: int) -> None:
    home = recorded
    command = [sys.executable, "-m", "pcdarts_tune", "ui", "--home", str(home), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            address = first.removeprefix("MLflow: ").partition("/#/")[0]
            assert address.startswith("http://127.0.0.1:")
            assert "workflowType=machine_learning" in first
            assert "tags.%22pcdarts.sweep%22" in process.stdout.readline()
            body = json.dumps({"max_results": 10}).encode()
            url = f"{address}/api/2.0/mlflow/experiments/search"
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                names = [entry["name"] for entry in json.load(answer)["experiments"]]
            assert "quickstart" in names
            group = psutil.Process(process.pid).children(recursive=True)
            commands = [each.cmdline() for each in group]
        finally:
            process.send_signal(sign)
            process.wait(timeout=60)
    assert process.returncode == code
    assert not any("huey" in word or "jobs" in word for each in commands for word in each)
    # the server and its workers went with it
    assert len(group) >= 3
    assert psutil.wait_procs(group, timeout=20)[1] == []


def test_ui_serves_optuna_s_pages_on_a_sweep_s_study(tmp_path: Path) -> None:
    data = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}
    for name in ("first", "second"):
        create_sweep(tmp_path, name, Space(name="table"), SweepSettings(), trials=1, data=data).study.ask(1)
    command = [sys.executable, "-m", "pcdarts_tune", "ui", "--optuna", "first", "--home", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            page = process.stdout.readline().removeprefix("Optuna: ").strip()
            address, _, number = page.partition("/dashboard/studies/")
            with urllib.request.urlopen(f"{address}/api/studies", timeout=30) as answer:
                (study,) = json.load(answer)["study_summaries"]
            assert (study["study_name"], study["study_id"]) == ("first", int(number))
            with urllib.request.urlopen(page, timeout=30) as answer:
                assert b"<title>Optuna Dashboard</title>" in answer.read()
            group = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 143
    assert len(group) >= 2
    assert psutil.wait_procs(group, timeout=20)[1] == []


def test_ui_says_what_optuna_s_pages_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["ui", "--optuna", "--home", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    monkeypatch.setattr("pcdarts_tune.sweeps.dashboard.find_spec", lambda name: None)
    assert cli.run(["ui", "--optuna", "--home", str(tmp_path)]) == 2
    assert "uv sync --extra dashboard" in capsys.readouterr().err


def test_ui_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ui", "--no-browser", "--home", str(tmp_path / "home")]) == 2
    assert "nothing is recorded" in capsys.readouterr().err
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert cli.run(["ui", "--no-browser", "--home", str(tmp_path), "--port", port]) == 2
    assert f"port {port} is not free" in capsys.readouterr().err
    assert cli.run(["ui", "--no-browser", "--home", str(tmp_path), "--host", "192.0.2.1"]) == 2
    said = capsys.readouterr().err
    assert "everybody on the network" in said
    assert "192.0.2.1 is no address of this machine" in said


def test_environment_names_the_home(tmp_path: Path) -> None:
    environment = {**os.environ, "PCDARTS_TUNE_HOME": str(tmp_path / "elsewhere")}
    command = [sys.executable, "-m", "pcdarts_tune", "ui", "--no-browser"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 2
    assert str(tmp_path / "elsewhere") in result.stderr
