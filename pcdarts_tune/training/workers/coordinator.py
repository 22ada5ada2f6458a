"""Where workers and driver meet: an actor on the driver's node that keeps the checkpoint and passes messages on.

    coordinator = start_coordinator(checkpoint)                 # the driver
    ray.get(coordinator.state.remote())                         # a worker that begins: the checkpoint's bytes, or None
    messages, error = ray.get(coordinator.news.remote(0))       # the driver: what was posted from message 0 on

So the checkpoint lies where the driver wants it, on a cluster whose nodes share no disk too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError, WorkFailed

Message = tuple[str, Any]
"""`("start", None)`: workers begin; `("epoch", (number, record))`; `("note", (about, text))`, for the user."""

FINAL = (UserError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError, OSError)
"""Errors that would come again in a new start; a lost worker shows as a RuntimeError or a ConnectionError."""


class Coordinator:
    """The actor's state; every method is called from another process."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint, self.messages = checkpoint, list[Message]()
        self.error: BaseException | None = None

    def state(self) -> bytes | None:
        """The checkpoint, for workers that begin."""
        self.messages.append(("start", None))
        return self.checkpoint.read_bytes() if self.checkpoint.exists() else None

    def keep(self, data: bytes) -> None:
        """Write a checkpoint.

        Raises:
            RuntimeError: the driver was interrupted.
        """
        from pcdarts_tune.core.steps.checkpoints import write_whole

        if isinstance(self.error, KeyboardInterrupt):
            raise RuntimeError("the driver has stopped")
        write_whole(self.checkpoint, [data])

    def post(self, kind: str, value: Any) -> None:
        """Leave a message for the driver."""
        self.messages.append((kind, value))

    def fail(self, error: BaseException) -> None:
        """End the training for good; the first error counts."""
        self.error = self.error or error

    def failed(self) -> bool:
        """Whether the training has ended for good."""
        return self.error is not None

    def news(self, since: int) -> tuple[list[Message], BaseException | None]:
        """The messages from that number on, and the error that ended the training."""
        return self.messages[since:], self.error


def start_coordinator(checkpoint: Path) -> Any:
    """The actor, on this node; it goes with the driver."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Coordinator).options(num_cpus=0, scheduling_strategy=here).remote(checkpoint)


def final_error(raised: Exception) -> Exception | None:
    """What the driver raises for an error in a worker; None where starting the workers again may mend it."""
    from pcdarts_tune.core.steps.execution import CompileFailed
    from pcdarts_tune.core.steps.meter import NonFiniteLoss

    error = getattr(raised, "cause", None) or raised  # Ray wraps what an actor raises
    if not isinstance(error, FINAL) or isinstance(error, ConnectionError | TimeoutError):
        return None
    text, hint = " ".join(str(error).split())[:2000], getattr(error, "hint", None)
    if isinstance(error, NonFiniteLoss):
        return NonFiniteLoss(text)
    if type(error) in (UserError, ValueError, CompileFailed):
        return UserError(text, hint=hint)
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, text.partition("] ")[2] or text)
    return WorkFailed(f"a worker failed: {type(error).__name__}: {text}", hint=hint)
