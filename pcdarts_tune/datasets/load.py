"""Load a data set by its name or from the user's files, and keep it decoded, so that the trials of a sweep need not do it again.

    ds = load_dataset(DataConfig(dataset="cifar10"), Path("data"), cache_dir=home / "cache")

A cached set is one safetensors file, named by a digest of everything that it was made from. It is mapped into memory:
trials on one machine share its pages. A damaged or missing file only means decoding again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import PIL
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pcdarts_tune import plugins
from pcdarts_tune.core.images.conversion import Conversion
from pcdarts_tune.core.images.formats import readable_formats
from pcdarts_tune.core.images.stream import ImageSource, StreamImages
from pcdarts_tune.datasets.dataset import DataSet, check_counts, list_some, make_dataset, recognise
from pcdarts_tune.datasets.duplicates import settle_duplicates
from pcdarts_tune.datasets.encoded import LAYOUT, EncodedSet, digest_of, fingerprint, stamp_of
from pcdarts_tune.datasets.folder import find_folder, looks_like_image_folder
from pcdarts_tune.datasets.groups import add_groups, group_notes
from pcdarts_tune.datasets.named import (
    TORCHVISION,
    TORCHVISION_FOLDERS,
    cifar_files,
    default_root,
    has_torchvision_files,
    load_digits,
)
from pcdarts_tune.datasets.pack import ReportProgress, make_streamable, pack
from pcdarts_tune.datasets.parquet import holds_images, parquet_files
from pcdarts_tune.datasets.parquet_set import find_parquet
from pcdarts_tune.datasets.splits import split_dataset
from pcdarts_tune.datasets.suffixes import is_left_behind
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import replace_when_written
from pcdarts_tune.say import Progress, say
from pcdarts_tune.spaces.known import HUB
from pcdarts_tune.spaces.sizes import check_sizes
from pcdarts_tune.spaces.space import DataConfig, Space

SourceOf = Callable[[str], ImageSource]
"""Gives where the images of `train` and of `test` come from, for sets that are streamed."""
Loader = Callable[[DataConfig, Path | None], DataSet]
"""(configuration, --data DIR or None) -> DataSet; build it with `dataset.make_dataset`, which checks it."""

_LOADERS: dict[str, Loader] = {}


def register_dataset(name: str, loader: Loader) -> None:
    """Make `data.dataset: name` read with a loader of one's own. Raises ValueError: the name is taken."""
    if name in _LOADERS or name in TORCHVISION or name in ("digits", "folder"):
        raise ValueError(f"there is a data set {name!r} already")
    _LOADERS[name] = loader


def load_dataset(
    data: DataConfig,
    root: Path | None = None,
    *,
    cache_dir: Path | None = None,
    keep: bool = True,
    progress: ReportProgress | None = None,
) -> DataSet:
    """Load what a space names; images or parquet files in `root` come first, whatever the space names.

    Args:
        root: `--data DIR`: an image folder, a parquet file, a folder of parquet files, or torchvision's root.
        cache_dir: folder where decoded images are kept for the next time; None decodes each time.
        keep: False only reads what is kept there already.
        progress: called with (images done, images in all) while files are decoded.

    Raises:
        UserError: missing, empty, unreadable, of one class, or too small; with what to do.
    """
    found, name = find_dataset(data, root), data.dataset
    if found is not None:
        ds = _load_files(found, data, cache_dir, keep, progress)
        return replace(ds, max_unreadable=data.max_unreadable)
    if name in _LOADERS:
        return _LOADERS[name](data, root)
    if (other := _load_other(data, root)) is not None:
        return other
    if name in TORCHVISION:
        folder = root or default_root()
        files = [path for path in cifar_files(name, folder) if path.is_file()]
        stamps = [stamp_of(path.name, path.stat()) for path in files]
        path = _cache_path(cache_dir, data, fingerprint(folder, stamps, list(map(str, files))))
        return load_cached(path if files else None, lambda: TORCHVISION[name](data, folder), keep=keep)
    if root is not None:
        raise UserError(f"{root} holds no images", hint=f"expected {LAYOUT}")
    if name == "digits":
        path = _cache_path(cache_dir, data, version("scikit-learn"))
        return load_cached(path, lambda: load_digits(data), keep=keep)
    if name == "folder":
        raise UserError("this space reads your own images", hint=f"--data DIR, where {LAYOUT}")
    names = ["digits", "folder", *TORCHVISION, *_LOADERS]
    wrong = f"no data set {name!r}{nearest(name, names)}; there are {', '.join(sorted(names))}"
    raise UserError(wrong, hint="data.dataset: folder with --data DIR for images of your own")


