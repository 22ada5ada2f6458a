"""Names of runs and settings, as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.space import Space


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4, "4"), (True, "on"), (False, "off"), (0.1243, ".124"), (0.00061, "6.1e-4"), (0.001, "1e-3"), (1.0, "1"),
        (0.0, "0"), (12345.6, "1.2e4"), (None, "null"), ("shuffle", "shuffle"), (-0.25, "-0.25"),
    ],
)  # fmt: skip
def test_values(value: Any, shown: str) -> None:
    assert naming.short_value(value) == shown


def test_run_names() -> None:
    values = {"search.batch_size": 256, "supernet.k": 4, "search.learning_rate": 0.124}
    assert naming.run_name(5, values) == "t05 K=4 b=256 lr=.124"
    assert naming.run_name(5, values, 0.9634) == "t05 acc=.963 K=4 b=256 lr=.124"
    assert naming.run_name(123, {}, None, "failed") == "t123 failed"
    many = {f"search.x{i}": i for i in range(9)}
    assert len(naming.run_name(0, many).split()) == 6


def test_parameters_leave_constants_out_and_add_logarithms() -> None:
    tune: Any = {
        "supernet.k": {"type": "categorical", "choices": [4]},
        "search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
        "search.momentum": {"type": "float", "low": 0.8, "high": 0.95},
    }
    values = {"supernet.k": 4, "search.learning_rate": 0.1, "search.momentum": 0.9}
    assert naming.run_parameters(Space(name="p", tune=tune).tune, values) == {
        "search.learning_rate": "0.1",
        "log10_search.learning_rate": "-1",
        "search.momentum": "0.9",
    }
