"""Any set of your own that a table describes: ``manifest.csv`` or ``manifest.jsonl``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.frame.data import Box, Card, Photo, part_of
from benchmarks.frame.raw import table

CARD = Card(
    title="a table of photos",
    licence="yours",
    cite="–",
    protocol="columns path, item, brand, role (catalog, query, both, distractor, background), split, boxes, unit",
    url="",
    task="articles",
)


def read(root: Path) -> Iterator[Photo]:
    """All columns but `path` may be missing; `boxes` are ``x0 y0 x1 y1`` with ``;`` between several, or lists in JSON."""
    for row in rows(root):
        item, brand = str(row.get("item") or ""), str(row.get("brand") or "")
        boxes = row.get("boxes") or []
        corners = [b.split() for b in boxes.split(";")] if isinstance(boxes, str) else boxes
        yield Photo(
            root / row["path"],
            item,
            brand,
            row.get("role") or ("both" if item else "distractor"),
            part_of("manifest", row.get("unit") or item or row["path"], row.get("split") or ""),
            tuple(Box(brand, *map(float, c)) for c in corners),
            row.get("unit") or "",
        )


def rows(root: Path) -> list[dict[str, Any]]:
    file = root / "manifest.jsonl"
    return [json.loads(x) for x in file.read_text("utf-8").splitlines()] if file.is_file() else table(root / "manifest.csv")
