"""A supernet's weights from a file of another repository, for `search --from`.

    weights = PublishedWeights.read(Path("weights.pt"))
    weights.load_into(supernet)

The file is what `torch.save` wrote of a state dict (names of the published code), or of a dict that holds one as `state_dict`
or `model`. Alphas and betas, which the published code leaves out of its state dict, may stand in it, beside it, or beside it as
a list (`alpha`, `arch_parameters`). No code in it is run: `torch.load(weights_only=True)` alone reads it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.core.supernet import Supernet

STATES, LISTS = ("state_dict", "model"), ("alpha", "arch_parameters")
_ARCHITECTURE = re.compile(r"(?:module\.)?(alpha|beta)s?_(\w+)")


@dataclass(frozen=True)
class PublishedWeights:
    """Weights and what is known of the architecture.

    Attributes:
        name: of the file, for messages.
        digest: 16 hexadecimal digits of its bytes.
        state: weights and running statistics by their published names.
        architecture: alphas and betas by `alpha_<kind>`, `beta_<kind>`.
        listed: the same in the order of `Supernet.arch_parameters`, where the file has a list; else empty.
    """

    name: str
    digest: str
    state: Mapping[str, Tensor]
    architecture: Mapping[str, Tensor]
    listed: tuple[Tensor, ...] = ()

    @classmethod
    def read(cls, path: Path) -> PublishedWeights:
        """Read a file.

        Raises:
            UserError: it is missing, is no such file, or holds no weights.
        """
        try:
            data = path.read_bytes()
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror or error}",
                hint="--from takes a file that torch.save wrote",
            ) from error
        except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"{path.name} is not a file of tensors: {reason}",
                hint="save it by torch.save(model.state_dict(), FILE); a pickled model is not read: that would run its code",
            ) from error
        if not isinstance(content, Mapping):
            raise UserError(
                f"{path.name} holds a {type(content).__name__}, not a state dict",
                hint="save it by torch.save(model.state_dict(), FILE)",
            )
        inner = next((content[name] for name in STATES if isinstance(content.get(name), Mapping)), content)
        state, architecture = {}, {}
        for name, value in {**_tensors(content), **_tensors(inner)}.items():
            found = _ARCHITECTURE.fullmatch(name)
            if found is not None:
                architecture[f"{found[1]}_{found[2]}"] = value
            elif name in inner:
                state[name] = value
        if not state:
            raise UserError(
                f"{path.name} holds no weights", hint=f"its entries: {', '.join(map(str, content))[:200]}"
            )
        lists = (content[name] for name in LISTS if isinstance(content.get(name), list | tuple))
        listed = tuple(value.detach() for value in next(lists, ()) if isinstance(value, Tensor))
        return cls(path.name, hashlib.sha256(data).hexdigest()[:16], state, architecture, listed)

    @property
    def has_architecture(self) -> bool:
        """Whether it has alphas."""
        return bool(self.architecture or self.listed)

    def load_into(self, supernet: Supernet) -> None:
        """Put weights, and alphas and betas where there are some, into a supernet.

        Raises:
            UserError: they fit another supernet, with what is missing, unknown or of another shape; nothing is loaded then.
        """
        hint = "set supernet.channels, layers, k, nodes, stem and primitives of the space as they were for these weights"
        wanted = {name: value for name, value in supernet.named_parameters() if _ARCHITECTURE.fullmatch(name)}
        given = dict(self.architecture)
        if not given and self.listed:
            if len(self.listed) != len(wanted):
                raise UserError(
                    f"{self.name} lists {len(self.listed)} tensors of alphas and betas; this supernet has {', '.join(wanted)}",
                    hint="set supernet.edge_normalization as it was for these weights",
                )
            given = dict(zip(wanted, self.listed, strict=True))
        problems = [f"unknown: {name}" for name in given if name not in wanted]
        problems += [f"missing: {name}" for name in wanted if given and name not in given]
        problems += [
            f"{name}: shape {tuple(value.shape)}, expected {tuple(wanted[name].shape)}"
            for name, value in given.items()
            if name in wanted and value.shape != wanted[name].shape
        ]
        if problems:
            raise UserError(
                f"{self.name}: these alphas fit another supernet:\n  " + "\n  ".join(problems), hint=hint
            )
        try:
            supernet.load_published_state(self.state)
        except ValueError as error:
            raise UserError(f"{self.name}: {error}", hint=hint) from error
        with torch.no_grad():
            for name, value in given.items():
                wanted[name].copy_(value)


def _tensors(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value.detach()
        for name, value in values.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
