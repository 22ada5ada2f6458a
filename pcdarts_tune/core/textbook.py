"""The supernet as the papers draw it: one module per edge and operation (PC-DARTS, section 3).

The fast `supernet.Supernet` is proven equal to it and timed against it. Modules carry the published code's names.

    >>> TextbookSupernet(channels=16, layers=8, k=4, num_classes=10)(torch.randn(2, 3, 32, 32)).shape        # (2, 10)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pcdarts_tune.core import architecture
from pcdarts_tune.core.cells.candidates import EdgePrimitives, check_edge_primitives, join_primitives
from pcdarts_tune.core.cells.selecting import all_edges
from pcdarts_tune.core.genotype import family_named
from pcdarts_tune.core.mixing import MIXINGS
from pcdarts_tune.core.ops import check_primitives
from pcdarts_tune.core.skeletons.plan import CellPlan, Searched
from pcdarts_tune.core.skeletons.registry import skeleton_of


@dataclass(frozen=True)
class SupernetArguments:
    """The arguments of both forms of the supernet, as `supernet.Supernet` describes them.

    Raises:
        ValueError: before anything is built, naming the argument, its value and what is legal.
    """

    channels: int = 16
    layers: int = 8
    k: int = 4
    num_classes: int = 10
    stem: str = "cifar"
    edge_normalization: bool = True
    in_channels: int = 3
    nodes: int = 4
    primitives: Sequence[str] | None = None
    mixing: str = "shuffle"
    family: str = "darts"
    edge_primitives: EdgePrimitives | None = None

    def __post_init__(self) -> None:
        k, channels, family = self.k, self.channels, family_named(self.family)
        architecture.check_sizes(
            family,
            channels,
            self.layers,
            self.num_classes,
            stem=self.stem,
            in_channels=self.in_channels,
            nodes=self.nodes,
        )
        if isinstance(k, bool) or not isinstance(k, int) or k < 1 or channels % k:
            legal = ", ".join(str(d) for d in range(1, channels + 1) if channels % d == 0)
            raise ValueError(f"k={k!r} must divide channels={channels}: legal values are {legal}")
        if self.mixing not in MIXINGS:
            raise ValueError(f"mixing must be one of {', '.join(MIXINGS)}; got {self.mixing!r}")
        names = family.primitives if self.primitives is None else self.primitives
        if self.edge_primitives is not None:
            edges = all_edges(family, self.nodes)
            check_edge_primitives(self.edge_primitives, tuple(family.kinds), edges)
            joined = join_primitives(self.edge_primitives, names)
            if self.primitives is not None and set(joined) != set(names):
                raise ValueError(
                    f"primitives must be those of the edges, {', '.join(joined)}; got {', '.join(names)}"
                )
            names = joined
        object.__setattr__(self, "primitives", check_primitives(names))
        self.plan()

    def plan(self) -> list[CellPlan]:
        """The layers."""
        skeleton = skeleton_of(self.family)
        return skeleton.plan_search(self.channels, self.layers, self.stem, self.nodes)

    def searched(self) -> Searched:
        """What the cells have in common."""
        assert self.primitives is not None
        return Searched(self.nodes, self.k, self.primitives, self.mixing, self.edge_primitives)


class TextbookSupernet(architecture.SearchedNetwork):
    """The supernet, module by module. It takes the arguments of `supernet.Supernet` and computes the same."""

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        given = SupernetArguments(*values, **named)
        plans, searched, skeleton = given.plan(), given.searched(), skeleton_of(given.family)
        self.primitives = searched.primitives
        architecture.add_stem(self, given.stem, given.in_channels, plans[0].c_prev)
        self.kinds = [plan.kind for plan in plans]
        self.cells = nn.ModuleList(skeleton.textbook_layer(plan, searched) for plan in plans)
        self.ending = skeleton.ending(plans[-1].c_out)
        self.classifier = nn.Linear(plans[-1].c_out, given.num_classes)
        self.add_architecture(given.family, given.nodes, given.edge_normalization, given.edge_primitives)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to logits (N, num_classes)."""
        s0, s1 = architecture.apply_stem(self, images)
        alphas_EO = self.operation_weights()
        betas_E = self.edge_weights()
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            weights = (None, None) if kind is None else (alphas_EO[kind], betas_E[kind])
            s0, s1 = s1, cell(s0, s1, *weights)
        if self.ending is not None:
            s1 = self.ending(s1)
        return self.classifier(s1.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def weight_state(self) -> dict[str, Tensor]:
        """The state without alphas and betas: the published code's names, shapes and order."""
        names = architecture.architecture_names(self.family)
        return {name: value for name, value in self.state_dict().items() if name not in names}
