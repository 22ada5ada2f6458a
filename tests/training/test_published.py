"""`search --from`: a supernet's weights from a file of another repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pcdarts_tune.cli import run
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.errors import UserError
from pcdarts_tune.training.published import PublishedWeights

SIZES: dict[str, Any] = {"channels": 4, "layers": 3, "k": 2, "nodes": 2, "num_classes": 10, "in_channels": 1}
SETTINGS = (
    "data.test_fraction=0.8",
    "supernet.channels=4",
    "supernet.layers=3",
    "supernet.nodes=2",
    "supernet.k=2",
    "search.epochs=1",
    "search.arch_warmup_epochs=0",
    "search.batch_size=64",
)


@pytest.fixture
def net() -> Supernet:
    torch.manual_seed(3)
    made = Supernet(**SIZES)
    with torch.no_grad():
        for parameter in made.arch_parameters():
            parameter.normal_()
    return made


def architecture(net: Supernet) -> dict[str, torch.Tensor]:
    """As the published code calls it."""
    return {
        name.replace("_", "s_", 1): p.detach()
        for name, p in net.named_parameters()
        if name[:4] in ("alph", "beta")
    }


def forms(net: Supernet) -> dict[str, Any]:
    """How repositories save it."""
    state, arch = net.published_state(), architecture(net)
    listed = [nn.Parameter(value) for value in net.arch_parameters()]
    return {
        "flat": {**state, **arch},
        "beside": {"epoch": 3, "state_dict": state, **arch},
        "parallel": {"model": {f"module.{name}": value for name, value in state.items()}, "alpha": listed},
        "within": {"state_dict": {**state, **arch}},
    }


@pytest.mark.parametrize("form", ["flat", "beside", "parallel", "within"])
def test_every_form_brings_weights_alphas_and_betas(form: str, net: Supernet, tmp_path: Path) -> None:
    torch.save(forms(net)[form], tmp_path / "weights.pt")
    other = Supernet(**SIZES)
    weights = PublishedWeights.read(tmp_path / "weights.pt")
    weights.load_into(other)
    assert weights.has_architecture
    for mine, its in zip(other.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(mine, its)


def test_weights_that_fit_another_supernet_are_named_and_nothing_is_loaded(
    net: Supernet, tmp_path: Path
) -> None:
    state, arch = net.published_state(), architecture(net)
    first = "cells.0.preprocess0.op.1.weight"
    for content, said in (
        ({**state, "stem.9.weight": torch.zeros(1)}, "unknown: stem.9.weight"),
        ({name: value for name, value in state.items() if name != first}, f"missing: {first}"),
        ({**state, first: state[first][:1]}, f"{first}: shape .*, expected"),
        (
            {**state, **arch, "alphas_normal": arch["alphas_normal"][:3]},
            "alpha_normal: shape .3, 8., expected .5, 8.",
        ),
        ({**state, "alphas_normal": arch["alphas_normal"]}, "missing: alpha_reduce"),
        ({"state_dict": state, "alpha": list(arch.values())[:2]}, "lists 2 tensors"),
    ):
        torch.save(content, tmp_path / "weights.pt")
        other = Supernet(**SIZES)
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(UserError, match=said):
            PublishedWeights.read(tmp_path / "weights.pt").load_into(other)
        assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_files_that_hold_no_tensors_are_refused_and_no_code_in_them_is_run(
    net: Supernet, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    for content, said in (
        (net, "is not a file of tensors"),
        ([1], "a list"),
        ({"epoch": 3}, "holds no weights"),
    ):
        torch.save(content, path)
        with pytest.raises(UserError, match=said):
            PublishedWeights.read(path)
    for data in (b"", b"no weights", path.read_bytes()[:100]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is not a file of tensors"):
            PublishedWeights.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        PublishedWeights.read(tmp_path / "none.pt")


def test_a_cell_is_derived_and_a_search_goes_on_from_them(
    net: Supernet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(forms(net)["flat"], path)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = [
        "search",
        "--space",
        "quickstart",
        *settings,
        "--device",
        "cpu",
        "--home",
        str(tmp_path),
        "--json",
    ]
    assert run([*words, "--from", str(path), "--derive-only"]) == 0
    derived = json.loads(capsys.readouterr().out)
    assert derived["genotype"] == net.genotype().to_dict() and derived["epochs"] == 0
    found = []
    for more in (["--from", str(path)], []):
        assert run([*words, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["epochs"] == 1
    assert found[0]["metrics"]["search/loss_train"] != found[1]["metrics"]["search/loss_train"]
    torch.save(net.published_state(), path)
    for more, said in (
        (["--from", str(path), "--derive-only"], "holds no alphas"),
        (["--derive-only"], "--from FILE"),
        (["--from", str(path), "--seeds", "2"], "--seeds begins anew"),
        (["--from", str(path), "--track"], "--track records"),
        (["--from", str(path), "--set", "search.method=random"], "takes no weights"),
    ):
        assert run([*words, *more]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert run([word.replace("supernet.k=2", "supernet.k=4") for word in words] + ["--from", str(path)]) == 2
    assert "fit another supernet" in " ".join(capsys.readouterr().err.split())
