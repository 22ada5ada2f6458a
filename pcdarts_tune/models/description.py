"""What model.json may say, checked before anything is built from it: a file that came from elsewhere may say anything.

check_description(description)                      # raises ValueError
check_weights(tensors, network_on_meta)             # raises ValueError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator
from torch import Tensor, nn

Side = Annotated[int, Field(ge=1, le=4096)]


class Network(BaseModel, strict=True, extra="forbid"):
    """The arguments of `EvaluationNetwork` but for the genotype. The bounds are well above what a search space allows: a
    larger network would fill the memory before anybody could say why."""

    channels: int = Field(ge=1, le=4096)
    layers: int = Field(ge=3, le=256)
    num_classes: int = Field(ge=2, le=100_000)
    in_channels: int = Field(ge=1, le=4)
    stem: Any = None
    auxiliary: Any = None


class Preprocessing(BaseModel, strict=True):
    """What `datasets.read_image` takes; a mean and a standard deviation for each channel."""

    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)]
    channels: int
    resize: Literal["fit", "imagenet"]
    mean: list[FiniteFloat]
    std: list[Annotated[FiniteFloat, Field(gt=0)]]


class Description(BaseModel, strict=True):
    """model.json, but for where the model came from."""

    format: int = Field(ge=1)
    network: Network
    classes: list[str]
    preprocessing: Preprocessing

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        network, images = self.network, self.preprocessing
        if len(self.classes) != network.num_classes:
            raise ValueError(f"classes must be {network.num_classes} names, as network.num_classes says")
        if not images.channels == len(images.mean) == len(images.std) == network.in_channels:
            raise ValueError(
                "preprocessing.channels must be network.in_channels, with a mean and a std for each channel"
            )
        return self


def check_description(description: Any) -> None:
    """Refuse what no `save_model` wrote.

    Raises:
        ValueError: naming the first field that is wrong, and what is legal.
    """
    try:
        Description.model_validate(description)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(["model.json", *map(str, wrong["loc"])])
        raise ValueError(f"{place[:200]}: {wrong['msg']}") from None


def check_weights(tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Refuse weights that are not the network's.

    Args:
        network: built on the meta device, where it takes no memory.

    Raises:
        ValueError: naming the first tensor that lacks, is one too many, or has another shape.
    """
    wanted = network.state_dict()
    lacking, extra = [name for name in wanted if name not in tensors], [n for n in tensors if n not in wanted]
    if lacking or extra:
        what = f"{lacking[0]} lacks" if lacking else f"{extra[0][:80]} is none of this network's"
        raise ValueError(f"the weights are of another network: {what}")
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
            found = f"{tensors[name].dtype} {tuple(tensors[name].shape)}"
            raise ValueError(f"{name} must be {tensor.dtype} {tuple(tensor.shape)}; it is {found}")
