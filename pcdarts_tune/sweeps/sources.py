"""What arguments name: GENOTYPE a JSON file, a published name, a trial or an MLflow run; MODEL a folder or a registered name.

>>> read_genotype("PC_DARTS_cifar", Where(Path("pcdarts-home"))).genotype
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import read_json, user_path
from pcdarts_tune.home import Where
from pcdarts_tune.tracking.registry import store_uri

if TYPE_CHECKING:
    pass

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_TRIAL = re.compile(r"([^:/@]+):(\d+)")


@dataclass(frozen=True)
class GenotypeSource:
    """A genotype and where it was read: a file, a published name, a trial, or a run."""

    genotype: Genotype
    origin: str
    run_id: str | None = None


def read_genotype(text: str, where: Where) -> GenotypeSource:
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
        return _from_trial(where, match[1], int(match[2]))
    if _RUN_ID.fullmatch(text):
        return GenotypeSource(_from_run(text, store_uri(where)), f"run {text}", text)
    raise UserError(
        f"{text!r} is no genotype{nearest(text, PUBLISHED)}: neither a JSON file, nor a trial (SWEEP:NUMBER), nor an MLflow "
        f"run id (32 hexadecimal digits), nor published ({', '.join(PUBLISHED)})",
        hint="pcdarts-tune leaderboard SWEEP --json has genotypes and run ids of a sweep",
    )


def _from_file(path: Path) -> Genotype:
    return _parse(read_json(path), str(path))


def _from_trial(where: Where, name: str, number: int) -> GenotypeSource:
    from pcdarts_tune.sweeps.sweep import open_sweep

    record = open_sweep(where, name).record(number)
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
