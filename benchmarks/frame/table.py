"""The tables of README.md and docs/benchmarks.md, printed from the raw results; and which rows are older than their code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.frame import job, raw
from benchmarks.frame.data import REPO
from benchmarks.frame.scorer import Figure

__all__ = ["PLACES", "README_ROWS", "lines", "show", "stale", "written"]

README_ROWS: tuple[tuple[str, str], ...] = (
    ("retrieval", "same article, class or brand of goods, recall@1"),
    ("copies", "copies found at the threshold of 1 % false on dev"),
    ("copies", "a copy claimed where there is none"),
    ("claims", "a brand claimed by design on photos of unknown things, 20 photos a brand"),
    ("marks_real", "marks named rightly, logo signal alone"),
    ("verdicts", "bad listings flagged as leads (balanced, the default)"),
    ("rings", "pairs of sellers in one ring, market of 20,000 listings: precision"),
    ("index_scale", "1,000,000 vectors: recall@10"),
)
"""The rows that a reader needs: suite and figure; the rest is docs."""

PLACES = {"README.md": README_ROWS, "docs/benchmarks.md": None}
_BEGIN, _END = "<!-- printed by: python -m benchmarks table -->", "<!-- end of the table -->"

Cells = dict[tuple[str, str], list[tuple[dict[str, Any], Figure]]]


def collected(results: Path) -> Cells:
    """Return the figures of all suites by (suite, row)."""
    cells: Cells = {}
    for name in job.SUITES:
        try:
            for head, figure in job.figures(name, results):
                cells.setdefault((name, figure.what), []).append((head, figure))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{results / name}: rows that this version of the suite does not score: {type(error).__name__} {error}"
            ) from error
    return cells


def lines(cells: Cells, rows: tuple[tuple[str, str], ...] | None = None) -> Iterator[str]:
    """Yield the table: real beside rendered in one row, always."""
    yield "| question | real photos | rendered | target | suite |"
    yield "| --- | --- | --- | --- | --- |"
    for key in rows if rows is not None else cells:
        mine = cells.get(key, [])
        real = [said(h, f) for h, f in mine if not h["rendered"]]
        rendered = [said(h, f) for h, f in mine if h["rendered"]]
        targets = {f"{f.target} {f.met}{_where(h)}" if f.met else f.target for h, f in mine if f.target}
        shown = ("<br>".join(real) or "not measured", "<br>".join(rendered) or "–", "<br>".join(sorted(targets)) or "–")
        yield f"| {key[1]} | {' | '.join(shown)} | `{key[0]}` |"


def said(head: dict[str, Any], figure: Figure) -> str:
    """One cell: the set, what kind of part it is, the figure, and what else was asked."""
    kind, encoder = raw.kind(head), "" if head["encoder"] == job.ENCODER else head["encoder"]
    name = ", ".join(filter(None, (head["data"].replace("_", " "), "" if kind == "real" else kind, encoder)))
    text = f"**{figure.text()}**" + (f"; {figure.against}" if figure.against else "")
    text += f"; asked with --limit {head['limit']}" if head.get("limit") else ""
    return f"{name}: {text}" if not head["rendered"] else text


def _where(head: dict[str, Any]) -> str:
    return f" ({'rendered' if head['rendered'] else head['data'].replace('_', ' ')})"


def written(text: str, table: str) -> str:
    """Return a page with its table replaced; a page without the two marks is an error."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"expected the lines {_BEGIN} and {_END} around the table")
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def show(results: Path, *, write: bool = False) -> int:
    """Print both tables; put them into their pages where asked."""
    cells = collected(results)
    if not cells:
        raise ValueError(f"{results} has no raw results: run a suite first")
    for page, rows in PLACES.items():
        table = "\n".join(lines(cells, rows))
        print(f"{page}\n\n{table}\n")
        if write:
            file = REPO / page
            file.write_text(written(file.read_text("utf-8"), table), "utf-8")
    return 0


def stale(results: Path) -> int:
    """Print every raw file whose code is not what it was made with, or whose tree was not clean; return 0."""
    count = 0
    for name in (*job.SUITES, "worlds"):
        for head, _ in raw.parts(name, results):
            count += 1
            files = raw.changed(head)
            what = f"{name}, {head['data']}, {head['encoder']}, {head['commit'][:12]} of {head['made'][:10]}"
            dirty = "" if head["clean"] else "; made with uncommitted changes"
            if files:
                more = f" and {len(files) - 4} more" if len(files) > 4 else ""
                print(f"stale: {what}{dirty}: changed since: {', '.join(files[:4])}{more}")
            else:
                print(f"current: {what}{dirty}")
    print(f"{count} raw files")
    return 0
