"""Signals to a sweep's driver, sent for real to this process; no Ray."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from pcdarts_tune.sweeps.ending import SIGNALS, Stop
from pcdarts_tune.sweeps.view import Progress, Screen, View


@pytest.mark.usefixtures("hangups_are_heard")
@pytest.mark.parametrize("number", SIGNALS)
def test_once_asks_and_twice_stops_at_once(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with Stop(None, quiet=False) as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        assert stop.reason == "interrupted"
        assert "once more stops at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_signals_that_a_library_took_are_taken_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop(None) as stop:
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("Ray's own handler"))
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) is before


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop(None) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_spent_budget_asks() -> None:
    with Stop(1e-9) as stop:
        assert stop.asked
        assert stop.reason == "time budget"
    with Stop(3600) as stop:
        assert not stop.asked


def test_a_view_outlives_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", broken)
        plain = Screen(live=False)
        with pytest.raises(BrokenPipeError):
            plain.line("trial 0: starts again")
        view = View(Progress(4, 1, {}), plain)
        view.trial_restarted(0, "its process was lost")
        view.refresh("no answer")
        view.close()
        # what Python would still write when it closes the file
        patched.setattr(sys, "stderr", sys.__stderr__)
        os.dup2(os.open(os.devnull, os.O_WRONLY), broken.fileno())
