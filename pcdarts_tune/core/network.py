"""The evaluation network: a derived genotype as an ordinary network, trained from scratch (DARTS, section 3.2).

>>> net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels=36, layers=20, num_classes=10)
>>> net.drop_path = 0.2
>>> logits, auxiliary_logits = net(torch.randn(2, 3, 32, 32))       # auxiliary logits are None in evaluation
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core import architecture
from pcdarts_tune.core.genotype import AnyGenotype, family_named
from pcdarts_tune.core.skeletons.registry import skeleton_of

HEADS = ("classifier.", "auxiliary_head.classifier.")
"""Tensors that belong to the classes of one data set."""


class EvaluationNetwork(nn.Module):
    """A network of derived cells.

    Args:
        genotype: the cells, of any family.
        channels, layers: C of the first cell and the number of cells, at least 3; published: 36 and 20 for CIFAR, 48
            and 14 for ImageNet. Of NAS-Bench-201 cells: layers counts the two residual blocks too; published: 16 and 17.
        num_classes, in_channels: of the data.
        stem: "cifar" or, of DARTS cells, "imagenet".
        auxiliary: whether an auxiliary head follows cell 2 * layers // 3 in training; NAS-Bench-201 has none.

    Raises:
        ValueError: naming the argument, its value and what is legal.
    """

    def __init__(
        self,
        genotype: AnyGenotype,
        channels: int = 36,
        layers: int = 20,
        num_classes: int = 10,
        stem: str = "cifar",
        auxiliary: bool = True,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        family, skeleton = family_named(genotype.family), skeleton_of(genotype.family)
        architecture.check_sizes(family, channels, layers, num_classes, stem=stem, in_channels=in_channels)
        if auxiliary and not family.auxiliary:
            raise ValueError(
                f"networks of the family {family.name} have no auxiliary head: auxiliary must be False"
            )
        self.genotype = genotype
        self.arguments: dict[str, Any] = {
            "channels": channels,
            "layers": layers,
            "num_classes": num_classes,
            "stem": stem,
            "auxiliary": auxiliary,
            "in_channels": in_channels,
        }
        self.plans = skeleton.plan_evaluation(channels, layers, stem, genotype)
        architecture.add_stem(self, stem, in_channels, self.plans[0].c_prev)
        self.cells = nn.ModuleList(skeleton.derived_layer(plan, genotype) for plan in self.plans)
        self.auxiliary_position = 2 * layers // 3
        width = self.plans[self.auxiliary_position].c_out
        self.auxiliary_head = AuxiliaryHead(width, num_classes, stem) if auxiliary else None
        self.ending = skeleton.ending(self.plans[-1].c_out)
        self.classifier = nn.Linear(self.plans[-1].c_out, num_classes)
        self.keep: Tensor
        self.register_buffer("keep", torch.ones(()), persistent=False)
        self._drop_path, self._dropping, self._frozen = 0.0, False, False

    @property
    def drop_path(self) -> float:
        """Probability that an operation's output is dropped for a sample, in training; set it every epoch."""
        return self._drop_path

    @drop_path.setter
    def drop_path(self, probability: float) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"drop_path must be in [0, 1); got {probability!r}")
        self._drop_path, self._dropping = probability, probability > 0
        self.keep.fill_(1 - probability)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (N, in_channels, H, W) to logits (N, num_classes) and, in training, auxiliary logits."""
        # a bool, since torch.compile would compile anew for each value of a float
        keep = self.keep if self.training and self._dropping and not self._frozen else None
        auxiliary = None
        s0, s1 = architecture.apply_stem(self, images)
        for index, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, keep)
            if index == self.auxiliary_position and self.auxiliary_head is not None and self.training:
                auxiliary = self.auxiliary_head(s1)
        if self.ending is not None:
            s1 = self.ending(s1)
        return self.classifier(s1.mean(dim=(2, 3))), auxiliary

    def load_features(self, state: Mapping[str, Tensor]) -> None:
        """Take over all but the classifiers from another network's `state_dict()`, whatever classes that one had.

        An auxiliary head that only one of the two has stays as it is, or is left out.

        Raises:
            ValueError: naming the first tensor that lacks, is one too many or has another shape: other sizes or cells.
        """
        mine, other = (
            {name: value for name, value in of.items() if not name.startswith(HEADS)}
            for of in (self.state_dict(), state)
        )
        wrong = [name for name in mine.keys() ^ other.keys() if not name.startswith("auxiliary_head.")]
        wrong += [name for name in mine.keys() & other.keys() if mine[name].shape != other[name].shape]
        if wrong:
            raise ValueError(f"the weights are of another network: {min(wrong)} does not fit")
        self.load_state_dict({name: other[name] for name in mine.keys() & other.keys()}, strict=False)

    def freeze_features(self) -> None:
        """Leave the classifier alone to train; the rest stays as in evaluation, running statistics and drop path too."""
        self._frozen = True
        for part in self._features():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self._frozen:
            for part in self._features():
                part.eval()
        return self

    def _features(self) -> list[nn.Module]:
        return [part for name, part in self.named_children() if name != "classifier"]


class AuxiliaryHead(nn.Module):
    """A second classifier part-way up, whose loss counts `auxiliary_weight` (published: 0.4).

    The pooling is the published one wherever that gives 2x2 (features of 8 to 10 pixels on CIFAR, 7 or 8 on ImageNet);
    elsewhere it averages to 2x2, so that the head fits whatever resolution comes.
    """

    def __init__(self, channels: int, num_classes: int, stem: str) -> None:
        super().__init__()
        self.stride = 3 if stem == "cifar" else 2
        second_norm = [nn.BatchNorm2d(768)] if stem == "cifar" else []  # the published ImageNet head has none
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=self.stride, padding=0, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            *second_norm,
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features[0](x)
        fits = all((side - 5) // self.stride + 1 == 2 for side in x.shape[-2:])
        x = self.features[1](x) if fits else F.adaptive_avg_pool2d(x, 2)
        return self.classifier(self.features[2:](x).flatten(1))  # type: ignore[no-any-return]
