r"""What a word on the command line names, the same in every command: a run, a trial, a sweep, a model, a genotype.

    found = Finder(where).find("first:3")
    found.trial.objective, found.genotype().origin

| word | what it names |
| --- | --- |
| `PC_DARTS_cifar` | a published genotype |
| `Genotype(normal=[...], ...)` | the genotype of that text, as DARTS repositories print it |
| `\|skip_connect~0\|+...` | the genotype that the string of a NAS-Bench-201 cell is |
| `cells.json`, `my-model`, `my-model.safetensors` | a genotype's file, a model's folder, an exported model |
| `first:3` | trial 3 of the sweep `first` (`first/3` where no model is called so) |
| `first@champion`, `first/2` | a version of the registered model `first` |
| `first` | the champion of the model `first`, else the sweep |
| `sweep:first` | the sweep, also where a model is called so |
| `4f0c91d2` | the MLflow run whose id begins so |

What names two things is refused, with a word for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.core.genotype import PUBLISHED, AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import user_path
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.sweeps.written_cells import is_written_out, parse_cells, read_cells, read_written
from pcdarts_tune.tasks import TrialRecord
from pcdarts_tune.tracking.lookup import SHORTEST, RunReader, registered_models
from pcdarts_tune.tracking.registry import ModelName, fetch_model, find_version, store_uri
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_REFERENCE = re.compile(r"(sweep:|models:/)?([^:/@]+)(?:([:/])(\d+)|@.*)?")
_RUN = f"an MLflow run id (or its first {SHORTEST} digits)"
_MODEL = "a model's name, model@alias or model/version"
LEGAL = {
    "run, sweep or model": f"{_RUN}, SWEEP:TRIAL, sweep:SWEEP, {_MODEL}",
    "genotype": f"a JSON or text file, a published name ({', '.join(PUBLISHED)}), Genotype(...), a NAS-Bench-201 "
    f"string, SWEEP:TRIAL, a model's folder, {_MODEL}, {_RUN}",
    "model": f"{_MODEL}, the folder of a model, an exported safetensors file, or {_RUN}",
}
"""What is looked for -> the words that name one."""


@dataclass(frozen=True)
class GenotypeSource:
    """A genotype, how it was named, and the MLflow run that it is from."""

    genotype: AnyGenotype
    origin: str
    run_id: str | None = None


@dataclass(frozen=True)
class Found:
    """What a word names.

    Attributes:
        path: a file or folder.
        sweep, trial: both for a trial, the first alone for a sweep.
        version: of a registered model.
        run_id: the MLflow run: of a trial, sweep or version too, where it has one.
    """

    text: str
    where: Where
    path: Path | None = None
    sweep: SweepHandle | None = None
    trial: TrialRecord | None = None
    version: ModelVersion | None = None
    run_id: str | None = None

    @cached_property
    def runs(self) -> RunReader:
        """The MLflow store that has its runs: that of the sweep, or the one that was searched."""
        return RunReader(store_uri(self.where) if self.sweep is None else self.sweep.tracking_uri)

    @cached_property
    def run(self) -> Run | None:
        """The MLflow run; None where it has none, or it is no longer there."""
        return None if self.run_id is None else self.runs.run(self.run_id)

    @property
    def cells_alone(self) -> bool:
        """Whether it is a genotype and nothing else: published, written out, or read from a file or folder."""
        return self.text in PUBLISHED or is_written_out(self.text) or self.path is not None

    def genotype(self) -> GenotypeSource:
        """Its cells.

        Raises:
            UserError: it has none, or its word names two sets of cells.
        """
        if self.text in PUBLISHED:
            return GenotypeSource(PUBLISHED[self.text], self.text)
        if is_written_out(self.text):
            return GenotypeSource(*read_written(self.text))
        if self.path is not None:
            return GenotypeSource(read_cells(self.path), self.path.name)
        if self.sweep is not None:
            return _cells_of_trial(self.sweep, self.trial or self.sweep.best())
        origin = f"run {self.run_id}" if self.version is None else _reference(self.version)
        if self.run is None or (cells := self.runs.json(self.run, "genotype.json")) is None:
            name = "" if self.run is None else f" ({self.run.info.run_name})"
            raise UserError(
                f"{origin}{name} has no genotype.json",
                hint=f"name a trial's run: pcdarts-tune leaderboard SWEEP --json{self.where.home_flag}",
            )
        source = GenotypeSource(parse_cells(cells, origin), origin, self.run_id)
        if self.version is not None and self.text in sweep_names(self.where.home):
            self._refuse_two(source, origin)
        return source

    def _refuse_two(self, champion: GenotypeSource, version: str) -> None:
        best = open_sweep(self.where, self.text).records()[:1]
        if best and best[0].genotype and read_genotype(best[0].genotype) != champion.genotype:
            trial = f"{self.text}:{best[0].trial}"
            raise UserError(
                f"{self.text!r} is a model and a sweep with different cells: those of {version} and those of the best "
                f"trial, {trial}",
                hint=f"{self.text}@champion or {trial}",
            )

    def model(self) -> tuple[Path, str]:
        """The folder of the model (or its exported file), and how it is named later: `first/2`, or the absolute path.

        Raises:
            UserError: it is no model.
        """
        if self.path is not None:
            return self.path, str(self.path.absolute())
        if self.sweep is not None or self.cells_alone:
            raise UserError(f"{self.text!r} is no model{self._promoted()}", hint=LEGAL["model"])
        version = self.version or self._registered()
        return fetch_model(_reference(version), tracking_uri=self.runs.uri), _reference(version)

    def _promoted(self) -> str:
        if self.sweep is None:
            what = "published genotype" if self.text in PUBLISHED else "genotype"
            return f", it is a {what}: pcdarts-tune retrain makes one of it"
        trial = "" if self.trial is None else f" --trial {self.trial.trial}"
        return f"; pcdarts-tune promote {self.sweep.name}{trial}{self.where.home_flag} makes one of it"

    def _registered(self) -> ModelVersion:
        versions = self.runs.versions_of_run(str(self.run_id))
        if len(versions) != 1:
            names = ", ".join(_reference(version) for version in versions) or "none"
            raise UserError(
                f"run {self.run_id} has {len(versions)} registered models: {names}", hint=LEGAL["model"]
            )
        return versions[0]


class Finder:
    """Finds what words name, in a home and its MLflow store."""

    def __init__(self, where: Where) -> None:
        self.where = where

    def find(self, text: str, kind: str = "run, sweep or model") -> Found:
        """What a word names.

        Args:
            kind: what is looked for, a key of `LEGAL`.

        Raises:
            UserError: it is nothing (naming what comes near), or two things.
        """
        if text in PUBLISHED or is_written_out(text):
            return Found(text, self.where)
        if (path := self._path(text)) is not None:
            return Found(text, self.where, path)
        match = _REFERENCE.fullmatch(text)
        if match is None and "/" in text:
            what = "model folder" if kind == "model" else "file or folder"
            raise UserError(f"no such {what}: {text}", hint=LEGAL[kind])
        if match is None:
            raise self._nothing(text, kind)
        prefix, name, sign, number = match.groups()
        if prefix == "sweep:":
            return self._of_sweep(text, text.removeprefix(prefix))
        of_sweep = name in self._sweeps
        if not prefix and (sign == ":" or (sign == "/" and of_sweep and not self._is_model(name))):
            return self._of_sweep(text, name, int(number))
        if prefix or name != text or self._is_model(name):
            return self._version(text)
        if of_sweep:
            return self._of_sweep(text, name)
        if self._recorded and (run := self._runs.starting_with(text)) is not None:
            return self._of_run(text, run)
        raise self._nothing(text, kind)

    @property
    def _recorded(self) -> bool:
        """Whether there is a store: reading must not make one."""
        return bool(self.where.tracking_uri) or (self.where.home / "mlflow.db").is_file()

    @cached_property
    def _sweeps(self) -> list[str]:
        return sweep_names(self.where.home)

    @cached_property
    def _runs(self) -> RunReader:
        return RunReader(store_uri(self.where))

    def _path(self, text: str) -> Path | None:
        """The file or folder of that name. A folder that holds no model gives way to what is called like it."""
        path = user_path(text)
        if not (path.is_file() or path.is_dir()):
            return None
        match = _REFERENCE.fullmatch(text)
        name, others = match[2] if match else "", []
        if name in self._sweeps:
            others.append(f"sweep:{text}" if text == name else text)
        if name in registered_models(self.where.home):
            others.append(f"{text}@champion" if text == name else text)
        if not others:
            return path
        if path.is_dir() and not (path / "genotype.json").is_file():
            return None
        raise UserError(
            f"{text!r} is a {'folder' if path.is_dir() else 'file'} here and the name of something recorded",
            hint=" or ".join([f"./{text}", *others]),
        )

    def _nothing(self, text: str, kind: str) -> UserError:
        models = [m.name for m in self._runs.client.search_registered_models()] if self._recorded else []
        near = nearest(text, [*self._sweeps, *models, *(PUBLISHED if kind == "genotype" else ())])
        known = {"sweeps": self._sweeps[-10:], "registered models": models[-10:]}
        there = "".join(f"; {what}: {', '.join(names)}" for what, names in known.items() if names)
        there = there or f"; nothing is recorded in {self.where.home} yet"
        return UserError(f"{text!r} names no {kind}{near}{there}", hint=LEGAL[kind])

    def _of_run(self, text: str, run: Run) -> Found:
        """A run, with the sweep and the trial that it belongs to where they are in this home."""
        tags, kind = run.data.tags, run.data.tags.get(Tag.KIND)
        name, run_id = tags.get(Tag.SWEEP), run.info.run_id
        if kind in ("sweep", "trial") and name in self._sweeps:
            sweep = open_sweep(self.where, name)
            if sweep.about["id"] == tags.get(Tag.SWEEP_ID):  # and not a namesake of another home
                trial = sweep.record(int(tags[Tag.TRIAL])) if kind == "trial" else None
                return Found(text, self.where, sweep=sweep, trial=trial, run_id=run_id)
        return Found(text, self.where, run_id=run_id)

    def _of_sweep(self, text: str, name: str, number: int | None = None) -> Found:
        """A sweep, or a trial of it; read from its study, so that MLflow may have lost it."""
        sweep = open_sweep(self.where, name)
        trial = None if number is None else sweep.record(number)
        run_id = sweep.study.notes().get("run") if trial is None else trial.run_id
        return Found(text, self.where, sweep=sweep, trial=trial, run_id=run_id)

    def _is_model(self, name: str) -> bool:
        from mlflow.exceptions import MlflowException

        from pcdarts_tune.tracking.store import is_absent

        if not self._recorded:
            return False
        try:
            self._runs.client.get_registered_model(name)
        except MlflowException as error:
            if not is_absent(error):
                raise
            return False
        return True

    def _version(self, text: str) -> Found:
        wanted, client = ModelName.parse(text), self._runs.client
        version = client.get_model_version(wanted.name, str(find_version(client, wanted)))
        return Found(text, self.where, version=version, run_id=version.run_id)


def find_genotype(text: str, where: Where) -> GenotypeSource:
    """The cells that a word names.

    Raises:
        UserError: saying what was looked for, and the nearest name.
    """
    return Finder(where).find(text, "genotype").genotype()


def _reference(version: ModelVersion) -> str:
    return f"{version.name}/{version.version}"


def _cells_of_trial(sweep: SweepHandle, record: TrialRecord) -> GenotypeSource:
    if record.genotype is None:
        reason = f": {record.reason}" if record.reason else ""
        raise UserError(
            f"trial {record.trial} of sweep {sweep.name!r} is {record.state}{reason}; it has no genotype",
            hint=sweep.command("leaderboard"),
        )
    return GenotypeSource(read_genotype(record.genotype), f"{sweep.name}:{record.trial}", record.run_id)
