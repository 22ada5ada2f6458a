"""Pictures in an MLflow run, each kept once under its key and step, also where an attempt to keep it was cut off.

MLflow names a picture's two files by key, step, time and a random id, so one that is logged again is there twice:

    images = RunImages(client)
    images.doubt(run_id)                                    # an earlier attempt may have left something
    images.put(run_id, image, key="cells", step=3)          # what it left is completed, what is whole is skipped
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from PIL.Image import Image

FOLDER = "images"
_NAME = re.compile(
    r"(?P<stem>(?P<key>.+?)[+%]step[+%](?P<step>-?\d+)[+%]timestamp[+%]\d+[+%][0-9a-f-]+)"
    r"(?:\.png|(?P<sign>[+%])compressed\.webp)"
)


@dataclass(frozen=True)
class ImageFile:
    """One of a picture's files: `stem` is what both have in common."""

    stem: str
    key: str
    step: int
    size: int
    name: str


class RunImages:
    """Keeps pictures in the runs of a store."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._doubted: dict[str, list[ImageFile] | None] = {}

    def doubt(self, run_id: str) -> None:
        """Look what the run has before the next picture is kept in it."""
        self._doubted[run_id] = None

    def put(self, run_id: str, image: Image, *, key: str, step: int) -> None:
        """Keep a picture, unless the run has it."""
        left = self._left(run_id, key, step)
        if left:
            self._complete(run_id, image, left)
        else:
            self._client.log_image(run_id, image, key=key, step=step, synchronous=True)

    def _left(self, run_id: str, key: str, step: int) -> list[ImageFile]:
        if run_id not in self._doubted:
            return []
        known = self._doubted[run_id]
        if known is None:
            known = self._doubted[run_id] = image_files(self._client, run_id)
        return [file for file in known if (file.key, file.step) == (key, step)]

    def _complete(self, run_id: str, image: Image, left: list[ImageFile]) -> None:
        """Write those of the two files anew that are missing or were cut off."""
        from mlflow.tracking.multimedia import compress_image_size
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

        stem = left[0].stem
        sign = "+" if "+step+" in stem else "%"
        there = {file.name: file.size for file in left}
        wanted = {f"{stem}.png": image, f"{stem}{sign}compressed.webp": compress_image_size(image)}
        with tempfile.TemporaryDirectory() as folder:
            for name, picture in wanted.items():
                file = Path(folder) / name
                picture.save(file)
                if there.get(name) != file.stat().st_size:
                    self._client.log_artifact(run_id, str(file), FOLDER)
        self._client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, "True")


def image_files(client: MlflowClient, run_id: str) -> list[ImageFile]:
    """The files of a run's pictures."""
    found = []
    for entry in client.list_artifacts(run_id, FOLDER):
        name = Path(entry.path).name
        if (match := _NAME.fullmatch(name)) is not None:
            size = entry.file_size or 0
            found.append(ImageFile(match["stem"], match["key"], int(match["step"]), size, name))
    return found
