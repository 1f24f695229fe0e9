"""QMUL-OpenLogo: seven logo sets under one roof, 352 brands."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.datasets.logodet3k import voc_boxes
from benchmarks.frame.data import Card, Photo

CARD = Card(
    title="QMUL-OpenLogo",
    licence="academic research only; each photo its owner's",
    cite="Su, Zhu and Gong, Open logo detection challenge, BMVC 2018",
    protocol="ours, not the paper's (detection mAP): training photos are references, test photos queries",
    url="https://hangsu0730.github.io/qmul-openlogo/",
    task="marks",
    by_request="link on its page",
)


def read(root: Path) -> Iterator[Photo]:
    """``ImageSets/Main/train_test/*_all.txt`` list names in ``JPEGImages`` and ``Annotations``."""
    for part, role, split in (("train", "catalog", "dev"), ("test", "query", "test")):
        for name in (root / "ImageSets" / "Main" / "train_test" / f"{part}_all.txt").read_text("utf-8").split():
            boxes = voc_boxes(root / "Annotations" / f"{name}.xml")
            brand = boxes[0].brand if boxes else ""
            yield Photo(
                root / "JPEGImages" / f"{name}.jpg", brand, brand, role if boxes else "distractor", split, boxes, unit=name
            )