def _load_other(data: DataConfig, root: Path | None) -> DataSet | None:
    """What a plug-in or Hugging Face's hub has under the name that the space gives; None where it names neither."""
    from pcdarts_tune.datasets.hub import load_hub
    from pcdarts_tune.datasets.plugged import load_plugged

    if data.dataset.startswith(HUB):
        return load_hub(data.dataset, data)
    return load_plugged(data.dataset, data, root) if plugins.knows("datasets", data.dataset) else None


def find_dataset(data: DataConfig, root: Path | None) -> EncodedSet | None:
    """What `load_dataset` would read from files in `root`, none of them decoded; None where it reads no such
    files. Raises UserError: as `load_dataset`."""
    if root is None or plugins.knows("datasets", data.dataset):
        return None  # a plug-in is told where --data is, and reads it itself
    hint = "--data DIR must be a folder or a parquet file"
    try:
        if not root.exists():
            raise UserError(f"{root} does not exist", hint=hint)
        if root.is_file() and root.suffix.lower() != ".parquet":
            raise UserError(f"{root} is neither a folder nor a .parquet file", hint="unpack archives first")
        if has_torchvision_files(data.dataset, root):
            return None
        hint = "check it and its permissions"
        files = parquet_files(root)
    except OSError as error:  # a link to itself, a name too long
        raise UserError(f"cannot read {root}: {error.strerror}", hint=hint) from error
    if files and (root.is_file() or any(map(holds_images, files)) or not looks_like_image_folder(root)):
        found = find_parquet(root, files, data.dataset, data.group)
        return add_groups(_tell_beside(found, root, files), data.group)
    if looks_like_image_folder(root) or (data.dataset not in TORCHVISION and data.dataset not in _LOADERS):
        beside = f"parquet files without images are not read: {list_some([path.name for path in files])}"
        return add_groups(_with_notes(find_folder(root), [beside] if files else []), data.group)
    if data.dataset in TORCHVISION:
        _refuse_to_download(data.dataset, root)
    return None


def _tell_beside(found: EncodedSet, root: Path, files: list[Path]) -> EncodedSet:
    """The set with a note of the folders of images beside the parquet files."""
    holding = {path.relative_to(root).parts[0] for path in files} if root.is_dir() else set()
    beside = [
        f"{path.name}/"
        for path in (sorted(root.iterdir()) if root.is_dir() else ())
        if path.is_dir() and path.name not in holding and not is_left_behind(path.name)
    ]
    beside = [name for name in beside if looks_like_image_folder(root / name)]
    told = f"{list_some(beside)} beside the parquet files: only images that these name are read from it"
    return _with_notes(found, [told] if beside else [])


def _with_notes(found: EncodedSet, notes: list[str]) -> EncodedSet:
    names = Counter(name.casefold() for name in found.classes if len(name) > 1)
    alike = [name for name in found.classes if names[name.casefold()] > 1]
    if alike:
        notes = [*notes, f"classes differ by capital letters alone: {list_some(alike)}"]
    return replace(found, notes=(*found.notes, *notes))


def _refuse_to_download(name: str, root: Path) -> None:
    """Nothing is fetched into a folder that holds something else than torchvision's files. Raises UserError: it does."""
    held = [entry.name for entry in root.iterdir() if not is_left_behind(entry.name)] if root.is_dir() else []
    if held and not set(held) & TORCHVISION_FOLDERS and not has_torchvision_files(name, root):
        raise UserError(
            f"{root} holds neither images nor torchvision's files of {name}, but {list_some(sorted(held))}",
            hint=f"expected {LAYOUT}; without --data, {name} is fetched into {default_root()}",
        )


def _load_files(
    found: EncodedSet, data: DataConfig, cache_dir: Path | None, keep: bool, progress: ReportProgress | None
) -> DataSet:
    check_counts(found.classes, found.train.labels, data, what=found.source, has_test=found.test is not None)
    files = [found.train.key, found.test.key if found.test else None]

    def source_of(split: str) -> ImageSource:
        part = (split == "test" and found.test) or found.train
        return make_streamable(part, cache_dir) if keep else part.source

    def load() -> DataSet:
        train, test, noted = pack(found, data, progress=progress, scratch=cache_dir, keep=keep)
        name = found.name
        known = recognise(name, found.classes, train.images.shape)
        train, test, twice = settle_duplicates(train, test, data, what=found.source, near=known is None)
        if twice and data.duplicates == "drop":
            what = f"{found.source}, without its duplicates,"
            check_counts(found.classes, train.labels, data, what=what, has_test=test is not None)
        grouped = group_notes(train.groups, test.groups if test else None) if train.groups is not None else ()
        notes = (*found.notes, *noted, *twice, *grouped)
        if known == "cifar10":
            name = known
        elif data.dataset not in ("folder", known):
            other = f"{name} ({len(found.classes)} classes)"
            notes += (f"the space names {data.dataset}; --data holds another set, {other}",)
        return make_dataset(name, found.classes, train, test, data, source=found.source, notes=notes)

    path = _cache_path(cache_dir, data, [found.classes, files, data.max_unreadable])
    return load_cached(path, load, keep=keep, source_of=source_of)


