"""Samplers of others: by module and class, of plug-ins, seeded, and refused where they cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.plugged import forget_plugins

from pcdarts_tune import plugins
from pcdarts_tune.cli import run
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.study.samplers import is_slow
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep

DATA = {"name": "x", "digest": "x", "source": "x", "profile": ""}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plugins(monkeypatch)


def make(home: Path, name: str, sampler: str, *settings: str, seed: int = 0) -> SweepHandle:
    space = read_space("quickstart", [f"sampler={sampler}", *settings])
    return create_sweep(home, name, space, SweepSettings(seed=seed, sampler=sampler), trials=4, data=DATA)


def test_optunas_own_by_class_are_seeded(tmp_path: Path) -> None:
    drawn = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sweep = make(tmp_path, name, "optuna.samplers:RandomSampler", seed=seed)
        drawn[name] = [sweep.study.ask(4).hyperparameters for _ in range(4)]
    assert drawn["a"] == drawn["b"]
    assert drawn["a"][0] == drawn["c"][0], "the space's own values come first"
    assert drawn["a"][1:] != drawn["c"][1:]
    assert is_slow("optuna.samplers:RandomSampler")
    assert not is_slow("tpe")


def test_a_plugin_has_one(tmp_path: Path) -> None:
    (tmp_path / "my_samplers.py").write_text(
        "import optuna\nclass First(optuna.samplers.RandomSampler):\n"
        "    def sample_independent(self, study, trial, name, distribution):\n"
        "        return super().sample_independent(study, trial, name, distribution)\n"
        "samplers = {'first': First, 'two': lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=1), 'no': 3}\n"
    )
    plugins.give(tmp_path / "my_samplers.py")
    for name in ("first", "two"):
        sweep = make(tmp_path / "home", name, name)
        assert sweep.plugins[0]["file"] == "my_samplers.py"
        assert sweep.study.ask(4).hyperparameters
    with pytest.raises(UserError, match="'no' is int, not a class"):
        make(tmp_path / "home", "no", "no")
    assert open_sweep(Where(tmp_path / "home"), "first").settings.sampler == "first"


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        ("no_such_module:Sampler", "ModuleNotFoundError"),
        ("optuna.samplers:TpeSampler", r"has no 'TpeSampler' \(did you mean 'TPESampler'\?\)"),
        ("optuna.samplers:GridSampler", "cannot be made by a seed: TypeError"),
        ("collections:OrderedDict", "is OrderedDict, not a sampler of Optuna's"),
        ("optunahub:samplers/auto_sampler:AutoSampler", "optunahub"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_made(
    tmp_path: Path, sampler: str, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        make(tmp_path, "wrong", sampler)
    assert not (tmp_path / "sweeps").exists()


def test_a_sampler_that_fails_with_the_space_is_refused(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "import optuna\nclass Failing(optuna.samplers.BaseSampler):\n"
        "    def infer_relative_search_space(self, study, trial): return {}\n"
        "    def sample_relative(self, study, trial, search_space): return {}\n"
        "    def sample_independent(self, *_): raise RuntimeError('only integers')\n"
        "samplers = {'failing': Failing}\n"
    )
    plugins.give(tmp_path / "failing.py")
    with pytest.raises(UserError, match="cannot draw from this space: RuntimeError: only integers"):
        make(tmp_path / "home", "failing", "failing")


def test_the_command_names_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "--space", "quickstart", "--sampler", "tep", "--home", str(tmp_path)]) == 2
    assert "did you mean 'tpe'" in capsys.readouterr().err
    with pytest.raises(UserError, match="must be one of tpe, random, .*, or module:Class"):
        read_space("quickstart", ["sampler=tep"])
    plan = [
        "--trials",
        "2",
        "--plan",
        "--home",
        str(tmp_path),
        "--sampler",
        "optuna.samplers:TPESampler",
        "-q",
    ]
    assert run(["sweep", "--space", "quickstart", *plan]) == 0
    assert "optuna.samplers:TPESampler" in capsys.readouterr().out
