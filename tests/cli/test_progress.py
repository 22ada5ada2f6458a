"""Plain lines where stderr is no terminal; nothing on stdout, nothing when quiet."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from pcdarts_tune.say import Progress, format_seconds


def test_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("search", 3, start=1) as progress:
        progress.update(2, "accuracy 0.5")
        progress.update(3, "accuracy 0.6")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second, third = captured.err.splitlines()
    assert first == "search: goes on after epoch 1 of 3"
    assert second.startswith("search: 2/3, ")
    assert second.endswith("left, accuracy 0.5")
    assert third == "search: 3/3, accuracy 0.6"


def test_many_steps_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("reading", 1000, every=3600) as progress:
        for done in range(1, 1001):
            progress.update(done)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("reading: 1/1000, ")
    assert last == "reading: 1000/1000"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("search", 2, quiet=True) as progress:
        progress.update(1, "accuracy 0.5")
    assert capsys.readouterr() == ("", "")


def test_epochs_of_an_interrupted_run_do_not_count_in_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 30.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    progress = Progress("search", 20, start=10, quiet=True)
    progress.__enter__()
    # one epoch took 20 s, nine are left
    assert progress.seconds_left(11) == 180.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (42, "42 s"), (89, "89 s"), (420, "7 min"), (11100, "3 h 05 min")]
)
def test_seconds_in_words(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_bar_on_a_terminal() -> None:
    code = (
        "from pcdarts_tune.say import Progress\n"
        "with Progress('search', 2) as progress:\n"
        "    progress.update(1, 'accuracy 0.5')\n    progress.update(2, 'accuracy 0.6')\n"
    )
    terminal, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    result = subprocess.run(
        [sys.executable, "-c", code], stderr=end, stdout=subprocess.PIPE, env=environment, timeout=60
    )
    os.close(end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert result.returncode == 0
    assert result.stdout == b""
    assert "2/2" in shown
    assert "accuracy 0.6" in shown
    assert "left" in shown
