"""How searches and trainings are executed: precision, compilation, CUDA graphs. Plain values, no PyTorch.

execution = Execution(precision="bf16")
Search(supernet, weights, alphas, **execution.arguments())
digest({"seed": 0, **execution.identity()})     # {} with the defaults: what was kept before still fits
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NAMES_OF_PRECISIONS = ("float32", "bf16", "tf32")
"""Those of core.precision.PRECISIONS, which a test compares: naming them here keeps PyTorch out of --help."""


@dataclass(frozen=True)
class Execution:
    """What is asked for; `Search.execution()` and `Training.execution()` say what came of it.

    Attributes:
        precision: of the forward passes, see core/precision.py; the one thing here that changes results.
        compile: whether torch.compile compiles the network. Off by default: compiling the supernet took over 7 minutes
            on 2 CPU cores, and whether it gains on a GPU has not been measured.
        graphs: "auto" replays steps as CUDA graphs where that can be; True insists; False never does.
    """

    precision: str = "float32"
    compile: bool = False
    graphs: bool | str = "auto"

    def arguments(self) -> dict[str, Any]:
        """As the core takes them, and as JSON; `Execution(**arguments)` gives them back."""
        return asdict(self)

    def identity(self) -> dict[str, str]:
        """What makes results differ from those of the defaults."""
        return {} if self.precision == "float32" else {"precision": self.precision}


DEFAULTS = Execution()


def execution_tags(came_of: Mapping[str, str]) -> dict[str, str]:
    """`Search.execution()` or `Training.execution()` as tags of an MLflow run; the device has its own."""
    return {f"pcdarts.{key}": came_of[key] for key in ("precision", "graphs", "compile")}
