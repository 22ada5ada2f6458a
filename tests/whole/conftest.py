"""A real sweep and a promotion, made once by the commands themselves, for all who look at what they leave."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.commands import run_json

from pcdarts_tune.spaces.load import load_space

CIFAR = os.environ.get("PCDARTS_TUNE_TEST_DATA")
"""A folder with cifar10-train.parquet and cifar10-test.parquet; handwritten digits are taken where there is none."""
NAME = "real"
SETTINGS = [
    ("search.epochs", 2),
    ("search.arch_warmup_epochs", 1),
    ("supernet.channels", 4),
    ("supernet.layers", 3),
    ("evaluation.channels", 4),
    ("evaluation.layers", 3),
    ("evaluation.epochs", 2),
    ("retrain.channels", 4),
    ("retrain.layers", 3),
    ("retrain.epochs", 2),
    ("data.held_out", 0.2),
]
TUNED = {
    "supernet.k": {"type": "categorical", "choices": [2, 4]},
    "search.learning_rate": {"type": "float", "low": 0.05, "high": 0.2, "log": True},
    "search.arch_learning_rate": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
    "search.batch_size": {"type": "categorical", "choices": [48, 64]},
}


@dataclass(frozen=True)
class Whole:
    """What `sweep --json` and `promote --json` printed; `images`: the CIFAR-10 that went in, None for digits."""

    home: Path
    images: Path | None
    board: list[dict[str, Any]]
    promoted: dict[str, Any]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A sweep of 3 trials over 600 real images, and the best of them promoted."""
    folder = tmp_path_factory.mktemp("whole")
    home, images = folder / "home", None
    space = load_space("quickstart" if CIFAR is None else "cifar10").model_dump(mode="json")
    space["tune"] = TUNED
    space["stopping"]["halving"]["rungs"] = []  # all trials to their end
    if CIFAR is not None:
        images = folder / "images"
        images.mkdir()
        for split, count in (("train", 600), ("test", 200)):
            table = pq.read_table(Path(CIFAR) / f"cifar10-{split}.parquet").slice(0, count)
            pq.write_table(table, images / f"{split}.parquet")
    (folder / "space.yaml").write_text(json.dumps(space))  # JSON is YAML
    changes = [part for key, value in SETTINGS for part in ("--set", f"{key}={value}")]
    data = [] if images is None else ["--data", str(images)]
    common = ["--home", str(home), "--json", "-q"]
    sweep = ["sweep", "--space", str(folder / "space.yaml"), "--name", NAME, "--trials", "3", *data, *changes]
    return Whole(home, images, run_json([*sweep, *common]), run_json(["promote", NAME, *common]))
