"""What arguments name: GENOTYPE a JSON file, a published name, a trial or an MLflow run; MODEL a folder or a registered name.

>>> read_genotype("PC_DARTS_cifar", home=Path("pcdarts-home")).genotype
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.addresses import check_uri
from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.inputs import read_json, user_path
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.datasets import DataSet

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_TRIAL = re.compile(r"([^:/@]+):(\d+)")


@dataclass(frozen=True)
class GenotypeSource:
    """A genotype and where it was read: a file, a published name, a trial, or a run."""

    genotype: Genotype
    origin: str
    run_id: str | None = None


def read_space(text: str, settings: Iterable[str] = ()) -> Space:
    """The space that SPACE names, changed by the environment (PCDARTS_TUNE_SET) and then by `--set`."""
    from pcdarts_tune.spaces import from_environment, load_space, override

    space = from_environment(load_space(text))
    settings = tuple(settings)
    return override(space, settings) if settings else space


def load_images(
    space: Space, root: Path | None, home: Path | None, *, keep: bool = True, quiet: bool = False
) -> DataSet:
    """The images of a space; on stderr what there is to know of them.

    Args:
        root: `--data`, or None.
        home: where decoded images are kept for the next time; None for nowhere.
        keep: False only reads what is kept there, and writes nothing.
    """
    from pcdarts_tune.datasets import load_dataset, split_dataset
    from pcdarts_tune.terminal.progress import Progress

    bar: list[Progress] = []

    def progress(done: int, total: int) -> None:
        if not bar:
            bar.append(Progress("reading images", total, quiet=quiet, every=5).__enter__())
        bar[0].update(done)

    try:
        cache_dir = None if home is None else home / "cache"
        images = load_dataset(space.data, root, cache_dir=cache_dir, keep=keep, progress=progress)
    finally:
        for shown in bar:
            shown.__exit__(None, None, None)
    if not quiet:
        splits = split_dataset(images, space.data)
        for note in (*images.notes, *splits.notes):
            say(f"note: {note}")
        if space.search.batch_size > len(splits.weights):
            say(
                f"note: search.batch_size {space.search.batch_size} is more than the {len(splits.weights)} images that "
                "train the weights: one step an epoch; lower it with --set search.batch_size=N"
            )
    return images


def read_genotype(text: str, *, home: Path, tracking_uri: str | None = None) -> GenotypeSource:
    """Read what GENOTYPE names.

    Raises:
        UserError: saying what was looked for, and the nearest published name.
    """
    if text in PUBLISHED:
        return GenotypeSource(PUBLISHED[text], text)
    path = user_path(text)
    if path.is_file():
        return GenotypeSource(_from_file(path), path.name)
    if match := _TRIAL.fullmatch(text):
        return _from_trial(home, match[1], int(match[2]))
    if _RUN_ID.fullmatch(text):
        return GenotypeSource(_from_run(text, store_uri(home, tracking_uri)), f"run {text}", text)
    raise UserError(
        f"{text!r} is no genotype{nearest(text, PUBLISHED)}: neither a JSON file, nor a trial (SWEEP:NUMBER), nor an MLflow "
        f"run id (32 hexadecimal digits), nor published ({', '.join(PUBLISHED)})",
        hint="pcdarts-tune leaderboard SWEEP --json has genotypes and run ids of a sweep",
    )


def find_model(text: str, *, home: Path, tracking_uri: str | None = None) -> Path:
    """The folder of what MODEL names: a folder, an exported safetensors file, or a model from the registry.

    Raises:
        UserError: saying what is there instead.
    """
    path = user_path(text)
    if path.is_dir() or (path.is_file() and path.suffix == ".safetensors"):
        return path
    if "/" in text and not re.search(r"/\d+$", text) and not text.startswith("models:/"):
        raise UserError(
            f"no such model folder: {text}", hint="or the name of a registered model, without a slash"
        )
    from pcdarts_tune.registry import fetch_model

    return fetch_model(text, tracking_uri=store_uri(home, tracking_uri))


def model_name(text: str, *, home: Path, tracking_uri: str | None = None) -> str:
    """What MODEL names, so that it can be named again later: `first/2` for an alias, a folder's absolute path.

    Raises:
        UserError: there is no such model in the registry.
    """
    path = user_path(text)
    if path.exists():
        return str(path.absolute())
    import mlflow

    from pcdarts_tune.registry import ModelName, find_version

    uri, wanted = store_uri(home, tracking_uri), ModelName.parse(text)
    return f"{wanted.name}/{find_version(mlflow.MlflowClient(uri, uri), wanted)}"


def store_uri(home: Path, tracking_uri: str | None) -> str:
    """MLflow's store for reading.

    Raises:
        UserError: when there is none: reading must not create one, nor wait for minutes for one that is away.
    """
    if tracking_uri:
        from pcdarts_tune.tracking import require_answer

        uri = check_uri(tracking_uri)
        file = uri.removeprefix("sqlite:///")
        if file != uri and not Path(file.partition("?")[0]).is_file():
            raise UserError(
                f"--tracking-uri {uri}: there is no such database",
                hint="--home where the sweeps are needs no address",
            )
        require_answer(uri)
        return uri
    if not (home / "mlflow.db").is_file():
        raise UserError(
            f"nothing is recorded in {home} yet",
            hint="pcdarts-tune sweep --space quickstart --trials 4, or --home where the sweeps are",
        )
    return default_tracking_uri(home)


def _from_file(path: Path) -> Genotype:
    return _parse(read_json(path), str(path))


def _from_trial(home: Path, name: str, number: int) -> GenotypeSource:
    from pcdarts_tune.sweep import open_sweep

    record = open_sweep(home, name).record(number)
    if record.genotype is None:
        reason = f": {record.reason}" if record.reason else ""
        raise UserError(
            f"trial {number} of sweep {name!r} is {record.state}{reason}; it has no genotype",
            hint=f"pcdarts-tune leaderboard {name}",
        )
    return GenotypeSource(Genotype.from_dict(record.genotype), f"{name}:{number}", record.run_id)


def _from_run(run_id: str, tracking_uri: str) -> Genotype:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        value = mlflow.MlflowClient(tracking_uri, tracking_uri).get_run(run_id)
    except MlflowException as error:
        raise UserError(
            f"MLflow has no run {run_id}: {str(error).splitlines()[0]}",
            hint="--home or --tracking-uri where it was recorded",
        ) from None
    try:
        uri = f"{value.info.artifact_uri}/genotype.json"
        return _parse(mlflow.artifacts.load_dict(uri), f"run {run_id}")
    except MlflowException:
        name = value.info.run_name
        raise UserError(
            f"run {run_id} ({name}) has no genotype.json",
            hint="name a trial's run: `pcdarts-tune leaderboard SWEEP --json`",
        ) from None


def _parse(value: Any, where: str) -> Genotype:
    # what `search --json` and `leaderboard --json` print holds the genotype one level down
    if isinstance(value, dict) and isinstance(value.get("genotype"), dict):
        value = value["genotype"]
    try:
        return Genotype.from_dict(value)
    except ValueError as error:
        raise UserError(
            f"{where}: {error}", hint="pcdarts-tune draw PC_DARTS_cifar -o cells.svg shows what a genotype is"
        ) from None
