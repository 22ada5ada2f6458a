"""Deletions that have begun: each is written down before its first step and crossed out after its last, so that one that is
interrupted, however that happens, is finished by the next.

    with Journal(home).locked() as journal:
        entry = journal.begin(Entry("sweep", "first", {"id": "1f0c…"}))
        ...
        journal.finish(entry)
    Journal(home).pending()

HOME/deletions/<key>.json        what is being deleted
HOME/deletions/<key>/NAME        the folder of a sweep, which is moved there first: then there is no such sweep any more
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import hold_lock, read_json, remove_tree, write_json
from pcdarts_tune.places import place_at

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One deletion: of what, how it was named, and all that its steps need to know."""

    kind: Literal["sweep", "model"]
    name: str
    about: dict[str, Any]

    @property
    def key(self) -> str:
        """Names its files; equal entries have equal keys."""
        text = json.dumps([self.kind, self.name, self.about], sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Journal:
    """The deletions of a home."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home.absolute() / "deletions"

    def pending(self) -> list[Entry]:
        """Deletions that have begun and not ended.

        Raises:
            UserError: one cannot be read.
        """
        return [self._read(file) for file in sorted(self.folder.glob("*.json"))]

    def begin(self, entry: Entry) -> Entry:
        """Write a deletion down."""
        write_json(self._file(entry), {"format": FORMAT, **vars(entry)})
        return entry

    def finish(self, entry: Entry) -> None:
        """Cross it out; all that it moved here has gone."""
        remove_tree(self.place(entry))
        self._file(entry).unlink(missing_ok=True)
        place_at(self.folder).tidy()  # notes that were cut off while they were written

    def place(self, entry: Entry) -> Path:
        """The folder for what it moves out of the way."""
        return self.folder / entry.key

    @contextmanager
    def locked(self) -> Iterator[Journal]:
        """One process deletes at a time.

        Raises:
            UserError: another one does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(
            self.folder / "lock", f"something is being deleted in {self.home}, by {{holder}}", "wait for it"
        ):
            yield self

    def _file(self, entry: Entry) -> Path:
        return self.folder / f"{entry.key}.json"

    def _read(self, file: Path) -> Entry:
        said = read_json(file)
        try:
            if said["format"] != FORMAT or said["kind"] not in ("sweep", "model"):
                raise ValueError
            entry = Entry(said["kind"], str(said["name"]), dict(said["about"]))
            if self._file(entry) != file:  # its key says what may be removed
                raise ValueError
        except (LookupError, TypeError, ValueError):
            hint = "if you know what it was, finish it by hand and remove the file"
            raise UserError(f"{file} is not what a deletion writes", hint=hint) from None
        return entry
