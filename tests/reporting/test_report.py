"""The report: what it says of a sweep, in every state a sweep can be in; that it needs nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import math
import random
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recorded import REASONS, recorded_sweep

from pcdarts_tune import cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.drawing.cells import name_edges, select_edges
from pcdarts_tune.home import Where
from pcdarts_tune.reporting.alphas import plot_alphas
from pcdarts_tune.reporting.facts import Facts, read_facts
from pcdarts_tune.reporting.plot_study import (
    BEST,
    FEWEST,
    Importances,
    compute_importances,
    make_plot_study,
    merge_ranges,
    pareto_front,
    plot_value,
)
from pcdarts_tune.reporting.report import render_page
from pcdarts_tune.reporting.summary import next_step
from pcdarts_tune.spaces.ranges import CategoricalRange, ConditionalRange, FloatRange, IntRange
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.leaderboard import rank_trials
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.study.objectives import Rung
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
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


class Page(HTMLParser):
    """A report, read: its text, the plots in it and what it would fetch; checks that elements are closed in order."""

    VOID = frozenset(("meta", "link", "br", "img"))

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.sections: list[str] = []
        self.words: list[str] = []
        self.plots: dict[str, Any] = {}
        self.scripts: list[str] = []
        self._plot: str | None = None
        self.feed(markup)
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append(given["id"] or "")
        if tag == "script":
            self._plot = given.get("data-plot")
        for name, value in attrs:
            assert not name.startswith("on"), "no handlers"
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if "script" not in self.open:
            self.words.append("" if "style" in self.open else data)
        elif self._plot is None:
            self.scripts.append(data)
        else:
            self.plots[self._plot] = json.loads(data)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page(markup: str) -> Page:
    """The page, after a check that it fetches nothing."""
    page = Page(markup)
    assert all(address.startswith(("#", "data:")) for address in page.fetched), page.fetched
    assert "@import" not in markup[: markup.index("<body>")]
    assert "default-src 'none'" in markup, "the browser sees to it that nothing is fetched"
    return page


def page_of(facts: Facts) -> Page:
    return read_page(render_page(facts))


def importances(trials: list[TrialRecord], tune: Any) -> Importances:
    return compute_importances(make_plot_study(trials, tune))


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


def test_report_shows_what_the_sweep_came_to(recorded: SweepHandle, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("an older one")
    home = ["--home", str(recorded.where.home)]
    assert cli.run(["report", recorded.name, "-o", str(target), *home]) == 0
    page = read_page(target.read_text())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"], "written whole, nothing left beside it"
    best = recorded.best()
    for said in (
        f"{best.objective:.4f}", f"trial {best.trial}", "PED-ANOVA", "36 complete trials", "GPU-hours", "Pareto front",
        recorded.about["data"]["digest"], recorded.about["versions"]["torch"], "--seed 0", "pcdarts-tune sweep --space",
        f"pcdarts-tune promote {recorded.name} --trial {best.trial}", "search.learning_rate", *REASONS,
    ):  # fmt: skip
        assert said in page.text, said
    assert page.sections == [
        "leaderboard", "history", "settings", "size", "cells", "alphas", "cost", "lost", "reproduce",
    ]  # fmt: skip
    assert list(page.plots) == [
        "optimization", "timeline", "edf", "importances", "slice", "parallel", "contour", "front-params", "front-macs",
        "alphas-plot", "course-plot", "cost-GPU",
    ]  # fmt: skip
    assert page.tags.count("svg") == 3, "the cells of the three best genotypes"
    assert "Normal cell: node 0 = " in page.text, "a drawn cell says in words what it shows"
    assert sum(tag == "tr" for tag in page.tags) >= 40 + 2
    assert sum("plotly.js v" in script for script in page.scripts) == 1, "inlined once"


def traces(plot: Any, name: str) -> list[Any]:
    return [trace for trace in plot["data"] if trace.get("name") == name]


def values_of(numbers: Any) -> list[float]:
    """Numbers of a plot, which plotly may write as base64."""

    if isinstance(numbers, dict):
        return [float(n) for n in np.frombuffer(base64.b64decode(numbers["bdata"]), numbers["dtype"])]
    return list(numbers)


def test_plots_show_each_trial_with_its_settings(recorded: SweepHandle) -> None:
    facts = read_facts(recorded)
    plots = page_of(facts).plots
    trials = traces(plots["optimization"], "trial")[0]
    complete = sorted(t.record.trial for t in facts.complete)
    assert values_of(trials["x"]) == complete
    record = facts.sweep.record(complete[0])
    assert trials["text"][0].startswith(f"trial {record.trial}, accuracy {record.objective:.4f}<br>K=")
    so_far = values_of(traces(plots["optimization"], "best so far")[0]["y"])
    assert so_far[-1] == recorded.best().objective
    lost = traces(plots["optimization"], "failed or pruned")[0]
    assert sorted(values_of(lost["x"])) == [9, 19, 29, 39]
    assert any("out of memory with K 1" in text for text in lost["text"])
    states = {trace["name"]: len(trace["text"]) for trace in plots["timeline"]["data"]}
    assert states == {"COMPLETE": 36, "FAIL": 2, "PRUNED": 2}
    assert plots["parallel"]["layout"]["xaxis"]["ticktext"] == ["held-out accuracy", *sorted(facts.keys)]
    assert len(plots["slice"]["data"]) == len(facts.keys)
    assert [len(trace["text"]) for trace in plots["slice"]["data"]] == [36] * len(facts.keys)
    axes = [axis for name, axis in plots["slice"]["layout"].items() if name.startswith("xaxis")]
    kinds = {axis["title"]["text"]: axis.get("type") for axis in axes}
    assert kinds["search.learning_rate"] == "log"
    assert kinds["search.batch_size"] is None
    bars = plots["importances"]["data"][0]
    assert list(reversed(bars["y"])) == list(facts.importances.shares)
    front = {text.partition(",")[0] for text in plots["front-params"]["data"][-2]["text"]}
    assert front >= {f"trial {number}" for number in pareto_front(facts.records, "params")}


def test_alphas_have_a_slider_over_the_epochs(recorded: SweepHandle) -> None:
    facts = read_facts(recorded)
    plots = page_of(facts).plots
    slider = plots["alphas-plot"]["layout"]["sliders"][0]
    assert [step["label"] for step in slider["steps"]] == ["1", "2", "3"]
    assert [frame["name"] for frame in plots["alphas-plot"]["frames"]] == ["1", "2", "3"]
    assert [step["args"][0] for step in slider["steps"]] == [["1"], ["2"], ["3"]]
    assert slider["active"] == 2
    for epoch, frame in enumerate(plots["alphas-plot"]["frames"]):
        for cell, trace in zip(("normal", "reduce"), frame["data"], strict=True):
            shown = [[text.strip("</b>[]") for text in row] for row in trace["text"]]
            assert [row[:8] for row in shown] == [
                [f"{weight:.3f}" for weight in row] for row in facts.alphas[epoch][f"alpha_{cell}"]
            ]
            assert [row[8] for row in shown] == [
                f"{beta:.3f}" for beta in facts.alphas[epoch][f"beta_{cell}"]
            ]
            assert sum("[" in text for row in trace["text"] for text in row) == 8, "two edges into each node"
    assert plots["alphas-plot"]["data"][0]["text"] == plots["alphas-plot"]["frames"][2]["data"][0]["text"]
    assert len(plots["course-plot"]["data"][1]["text"]) == 14 * 9


def test_marked_edges_are_those_that_the_genotype_takes() -> None:

    from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, derive_genotype, node_slices

    draw = np.random.default_rng(0)
    for with_betas in (False, True):
        alpha = draw.dirichlet(np.ones(8), 14)
        beta = np.concatenate([draw.dirichlet(np.ones(node + 2)) for node in range(4)])
        betas = np.log(beta) if with_betas else None
        genotype = derive_genotype(np.log(alpha), np.log(alpha), betas, betas)
        starts = [rows.start for rows in node_slices(4)]
        expected = {
            (starts[at // 2] + source, DARTS_PRIMITIVES.index(operation))
            for at, (operation, source) in enumerate(genotype.normal)
        }
        weights = np.column_stack([alpha, beta]) if with_betas else alpha
        assert select_edges(weights, DARTS_PRIMITIVES) == expected
    assert name_edges(5) == ["c(k-2) → 0", "c(k-1) → 0", "c(k-2) → 1", "c(k-1) → 1", "0 → 1"]


def test_alphas_of_other_forms_are_left_out() -> None:
    flat = [[0.5, 0.5]] * 5
    plain = {"alpha_normal": flat, "alpha_reduce": flat, "beta_normal": None, "beta_reduce": None}
    names = ("skip_connect", "sep_conv_3x3")
    assert [figure.name for figure in plot_alphas({0: plain, 1: plain}, names)] == [
        "alphas-plot",
        "course-plot",
    ]
    assert [figure.name for figure in plot_alphas({0: plain}, names)] == ["alphas-plot"], (
        "one epoch has no course"
    )
    assert plot_alphas({0: plain}, (*names, "none")) == []
    assert plot_alphas({0: {**plain, "alpha_reduce": flat[:4]}}, names) == []
    assert plot_alphas({0: {"alpha_normal": flat}}, names) == []
    assert plot_alphas({}, names) == []


def test_operations_that_an_edge_does_not_have_are_left_empty() -> None:
    lists = {kind: [["skip_connect", "sep_conv_3x3"], ["skip_connect"]] for kind in ("normal", "reduce")}
    names = ("skip_connect", "sep_conv_3x3", "noise")
    plain = {f"alpha_{kind}": [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]] for kind in lists}
    plain |= {f"beta_{kind}": [0.5, 0.5] for kind in lists}
    slider, course = plot_alphas({0: plain, 1: plain}, names, lists)
    cell = slider.plot.data[0]
    assert [list(row) for row in cell.text] == [
        ["<b>[0.500]</b>", "0.500", "", "0.500"],
        ["<b>[1.000]</b>", "", "", "0.500"],
    ]
    colours = np.array(cell.z, float)
    assert np.isnan(colours).tolist() == [[False, False, True, False], [False, True, True, False]]
    assert not np.nan_to_num(colours).any(), "equal shares have no colour"
    assert np.isnan(np.array(course.plot.data[0].z, float)).sum() == 6


def test_colours_follow_the_scheme_of_the_page(recorded: SweepHandle) -> None:
    text = render_page(read_facts(recorded))
    assert "prefers-color-scheme: dark" in text
    for plot in read_page(text).plots.values():
        layout = plot["layout"]
        assert "paper_bgcolor" not in layout
        assert "plot_bgcolor" not in layout
        assert "color" not in layout.get("font", {})


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


def test_nothing_that_people_name_becomes_markup(tmp_path: Path) -> None:
    reason = f"the class {EVIL} & <img src=x onerror=alert(1)> </script> has one image"
    outcomes = [
        complete(0.5),
        complete(0.6),
        Outcome("failed", reason=reason),
        Outcome("pruned", reason=EVIL),
    ]
    text = render_page(read_facts(made(tmp_path, outcomes)))
    page = read_page(text)
    assert EVIL not in text
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" in text
    assert "<img" not in text[: text.index("plotly.js v")]
    assert EVIL in page.text, "shown as it is"
    bars = traces(page.plots["timeline"], "FAIL")[0]
    assert "&lt;img src=x" in bars["text"][0], "plotly takes its texts for HTML"
    assert "<img" not in bars["text"][0]
    assert plot_value(EVIL) == "&lt;script&gt;alert('1')&lt;/script&gt;"


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
    page = page_of(read_facts(made(tmp_path, outcomes)))
    assert said in page.text
    assert page.text.count("Importances need") == bool(page.plots.get("slice"))


def test_report_while_the_sweep_runs_and_mlflow_is_away(tmp_path: Path) -> None:
    sweep = made(tmp_path, [complete(0.8), None], tracking_uri="http://127.0.0.1:9")
    with sweep.lock():
        page = page_of(read_facts(open_sweep(Where(tmp_path), "made")))
    text = page.text
    assert {trace["name"] for trace in page.plots["timeline"]["data"]} == {"COMPLETE", "RUNNING"}
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
    for arguments, more in (
        (["leaderboard", name], {"sklearn", "matplotlib", "plotly", "jinja2"}),
        (["report", name, "-o", str(tmp_path / "r.html")], set()),  # Optuna loads scikit-learn and matplotlib
    ):
        code = (
            "import sys; from pcdarts_tune.cli import run; "
            f"assert run({[*arguments, '--home', home]!r}) == 0; "
            f"heavy = { {'torch', 'mlflow', 'ray', *more} } & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
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


def test_rank_correlations_are_of_numbers_that_differ() -> None:
    tune = {
        "up": FloatRange(low=0, high=10),
        "down": IntRange(low=0, high=10),
        "same": FloatRange(low=0, high=1),
        "name": CategoricalRange(choices=("a", "b")),
    }
    trials = [
        TrialRecord(
            i, "complete", 0.1 * i, None, None, None, None,
            {"up": float(i * i), "down": 5 - i, "same": 0.5, "name": "ab"[i % 2]}, None, None, 0,
        )
        for i in range(3)
    ]  # fmt: skip
    assert importances(trials, tune).correlations == {"up": pytest.approx(1), "down": pytest.approx(-1)}
    assert importances(trials[:2], tune).correlations == {}, "two points always lie on a line"


def test_conditional_settings_are_one_setting() -> None:
    import optuna

    conditional = SPACE.tune["search.batch_size"]
    assert merge_ranges(conditional, []) == optuna.distributions.IntDistribution(64, 512)
    assert merge_ranges(conditional, [32]) == optuna.distributions.IntDistribution(32, 512), (
        "of an older space"
    )
    parts = {"a": FloatRange(low=1e-3, high=0.1, log=True), "b": FloatRange(low=0.01, high=1.0, log=True)}
    both = ConditionalRange(by="x", ranges=parts)
    assert merge_ranges(both, []) == optuna.distributions.FloatDistribution(1e-3, 1.0, log=True)
    mixed = ConditionalRange(
        by="x", ranges={"a": CategoricalRange(choices=(8, 2)), "b": IntRange(low=1, high=4)}
    )
    assert merge_ranges(mixed, [3]).choices == (2, 3, 8)
    named = merge_ranges(CategoricalRange(choices=(True, None, "a<b")), [])
    assert named.choices == ("true", "null", "a&lt;b")
    study = make_plot_study(records(30, 0, lambda values, draw: draw.random()), SPACE.tune)
    assert {name for trial in study.trials for name in trial.params} == set(SPACE.tune)
    assert "search.batch_size" in compute_importances(study).shares


def test_several_objectives_and_rungs(tmp_path: Path) -> None:
    space = SPACE.model_copy(update={"objectives": ("accuracy", "macs", "latency")})
    sweep = create_sweep(tmp_path, "made", space, SweepSettings(), trials=5, data=DATA)
    for accuracy, macs in ((0.9, 30_000_000), (0.8, 10_000_000), (0.7, 20_000_000), (0.95, 400_000_000)):
        number = sweep.study.ask(5).number
        sweep.study.start(number)
        sweep.study.decide_at_rung(
            number, {"accuracy": accuracy / 2, "macs": macs, "latency": 1.0}, Rung(2, 8, 0.5, 99)
        )
        sweep.study.tell(
            number, complete(accuracy, macs=macs, latency=1.0 + number, genotype_hash=str(number))
        )
    page = page_of(read_facts(open_sweep(Where(tmp_path), "made")))
    assert "The sweep aimed at accuracy and macs, latency. On the line is the Pareto front" in page.text
    assert {"front-params", "front-macs", "front-latency", "rungs"} <= set(page.plots)
    dominated, front, line = page.plots["front-macs"]["data"]
    assert [text[:7] for text in dominated["text"]] == ["trial 2"]
    assert sorted(text[:7] for text in front["text"]) == ["trial 0", "trial 1", "trial 3"]
    assert list(zip(values_of(line["x"]), values_of(line["y"]), strict=True)) == [
        (1e7, 0.8),
        (3e7, 0.9),
        (4e8, 0.95),
    ]
    assert page.plots["front-macs"]["layout"]["xaxis"]["type"] == "log"
    assert traces(page.plots["optimization"], "best so far")[0]["y"]
    rungs = page.plots["rungs"]["data"]
    assert [trace["name"] for trace in rungs] == ["Trial0", "Trial1", "Trial2", "Trial3"]
    assert values_of(rungs[0]["y"]) == [0.45]


def test_report_of_a_sweep_that_tunes_nothing(tmp_path: Path) -> None:
    space = Space(name="made", description="")
    sweep = create_sweep(tmp_path, "plain", space, SweepSettings(), trials=2, data=DATA)
    for accuracy in (0.5, 0.5):
        number = sweep.study.ask(2).number
        sweep.study.start(number)
        sweep.study.tell(number, complete(accuracy))
    page = page_of(read_facts(open_sweep(Where(tmp_path), "plain")))
    assert "Tuned by tpe: nothing." in page.text
    assert "settings" not in page.sections


def test_retrainings_and_their_spread(tmp_path: Path) -> None:
    sweep = made(tmp_path, [complete(0.9)])
    hash_ = GENOTYPE.canonical_hash()
    baseline = "0123456789abcdef"  # a random cell, which no trial has
    for name, seed, held_out, test in (
        (baseline, 0, 0.5, None),
        (hash_, 0, 0.91, None),
        (hash_, 1, 0.93, 0.92),
    ):
        folder = sweep.folder.path / "promotions" / f"{name}-{seed}" / "model"
        folder.mkdir(parents=True)
        result = {"epochs": 600, "validation_accuracy": held_out, "test_accuracy": test}
        (folder / "model.json").write_text(json.dumps({"origin": {"seed": seed, "result": result}}))
    (folder.parent.parent / "half").mkdir()
    page = page_of(read_facts(sweep))
    assert (
        f"{hash_[:8]} (best here) 0 1 600 0.9300 0.9200 {hash_[:8]} (best here) 0 0 600 0.9100" in page.text
    )
    assert f"Held-out accuracy of {hash_[:8]} over seeds: 0.9200 (std 0.0141" in page.text
    assert "01234567 baseline 0 600 0.5000" in page.text
    assert "was retrained and tested" in page.text


def test_where_trials_stand() -> None:
    def trial(number: int, objective: float | None, hash_: str | None, k: int, **more: Any) -> TrialRecord:
        state: Any = "complete" if objective is not None else "failed"
        genotype = GENOTYPE.to_dict() if hash_ else None
        return TrialRecord(
            number, state, objective, genotype, hash_, 1, 1, {"supernet.k": k}, None, None, 0, **more
        )

    board = rank_trials(
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
    def trial(accuracy: float, name: str) -> Outcome:
        # 43 images were scored, whatever the space says
        error = math.sqrt(accuracy * (1 - accuracy) / 43)
        held_out = {"images": 43, "classes": 10, "majority": 0.12, "balanced_accuracy": accuracy}
        return complete(accuracy, genotype_hash=name, standard_error=error, held_out=held_out)

    sweep = made(tmp_path, [trial(0.95, "a"), trial(0.94, "b"), trial(0.7, "c")])
    facts = read_facts(sweep)
    assert facts.held_out == 43
    p = (0.95 * 43 + 2) / 47
    assert facts.resolution == pytest.approx(2 * math.sqrt(2 * p * (1 - p) / 47), rel=1e-3)
    assert [s.record.trial for s in facts.tied] == [0, 1]
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
