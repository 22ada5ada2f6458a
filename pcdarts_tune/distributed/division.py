"""How a batch can be divided among workers, checked before anything is read.

>>> Division(workers=5).check(96)                # UserError: … Hint: --set retrain.batch_size=95
>>> Division(workers=8, address="auto").crew("cuda")
Workers(count=8, address='auto', gpus=True, max_failures=3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.distributed.fitting import Workers


@dataclass(frozen=True)
class Division:
    """What was asked for; without any of it one process trains whole batches.

    Attributes:
        workers: processes of Ray Train.
        groups: parts of a batch with BatchNorm statistics of their own (core/groups.py); as many as workers by default.
        address: of a Ray cluster; None for this machine.
    """

    workers: int | None = None
    groups: int | None = None
    address: str | None = None

    @property
    def parts(self) -> int:
        """Of a batch."""
        return self.groups or self.workers or 1

    def crew(self, device: str) -> Workers | None:
        """Who trains; None for this process. `device`: `cpu`, `cuda` or `auto`."""
        if self.workers is None and self.address is None:
            return None
        from pcdarts_tune.distributed.fitting import Workers

        return Workers(self.workers or 1, self.address, None if device == "auto" else device == "cuda")

    def check(self, batch_size: int) -> None:
        """Refuse batches that cannot be divided so.

        Raises:
            UserError: naming sizes that can.
        """
        parts, workers = self.parts, self.workers or 1
        if parts % workers:
            near = max(1, round(parts / workers)) * workers
            raise UserError(
                f"--groups {parts} cannot be divided among {workers} workers", hint=f"--groups {near}"
            )
        if parts > 1 and (batch_size % parts or batch_size < 2 * parts):
            near = max(2, round(batch_size / parts)) * parts
            raise UserError(
                f"retrain.batch_size {batch_size} cannot be divided into {parts} equal parts of two images and more",
                hint=f"--set retrain.batch_size={near}, or another number of workers",
            )
