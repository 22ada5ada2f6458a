"""Data sets by name and from files: what is read, what is refused and how, and how training images are split."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.images.stream import StreamBatches, StreamImages
from pcdarts_tune.datasets import (
    DataSet,
    load_dataset,
    make_batches,
    preprocessing,
    read_image,
    register_dataset,
    split_dataset,
)
from pcdarts_tune.datasets.dataset import Part, channel_statistics, make_dataset, stratified_part
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.recipes import AugmentConfig
from pcdarts_tune.spaces.space import DataConfig

OWN = DataConfig(dataset="folder", held_out=0.15)
NONE_BROKEN = OWN.model_copy(update={"max_unreadable": 0.0})


def picture(number: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """A picture of one colour that tells its number."""
    return Image.new("RGB", size, (number % 256, number // 256 % 256, 77)).convert(mode)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(root: Path, classes: dict[str, int], draw: Callable[[int], Image.Image] = picture) -> Path:
    number = 0
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            draw(number).save(root / name / f"{index:03}.png")
            number += 1
    return root


def write_parquet(
    path: Path, labels: Any, *, names: str | None = None, images: list[Any] | None = None, **columns: Any
) -> Path:
    rows = (
        [{"bytes": png(picture(number)), "path": None} for number in range(len(labels))]
        if images is None
        else images
    )
    table = pa.table({"image": rows, "label": labels} | columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"class_names": names} if names else None), path)
    return path


def refused(match: str, root: Path | None, data: DataConfig = OWN, **options: Any) -> UserError:
    with pytest.raises(UserError, match=match) as caught:
        load_dataset(data, root, **options)
    return caught.value


def of_labels(labels: list[int]) -> DataSet:
    """A data set of which only the labels matter."""
    images = torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8)
    part = Part(images, torch.tensor(labels))
    classes = tuple(f"c{label}" for label in range(max(labels) + 1))
    return DataSet(
        "made", classes, images, part.labels, images, part.labels, (0.0,), (1.0,), "0" * 16, "made"
    )


class TestDigits:
    def test_whole(self) -> None:
        ds = load_dataset(DataConfig(dataset="digits", held_out=0.15))
        assert ds.classes == tuple("0123456789")
        assert ds.in_channels == 1
        assert ds.image_size == (8, 8)
        assert len(ds.train_labels) + len(ds.test_labels) == 1797
        assert abs(len(ds.test_labels) - 0.2 * 1797) < 1
        both = [torch.bincount(labels) / len(labels) for labels in (ds.train_labels, ds.test_labels)]
        assert (both[0] - both[1]).abs().max() < 0.01, "the test split is stratified"
        assert "test split" in ds.notes[0]

    def test_levels_and_statistics(self) -> None:
        from sklearn.datasets import load_digits

        ds = load_dataset(DataConfig(dataset="digits"))
        original = torch.from_numpy(load_digits().images).double() * 255 / 16
        train, test = ds.train_images, ds.test_images
        assert isinstance(train, Tensor)
        assert isinstance(test, Tensor)
        both = torch.cat([train, test]).double()
        assert both.sum() - original.round().sum() == 0
        assert both.max() == 255
        scaled = train.double() / 255
        assert ds.mean[0] == pytest.approx(scaled.mean().item(), abs=1e-12)
        assert ds.std[0] == pytest.approx(scaled.std(correction=0).item(), abs=1e-12)

    def test_the_test_split_does_not_follow_the_split_seed(self) -> None:
        one, two = (load_dataset(DataConfig(dataset="digits", split_seed=seed)) for seed in (0, 1))
        assert one.digest == two.digest
        assert torch.equal(one.test_labels, two.test_labels)
        assert not torch.equal(
            split_dataset(one, OWN).weights, split_dataset(one, DataConfig(split_seed=9)).weights
        )

    def test_resized_and_cached(self, tmp_path: Path) -> None:
        data = DataConfig(dataset="digits", image_size=16)
        first, second = (load_dataset(data, cache_dir=tmp_path) for _ in range(2))
        assert first.image_size == (16, 16)
        assert first.digest == second.digest
        assert first.notes == second.notes
        assert load_dataset(DataConfig(dataset="digits"), cache_dir=tmp_path).image_size == (8, 8)


class TestSplits:
    @settings(max_examples=80, deadline=None)
    @given(
        counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
        share=st.one_of(st.floats(0.01, 0.6), st.integers(1, 60)),
        seed=st.integers(0, 1000),
        data=st.data(),
    )
    def test_tuning(self, counts: list[int], share: float, seed: int, data: st.DataObject) -> None:
        labels = [label for label, count in enumerate(counts) for _ in range(count)]
        labels = data.draw(st.permutations(labels))
        ds, config = of_labels(labels), DataConfig(dataset="folder", held_out=share, split_seed=seed)
        splits = split_dataset(ds, config)
        parts = (splits.weights, splits.alphas, splits.held_out)
        together = torch.cat(parts)
        assert together.sort().values.tolist() == list(range(len(labels))), "each image in exactly one part"
        for part in parts:
            assert torch.equal(part, part.sort().values)
            assert torch.bincount(ds.train_labels[part], minlength=len(counts)).min() > 0, (
                "each class in each part"
            )
        assert abs(len(splits.weights) - len(splits.alphas)) <= 1 + 2 * len(counts)
        if isinstance(share, float) and all(1 <= share * count <= count - 2 for count in counts):
            assert len(splits.held_out) == round(share * len(labels))
            proportion = torch.bincount(ds.train_labels[splits.held_out])
            assert all(
                abs(int(got) - share * count) <= 1.5 for got, count in zip(proportion, counts, strict=True)
            )
        again = split_dataset(ds, config)
        assert all(
            torch.equal(a, b)
            for a, b in zip(parts, (again.weights, again.alphas, again.held_out), strict=True)
        )

    def test_cifar_sizes(self) -> None:
        ds = of_labels([i * 7 % 10 for i in range(50_000)])
        tuning = split_dataset(ds, DataConfig(held_out=5000))
        assert [len(part) for part in (tuning.weights, tuning.alphas, tuning.held_out)] == [
            22500,
            22500,
            5000,
        ]
        for part, each in ((tuning.weights, 2250), (tuning.alphas, 2250), (tuning.held_out, 500)):
            assert torch.bincount(ds.train_labels[part]).tolist() == [each] * 10
        published = split_dataset(ds, DataConfig(split="published"))
        assert torch.equal(published.weights, torch.arange(25_000))
        assert torch.equal(published.alphas, torch.arange(25_000, 50_000))
        assert not len(published.held_out)
        assert not published.notes

    def test_published_on_images_in_the_order_of_their_classes(self) -> None:
        ds = of_labels([0] * 10 + [1] * 10)
        splits = split_dataset(ds, DataConfig(split="published"))
        for part in (splits.weights, splits.alphas):
            assert torch.bincount(ds.train_labels[part]).tolist() == [5, 5]
        assert "order of their classes" in splits.notes[0]

    def test_imagenet_fractions(self) -> None:
        ds = of_labels([i % 4 for i in range(4000)])
        for split, held_out in (("published", 0), ("tuning", 400)):
            data = DataConfig(split=split, held_out=400, weights_fraction=0.1, alphas_fraction=0.025)  # type: ignore[arg-type]
            splits = split_dataset(ds, data)
            assert torch.bincount(ds.train_labels[splits.weights]).tolist() == [100] * 4
            assert torch.bincount(ds.train_labels[splits.alphas]).tolist() == [25] * 4
            assert len(splits.held_out) == held_out
            rows = torch.cat([splits.weights, splits.alphas, splits.held_out])
            assert len(set(rows.tolist())) == len(rows)

    def test_fractions_that_do_not_add_up(self) -> None:
        ds = of_labels([i % 2 for i in range(100)])
        with pytest.raises(UserError, match="need 50 images of class 0, and 40 are not held out"):
            split_dataset(ds, DataConfig(held_out=0.2, weights_fraction=0.6, alphas_fraction=0.4))
        with pytest.raises(UserError, match="go together"):
            split_dataset(ds, DataConfig(held_out=0.2, weights_fraction=0.6))

    def test_a_count_made_for_a_larger_set(self) -> None:
        splits = split_dataset(of_labels([i % 10 for i in range(1000)]), DataConfig(held_out=5000))
        assert len(splits.held_out) == 150
        assert "data.held_out: 5000 is more than a third of the 1000" in splits.notes[0]

    @settings(max_examples=60, deadline=None)
    @given(
        counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
        share=st.integers(1, 100),
        seed=st.integers(0, 99),
    )
    def test_stratified_part(self, counts: list[int], share: int, seed: int) -> None:
        labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
        part, rest = stratified_part(labels, share, torch.Generator().manual_seed(seed))
        assert torch.cat([part, rest]).sort().values.tolist() == list(range(len(labels)))
        taken = torch.bincount(labels[part], minlength=len(counts)).tolist()
        assert all(1 <= got <= max(1, count - 1) for got, count in zip(taken, counts, strict=True))
        if len(counts) <= share <= sum(count - 1 for count in counts):
            assert len(part) == share


class TestImageFolder:
    def test_train_and_test(self, tmp_path: Path) -> None:
        write_folder(tmp_path / "pets" / "train", {"cat": 6, "dog": 5})
        write_folder(tmp_path / "pets" / "test", {"cat": 2, "dog": 1})
        (tmp_path / "pets" / "train" / "cat" / "notes.txt").write_text("not an image")
        (tmp_path / "pets" / ".cache").mkdir()
        ds = load_dataset(OWN, tmp_path / "pets")
        assert (ds.name, ds.classes, ds.num_classes, ds.in_channels, ds.image_size) == (
            "pets",
            ("cat", "dog"),
            2,
            3,
            (8, 8),
        )
        assert ds.train_labels.tolist() == [0] * 6 + [1] * 5
        assert ds.test_labels.tolist() == [0, 0, 1]
        train = ds.train_images
        assert isinstance(train, Tensor)
        assert train[:, 0, 0, 0].tolist() == list(range(11))
        assert ds.source == "the image folder 'pets'"
        assert ds.notes[0] == "1 files in class folders are not read: 1 .txt"

    def test_class_folders_directly(self, tmp_path: Path) -> None:
        ds = load_dataset(OWN, write_folder(tmp_path, {"a": 10, "b": 20, "train": 10}))
        assert ds.classes == ("a", "b", "train")
        assert torch.bincount(ds.test_labels).tolist() == [2, 4, 2]
        assert "8 of 40 images were set aside" in ds.notes[0]

    def test_val_in_place_of_test(self, tmp_path: Path) -> None:
        for part in ("Train", "Val"):
            write_folder(tmp_path / part, {"a": 4, "b": 4})
        assert len(load_dataset(OWN, tmp_path).test_labels) == 8
        write_folder(tmp_path / "test", {"a": 1, "b": 1})
        ds = load_dataset(OWN, tmp_path)
        assert len(ds.test_labels) == 2
        assert "Val/ is not read" in ds.notes[0]

    def test_grey_and_mixed(self, tmp_path: Path) -> None:
        grey = write_folder(tmp_path / "grey", {"a": 5, "b": 5}, lambda i: picture(i, mode="L"))
        assert load_dataset(OWN, grey).in_channels == 1
        mixed = write_folder(
            tmp_path / "mixed", {"a": 5, "b": 5}, lambda i: picture(i, mode="L" if i % 2 else "RGB")
        )
        ds = load_dataset(OWN, mixed)
        assert ds.in_channels == 3
        assert "5 grey images" in " ".join(ds.notes)

    @pytest.mark.parametrize(
        ("sizes", "image_size", "expected"),
        [
            ([(8, 8)], None, (8, 8)),
            ([(12, 8)], None, (8, 12)),
            ([(30, 30)], None, (32, 32)),
            ([(16, 16), (16, 16), (40, 20)], None, (16, 16)),
            ([(16, 20), (24, 40), (60, 32), (80, 90)], None, (32, 32)),
            ([(600, 400)], None, (224, 224)),
            ([(16, 16)], 8, (8, 8)),
        ],
    )
    def test_sizes(
        self, tmp_path: Path, sizes: list[tuple[int, int]], image_size: int | None, expected: tuple[int, int]
    ) -> None:
        root = write_folder(tmp_path, {"a": 12, "b": 12}, lambda i: picture(i, sizes[i % len(sizes)]))
        ds = load_dataset(OWN.model_copy(update={"image_size": image_size}), root)
        assert ds.image_size == expected
        resized = " ".join(ds.notes)
        assert ("resized to" in resized) == (
            any((width, height) != expected[::-1] for width, height in sizes)
        )

    def test_damaged_images(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 150, "b": 150})
        (root / "a" / "003.png").write_bytes(b"")
        (root / "b" / "007.png").write_bytes(b"nonsense")
        whole = (root / "b" / "008.png").read_bytes()
        (root / "b" / "008.png").write_bytes(whole[:-30])
        ds = load_dataset(OWN, root)
        assert len(ds.train_labels) + len(ds.test_labels) == 297
        note = next(note for note in ds.notes if "unreadable" in note)
        assert "3 unreadable training images are skipped" in note
        assert "003.png: empty file" in note
        assert "007.png: not an image" in note
        assert "008.png" in note
        (root / "a" / "004.png").unlink()
        (root / "a" / "004.png").symlink_to("nowhere.png")
        error = refused(r"4 of the 300 training images .* unreadable, more than 1%.*No such file", root)
        assert error.hint is not None
        assert "--set data.max_unreadable" in error.hint
        patient = OWN.model_copy(update={"max_unreadable": 0.05})
        assert len(load_dataset(patient, root).train_labels) > 200
        refused("3 of the 300 .* more than 0%", root, NONE_BROKEN)  # the headers alone

    def test_one_damaged_image_of_a_small_set_is_left_out(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 10, "b": 10})
        (root / "a" / "003.png").write_bytes(b"")
        ds = load_dataset(OWN, root)
        assert len(ds.train_labels) + len(ds.test_labels) == 19
        assert any("003.png: empty file" in note for note in ds.notes)

    def test_a_bomb(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 5, "b": 5})
        Image.new("1", (20_000, 20_000)).save(root / "a" / "bomb.png")
        refused("bomb.png: .*megapixels", root, NONE_BROKEN)

    def test_links(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path / "set", {"a": 5, "b": 5})
        elsewhere = write_folder(tmp_path / "more", {"c": 5})
        (root / "c").symlink_to(elsewhere / "c")
        assert load_dataset(OWN, root).classes == ("a", "b", "c")
        (root / "a" / "up").symlink_to(root)
        refused("leads back to a folder above", root)
        (root / "a" / "up").unlink()
        (root / "a" / "self.png").symlink_to(root / "a" / "self.png")
        refused("self.png", root, NONE_BROKEN)
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        refused("loop", tmp_path / "loop")

    def test_what_is_no_file_is_not_waited_for(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 5, "b": 5})
        os.mkfifo(root / "a" / "pipe.png")
        ds = load_dataset(OWN, root)
        assert len(ds.train_labels) + len(ds.test_labels) == 10

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ([], "holds no images"),
            (["1.png", "2.png"], "images, but no class folders"),
            (["a/1.png", "a/2.png", "a/3.png", "a/4.png"], "only one class, 'a'"),
            (["a/1.png", "a/2.png", "a/3.png", "a/4.png", "b/"], "b holds no images"),
            (["a/1.png", "b/1.png"], "each class needs at least 4 training images.*a \\(1\\), b \\(1\\)"),
            (["test/a/1.png", "test/b/1.png"], "no train/ folder"),
            (
                ["train/a/1.png", "train/b/1.png", "test/c/1.png"],
                "test has class folders that train/ has not: c",
            ),
            (["train/", "test/"], "train holds no images"),
            (["train/1.png", "test/1.png"], "train holds images, but no class folders"),
            (["a/readme.txt", "b/readme.txt"], "a holds no images"),
            (["set/train/a/1.png", "set/train/b/1.png"], "holds one folder, 'set'"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, files: list[str], message: str) -> None:
        for name in files:
            path = tmp_path / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                picture(1).save(path)
            elif path.suffix:
                path.write_text("")
        error = refused(message, tmp_path)
        assert error.hint or "class folders that" in message

    def test_nothing_there(self, tmp_path: Path) -> None:
        refused("does not exist", tmp_path / "nowhere")
        assert "--data DIR" in str(refused("your own images", None).hint)
        (tmp_path / "set.zip").write_bytes(b"PK")
        assert refused("neither a folder nor", tmp_path / "set.zip").hint == "unpack archives first"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_folder_that_may_not_be_read(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 5, "b": 5})
        (root / "a").chmod(0)
        refused("Permission denied", root)


class TestParquet:
    def test_folder_of_train_and_test(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "pets-train.parquet", [0, 1, 2] * 5, names="ant,bee,cow")
        write_parquet(tmp_path / "pets-test.parquet", [2, 1, 0], names="ant,bee,cow")
        ds = load_dataset(OWN, tmp_path)
        assert (ds.name, ds.classes) == ("pets", ("ant", "bee", "cow"))
        assert ds.train_labels.tolist() == [0, 1, 2] * 5
        assert ds.test_labels.tolist() == [2, 1, 0]
        assert isinstance(ds.train_images, Tensor)
        assert ds.train_images[:, 0, 0, 0].tolist() == list(range(15))

    def test_one_file(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "all.parquet", [5, 7] * 10)
        ds = load_dataset(OWN, path)
        assert ds.classes == ("5", "7")
        assert ds.name == "all"
        assert len(ds.test_labels) == 4

    def test_shards_and_hugging_face(self, tmp_path: Path) -> None:
        features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
        for shard in range(2):
            path = tmp_path / "data" / f"train-0000{shard}-of-00002.parquet"
            write_parquet(path, [0, 1] * 4)
            table = pq.read_table(path).rename_columns(["img", "label"])
            pq.write_table(
                table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}),
                path,
            )
        ds = load_dataset(OWN, tmp_path)
        assert ds.classes == ("no", "yes")
        assert len(ds.train_labels) + len(ds.test_labels) == 16

    def test_names_and_plain_bytes(self, tmp_path: Path) -> None:
        images = [png(picture(i)) for i in range(8)]
        path = write_parquet(tmp_path / "x.parquet", ["b", "a"] * 4, images=images)
        assert load_dataset(OWN, path).classes == ("a", "b")

    def test_several_sets_in_a_folder(self, tmp_path: Path) -> None:
        for name in ("cifar10", "flowers"):
            write_parquet(tmp_path / f"{name}-train.parquet", [0, 1] * 6)
        refused("several data sets: cifar10, flowers", tmp_path)
        assert load_dataset(DataConfig(dataset="cifar10"), tmp_path).name == "cifar10"

    @pytest.mark.parametrize(
        ("labels", "names", "message"),
        [
            ([0, -1] * 4, None, "4 labels .* are negative"),
            ([0, 10**15] * 4, None, "label 1000000000000000 .* hardly a class"),
            ([0, 2] * 4, "a,b", "label 2 .* has no name: class_names has 2"),
            ([0.5, 1.0] * 4, None, "holds double"),
            ([0, None] * 4, None, "4 labels .* are missing"),
            ([0] * 8, None, "only one class, '0'"),
            ([], None, "."),
        ],
    )
    def test_labels_that_are_refused(
        self, tmp_path: Path, labels: list[Any], names: str | None, message: str
    ) -> None:
        refused(message, write_parquet(tmp_path / "x.parquet", labels, names=names))

    def test_files_that_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        path.write_bytes(b"")
        refused("no readable parquet file: the file is empty", path)
        path.write_bytes(b"PAR1 and no more PAR1")
        refused("no readable parquet file", path)
        pq.write_table(pa.table({"label": [0, 1]}), path)
        refused("no column for the images; its columns are label", path)
        pq.write_table(pa.table({"image": [b"", b""], "kind": [0, 1]}), path)
        refused("no column for the labels; its columns are image, kind", path)
        pq.write_table(pa.table({"image": ["a.png", "b.png"], "label": [0, 1]}), path)
        refused("column 'image' .* holds string", path)
        write_parquet(path, [0, 1] * 4, images=[{"bytes": b"", "path": "a"}, None] * 4)
        refused("8 of the 8 training images .*x.parquet row 0: .*a: No such file.* row 1: empty file", path)

    def test_damage_inside(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "x.parquet", [0, 1] * 100)
        content = bytearray(path.read_bytes())
        content[200:600] = bytes(400)
        path.write_bytes(content)
        refused("unreadable|cannot read", path)

    @pytest.mark.parametrize(
        ("column", "group", "damaged", "what"),
        [
            ("label", None, "test", "labels"),
            ("label", None, "train", "labels"),
            ("patient", "patient", "train", "groups"),
            ("image.path", r"\d+", "test", "paths of the images"),
        ],
    )
    def test_damaged_columns(
        self, tmp_path: Path, column: str, group: str | None, damaged: str, what: str
    ) -> None:
        images = [{"bytes": png(picture(number)), "path": f"{number:03}.png"} for number in range(24)]
        for name in ("train", "test"):
            patient = [number // 2 for number in range(24)]
            write_parquet(tmp_path / f"{name}.parquet", [0, 1] * 12, images=images, patient=patient)
        path = tmp_path / f"{damaged}.parquet"
        about = pq.read_metadata(path).row_group(0)
        chunk = next(
            each for each in map(about.column, range(about.num_columns)) if each.path_in_schema == column
        )
        start, content = chunk.dictionary_page_offset or chunk.data_page_offset, bytearray(path.read_bytes())
        content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
        path.write_bytes(content)
        data = OWN.model_copy(update={"group": group})
        refused(f"cannot read the {what} in .*{damaged}.parquet", tmp_path, data)

    def test_train_and_test_that_disagree(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "train.parquet", [0, 1] * 4, names="a,b")
        write_parquet(tmp_path / "test.parquet", [0, 1], names="b,a")
        refused("name their classes differently", tmp_path)
        write_parquet(tmp_path / "train.parquet", [0, 1] * 4)
        write_parquet(tmp_path / "test.parquet", [0, 2])
        refused("test file has labels that the train file has not: 2", tmp_path)

    def test_streamed(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "x.parquet", [0, 1] * 10)
        data = OWN.model_copy(update={"memory_limit_gb": 1e-6})
        refused("unpack to more than data.memory_limit_gb", path, data)
        small, streamed = load_dataset(OWN, path), load_dataset(data, path, cache_dir=tmp_path / "cache")
        assert isinstance(streamed.train_images, StreamImages)
        assert_same_batches(small, streamed)
        again = load_dataset(data, path, cache_dir=tmp_path / "cache")
        assert again.digest == streamed.digest
        assert_same_batches(small, again)


def assert_same_batches(small: DataSet, streamed: DataSet) -> None:
    assert small.mean == streamed.mean
    assert small.std == streamed.std
    assert small.classes == streamed.classes
    assert any("streamed from disk" in note for note in streamed.notes)
    rows = torch.tensor([3, 1, 4, 5])
    for augment in (True, False):
        epochs = []
        for ds in (small, streamed):
            batches = make_batches(
                ds.train_images[rows],
                ds.train_labels[rows],
                ds,
                augment=augment,
                config=AugmentConfig(),
                device="cpu",
                workers=0,
            )
            epochs.append(list(batches.epoch(3, epoch=0, seed=0)))
        for (x, y), (u, v) in zip(*epochs, strict=True):
            assert torch.equal(x, u)
            assert torch.equal(y, v)


class TestCache:
    def test_what_is_kept_is_what_was_read(self, tmp_path: Path) -> None:
        root, cache = write_folder(tmp_path / "set", {"a": 10, "b": 10}), tmp_path / "cache"
        seen: list[tuple[int, int]] = []
        first = load_dataset(
            OWN, root, cache_dir=cache, progress=lambda done, total: seen.append((done, total))
        )
        assert seen[-1] == (20, 20)
        seen.clear()
        second = load_dataset(
            OWN, root, cache_dir=cache, progress=lambda done, total: seen.append((done, total))
        )
        assert not seen, "nothing is decoded again"
        for field in ("name", "classes", "mean", "std", "digest", "source", "notes"):
            assert getattr(first, field) == getattr(second, field)
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            assert torch.equal(getattr(first, field), getattr(second, field))
        assert [path.suffix for path in cache.iterdir()] == [".safetensors"]

    def test_a_changed_file_or_setting_is_read_again(self, tmp_path: Path) -> None:
        root, cache = write_folder(tmp_path / "set", {"a": 10, "b": 10}), tmp_path / "cache"
        first = load_dataset(OWN, root, cache_dir=cache)
        picture(9999, (9, 9)).resize((8, 8)).save(root / "a" / "000.png")
        os.utime(root / "a" / "000.png", ns=(1, 1))
        assert load_dataset(OWN, root, cache_dir=cache).digest != first.digest
        assert load_dataset(OWN.model_copy(update={"image_size": 16}), root, cache_dir=cache).image_size == (
            16,
            16,
        )

    def test_damage_only_means_reading_again(self, tmp_path: Path) -> None:
        root, cache = write_folder(tmp_path / "set", {"a": 10, "b": 10}), tmp_path / "cache"
        first = load_dataset(OWN, root, cache_dir=cache)
        (kept,) = cache.iterdir()
        kept.write_bytes(kept.read_bytes()[:100])
        assert load_dataset(OWN, root, cache_dir=cache).digest == first.digest
        (tmp_path / "file").write_text("")
        ds = load_dataset(OWN, root, cache_dir=tmp_path / "file")
        assert ds.digest == first.digest
        assert "could not be cached" in ds.notes[-1]

    def test_streamed_folder(self, tmp_path: Path) -> None:
        root, cache = write_folder(tmp_path / "set", {"a": 10, "b": 10}), tmp_path / "cache"
        data = OWN.model_copy(update={"memory_limit_gb": 1e-6})
        small = load_dataset(OWN, root)
        for _ in range(2):
            assert_same_batches(small, load_dataset(data, root, cache_dir=cache))


class TestBatches:
    @pytest.fixture
    def ds(self, tmp_path: Path) -> DataSet:
        return load_dataset(OWN, write_folder(tmp_path, {"a": 10, "b": 10}, lambda i: picture(i, (16, 16))))

    def test_recipes(self, ds: DataSet) -> None:
        def made(kind: str, augment: bool, **options: Any) -> Any:
            config = AugmentConfig(kind=kind, **options)  # type: ignore[arg-type]
            return make_batches(
                ds.train_images, ds.train_labels, ds, augment=augment, config=config, device="cpu"
            )

        cifar = made("cifar", True, cutout=4)
        assert isinstance(cifar, MemoryBatches)
        assert cifar.augment
        assert cifar.augment.cutout == 4
        for plain in (made("cifar", False), made("none", True), made("imagenet", False)):
            assert isinstance(plain, MemoryBatches)
            assert plain.augment is None
        imagenet = made("imagenet", True, color_jitter=(0.4, 0.4, 0.4, 0.2), cutout=4)
        assert isinstance(imagenet, StreamBatches)
        imagenet.workers = 0
        x, y = next(iter(imagenet.epoch(8, epoch=0, seed=0)))
        assert x.shape == (8, 3, 16, 16)
        assert y.shape == (8,)
        with pytest.raises(UserError, match="color_jitter belongs to"):
            made("cifar", True, color_jitter=(0.4, 0.4, 0.4, 0.2))

    def test_constants_normalise(self, ds: DataSet) -> None:
        config = AugmentConfig(kind="none")
        batches = make_batches(
            ds.train_images, ds.train_labels, ds, augment=False, config=config, device="cpu"
        )
        x = torch.cat([x for x, _ in batches.epoch(5, epoch=0, seed=0)]).double()
        assert x.mean((0, 2, 3)).abs().max() < 1e-5
        varied = torch.tensor(ds.std) != 1
        assert (x.std((0, 2, 3), correction=0)[varied] - 1).abs().max() < 1e-5

    @pytest.mark.parametrize("size", [(16, 16), (31, 20), (200, 160)])
    def test_an_image_is_predicted_as_it_was_trained(self, tmp_path: Path, size: tuple[int, int]) -> None:
        def noise(number: int) -> Image.Image:
            return Image.merge(
                "RGB", [Image.effect_noise(size, 40 + number).rotate(90 * i) for i in range(3)]
            )

        root = write_folder(tmp_path, {"a": 6, "b": 6}, noise)
        ds = load_dataset(DataConfig(dataset="folder", image_size=16, test_fraction=0.2), root)
        settings = json.loads(json.dumps(preprocessing(ds)))
        assert settings["image_size"] == 16
        assert settings["channels"] == 3
        config = AugmentConfig()
        batches = make_batches(
            ds.train_images, ds.train_labels, ds, augment=False, config=config, device="cpu"
        )
        ((trained, _),) = batches.epoch(100, epoch=0, seed=0, shuffle=False)
        for path in sorted(root.glob("*/*.png")):
            x = read_image(path, settings)
            assert x.shape == (3, 16, 16)
            if any(torch.equal(x, other) for other in trained):
                break
        else:
            pytest.fail("no predicted image equals one that was trained on")

    def test_images_that_cannot_be_predicted(self, tmp_path: Path, ds: DataSet) -> None:
        (tmp_path / "x.png").write_bytes(b"nothing")
        for path, message in (
            (tmp_path / "none.png", "No such file"),
            (tmp_path / "x.png", "no readable image"),
            (tmp_path, "Is a directory"),
        ):
            with pytest.raises(UserError, match=message):
                read_image(path, preprocessing(ds))

    def test_sizes_that_are_not_square(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path, {"a": 5, "b": 5}, lambda i: picture(i, (12, 8)))
        settings = preprocessing(load_dataset(OWN, root))
        assert settings["image_size"] == [8, 12]
        assert read_image(root / "a" / "000.png", settings).shape == (3, 8, 12)


class TestTorchvisionSets:
    @pytest.fixture
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("Network is unreachable")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    @pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
    @pytest.mark.usefixtures("no_network")
    def test_absent_and_no_network(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = DataConfig(dataset=name)  # type: ignore[arg-type]
        error = refused(f"{name} is not in .* and could not be downloaded", tmp_path, data)
        assert "--data DIR" in str(error.hint)
        assert not capsys.readouterr().out, "standard output is for results"
        assert socket.getdefaulttimeout() is None
        error = refused("data.download is off", tmp_path, data.model_copy(update={"download": False}))
        assert "--data DIR" in str(error.hint)

    @pytest.mark.parametrize(
        ("name", "folder"), [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")]
    )
    @pytest.mark.usefixtures("no_network")
    def test_a_pickle_that_is_not_the_published_one_is_never_opened(
        self, name: str, folder: str, tmp_path: Path
    ) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return (Path.touch, (tmp_path / "opened",))

        (tmp_path / folder).mkdir()
        for part in [
            *(f"data_batch_{i}" for i in range(1, 6)),
            "test_batch",
            "batches.meta",
            "train",
            "test",
            "meta",
        ]:
            (tmp_path / folder / part).write_bytes(pickle.dumps(Trap()))
        for download in (True, False):
            data = DataConfig(dataset=name, download=download)  # type: ignore[arg-type]
            refused("is not in", tmp_path, data, cache_dir=tmp_path / "cache")
        assert not (tmp_path / "opened").exists()

    def write_fashion(self, folder: Path, zipped: bool, count: int = 30) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for prefix in ("train", "t10k"):
            pixels = bytes(i % 256 for i in range(count * 28 * 28))
            headers = {
                "images-idx3": b"\0\0\x08\x03"
                + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
                + pixels,
                "labels-idx1": b"\0\0\x08\x01"
                + count.to_bytes(4, "big")
                + bytes(i % 10 for i in range(count)),
            }
            for kind, content in headers.items():
                name = f"{prefix}-{kind}-ubyte" + (".gz" if zipped else "")
                (folder / name).write_bytes(gzip.compress(content) if zipped else content)

    @pytest.mark.parametrize("where", [".", "FashionMNIST/raw"])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_fashion_mnist_files(self, tmp_path: Path, where: str, zipped: bool) -> None:
        self.write_fashion(tmp_path / where, zipped)
        ds = load_dataset(DataConfig(dataset="fashion_mnist"), tmp_path)
        assert ds.train_images.shape == (30, 1, 28, 28)
        assert ds.classes[9] == "Ankle boot"
        train = ds.train_images
        assert isinstance(train, Tensor)
        assert train.flatten()[:300].tolist() == [i % 256 for i in range(300)]

    def test_damaged_fashion_mnist_files(self, tmp_path: Path) -> None:
        self.write_fashion(tmp_path, zipped=False)
        data = DataConfig(dataset="fashion_mnist")
        path = tmp_path / "train-images-idx3-ubyte"
        whole = path.read_bytes()
        for content in (b"", whole[:-1], b"\0\0\x09" + whole[3:], whole + b"\0"):
            path.write_bytes(content)
            refused("is damaged or no idx file", tmp_path, data)
        path.write_bytes(whole)
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        refused("lacks t10k-labels", tmp_path, data)

    def test_files_of_ones_own_come_first(self, tmp_path: Path) -> None:
        root = write_folder(tmp_path / "pets", {"cat": 6, "dog": 6})
        for name in ("cifar10", "digits", "fashion_mnist"):
            ds = load_dataset(DataConfig(dataset=name), root)
            assert ds.name == "pets"
            assert f"the space names {name}" in " ".join(ds.notes)


def test_a_loader_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcdarts_tune.datasets import load

    monkeypatch.setattr(load, "_LOADERS", {})

    def noise(data: DataConfig, root: Path | None) -> DataSet:
        images = torch.randint(0, 256, (40, 2, 8, 8), dtype=torch.uint8)
        return make_dataset(
            "noise", ("x", "y"), Part(images, torch.arange(40) % 2), None, data, source="noise"
        )

    register_dataset("noise", noise)
    assert (
        load_dataset(DataConfig.model_construct(**OWN.model_dump() | {"dataset": "noise"})).in_channels == 2
    )
    with pytest.raises(ValueError, match="already"):
        register_dataset("digits", noise)
    with pytest.raises(UserError, match="did you mean 'noise'"):
        load_dataset(DataConfig.model_construct(**OWN.model_dump() | {"dataset": "noize"}))


@settings(max_examples=30, deadline=None)
@given(channels=st.integers(1, 4), count=st.integers(1, 5), seed=st.integers(0, 99))
def test_statistics_are_exact(channels: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, 5, 7), dtype=torch.uint8, generator=generator)
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    assert mean == pytest.approx(scaled.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_a_constant_channel_is_not_divided_by_nothing() -> None:
    assert channel_statistics(torch.full((3, 1, 4, 4), 9, dtype=torch.uint8)) == ((9 / 255,), (1.0,))


# ---- the real CIFAR-10, where there is one

REAL = os.environ.get("PCDARTS_TUNE_TEST_DATA")
needs_cifar = pytest.mark.skipif(
    REAL is None, reason="PCDARTS_TUNE_TEST_DATA names no folder with cifar10-*.parquet"
)


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    assert REAL is not None
    return load_dataset(DataConfig(held_out=5000), Path(REAL), cache_dir=tmp_path_factory.mktemp("cache"))


@needs_cifar
def test_cifar10_from_parquet(cifar10: DataSet) -> None:
    assert cifar10.train_images.shape == (50_000, 3, 32, 32)
    assert cifar10.test_images.shape == (
        10_000,
        3,
        32,
        32,
    )
    assert cifar10.classes[:3] == ("airplane", "automobile", "bird")
    assert cifar10.name == "cifar10"
    assert not cifar10.notes
    assert torch.bincount(cifar10.train_labels).tolist() == [5000] * 10
    assert cifar10.mean == (0.49139968, 0.48215827, 0.44653124)
    mean, std = channel_statistics(cifar10.train_images)
    assert mean == pytest.approx(cifar10.mean, abs=5e-4)
    assert std == pytest.approx(cifar10.std, abs=2e-3)
    splits = split_dataset(cifar10, DataConfig(held_out=5000))
    assert [len(part) for part in (splits.weights, splits.alphas, splits.held_out)] == [22_500, 22_500, 5_000]


@needs_cifar
def test_cifar10_as_an_image_folder_is_the_same_set(cifar10: DataSet, tmp_path: Path) -> None:
    assert REAL is not None
    counts: dict[tuple[str, int], int] = {}
    for split in ("train", "test"):
        for row in pq.read_table(Path(REAL) / f"cifar10-{split}.parquet").slice(0, 600).to_pylist():
            path = tmp_path / split / cifar10.classes[row["label"]] / Path(row["image"]["path"]).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(row["image"]["bytes"])
            counts[split, row["label"]] = counts.get((split, row["label"]), 0) + 1
    ds = load_dataset(DataConfig(held_out=5000), tmp_path)
    assert ds.name == "cifar10"
    assert ds.mean == cifar10.mean
    assert len(ds.train_labels) == 600
    train, whole = ds.train_images, cifar10.train_images
    assert isinstance(train, Tensor)
    assert isinstance(whole, Tensor)
    ours = {train[i].numpy().tobytes(): int(ds.train_labels[i]) for i in range(600)}
    theirs = {whole[i].numpy().tobytes(): int(cifar10.train_labels[i]) for i in range(600)}
    assert ours == theirs
    assert len(split_dataset(ds, DataConfig(held_out=5000)).held_out) == 90
