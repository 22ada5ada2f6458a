"""The code that MLflow keeps with a logged model (models from code: a file, no pickle).

The model takes uint8 images (N, H, W, C) of one size, as they come from a file, with opacity as one channel more where there
is some; one that was trained on more than 8 bits takes float32 samples. All that is done to a file happens here.
It answers float32 probabilities (N, K). Where pcdarts-tune is not installed, the copy that comes with the model serves.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

if TYPE_CHECKING:
    from pcdarts_tune.models import LoadedModel

# MLflow asks for type hints of its own kinds; none of them means an array, and the signature says it all. It also
# undoes filters, so what it says is recorded and forgotten.
with warnings.catch_warnings(record=True):

    class ImageClassifier(PythonModel):
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
            # a model that MLflow loads brings code in any case: this file
            self.model = load_model(Path(context.artifacts["model"]), run_plugins=True)

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return self.model.predict_array(model_input)


set_model(ImageClassifier())
