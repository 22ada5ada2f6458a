"""Trained networks by name.

model = load_model("first@champion")
model.predict([Path("digit.png")])[0].class_name
"""

from __future__ import annotations

from pathlib import Path

from pcdarts_tune.api.entering import public
from pcdarts_tune.api.options import DEVICES, one_of
from pcdarts_tune.api.where import Files, find_where
from pcdarts_tune.machine import choose_device
from pcdarts_tune.models.model import LoadedModel
from pcdarts_tune.models.model import load_model as read_model
from pcdarts_tune.sweeps.find import Finder


@public
def load_model(
    model: str | Path,
    *,
    device: str = "auto",
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    plugin: Files = (),
) -> LoadedModel:
    """A trained network, ready to predict: `predict(paths)` classifies files, `predict_array(images)` (N, H, W, C) arrays.

    Args:
        model: a registered model ("name", "name@champion", "name/2"), the folder of a model, an exported safetensors file, or
            the run id of a training that was registered.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        UserError: there is none of that name, or it cannot be read.
    """
    chosen = choose_device(one_of("device", device, DEVICES))
    folder, _ = Finder(find_where(home, tracking_uri, plugin=plugin)).find(str(model), "model").model()
    return read_model(folder, chosen)
