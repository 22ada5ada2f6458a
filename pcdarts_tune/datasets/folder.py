"""Image folders: DIR/train/CLASS/*.jpg with DIR/test/CLASS/*.jpg (or val/), or DIR/CLASS/*.jpg."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pcdarts_tune.core.images.stream import FileSource
from pcdarts_tune.datasets.dataset import list_some
from pcdarts_tune.datasets.encoded import (
    LAYOUT,
    EncodedSet,
    EncodedSplit,
    Stamp,
    fingerprint,
    role_of,
    stamp_of,
    words_of,
)
from pcdarts_tune.datasets.layout import Parts, check_classes, check_names, find_parts, says_nothing
from pcdarts_tune.datasets.names import check_distinct, match, show_extra
from pcdarts_tune.datasets.suffixes import (
    could_be_image,
    image_suffixes,
    is_image,
    is_left_behind,
    kind_left_out,
    suffix_of,
    tell_left_out,
)
from pcdarts_tune.errors import UserError


def looks_like_image_folder(root: Path) -> bool:
    """Whether there is an image in `root` or up to three folders below it, or a file that could be one."""
    level = [root]
    for _ in range(4):
        if any(could_be_image(entry.path) for folder in level for entry in _files(folder)):
            return True
        level = [Path(entry.path) for folder in level for entry in _folders(folder)][:1000]
    return False


@dataclass
class _Reader:
    """What was found on the way through a folder.

    Attributes:
        left_out: files that are not read, by suffix.
        by_content: files whose suffix says nothing, and which are images.
        notes: for the user.
    """

    root: Path
    left_out: Counter[str] = field(default_factory=Counter)
    by_content: int = 0
    notes: list[str] = field(default_factory=list)

    def read_split(self, folder: Path, classes: tuple[str, ...], folders: dict[str, str]) -> EncodedSplit:
        """The images of the classes in a split's folder; `folders` says how the folder of each class is called in it."""
        files: list[tuple[str, Stamp]] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            if name not in folders:
                continue
            before = self.left_out.copy()
            images = list(self.walk(folder / folders[name], f"{folder.name}/{name}"))
            if not images:
                raise _without_images(folder / folders[name], self.left_out - before)
            files += images
            labels += [label] * len(images)
        paths, stamps = zip(*files, strict=True)
        check_classes(folder, [stamp[0] for stamp in stamps], classes)
        if loose := sum(is_image(entry.path) for entry in _files(folder)):
            self.notes.append(
                f"{loose} images directly in {folder.name}/ belong to no class and are not read"
            )
        key = fingerprint(self.root, stamps, list(paths))
        names = tuple(stamp[0] for stamp in stamps)
        return EncodedSplit(FileSource(paths), torch.tensor(labels, dtype=torch.int64), stamps, key, names)

    def walk(
        self, folder: Path, shown: str, above: tuple[tuple[int, int], ...] = ()
    ) -> Iterator[tuple[str, Stamp]]:
        """The images below a folder, in the order of their names, following links but not round in circles."""
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            raise UserError(f"the link {folder} leads back to a folder above it", hint="remove the link")
        for entry in _entries(folder):
            if _is_folder(entry):
                yield from self.walk(Path(entry.path), f"{shown}/{entry.name}", (*above, here))
                continue
            try:
                about = entry.stat()
            except OSError:  # a dangling link: counted as unreadable when it is read
                about = None
            if about is not None and not stat.S_ISREG(about.st_mode):  # a pipe would be waited for
                continue
            if is_image(entry.path):
                self.by_content += suffix_of(entry.name) not in image_suffixes()
                yield entry.path, stamp_of(f"{shown}/{entry.name}", about)
            else:
                self.left_out[kind_left_out(entry.path)] += 1

    def tell(self) -> tuple[str, ...]:
        if self.by_content:
            told = f"{self.by_content} files whose suffix does not say so are images, and are read"
            self.notes.append(told)
        if self.left_out:
            self.notes.append(
                f"{sum(self.left_out.values())} files in class folders are not read: {tell_left_out(self.left_out)}"
            )
        return tuple(self.notes)


def list_images(folder: Path) -> tuple[list[Path], str]:
    """All images below a folder, in the order of their names, and what else there is, in words; nothing is decoded.

    Raises:
        UserError: a folder that cannot be read, or a link that leads round in a circle.
    """
    reader = _Reader(folder)
    found = [Path(path) for path, _ in reader.walk(folder, folder.name)]
    left_out = sum(reader.left_out.values())
    told = f"{left_out} files in {folder} are not read: {tell_left_out(reader.left_out)}" if left_out else ""
    return found, told


def find_folder(root: Path) -> EncodedSet:
    """List an image folder; nothing is decoded. Raises UserError: no images, or not in class folders."""
    what, reader = f"the image folder {root.name!r}", _Reader(root)
    folders = {entry.name: Path(entry.path) for entry in _folders(root)}
    parts = find_parts({name: _holds_images(path) for name, path in folders.items()}, root)
    if parts is None:
        classes = _class_names(root)
        check_names(root, classes)
        _refuse_wrapper(root, classes)
        train = reader.read_split(root, classes, {name: name for name in classes})
        return EncodedSet(root.name, classes, train, None, what, reader.tell())
    _tell_unread(reader, parts, folders)
    folder = _innermost(folders[parts.train])
    classes = _class_names(folder)
    check_names(folder, classes)
    train = reader.read_split(folder, classes, {name: name for name in classes})
    test = _read_test(reader, parts, folders, classes)
    return EncodedSet(root.name, classes, train, test, what, reader.tell())


