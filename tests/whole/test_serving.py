"""A registered model behind `mlflow models serve`: a real server on loopback answers a real request."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from support.serving import post, served

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.models.model import LoadedModel, load_model, save_model
from pcdarts_tune.tracking.registry import create_version, log_model
from pcdarts_tune.tracking.store import MlflowStore

SIZES: dict[str, Any] = {
    "channels": 4, "layers": 3, "num_classes": 3, "stem": "cifar", "auxiliary": False, "in_channels": 3
}  # fmt: skip
PREPROCESSING: dict[str, Any] = {
    "image_size": 16, "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize": "fit"
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def model(place: Path) -> LoadedModel:
    """A network registered as `insects`, its champion."""
    torch.manual_seed(0)
    network = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], **SIZES)
    network(torch.randn(8, 3, 16, 16))
    folder = save_model(
        place / "model", network.eval(), network.genotype, SIZES, ("ant", "bee", "cat"), PREPROCESSING
    )
    uri = f"sqlite:///{place}/mlflow.db"
    experiment = MlflowStore(uri, place / "artifacts").experiment("models")
    client = mlflow.MlflowClient(uri, uri)
    run_id = client.create_run(experiment).info.run_id
    logged = log_model(folder, run_id=run_id, tracking_uri=uri)
    version = create_version(client, "insects", *logged, run_id, {})
    client.set_registered_model_alias("insects", "champion", version.version)
    return load_model(folder)


@pytest.fixture(scope="module")
def address(model: LoadedModel, place: Path) -> Iterator[str]:
    """The server, as the documentation starts it."""
    with served("insects@champion", f"sqlite:///{place}/mlflow.db", place) as url:
        yield url


def test_a_served_model_answers_with_the_models_probabilities(address: str, model: LoadedModel) -> None:
    for shape in ((4, 16, 16, 3), (1, 20, 33, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        probabilities = np.array(post(address, {"inputs": images.tolist()})["predictions"])
        np.testing.assert_allclose(probabilities, model.predict_array(images), atol=1e-6)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_request_that_is_no_image_is_refused(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(address, {"inputs": [[1, 2, 3]]})
    assert refused.value.code == 400
