"""A trained network's maps of features at several resolutions: the backbone of a detector or a segmenter.

    backbone = pyramid(FeatureMaps(model.network), out_channels=64)     # for torchvision's FasterRCNN, RetinaNet, FCOS, ...
    features = FeatureMaps(model.network, {"out": -1})
    segmenter = DeepLabV3(features, DeepLabHead(features.out_channels, classes))

The published cells were carried to detection the same way (PC-DARTS, arXiv 1907.05737, section 4.5: SSD on COCO).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from pcdarts_tune.core.architecture import apply_stem
from pcdarts_tune.core.network import EvaluationNetwork


class FeatureMaps(nn.Module):
    """Stem and cells of a network, shared with it, without classifiers and drop path.

    Args:
        network: trained or not.
        take: name -> which resolution, 0 the finest, -1 the coarsest; None takes all, named "0", "1", ... Cells above the
            coarsest one that is taken are left away.
        freeze_norms: leave running statistics as they are, also in training: the batches of detectors are small.

    Attributes:
        strides: name -> pixels of the image a pixel of the map stands for.
        channels: name -> channels of the map.
        out_channels: of the map, where one alone is taken: torchvision's detectors ask for it.

    Raises:
        ValueError: `take` is empty or names a resolution that there is not.
    """

    def __init__(
        self, network: EvaluationNetwork, take: Mapping[str, int] | None = None, *, freeze_norms: bool = False
    ) -> None:
        super().__init__()
        found = _resolutions(network)
        wanted = {str(index): index for index in range(len(found))} if take is None else dict(take)
        if not wanted or any(not -len(found) <= index < len(found) for index in wanted.values()):
            raise ValueError(
                f"take must name resolutions from 0 to {len(found) - 1}, or -1 for the coarsest; got {wanted}"
            )
        self._names = {name: found[index][0] for name, index in wanted.items()}
        self.strides = {name: found[index][1] for name, index in wanted.items()}
        self.channels = {name: found[index][2] for name, index in wanted.items()}
        if len(wanted) == 1:
            self.out_channels = next(iter(self.channels.values()))
        last = max(self._names.values())
        for name, part in network.named_children():
            if name.startswith("stem") and (name != "stem1" or last >= 0):
                self.add_module(name, part)
        self.cells = nn.ModuleList(list(network.cells)[: last + 1])
        self.freeze_norms = freeze_norms
        self.train(network.training)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Images (N, in_channels, H, W) to maps (N, channels, H / stride, W / stride), in the order of `take`.

        Raises:
            ValueError: H or W is no multiple of the coarsest stride.
        """
        coarsest = max(self.strides.values())
        if any(side % coarsest for side in images.shape[-2:]):
            height, width = images.shape[-2:]
            raise ValueError(f"image sides must be multiples of {coarsest}; got {height}x{width}: pad them")
        found: dict[int, Tensor] = {}
        if len(self.cells):
            s0, s1 = apply_stem(self, images)
            found[STEM] = s0
            for index, cell in enumerate(self.cells):
                s0, s1 = s1, cell(s0, s1, None)
                found[index] = s1
        else:
            found[STEM] = dict(self.named_children())["stem0"](images)
        return OrderedDict((name, found[place]) for name, place in self._names.items())

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.freeze_norms:
            for part in self.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self


STEM = -1
"""In place of a cell's number: the map of the ImageNet stem's first half."""


def _resolutions(network: EvaluationNetwork) -> list[tuple[int, int, int]]:
    """For each resolution, the finest first: the last cell that has it, its stride, its channels."""
    found: list[tuple[int, int, int]] = []
    stride = 1
    if network.arguments["stem"] == "imagenet":
        found, stride = [(STEM, 4, network.arguments["channels"])], 8
    plans = network.plans
    for index, plan in enumerate(plans):
        stride *= 2 if plan.reduction else 1
        if index + 1 == len(plans) or plans[index + 1].reduction:
            found.append((index, stride, plan.c_out))
    return found


def pyramid(features: FeatureMaps, out_channels: int = 256) -> nn.Sequential:
    """Feature maps brought to equal width by torchvision's feature pyramid (arXiv 1612.03144): a backbone for its detectors.

    It takes images (N, C, H, W) to maps (N, out_channels, H / stride, W / stride) by name; its attribute `out_channels` is what
    detectors ask for.
    """
    from torchvision.ops import FeaturePyramidNetwork

    fpn = FeaturePyramidNetwork(list(features.channels.values()), out_channels)
    backbone = nn.Sequential(OrderedDict(features=features, fpn=fpn))
    backbone.out_channels = out_channels  # type: ignore[assignment]
    return backbone
