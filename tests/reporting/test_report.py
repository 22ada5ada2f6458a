"""The report: what it says of a sweep, in every state a sweep can be in; that it needs nothing from elsewhere."""

from __future__ import annotations

import html
import itertools
import json
import math
import random
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.recorded import REASONS, recorded_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.drawing.geometry import text_width
from pcdarts_tune.home import Where
from pcdarts_tune.reporting import figures
from pcdarts_tune.reporting.axis import TICK_SIZE, Axis
from pcdarts_tune.reporting.facts import gather, held_out_images
from pcdarts_tune.reporting.importances import BEST, FEWEST, importances, spearman
from pcdarts_tune.reporting.page import page
from pcdarts_tune.reporting.summary import next_step
from pcdarts_tune.spaces.ranges import CategoricalRange, FloatRange, IntRange
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.leaderboard import standings
from pcdarts_tune.sweeps.sweep import SweepHandle, SweepSettings, open_sweep
from pcdarts_tune.tasks import Outcome, Spent, TrialRecord, hours

GENOTYPE = PUBLISHED["PC_DARTS_cifar"]
EVIL = "<script>alert('1')</script>"
TUNE: dict[str, Any] = {
    "supernet.k": {"type": "categorical", "choices": [1, 2, 4]},
    "search.learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    "search.weight_decay": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "search.batch_size": {
        "type": "conditional",
        "by": "supernet.k",
        "ranges": {
            "1": {"type": "int", "low": 64, "high": 128, "step": 32},
            "2": {"type": "int", "low": 64, "high": 256, "step": 32},
            "4": {"type": "int", "low": 64, "high": 512, "step": 64},
        },
    },
}
SPACE = Space(name="made", description=f"made for {EVIL}", tune=TUNE)
DATA = {
    "name": f"pets{EVIL}",
    "digest": "0123abcd",
    "source": "{}",
    "profile": '{"train_images": 2000, "classes": 10}',
}


