"""Image folders: DIR/train/CLASS/*.jpg with DIR/test/CLASS/*.jpg (or val/), or DIR/CLASS/*.jpg."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import torch

from pcdarts_tune.core.images.decode import SUFFIXES
from pcdarts_tune.core.images.stream import FileSource
from pcdarts_tune.datasets.encoded import LAYOUT, ROLES, EncodedSet, EncodedSplit, Stamp, stamp_of
from pcdarts_tune.errors import UserError


def looks_like_image_folder(root: Path) -> bool:
    """Whether there is an image in `root` or up to three folders below it."""
    level = [root]
    for _ in range(4):
        if any(map(_holds_images, level)):
            return True
        below = [entry for folder in level for entry in _entries(folder) if _is_folder(entry)]
        level = [Path(entry.path) for entry in below[:1000]]
    return False


def find_folder(root: Path) -> EncodedSet:
    """List an image folder; nothing is decoded. Raises UserError: no images, or not in class folders."""
    what = f"the image folder {root.name!r}"
    train, test, validation = _parts(root)
    if train is None and (test or validation):
        raise UserError(f"{root} has a test part and no train/ folder", hint=f"expected {LAYOUT}")
    if train is None:
        classes = _class_names(root)
        first = root / classes[0]
        if len(classes) == 1 and any(name.lower() in ROLES["train"] for name in os.listdir(first)):
            raise UserError(f"{root} holds one folder, {first.name!r}", hint=f"did you mean --data {first}?")
        return EncodedSet(root.name, classes, _list(root, classes), None, what)
    classes, notes = _class_names(train), []
    if test and validation:
        notes.append(
            f"{validation.name}/ is not read: {test.name}/ is the test split, held-out images come from train/"
        )
    test = test or validation
    if test is None:
        return EncodedSet(root.name, classes, _list(train, classes), None, what)
    if extra := [name for name in _class_names(test) if name not in classes]:
        raise UserError(
            f"{test} has class folders that {train.name}/ has not: {', '.join(extra[:5])}",
            hint=f"add them to {train.name}/, or take them out: a class without training images cannot be learnt",
        )
    if absent := [name for name in classes if not (test / name).is_dir()]:
        notes.append(f"{test.name}/ has no images of {', '.join(absent[:5])}")
    return EncodedSet(root.name, classes, _list(train, classes), _list(test, classes), what, tuple(notes))


def _parts(root: Path) -> tuple[Path | None, ...]:
    """The folders of the training, test and validation images."""
    folders = [entry for entry in _entries(root) if _is_folder(entry)]
    known = set().union(*ROLES.values())
    parts = {entry.name.lower(): Path(entry.path) for entry in folders if entry.name.lower() in known}
    if len(parts) < len(folders):  # `train` beside `bus` and `ship` is a class
        parts = {name: folder for name, folder in parts.items() if not _holds_images(folder)}
    found = {role: [parts[name] for name in parts if name in names] for role, names in ROLES.items()}
    return tuple(next(iter(folders), None) for folders in found.values())


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in _entries(folder) if _is_folder(entry)))
    if not names:
        held = "images, but no class folders" if _holds_images(folder) else "no images"
        raise UserError(f"{folder} holds {held}", hint=f"expected {LAYOUT}")
    return names


def _list(folder: Path, classes: tuple[str, ...]) -> EncodedSplit:
    files: list[tuple[str, Stamp]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        images = list(_walk(folder / name, f"{folder.name}/{name}"))
        if not images:
            wrong = f"the class folder {folder / name} holds no images"
            raise UserError(wrong, hint=f"add images ({' '.join(sorted(SUFFIXES))}) or remove the folder")
        files += images
        labels += [label] * len(images)
    paths, stamps = zip(*files, strict=True)
    return EncodedSplit(FileSource(paths), torch.tensor(labels, dtype=torch.int64), stamps)


def _walk(folder: Path, shown: str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[tuple[str, Stamp]]:
    """The images below a folder, in the order of their names, following links but not round in circles."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UserError(f"the link {folder} leads back to a folder above it", hint="remove the link")
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _walk(Path(entry.path), f"{shown}/{entry.name}", (*above, here))
        elif _is_image(entry):
            try:
                about = entry.stat()
            except OSError:  # a dangling link: counted as unreadable when it is read
                about = None
            if about is None or stat.S_ISREG(about.st_mode):  # a pipe would be waited for
                yield entry.path, stamp_of(f"{shown}/{entry.name}", about)


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


def _is_image(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry)


def _holds_images(folder: Path) -> bool:
    return any(map(_is_image, _entries(folder)))
