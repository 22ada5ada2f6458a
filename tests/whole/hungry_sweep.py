"""A sweep of three lookups, one of which once takes more memory than Ray's monitor allows: what test_low_memory.py starts.

python tests/whole/hungry_sweep.py HOME BYTES
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings, run_sweep
from pcdarts_tune.tasks import Outcome, TrialTask

TUNE: dict[str, Any] = {"search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0}}
DATA = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}


def hungry(task: TrialTask, data: Any, report: Any) -> Outcome:
    """Trial 1 takes `data` bytes the first time and waits to be ended."""
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if task.proposal.number == 1 and not (folder / "begun").exists():
        (folder / "begun").touch()
        taken = b"x" * data
        time.sleep(60)
        raise AssertionError(f"Ray let {len(taken)} bytes be")
    report(
        {"kind": "epoch", "stage": "search", "epoch": 0, "epochs": 1, "metrics": {"search/loss_train": 1.0}}
    )
    genotype = PUBLISHED["PC_DARTS_cifar"].to_dict()
    report({"kind": "derived", "genotype": genotype, "params": 1, "macs": 1, "genotype_hash": "a"})
    return Outcome(
        "complete", objective=0.5, genotype=genotype, genotype_hash="a", params=1, macs=1, seconds=0.1
    )


def main(home: Path, size: int) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    sweep = create_sweep(
        home, "s", Space(name="table", tune=TUNE), SweepSettings(max_failures=4), trials=3, data=DATA
    )
    ended = run_sweep(sweep, RunSettings(most=1), function=hungry, data=size)
    states = {record.trial: record.state for record in sweep.records()}
    print(json.dumps({"ended": ended.reason, "states": [states[number] for number in sorted(states)]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