class Balanced(HTMLParser):
    """Checks that elements are closed in the order they were opened; collects what the page would fetch."""

    VOID = frozenset(("meta", "link", "br", "img"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), "no handlers"
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def self_contained(text: str) -> Balanced:
    found = Balanced(text)
    assert "script" not in found.tags
    assert all(address.startswith(("#", "data:")) for address in found.fetched), found.fetched
    assert "url(" not in text
    assert "@import" not in text
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SweepHandle:
    """40 trials by a table, a tenth of them lost; the best one's folder has its alphas."""
    return recorded_sweep(tmp_path_factory.mktemp("home"), 40, lost=10, epochs=3, rows=15)


def made(home: Path, outcomes: list[Outcome | None], **settings: Any) -> SweepHandle:
    """A sweep with these outcomes, None for a trial that runs."""
    sweep = create_sweep(
        home, "made", SPACE, SweepSettings(**settings), trials=max(1, len(outcomes)), data=DATA
    )
    for outcome in outcomes:
        number = sweep.study.ask(100).number
        sweep.study.start(number)
        if outcome is not None:
            sweep.study.tell(number, outcome)
    return open_sweep(Where(home), "made")


def complete(objective: float, **more: Any) -> Outcome:
    cost = {"params": 1_000_000, "macs": 10_000_000, "seconds": 720.0}
    known = {"genotype": GENOTYPE.to_dict(), "genotype_hash": GENOTYPE.canonical_hash(), **cost}
    return Outcome("complete", objective=objective, **{**known, **more})


def records(number: int, seed: int, accuracy: Any) -> list[TrialRecord]:
    """Trials with random settings and the accuracy that `accuracy` gives them."""
    draw = random.Random(seed)
    found = []
    for trial in range(number):
        values = {
            "supernet.k": draw.choice([1, 2, 4]),
            "search.learning_rate": 10 ** draw.uniform(-3, 0),
            "search.weight_decay": 10 ** draw.uniform(-4, -2),
            "search.batch_size": draw.choice([64, 96, 128]),
        }
        objective = accuracy(values, draw)
        found.append(TrialRecord(trial, "complete", objective, None, None, None, None, values, None, None, 0))
    return found


def test_report_says_what_the_sweep_came_to(recorded: SweepHandle, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("an older one")
    home = ["--home", str(recorded.where.home)]
    assert cli.run(["report", recorded.name, "-o", str(target), *home]) == 0
    text = target.read_text()
    found = self_contained(text)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"], "written whole, nothing left beside it"
    best = recorded.best()
    plain = html.unescape(re.sub(r"<[^>]+>", "", text))
    for said in (
        f"{best.objective:.4f}", f"trial {best.trial}", "PED-ANOVA", "36 complete trials", "GPU-hours", "Pareto front",
        recorded.about["data"]["digest"], recorded.about["versions"]["torch"], "--seed 0", "pcdarts-tune sweep --space",
        f"pcdarts-tune promote {recorded.name} --trial {best.trial}", "search.learning_rate", *REASONS,
    ):  # fmt: skip
        assert said in plain, said
    for section in (
        "leaderboard",
        "history",
        "settings",
        "size",
        "cells",
        "alphas",
        "cost",
        "lost",
        "reproduce",
    ):
        assert f'<section id="{section}">' in text
    facts = gather(recorded)
    assert found.tags.count("svg") >= 1 + 1 + len(facts.keys) + 2 + 3 + 2 + 1
    assert "Normal cell: node 0 = " in text, "a drawn cell says in words what it shows"
    rows = re.findall(r'<tr class="[^"]*"><td', text[: text.index('<section id="history">')])
    assert len(rows) == 40


def test_json_of_the_report_has_the_figures_behind_it(
    recorded: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "report",
        recorded.name,
        "-o",
        str(tmp_path / "r.html"),
        "--home",
        str(recorded.where.home),
        "--json",
    ]
    assert cli.run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["best"]["trial"] == recorded.best().trial
    assert told["best"]["rank"] == 1
    assert math.fsum(told["importances"]["shares"].values()) == pytest.approx(1)
    assert told["states"] == {"complete": 36, "pruned": 2, "failed": 2}
    assert sum(map(len, told["lost"].values())) == 4
    assert told["hours"]["GPU"] > 0
    assert told["best"]["trial"] in told["level"]
    assert "promote" in told["summary"]["Next"]
    by_trial = {record.trial: record for record in recorded.records()}
    front = [by_trial[trial] for trial in told["pareto"]]
    for record in by_trial.values():
        if record.objective is not None:
            better = [f for f in front if f.objective >= record.objective and f.params <= record.params]
            assert better, "nobody beats the front"


def test_no_chart_has_labels_that_touch(recorded: SweepHandle) -> None:
    facts = gather(recorded)
    drawn = [figures.history(facts), figures.importance_bars(facts), figures.cost_bars(facts, "GPU")]
    drawn += [picture for _, picture in [*figures.slices(facts), *figures.trade_offs(facts)]]
    assert all(picture is not None for picture in drawn)
    for picture in drawn:
        assert picture is not None
        assert picture.overlaps() == [], picture.title


@pytest.mark.parametrize("seed", range(20))
def test_ticks_of_any_axis_do_not_touch(seed: int) -> None:
    draw = random.Random(seed)
    scale = 10 ** draw.uniform(-6, 9)
    values: list[Any] = [
        scale * draw.uniform(0.5, 2) ** draw.choice([0, 1, 8]) for _ in range(draw.randint(1, 9))
    ]
    if seed % 5 == 0:
        values = [draw.randint(-5, 300) for _ in values]
    if seed % 5 == 1:
        values = [draw.choice([True, False, "a_very_long_choice_of_a_setting", "b"]) for _ in values]
    log = seed % 2 == 0 and all(isinstance(v, float) for v in values)
    axis = Axis.of(values, "x", log=log)
    assert all(-1e-9 <= axis.at(value) <= 1 + 1e-9 for value in values)
    for length in (40.0, 300.0):
        ticks = sorted(axis.ticks(length))
        assert ticks or length < 100
        for (a, left), (b, right) in itertools.pairwise(ticks):
            between = (b - a) * length - (text_width(left, TICK_SIZE) + text_width(right, TICK_SIZE)) / 2
            assert between > 0, (left, right)


def test_nothing_that_people_name_becomes_markup(tmp_path: Path) -> None:
    reason = f"the class {EVIL} & <img src=x onerror=alert(1)> has one image"
    sweep = made(tmp_path, [complete(0.5), Outcome("failed", reason=reason), Outcome("pruned", reason=EVIL)])
    text = page(gather(sweep))
    self_contained(text)
    assert EVIL not in text
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;" in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], "No trial is complete yet"),
        ([None], "still to be run"),
        ([Outcome("failed", reason="out of memory")], "No trial was completed"),
        ([complete(0.9)], "Retrain the best genotype"),
        ([complete(0.9), complete(0.1, genotype=None, genotype_hash=None, params=None, macs=None)], "0.9000"),
    ],
)
def test_report_of_any_state(tmp_path: Path, outcomes: list[Outcome | None], said: str) -> None:
    sweep = made(tmp_path, outcomes)
    text = page(gather(sweep))
    self_contained(text)
    assert said in re.sub(r"<[^>]+>", "", text)


