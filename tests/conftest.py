"""For all tests: what a test may leave behind in the process, and what CI makes of a skip."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from support.soaking.environment import NICENESS

# not to be had by installing: hardware, another user, and data that lies beside the checkout in some places only
ELSEWHERE = ("CUDA", "GPU", "GiB", "root", "PCDARTS_TUNE_TEST_DATA")


def pytest_configure(config: pytest.Config) -> None:
    """What a test needs of its process, and what it passes on to those that it starts."""
    # else Ray's workers wait for the tests of the other process
    os.environ[NICENESS] = "0"
    # threads that wait must not keep the cores from the other process's tests; OpenMP reads it when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # on a busy machine an input takes as long as it takes; what CI tries is the same each time
    hypothesis.settings.register_profile(
        "here", deadline=None, derandomize=bool(os.environ.get("PCDARTS_TUNE_CI"))
    )
    hypothesis.settings.load_profile("here")
    # in the background of a shell without jobs Ctrl-C is ignored, and tests send it
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for the whole suite, much of which waits for Ray and servers to start; one for what is named."""
    whole = config.args == config.getini("testpaths")
    return min(2, len(os.sched_getaffinity(0))) if whole else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, since they share what it sets up; so do the two files that look at one real sweep."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0].replace("test_whole", "test_browser")

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """The product flushes denormals to zero for speed; hypothesis draws them and would fail in the same process."""
    yield
    import torch

    torch.set_flush_denormal(False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Under .ci/run a browser that is missing is a failure, not a skip."""
    report = yield
    if report.skipped and os.environ.get("PCDARTS_TUNE_CI") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(word in reason for word in ELSEWHERE):
            report.outcome = "failed"
            report.longrepr = f"{reason}: .ci/run must provide it"
    return report


@pytest.fixture
def hangups_are_heard() -> Iterator[None]:
    """SIGHUP as a terminal has it: under nohup, and in some CI systems, it is ignored, and so in all that a test starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
