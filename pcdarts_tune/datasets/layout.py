"""Which folders are the splits of a set and which are its classes, by their names and by what they hold.

>>> find_parts({"training_set": False, "test_set": False}, Path("pets"))
Parts(train='training_set', test='test_set', validation=None)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdarts_tune.datasets.dataset import list_some
from pcdarts_tune.datasets.encoded import LAYOUT, ROLES, role_of, words_of
from pcdarts_tune.errors import UserError

_EXACT = set().union(*ROLES.values())
_GENERIC = {
    "set",
    "sets",
    "data",
    "dataset",
    "images",
    "image",
    "img",
    "imgs",
    "seg",
    "split",
    "part",
    "the",
    "of",
    "fold",
}
"""Words that say nothing of a class: `train_images` is a split, `freight_train` can be a class."""


@dataclass(frozen=True)
class Parts:
    """Names of the folders of the splits."""

    train: str
    test: str | None = None
    validation: str | None = None


def find_parts(folders: Mapping[str, bool], root: Path) -> Parts | None:
    """The folders of the splits, by the words of their names; None where they are classes.

    Args:
        folders: name of each folder in `root` -> whether images lie directly in it.

    Raises:
        UserError: splits without training images, or several folders for one split.
    """
    named = {name: role for name in folders if (role := role_of(name)) is not None}
    every = len(named) == len(folders)
    splits = {
        name: role for name, role in named.items() if not folders[name] or (every and _only_a_split(name))
    }
    found: dict[str, str] = {}
    for role in ROLES:
        names = [name for name in splits if splits[name] == role]
        exact = [name for name in names if name.lower() in _EXACT]
        if len(names) > 1 and len(exact) != 1:
            raise UserError(
                f"{root} holds several folders for one split: {list_some(names)}",
                hint=f"name one of them {role}/, or move their class folders into one; read are {LAYOUT}",
            )
        if names:
            found[role] = exact[0] if len(names) > 1 else names[0]
    if "train" in found:
        return Parts(found["train"], found.get("test"), found.get("validation"))
    if any(name.lower() in _EXACT for name in found.values()) and len(splits) == len(folders):
        raise UserError(f"{root} has a test part and no train/ folder", hint=f"expected {LAYOUT}")
    return None


def check_names(root: Path, classes: Sequence[str]) -> None:
    """Refuse "classes" whose names say that they are classes of a split, as train_cat/ and test_cat/.

    Raises:
        UserError: naming them.
    """
    roles: dict[str, dict[str, str]] = {}
    for name in classes:
        if (role := role_of(name)) is not None:
            rest = " ".join(word for word in words_of(name) if word not in ROLES[role])
            roles.setdefault(rest, {})[role] = name
    for rest, found in roles.items():
        if rest and "train" in found and len(found) > 1:
            named = [f"{name}/" for name in found.values()]
            raise UserError(
                f"{' and '.join(named)} in {root} look like the class {rest!r} in several splits, not like classes",
                hint=f"read are {LAYOUT}; move {found['train']}/ to train/{rest}/, and so on",
            )


def _only_a_split(name: str) -> bool:
    return not set(words_of(name)) - _EXACT - _GENERIC


def says_nothing(name: str) -> bool:
    """Whether a folder's name is that of a heap of images without labels, as `test/unknown/`."""
    unlabelled = {"unknown", "unlabeled", "unlabelled", "all", "none", "test", "jpg", "png", "jpeg"}
    return not set(words_of(name)) - unlabelled - _GENERIC


def check_classes(folder: Path, names: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse "classes" that are folds, or splits, or hold them.

    Args:
        names: of the images, `SPLIT/CLASS/…/FILE`.

    Raises:
        UserError: every class holds the same folders or is called like a fold, or one holds train/ and test/.
    """
    below: dict[str, set[str]] = {name: set() for name in classes}
    deeper: dict[str, set[str]] = {name: set() for name in classes}
    direct: set[str] = set()
    for name in names:
        _, label, *inner = name.split("/")
        if len(inner) > 1:
            below[label].add(inner[0])
            deeper[label].update(inner[:-1])
        else:
            direct.add(label)
    for label, inside in deeper.items():
        splits = sorted(each for each in inside if role_of(each) is not None and _only_a_split(each))
        roles = set(map(role_of, splits))
        if "train" in roles and roles & {"test", "validation"}:
            raise UserError(
                f"the class folder {folder / label} holds the splits {list_some(splits)}: which images are "
                "training images is read from the folders above the classes",
                hint=f"read are {LAYOUT}; move {label}/train to train/{label}, and so on",
            )
    shared = [
        each for each, count in Counter(s for inside in below.values() for s in inside).items() if count > 1
    ]
    shared = [each for each in shared if 2 * sum(each in inside for inside in below.values()) > len(below)]
    if not direct and len(shared) > 1:
        raise UserError(
            f"{list_some([f'{each}/' for each in classes])} in {folder} hold the same folders, "
            f"{list_some([f'{each}/' for each in sorted(shared)])}: they look like folds or splits of one set, and "
            f"{list_some(sorted(shared))} like its classes",
            hint=f"read are {LAYOUT}; name one split train/ and another test/, or move the class folders together",
        )
    if len(classes) > 1 and all(set(words_of(name)) in ({"fold"}, {"split"}) for name in classes):
        raise UserError(
            f"{list_some([f'{name}/' for name in classes])} in {folder} look like folds of one set, not like classes",
            hint=f"read are {LAYOUT}; put the images into class folders",
        )
