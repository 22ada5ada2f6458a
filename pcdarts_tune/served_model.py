"""The code that MLflow keeps with a logged model (models from code: a file, no pickle).

The model takes uint8 images (N, H, W, C) of one size, as they come from a file; resizing and normalising happen here.
It answers float32 probabilities (N, K). Where pcdarts-tune is not installed, the copy that travels with the model serves.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

if TYPE_CHECKING:
    from pcdarts_tune.models import LoadedModel

with warnings.catch_warnings():
    # MLflow asks for type hints of its own kinds; none of them means an array, and the signature says it all
    warnings.simplefilter("ignore")

    class ImageClassifier(PythonModel):  # type: ignore[misc]
        """Probabilities of the classes for a batch of images."""

        model: LoadedModel

        def load_context(self, context: Any) -> None:
            from pathlib import Path

            try:
                from pcdarts_tune.models import load_model
            except ImportError:
                # at the end of the path: an installed pcdarts-tune is never hidden by the copy
                sys.path.append(context.artifacts["code"])
                from pcdarts_tune.models import load_model
            self.model = load_model(Path(context.artifacts["model"]))

        def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
            return self.model.predict_array(model_input)


set_model(ImageClassifier())
