"""A plug-in that is one file: a module with dictionaries by name, run from its text, so that the text is all that has to travel.

    def se_conv_3x3(channels, stride, affine): ...

    operations = {"se_conv_3x3": se_conv_3x3}

A file is run once in a process, and only when something in it is asked for.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pcdarts_tune.errors import UserError, one_line
from pcdarts_tune.files import read_bytes

KINDS = {
    "operations": "operation",
    "datasets": "data set",
    "search_spaces": "search space",
    "samplers": "sampler",
}
"""What a plug-in may offer: the name of its dictionary (and of the group of entry points), and one of it in words."""
LARGEST = 1_000_000
"""Bytes of a plug-in's text."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_OFFERS: dict[str, dict[str, dict[str, Any]]] = {}
"""Digest -> what the file offers, of those that were run in this process."""


@dataclass(frozen=True)
class PluginFile:
    """A plug-in file: its name, for people, and its text, which identifies it."""

    name: str
    text: str

    @classmethod
    def read(cls, path: Path) -> PluginFile:
        """The file at `path`, which is not run. Raises UserError: it cannot be read, or is not Python."""
        try:
            text = read_bytes(path, LARGEST).decode()
            compile(text, path.name, "exec", dont_inherit=True)
        except OSError as error:
            hint = "--plugin takes the path of a Python file"
            raise UserError(f"{path} cannot be read: {error.strerror or error}", hint=hint) from None
        except (SyntaxError, ValueError) as error:
            at = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            reason = error.msg if isinstance(error, SyntaxError) else one_line(error)
            raise UserError(f"plug-in {path}{at}: {reason}", hint="it must be a Python file") from None
        return cls(path.name, text)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the text's sha256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def loaded(self) -> bool:
        """Whether it was run in this process."""
        return self.digest in _OFFERS

    def __str__(self) -> str:
        return f"plug-in {self.name} (sha256 {self.digest})"

    def offers(self) -> dict[str, dict[str, Any]]:
        """Kind -> name -> what the file offers under that name; runs the file the first time.

        Raises:
            UserError: it fails, offers nothing, or offers what cannot be.
        """
        if not self.loaded:
            _OFFERS[self.digest] = _offers(self, self._run())
        return _OFFERS[self.digest]

    def _run(self) -> ModuleType:
        shown = f"<plug-in {self.name} {self.digest}>"
        module = ModuleType(f"pcdarts_tune_plugin_{self.digest}")
        module.__file__ = shown
        # so that tracebacks, inspect and torch.compile find the lines
        linecache.cache[shown] = (len(self.text), None, self.text.splitlines(keepends=True), shown)
        sys.modules[module.__name__] = module
        try:
            exec(compile(self.text, shown, "exec", dont_inherit=True), module.__dict__)
        except (Exception, SystemExit) as error:  # whatever another's code raises is its mistake
            del sys.modules[module.__name__]
            lines = [
                each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == shown
            ]
            at = f", line {lines[-1]}" if lines else ""
            raise UserError(
                f"plug-in {self.name}{at}: {type(error).__name__}: {one_line(error)}",
                hint=f"correct {self.name}, or install what it imports",
            ) from error
        return module


def _offers(file: PluginFile, module: ModuleType) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for kind, word in KINDS.items():
        offered = getattr(module, kind, {})
        if not isinstance(offered, dict):
            raise UserError(
                f"plug-in {file.name}: {kind} is {type(offered).__name__}, not a dictionary by name",
                hint=f'{kind} = {{"my_name": …}}',
            )
        article = "an" if word[0] in "aeiou" else "a"
        for name in offered:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise UserError(
                    f"plug-in {file.name}: {name!r} cannot name {article} {word}",
                    hint="letters, digits, '_', '.' and '-', a letter or digit first, at most 100",
                )
        if offered:
            found[kind] = dict(offered)
    if not found:
        raise UserError(
            f"plug-in {file.name} offers nothing: it has none of the dictionaries {', '.join(KINDS)}",
            hint='for example operations = {"my_conv": my_conv}',
        )
    _refuse_taken(file, found.get("operations", {}))
    return found


def _refuse_taken(file: PluginFile, operations: dict[str, Any]) -> None:
    """Two meanings of one name would make genotypes ambiguous."""
    if not operations:
        return
    from pcdarts_tune.core.ops import OPERATIONS

    for name in sorted(set(operations) & set(OPERATIONS)):
        raise UserError(
            f"plug-in {file.name}: there is an operation {name!r} already",
            hint="give it another name; another version of a plug-in needs a new process",
        )
