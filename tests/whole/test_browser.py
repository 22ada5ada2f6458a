"""What a person sees: MLflow's pages on a real sweep's store, the report from disk, the drawn cells, in a real browser.

Screenshots go to test-artefacts/, for a person to look at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from support.chromium import EXECUTABLE, PICTURES, Chromium, Page

from pcdarts_tune import cli
from pcdarts_tune.core.genotype import PUBLISHED, random_genotype
from pcdarts_tune.drawing.cells import cell_svg
from pcdarts_tune.files import read_json
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.tracking.server import serving
from pcdarts_tune.tracking.view import view_key, view_link

if TYPE_CHECKING:
    from conftest import Whole

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no chromium on this machine")

TEXTS = "[...svg.querySelectorAll('text')].map(t => [t, t.getBoundingClientRect()])"
OVERLAPPING = f"""
[...document.querySelectorAll('svg')].flatMap(svg => {{
  const level = {TEXTS}.filter(([t]) => !t.getAttribute('transform'));
  const meet = (p, q) => p.left < q.right - 0.5 && q.left < p.right - 0.5 && p.top + 2 < q.bottom - 2 && q.top + 2 < p.bottom - 2;
  return level.flatMap(([a, p], i) => level.slice(i + 1)
    .filter(([, q]) => meet(p, q)).map(([b]) => a.textContent + ', ' + b.textContent))
}})
"""
"""Texts of a drawing that touch, as this browser set them; slanted ones are not looked at."""
CUT = f"""
[...document.querySelectorAll('svg')].flatMap(svg => {{
  const r = svg.getBoundingClientRect();
  const out = p => p.left < r.left - 1 || p.right > r.right + 1 || p.top < r.top - 1 || p.bottom > r.bottom + 1;
  return {TEXTS}.filter(([, p]) => out(p)).map(([t]) => t.textContent)
}})
"""
"""Texts that leave their drawing."""


PICTURE = (
    "[...document.querySelectorAll('img')].some(i => i.src.includes('get-artifact') && i.src.includes('cells') "
    "&& i.naturalWidth > 200)"
)
"""A logged picture of cells has arrived and is shown."""


@dataclass(frozen=True)
class Pages:
    """MLflow's pages, and where on them the sweep is."""

    browser: Chromium
    address: str
    experiment: str
    sweep_run: str
    best_run: str
    names: dict[str, str]
    whole: Whole

    def open(self, path: str) -> Page:
        return self.browser.open(f"{self.address}/#/{path}")

    def view(self, *, charts: bool) -> Page:
        about = read_json(self.whole.home / "sweeps" / "real" / "sweep.json")
        link = view_link(self.address, self.experiment, view_key("real", about["id"]), charts=charts)
        return self.browser.open(link)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile"), (1600, 1000)) as started:
        yield started


