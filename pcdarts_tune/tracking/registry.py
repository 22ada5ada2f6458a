"""MLflow's model registry: log a model folder, register it, move `champion`, fetch a model by name.

uri, model_id = log_model(folder, run_id=run_id, tracking_uri=uri)
version = create_version(client, "first", uri, model_id, run_id, {Tag.VALIDATION_ACCURACY: "0.97"})
folder = fetch_model("first@champion", tracking_uri=uri)
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.addresses import sqlite_file
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.home import Where
from pcdarts_tune.tracking.reach import require_answer
from pcdarts_tune.tracking.scope import pointed_at, quiet
from pcdarts_tune.tracking.store import MlflowStore, is_absent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"
REQUIREMENTS = ("torch", "torchvision", "numpy", "pillow", "pydantic", "safetensors", "filelock")
"""What a logged model needs to predict, MLflow itself aside."""

_CODE = (
    "__init__.py",
    "errors.py",
    "files.py",
    "models/__init__.py",
    "models/model.py",
    "models/description.py",
    "plugins/*.py",
    "core/**/*.py",
)


@dataclass(frozen=True)
class ModelName:
    """`name`, `name@alias` or `name/version`; a bare name means its champion."""

    name: str
    alias: str = CHAMPION
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read one of the three; any other text raises a UserError."""
        match = re.fullmatch(r"(?:models:/)?([^@/:]+)(?:@([A-Za-z][\w-]*)|/(\d+))?", text)
        if match is None:
            raise UserError(
                f"{text!r} names no model: a registered model's name, name@alias or name/version, or a folder",
                hint="a name such as first, first@champion or first/2",
            )
        name, alias, version = match.groups()
        return cls(name, alias or CHAMPION, int(version) if version else None)


def log_model(folder: Path, *, run_id: str, tracking_uri: str) -> tuple[str, str]:
    """Log a model folder to a run as an MLflow model with a signature; nothing in it is pickled.

    Returns:
        The model's URI and its id.
    """
    from importlib.metadata import version

    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from pcdarts_tune.models import served_model
    from pcdarts_tune.models.model import load_model

    model = load_model(folder)
    channels = int(model.preprocessing["channels"])
    deep = model.preprocessing.get("sample_range")
    kind = np.dtype("uint8" if deep is None else "float32")
    transparent = deep is None and model.preprocessing.get("transparent", False)
    inputs = TensorSpec(kind, (-1, -1, -1, -1 if transparent else channels), name=None)
    outputs = TensorSpec(np.dtype("float32"), (-1, len(model.classes)), name=None)
    required = [*REQUIREMENTS, *(each["package"] for each in model.plugins if "package" in each)]
    # any size will do; the example is kept as text, and tried out
    example = np.zeros((1, 8, 8, channels), kind)
    with (
        quiet(),
        tempfile.TemporaryDirectory() as scratch,
        pointed_at(tracking_uri),
        mlflow.start_run(run_id=run_id),
    ):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(served_model.__file__)),
            # MLflow takes a path for an address
            artifacts={
                "model": folder.absolute().as_uri(),
                "code": _copy_code(Path(scratch)).absolute().as_uri(),
            },
            signature=ModelSignature(inputs=Schema([inputs]), outputs=Schema([outputs])),
            input_example=example,
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in required],
            metadata={
                "input": _describe_input(channels, deep, transparent=transparent),
                "output": "float32 probabilities (N, classes)",
                "classes": list(model.classes),
                "genotype_hash": model.genotype.canonical_hash(),
            },
        )
    assert info.model_id is not None, "MLflow 3 gives every logged model an id"
    return str(info.model_uri), str(info.model_id)


def _describe_input(channels: int, deep: list[float] | None, *, transparent: bool) -> str:
    if deep is not None:
        return f"float32 samples (N, H, W, {channels}) as in the files, {deep[0]:g}..{deep[1]:g}, any height and width"
    more = f"; with {channels + 1} channels, the last one is opacity" if transparent else ""
    return f"uint8 images (N, H, W, {channels}), values 0..255, any height and width{more}"


