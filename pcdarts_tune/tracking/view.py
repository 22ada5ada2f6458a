"""A sweep's view in MLflow: its trials flat, best first, the columns that matter first, and charts that explain them.

    client.set_experiment_tag(experiment_id, *saved_view("first", "1f0c…", space))
    view_link("http://127.0.0.1:5000", experiment_id, view_key("first", "1f0c…"), charts=True)

MLflow keeps a view of its runs page in a tag of the experiment and shows it under `Views`, or by its address; by itself it
collapses nested runs and hides every parameter and metric.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.tuning import varied_keys
from pcdarts_tune.tracking.store import OBJECTIVE, STANDARD_ERROR
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space

_SECTION = "pcdarts-result"
_COSTS = ("cost/params", "cost/macs", "cost/latency_ms")


def view_key(sweep: str, identity: str) -> str:
    """The view's name in addresses; one sweep's alone, also where another home has a sweep of that name."""
    return f"pcdarts-{sweep}-{identity[:8]}"


def view_tag(key: str) -> str:
    """The experiment's tag that holds the view."""
    return f"mlflow.sharedViewState.{key}"


def view_link(address: str, experiment_id: str, key: str, *, charts: bool) -> str:
    """The page that shows the view, as charts beside the runs or as a table; `address` may be empty, for a page of MLflow
    itself."""
    mode = "&compareRunsMode=CHART" if charts else ""
    page = f"{address}/" if address else ""
    return f"{page}#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={quote(key)}{mode}"


def saved_view(sweep: str, identity: str, space: Space) -> tuple[str, str]:
    """The experiment's tag that holds the view: its key and its value (JSON, at most 5,000 characters)."""
    state = _state(identity, space)
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    now = int(time.time() * 1000)
    view = {
        "name": f"{sweep}: trials, best first",
        "createdAt": now,
        "updatedAt": now,
        "state": f"deflate;{packed}",
        # where MLflow does not know named views yet, it reads these
        **{key: state[key] for key in ("searchFilter", "orderByKey", "orderByAsc", "selectedColumns")},
    }
    return view_tag(view_key(sweep, identity)), json.dumps(view)


def _state(identity: str, space: Space) -> dict[str, Any]:
    keys = naming.ordered_keys(varied_keys(space.tune))
    costs = [cost for cost in _COSTS if cost != "cost/latency_ms" or "latency" in space.objectives]
    columns = [
        _column("metrics", OBJECTIVE),
        _column("metrics", STANDARD_ERROR),
        *(_column("params", key) for key in keys),
        *(_column("metrics", cost) for cost in costs),
        _column("metrics", "arch/skip_connections"),
        *(_column("metrics", f"cost/{unit}_hours") for unit in ("gpu", "cpu")),
        _column("tags", Tag.OUTCOME),
        _column("tags", Tag.GENOTYPE),
    ]
    return {
        "searchFilter": f"tags.\"{Tag.SWEEP_ID}\"='{identity}' and tags.\"{Tag.KIND}\"='trial'",
        "orderByKey": _column("metrics", OBJECTIVE),
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: 36 + 7 * len(column.split("`")[1]) for column in columns},
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": [
            {"uuid": _SECTION, "name": "result", "display": True, "isReordered": True, "deleted": False}
            | {"isGenerated": False, "columns": 2, "cardHeight": 420}
        ],
        "compareRunCharts": _charts(space, keys),
    }


def _charts(space: Space, keys: list[str]) -> list[dict[str, Any]]:
    axes = [naming.plotted_parameter(space.tune, key) for key in keys]
    line = {"scaleType": "linear", "xAxisKey": "step", "selectedXAxisMetricKey": "", "lineSmoothness": 0}
    size = {"key": "cost/params", "type": "METRIC"}
    return [
        _chart("PARALLEL", selectedParams=axes, selectedMetrics=[OBJECTIVE], showAllRuns=True),
        _chart("SCATTER", xaxis=size, yaxis={"key": OBJECTIVE, "type": "METRIC"}, runsCountToCompare=100),
        _chart("IMAGE", imageKeys=["cells"], step=max(0, space.search_epochs - 1), showRunParams=False),
        _chart("BAR", metricKey=OBJECTIVE, runsCountToCompare=20),
        _chart("LINE", metricKey="evaluation/acc_held_out", **line),
        _chart("LINE", metricKey="arch/skip_connections", **line),
    ]


def _chart(kind: str, **settings: Any) -> dict[str, Any]:
    key = settings.get("metricKey", kind).replace("/", "-").lower()
    card = {"type": kind, "uuid": f"pcdarts-{kind.lower()}-{key}", "metricSectionId": _SECTION}
    return {**card, "deleted": False, "isGenerated": False, "runsCountToCompare": 10, **settings}


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"
