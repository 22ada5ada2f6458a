"""Data sets as people have them: names of splits and classes, files left out, caches, downloads, duplicates, groups."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from support.encode import png16, tiff
from support.make_layouts import save
from torch import Tensor

from pcdarts_tune.datasets import DataSet, load_dataset, split_dataset
from pcdarts_tune.datasets.dataset import Part, make_dataset
from pcdarts_tune.datasets.duplicates import settle_duplicates
from pcdarts_tune.datasets.proportion import grouped_part
from pcdarts_tune.doctor.stores import check_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.planning.inputs import load_planned_images
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.space import DataConfig

OWN = DataConfig(dataset="folder", held_out=0.15)
RANDOM = np.random.default_rng(0)


def noise() -> np.ndarray[Any, Any]:
    return RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def write(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save(noise()) if content is None else content)
    return path


def folder(root: Path, *classes: str, count: int = 8) -> Path:
    for name in classes:
        for number in range(count):
            write(root / name / f"{number}.png")
    return root


def refused(match: str, root: Path, data: DataConfig = OWN, **options: Any) -> UserError:
    with pytest.raises(UserError, match=match) as caught:
        load_dataset(data, root, **options)
    return caught.value


def said(ds: DataSet) -> str:
    return "\n".join(ds.notes)


class TestSplitFolders:
    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ("training_set", "test_set"),
            ("seg_train", "seg_test"),
            ("train_images", "val_images"),
            ("trainingData", "holdout"),
            ("Train2017", "dev2017"),
            ("flowers-train", "flowers-hold-out"),
            ("trainset", "eval"),
        ],
    )
    def test_split_words_anywhere_in_a_name(self, tmp_path: Path, train: str, test: str) -> None:
        folder(tmp_path / train, "cat", "dog")
        folder(tmp_path / test, "cat", "dog", count=3)
        folder(tmp_path / "masks", "cat", count=1)
        ds = load_dataset(OWN, tmp_path)
        assert ds.classes == ("cat", "dog")
        assert (len(ds.train_labels), len(ds.test_labels)) == (16, 6)
        assert "not read: masks/" in said(ds)

    def test_classes_that_are_called_like_splits(self, tmp_path: Path) -> None:
        ds = load_dataset(OWN, folder(tmp_path, "freight_train", "steam_train", "test_tube"))
        assert ds.classes == ("freight_train", "steam_train", "test_tube")

    @pytest.mark.parametrize(
        ("classes", "why"),
        [
            (
                ["train_cat", "train_dog", "test_cat", "test_dog"],
                "test_cat/ and train_cat/ in .* in several splits",
            ),
            (["cat-val", "dog-val", "cat-training"], "cat-training/ and cat-val/ in"),
            (["trainA", "trainB", "testA"], "testA/ and trainA/"),
            (["fold1", "fold2", "Fold_3"], "Fold_3/, fold1/, fold2/ in .* look like folds"),
        ],
    )
    def test_classes_of_a_split(self, tmp_path: Path, classes: list[str], why: str) -> None:
        refused(why, folder(tmp_path, *classes))

    def test_splits_deep_in_a_class(self, tmp_path: Path) -> None:
        for name in ("cat", "dog"):
            folder(tmp_path / name / "v1", "train", "test")
        refused("cat holds the splits test, train", tmp_path)

    @pytest.mark.parametrize("above", ["images", "data", "all"])
    def test_a_folder_more_in_a_split(self, tmp_path: Path, above: str) -> None:
        folder(tmp_path / "train" / above, "cat", "dog")
        folder(tmp_path / "test" / above, "cat", "dog", count=3)
        ds = load_dataset(OWN, tmp_path)
        assert (ds.classes, len(ds.train_labels), len(ds.test_labels)) == (("cat", "dog"), 16, 6)

    def test_a_class_that_is_called_like_such_a_folder(self, tmp_path: Path) -> None:
        folder(tmp_path / "train", "all", "some")
        folder(tmp_path / "test" / "all", "left", "right")
        assert torch.bincount(load_dataset(OWN, tmp_path).test_labels).tolist() == [16]

    def test_train_beside_other_classes(self, tmp_path: Path) -> None:
        for name, inner in (("train", ("steam", "metro")), ("plane", ("jet", "prop"))):
            folder(tmp_path / name, *inner)
        error = refused("train/ in .* is the training split, or a class beside plane/", tmp_path)
        assert "rename train/" in str(error.hint)

    def test_what_systems_leave_behind(self, tmp_path: Path) -> None:
        folder(tmp_path, "cat", "dog", "@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information")
        write(tmp_path / "cat" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.png")
        ds = load_dataset(OWN, tmp_path)
        assert (ds.classes, len(ds.train_labels) + len(ds.test_labels)) == (("cat", "dog"), 16)

    def test_several_folders_for_one_split(self, tmp_path: Path) -> None:
        folder(tmp_path / "train_1", "cat", "dog")
        folder(tmp_path / "train_2", "cat", "dog")
        refused("several folders for one split: train_1, train_2", tmp_path)

    def test_a_folder_in_each_class_is_no_split(self, tmp_path: Path) -> None:
        for name in ("n01", "n02"):  # as Tiny ImageNet has them
            for number in range(8):
                write(tmp_path / "train" / name / "images" / f"{number}.png")
        assert load_dataset(OWN, tmp_path).classes == ("n01", "n02")

    def test_a_home_inside_the_data_is_no_class(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "a", "b", "pcdarts-home")
        assert load_dataset(OWN, root).classes == ("a", "b")

    def test_loose_images_are_named(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "a", "b")
        write(root / "loose.png")
        assert "1 images directly in" in said(load_dataset(OWN, root))


class TestNames:
    def test_look_alikes_are_refused_with_their_difference(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "caf\u00e9", "cafe\u0301")
        error = refused("look alike", root)
        assert r"'cafe\u0301'" in str(error)
        assert r"'caf\xe9'" in str(error)

    def test_a_class_of_the_test_part_that_differs_unseen(self, tmp_path: Path) -> None:
        folder(tmp_path / "train", "cat", "dog")
        folder(tmp_path / "test", "cat ", "dog")
        refused(r"train/ has not: 'cat ' \(not 'cat'\)", tmp_path)
        shutil.move(tmp_path / "test" / "cat ", tmp_path / "test" / "Dog")
        refused(r"'Dog' \(not 'dog'\)", tmp_path)

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "dog", os.fsdecode(b"caf\xe9"))
        error = refused(r"class folder b'caf\\xe9', whose name is not UTF-8", root)
        assert "convmv" in str(error.hint)

    def test_capital_letters_alone(self, tmp_path: Path) -> None:
        assert "capital letters alone: Cat, cat" in said(load_dataset(OWN, folder(tmp_path, "Cat", "cat")))

    def test_texts_as_labels(self, tmp_path: Path) -> None:
        table(tmp_path / "train.parquet", ["caf\u00e9", "tea"] * 8)
        table(tmp_path / "test.parquet", ["cafe\u0301", "tea"])
        ds = load_dataset(OWN, tmp_path)
        assert ds.test_labels.tolist() == [0, 1]


class TestWhatIsLeftOut:
    def test_a_class_of_files_that_are_not_read(self, tmp_path: Path) -> None:
        folder(tmp_path, "a")
        for number in range(3):
            write(tmp_path / "b" / f"{number}.nef", b"II*\0")
        refused(r"b holds no images that can be read, but 3 \.nef \(save them as PNG or JPEG\)", tmp_path)

    def test_formats_by_content(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "a", "b", count=4)
        for number in range(4):
            write(root / "a" / f"{number}.HEIC", save(noise(), "JPEG"))
        assert "4 files whose suffix does not say so are images" in said(load_dataset(OWN, root))
        unread = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
        write(root / "b" / "IMG_1", unread)
        write(root / "b" / "IMG_2.jpg", unread)
        told = said(load_dataset(OWN, root))
        assert "1 .heic (pip install pillow-heif)" in told
        assert (
            "IMG_2.jpg: a HEIF image, which this installation does not read: pip install pillow-heif" in told
        )
        write(root / "b" / "IMG_2.jpg", b"\x89PNG\r\n\x1a\n" + bytes(9))
        assert "IMG_2.jpg: begins as PNG, but is damaged" in said(load_dataset(OWN, root))

    def test_doctor_names_them_too(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "a", "b")
        write(root / "a" / "x.mp4", b"")
        assert "1 .mp4" in list(check_images(None, root))[-1].finding


class TestSamples:
    def test_all_pixels_equal(self, tmp_path: Path) -> None:
        for number in range(16):
            write(tmp_path / "ab"[number % 2] / f"{number}.png", save(np.full((8, 8, 3), 7, np.uint8)))
        assert "all pixels of" in said(load_dataset(OWN, tmp_path))

    def test_a_channel_of_one_level(self, tmp_path: Path) -> None:
        for number in range(16):
            pixels = noise()
            pixels[..., 1] = 9
            write(tmp_path / "ab"[number % 2] / f"{number}.png", save(pixels))
        assert "the channel green has one level" in said(load_dataset(OWN, tmp_path))

    def test_samples_that_cannot_be_scaled(self, tmp_path: Path) -> None:
        for number in range(16):
            write(tmp_path / "ab"[number % 2] / f"{number}.png", png16(np.full((8, 8, 1), 9, "u2")))
        refused("are equal .9.: they cannot be scaled", tmp_path)
        write(tmp_path / "a" / "x.tif", tiff(np.ones((8, 8, 1), "f4")))
        refused("no one range scales alike", tmp_path)

    def test_a_few_far_samples(self, tmp_path: Path) -> None:
        for number in range(40):
            samples = RANDOM.integers(0, 4096, (16, 16, 1)).astype("u2")
            samples[0, 0] = 65535 if number == 3 else 0
            write(tmp_path / "ab"[number % 2] / f"{number}.png", png16(samples))
        assert "a few samples are far from the others: data.sample_range: [0, 4" in said(
            load_dataset(OWN, tmp_path)
        )

    def test_a_border_that_stretches_the_range(self, tmp_path: Path) -> None:
        for number in range(16):
            samples = RANDOM.integers(0, 4096, (16, 16, 1)).astype("u2")
            samples[0, :3] = 65535
            write(tmp_path / "ab"[number % 2] / f"{number}.png", png16(samples))
        assert "98.0% of the pixels lie within 17 of 256 levels" in said(load_dataset(OWN, tmp_path))

    def test_streamed_images_are_converted_alike(self, tmp_path: Path) -> None:
        for number in range(16):
            write(
                tmp_path / "ab"[number % 2] / f"{number}.png",
                png16(RANDOM.integers(0, 999, (8, 8, 3)).astype("u2")),
            )
        small = load_dataset(OWN, tmp_path)
        large = load_dataset(OWN.model_copy(update={"memory_limit_gb": 1e-7}), tmp_path)
        assert not isinstance(large.train_images, Tensor)
        assert large.conversion == small.conversion
        assert large.mean == small.mean

    def test_a_cached_set_keeps_its_conversion(self, tmp_path: Path) -> None:
        for number in range(16):
            write(
                tmp_path / "set" / "ab"[number % 2] / f"{number}.png",
                png16(RANDOM.integers(0, 999, (8, 8, 1)).astype("u2")),
            )
        first, second = (load_dataset(OWN, tmp_path / "set", cache_dir=tmp_path / "cache") for _ in range(2))
        assert first.conversion == second.conversion
        assert first.conversion.sample_range is not None


class TestCache:
    def test_another_set_with_the_same_names_sizes_and_dates(self, tmp_path: Path) -> None:
        for name, level in (("one", 10), ("two", 200)):
            for number in range(16):
                path = write(
                    tmp_path / name / "set" / "ab"[number % 2] / f"{number}.bmp",
                    save(np.full((8, 8, 3), level + number, np.uint8), "BMP"),
                )
                os.utime(path, (1e9, 1e9))
        cache = tmp_path / "cache"
        first, second = (
            load_dataset(OWN, tmp_path / name / "set", cache_dir=cache) for name in ("one", "two")
        )
        assert first.digest != second.digest
        # the same place, names, sizes and dates, as where an archive is unpacked over another
        shutil.rmtree(tmp_path / "one")
        shutil.move(tmp_path / "two", tmp_path / "one")
        assert load_dataset(OWN, tmp_path / "one" / "set", cache_dir=cache).digest == second.digest


class TestDownload:
    def test_nothing_is_fetched_into_a_folder_of_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("the network was asked")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        write(tmp_path / "notes.txt", b"mine")
        for name in ("cifar10", "cifar100", "fashion_mnist"):
            data = DataConfig(dataset=name)  # type: ignore[arg-type]
            refused("holds neither images nor torchvision's files", tmp_path, data)
            space = load_space("cifar10").model_copy(update={"data": data})
            with pytest.raises(UserError, match="neither images nor"):
                load_planned_images(space, tmp_path, tmp_path / "home")
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
        assert list(check_images("cifar10", tmp_path))[-1].status == "fail"

    def test_an_empty_folder_is_filled_after_saying_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("Network is unreachable")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        refused("could not be downloaded", tmp_path, DataConfig(dataset="cifar10"))
        assert f"cifar10 is not in {tmp_path}: it is fetched from the network" in capsys.readouterr().err


def table(path: Path, labels: list[Any], metadata: dict[str, str] | None = None, **columns: Any) -> Path:
    images = [{"bytes": save(noise()), "path": None} for _ in labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"image": images, "label": labels} | columns).replace_schema_metadata(metadata), path
    )
    return path


class TestParquet:
    @pytest.mark.parametrize(
        "names",
        [
            '["cat", "dog"]',
            "cat,dog",
            "cat\ndog",
            '{"0": "cat", "1": "dog"}',
            '{"dog": 1, "cat": 0}',
            ' ["cat","dog"] ',
        ],
    )
    @pytest.mark.parametrize("key", ["class_names", "id2label"])
    def test_forms_of_class_names(self, tmp_path: Path, names: str, key: str) -> None:
        path = table(tmp_path / "x.parquet", [0, 1] * 8, {key: names})
        assert load_dataset(OWN, path).classes == ("cat", "dog")

    @pytest.mark.parametrize(
        ("metadata", "why"),
        [
            ({"class_names": "cat,cat"}, "'cat' twice"),
            ({"class_names": '["cat", "cat"]'}, "'cat' twice"),
            ({"class_names": '["cat", "cat\u200b"]'}, "look alike"),
            ({"class_names": '{"0": "cat", "2": "dog"}'}, "lists no names"),
            ({"class_names": "[cat"}, "lists no names"),
            (
                {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "a"]}}}})},
                "'a' twice",
            ),
        ],
    )
    def test_names_that_are_refused(self, tmp_path: Path, metadata: dict[str, str], why: str) -> None:
        refused(why, table(tmp_path / "x.parquet", [0, 1] * 8, metadata))

    def test_a_path_out_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        write(tmp_path / "secret.png")
        rows = [{"bytes": None, "path": "../secret.png"}] * 16
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        (tmp_path / "set").mkdir()
        pq.write_table(
            pa.table({"image": pa.array(rows, kind), "label": [0, 1] * 8}), tmp_path / "set" / "train.parquet"
        )
        refused(r"16 of the 16 training images .* row 0: ../secret.png is outside", tmp_path / "set")

    def test_a_path_to_nothing_is_named(self, tmp_path: Path) -> None:
        rows = [{"bytes": None, "path": "images/7.png"}] * 16
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(
            pa.table({"image": pa.array(rows, kind), "label": [0, 1] * 8}), tmp_path / "train.parquet"
        )
        refused("images/7.png: No such file", tmp_path)

    def test_a_cache_follows_the_images_that_are_named(self, tmp_path: Path) -> None:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [{"bytes": None, "path": f"images/{number}.png"} for number in range(16)]
        found = pa.table({"image": pa.array(rows, kind), "label": [0, 1] * 8})
        for number in range(16):
            write(tmp_path / "set" / "images" / f"{number}.png")
        pq.write_table(found, tmp_path / "set" / "train.parquet")
        before = load_dataset(OWN, tmp_path / "set", cache_dir=tmp_path / "cache")
        assert "images/ beside the parquet files" in said(before)
        for number in range(16):
            write(tmp_path / "set" / "images" / f"{number}.png")
        after = load_dataset(OWN, tmp_path / "set", cache_dir=tmp_path / "cache")
        assert before.digest != after.digest
        assert isinstance(after.train_images, Tensor)
        assert not torch.equal(torch.as_tensor(before.train_images), after.train_images)

    def test_pickled_names_are_neither_opened_nor_taken(self, tmp_path: Path) -> None:
        for protocol in range(6):
            for value in (["cat", "dog"], {"cat": 0, "dog": 1}, ("cat", "dog")):
                path = table(tmp_path / "x.parquet", [0, 1] * 8)
                metadata = {"class_names": pickle.dumps(value, protocol)}
                pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
                refused("lists no names", path)

    def test_names_that_the_test_file_alone_has(self, tmp_path: Path) -> None:
        table(tmp_path / "train.parquet", [0, 1] * 8)
        table(tmp_path / "test.parquet", [0, 1] * 2, {"class_names": "cat,dog"})
        assert load_dataset(OWN, tmp_path).classes == ("cat", "dog")

    def test_empty_labels_are_missing(self, tmp_path: Path) -> None:
        table(tmp_path / "train.parquet", ["cat", "dog", "", " "] * 8)
        refused("16 labels in .* are missing or empty", tmp_path)
        table(tmp_path / "train.parquet", ["cat", "dog"] * 8)
        table(tmp_path / "test.parquet", [""] * 4)
        assert "the images of the test split have no labels" in said(load_dataset(OWN, tmp_path))

    def test_a_shard_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        for number in (0, 2):
            table(tmp_path / "data" / f"train-{number:05}-of-00003.parquet", [0, 1] * 8)
        assert "2 of 3 files of train are here" in said(load_dataset(OWN, tmp_path))

    def test_views_and_capital_suffixes(self, tmp_path: Path) -> None:
        images, kind = [save(noise()) for _ in range(16)], pa.string_view()
        labels = pa.array(["cat", "dog"] * 8, kind)
        found = pa.table({"image": pa.array(images, pa.binary_view()), "label": labels})
        pq.write_table(found, tmp_path / "TRAIN.PARQUET")
        assert load_dataset(OWN, tmp_path).classes == ("cat", "dog")

    def test_parquet_files_beside_class_folders(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "cat", "dog")
        pq.write_table(pa.table({"id": [1], "weather": ["rain"]}), root / "metadata.parquet")
        ds = load_dataset(OWN, root)
        assert ds.classes == ("cat", "dog")
        assert "parquet files without images are not read: metadata.parquet" in said(ds)
        table(root / "metadata.parquet", ["bird", "fish"] * 8)
        ds = load_dataset(OWN, root)
        assert ds.classes == ("bird", "fish")
        assert "cat/, dog/ beside the parquet files" in said(ds)

    def test_two_configurations_are_two_sets(self, tmp_path: Path) -> None:
        for name in ("small", "large"):
            table(tmp_path / name / "train" / "0000.parquet", [0, 1] * 8)
        refused("several data sets: large, small", tmp_path)


def part(images: Tensor, labels: list[int] | None = None) -> Part:
    return Part(images, torch.tensor(labels if labels is not None else [i % 2 for i in range(len(images))]))


def pictures(count: int, side: int = 16) -> Tensor:
    """Smooth random pictures, as photographs are."""
    generator = torch.Generator().manual_seed(count)
    small = torch.rand(count, 3, 4, 4, generator=generator) * 255
    return torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 255).to(torch.uint8)


class TestDuplicates:
    def settle(self, train: Part, test: Part | None, what: str = "keep", near: bool = True) -> Any:
        data = OWN.model_copy(update={"duplicates": what})
        return settle_duplicates(train, test, data, what="the set", near=near)

    def test_none(self) -> None:
        train, test, notes = self.settle(part(pictures(200)), part(pictures(50)))
        assert not notes
        assert len(train.twins.unique()) == 200
        assert len(test.twins.unique()) == 50

    def test_equal_ones_are_said_and_dropped(self) -> None:
        images = pictures(40)
        train = part(torch.cat([images, images[:4]]), [i % 2 for i in range(40)] + [1, 1, 0, 0])
        test = part(torch.cat([images[10:13], pictures(7)]))
        _, _, (note,) = self.settle(train, test)
        assert "14 of 54 images occur more than once (7 different ones)" in note
        assert "3 test images are also training images" in note
        assert "2 images have different labels in different places" in note
        smaller, same, (note,) = self.settle(train, test, "drop")
        assert (len(smaller.labels), len(same.labels)) == (37, 10)
        assert "dropped: 7 training images and 0 test images" in note
        assert not self.settle(smaller, same)[2]
        with pytest.raises(UserError, match="14 of 54 images occur") as caught:
            self.settle(train, test, "refuse")
        assert "data.duplicates=drop" in str(caught.value.hint)

    def test_nearly_equal_ones(self) -> None:
        images = pictures(60)
        again = (
            images[:5].float() * 0.98
            + torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2
        ).clamp(0, 255)
        train = part(torch.cat([images, again.to(torch.uint8)]))
        _, _, (note,) = self.settle(train, None)
        assert "10 of 65 images occur more than once (5 different ones, 5 pairs nearly equal)" in note
        assert not self.settle(train, None, near=False)[2]

    def test_too_few_are_left(self, tmp_path: Path) -> None:
        for number in range(8):
            content = save(noise())
            for name in ("train/a", "train/b", "test/a"):
                write(tmp_path / name / f"{number}.png", content)
        refused(
            "without its duplicates, is too small", tmp_path, OWN.model_copy(update={"duplicates": "drop"})
        )

    def test_digits_are_all_different(self) -> None:
        ds = load_dataset(DataConfig(dataset="digits"))
        assert isinstance(ds.train_images, Tensor)
        assert not self.settle(Part(ds.train_images, ds.train_labels), None)[2]

    def test_flat_images_are_only_equal_where_they_are(self) -> None:
        levels = torch.arange(60, 80, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)
        assert not self.settle(part(levels.contiguous()), None)[2]

    def test_streamed_files_are_compared_by_their_bytes(self, tmp_path: Path) -> None:
        root = folder(tmp_path, "a", "b")
        for number in range(3):
            shutil.copy(root / "a" / f"{number}.png", root / "b" / f"again{number}.png")
        for limit in (8.0, 1e-7):
            ds = load_dataset(OWN.model_copy(update={"memory_limit_gb": limit}), root)
            assert "6 of 19 images occur more than once" in said(ds)
            assert "3 images have different labels" in said(ds)

    def test_how_many_held_out_images_are_trained_on(self) -> None:
        images = pictures(60)
        train, test, notes = self.settle(part(torch.cat([images, images])), part(pictures(10)))
        ds = make_dataset("x", ("a", "b"), train, test, OWN, source="made", notes=notes)
        splits = split_dataset(ds, OWN)
        twins = ds.twins
        assert twins is not None
        trained = set(twins[torch.cat([splits.weights, splits.alphas])].tolist())
        both = sum(number in trained for number in twins[splits.held_out].tolist())
        assert both > 0
        assert f"{both} of the {len(splits.held_out)} held-out images are also trained on" in " ".join(
            splits.notes
        )


class TestGroups:
    def test_a_pattern_of_file_names(self, tmp_path: Path) -> None:
        root = tmp_path / "set"
        for patient in range(40):
            for shot in range(1 + patient % 4):
                write(root / "ab"[patient % 2] / f"patient{patient}_{shot}.png")
        data = OWN.model_copy(update={"group": r"(patient\d+)_"})
        load_dataset(data, root, cache_dir=tmp_path / "cache")
        ds = load_dataset(data, root, cache_dir=tmp_path / "cache")
        assert "data.group: 100 training images in 40 groups" in said(ds)
        groups = ds.groups
        assert groups is not None
        splits = split_dataset(ds, data)
        parts = [set(groups[rows].tolist()) for rows in (splits.weights, splits.alphas, splits.held_out)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(groups.unique())
        assert len(groups.unique()) < 40, "whole groups were set aside as the test split"
        assert 10 <= len(ds.test_labels) <= 30
        assert abs(len(splits.weights) - len(splits.alphas)) <= 8
        refused("fits 0 of 100 names", root, OWN.model_copy(update={"group": r"(scan\d+)"}))
        refused("has no column 'patient'", root, OWN.model_copy(update={"group": "patient"}))

    def test_a_column(self, tmp_path: Path) -> None:
        path = table(tmp_path / "x.parquet", [0, 1] * 30, patient=[f"p{i // 6}" for i in range(60)])
        data = OWN.model_copy(update={"group": "patient"})
        ds = load_dataset(data, path)
        assert "60 training images in 10 groups" in said(ds)
        assert len(ds.test_labels) % 6 == 0

    def test_a_column_with_holes(self, tmp_path: Path) -> None:
        path = table(tmp_path / "x.parquet", [0, 1] * 8, patient=["p1", None] * 8)
        refused("8 of 16 rows of .* have nothing", path, OWN.model_copy(update={"group": "patient"}))

    def test_groups_too_large_to_set_one_aside(self, tmp_path: Path) -> None:
        path = table(tmp_path / "train.parquet", [0, 1] * 12, patient=[f"p{i // 12}" for i in range(24)])
        data = OWN.model_copy(update={"group": "patient"})
        error = refused("no whole group to set aside .* 2 groups have up to 12 of 24", path, data)
        assert "smaller groups" in str(error.hint)
        table(path, [0, 1] * 12, patient=[f"p{i // 8}" for i in range(24)])
        table(tmp_path / "test.parquet", [0, 1] * 4, patient=["q"] * 8)
        with pytest.raises(UserError, match="is left for the part 'held_out'"):
            split_dataset(load_dataset(data, tmp_path), data)

    def test_groups_on_both_sides_of_a_split_that_the_set_brings(self, tmp_path: Path) -> None:
        for part_name in ("train", "test"):
            for number in range(16):
                write(tmp_path / part_name / "ab"[number % 2] / f"p{number // 2}_{number}.png")
        ds = load_dataset(OWN.model_copy(update={"group": r"p(\d+)_"}), tmp_path)
        assert "8 groups are in the training and in the test images" in said(ds)

    @pytest.mark.parametrize("pattern", ["(a)(b)", "no group_", "(open"])
    def test_patterns_that_are_refused(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="groups; it must have one|no regular expression"):
            DataConfig(group=pattern)

    def test_parts_of_whole_groups_are_nearly_in_proportion(self) -> None:
        generator = torch.Generator().manual_seed(3)
        groups = torch.randint(200, (2000,), generator=generator)
        labels = (groups % 4 + torch.randint(2, (2000,), generator=generator)) % 5
        rows, rest = grouped_part(labels, groups, 0.2, generator)
        assert not set(groups[rows].tolist()) & set(groups[rest].tolist())
        assert torch.cat([rows, rest]).sort().values.tolist() == list(range(2000))
        share = torch.bincount(labels[rows], minlength=5) / torch.bincount(labels, minlength=5)
        assert (share - 0.2).abs().max() < 0.06


def test_frames_are_told(tmp_path: Path) -> None:
    root = folder(tmp_path, "a", "b")
    frames = [Image.fromarray(noise()) for _ in range(3)]
    write(root / "a" / "x.gif", save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert "1 files hold several frames" in said(load_dataset(OWN, root))


def test_a_process_that_reads_no_utf8_is_named(tmp_path: Path) -> None:
    for name in ("größe", "klein"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "set" / name / f"{number}.png")
    script = "import sys; from pcdarts_tune.cli import run; sys.exit(run(sys.argv[1:]))"
    words = [
        "sweep",
        "--space",
        "quickstart",
        "--set",
        "data.dataset=folder",
        "--data",
        "set",
        "--plan",
        "--home",
        "home",
    ]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=tmp_path, env={**os.environ, **ascii_only}, capture_output=True
    )  # fmt: skip
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert r"holds the class folder 'gr\xf6\xdfe', and this process reads names as ascii" in said
    assert "PYTHONUTF8=1" in said
