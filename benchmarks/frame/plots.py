"""The plots of docs/benchmarks.md, from raw results alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.frame import raw, scorer
from benchmarks.frame.data import REPO

__all__ = ["curves", "draw", "encoders", "precision_recall"]


def draw(results: Path, out: Path = REPO / "docs") -> list[Path]:
    """Write both plots as SVG; return what was written."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "imgmatch"  # the same rows give the same bytes
    drawn = []
    for name, plot in (("benchmarks_precision_recall", precision_recall), ("benchmarks_encoders", encoders)):
        figure = plot(results)
        if figure is not None:
            file = out / f"{name}.svg"
            figure.savefig(file, metadata={"Date": None}, bbox_inches="tight")
            drawn.append(file)
    return drawn


def curves(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return (recall, precision) by contender, of the best match of each row, on the part that chose nothing.

    Rows of copies have `truth` and `matches`, best first; rows of marks `brand` and what each brand is `said` to be worth.
    """
    found = {}
    for contender in dict.fromkeys(r["contender"] for r in rows):
        first = [r for r in rows if not r.get("swapped") and not r.get("drawn")]  # the references that peers are given
        mine = [r for r in first if r["contender"] == contender and r.get("split") != "dev"]
        truth = [r.get("truth") or r.get("brand") for r in mine]
        matches = [r["matches"] if "matches" in r else sorted(r["said"].items(), key=lambda m: -m[1]) for r in mine]
        best = [(m[0][1], m[0][0] == right) for m, right in zip(matches, truth, strict=True) if m]
        found[contender] = scorer.precision_recall([s for s, _ in best], [k for _, k in best], sum(map(bool, truth)))
    return found


def precision_recall(results: Path) -> Any:
    """Copies, and marks, against peers: one panel a suite and set; None where nothing was run."""
    from matplotlib.figure import Figure

    panels = [p for suite in ("copies", "marks_real") for p in raw.parts(suite, results)]
    panels = [p for p in panels if len({r["contender"] for r in p[1]}) > 1]
    if not panels:
        return None
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.2 * across, 3.6 * down), layout="constrained")
    for number, (head, rows) in enumerate(panels, 1):
        axes = figure.add_subplot(down, across, number)
        for contender, (recall, precision) in curves(rows).items():
            axes.plot(recall, precision, label=contender, linewidth=2 if contender == "imgmatch" else 1)
        axes.set(title=f"{head['suite']}: {head['data'].replace('_', ' ')} ({raw.kind(head)})", xlabel="recall")
        axes.set(ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.legend(fontsize=8)
    return figure


def encoders(results: Path) -> Any:
    """Recall@1 against photos a second of one core, one point an encoder and set; None where nothing was run."""
    from matplotlib.figure import Figure

    points = list(raw.parts("encoders", results))
    if not points:
        return None
    figure = Figure(figsize=(5.2, 3.6))
    axes = figure.add_subplot()
    for data in dict.fromkeys(head["data"] for head, _ in points):
        mine = [
            (h["photos_per_cpu_second"], scorer.recall_at([r["rank"] for r in rows], 1).mean(), h)
            for h, rows in points
            if h["data"] == data
        ]
        label = data.replace("_", " ") + (" (rendered)" if mine[0][2]["rendered"] else "")
        axes.scatter([x for x, _, _ in mine], [y for _, y, _ in mine], label=label)
        for x, y, head in mine:
            axes.annotate(head["encoder"], (x, y), fontsize=7, xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="photos a second of one core", ylabel="recall@1, plain cosine", ylim=(0, 1.02))
    axes.legend(fontsize=8)
    return figure
