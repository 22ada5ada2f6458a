"""Reading spaces: the shipped ones, files with mistakes, any bytes at all; and values set on top."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces import yaml_lines
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.spaces.load import list_spaces, load_space, read_space, space_names
from pcdarts_tune.spaces.naming import constants, describe
from pcdarts_tune.spaces.ranges import ConditionalRange, IntRange, resolve
from pcdarts_tune.spaces.settings import Draft, apply, change, environment_settings, override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import encode, grid, propose, starting_point
from pcdarts_tune.spaces.values import Setting

SHIPPED = [
    "quickstart",
    "cifar10",
    "cifar100",
    "cifar10_ablation",
    "cifar10_cpu",
    "cifar10_paper",
    "darts_cifar10",
    "fashion_mnist",
    "imagenet",
    "nasbench201",
    "nasbench201_cpu",
    "reproduce_paper",
    *(f"robustdarts_s{number}" for number in range(1, 5)),
]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> str:
        path = tmp_path / "mine.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


def draft(data: Any, lines: dict[tuple[str | int, ...], int]) -> Draft:
    return Draft(data, {path: (line, f"mine.yaml:{line}") for path, line in lines.items()})


def complaints(path: str) -> list[str]:
    """The lines of what `load_space` says of a file, without its folder."""
    with pytest.raises(UserError) as error:
        load_space(path)
    return str(error.value).replace(path, "mine.yaml").splitlines()


# --- what is shipped ---------------------------------------------------------------------------------------------


def test_shipped() -> None:
    assert space_names()[: len(SHIPPED)] == SHIPPED
    assert [space.name for space in list_spaces()][: len(SHIPPED)] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_starts_at_its_own_values_and_every_draw_of_it_is_valid(name: str) -> None:
    import optuna

    space = load_space(name)
    assert space.description
    assert name in describe(space)
    if not space.tune:
        return
    start = starting_point(space)
    assert start is not None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(start)
    for number in range(20):
        values = propose(space.tune, study.ask())
        trial = apply(space, values)
        assert trial.tune == {}
        if number == 0:
            assert trial == space.model_copy(update={"tune": {}})
    assert not set(constants(space)) & set(space.tune)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_read_again_from_its_own_dump(name: str, write: Any) -> None:
    space = load_space(name)
    dumped = yaml.safe_dump(space.model_dump(mode="json"), sort_keys=False, default_flow_style=None)
    assert load_space(write(dumped)) == space


@pytest.mark.parametrize("name", SHIPPED)
def test_each_file_opens_with_the_command_that_runs_it(name: str) -> None:
    first = (Path(__file__).parents[2] / "search_spaces" / f"{name}.yaml").read_text().splitlines()[0]
    assert re.match(rf"# pcdarts-tune (sweep|search) --space {name}\b", first)


def test_reproduce_paper_searches_and_trains_as_published_and_holds_images_out() -> None:
    paper, again = load_space("cifar10_paper"), load_space("reproduce-paper")
    assert again == load_space("reproduce_paper")
    assert (again.supernet, again.search, again.retrain) == (paper.supernet, paper.search, paper.retrain)
    assert (again.data.split, again.data.held_out, again.tune) == ("tuning", 5000, {})
    # of the full training the first part is another: its learning rate ends after 100 epochs
    other = {key for key, value in again.evaluation if value != getattr(paper.retrain, key, None)}
    assert other == {"epochs", "seeds", "images"}


def test_cifar10_paper_is_the_published_search() -> None:
    space = load_space("cifar10_paper")
    net, search, train = space.supernet, space.search, space.retrain
    assert (space.data.dataset, space.data.split, space.tune) == ("cifar10", "published", {})
    assert (net.channels, net.layers, net.nodes, net.k, net.stem, net.mixing) == (
        16,
        8,
        4,
        4,
        "cifar",
        "shuffle",
    )
    assert net.edge_normalization
    assert (search.epochs, search.batch_size, search.order, search.arch_warmup_epochs) == (50, 256, 1, 15)
    assert (search.learning_rate, search.learning_rate_min, search.lr_warmup_epochs) == (0.1, 0.0, 0)
    assert (search.momentum, search.weight_decay, search.grad_clip) == (0.9, 3e-4, 5.0)
    assert (search.arch_learning_rate, search.arch_betas, search.arch_weight_decay) == (
        6e-4,
        (0.5, 0.999),
        1e-3,
    )
    assert search.arch_grad_clip is None
    assert (search.augment.kind, search.augment.crop_padding, search.augment.flip) == ("cifar", 4, True)
    assert search.augment.cutout == 0
    assert (train.channels, train.layers, train.epochs, train.batch_size) == (36, 20, 600, 96)
    assert (train.learning_rate, train.learning_rate_min, train.schedule) == (0.025, 0.0, "cosine")
    assert (train.momentum, train.weight_decay, train.grad_clip) == (0.9, 3e-4, 5.0)
    assert (train.drop_path, train.auxiliary, train.auxiliary_weight) == (0.3, True, 0.4)
    assert (train.label_smoothing, train.augment.cutout, train.augment.crop_padding) == (0.0, 16, 4)


def test_imagenet_is_the_published_search_and_training() -> None:
    space = load_space("imagenet")
    data, net, search, train = space.data, space.supernet, space.search, space.retrain
    assert (data.dataset, data.image_size, data.weights_fraction, data.alphas_fraction) == (
        "folder",
        224,
        0.1,
        0.025,
    )
    assert (net.channels, net.layers, net.k, net.stem) == (16, 8, 2, "imagenet")
    assert (search.epochs, search.batch_size, search.arch_warmup_epochs) == (50, 1024, 35)
    assert (search.learning_rate, search.learning_rate_min, search.lr_warmup_epochs) == (0.5, 0.0, 5)
    assert (search.arch_learning_rate, search.arch_grad_clip, search.augment.kind) == (6e-3, 5.0, "imagenet")
    assert (train.channels, train.layers, train.stem, train.epochs, train.batch_size) == (
        48,
        14,
        "imagenet",
        250,
        1024,
    )
    assert (train.learning_rate, train.momentum, train.weight_decay) == (0.5, 0.9, 3e-5)
    assert (train.schedule, train.lr_warmup_epochs, train.label_smoothing) == ("linear", 5, 0.1)
    assert (train.grad_clip, train.drop_path, train.auxiliary) == (5.0, 0.0, True)
    assert (train.augment.kind, train.augment.color_jitter, train.augment.cutout) == (
        "imagenet",
        (0.4, 0.4, 0.4, 0.2),
        0,
    )


def test_darts_is_the_published_search() -> None:
    space = load_space("darts_cifar10")
    search = space.search
    assert (space.supernet.k, space.supernet.edge_normalization, search.arch_warmup_epochs) == (1, False, 0)
    assert (search.batch_size, search.learning_rate, search.learning_rate_min) == (64, 0.025, 0.001)
    assert (search.arch_learning_rate, space.retrain.drop_path) == (3e-4, 0.2)
    assert resolve(space.tune["search.order"], {}).ends() == (1, 2)


def test_cifar10_tunes_what_the_issue_names_and_the_ablation_is_a_grid_of_eight() -> None:
    tune = load_space("cifar10").tune
    assert set(tune) == {
        "supernet.k",
        "search.learning_rate",
        "search.arch_learning_rate",
        "search.weight_decay",
        "search.arch_weight_decay",
        "search.batch_size",
        "search.arch_warmup_epochs",
    }
    assert isinstance(tune["search.batch_size"], ConditionalRange)
    assert len(grid(load_space("cifar10_ablation").tune) or []) == 8


def test_digits_are_not_mirrored() -> None:
    space = load_space("quickstart")
    assert not any(part.augment.flip for part in (space.search, space.evaluation, space.retrain))


# --- files with mistakes -----------------------------------------------------------------------------------------

MISTAKEN = """\
name: mine
serch: {}
data: {dataset: digit, held_out: abc}
supernet:
  channels: 30
  k: 7
  primitives: [none, skip_conect]
  layers: "8"
