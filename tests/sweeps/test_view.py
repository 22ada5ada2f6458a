"""What a sweep says of its trials while they run."""

from __future__ import annotations

from typing import Any

import pytest

from pcdarts_tune.sweeps.view import Progress, Screen, View
from pcdarts_tune.tasks import Outcome, Proposal


def epoch(stage: str, number: int, epochs: int) -> dict[str, Any]:
    return {
        "kind": "epoch",
        "stage": stage,
        "epoch": number,
        "epochs": epochs,
        "accuracy": 0.5,
        "metrics": {},
    }


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(target=2, concurrent=1, stages={"search": 2, "evaluation": 2})
    view = View(progress, Screen(live=False))
    view.trial_started(Proposal(0, 1, {"supernet.k": 4}))
    view.trial_reported(0, {"kind": "history", "records": [epoch("search", 0, 2)]})
    view.trial_reported(0, epoch("search", 1, 2))
    assert progress.running[0].share(progress.stages) == 0.5
    view.trial_reported(0, epoch("evaluation", 1, 2))
    view.refresh("refused")
    view.refresh("refused")
    view.refresh(None)
    view.trial_ended(0, Outcome("complete", objective=0.9, seconds=3.0))
    view.trial_started(Proposal(1, 1, {}))
    view.trial_ended(1, Outcome("failed", reason="out of memory"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "trial 0: starts  K=4" in err
    assert "goes on from its checkpoint" in err
    assert "search 2/2" in err
    assert err.count("records wait") == 1
    assert "accuracy 0.9000 in 3 s" in err
    assert "[2/2]" in err
    assert "failed: out of memory" in err
    assert progress.best == (0, 0.9)
    assert progress.counts == {"complete": 1, "failed": 1}