@pytest.fixture(scope="module")
def pages(whole: Whole, browser: Chromium) -> Iterator[Pages]:
    uri = default_tracking_uri(whole.home)
    client = MlflowClient(uri, uri)
    best = client.get_run(whole.board[0]["run_id"])
    with serving(uri, whole.home, 0) as (address, _):
        page = browser.open(f"{address}/#/experiments")
        # MLflow's assistant takes a third of the first page one opens
        page.evaluate("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
        page.evaluate("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        yield Pages(
            browser,
            address,
            best.info.experiment_id,
            best.data.tags["mlflow.parentRunId"],
            best.info.run_id,
            {entry["run_id"]: client.get_run(entry["run_id"]).info.run_name for entry in whole.board},
            whole,
        )


def header_names(page: Page) -> list[str]:
    """From left to right: the order of the elements is that of their making."""
    return list(
        page.evaluate(
            "[...document.querySelectorAll('.ag-header-cell')]"
            ".sort((a, b) => a.getBoundingClientRect().left - b.getBoundingClientRect().left)"
            ".map(e => e.innerText.trim())"
        )
    )


def test_trials_are_nested_under_their_sweep(pages: Pages) -> None:
    page = pages.open(f"experiments/{pages.experiment}/runs?workflowType=machine_learning")
    page.wait_for_text("real t")
    first = next(iter(pages.names.values()))[:10]
    assert first not in page.text, "MLflow shows the sweep alone at first"
    # the row of the sweep has the only button that opens others
    page.wait_for("document.querySelectorAll('.ag-row button').length > 0")
    page.evaluate("document.querySelector('.ag-row button').click()")
    for name in pages.names.values():
        page.wait_for_text(name[:10])
    page.screenshot(PICTURES / "nested.png")


FIRST_COLUMNS = (
    "objective",
    "supernet.k",
    "search.batch_size",
    "search.learning_rate",
    "search.arch_learning_rate",
)


def test_view_shows_trials_best_first_under_named_columns(pages: Pages) -> None:
    page = pages.view(charts=False)
    for name in pages.names.values():
        page.wait_for_text(name[:10])
    page.wait_for_text("objective")
    page.screenshot(PICTURES / "trials.png")
    # MLflow moves its columns until all are there
    for _ in range(50):
        shown = " ".join(header_names(page))
        order = [shown.find(name) for name in FIRST_COLUMNS]
        if min(order) >= 0 and order == sorted(order):
            break
        time.sleep(0.2)
    assert min(order) >= 0, shown
    assert order == sorted(order), "what matters first"
    text = page.text
    places = [text.find(pages.names[entry["run_id"]][:10]) for entry in pages.whole.board]
    assert places == sorted(places), "best first"
    assert "real: trials, best first" in text, "MLflow lists the view by its name"


def test_charts_compare_settings_and_objective(pages: Pages) -> None:
    page = pages.view(charts=True)
    page.wait_for_text("Parallel Coordinates")
    # names that are too long for their axis stand whole in its tooltip
    axes = page.wait_for(
        "(a => a.length >= 5 && a.every(Boolean) && a)([...document.querySelectorAll('g.axis')]"
        ".map(g => (g.querySelector('.axis-label-tooltip') ?? g.querySelector('.label'))?.textContent))"
    )
    assert axes == [
        "supernet.k", "search.batch_size", "log10_search.learning_rate", "log10_search.arch_learning_rate", "objective",
    ]  # fmt: skip
    page.wait_for(PICTURE)
    page.screenshot(PICTURES / "charts.png")


def test_compare_page_has_parallel_coordinates(pages: Pages) -> None:
    runs, experiments = (quote(json.dumps(ids)) for ids in (list(pages.names), [pages.experiment]))
    page = pages.open(f"compare-runs?runs={runs}&experiments={experiments}")
    page.wait_for_text("Parallel Coordinates Plot")
    page.wait_for("document.querySelectorAll('.axis-title').length >= 3")
    for name in pages.names.values():
        page.wait_for_text(name[:10])
    page.screenshot(PICTURES / "compare.png")


def test_run_shows_its_result_its_cells_and_where_to_go_on(pages: Pages) -> None:
    run = f"experiments/{pages.experiment}/runs/{pages.best_run}"
    page = pages.open(f"{run}?workflowType=machine_learning")
    page.wait_for_text("pcdarts-tune promote real")
    page.wait_for_text(pages.names[pages.best_run])
    page.screenshot(PICTURES / "trial.png")
    follow(pages, page, "the other trials", "real: trials, best first")
    page = pages.open(f"{run}/model-metrics?workflowType=machine_learning")
    page.wait_for("document.querySelector('[role=searchbox]') !== null")
    page.evaluate("document.querySelector('[role=searchbox]').focus()")
    page.call("Input.insertText", text="cells")
    page.wait_for(PICTURE)
    page.wait_for("document.querySelector('[role=slider]') !== null")
    page.screenshot(PICTURES / "cells-in-run.png")
    page = pages.open(f"{run}/system-metrics?workflowType=machine_learning")
    page.wait_for_text("search_cpu_percent")
    page.screenshot(PICTURES / "system.png")


def test_sweep_tells_its_result(pages: Pages) -> None:
    page = pages.open(f"experiments/{pages.experiment}/runs/{pages.sweep_run}?workflowType=machine_learning")
    best = pages.whole.board[0]
    page.wait_for_text(f"accuracy {best['objective']:.4f}")
    page.wait_for_text("3 complete of 3")
    page.screenshot(PICTURES / "sweep.png")
    follow(pages, page, f"trial {best['trial']}", pages.names[pages.best_run])
    follow(pages, page, "as charts", "Parallel Coordinates")


def follow(pages: Pages, page: Page, link: str, text: str) -> None:
    """Open what is behind a link of a description, and wait until it says `text`."""
    found = page.wait_for(
        f"[...document.querySelectorAll('a')].find(a => a.innerText === {json.dumps(link)})?.href"
    )
    assert found.startswith(pages.address), found
    pages.browser.open(found).wait_for_text(text)


def test_model_has_its_alias(pages: Pages) -> None:
    page = pages.open(f"models/{pages.whole.promoted['model']}")
    page.wait_for_text("champion")
    page.screenshot(PICTURES / "model.png")


DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))"
"""All plots of a report have been drawn."""
INK = "getComputedStyle(document.querySelector('#optimization .xtick text')).fill"
"""The colour of a plot's text."""