search:
  bach_size: 3
  epochs: 1e1
  arch_betas: [0.5, 2]
evaluation: {layers: 2, label_smoothing: .inf}
retrain: 3
tune:
  search.momentum: {type: flaot, low: 0, high: 1}
  search.order: {type: float, low: 1, high: 2}
  search.weight_decay: {low: 1, high: 60}
  search.grad_clip: {type: float, low: 1, high: 0, foo: 3}
  search.batch_size: {type: conditional, by: supernet.k, ranges: {7: {type: int, low: 1}}}
  evaluation.epochs: {type: int, low: 1, high: 2}
"""


def test_every_mistake_has_its_line() -> None:
    with pytest.raises(UserError) as error:
        data, lines = yaml_lines.read_yaml(MISTAKEN.encode(), "mine.yaml")
        draft(data, lines).validate()
    said = str(error.value).splitlines()
    expected = [
        r":2: serch: unknown key \(did you mean 'search'\?\); legal: name, ",
        r":3: data.dataset: 'digit' is not legal \(did you mean 'digits'\?\); must be one of digits, fashion_mnist",
        r":3: data.held_out: 'abc' is not legal; must be a finite number or a whole number",
        r":6: supernet.k: K = 7 does not divide channels = 30; legal for 30: 1, 2, 3, 5, 6, 10, 15, 30",
        r":7: supernet.primitives: 'skip_conect' is no operation \(did you mean 'skip_connect'\?\); legal: none, ",
        r":8: supernet.layers: '8' is not legal; must be a whole number, at least 3 and at most 64",
        r":10: search.bach_size: unknown key \(did you mean 'batch_size'\?\); legal: method, epochs, batch_size",
        r":11: search.epochs: 10.0 is not legal; must be a whole number, at least 1 and at most 10000",
        r":12: search.arch_betas.1: 2 is not legal; must be below 1",
        r":13: evaluation.layers: 2 is not legal; must be at least 3",
        r":13: evaluation.label_smoothing: inf is not legal; must be a finite number, at least 0 and below 1",
        r":14: retrain: 3 is not legal; must be a mapping of keys to values",
        r":16: tune.search.momentum.type: 'flaot' is not legal \(did you mean 'float'\?\); must be one of float, int,",
        r":17: tune.search.order: 1.0 is not legal; must be one of 1, 2",
        r":17: tune.search.order: 2.0 is not legal; must be one of 1, 2",
        r":18: tune.search.weight_decay: .* must be a mapping with a type: float, int, categorical or conditional",
        r":19: tune.search.grad_clip.foo: unknown key; legal: type, low, high, log, step",
        r":19: tune.search.grad_clip: low 1.0 must be below high 0.0",
        r":20: tune.search.batch_size.ranges.7: 'high' is missing",
        r":21: tune.evaluation.epochs: not tuned: evaluation is the same for all trials",
    ]
    assert len(said) == len(expected), "\n".join(said)
    for line, pattern in zip(said, expected, strict=True):
        assert re.match("mine.yaml" + pattern, line), line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "mine.yaml: empty"),
        ("# only a comment\n", "mine.yaml: empty"),
        ("- 1\n", "mine.yaml:1: a search space is a mapping"),
        ("just words\n", "mine.yaml:1: a search space is a mapping"),
        ("search:\n\tepochs: 3\n", "mine.yaml:2: not valid YAML: a tab"),
        ("search:\n  epochs: 3\n  epochs: 4\n", "mine.yaml:3: 'epochs' again, first on line 2"),
        ("a: &x [1]\nb: *x\n", "mine.yaml:1: anchors"),
        ("a: 1\nb: *x\n", "mine.yaml:2: anchors"),
        ("a: !!python/object/apply:os.system [touch PWNED]\n", "mine.yaml:1: tags"),
        ("a: !custom 1\n", "mine.yaml:1: tags"),
        ("name: x\nsearch: [1, 2\n", "mine.yaml:3: not valid YAML"),
        ("name: x: y\n", "mine.yaml:1: not valid YAML"),
        ("---\nname: x\n---\nname: y\n", "mine.yaml:3: a second document"),
        ("? [1, 2]\n: 3\n", "mine.yaml:1: a key must be a word"),
        (b"name: x\ndescription: \xff\xfe\n", "mine.yaml:2: not UTF-8"),
        ("name: x\n".encode("utf-16"), "mine.yaml:1: not UTF-8"),
        ("name: x\ndescription: a\x00b\n", "mine.yaml:2: not text"),
        ('name: x\ndescription: "\\UFFFFFFFF"\n', "mine.yaml:2: not valid YAML"),
        ('description: "\\ud800"\n', "mine.yaml:1: not text: half"),
        ("a: " + "[" * 5000 + "\n", "mine.yaml:1: nested more than"),
        ("a:" + " " * 300_000, "mine.yaml: larger than"),
        ("seed: " + "9" * 5000 + "\n", "mine.yaml:1: a number of more than 300 digits"),
        ("search: {epochs: 0x" + "f" * 400 + "}\n", "mine.yaml:1: a number of more than 300 digits"),
        ("search: {learning_rate: .nan}\n", "mine.yaml:1: search.learning_rate: nan is not legal"),
        ("search: {learning_rate: 1e999}\n", "mine.yaml:1: search.learning_rate: inf is not legal"),
        ("search: {augment: {flip: yes}}\n", "mine.yaml:1: search.augment.flip: 'yes' is not legal; must be true or false"),
        ("search: null\n", "mine.yaml:1: search: null is not legal; must be a mapping"),
        ("tune: [1]\n", "mine.yaml:1: tune: [1] is not legal; must be a mapping"),
        ("name: 3\n", "mine.yaml:1: name: 3 is not legal; must be text"),
    ],
    ids=lambda value: None if isinstance(value, str) and value.startswith("mine") else repr(value)[:30],
)  # fmt: skip
def test_unreadable(content: str | bytes, says: str, write: Any, tmp_path: Path) -> None:
    said = complaints(write(content))
    assert len(said) == 1, said
    assert said[0].startswith(says), said[0]
    assert not (tmp_path / "PWNED").exists()
    assert not Path("PWNED").exists()


def test_numbers_are_read_as_yaml_1_2_has_them() -> None:
    text = (
        "[1e-3, 3e-05, .5, -7, 0o17, 0x1F, 010, true, yes, on, ~, null, 1:30, 2001-01-01, '3', -.inf, 1_000]"
    )
    values, _ = yaml_lines.read_yaml(text.encode(), "x")
    assert values == [1e-3, 3e-5, 0.5, -7, 15, 31, 10, True, "yes", "on", None, None, "1:30", "2001-01-01", "3",
                      float("-inf"), "1_000"]  # fmt: skip
    assert [type(value) for value in values[:4]] == [float, float, float, int]


def test_aliases_cannot_blow_up(write: Any) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    began = time.monotonic()
    assert len(complaints(write(bomb))) == 1
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("given", ["nowhere.yaml", "./nowhere/", "cifar"])
def test_no_such_space(given: str) -> None:
    with pytest.raises(UserError) as error:
        load_space(given)
    assert given in str(error.value)
    assert "cifar10" in f"{error.value} {error.value.hint}"


def test_a_folder_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        load_space(tmp_path)


def test_a_file_is_called_after_itself_unless_it_says_otherwise(write: Any) -> None:
    assert load_space(write("data: {dataset: digits}\n")).name == "mine"
    assert load_space(write("name: other\n")).name == "other"


WORDS = st.sampled_from([
    "name", "search", "supernet", "tune", "data", "epochs", "k", "channels", "type", "float", "int", "categorical",
    "conditional", "by", "ranges", "choices", "low", "high", "supernet.k", "search.epochs", "search.batch_size", "augment",
    "primitives", "evaluation", "retrain", "held_out", "split", "published",
])  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=8), WORDS
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load_bytes(content: bytes) -> Space | None:
    """What `load_space` does with a file's content: a space, or the one error it may raise."""
    try:
        data, lines = yaml_lines.read_yaml(content, "mine.yaml")
        return draft(data, lines).validate()
    except UserError as error:
        assert str(error).startswith("mine.yaml")
        return None


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_give_a_space_or_a_user_error(content: bytes) -> None:
    load_bytes(content)