def test_report_while_the_sweep_runs_and_mlflow_is_away(tmp_path: Path) -> None:
    sweep = made(tmp_path, [complete(0.8), None], tracking_uri="http://127.0.0.1:9")
    with sweep.lock():
        text = re.sub(r"<[^>]+>", "", page(gather(open_sweep(Where(tmp_path), "made"))))
    assert "while the sweep was running" in text
    assert "1 complete, 1 running" in text
    assert "The sweep runs now: 1 of 2 trials have ended." in text


def test_report_that_cannot_be_written(
    recorded: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "missing" / "r.html"
    assert cli.run(["report", recorded.name, "-o", str(target), "--home", str(recorded.where.home)]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert cli.run(["report", "recorder", "--home", str(recorded.where.home)]) == 2
    assert "did you mean 'recorded'" in capsys.readouterr().err


def test_listings_need_neither_torch_nor_mlflow_nor_ray(recorded: SweepHandle, tmp_path: Path) -> None:
    home, name = str(recorded.where.home), recorded.name
    for arguments in (["leaderboard", name], ["report", name, "-o", str(tmp_path / "r.html")]):
        code = (
            "import sys; from pcdarts_tune.cli.group import run; "
            f"assert run({[*arguments, '--home', home]!r}) == 0; "
            "heavy = {'torch', 'mlflow', 'ray', 'sklearn', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_importance_is_of_higher_accuracy() -> None:
    def accuracy(values: dict[str, Any], draw: random.Random) -> float:
        best = math.exp(-8 * (math.log10(values["search.learning_rate"]) + 1) ** 2)
        ruined = 0.4 * (values["search.weight_decay"] > 5e-3)
        return 0.9 + 0.05 * best - ruined + draw.gauss(0, 0.001)

    good = records(80, 1, accuracy)
    found = importances(good, SPACE.tune)
    assert next(iter(found.shares)) == "search.learning_rate"
    assert found.shares["search.learning_rate"] > 0.7
    assert found.above_chance[0] == "search.learning_rate"
    assert not found.caution
    # told the other way round, the setting that ruins trials would win
    upside_down = [TrialRecord(**{**vars(r), "objective": 1 - (r.objective or 0.0)}) for r in good]
    assert next(iter(importances(upside_down, SPACE.tune).shares)) == "search.weight_decay"


def test_importances_are_optunas() -> None:
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges: dict[str, Any] = {
        "choice": (CategoricalRange(choices=(1, 2, 4)), CategoricalDistribution([1, 2, 4])),
        "log": (FloatRange(low=1e-3, high=1.0, log=True), FloatDistribution(1e-3, 1.0, log=True)),
        "float": (FloatRange(low=0.0, high=1.0), FloatDistribution(0.0, 1.0)),
        "many": (IntRange(low=64, high=512), IntDistribution(64, 512)),
        "few": (IntRange(low=0, high=5), IntDistribution(0, 5)),
        "log int": (IntRange(low=1, high=64, log=True), IntDistribution(1, 64, log=True)),
    }
    draw = random.Random(0)
    for number in (25, 100):
        settings = [
            {"choice": draw.choice([1, 2, 4]), "log": 10 ** draw.uniform(-3, 0), "float": draw.random()}
            | {"many": draw.randint(64, 512), "few": draw.randint(0, 5), "log int": draw.randint(1, 64)}
            for _ in range(number)
        ]
        values = [draw.random() + s["log"] - 0.2 * s["choice"] for s in settings]
        study = optuna.create_study(direction="maximize")
        distributions = {key: distribution for key, (_, distribution) in ranges.items()}
        for params, value in zip(settings, values, strict=True):
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
        best = max(BEST, number // 5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best / number)
            )
        trials = [
            TrialRecord(i, "complete", value, None, None, None, None, params, None, None, 0)
            for i, (params, value) in enumerate(zip(settings, values, strict=True))
        ]
        shares = importances(trials, {key: item for key, (item, _) in ranges.items()}).shares
        assert shares == pytest.approx(expected, abs=1e-9)


def test_importances_say_when_they_are_not_sure() -> None:
    def noise(values: dict[str, Any], draw: random.Random) -> float:
        return draw.random()

    few = importances(records(FEWEST - 1, 0, noise), SPACE.tune)
    assert (few.shares, few.n) == ({}, FEWEST - 1)
    same = importances(records(30, 0, lambda values, draw: 0.5), SPACE.tune)
    assert same.shares == {}
    some = importances(records(30, 0, noise), SPACE.tune)
    assert "30 complete trials only" in some.caution
    # of noise, few settings stand out: 4 settings, 20 sweeps, one in twenty by construction
    outstanding = sum(
        len(importances(records(30, seed, noise), SPACE.tune).above_chance) for seed in range(20)
    )
    assert outstanding <= 14


def test_rank_correlation() -> None:
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2, 2], [1, 2, 3, 4]) == pytest.approx(2 / math.sqrt(5))
    assert spearman([1, 1], [1, 2]) is None


def test_where_trials_stand() -> None:
    def trial(number: int, objective: float | None, hash_: str | None, k: int, **more: Any) -> TrialRecord:
        state: Any = "complete" if objective is not None else "failed"
        genotype = GENOTYPE.to_dict() if hash_ else None
        return TrialRecord(
            number, state, objective, genotype, hash_, 1, 1, {"supernet.k": k}, None, None, 0, **more
        )

    board = standings(
        [
            trial(3, 0.9, "a", 4, seconds=7200.0, metrics={"cost/gpus": 0.25, "cost/cpus": 4.0}),
            trial(0, 0.8, "b", 4, seconds=3600.0, metrics={"cost/gpus": 0.0, "cost/cpus": 2.0}),
            trial(1, 0.7, "a", 1),
            trial(2, None, None, 4, seconds=10.0),
        ]
    )
    assert [s.rank for s in board] == [1, 2, 3, None]
    assert [s.found_by for s in board] == [(1, 3), (0,), (1, 3), ()]
    assert [s.skip_connections for s in board] == [1, 1, 1, None]
    assert [s.spent for s in board] == [Spent(0.5, "GPU"), Spent(2.0, "CPU"), None, None]
    assert board[0].spread is not None
    assert (board[0].spread.mean, board[0].spread.n) == (pytest.approx(0.85), 2)
    assert board[2].spread is None, "a seed alone has no spread"
    entry = board[0].to_dict()
    keys = [
        "trial",
        "state",
        "objective",
        "genotype",
        "genotype_hash",
        "params",
        "macs",
        "hyperparameters",
        "run_id",
        "reason",
    ]
    assert list(entry)[: len(keys)] == keys
    assert (entry["rank"], entry["found_by"], entry["gpu_hours"], entry["cpu_hours"]) == (
        1,
        [1, 3],
        0.5,
        None,
    )
    assert json.loads(json.dumps(entry)) == entry


def test_how_sure_counts_the_images(tmp_path: Path) -> None:
    sweep = made(
        tmp_path, [complete(0.95), complete(0.94, genotype_hash="b"), complete(0.7, genotype_hash="c")]
    )
    assert held_out_images(sweep) == 200, "a tenth of 2,000"
    facts = gather(sweep)
    assert facts.resolution == pytest.approx(2 * math.sqrt(2 * 0.9412 * 0.0588 / 204), rel=1e-3)
    assert [s.record.trial for s in facts.level] == [0, 1]
    text, command = next_step(facts)
    assert "2 of them are level" in text
    assert "--candidates 2 --seeds 3" in command


def test_hours_of_an_outcome_that_does_not_say() -> None:
    assert hours(Outcome("failed", reason="lost")) is None
    assert hours(complete(0.5)) is None


def test_leaderboard_shows_costs_seeds_and_who_found_what(
    recorded: SweepHandle, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(recorded.where.home)]
    assert cli.run(["leaderboard", recorded.name, *home]) == 0
    table = capsys.readouterr().out
    head = table.splitlines()[0].split()
    assert head[:3] == ["rank", "trial", "accuracy"]
    assert {
        "K",
        "b",
        "lr",
        "alr",
        "wd",
        "params",
        "MACs",
        "skips",
        "GPU-h",
        "found",
        "genotype",
        "outcome",
    } <= set(head)
    assert "CPU-h" not in head
    assert "failed: out of memory" in table
    assert cli.run(["leaderboard", recorded.name, "--json", *home]) == 0
    board = json.loads(capsys.readouterr().out)
    assert [entry["rank"] for entry in board[:36]] == list(range(1, 37))
    assert any(len(entry["found_by"]) > 1 for entry in board)
    assert all(entry["gpu_hours"] is not None for entry in board)
