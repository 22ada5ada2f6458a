"""The supernet: every candidate operation on every edge, mixed by alphas and betas, on 1/K of the channels.

    y_node = sum over edges of softmax(beta) * [ sum over o of softmax(alpha)_o * o(S x) ; (1 - S) x ]
                                                                            (PC-DARTS, sections 3.2 and 3.3; S takes C/K channels)

    >>> Supernet(channels=16, layers=8, k=4, num_classes=10)(torch.randn(2, 3, 32, 32)).shape        # (2, 10)

This is the fast form (`cell.py` says how), equal to `textbook.TextbookSupernet` in outputs, gradients and running statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from pcdarts_tune.core import architecture
from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.fast.cell import FastCell
from pcdarts_tune.core.fast.wiring import RoundWeights
from pcdarts_tune.core.skeletons.registry import skeleton_of
from pcdarts_tune.core.textbook import SupernetArguments, TextbookSupernet


class Supernet(architecture.SearchedNetwork):
    """A supernet of `layers` layers (PC-DARTS, section 3).

    Args:
        channels: C of the first cell; 16 in the paper.
        layers: number of cells (`nasbench201`: of cells and residual blocks, 3 N + 2), at least 3; reductions at
            layers // 3 and 2 * layers // 3.
        k: candidates see C/k channels; must divide `channels`; 1 is DARTS.
        num_classes: outputs.
        stem: "cifar" (full resolution) or "imagenet" (three stride-2 convolutions).
        edge_normalization: whether edges are weighted by softmax(beta).
        in_channels: channels of the images.
        nodes: nodes a cell; node i has 2 + i predecessors (`nasbench201`: 4, the first of which is the input).
        primitives: candidate operations by registered name, in the order of alpha's columns; None for the family's own.
        mixing: what keeps the bypassed channels moving: "shuffle" (published), "shift" (rotate by C/k) or "random"
            (each source samples its C/k channels anew in every training pass).
        family: of the cells: "darts", or "nasbench201", which has alphas and betas of one kind of cell, `alpha_cell` and
            `beta_cell`. With k=1 and without edge normalisation that is DARTS as NAS-Bench-201 runs it, but for the
            BatchNorm behind each pool.
        edge_primitives: by kind of cell, the candidates of each edge, edges ordered by node, then predecessor, where they differ
            (`candidates.py`); `primitives` are then all that occur.

    Raises:
        ValueError: before anything is built, naming the argument, its value and what is legal.
    """

    batches_tracked: Tensor

    def __init__(
        self,
        channels: int = 16,
        layers: int = 8,
        k: int = 4,
        num_classes: int = 10,
        stem: str = "cifar",
        edge_normalization: bool = True,
        in_channels: int = 3,
        nodes: int = 4,
        primitives: Sequence[str] | None = None,
        mixing: str = "shuffle",
        family: str = "darts",
        edge_primitives: EdgePrimitives | None = None,
    ) -> None:
        super().__init__()
        given = SupernetArguments(
            channels,
            layers,
            k,
            num_classes,
            stem,
            edge_normalization,
            in_channels,
            nodes,
            primitives,
            mixing,
            family,
            edge_primitives,
        )
        self.arguments = asdict(given)
        plans, searched, skeleton = given.plan(), given.searched(), skeleton_of(family)
        self.primitives, self.rectified = searched.primitives, skeleton.rectified
        architecture.add_stem(self, stem, in_channels, plans[0].c_prev)
        self.cells = nn.ModuleList(skeleton.fast_layer(plan, searched) for plan in plans)
        self.kinds = [plan.kind for plan in plans]
        self.ending = skeleton.ending(plans[-1].c_out)
        self.classifier = nn.Linear(plans[-1].c_out, num_classes)
        self.add_architecture(family, nodes, edge_normalization, edge_primitives)
        self.register_buffer("batches_tracked", torch.zeros((), dtype=torch.int64))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to logits (N, num_classes)."""
        if self.training:
            self.batches_tracked += 1
        s0, s1 = architecture.apply_stem(self, images.contiguous(memory_format=torch.channels_last))
        if self.rectified:
            same = s0 is s1
            s0 = torch.relu(s0)
            s1 = s0 if same else torch.relu(s1)
        weights = self._weights()
        last = len(self.cells) - 1
        for index, cell in enumerate(self.cells):
            of_cell = weights[index] if index in weights else None
            # both readers of a cell's output begin with a ReLU, so one serves them; the classifier does not
            out = cell(s0, s1, of_cell, relu=self.rectified and index < last)
            s0, s1 = s1, out
        if self.ending is not None:
            s1 = self.ending(s1)
        return self.classifier(s1.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def _cells(self) -> dict[int, tuple[str, FastCell]]:
        """The layers that have alphas, by their places, with their kinds."""
        pairs = enumerate(zip(self.kinds, self.cells, strict=True))
        return {
            i: (kind, cell) for i, (kind, cell) in pairs if kind is not None and isinstance(cell, FastCell)
        }

    def _weights(self) -> dict[int, list[RoundWeights]]:
        """The mixing matrices of each cell, computed once for all cells of one kind and width."""
        betas_E = self.edge_weights()
        of_kind = {
            kind: architecture.mixing_weights(alpha_EO, betas_E[kind])
            for kind, alpha_EO in self.operation_weights().items()
        }
        made: dict[tuple[str, int], list[RoundWeights]] = {}
        found = {}
        for index, (kind, cell) in self._cells().items():
            key = kind, cell.active
            if key not in made:
                made[key] = cell.lay_out(*of_kind[kind])
            found[index] = made[key]
        return found

    def published_state(self) -> dict[str, Tensor]:
        """Weights and running statistics (no alphas, no betas) by the published code's names, shapes and order."""
        views = self._views()
        return {
            name: (views[name] if name in views else self.batches_tracked).detach().clone()
            for name in self._published_shapes()
        }

    def load_published_state(self, mapping: Mapping[str, Tensor]) -> None:
        """Take over weights and running statistics given by their published names.

        Running statistics and counters may be left out, all together or one by one; weights may not.

        Raises:
            ValueError: listing missing and unknown names and wrong shapes; nothing is loaded then.
        """
        views, shapes = self._views(), self._published_shapes()
        if mapping and all(name.startswith("module.") for name in mapping):  # saved from DataParallel
            mapping = {name.removeprefix("module."): value for name, value in mapping.items()}
        mapping = {name: torch.as_tensor(value) for name, value in mapping.items()}
        optional = ("running_mean", "running_var", "num_batches_tracked")
        problems = [f"missing: {n}" for n in shapes if n not in mapping and not n.endswith(optional)]
        problems += [f"unknown: {n}" for n in mapping if n not in shapes]
        for name, value in mapping.items():
            if name in shapes and tuple(value.shape) != shapes[name]:
                problems.append(f"{name}: shape {tuple(value.shape)}, expected {shapes[name]}")
        if problems:
            more = f"\n  ... and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise ValueError("these weights fit another supernet:\n  " + "\n  ".join(problems[:10]) + more)
        with torch.no_grad():
            for name, value in mapping.items():
                views.get(name, self.batches_tracked).copy_(value)

    def _published_shapes(self) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            textbook = TextbookSupernet(**self.arguments)
        return {name: tuple(value.shape) for name, value in textbook.weight_state().items()}

    def _views(self) -> dict[str, Tensor]:
        stored = self.state_dict(keep_vars=True).items()
        cells = self._cells()
        stacked = tuple(f"cells.{index}." for index in cells)
        own = architecture.architecture_names(self.family)
        views = {name: value for name, value in stored if not name.startswith(stacked) and name not in own}
        for index, (_, cell) in cells.items():
            views.update((f"cells.{index}.{name}", value) for name, value in cell.published())
        return views
