"""ILIAS: photos of the very same object, taken elsewhere; the core, with as many distractors as you have."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Box, Card, File, Photo, Published

CARD = Card(
    title="ILIAS (core, mini with distractors)",
    licence="CC BY 4.0 for photos the authors took, each other photo its own",
    cite="Kordopatis-Zilos et al., ILIAS: instance-level image retrieval at scale, CVPR 2025",
    protocol="mAP@1k of image queries among positives and distractors; all is test",
    url="https://github.com/ilias-vrg/ilias",
    task="articles",
    published=(Published("ResNet-50 (ImageNet)", "mAP@1k", 0.025, "ilias-1k.netlify.app, 5M distractors"),),
    files=(File("https://vrg.fel.cvut.cz/ilias_data/ilias_core.tar"),),
)


def read(root: Path) -> Iterator[Photo]:
    """``OBJECT/query/Q*.jpg``, ``OBJECT/pos/P*.jpg``, ``*_bbox.txt`` (x y width height); other photos are distractors."""
    core = root / "ilias_core" if (root / "ilias_core").is_dir() else root
    for path in sorted(root.rglob("*.jpg")):
        folder = path.parent.name
        if not path.is_relative_to(core) or folder not in ("query", "pos"):
            yield Photo(path, role="distractor")
            continue
        item = path.parents[1].name
        places = path.with_name(path.stem + "_bbox.txt")
        boxes = [tuple(map(float, line.split()[:4])) for line in places.read_text().splitlines()] if places.is_file() else []
        found = tuple(Box(item, x, y, x + w, y + h) for x, y, w, h in boxes)
        yield Photo(path, item, item, "query" if folder == "query" else "catalog", boxes=found)
