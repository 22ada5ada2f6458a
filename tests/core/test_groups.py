"""Batches in groups: processes that share them equal one process that computes them all, whatever the batch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, multiprocessing
from torch import distributed as dist

from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.core.groups import Team, _leaves_weights_out
from pcdarts_tune.core.images.augment import Augmentation, imagenet_transform
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.images.stream import StreamBatches, StreamImages
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training

COUNT, DAMAGED = 38, (3, 20)
IMAGES = torch.randint(0, 256, (COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(5)).byte()
LABELS = torch.arange(COUNT) % 3
FORMS = ("memory", "stream", "options")
"""Images in memory, streamed ones, and mixed ones whose weights are averaged."""
SET: dict[str, Any] = {"num_classes": 3, "mean": (0.4,), "std": (0.3,)}


@dataclass(frozen=True)
class Files:
    """PNG files, two of them damaged; remembers which were read."""

    seen: list[int]

    def __len__(self) -> int:
        return COUNT

    def read(self, row: int) -> bytes:
        self.seen.append(row)
        if row in DAMAGED:
            return b"no image"
        file = io.BytesIO()
        Image.fromarray(IMAGES[row, 0].numpy()).save(file, "PNG")
        return file.getvalue()

    def name(self, row: int) -> str:
        return f"{row}.png"


class Doubled:
    """Batches in float64."""

    def __init__(self, batches: MemoryBatches | StreamBatches) -> None:
        self.batches, self.num_classes = batches, batches.num_classes

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, batch_size: int, **keys: Any) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x.double(), y) for x, y in self.batches.epoch(batch_size, **keys))


def streamed(seen: list[int] | None = None) -> StreamBatches:
    images = StreamImages(Files([] if seen is None else seen), torch.arange(COUNT), (8, 8), 1)
    transform = imagenet_transform((8, 8), train=True)
    return StreamBatches(images, LABELS, transform=transform, max_unreadable=0.1, **SET)


def training(form: str, groups: int, team: Team | None = None, **settings: Any) -> Training:
    torch.manual_seed(0)
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 3, in_channels=1).double()
    if form == "options":
        settings = {"ema_decay": 0.8, "mixup": 0.2, "cutmix": 1.0} | settings
    memory = MemoryBatches(IMAGES, LABELS, augment=Augmentation(1, True, 2), **SET)
    valid = MemoryBatches(IMAGES[:9], LABELS[:9], **SET)
    train = Doubled(streamed() if form == "stream" else memory)
    values = {
        "epochs": 2,
        "batch_size": 8,
        "drop_path": 0.4,
        "grad_clip": 1.0,
        "learning_rate": 0.1,
    } | settings
    return Training(net, train, Doubled(valid), groups=groups, team=team, **values)  # type: ignore[arg-type]


def measured(done: Training) -> dict[str, Any]:
    """Everything that two forms of one training share; of the rate the GPU knows a float32."""
    epochs = list(done)
    return {
        "numbers": [[e.train_loss, e.train_accuracy, e.valid_loss, e.valid_accuracy] for e in epochs],
        "state": {name: value.clone() for name, value in done.network.state_dict().items()},
        "result": {name: value.clone() for name, value in done.result.state_dict().items()},
    }


def worker(rank: int, size: int, groups: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    for form in FORMS:
        result = measured(training(form, groups, Team(rank, size)))
        if rank == 0:
            torch.save(result, Path(folder) / form)
    dist.destroy_process_group()


def test_two_processes_equal_one_with_as_many_groups(tmp_path: Path) -> None:
    """Drop path, the auxiliary head, clipping; 38 images end in a batch of six, which
    leaves groups of 2, 2, 1 and 1 images, and two files are damaged."""
    multiprocessing.spawn(worker, (2, 2, str(tmp_path)), 2)
    for form in FORMS:
        theirs, ours = torch.load(tmp_path / form), measured(training(form, 2))
        assert torch.tensor(theirs["numbers"]) == pytest.approx(torch.tensor(ours["numbers"]), abs=1e-9)
        for part in ("state", "result"):
            for name, value in ours[part].items():
                torch.testing.assert_close(
                    theirs[part][name], value, rtol=1e-9, atol=1e-9, msg=f"{form} {part} {name}"
                )


def test_groups_have_statistics_masks_and_weights_of_their_own() -> None:
    """One step, written out: group 0's running statistics, and gradients by the share of images."""
    made = training("memory", 2, batch_size=38, epochs=1, learning_rate=0.0, weight_decay=0.0, drop_path=0.0)
    plain = training("memory", 2, drop_path=0.0)
    expected = [torch.zeros_like(p) for p in plain.network.parameters()]
    for group in (1, 0):
        plain.network.load_state_dict(training("memory", 2).network.state_dict())
        ((x, y),) = plain.train.epoch(38, epoch=0, seed=0, part=(group, 2))
        plain.add_gradients(x, y)
        for total, p in zip(expected, plain.network.parameters(), strict=True):
            total += p.grad * len(y) / 38
        plain.optimizer.zero_grad()
    list(made)
    for name, value in plain.network.named_buffers():
        torch.testing.assert_close(dict(made.network.named_buffers())[name], value)
    found: list[Tensor] = []
    again = training("memory", 2, batch_size=38, epochs=1, drop_path=0.0)
    again.update = lambda: found.extend(p.grad.clone() for p in again.network.parameters())  # type: ignore[method-assign]
    list(again)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def cells(normal: list[tuple[str, int]], concat: tuple[int, ...] = (2, 3, 4, 5)) -> Genotype:
    published = PUBLISHED["PC_DARTS_cifar"]
    return Genotype(tuple(normal), concat, published.reduce, published.reduce_concat)


