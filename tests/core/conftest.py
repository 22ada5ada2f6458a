"""The core's tests run on one thread: what they compare are numbers, not speed."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
