"""`evaluate`: its figures against their definitions, its images against `predict`, its test split against the training's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from support.encode import png16

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.drawing.evaluation import confusion_png, reliability_png
from pcdarts_tune.models.evaluation import BINS, Evaluation
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.spread import wilson

GENOTYPE = PUBLISHED["DARTS_V2"]
CLASSES = ("dog", "bee", "cat")
SMALL = ("retrain.channels=4", "retrain.layers=3", "retrain.epochs=1", "retrain.drop_path=0.0")


def test_wilson_intervals_are_those_of_scipy() -> None:
    for hits, count in ((0, 1), (3, 3), (0, 10), (81, 100), (359, 360)):
        expected = binomtest(hits, count).proportion_ci(method="wilson")
        assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert wilson(0, 0) is None


def test_figures_are_those_of_their_definitions() -> None:
    random = np.random.default_rng(0)
    logits, labels = (
        random.normal(size=(500, 8)) * 2,
        random.integers(0, 7, 500),
    )  # the last class has no images
    logits[np.arange(500), labels] += 1.5
    counted = Evaluation.of(tuple("abcdefgh"))
    for rows in np.split(np.arange(500), [1, 200, 340]):
        counted.add(torch.from_numpy(logits[rows]).float(), torch.from_numpy(labels[rows]))
    p = np.exp(logits.astype(np.float32)) / np.exp(logits.astype(np.float32)).sum(1, keepdims=True)
    best, confidence = p.argmax(1), p.max(1)
    said = counted.to_dict()
    assert said["confusion"]["matrix"] == confusion_matrix(labels, best, labels=range(8)).tolist()
    assert said["accuracy"] == (best == labels).mean()
    assert said["top_5"] == top_k_accuracy_score(labels, p, k=5, labels=range(8))
    assert said["negative_log_likelihood"] == pytest.approx(log_loss(labels, p, labels=range(8)), rel=1e-5)
    losses = -np.log(p[np.arange(500), labels])
    assert said["negative_log_likelihood_error"] == pytest.approx(losses.std(ddof=1) / 500**0.5, rel=1e-5)
    recalls = [(best == labels)[labels == number].mean() for number in range(7)]
    assert said["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    error = 0.0
    for number in range(BINS):
        inside = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        error += abs((confidence[inside] - (best == labels)[inside]).sum()) / 500
    assert said["expected_calibration_error"] == pytest.approx(error, abs=1e-6)
    assert sum(each["images"] for each in said["calibration"]["curve"]) == 500
    row = said["by_class"][7]
    assert (row["class"], row["images"], row["recall"], row["recall_interval"]) == ("h", 0, None, None)
    assert row["predicted"] == (best == 7).sum()
    assert row["precision"] == 0.0
    wrong = said["mistakes"][0]
    at = ["abcdefgh".index(wrong[key]) for key in ("class", "taken_for")]
    assert wrong["images"] == (said["confusion"]["matrix"][at[0]][at[1]])


def test_pictures_take_two_classes_and_a_thousand() -> None:
    for count in (2, 30, 1000):
        matrix = np.random.default_rng(0).integers(0, 9, (count, count))
        names = [f"class {number}" * (1 + number % 4) for number in range(count)]
        assert confusion_png(matrix, names, title="m").startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        confusion_png([[1]], ["a", "b"])
    counted = Evaluation.of(("a", "b"))
    counted.add(torch.tensor([[3.0, 0.0], [0.0, 0.1]]), torch.tensor([0, 1]))
    assert reliability_png(counted.bins(), title="m").startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was trained on transparent images and on samples up to 4095."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "channels": 4, "layers": 3, "num_classes": 3, "stem": "cifar", "auxiliary": False, "in_channels": 3
    }  # fmt: skip
    network = EvaluationNetwork(GENOTYPE, **sizes)
    network(torch.randn(16, 3, 16, 12))
    preprocessing = {
        "image_size": [16, 12], "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize": "fit",
        "background": [10, 200, 30], "sample_range": [0, 4095], "transparent": True,
    }  # fmt: skip
    return save_model(
        tmp_path_factory.mktemp("models") / "model", network.eval(), GENOTYPE, sizes, CLASSES, preprocessing
    )


def write_images(root: Path, count: int = 7) -> list[tuple[str, Path]]:
    """Class folders `cat` and `dog` with images of several kinds and sizes."""
    random, written = np.random.default_rng(1), list[tuple[str, Path]]()
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (18 + number, 31 - number, 4), dtype=np.uint8)
            path = root / name / f"{number}.png"
            if number == 0:
                path.write_bytes(png16(random.integers(0, 4096, (20, 16, 3)).astype(np.uint16)))
            elif number == 1:
                Image.fromarray(pixels).resize((400, 300)).convert("RGB").save(
                    path := path.with_suffix(".jpg")
                )
            else:
                Image.fromarray(pixels).convert(("RGBA", "L", "P", "RGB")[number % 4]).save(path)
            written.append((name, path))
    return written


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.run(["evaluate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_images_are_classified_as_predict_does(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, home = tmp_path / "photos", ("--home", str(tmp_path / "home"))
    written = write_images(root)
    (root / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    loaded, expected = load_model(model), [[0] * 3 for _ in range(3)]
    for name, path in written:
        (prediction,) = loaded.predict([path])
        expected[CLASSES.index(name)][CLASSES.index(prediction.class_name)] += 1
    out = tmp_path / "new" / "out"
    said = evaluated(capsys, str(model), "--data", str(root), "-o", str(out), *home)
    assert said["confusion"] == {"classes": list(CLASSES), "matrix": expected}
    assert (said["split"], said["images"]) == ("all", len(written))
    assert [Path(name).name for name in said["unreadable"]] == ["broken.png"]
    assert json.loads((out / "evaluation.json").read_text()) == said
    assert {path.name for path in out.iterdir()} == {"evaluation.json", "confusion.png", "reliability.png"}
    assert not (tmp_path / "home").exists()
    # decoded by other processes, as a larger set is
    monkeypatch.setattr("pcdarts_tune.models.evaluation.FEW", 1)
    assert evaluated(capsys, str(model), "--data", str(root), *home) == said
    # what is said to a person
    assert cli.run(["evaluate", str(model), "--data", str(root), *home]) == 0
    told = capsys.readouterr()
    assert f"accuracy {said['accuracy']:.4f} (95 %" in told.out
    for words in ("no images of bee", "1 images could not be read", "no test split: all images"):
        assert words in told.err
    assert "broken.png is left out" in caplog.text
    # with a test part, that one; and every image of both
    (root / "train").mkdir()
    for name in ("cat", "dog"):
        (root / name).rename(root / "train" / name)
    write_images(root / "test", 3)
    for split, count in ((None, 6), ("train", 14), ("all", 20)):
        chosen = () if split is None else ("--split", split)
        assert evaluated(capsys, str(model), "--data", str(root), *chosen, *home)["images"] == count


def test_classes_that_the_model_does_not_know_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "photos", 2)
    (tmp_path / "photos" / "dog").rename(tmp_path / "photos" / "Dog")
    assert cli.run(["evaluate", str(model), "--data", str(tmp_path / "photos")]) == 2
    assert "classes that the model does not know: 'Dog' (not 'dog')" in capsys.readouterr().err
    assert cli.run(["evaluate", str(model)]) == 2
    assert "says nothing of its images" in capsys.readouterr().err


def test_a_models_own_test_split_scores_what_its_training_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder brings no test split, and has a broken image and duplicates that are dropped."""
    root, home, folder = tmp_path / "photos", ("--home", str(tmp_path / "home")), tmp_path / "model"
    random = np.random.default_rng(2)
    for name, level in (("dark", 80), ("light", 130)):
        (root / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.normal(level, 40, (12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    (root / "dark" / "05.png").write_bytes((root / "dark" / "04.png").read_bytes())
    (root / "light" / "07.png").write_text("no image")
    settings = [word for each in (*SMALL, "data.duplicates=drop") for word in ("--set", each)]
    arguments = ["PC_DARTS_cifar", "--space", "quickstart", "--data", str(root), "-o", str(folder), *settings]
    assert cli.run(["retrain", *arguments, "--no-track", *home, "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    (tmp_path / "elsewhere").mkdir()
    moved = root.rename(tmp_path / "elsewhere" / "photos")
    data = ("--data", str(moved), *home)
    said = evaluated(capsys, str(folder), *data)
    assert said["split"] == "test"
    assert said["accuracy"] == trained["test_accuracy"]
    assert said["negative_log_likelihood"] == pytest.approx(trained["test_loss"], rel=1e-5)
    counts = [row["images"] for row in said["by_class"]]
    assert counts == [row["images"] for row in trained["test_scores"]["by_class"]]
    assert evaluated(capsys, str(folder), "--split", "train", *data)["images"] + said["images"] == 78
    assert evaluated(capsys, str(folder), "--split", "all", *data)["images"] == 79  # the duplicate too
    assert cli.run(["evaluate", str(folder), *home]) == 2
    assert "was trained on 'photos', and it is not recorded where" in capsys.readouterr().err
    # other images under the same name are not taken for those of the training
    (moved / "dark" / "00.png").unlink()
    assert evaluated(capsys, str(folder), *data)["split"] == "all"
