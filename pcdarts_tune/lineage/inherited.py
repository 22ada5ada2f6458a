"""The space and the images that a run, trial, sweep or model was made with: what a training of it takes unless told otherwise.

inherited = inherit(Finder(where).find("first:3", "genotype"))
inherited.space, inherited.data_root
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.lineage.record import RunRecord
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.find import Finder, Found
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tracking.tags import Tag


@dataclass(frozen=True)
class Inherited:
    """What something was made with.

    Attributes:
        name: of what it is taken from, for people.
        data_root: `--data`; None where the space names its images, or it is not known.
        finetuned: whether `space.retrain` is already the recipe of a fine-tuning.
    """

    space: Space
    name: str
    data_root: Path | None = None
    finetuned: bool = False

    def in_words(self, space: Space, *, images: bool) -> str:
        """What is taken, for the person who waits; `space` has what was set on top."""
        root = "" if self.data_root is None else f" in {self.data_root}"
        what = f"space {space.name!r}, {space.retrain.epochs} epochs" + (f", its images{root}" * images)
        return f"the recipe that {self.name} was made with: {what}; --space takes another"


def inherit(found: Found) -> Inherited | None:
    """What was named was made with; None where it says nothing of it, as a published genotype or a file of cells.

    Raises:
        UserError: a sweep whose record cannot be read.
    """
    if found.sweep is not None:
        name = found.sweep.name if found.trial is None else f"{found.sweep.name}:{found.trial.trial}"
        return Inherited(found.sweep.space, name, found.sweep.data_root)
    if found.path is not None:
        return _of_model(found, found.path)
    return None if found.run is None else _of_run(RunRecord(found.runs, found.run), found.where, found.text)


def recorded_images(record: RunRecord, where: Where) -> Path | None:
    """Where the images of a run were: the sweep's `--data`, or the path that it names as its data set's source."""
    name, inputs = record.tags.get(Tag.SWEEP), record.run.inputs
    if name in sweep_names(where.home):
        sweep = open_sweep(where, name)
        if sweep.about["id"] == record.tags.get(Tag.SWEEP_ID):
            return sweep.data_root
    for data in inputs.dataset_inputs if inputs else ():
        try:
            source = Path(json.loads(data.dataset.source)["source"])
        except (KeyError, TypeError, ValueError):
            continue
        if source.is_absolute() and source.exists():
            return source
    return None


def _of_run(record: RunRecord, where: Where, name: str) -> Inherited | None:
    if record.space is None:
        return None
    return Inherited(record.space, name, recorded_images(record, where), record.kind == "finetuning")


def _of_model(found: Found, path: Path) -> Inherited | None:
    """A model's folder or exported file: what it holds itself, else its run, else the space of that name."""
    origin = _origin(path)
    finetuned, result = "finetuned_from" in origin, origin.get("result")
    run_id = result.get("run_id") if isinstance(result, dict) else None
    of_run = None
    if isinstance(run_id, str):
        try:
            run = Finder(found.where).find(run_id)
        except UserError:  # made in another home
            run = None
        if run is not None and run.run is not None:
            of_run = _of_run(RunRecord(run.runs, run.run), found.where, found.text)
    space = _read_space(origin.get("settings"))
    if space is None and of_run is not None:
        space = of_run.space
    if space is None and isinstance(named := origin.get("space"), str):
        try:
            space = load_space(named)
        except UserError:  # a file of its owner's
            return None
        finetuned = False
    if space is None:
        return None
    root = None if of_run is None else of_run.data_root
    return Inherited(space, found.text, root, finetuned)


def _origin(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from pcdarts_tune.models.model import load_model

        description = load_model(path).description
    elif (path / "model.json").is_file():
        description = read_json(path / "model.json")
    else:
        return {}
    origin = description.get("origin")
    return origin if isinstance(origin, dict) else {}


def _read_space(values: Any) -> Space | None:
    try:
        return Space.model_validate_json(json.dumps(values)) if isinstance(values, dict) else None
    except ValidationError:  # of another version of this package
        return None