@FUZZ
@given(
    st.lists(
        st.sampled_from([*"{}[]:,-?&*!|>'\"%@`# \n\t", "name", "tune", "1", "search", "\\U", "<<", "..."]),
        max_size=60,
    )
)
def test_any_punctuation_gives_a_space_or_a_user_error(parts: list[str]) -> None:
    load_bytes("".join(parts).encode())


@FUZZ
@given(st.dictionaries(st.sampled_from(list(Space.model_fields)), TREES, max_size=6))
def test_any_tree_gives_a_space_or_a_user_error(tree: dict[str, Any]) -> None:
    load_bytes(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.data())
def test_a_shipped_space_with_anything_put_in_gives_a_space_or_a_user_error(data: st.DataObject) -> None:
    tree = load_space("quickstart").model_dump(mode="json")
    at: Any = tree
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [key for key, value in at.items() if isinstance(value, dict) and value]
        if not inner:
            break
        at = at[data.draw(st.sampled_from(inner))]
    at[data.draw(st.sampled_from(list(at)) | WORDS)] = data.draw(TREES)
    space = load_bytes(yaml.safe_dump(tree).encode())
    if space is not None:
        assert Space.model_validate(space.model_dump()) == space


# --- values set on top -------------------------------------------------------------------------------------------


def test_override() -> None:
    space = override(
        load_space("cifar10"),
        ["search.epochs=3", "search.arch_warmup_epochs=1", "search.learning_rate=2e-2", "search.augment.flip=false",
         "supernet.primitives=[skip_connect, sep_conv_3x3]", "search.arch_grad_clip=null", "description=''"],
    )  # fmt: skip
    assert (space.search.epochs, space.search.learning_rate, space.search.augment.flip) == (3, 0.02, False)
    assert space.supernet.primitives == ("skip_connect", "sep_conv_3x3")
    assert not {"search.arch_warmup_epochs", "search.learning_rate"} & set(space.tune)
    assert "search.weight_decay" in space.tune


