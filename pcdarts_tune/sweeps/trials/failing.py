"""What ends one trial alone: out of memory, numbers that are no longer finite, settings that cannot be.

Anything else (a lost process, a full disk, a defect) is raised: Ray starts the trial again from its
checkpoint, as often as the sweep allows, and the driver then writes down that it failed.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeps.trials.state import leave_failed
from pcdarts_tune.tasks import Outcome, TrialTask

if TYPE_CHECKING:
    from pcdarts_tune.tasks import Report, TrialFunction

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "_status_alloc_failed",  # cuBLAS, cuDNN
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
)
"""What errors for want of memory say, in small letters: libraries under torch have no exception of their own."""


def guarded(function: TrialFunction, task: TrialTask, data: Any, report: Report) -> Outcome:
    """Run a trial; an `Outcome("failed", reason=…)` where what went wrong is the trial's own affair."""
    begun = time.monotonic()
    try:
        return function(task, data, report)
    except (UserError, ValueError, ArithmeticError) as error:
        reason = _one_line(error)
    except (MemoryError, RuntimeError, OSError) as error:
        if not _out_of_memory(error):
            raise
        reason = f"out of memory with {_sizes(task)}: {_one_line(error, 160)}; a smaller batch or a larger K needs less"
        error.__traceback__ = None  # its frames hold the tensors
        _free()
    outcome = Outcome("failed", reason=reason, seconds=time.monotonic() - begun)
    leave_failed(task.folder, outcome)
    return outcome


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return any(sign in text for sign in OUT_OF_MEMORY)


def _sizes(task: TrialTask) -> str:
    """The settings that decide how much memory a trial takes."""
    import json

    space = json.loads(task.space)
    values = {"K": ("supernet", "k"), "batch": ("search", "batch_size"), "channels": ("supernet", "channels")}
    parts = []
    for name, (section, key) in values.items():
        value = task.proposal.hyperparameters.get(f"{section}.{key}", space.get(section, {}).get(key))
        if value is not None:
            parts.append(f"{name} {value}")
    return ", ".join(parts) or "these settings"


def _one_line(error: BaseException, length: int = 400) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
