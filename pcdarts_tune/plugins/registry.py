"""Which plug-ins this process knows: those given to it, those that records of sweeps, tasks and models name, entry points.

A record is a dictionary of plain values, one a plug-in:

    {"file": "my_ops.py", "digest": "…", "text": "…", "provides": {"operations": ["se_conv_3x3"]}}
    {"package": "my-package", "version": "1.0", "provides": {"datasets": ["blobs"]}}

The text of a model that comes from elsewhere is run only where its digest is known: the file was given with --plugin, now or
earlier in this home (`trust_store`), or the caller says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core import finding
from pcdarts_tune.core.finding import entry_points
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_whole
from pcdarts_tune.plugins.files import KINDS, PluginFile

Record = dict[str, Any]
Provides = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Declared:
    file: PluginFile
    provides: Provides


LACKS = ", which this process lacks"
"""Ends what `explain` says."""
_GIVEN: dict[str, PluginFile] = {}
"""Digest -> file that a person gave: what it offers is known once it has run."""
_DECLARED: dict[str, _Declared] = {}
"""Digest -> file that a record names."""
_LACKING: dict[tuple[str, str], str] = {}
"""(kind, name) -> who has it, of records whose plug-in is not here."""
_STORES: list[Path] = []
"""Folders of files that may run, DIGEST.py."""


def group_of(kind: str) -> str:
    """The group of entry points."""
    return f"pcdarts_tune.{kind}"


def give(path: Path) -> PluginFile:
    """Know what is in a file; it runs when it is asked for something. Raises UserError: it is no Python file."""
    file = PluginFile.read(path)
    return _GIVEN.setdefault(file.digest, file)


def trust_store(folder: Path) -> None:
    """Files whose digest is in this folder may run, whoever brings them."""
    if folder not in _STORES:
        _STORES.append(folder)


def keep(folder: Path, records: Iterable[Record] | None = None) -> None:
    """Keep files for `trust_store`: those of the records; without any, those that were given to this process."""
    files = _GIVEN.values() if records is None else map(_file_of, records)
    for file in files:
        if file is not None and not (kept := folder / f"{file.digest}.py").exists():
            write_whole(kept, file.text)


def declare(records: Iterable[Record], *, trusted: bool = True, origin: str = "") -> None:
    """Know what records name.

    Args:
        trusted: whether files may run because the record says so; otherwise their digest must be known here.
        origin: where the records are, for people.

    Raises:
        UserError: another version of an operation's file has run in this process.
        ValueError: they are no records.
    """
    for record in records:
        file, provides = _file_of(record), _provides(record)
        if file is None:
            who = f"package {record.get('package')} {record.get('version')}"
        elif trusted or _is_known(file.digest):
            _refuse_other_version(file, provides["operations"])
            _DECLARED.setdefault(file.digest, _Declared(file, provides))
            continue
        else:
            who = f"{file}, kept in {origin}"
        _LACKING.update({(kind, name): who for kind, found in provides.items() for name in found})


def _file_of(record: Any) -> PluginFile | None:
    if not isinstance(record, dict):
        return None
    name, text = record.get("file"), record.get("text")
    return PluginFile(name, text) if isinstance(name, str) and isinstance(text, str) else None


def _provides(record: Any) -> dict[str, list[str]]:
    found = record.get("provides") if isinstance(record, dict) else None
    if not isinstance(found, dict) or not all(isinstance(names, list) for names in found.values()):
        raise ValueError(
            "plugins must be a list of records: file, digest, text (or package, version) and provides"
        )
    return {kind: [str(name) for name in found.get(kind, ())] for kind in KINDS}


def _is_known(digest: str) -> bool:
    kept = any((folder / f"{digest}.py").is_file() for folder in _STORES)
    return kept or digest in _GIVEN or digest in _DECLARED


def _refuse_other_version(file: PluginFile, operations: Iterable[str]) -> None:
    for other in _files():
        if other.digest != file.digest and other.loaded:
            for name in set(operations) & set(other.offers().get("operations", ())):
                raise UserError(
                    f"operation {name!r} is in two plug-ins: {other}, which this process runs, and {file}",
                    hint="a process of its own for each",
                )


def _files() -> list[PluginFile]:
    return [*_GIVEN.values(), *(each.file for each in _DECLARED.values() if each.file.digest not in _GIVEN)]


def _provided(file: PluginFile) -> Provides:
    """What a file provides; one that was given runs for that."""
    if file.digest in _DECLARED and not file.loaded:
        return _DECLARED[file.digest].provides
    return {kind: list(found) for kind, found in file.offers().items()}


def _providers(kind: str, name: str) -> list[PluginFile]:
    return [file for file in _files() if name in _provided(file).get(kind, ())]


def knows(kind: str, name: str) -> bool:
    """Whether a plug-in has it."""
    return name in entry_points(group_of(kind)) or _in_files(kind, name)


def _in_files(kind: str, name: str) -> bool:
    """Whether a file has it; what a record says is believed, so that a file that was given does not run for it."""
    declared = any(name in each.provides.get(kind, ()) for each in _DECLARED.values())
    return declared or bool(_providers(kind, name))


def names(kind: str) -> list[str]:
    """Everything that plug-ins have of a kind."""
    found = [name for file in _files() for name in _provided(file).get(kind, ())]
    return list(dict.fromkeys([*entry_points(group_of(kind)), *found]))


def find(kind: str, name: str) -> Any:
    """What a plug-in has under a name; None where none has it. Entry points come first.

    Raises:
        UserError: it cannot be loaded, or two files have it.
    """
    if (point := entry_points(group_of(kind)).get(name)) is not None:
        try:
            return point.load()
        except Exception as error:  # another package's code: whatever it raises is its mistake, not ours
            raise UserError(
                f"{KINDS[kind]} {name!r} of {point.value}: {type(error).__name__}: {error}",
                hint=f"the package of {point.value} has to be corrected, or uninstalled",
            ) from error
    files = _one_provider(kind, name)
    return files[0].offers()[kind][name] if files else None


def check(records: Iterable[Record]) -> None:
    """Refuse to go on with what records name where another version was given. Raises UserError: naming both."""
    for record in records:
        for kind, found in _provides(record).items():
            for name in found:
                _one_provider(kind, name)


def _one_provider(kind: str, name: str) -> list[PluginFile]:
    files = _providers(kind, name)
    if len(files) > 1:
        raise UserError(
            f"{KINDS[kind]} {name!r} is in two plug-ins: {' and '.join(map(str, files))}",
            hint="leave --plugin away to go on with the one that was kept; give the other one another name",
        )
    return files


def source_of(kind: str, name: str) -> str:
    """Who has it, in words; empty where no plug-in has."""
    if (point := entry_points(group_of(kind)).get(name)) is not None:
        return point.value
    return next((str(file) for file in _providers(kind, name)), "")


def explain(kind: str, name: str) -> str:
    """Where something comes from that is lacking here, as a sentence; empty where no record says so."""
    who = _LACKING.get((kind, name))
    return f"{KINDS[kind]} {name!r} comes from {who}{LACKS}" if who else ""


def records_of(*values: Any) -> list[Record]:
    """The plug-ins that have something of a name that occurs in plain values (a space, a genotype), to be kept beside them."""
    records: list[Record] = []
    if not (used := set(_texts(values))):
        return records
    for file in _files():
        provides = {kind: sorted(found) for kind, found in _provided(file).items() if found}
        if used & {name for found in provides.values() for name in found}:
            about = {"file": file.name, "digest": file.digest, "text": file.text}
            records.append({**about, "provides": provides})
    packages: dict[tuple[str, str], dict[str, list[str]]] = {}
    for kind in KINDS:
        for name, point in entry_points(group_of(kind)).items():
            if name in used and point.dist is not None:
                package = packages.setdefault((point.dist.name, point.dist.version), {})
                package.setdefault(kind, []).append(name)
    for (name, version), found in packages.items():
        records.append({"package": name, "version": version, "provides": found})
    return records


def identity_of(*values: Any) -> dict[str, list[str]]:
    """What makes results differ from those of other versions of the plug-ins that plain values name; empty without any."""
    found = records_of(*values)
    versions = [record.get("digest") or f"{record['package']} {record['version']}" for record in found]
    return {"plugins": sorted(versions)} if versions else {}


ARTIFACT = "plugins.json"
"""The file of an MLflow run that has its records."""


def artifact_of(*values: Any) -> dict[str, list[Record]]:
    """The records as a file of an MLflow run; nothing without any."""
    records = records_of(*values)
    return {ARTIFACT: records} if records else {}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


class _Operations:
    """What the core asks for operations that are not registered."""

    def knows(self, name: str) -> bool:
        return _in_files("operations", name)

    def find(self, name: str) -> Any:
        return find("operations", name)

    def explain(self, name: str) -> str:
        return explain("operations", name)


finding.add_finder(_Operations())
