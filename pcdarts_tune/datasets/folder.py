"""Image folders: DIR/train/CLASS/*.jpg with DIR/test/CLASS/*.jpg (or val/), or DIR/CLASS/*.jpg."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import torch

from pcdarts_tune.core.images.decode import SUFFIXES
from pcdarts_tune.core.images.stream import FileSource
from pcdarts_tune.datasets.found import TEST, TRAIN, VALIDATION, Encoded, Found
from pcdarts_tune.errors import UserError

LAYOUT = "DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg, or DIR/CLASS/*.jpg, or parquet files with images and labels"


def looks_like_image_folder(root: Path) -> bool:
    """Whether there is an image in `root` or up to three folders below it."""
    level = [root]
    for _ in range(4):
        below: list[Path] = []
        for folder in level:
            for entry in _entries(folder):
                if Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry):
                    return True
                if _is_folder(entry):
                    below.append(Path(entry.path))
        level = below[:1000]
    return False


def find_folder(root: Path) -> Found:
    """List an image folder; nothing is decoded.

    Raises:
        UserError: no images, or not in class folders.
    """
    folders = {entry.name: Path(entry.path) for entry in _entries(root) if _is_folder(entry)}
    parts = {
        name.lower(): folder for name, folder in folders.items() if name.lower() in TRAIN | TEST | VALIDATION
    }
    if len(parts) < len(folders):  # `train` beside `bus` and `ship` is a class
        parts = {name: folder for name, folder in parts.items() if not _holds_images(folder)}
    train, test, validation = (
        next((folder for name, folder in parts.items() if name in role), None)
        for role in (TRAIN, TEST, VALIDATION)
    )
    what, notes = f"the image folder {root.name!r}", []
    if train is None and (test or validation):
        raise UserError(f"{root} has a test part and no train/ folder", hint=f"expected {LAYOUT}")
    if train is not None:
        if test and validation:
            notes.append(
                f"{validation.name}/ is not read: {test.name}/ is the test split, held-out images come from train/"
            )
        classes = _class_names(train)
        test = test or validation
        if test is not None and (extra := [name for name in _class_names(test) if name not in classes]):
            raise UserError(
                f"{test} has class folders that {train.name}/ has not: {', '.join(extra[:5])}",
                hint=f"add them to {train.name}/, or take them out: a class without training images cannot be learnt",
            )
        if test is not None and (absent := [name for name in classes if not (test / name).is_dir()]):
            notes.append(f"{test.name}/ has no images of {', '.join(absent[:5])}")
        first, second = _list(train, classes), _list(test, classes) if test else None
        return Found(root.name, classes, first, second, what, tuple(notes))
    classes = _class_names(root)
    if len(classes) == 1 and any(name.lower() in TRAIN for name in os.listdir(root / classes[0])):
        raise UserError(
            f"{root} holds one folder, {classes[0]!r}", hint=f"did you mean --data {root / classes[0]}?"
        )
    return Found(root.name, classes, _list(root, classes), None, what)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in _entries(folder) if _is_folder(entry)))
    if not names:
        held = "images, but no class folders" if _holds_images(folder) else "no images"
        raise UserError(f"{folder} holds {held}", hint=f"expected {LAYOUT}")
    return names


def _list(folder: Path, classes: tuple[str, ...]) -> Encoded:
    paths: list[str] = []
    labels: list[int] = []
    stamp: list[tuple[str, int, int]] = []
    for label, name in enumerate(classes):
        before = len(paths)
        if (folder / name).is_dir():
            _walk(folder / name, f"{folder.name}/{name}", (), paths, stamp)
            if len(paths) == before:
                raise UserError(
                    f"the class folder {folder / name} holds no images",
                    hint=f"add images ({' '.join(sorted(SUFFIXES))}) or remove the folder",
                )
        labels += [label] * (len(paths) - before)
    return Encoded(FileSource(tuple(paths)), torch.tensor(labels, dtype=torch.int64), tuple(stamp))


def _walk(
    folder: Path,
    shown: str,
    above: tuple[tuple[int, int], ...],
    paths: list[str],
    stamp: list[tuple[str, int, int]],
) -> None:
    """Collect the images below a folder, in the order of their names, following links but not round in circles."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UserError(f"the link {folder} leads back to a folder above it", hint="remove the link")
    for entry in _entries(folder):
        if _is_folder(entry):
            _walk(Path(entry.path), f"{shown}/{entry.name}", (*above, here), paths, stamp)
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            try:
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
                    continue
                size, changed = status.st_size, status.st_mtime_ns
            except OSError:  # a dangling link: counted as unreadable when it is read
                size, changed = 0, 0
            paths.append(entry.path)
            stamp.append((f"{shown}/{entry.name}", size, changed))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without hidden files and what archivers leave behind."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise UserError(
            f"cannot read the folder {folder}: {error.strerror}", hint="check it and its permissions"
        ) from error
    return sorted(found, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _holds_images(folder: Path) -> bool:
    return any(
        Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry) for entry in _entries(folder)
    )
