"""What of a checkpoint is damaged, and what the system refuses to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcdarts_tune.training.epochs import records_left


def test_a_checkpoint_that_the_system_refuses_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """Else its records would be given up, and the checkpoint with them."""
    (tmp_path / "refused").mkdir()
    with pytest.raises(OSError, match="directory"):
        records_left(tmp_path / "refused", "recipe")
    (tmp_path / "damaged").write_bytes(b"no checkpoint" * 100)
    assert records_left(tmp_path / "damaged", "recipe") == []
    assert records_left(tmp_path / "none", "recipe") == []
