"""A folder as ImageNet's: many classes, sizes and formats mixed, some files broken; streamed through search, retrain, predict."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import Genotype

CLASSES, IMAGES = 40, 8
FORMATS = (
    ("jpg", "RGB"),
    ("png", "RGBA"),
    ("webp", "RGB"),
    ("JPEG", "CMYK"),
    ("bmp", "RGB"),
    ("gif", "P"),
    ("jpeg", "L"),
)
SMALL = (
    "data.image_size=32",
    "data.memory_limit_gb=0.0001",  # 0.1 MB: all of it is streamed
    "data.weights_fraction=0.3",
    "data.alphas_fraction=0.3",
    "data.held_out=0.15",
    "supernet.channels=8",
    "supernet.layers=3",
    "search.epochs=1",
    "search.batch_size=24",
    "search.arch_warmup_epochs=0",
    "search.lr_warmup_epochs=0",
    "retrain.channels=4",
    "retrain.layers=3",
    "retrain.epochs=2",
    "retrain.batch_size=48",
    "retrain.lr_warmup_epochs=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shaped"
    draw = np.random.default_rng(0)
    for number in range(CLASSES):
        for split, count in (("train", IMAGES), ("val", 2)):
            folder = root / split / f"n{number:08}"
            folder.mkdir(parents=True)
            for index in range(count):
                ending, mode = FORMATS[(number + index) % len(FORMATS)]
                size = tuple(int(side) for side in draw.integers(20, 160, 2))
                colour = tuple(int(value) for value in draw.integers(0, 255, 3))
                image = Image.new("RGB", size, colour).convert(mode)
                image.save(folder / f"{index}.{ending}")
    return root


def break_some(root: Path) -> set[str]:
    """Make five training files unreadable, two of them in a way that only decoding finds; those two."""
    train = root / "train"
    (train / "n00000001" / "0.png").write_bytes(b"")
    (train / "n00000002" / "1.JPEG").write_text("<html>404</html>")
    (train / "n00000003" / "gone.jpg").symlink_to("nowhere.jpg")
    late = set()
    for name in ("n00000000/0.jpg", "n00000007/0.jpg"):
        data = (train / name).read_bytes()
        (train / name).write_bytes(data[: len(data) - 40])
        late.add(name)
    return late


def settings(*more: str) -> list[str]:
    return [part for setting in (*SMALL, *more) for part in ("--set", setting)]


def test_search_retrain_and_predict(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    late = break_some(root)
    common = ["--space", "imagenet", "--data", str(root), "--device", "cpu", "--home", str(tmp_path / "home")]
    genotype, model = tmp_path / "genotype.json", tmp_path / "model"

    # three are found before anything is trained
    strict = ["search", *common, "-o", str(genotype), *settings("data.max_unreadable=0")]
    assert command_line(strict) == 2
    said = capsys.readouterr().err
    assert "3 of the 321 training images" in said
    assert "0.png: empty file" in said
    assert "data.max_unreadable" in said

    allowed = settings("data.max_unreadable=0.1")
    with caplog.at_level(logging.WARNING, "pcdarts_tune"):
        assert command_line(["search", *common, "-o", str(genotype), *allowed]) == 0
        assert "3 unreadable training images are skipped" in capsys.readouterr().err
        Genotype.from_dict(json.loads(genotype.read_text()))
        retrain = ["retrain", str(genotype), *common, "-o", str(model), "--no-track", "--json", *allowed]
        assert command_line(retrain) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["epochs"] == 2
    assert 0 <= done["test_accuracy"] <= 1
    named = {record.args[0] for record in caplog.records if record.args}
    assert {"/".join(Path(str(name)).parts[-2:]) for name in named} == late

    pictures = [root / "val" / f"n{number:08}" / f"0.{FORMATS[number % 7][0]}" for number in range(7)]
    assert command_line(["predict", str(model), *map(str, pictures), "--json"]) == 0
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["image"] for entry in predicted] == [str(picture) for picture in pictures]
    assert {entry["class"] for entry in predicted} <= {f"n{number:08}" for number in range(CLASSES)}


def test_too_many_broken_files_end_the_training_with_their_names(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Truncated files pass the look at their headers, and are found while the network trains."""
    for number in range(10, 30):
        for path in (root / "train" / f"n{number:08}").glob("*.jpg"):
            data = path.read_bytes()
            path.write_bytes(data[: len(data) - 40])
    retrain = [
        "retrain",
        "PC_DARTS_cifar",
        "--space",
        "imagenet",
        "--data",
        str(root),
        "--device",
        "cpu",
        "--no-track",
    ]
    code = command_line([*retrain, "--home", str(tmp_path), "-o", str(tmp_path / "model"), *settings()])
    said = capsys.readouterr().err
    assert code == 2, said
    assert "images cannot be decoded" in said
    assert ".jpg: " in said
    assert "data.max_unreadable" in said
    assert not (tmp_path / "model").exists()