SEP = "sep_conv_3x3"
CHAIN = [(SEP, 0), (SEP, 1), (SEP, 0), (SEP, 2), (SEP, 1), (SEP, 3), (SEP, 0), (SEP, 4)]


@pytest.mark.parametrize(
    "genotype",
    [
        *PUBLISHED.values(),
        cells(
            [(SEP, 1), (SEP, 1), (SEP, 1), (SEP, 2), (SEP, 1), (SEP, 2), (SEP, 1), (SEP, 3)]
        ),  # not input 0
        cells(CHAIN, (5,)),  # every node is read
        cells(CHAIN, (4,)),  # node 5 is not
        cells([(SEP, 0), (SEP, 1)] * 4, (0, 3, 4, 5)),  # an input in the place of a node
    ],
)
def test_weights_that_get_no_gradient_are_known(genotype: Genotype) -> None:
    net = EvaluationNetwork(genotype, 4, 5, 3, in_channels=1, auxiliary=False)
    logits, _ = net(torch.zeros(2, 1, 8, 8))
    logits.sum().backward()
    idle = any(p.grad is None for p in net.parameters())
    assert _leaves_weights_out(net) == idle


def test_too_few_images_for_the_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="38 training images cannot be divided into 20 groups"):
        training("memory", 20, batch_size=40)


def test_damaged_files_that_others_found_count() -> None:
    batches = streamed()
    batches.count_damaged({"3.png": "no image", "20.png": "no image"})
    with pytest.raises(ValueError, match="4 of 38 images cannot be decoded"):
        batches.count_damaged({"3.png": "no image", "4.png": "cut off", "5.png": "cut off"})


def test_parts_are_a_batch_and_nothing_of_the_others_is_decoded() -> None:
    settings: dict[str, Any] = {"epoch": 3, "seed": 7}
    for batches in (MemoryBatches(IMAGES, LABELS, augment=Augmentation(1, True, 2), **SET), streamed()):
        whole = list(batches.epoch(36, **settings))
        parts = [list(batches.epoch(36, part=(g, 3), **settings)) for g in range(3)]
        assert [[len(y) for _, y in part] for part in parts][2][-1] == 0  # two images for three parts
        for number, (x, y) in enumerate(whole):
            assert torch.equal(torch.cat([part[number][0] for part in parts]), x)
            assert torch.equal(torch.cat([part[number][1] for part in parts]), y)
    seen: list[list[int]] = [[], []]
    for group in (0, 1):
        list(streamed(seen[group]).epoch(8, part=(group, 2), **settings))
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == list(range(COUNT))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"groups": 3}, "batch_size=9 can"),
        ({"groups": 8}, "batch_size=16 can"),
        ({"groups": 3, "team": Team(0, 2)}, "3 groups cannot be divided among 2 workers"),
    ],
)
def test_what_cannot_be_divided_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        training("memory", **settings)
