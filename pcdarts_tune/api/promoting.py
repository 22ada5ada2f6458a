"""Promoting a sweep with the options of the command: which of them go together, and the device.

promote_sweep(where, "first", workers=Workers(), candidates=3, seeds=3).to_dict()
"""

from __future__ import annotations

from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device
from pcdarts_tune.promotion.promote import Promoted, promote
from pcdarts_tune.tasks import Workers


def check_selection(trial: int | None, run_id: str | None, candidates: int) -> None:
    """Refuse options that name different trials.

    Raises:
        UserError: they do.
    """
    named = sum(option is not None for option in (trial, run_id))
    if named > 1:
        raise UserError("--trial and --run both name a trial", hint="give one of them")
    if candidates > 1 and named:
        raise UserError(
            "--candidates takes the sweep's best, --trial and --run name one", hint="give one of them"
        )


def promote_sweep(
    where: Where,
    sweep: str,
    *,
    workers: Workers,
    trial: int | None = None,
    run_id: str | None = None,
    candidates: int = 1,
    **options: Any,
) -> Promoted:
    """Retrain, choose, test once and register, as `promotion.promote.promote` does, whose arguments the options are.

    Raises:
        UserError: see there, and `check_selection`.
    """
    check_selection(trial, run_id, candidates)
    device = choose_device(workers.device, workers.threads)
    which: dict[str, Any] = {"trial": trial, "run_id": run_id, "candidates": candidates}
    return promote(where, sweep, device=device, workers=workers, **which, **options)
