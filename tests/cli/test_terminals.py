"""Terminals whose encoding lacks letters: cp1252, the locale C, a live table; no command ends by what it cannot show."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pcdarts_tune.spaces.load import load_space

SPACE = "name: mine\ndescription: '\u732b \u2013 \u00b1 \u2192 \u2501'\ntune: {}\n"
CP1252 = {"PYTHONIOENCODING": "cp1252"}
LOOSE = {"PYTHONIOENCODING": "cp1252:surrogateescape"}
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def run(folder: Path, setting: dict[str, str], *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONIOENCODING"}
    return subprocess.run(
        [sys.executable, "-m", "pcdarts_tune", *arguments],
        capture_output=True,
        cwd=folder,
        env={**inherited, **setting},
        timeout=120,
    )


@pytest.mark.parametrize("setting", [CP1252, LOOSE, PLAIN], ids=["cp1252", "surrogateescape", "C"])
def test_a_space_is_printed_so_that_it_is_read_again(setting: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SPACE, encoding="utf-8")
    done = run(tmp_path, setting, "spaces", "mine.yaml")
    assert done.returncode == 0, done.stderr
    (tmp_path / "copy.yaml").write_bytes(done.stdout)
    assert load_space(tmp_path / "copy.yaml") == load_space(tmp_path / "mine.yaml")


@pytest.mark.parametrize("setting", [CP1252, LOOSE, PLAIN], ids=["cp1252", "surrogateescape", "C"])
def test_names_are_escaped_and_nothing_ends_by_them(setting: dict[str, str], tmp_path: Path) -> None:
    name = "\u732b".encode()
    for arguments in (["spaces", name], ["spaces", b"\xff\xfe"]):
        done = run(tmp_path, setting, *arguments)
        assert done.returncode == 2, done.stderr
        assert b"Error: " in done.stderr and b"Traceback" not in done.stderr and b"Unicode" not in done.stderr


def test_tables_and_progress_are_shown_on_a_terminal_of_cp1252(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pcdarts_tune.cli import group\n"
        "from pcdarts_tune.say import Progress, print_table\n"
        "from pcdarts_tune.sweeps.view import Progress as Trials, Screen, View\n"
        "group._escape_what_cannot_be_shown()\n"
        "assert sys.stderr.isatty()\n"
        "with Progress('reading \\u732b', 4) as progress: progress.update(2, '\\u2192 \\u732b')\n"
        "print_table(['\\u732b'], [['\\u2501']], left=1)\n"
        "view = View(Trials(4, 2, {'search': 2, 'evaluation': 2}), Screen(live=True))\n"
        "view.waiting('\\u732b'); view.refresh('\\u732b'); view.close()\n"
        "print('done')\n"
    )
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **CP1252, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # its end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert child.wait(60) == 0, shown.decode("cp1252", "replace")
    assert b"done" in shown and rb"\u732b" in shown and b"Traceback" not in shown
