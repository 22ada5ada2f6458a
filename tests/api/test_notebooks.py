"""The notebooks in examples/, run by a kernel as Jupyter runs them, in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a notebook, and returns what its cells showed: the forms of all that was shown, and their texts."""
    for name, folder in (("JUPYTER_RUNTIME_DIR", "runtime"), ("IPYTHONDIR", "ipython")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("PCDARTS_TUNE_HOME", raising=False)

    def runs(name: str) -> tuple[set[str], str]:
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        stored = [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
        assert not stored, "what this machine showed is not kept"
        work = tmp_path / "work"
        work.mkdir()
        client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(work)}})
        client.execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        shown = [output.data for output in outputs if "data" in output]
        texts = [str(output.get("text", "")) for output in outputs]
        return {kind for data in shown for kind in data}, "\n".join(texts + [str(data) for data in shown])

    return runs


def test_a_search_and_its_cells(run: Any) -> None:
    kinds, said = run("search")
    assert {"image/svg+xml", "text/html"} <= kinds
    assert "skip connections" in said
    assert "n=2" in said, said[-2000:]


def test_a_sweep_and_its_report(run: Any, tmp_path: Path) -> None:
    kinds, said = run("sweep")
    assert {"image/svg+xml", "text/html"} <= kinds
    assert "<b>notebook</b>, space quickstart: 2 complete" in said
    assert "trial 1: " in said  # progress as lines
    assert "report.html" in said
    assert (tmp_path / "work" / "report.html").stat().st_size > 10_000


def test_a_table_for_a_paper(run: Any, tmp_path: Path) -> None:
    _, said = run("paper")
    assert said.count("$\\pm$") == 2
    assert said.count("& 2 \\\\") == 2
    assert (tmp_path / "work" / "cells.svg").is_file()
