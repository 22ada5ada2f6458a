"""What the tests of bad input share: running the command line in this process under a watchdog, and what it may never do.

    said = run_command(["draw", str(file), "-o", str(picture)])
    well_told(said)                         # exit 0, 1 or 2, a clear error, no traceback

PCDARTS_TUNE_FUZZ=20 tries twenty times as many inputs, drawn anew each time; without it the inputs are always the same.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pcdarts_tune.cli import group as cli

TIMES = int(os.environ.get("PCDARTS_TUNE_FUZZ", "1"))
SECRET = "hunter2hunter2"
TITLE = "\x1b]0;pwned\x07"
"""Sets a terminal's title: stands for every sequence that a file must not send to the terminal."""

JUNK = (
    "", " ", "-", "--", "-1", "0", "1", "3.5", "1e999", "nan", "inf", "9" * 400, "x" * 300, "x" * 5000, "null", "true", "~",
    ".", "..", "../..", "a/b", "/", "/proc/nowhere/x", "/dev/null", "/dev/zero", "~nobody-here/x", "CON", "a b", "é", "日本",
    "\u202egnp.exe", TITLE, "\x1b[31mred", "a\nb", "a\rb", "a\tb", "%s%n", "{}", "[1, 2", "{a: b}", "&a [*a]", "!!python/none",
    "!!python/object/apply:os.system ['true']", "${HOME}", "$(true)", "';--", "=", "a=b", "search.epochs=3", "@", "a@b@c",
    "models:/x/1", "quickstart", "made", "PC_DARTS_cifar", "0" * 32, "file:///etc/passwd", "sqlite:///x.db",
    f"http://me:{SECRET}@127.0.0.1:1", f"https://127.0.0.1:1/?token={SECRET}", f"postgresql://me:{SECRET}@127.0.0.1:1/db",
    f"mysql://me:{SECRET}@127.0.0.1:1/db", f"gopher://me:{SECRET}@127.0.0.1:1", f"me:{SECRET}@127.0.0.1:1", "http://[::1",
)  # fmt: skip
"""Values that somebody types, pastes or tries; none of them can be what was meant."""


class Bomb:
    """Unpickling it makes a file called `run` in the working directory."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch run",)


class Hangs(BaseException):
    """Not an Exception: nothing under test may catch it."""


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str


def fuzz(examples: int) -> Any:
    """Hypothesis's settings: so many inputs, the same ones each time unless PCDARTS_TUNE_FUZZ asks for more."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_command(arguments: Sequence[str], *, seconds: float = 60.0, terminal: bool = False) -> Said:
    """Run `pcdarts-tune ARGUMENTS` as `main()` would, and end it if it does not end.

    Args:
        terminal: whether both outputs say that they are a terminal.
    """
    import torch

    kind = _Terminal if terminal else io.StringIO
    out, err = kind(), kind()
    try:
        with within(seconds), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(list(arguments))
    finally:
        torch.set_flush_denormal(False)  # hypothesis needs them to draw the next input
    return Said(tuple(arguments), code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `Hangs` where the block takes longer, even while it waits for a file."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def well_told(said: Said, *, legal: Sequence[int] = (0, 1, 2)) -> None:
    """Assert what holds of every input: a code that means something, a clear error, no traceback, no secret."""
    both = said.out + said.err
    assert said.code in legal, said
    assert "Traceback (most recent call last)" not in both, said
    assert "The traceback is in" not in both, f"nobody foresaw this: {said}"
    assert SECRET not in both, said
    assert TITLE not in both, said
    if said.code and said.arguments[0] == "doctor":
        assert said.out or "Error: " in said.err, said  # what it found is its result
    elif said.code:
        assert "Error: " in said.err, said
        first = said.err.split("Error: ", 1)[1].splitlines()[0]
        assert len(first) > 5, said
        assert len(said.err) < 20_000, "an error is to be read"


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder, with its kind and what it holds; to be compared before and after."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode & 0o170000
        content = path.read_bytes() if mode == 0o100000 else b""
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def unfinished(folder: Path) -> list[str]:
    """Files that were begun and not finished: writers here write beside the place and then rename."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.name.startswith((".part-", ".")) or ".tmp" in path.name
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every place in nested lists and mappings."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@st.composite
def wrong_json(draw: Callable[..., Any], right: Any, odd: Sequence[Any], most: int = 3) -> Any:
    """A JSON value with up to `most` things wrong: entries that go, come twice, are renamed or replaced."""
    value = {"root": json.loads(json.dumps(right))}
    for _ in range(draw(st.integers(0, most))):
        *path, last = draw(st.sampled_from(places(value["root"], ("root",))))
        at: Any = value
        for key in path:
            at = at[key]
        match draw(st.integers(0, 5)):
            case 0 if last != "root":
                del at[last]
            case 1 if isinstance(at, list):
                at.insert(last, at[last])
            case 2 if isinstance(at, dict) and last != "root":
                at[draw(st.sampled_from(["extra", "Normal", ""]))] = at.pop(last)
            case 3 if isinstance(at[last], int):
                at[last] += draw(st.sampled_from([-3, -1, 1, 2, 10**9]))
            case _:
                # a copy: what is put in may be changed by the next round
                at[last] = deepcopy(draw(st.sampled_from(list(odd))))
    return value["root"]


@st.composite
def damaged(draw: Callable[..., Any], content: bytes) -> bytes:
    """Bytes cut off, changed, or others altogether; code among them."""
    match draw(st.integers(0, 6)):
        case 0:
            return content[: draw(st.integers(0, len(content)))]
        case 1 | 2:
            place = draw(st.integers(0, max(0, len(content) - 1)))
            return (
                content[:place]
                + draw(st.binary(min_size=1, max_size=8))
                + content[place + draw(st.integers(0, 8)) :]
            )
        case 3:
            return content + draw(st.binary(min_size=1, max_size=8))
        case 4:
            return (2 ** draw(st.sampled_from([20, 40, 63]))).to_bytes(8, "little") + content[8:]
        case _:
            return draw(st.sampled_from(FOREIGN))


def _saved(value: Any) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


FOREIGN = (
    b"", b"\0" * 64, b"{}", b"null", pickle.dumps(Bomb()), pickle.dumps({"job": Bomb()}), _saved(Bomb()), _saved({"job": 1}),
    b"\x08\0\0\0\0\0\0\0{}      ", b"PK\3\4" + b"\0" * 40, b"SQLite format 3\0" + b"\0" * 90)  # fmt: skip
"""Files of another kind, some of them code for whoever unpickles them."""

junk = st.one_of(st.sampled_from(JUNK), st.text(max_size=12), st.integers().map(str), st.floats().map(str))
"""A word that is hardly ever right."""
