"""Any folder of your own: BRAND/ITEM/photo, as `imgmatch catalog build` takes it."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, Photo, part_of

CARD = Card(
    title="a folder BRAND/ITEM/*.jpg",
    licence="yours",
    cite="–",
    protocol="one photo of each item with several is held out and asked about; photos in distractors/ show nothing known",
    url="",
    task="articles",
)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read(root: Path) -> Iterator[Photo]:
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES):
        inside = path.relative_to(root).parts
        if inside[0] == "distractors":
            yield Photo(path, role="distractor", split=part_of("folder", path.name))
        elif len(inside) >= 3:
            item = "/".join(inside[:2])
            yield Photo(path, item, inside[0], split=part_of("folder", item))
