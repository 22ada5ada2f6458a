"""How a batch can be divided among workers, checked before anything is read.

>>> check_division(96, groups=5, workers=5)      # UserError: … Hint: --set retrain.batch_size=95
"""

from __future__ import annotations

from pcdarts_tune.errors import UserError


def check_division(batch_size: int, groups: int, workers: int) -> None:
    """Refuse batches that cannot be divided, before anything is read.

    Raises:
        UserError: naming sizes that can.
    """
    if groups % workers:
        near = max(1, round(groups / workers)) * workers
        raise UserError(
            f"--groups {groups} cannot be divided among {workers} workers", hint=f"--groups {near}"
        )
    if groups > 1 and (batch_size % groups or batch_size < 2 * groups):
        near = max(2, round(batch_size / groups)) * groups
        raise UserError(
            f"retrain.batch_size {batch_size} cannot be divided into {groups} equal parts of two images and more",
            hint=f"--set retrain.batch_size={near}, or another number of workers",
        )
