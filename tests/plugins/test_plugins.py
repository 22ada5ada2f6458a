"""Plug-ins: files and entry points, what they offer, how records of them travel, and what is said when one is lacking."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.plugged import CONV, forget_plugins, install

from pcdarts_tune import plugins
from pcdarts_tune.cli import run
from pcdarts_tune.core.genotype import Genotype, read_genotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.ops import build_operation
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.models.export import export_model
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.spaces.load import load_space, read_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings, run_sweep
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.training.work import Retraining

DATA = {"name": "x", "digest": "x", "source": "x", "profile": ""}
SIZES = {"channels": 4, "layers": 3, "num_classes": 2, "in_channels": 1}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plugins(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_ops.py"
    path.write_text(CONV)
    return path


def cells(operation: str = "own_conv") -> dict[str, Any]:
    pairs = [[operation, 0], ["skip_connect", 1]] * 2
    return {"normal": pairs, "normal_concat": [2, 3], "reduce": pairs, "reduce_concat": [2, 3]}


def test_a_file_runs_once_and_only_when_it_is_asked(tmp_path: Path) -> None:
    path, ran = tmp_path / "noted.py", tmp_path / "ran"
    path.write_text(f"with open({str(ran)!r}, 'a') as f: f.write('x')\n{CONV}")
    plugins.give(path)
    assert load_space("quickstart").name == "quickstart"
    assert not ran.exists()
    assert plugins.knows("operations", "own_conv")
    net = Supernet(4, 3, 2, num_classes=2, in_channels=1, primitives=["none", "own_conv"])
    net(torch.rand(2, 1, 8, 8))[0].sum().backward()
    assert build_operation("own_conv", 4, 2, True)(torch.rand(2, 4, 8, 8)).shape == (2, 4, 4, 4)
    assert ran.read_text() == "x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(:\n", "line 1: invalid syntax"),
        ("\n\nimport no_such_module\noperations = {}", "line 3: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("x = 1", "offers nothing: it has none of the dictionaries operations, datasets"),
        ("operations = [1]", "operations is list, not a dictionary by name"),
        ("operations = {'a b': None}", "'a b' cannot name an operation"),
        ("operations = {'sep_conv_3x3': None}", "there is an operation 'sep_conv_3x3' already"),
    ],
)
def test_a_file_that_cannot_be_a_plugin_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(UserError, match=r"wrong\.py") as raised:
        plugins.give(path)
        plugins.knows("operations", "own_conv")
    assert says in str(raised.value)


def test_what_is_no_operation_is_refused_when_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "number.py").write_text("operations = {'number': 3}")
    plugins.give(tmp_path / "number.py")
    with pytest.raises(ValueError, match=r"'number' is int, not a function of \(channels, stride, affine\)"):
        build_operation("number", 4, 1, True)


def test_two_files_with_one_name_are_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(CONV + "\n# another")
    plugins.give(file)
    plugins.give(other)
    with pytest.raises(UserError, match=r"'own_conv' is in two plug-ins: .*my_ops\.py .* and .*other\.py"):
        plugins.find("operations", "own_conv")


def test_another_version_of_what_has_run_needs_another_process(file: Path) -> None:
    plugins.give(file)
    build_operation("own_conv", 4, 1, True)
    (record,) = plugins.records_of(cells())
    with pytest.raises(UserError, match="which this process runs, and") as raised:
        plugins.declare([record | {"text": CONV + "\n# later", "digest": ""}])
    assert "process of its own" in (raised.value.hint or "")


def test_spaces_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        CONV + "search_spaces = {'own': {'data': {'dataset': 'digits'}, 'supernet': {'primitives': "
        "['none', 'skip_connect', 'own_conv']}}, 'bad': {'seed': -1}, 'number': 3, 'fails': lambda: 1 / 0}"
    )
    give = ["--plugin", str(tmp_path / "mine.py")]
    assert run(["spaces", "own", "--json", *give]) == 0
    assert json.loads(capsys.readouterr().out)["supernet"]["primitives"][2] == "own_conv"
    for name, says in (
        ("bad", "search space bad of a plug-in: seed: -1 is not legal"),
        ("number", "of plug-in mine.py"),
        ("fails", "ZeroDivisionError"),
    ):
        assert run(["spaces", name, *give]) == 2
        assert says in capsys.readouterr().err
    assert run(["spaces", "own"]) == 0, "given once to a process"


def test_the_variable_gives_files_too(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = "supernet.primitives=[none, skip_connect, own_conv]"
    assert run(["spaces", "quickstart", "--set", setting]) == 2
    assert "'own_conv' is no operation" in capsys.readouterr().err
    monkeypatch.setenv("PCDARTS_TUNE_PLUGINS", f"{file}")
    assert run(["spaces", "quickstart", "--set", setting]) == 0


def test_a_sweep_keeps_the_file_and_any_process_knows_it(file: Path, tmp_path: Path) -> None:
    plugins.give(file)
    space = override(load_space("quickstart"), ["supernet.primitives=[none,skip_connect,own_conv]"])
    sweep = create_sweep(tmp_path / "home", "own", space, SweepSettings(), trials=1, data=DATA)
    plain = create_sweep(
        tmp_path / "home", "plain", load_space("quickstart"), SweepSettings(), trials=1, data=DATA
    )
    assert "plugins" not in plain.about
    (record,) = sweep.plugins
    assert record["file"] == "my_ops.py"
    assert record["text"] == CONV
    assert record["provides"] == {"operations": ["own_conv"]}
    assert (tmp_path / "home" / "plugins" / f"{record['digest']}.py").read_text() == CONV
    file.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pcdarts_tune", "status", "own", "--home", str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_sweep_goes_on_with_the_text_that_it_keeps(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins.give(file)
    space = override(load_space("quickstart"), ["supernet.primitives=[none,skip_connect,own_conv]"])
    create_sweep(tmp_path / "home", "own", space, SweepSettings(), trials=1, data=DATA)
    forget_plugins(monkeypatch)
    file.write_text(CONV + "# faster")
    arguments = ["own", "--home", str(tmp_path / "home"), "--plugin", str(file)]
    assert run(["leaderboard", *arguments]) == 0
    sweep = open_sweep(Where(tmp_path / "home"), "own")
    with pytest.raises(UserError, match="'own_conv' is in two plug-ins") as raised:
        run_sweep(sweep, RunSettings())
    assert "leave --plugin away" in (raised.value.hint or "")


def test_a_package_that_is_lacking_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as installed:
        install(tmp_path, installed, "some_ops", CONV, {"operations": ["own_conv = some_ops:Conv"]})
        space = override(load_space("quickstart"), ["supernet.primitives=[none,skip_connect,own_conv]"])
        sweep = create_sweep(tmp_path / "home", "own", space, SweepSettings(), trials=1, data=DATA)
        assert build_operation("own_conv", 4, 1, True)(torch.rand(2, 4, 8, 8)).shape == (2, 4, 8, 8)
    forget_plugins(monkeypatch)
    assert sweep.plugins == [
        {"package": "some-ops", "version": "1.0", "provides": {"operations": ["own_conv"]}}
    ]
    assert run(["leaderboard", "own", "--home", str(tmp_path / "home")]) == 2
    said = capsys.readouterr().err
    assert "operation 'own_conv' comes from package some-ops 1.0, which this process lacks" in said
    assert "install the package" in said


def test_a_package_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "broken_ops", "1 / 0", {"operations": ["broken = broken_ops:Conv"]})
    with pytest.raises(ValueError, match=r"'broken' of broken_ops:Conv cannot be loaded: ZeroDivisionError"):
        build_operation("broken", 4, 1, True)


@pytest.fixture
def model(file: Path, tmp_path: Path) -> Path:
    plugins.give(file)
    genotype = Genotype.from_dict(cells())
    network = EvaluationNetwork(genotype, **SIZES, stem="cifar", auxiliary=False)
    args = {**SIZES, "stem": "cifar", "auxiliary": False}
    about = {"image_size": 8, "channels": 1, "resize": "fit", "mean": [0.5], "std": [0.5]}
    return save_model(tmp_path / "model", network, genotype, args, ["a", "b"], about)


def test_a_model_brings_its_plugin_which_runs_only_where_it_is_known(
    model: Path,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exported = tmp_path / "model.safetensors"
    export_model(load_model(model), exported, "safetensors")
    out = torch.rand(2, 1, 8, 8)
    expected = load_model(model).probabilities(out)
    digest = plugins.PluginFile.read(file).digest
    for path in (model, exported):
        forget_plugins(monkeypatch)
        with pytest.raises(UserError, match=r"'own_conv' comes from plug-in my_ops\.py .*lacks") as raised:
            load_model(path)
        assert digest in str(raised.value)
        assert "--plugin" in (raised.value.hint or "")
        torch.testing.assert_close(load_model(path, run_plugins=True).probabilities(out), expected)
        forget_plugins(monkeypatch)
        plugins.give(file)
        torch.testing.assert_close(load_model(path).probabilities(out), expected)
    forget_plugins(monkeypatch)
    plugins.give(file)
    plugins.keep(tmp_path / "home" / "plugins")
    forget_plugins(monkeypatch)
    to = ["--format", "pt2", "-o", str(tmp_path / "m.pt2"), "--home", str(tmp_path / "home")]
    assert run(["export", str(model), *to]) == 0, "this home has run it before"
    (model / "plugins.json").write_text('["x"]')
    with pytest.raises(UserError, match="plugins must be a list of records"):
        load_model(model)


def test_another_text_is_another_training(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images: Any = type("Images", (), {"digest": "x", "image_size": (8, 8)})()
    space = read_space("quickstart", ["seed=3"])
    recipes = set()
    for text in (CONV, CONV + "# slower"):
        forget_plugins(monkeypatch)
        file.write_text(text)
        plugins.give(file)
        recipes.add(Retraining(space, read_genotype(cells()), images, derived_seed(0)).recipe)
    assert len(recipes) == 2