def _tell_unread(reader: _Reader, parts: Parts, folders: dict[str, Path]) -> None:
    """Name the folders beside those of the splits. Raises UserError: `train` may as well be one class among them."""
    read = {parts.train, parts.test, parts.validation}
    unread = [f"{name}/" for name in folders if name not in read]
    own = {entry.name for entry in _folders(folders[parts.train])}
    if len(read - {None}) == 1:
        alike = [name for name in unread if _holds_other_classes(folders[name[:-1]], own)]
        if alike:
            raise UserError(
                f"{parts.train}/ in {reader.root} is the training split, or a class beside {list_some(alike)}, which hold "
                "folders of images too",
                hint=f"for a split, move the others elsewhere; for a class, rename {parts.train}/; read are {LAYOUT}",
            )
    if unread:
        reader.notes.append(f"not read: {list_some(unread)}, beside {parts.train}/")
    if loose := sum(is_image(entry.path) for entry in _files(reader.root)):
        reader.notes.append(f"{loose} images directly in {reader.root.name}/ are not read")


def _holds_other_classes(folder: Path, classes: set[str]) -> bool:
    inner = _folders(folder)
    return not classes & {entry.name for entry in inner} and any(
        _holds_images(Path(entry.path)) for entry in inner
    )


def _read_test(
    reader: _Reader, parts: Parts, folders: dict[str, Path], classes: tuple[str, ...]
) -> EncodedSplit | None:
    """The test split, else the validation split; None where neither has labels."""
    for name, other in ((parts.test, parts.validation), (parts.validation, None)):
        if name is None:
            continue
        folder = _innermost(folders[name], classes)
        found = [entry.name for entry in _folders(folder)]
        unlabelled = not found and _holds_images(folder)
        unlabelled |= len(found) == 1 and match(found[0], classes) is None and says_nothing(found[0])
        if unlabelled:
            instead = f"{other}/ is the test split" if other else "a test split is set aside"
            reader.notes.append(f"the images in {name}/ have no labels and are not read: {instead}")
            continue
        if other:
            reader.notes.append(
                f"{other}/ is not read: {name}/ is the test split, held-out images come from {parts.train}/"
            )
        names = _class_names(folder)
        matched = {match(each, classes): each for each in names}
        if extra := [each for each in names if match(each, classes) is None]:
            raise UserError(
                f"{folder} has class folders that {parts.train}/ has not: {show_extra(extra, classes)}",
                hint=f"add them to {parts.train}/, or take them out: a class without training images cannot be learnt",
            )
        if absent := [each for each in classes if each not in matched]:
            reader.notes.append(f"{name}/ has no images of {list_some(absent)}")
        return reader.read_split(
            folder, classes, {key: each for key, each in matched.items() if key is not None}
        )
    return None


def _innermost(folder: Path, classes: tuple[str, ...] = ()) -> Path:
    """Where the class folders of a split lie in one more folder, training_set/training_set/ or test/images/, that folder."""
    for _ in range(3):
        inner = [entry.name for entry in _folders(folder)]
        alone = len(inner) == 1 and (
            role_of(inner[0]) == role_of(folder.name) or _is_wrapper(inner[0], classes)
        )
        if (
            not alone
            or not _folders(folder / inner[0])
            or _holds_images(folder)
            or _holds_images(folder / inner[0])
        ):
            return folder
        folder = folder / inner[0]
    return folder


def _is_wrapper(name: str, classes: tuple[str, ...]) -> bool:
    """Whether a folder is called `images` or the like, and is no class of the training images."""
    return bool(words_of(name)) and says_nothing(name) and match(name, classes) is None


def _refuse_wrapper(root: Path, classes: tuple[str, ...]) -> None:
    """A folder that holds nothing but the folder that is meant."""
    first = root / classes[0]
    if len(classes) == 1 and not _holds_images(first) and _folders(first):
        raise UserError(f"{root} holds one folder, {first.name!r}", hint=f"did you mean --data {first}?")


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(entry.name for entry in _folders(folder))
    if not names:
        held = "images, but no class folders" if _holds_images(folder) else "no images"
        raise UserError(f"{folder} holds {held}", hint=f"expected {LAYOUT}")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise _undecoded(folder, name)
    check_distinct(names, str(folder))
    return names


def _undecoded(folder: Path, name: str) -> UserError:
    """The name has bytes that Python could not read, as from old archives, or under LANG=C."""
    written = os.fsencode(name)
    try:
        decoded = written.decode()
    except UnicodeDecodeError:
        return UserError(
            f"{folder} holds the class folder {written!r}, whose name is not UTF-8: no report or record can hold it",
            hint="rename it; convmv does so for many, as with -f latin1 or -f cp437 and -t utf8",
        )
    return UserError(
        f"{folder} holds the class folder {decoded!a}, and this process reads names as {sys.getfilesystemencoding()}",
        hint="set LC_ALL=C.UTF-8, or PYTHONUTF8=1",
    )


def _without_images(folder: Path, left_out: Counter[str]) -> UserError:
    wrong = f"the class folder {folder} holds no images"
    if left_out:
        wrong += f" that can be read, but {tell_left_out(left_out)}"
    return UserError(wrong, hint=f"add images ({' '.join(sorted(image_suffixes()))}) or remove the folder")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without hidden files and what systems and archivers leave behind."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_left_behind(entry.name)]
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


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(folder) if _is_folder(entry)]


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in _entries(folder) if not _is_folder(entry))


def _holds_images(folder: Path) -> bool:
    return any(is_image(entry.path) for entry in _files(folder))
