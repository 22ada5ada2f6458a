"""The network as a backbone: its maps, and torchvision's detectors and segmenters that learn on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.segmentation import FCN
from torchvision.models.segmentation.fcn import FCNHead

from pcdarts_tune.core.backbone import FeatureMaps, pyramid
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork


def network(stem: str = "cifar", layers: int = 3) -> EvaluationNetwork:
    torch.manual_seed(0)
    return EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, layers, 5, stem=stem, auxiliary=False)


def squares(count: int, side: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise with a bright square in each: images (N, 3, side, side) in 0..1, boxes (N, 4) as x1, y1, x2, y2."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.rand(count, 3, side, side, generator=generator)
    corners = torch.randint(2, side - 18, (count, 2), generator=generator)
    for image, (x, y) in zip(images, corners.tolist(), strict=True):
        image[:, y : y + 14, x : x + 14] += 0.6
    return images, torch.cat([corners, corners + 14], dim=1).float()


@pytest.mark.parametrize(("stem", "strides"), [("cifar", [1, 2, 4]), ("imagenet", [4, 8, 16, 32])])
@pytest.mark.parametrize("layers", [3, 8])
def test_a_map_for_each_resolution(stem: str, strides: list[int], layers: int) -> None:
    net = network(stem, layers).eval()
    features = FeatureMaps(net)
    images = torch.randn(2, 3, 64, 96)
    maps = features(images)
    assert list(features.strides.values()) == strides
    assert list(maps) == list(features.strides) == list(features.channels)
    for name, x in maps.items():
        stride = features.strides[name]
        assert x.shape == (2, features.channels[name], 64 // stride, 96 // stride)
    with torch.no_grad():
        logits = net.classifier(maps[str(len(strides) - 1)].mean(dim=(2, 3)))
        assert torch.equal(logits, net(images)[0]), "the last map is what the classifier sees"


def test_what_is_not_taken_is_left_away() -> None:
    net = network("imagenet", 8)
    fine = FeatureMaps(net, {"out": 0})
    assert fine.out_channels == 4 and fine.strides == {"out": 4} and len(fine.cells) == 0
    assert fine(torch.randn(2, 3, 32, 32))["out"].shape == (2, 4, 8, 8)
    both = FeatureMaps(net, {"out": -2, "aux": 1})
    assert (both.strides, len(both.cells)) == ({"out": 16, "aux": 8}, 5)
    assert list(both(torch.randn(2, 3, 64, 64))) == ["out", "aux"]
    assert not hasattr(both, "out_channels")
    for wrong in ({}, {"x": 4}, {"x": -5}):
        with pytest.raises(ValueError, match="take must name resolutions from 0 to 3"):
            FeatureMaps(net, wrong)
    with pytest.raises(ValueError, match="multiples of 32; got 40x64: pad them"):
        FeatureMaps(net)(torch.randn(1, 3, 40, 64))


def test_frozen_norms_stay_in_training() -> None:
    features = FeatureMaps(network(), freeze_norms=True).train()
    before = {name: value.clone() for name, value in features.named_buffers()}
    features(torch.randn(4, 3, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in features.named_buffers())
    assert all(p.requires_grad for p in features.parameters())


def learn(model: nn.Module, loss: Callable[[], Tensor], steps: int, rate: float) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad), "nothing idles"
    return losses


@pytest.mark.parametrize("kind", [FasterRCNN, RetinaNet])
def test_torchvision_detectors_learn_on_it(kind: type[nn.Module]) -> None:
    backbone = pyramid(FeatureMaps(network()), out_channels=8)
    anchors = AnchorGenerator(sizes=((8,), (16,), (24,)), aspect_ratios=((1.0,),) * 3)
    known: dict[str, Any] = {"anchor_generator": anchors}
    if kind is FasterRCNN:  # few proposals are enough, and fast
        known = {"rpn_anchor_generator": anchors, "box_batch_size_per_image": 32}
        known |= {f"rpn_{when}_nms_top_n_train": count for when, count in (("pre", 200), ("post", 50))}
    model = kind(backbone, 2, min_size=32, max_size=32, **known)
    images, boxes = squares(4)
    targets = [{"boxes": box[None], "labels": torch.ones(1, dtype=torch.int64)} for box in boxes]
    losses = learn(model, lambda: sum(model(list(images), targets).values()), steps=16, rate=5e-3)
    assert all(map(math.isfinite, losses))
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3]), losses
    with torch.no_grad():
        (found,) = model.eval()(list(images[:1]))
    assert set(found) == {"boxes", "labels", "scores"}


def test_a_torchvision_segmenter_learns_on_it() -> None:
    features = FeatureMaps(network(), {"out": -1, "aux": -2})
    model = FCN(features, FCNHead(features.channels["out"], 2), FCNHead(features.channels["aux"], 2))
    images, boxes = squares(4)
    labels = torch.zeros(4, 32, 32, dtype=torch.int64)
    for label, (x1, y1, x2, y2) in zip(labels, boxes.int().tolist(), strict=True):
        label[y1:y2, x1:x2] = 1

    def loss() -> Tensor:
        maps = model(images)
        return F.cross_entropy(maps["out"], labels) + 0.5 * F.cross_entropy(maps["aux"], labels)

    losses = learn(model, loss, steps=12, rate=0.01)
    assert losses[-1] < 0.5 * losses[0], losses
    assert (model(images)["out"].argmax(dim=1) == labels).float().mean() > 0.85