def create_version(
    client: MlflowClient, name: str, model_uri: str, model_id: str, run_id: str, tags: Mapping[str, str]
) -> ModelVersion:
    """Make a logged model the next version of the registered model `name`, which is created when it is new."""
    from mlflow.exceptions import MlflowException

    # the registry looks the model up in the store that the process points at
    with quiet(), pointed_at(client.tracking_uri):
        try:
            client.get_registered_model(name)
        except MlflowException as error:
            if not is_absent(error):
                raise
            client.create_registered_model(name)
        return client.create_model_version(name, model_uri, run_id, tags=dict(tags), model_id=model_id)


def version_of_alias(client: MlflowClient, name: str, alias: str = CHAMPION) -> ModelVersion | None:
    """The version that holds an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if not is_absent(error):  # taken for nobody, a worse model would take the alias
            raise
        return None


def fetch_model(text: str, *, tracking_uri: str) -> Path:
    """The folder of a registered model, downloaded when the store is elsewhere.

    Args:
        text: `name` (its champion), `name@alias` or `name/version`.

    Raises:
        UserError: listing what is registered, and the nearest name.
    """
    import mlflow

    wanted = ModelName.parse(text)
    version = find_version(MlflowStore(tracking_uri).client, wanted)
    with quiet(), pointed_at(tracking_uri):
        folder = mlflow.artifacts.download_artifacts(
            f"models:/{wanted.name}/{version}", tracking_uri=tracking_uri
        )
    for description in sorted(Path(folder).glob("artifacts/*/model.json")):
        return description.parent
    raise UserError(
        f"version {version} of {wanted.name!r} was not logged by pcdarts-tune",
        hint="promote a sweep to make one",
    )


def require_model(client: MlflowClient, name: str) -> RegisteredModel:
    """The registered model of that name.

    Raises:
        UserError: when there is none, listing what is registered, and the nearest name.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if not is_absent(error):
            raise
        names = [model.name for model in client.search_registered_models()]
        listing = f"registered: {', '.join(names)}" if names else "none is registered yet"
        raise UserError(
            f"no registered model {name!r}{nearest(name, names)}; {listing}",
            hint="pcdarts-tune promote SWEEP registers one; a folder is given as a path",
        ) from None


def versions_of(client: MlflowClient, name: str) -> list[int]:
    """The versions of a registered model, oldest first."""
    quote = '"' if "'" in name else "'"
    found = client.search_model_versions(f"name={quote}{name}{quote}")
    return sorted(int(version.version) for version in found)


def find_version(client: MlflowClient, wanted: ModelName) -> int:
    """The number of the version that a name means.

    Raises:
        UserError: when there is no such model, version or alias, naming those there are.
    """
    model = require_model(client, wanted.name)
    versions = versions_of(client, wanted.name)
    hint = f"name a version: {wanted.name}/{versions[-1]}" if versions else "pcdarts-tune promote SWEEP"
    listing = ", ".join(map(str, versions)) or "none"
    if wanted.version is not None:
        if wanted.version not in versions:
            raise UserError(
                f"{wanted.name!r} has no version {wanted.version}; versions: {listing}", hint=hint
            )
        return wanted.version
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    if wanted.alias not in aliases:
        known = ", ".join(f"{alias} (version {version})" for alias, version in aliases.items()) or "none"
        raise UserError(
            f"{wanted.name!r} has no alias {wanted.alias!r}{nearest(wanted.alias, aliases)}; aliases: {known}; "
            f"versions: {listing}",
            hint=hint,
        )
    return aliases[wanted.alias]


def _copy_code(scratch: Path) -> Path:
    """The part of this package that predicting needs, as `code/pcdarts_tune`."""
    package, copy = Path(__file__).parent.parent, scratch / "code"
    for pattern in _CODE:
        for source in sorted(package.glob(pattern)):
            target = copy / package.name / source.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return copy


def store_uri(where: Where) -> str:
    """MLflow's store for reading.

    Raises:
        UserError: when there is none: reading must not create one, nor wait for minutes for one that is away.
    """
    uri = where.mlflow_uri
    if where.tracking_uri:
        if (file := sqlite_file(uri)) is not None and not file.is_file():
            raise UserError(
                f"--tracking-uri {uri}: there is no such database",
                hint="--home where the sweeps are needs no address",
            )
        require_answer(uri)
        return uri
    if not (where.home / "mlflow.db").is_file():
        raise UserError(
            f"nothing is recorded in {where.home} yet",
            hint="pcdarts-tune sweep --space quickstart --trials 4, or --home where the sweeps are",
        )
    return uri
