"""Suites on a handful of rendered goods, as a fresh clone runs them; then the table, the plots and the notebook on that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.frame import job, plots, raw, table
from benchmarks.frame.data import REPO


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw results of the copies suite and the encoders on the rendered set."""
    folder = tmp_path_factory.mktemp("results")
    options = {"smoke": True}
    for name in ("retrieval", "copies", "encoders"):
        job.run(name, "rendered", folder, "0", **options)
    return folder


def test_a_fresh_clone_gets_figures_that_are_called_rendered(results: Path, capsys) -> None:
    assert table.show(results) == 0
    printed = capsys.readouterr().out
    assert "copies found where one is claimed | not measured | **" in printed
    assert table.stale(results) == 0
    assert "current: retrieval, rendered" in capsys.readouterr().out
    for name in ("retrieval", "copies", "encoders"):
        for head, rows in raw.parts(name, results):
            assert head["rendered"]
            assert head["rows"] == len(rows) > 0


def test_plots_are_drawn_from_raw_results_alike_each_time(results: Path, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in plots.draw(results, tmp_path)]
    assert len(first) == 2
    assert [p.read_bytes() for p in plots.draw(results, tmp_path)] == first
    assert plots.draw(tmp_path / "none", tmp_path) == []


def test_the_notebook_runs_from_raw_results_to_plots(results: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("RESULTS", str(results))
    monkeypatch.setenv("PLOTS", str(tmp_path))
    notebook = json.loads((REPO / "benchmarks" / "results.ipynb").read_text("utf-8"))
    assert all(not c.get("outputs") for c in notebook["cells"])  # an output may show a photo
    space: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), space)
    printed = capsys.readouterr().out
    assert "| question | real photos | rendered |" in printed
    assert (tmp_path / "benchmarks_precision_recall.svg").is_file()


def test_a_smoke_run_keeps_nothing(capsys) -> None:
    before = sorted(raw.RESULTS.rglob("*.xz"))
    assert main(["encoders", "--smoke", "--dataset", "rendered"]) == 0
    assert "encoders, rendered (rendered)" in capsys.readouterr().out
    assert sorted(raw.RESULTS.rglob("*.xz")) == before