def _cache_path(cache_dir: Path | None, data: DataConfig, valid_for: object) -> Path | None:
    if cache_dir is None:
        return None
    settings: list[Any] = [data.dataset, data.image_size, data.test_fraction, data.memory_limit_gb]
    settings += [data.background, data.sample_range, data.duplicates, data.group, *readable_formats()]
    return cache_dir / f"{digest_of([settings, valid_for, PIL.__version__])}.safetensors"


def load_cached(
    path: Path | None, load: Callable[[], DataSet], *, keep: bool, source_of: SourceOf | None = None
) -> DataSet:
    """The data set that is kept at `path`, else the one that `load` gives.

    Args:
        path: None where nothing is kept.
        keep: whether what was loaded is kept; a note on the data set says where that failed.
    """
    if path is None:
        return load()
    known = _restore(path, source_of)
    if known is not None:
        return known
    return _store(path, load()) if keep else load()


def _store(path: Path, ds: DataSet) -> DataSet:
    tensors = {"train_labels": ds.train_labels, "test_labels": ds.test_labels}
    for split, images in (("train", ds.train_images), ("test", ds.test_images)):
        if isinstance(images, Tensor):
            tensors[f"{split}_images"] = images
        else:
            tensors[f"{split}_rows"] = images.rows
    tensors |= {name: found for name in ("groups", "twins") if (found := getattr(ds, name)) is not None}
    fields = ("name", "classes", "mean", "std", "digest", "source", "notes")
    about = {field: getattr(ds, field) for field in fields} | {"shape": list(ds.train_images.shape)}
    about["conversion"] = None if ds.converted is None else ds.conversion.to_dict()
    try:
        with replace_when_written(path) as part:
            contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
            save_file(contiguous, part, metadata={"about": json.dumps(about)})
    except (OSError, SafetensorError) as error:
        return replace(ds, notes=(*ds.notes, f"decoded images could not be cached: {error}"))
    return ds


def _restore(path: Path, source_of: SourceOf | None) -> DataSet | None:
    """The data set in a file, or None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        values: dict[str, Any] = {key: about[key] for key in ("name", "digest", "source")}
        values |= {key: tuple(about[key]) for key in ("classes", "mean", "std", "notes")}
        values |= {name: tensors.get(name) for name in ("groups", "twins")}
        shape, converted = about["shape"], about["conversion"]
        if converted is not None:
            values["converted"] = Conversion.from_dict({"channels": shape[1], **converted})
        for split in ("train", "test"):
            images: Any = tensors.get(f"{split}_images")
            if images is None and source_of is not None:
                images = StreamImages(
                    source_of(split), tensors[f"{split}_rows"], (shape[2], shape[3]), values["converted"]
                )
            values |= {f"{split}_images": images, f"{split}_labels": tensors[f"{split}_labels"]}
        return DataSet(**values)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def about_images(images: DataSet) -> dict[str, str]:
    """The data set for the record, as MLflow's inputs want it."""
    profile: dict[str, Any] = {
        "train_images": len(images.train_labels),
        "test_images": len(images.test_labels),
        "classes": images.num_classes,
        "channels": images.in_channels,
        "image_size": images.image_size,
    }
    source = json.dumps({"source": images.source})
    return {"name": images.name, "digest": images.digest, "source": source, "profile": json.dumps(profile)}


def load_images(
    space: Space,
    root: Path | None,
    home: Path | None,
    stages: Sequence[str] = (),
    *,
    keep: bool = True,
    quiet: bool = False,
) -> DataSet:
    """The images of a space; on stderr what there is to know of them.

    Args:
        root: `--data`, or None.
        home: where decoded images are kept for the next time; None for nowhere.
        stages: those of search, evaluation and retrain whose recipes will be used, to be checked against the images.
        keep: False only reads what is kept there, and writes nothing.

    Raises:
        UserError: as `load_dataset` and `check_sizes`.
    """
    with ExitStack() as stack:
        bars: list[Progress] = []

        def progress(done: int, total: int) -> None:
            if not bars:
                bar = Progress("reading images", total, quiet=quiet, every=5)
                bars.append(stack.enter_context(bar))
            bars[0].update(done)

        cache_dir = None if home is None else home / "cache"
        images = load_dataset(space.data, root, cache_dir=cache_dir, keep=keep, progress=progress)
    sizes = check_sizes(space, images.image_size, stages)
    if not quiet:
        splits = split_dataset(images, space.data)
        for note in (*images.notes, *splits.notes, *sizes):
            say(f"note: {note}")
        if space.search.batch_size > len(splits.weights):
            say(
                f"note: search.batch_size {space.search.batch_size} is more than the {len(splits.weights)} images that "
                "train the weights: one step an epoch; lower it with --set search.batch_size=N"
            )
    return images
