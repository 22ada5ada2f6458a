"""What model.json may say, checked before anything is built from it.

Description.model_validate(read_json(folder / "model.json"))        # pydantic's ValidationError says what is wrong
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, FiniteFloat, model_validator

FORMAT = 1
"""Of model.json; counts up when a reader must know."""

Side = Annotated[int, Field(ge=1, le=4096)]
Level = Annotated[int, Field(ge=0, le=255)]


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
    background: Annotated[list[Level], Field(min_length=3, max_length=3)] | None = None
    sample_range: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)] | None = None
    transparent: bool = False


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
        if images.sample_range is not None and not images.sample_range[0] < images.sample_range[1]:
            raise ValueError("preprocessing.sample_range must be [low, high], with low below high")
        return self
