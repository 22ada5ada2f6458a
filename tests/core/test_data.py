"""Batches from memory: every image once an epoch, in an order and with an augmentation that only the keys decide."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_jobs import gathered
from torch.utils._python_dispatch import TorchDispatchMode

from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.images.data import MemoryBatches, epoch_order, make_generator


def numbered(count: int, *, augment: Augmentation | None = None, channels: int = 1) -> MemoryBatches:
    """Images whose label is their place, and whose pixels are all that number (below 256)."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, channels, 8, 8).contiguous()
    constants = ((0.0,) * channels, (1.0,) * channels)
    return MemoryBatches(
        images, torch.arange(count), num_classes=count, mean=constants[0], std=constants[1], augment=augment
    )


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    epoch=st.integers(0, 600),
    seed=st.integers(0, 2**40),
    shuffle=st.booleans(),
)
def test_every_image_exactly_once_and_the_last_batch_kept(
    count: int, batch_size: int, epoch: int, seed: int, shuffle: bool
) -> None:
    batches = numbered(count)
    assert len(batches) == count
    parts = list(batches.epoch(batch_size, epoch=epoch, seed=seed, shuffle=shuffle))
    sizes = [len(y) for _, y in parts]
    assert sizes == [batch_size] * (count // batch_size) + (
        [count % batch_size] if count % batch_size else []
    )
    labels = torch.cat([y for _, y in parts])
    assert labels.sort().values.tolist() == list(range(count))
    assert shuffle or labels.tolist() == list(range(count))
    for x, y in parts:
        assert x.shape[1:] == (1, 8, 8)
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.is_contiguous()
        assert torch.equal((x[:, 0, 0, 0] * 255).round().long(), y), "an image keeps its label"


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(numbered(10).epoch(0, epoch=0, seed=0))


def test_the_keys_decide_and_nothing_else() -> None:
    batches = numbered(50, augment=Augmentation(2, True, 4))
    torch.manual_seed(1)
    first = list(batches.epoch(8, epoch=3, seed=7))
    torch.manual_seed(2)
    list(batches.epoch(8, epoch=2, seed=7))
    again = list(batches.epoch(8, epoch=3, seed=7))
    for (x, y), (u, v) in zip(first, again, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)
    for keys in ({"epoch": 4, "seed": 7}, {"epoch": 3, "seed": 8}):
        other = list(batches.epoch(8, epoch=keys["epoch"], seed=keys["seed"]))
        assert not torch.equal(torch.cat([y for _, y in first]), torch.cat([y for _, y in other]))
        assert not torch.equal(gathered(batches, 8, epoch=3, seed=7)[0], gathered(batches, 8, **keys)[0])


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(numbered(20, augment=Augmentation()).epoch(4, epoch=0, seed=0))
    assert torch.equal(torch.rand(3), expected)


def test_augmentation_is_keyed_by_sample_not_by_batch() -> None:
    batches = numbered(40, augment=Augmentation(2, True, 4))
    small, large = gathered(batches, 7), gathered(batches, 40)
    assert torch.equal(small[0], large[0])
    ordered = torch.cat([x for x, _ in batches.epoch(16, epoch=0, seed=0, shuffle=False)])
    assert torch.equal(ordered, small[0])


def test_an_epoch_is_the_augmentation_with_the_epochs_own_draws() -> None:
    augment = Augmentation(2, True, 4)
    batches = numbered(30, augment=augment)
    draws = augment.draw(30, (8, 8), make_generator("augment", 11, 5))
    expected = augment(batches.images, draws, batches.mean, batches.std)
    assert torch.equal(gathered(batches, 8, epoch=5, seed=11)[0], expected)


def test_orders_of_nearby_keys_are_unrelated() -> None:
    orders = [
        epoch_order(100, epoch=epoch, seed=seed, shuffle=True) for epoch in range(4) for seed in range(4)
    ]
    assert len({tuple(order.tolist()) for order in orders}) == 16
    agreements = [int((a == b).sum()) for a in orders for b in orders if a is not b]
    assert max(agreements) < 12


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 40), images=st.integers(1, 60), batch_size=st.integers(1, 20))
def test_short_epochs_go_on_where_the_last_one_ended(count: int, images: int, batch_size: int) -> None:
    batches = numbered(count)
    batches.epoch_images = images
    parts = [list(batches.epoch(batch_size, epoch=epoch, seed=3)) for epoch in range(12)]
    epochs = [torch.cat([labels for _, labels in part]) for part in parts]
    assert {len(labels) for labels in epochs} == {images}
    whole = torch.cat([epoch_order(count, epoch=number, seed=3, shuffle=True) for number in range(12 * 30)])
    assert torch.equal(torch.cat(epochs), whole[: 12 * images])


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that would make the host wait for a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "item", "unique", "equal")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waited: list[str] = []
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.seen += 1
        name = func._schema.name.split("::")[-1]
        if name in self.WAITING:
            self.waited.append(name)
        return func(*args, **(kwargs or {}))


def test_nothing_in_an_epoch_waits_for_the_device() -> None:
    batches = numbered(64, augment=Augmentation(2, True, 4), channels=3)
    with _Watch() as watch:
        list(batches.epoch(16, epoch=0, seed=0))
    assert watch.seen > 20
    assert not watch.waited


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_epoch_without_synchronising() -> None:
    on_cpu = numbered(100, augment=Augmentation(2, True, 4), channels=3)
    on_gpu = MemoryBatches(
        on_cpu.images,
        on_cpu.labels,
        num_classes=100,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        augment=on_cpu.augment,
        device="cuda",
    )
    expected = list(on_cpu.epoch(16, epoch=1, seed=2))
    epoch = on_gpu.epoch(16, epoch=1, seed=2)
    parts = [next(epoch)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        parts += list(epoch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (x, y), (u, v) in zip(expected, parts, strict=True):
        assert torch.allclose(x, u.cpu(), rtol=0, atol=1e-6)
        assert torch.equal(y, v.cpu())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(4, 1, 8, 8)}, "images are uint8"),
        ({"images": torch.zeros(4, 8, 8, dtype=torch.uint8)}, "images are uint8"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "one label an image"),
        ({"labels": torch.zeros(4)}, "whole numbers"),
        ({"labels": torch.tensor([0, 1, 2, 0])}, r"0\.\.1"),
        ({"labels": torch.tensor([0, 1, -1, 0])}, r"0\.\.1"),
        ({"mean": (0.1, 0.2)}, "each of 1 channels"),
        ({"std": (0.0,)}, "positive std"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 0, 1]),
        "num_classes": 2,
        "mean": (0.5,),
        "std": (0.5,),
    }
    MemoryBatches(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        MemoryBatches(**(good | changes))  # type: ignore[arg-type]


def test_the_core_reads_data_without_the_rest() -> None:
    blocked = ("ray", "mlflow", "optuna", "sklearn", "pyarrow", "pydantic", "click")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from pcdarts_tune.core.images import augment, data, decode, stream"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
