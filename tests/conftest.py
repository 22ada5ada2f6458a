"""For all tests: what a test may leave behind in the process, and what CI makes of a skip."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest

# not to be had by installing: hardware, another user, and data that lies beside the checkout in some places only
ELSEWHERE = ("CUDA", "GPU", "root", "PCDARTS_TUNE_TEST_DATA")


def pytest_configure(config: pytest.Config) -> None:
    """In the background of a shell without jobs Ctrl-C is ignored, also by all that is started here, and tests send it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
