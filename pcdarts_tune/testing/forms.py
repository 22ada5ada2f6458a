"""Whether the fast supernet computes with an operation what the textbook's does: logits, gradients and running statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet
from pcdarts_tune.testing.problems import say_error

STEPS = 2
TOLERANCE = 1e-8
"""Relative and absolute, in float64."""


def compare_forms(name: str) -> Iterator[str]:
    """What differs, a sentence each."""
    others = [other for other in ("none", "skip_connect") if other != name]
    arguments: dict[str, Any] = {
        "channels": 8,
        "layers": 3,
        "k": 2,
        "num_classes": 3,
        "in_channels": 3,
        "nodes": 2,
    }
    try:
        torch.manual_seed(0)
        fast = Supernet(**arguments, primitives=[*others, name]).double()
        textbook = TextbookSupernet(**arguments, primitives=[*others, name]).double()
        textbook.load_state_dict(fast.published_state(), strict=False)
        with torch.no_grad():
            for ours, theirs in zip(textbook.arch_parameters(), fast.arch_parameters(), strict=True):
                ours.copy_(theirs)
        yield from _compare(fast, textbook)
    except Exception as error:  # another's code
        yield f"a supernet with it fails: {say_error(error)}"


def _compare(fast: Supernet, textbook: TextbookSupernet) -> Iterator[str]:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for step in range(STEPS):
        logits = []
        for network in (fast, textbook):
            network.zero_grad()
            torch.manual_seed(step)
            out = network(images)
            torch.nn.functional.cross_entropy(out, torch.tensor([0, 1, 2, 0])).backward()
            logits.append(out.detach())
        if not torch.allclose(logits[0], logits[1], rtol=TOLERANCE, atol=TOLERANCE):
            by = float((logits[0] - logits[1]).abs().max())
            yield f"the fast supernet gives other logits than the textbook's, by {by:.2g}: does it depend on state or order?"
            return
    grads = [[each.grad for each in network.arch_parameters()] for network in (fast, textbook)]
    for one, other in zip(*grads, strict=True):
        if (one is None) != (other is None):
            yield "an architecture parameter gets a gradient in one form of the supernet alone"
        elif one is not None and other is not None and not torch.allclose(one, other, TOLERANCE, TOLERANCE):
            yield "the fast supernet gives other gradients of the alphas and betas than the textbook's"
            break
    states = fast.published_state(), textbook.weight_state()
    for key, value in states[0].items():
        if not torch.allclose(value, states[1][key], TOLERANCE, TOLERANCE):
            yield f"after training steps the forms of the supernet differ in {key}"
            break
