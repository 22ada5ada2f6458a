"""Images and labels by name or from the user's own files, their splits, and batches of them. It imports only the core,
the modules at the package's root and spaces.

    ds = load_dataset(DataConfig(dataset="folder", held_out=0.15), Path("flowers"), cache_dir=home / "cache")

A loader of one's own is one line: `register_dataset("mine", loader)`; see `load.Loader`.
"""

from pcdarts_tune.datasets.batches import make_batches, preprocessing, read_image
from pcdarts_tune.datasets.dataset import DataSet, Images
from pcdarts_tune.datasets.load import load_dataset, register_dataset
from pcdarts_tune.datasets.splits import Splits, split_dataset, training_rows

__all__ = [
    "DataSet",
    "Images",
    "Splits",
    "load_dataset",
    "make_batches",
    "preprocessing",
    "read_image",
    "register_dataset",
    "split_dataset",
    "training_rows",
]
