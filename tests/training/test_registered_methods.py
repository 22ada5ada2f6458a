"""A method of one's own, by `register_method`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.methods import METHODS, Method
from pcdarts_tune.training import methods
from pcdarts_tune.training.searching import Searching, search


def test_a_registered_method_is_named_by_a_space_and_found_by_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(methods, "BUILDERS", {**methods.BUILDERS})
    with pytest.raises(UserError, match="'constant' is no method"):
        read_space("quickstart", ["search.method=constant"])

    def build(space: Any, images: Any, **rest: Any) -> methods.Drawn:
        return methods.Drawn(PUBLISHED["DARTS_V2"])

    try:
        methods.register_method("constant", Method("always the same cell", searches=False), build)
        space = read_space("quickstart", ["search.method=constant"])
        work = Searching(space, load_dataset(space.data), 0)
        found = search(work, checkpoint=None, device=torch.device("cpu"), quiet=True)
        assert found.genotype == PUBLISHED["DARTS_V2"] and found.epochs == 0
        with pytest.raises(ValueError, match="registered already"):
            methods.register_method("random", Method("other"), build)
    finally:
        METHODS.pop("constant", None)