def middle_of(page: Page, selector: str) -> dict[str, float]:
    """Where the middle of an element is, once it has been scrolled into view."""
    page.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
    box = f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    x, y, width, height = page.evaluate(box)
    return {"x": x + width / 2, "y": y + height / 2, "width": width}


def test_report_needs_no_network(whole: Whole, browser: Chromium, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert cli.run(["report", "real", "-o", str(target), "--home", str(whole.home)]) == 0
    page = browser.open(target.as_uri(), offline=True)
    page.wait_for(DRAWN)
    best = whole.board[0]
    for text in (
        f"Trial {best['trial']}: accuracy {best['objective']:.4f}",
        "Leaderboard",
        "How to reproduce it",
    ):
        assert text in page.text
    for expression in (OVERLAPPING, CUT):
        assert page.evaluate(expression.replace("('svg')", "('figure > svg')")) == [], "drawn cells"
    page.screenshot(PICTURES / "report.png", whole=True)
    # the mouse on a trial shows its settings
    point = middle_of(page, "#optimization .scatterlayer .trace .point")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=point["x"], y=point["y"])
    assert "K=" in page.wait_for("document.querySelector('#optimization .hovertext')?.textContent")
    # the slider shows another epoch
    selector = "#alphas-plot .slider-rail-touch-rect"
    rail = middle_of(page, selector)
    before = page.evaluate("document.getElementById('alphas-plot').data[0].text.flat().join()")
    assert before == page.evaluate(
        "document.getElementById('alphas-plot')._transitionData._frames.at(-1).data[0].text.flat().join()"
    ), "the last epoch at first"
    at = {"x": rail["x"] - rail["width"] / 2 + 4, "y": rail["y"], "button": "left", "clickCount": 1}
    page.call("Input.dispatchMouseEvent", type="mousePressed", **at)
    page.call("Input.dispatchMouseEvent", type="mouseReleased", **at)
    page.wait_for("document.querySelector('#alphas-plot .slider-label').textContent === 'epoch 1'")
    page.wait_for(
        f"document.getElementById('alphas-plot').data[0].text.flat().join() !== {json.dumps(before)}"
    )
    assert page.problems == []
    assert page.requests == [target.as_uri()]


def test_report_follows_the_scheme_the_width_and_the_printer(
    whole: Whole, browser: Chromium, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    assert cli.run(["report", "real", "-o", str(target), "--home", str(whole.home)]) == 0
    page = browser.open(target.as_uri(), offline=True, dark=True)
    page.wait_for(DRAWN)
    page.screenshot(PICTURES / "report-dark.png", whole=True)
    colours = f"[getComputedStyle(document.body).backgroundColor, {INK}]"
    dark = page.evaluate(colours)
    # on paper it is light, and nothing is folded away
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for(f"{INK} !== {json.dumps(dark[1])}")
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for(f"{INK} === {json.dumps(dark[1])}")
    assert not page.evaluate("[...document.querySelectorAll('details')].some(d => d.open)")
    # the reader's system turns light
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    page.wait_for(f"{INK} !== {json.dumps(dark[1])}")
    assert page.evaluate(colours)[0] != dark[0]
    size: dict[str, Any] = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    page.wait_for("document.documentElement.scrollWidth <= 420")
    assert page.problems == []
    plain = browser.open(target.as_uri(), offline=True, scripts=False)
    assert "The plots on this page need JavaScript" in plain.text
    assert "Leaderboard" in plain.text
    plain.screenshot(PICTURES / "report-no-scripts.png")


def test_no_labels_of_drawn_cells_touch(browser: Chromium, tmp_path: Path) -> None:
    """All published and twenty random genotypes, as this browser sets their text."""
    drawn = {**PUBLISHED, **{f"random {seed}": random_genotype(seed) for seed in range(20)}}
    figures = [f"<figure>{cell_svg(genotype, title=name)}</figure>" for name, genotype in drawn.items()]
    sheet = tmp_path / "cells.html"
    style = "figure { display: inline-block; zoom: 0.45; margin: 8px; border: 1px solid #ccc }"
    sheet.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><title>Cells</title><style>{style}</style>{''.join(figures)}"
    )
    page = browser.open(sheet.as_uri(), offline=True)
    assert page.evaluate("document.querySelectorAll('svg').length") == len(drawn)
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(CUT) == []
    page.screenshot(PICTURES / "drawn-cells.png", whole=True)