def test_pinning_a_key_settles_the_ranges_that_depend_on_it() -> None:
    space = override(load_space("cifar10"), ["supernet.k=8"])
    assert space.tune["search.batch_size"] == IntRange(low=64, high=512, step=64)
    assert "search.batch_size" in encode(
        {"search.batch_size": space.tune["search.batch_size"]}, {"search.batch_size": 64}
    )


def test_ranges_can_be_set_and_taken_away() -> None:
    space = override(
        load_space("cifar10"),
        ["tune.search.batch_size=null", "tune.supernet.k={type: categorical, choices: [2, 4]}"],
    )
    assert "search.batch_size" not in space.tune
    assert resolve(space.tune["supernet.k"], {}).ends() == (2, 4)
    assert override(load_space("cifar10"), ["tune={}"]).tune == {}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("search.epcohs=3", "--set search.epcohs=3: search.epcohs: unknown key (did you mean 'search.epochs'?); legal: "),
        ("search=3", "--set search=3: search: a section"),
        ("search.epochs.x=3", "--set search.epochs.x=3: search.epochs.x: unknown key"),
        ("nonsense", "--set nonsense: not KEY=VALUE"),
        ("=3", "--set =3: not KEY=VALUE"),
        ("search.batch_size=abc", "--set search.batch_size=abc: search.batch_size: 'abc' is not legal; must be a whole"),
        ("search.batch_size=[1", "--set search.batch_size=[1: not valid YAML"),
        ("search.epochs=3", "space cifar10: search.arch_warmup_epochs: arch_warmup_epochs = 15 must be below epochs = 3"),
        ("supernet.k=3", "--set supernet.k=3: supernet.k: K = 3 does not divide channels = 16"),
        ("supernet.k=16", "space cifar10: tune.search.batch_size: no range for supernet.k = 16"),
        ("data.split=published", "--set data.split=published: data.split: split: published holds nothing out"),
        ("tune.search.epoch={type: int, low: 1, high: 2}", "--set tune.search.epoch="),
        ("tune.search.epochs=null", "--set tune.search.epochs=null: tune.search.epochs: not tuned"),
        ("tune.supernet.k=4", "--set tune.supernet.k=4: tune.supernet.k: 4 is not legal; must be a mapping of keys to values"),
        ("supernet.primitives=[none]", "--set supernet.primitives=[none]: supernet.primitives: a cell needs"),
        ("name=!!python/name:os.system", "--set name=!!python/name:os.system: tags"),
    ],
)  # fmt: skip
def test_override_refused(setting: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        override(load_space("cifar10"), [setting])
    assert str(error.value).startswith(says), str(error.value)


def test_all_mistakes_of_settings_at_once() -> None:
    with pytest.raises(UserError) as error:
        override(load_space("cifar10"), ["search.batch_size=abc", "supernet.layers=1", "seed=-1"])
    assert len(str(error.value).splitlines()) == 3


@FUZZ
@given(
    key=st.sampled_from(["search.epochs", "tune.supernet.k", "tune", "data", "x"]) | st.text(max_size=20),
    value=st.text(max_size=20),
)
def test_any_setting_gives_a_space_or_a_user_error(key: str, value: str) -> None:
    try:
        override(load_space("quickstart"), [f"{key}={value}"])
    except UserError:
        pass


def test_file_environment_settings_and_flags_are_checked_together(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("""\
search: {epochs: 3}
supernet: {k: 4}
tune:
  search.batch_size:
    {type: conditional, by: supernet.k, ranges: {2: {type: int, low: 8, high: 9}, 4: {type: int, low: 2, high: 3}}}
""")
    assert complaints(path)[0].startswith(
        "mine.yaml:1: search.arch_warmup_epochs: arch_warmup_epochs = 15 must be below"
    )
    monkeypatch.setenv("PCDARTS_TUNE_SET", "search.arch_warmup_epochs=1 seed=1")
    space = read_space(path, ["supernet.k=2", "seed=2"], [Setting("sampler", "random", "--sampler random")])
    assert (space.search.epochs, space.search.arch_warmup_epochs, space.seed, space.sampler) == (
        3,
        1,
        2,
        "random",
    )
    assert space.tune == {"search.batch_size": IntRange(low=8, high=9)}, "the range for the K that was set"
    monkeypatch.setenv("PCDARTS_TUNE_SET", "search.order=3")
    with pytest.raises(UserError) as error:
        read_space(path, ["seed=-1"], [Setting("sampler", "luck", "--sampler luck")])
    begun = [line.replace(path, "mine.yaml").split(": ")[0] for line in str(error.value).splitlines()]
    assert sorted(begun) == [
        "--sampler luck",
        "--set seed=-1",
        "PCDARTS_TUNE_SET search.order=3",
        "mine.yaml:1",
    ]


def test_plain_values_are_checked_together_with_what_is_set_on_them() -> None:
    space = load_space("quickstart")
    plain = space.model_dump(mode="json")
    values = {key: lookup(space, key) for key in space.tune}
    assert apply(plain, values) == apply(space, values)
    assert plain == space.model_dump(mode="json"), "they are left as they are"
    with pytest.raises(UserError, match="supernet.k=3: supernet.k: K = 3 does not divide"):
        apply(plain, values | {"supernet.k": 3})


def test_environment() -> None:
    space = load_space("quickstart")
    assert change(space, environment_settings({})) is space
    changed = change(
        space, environment_settings({"PCDARTS_TUNE_SET": "search.epochs=4 'description=my own'"})
    )
    assert (changed.search.epochs, changed.description) == (4, "my own")
    with pytest.raises(UserError, match="PCDARTS_TUNE_SET search.epochs=x: search.epochs"):
        change(space, environment_settings({"PCDARTS_TUNE_SET": "search.epochs=x"}))
    with pytest.raises(UserError, match="PCDARTS_TUNE_SET"):
        environment_settings({"PCDARTS_TUNE_SET": "'"})


def test_no_starting_point_outside_the_ranges() -> None:
    space = override(load_space("cifar10"), ["tune.search.learning_rate={type: float, low: 0.2, high: 0.3}"])
    assert starting_point(space) is None


# --- other packages' spaces, and where ours are ------------------------------------------------------------------


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package installed on the path, for real: a module and its metadata with entry points."""

    def install(code: str, *points: str) -> None:
        (tmp_path / "my_spaces.py").write_text(code)
        meta = tmp_path / "my_spaces-1.0.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: my-spaces\nVersion: 1.0\n")
        (meta / "entry_points.txt").write_text("[pcdarts_tune.search_spaces]\n" + "\n".join(points) + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "my_spaces", raising=False)
        importlib.invalidate_caches()

    return install


def test_entry_points(plugin: Any, tmp_path: Path) -> None:
    (tmp_path / "mice.yaml").write_text("data: {dataset: digits}\n")
    plugin(
        f"""
from pcdarts_tune.spaces.space import Space
path = {str(tmp_path / "mice.yaml")!r}
space = Space(name="birds")
def make(): return Space(name="fish")
number = 3
def fails(): raise RuntimeError("boom")
""",
        *("mice = my_spaces:path", "birds = my_spaces:space", "fish = my_spaces:make"),
        *(
            "number = my_spaces:number",
            "fails = my_spaces:fails",
            "gone = my_spaces:gone",
            "cifar10 = my_spaces:space",
        ),
    )
    assert [load_space(name).name for name in ("mice", "birds", "fish")] == ["mice", "birds", "fish"]
    assert load_space("cifar10").name == "cifar10"  # ours stays ours
    for name, says in (("number", "is a int"), ("fails", "boom"), ("gone", "gone")):
        with pytest.raises(UserError, match=says):
            load_space(name)
    assert [space.name for space in list_spaces()][len(SHIPPED) :] == ["birds", "fish", "mice"]


def test_a_checkout_that_is_not_installed_finds_the_folder_beside_the_package() -> None:
    code = "from pcdarts_tune.spaces.load import space_names; print(*space_names())"
    blocked = "import sys; sys.modules['pcdarts_tune.search_spaces'] = None; " + code
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", blocked], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == SHIPPED


def test_the_spaces_of_robustdarts_have_its_operations() -> None:
    s1 = load_space("robustdarts_s1").supernet
    assert s1.primitives == (
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    assert s1.edge_primitives is not None
    assert {(kind, len(lists)) for kind, lists in s1.edge_primitives.items()} == {
        ("normal", 14),
        ("reduce", 14),
    }
    assert all(len(set(names)) == 2 for lists in s1.edge_primitives.values() for names in lists)
    normal, reduce = s1.edge_primitives["normal"], s1.edge_primitives["reduce"]
    # how often each pair occurs, and single edges of the list that is cited in the file
    assert Counter(map("+".join, normal)) == {
        "skip_connect+dil_conv_3x3": 4,
        "skip_connect+dil_conv_5x5": 2,
        "skip_connect+sep_conv_3x3": 4,
        "max_pool_3x3+skip_connect": 2,
        "dil_conv_3x3+dil_conv_5x5": 2,
    }
    assert Counter(map("+".join, reduce)) == {
        "max_pool_3x3+avg_pool_3x3": 6,
        "max_pool_3x3+dil_conv_3x3": 1,
        "skip_connect+dil_conv_5x5": 5,
        "max_pool_3x3+sep_conv_3x3": 1,
        "skip_connect+dil_conv_3x3": 1,
    }
    assert (normal[5], normal[12]) == (("max_pool_3x3", "skip_connect"), ("dil_conv_3x3", "dil_conv_5x5"))
    assert (reduce[1], reduce[7]) == (("max_pool_3x3", "dil_conv_3x3"), ("skip_connect", "dil_conv_3x3"))
    others = [load_space(f"robustdarts_s{number}").supernet.primitives for number in (2, 3, 4)]
    assert others == [
        ("skip_connect", "sep_conv_3x3"),
        ("none", "skip_connect", "sep_conv_3x3"),
        ("noise", "sep_conv_3x3"),
    ]


@pytest.mark.parametrize(
    ("supernet", "said"),
    [
        ("edge_primitives: {normal: [[skip_connect]]}", "for the cells normal, reduce; got normal"),
        (
            "nodes: 2, edge_primitives: {normal: [[skip_connect]], reduce: []}",
            "one list for each of 5 edges; got 1",
        ),
        ("edge_primitives: {normal: [[skip_conect]], reduce: []}", "'skip_conect' is no operation"),
        ("edge_primitives: {normal: skip_connect}", "edge_primitives"),
        ("primitives: [skip_connect], edge_primitives: {normal: [[noise]]}", "those of edge_primitives"),
    ],
)
def test_operations_of_edges_that_fit_no_cell_are_refused(supernet: str, said: str, write: Any) -> None:
    assert any(said in line for line in complaints(write(f"name: mine\nsupernet: {{{supernet}}}\n")))


def test_random_genotypes_of_s1_take_what_their_edges_have() -> None:
    sizes = load_space("robustdarts_s1").supernet
    assert sizes.edge_primitives is not None
    for seed in range(20):
        drawn = sizes.draw_genotype(seed).to_dict()
        for kind, lists in sizes.edge_primitives.items():
            for at, (name, source) in enumerate(drawn[kind]):
                node = at // 2
                assert name in lists[node * (node + 3) // 2 + source]
