"""LogoDet-3K: boxes around the marks of three thousand brands."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.frame.data import Box, Card, Photo

CARD = Card(
    title="LogoDet-3K",
    licence="academic research only",
    cite="Wang et al., LogoDet-3K: a large-scale image dataset for logo detection, ACM TOMM 2022",
    protocol="ours, not the paper's (detection mAP): the first four photos of a brand are references, the rest queries",
    url="https://github.com/Wangjing1551/LogoDet-3K-Dataset",
    task="marks",
    by_request="links on its page",
)
_REFERENCES = 4


def read(root: Path) -> Iterator[Photo]:
    """``CATEGORY/BRAND/N.jpg`` with ``N.xml`` (Pascal VOC)."""
    for brand in sorted(p for p in root.glob("*/*") if p.is_dir()):
        files = sorted(brand.glob("*.xml"), key=lambda p: (len(p.stem), p.stem))
        for number, file in enumerate(files):
            role = "catalog" if number < _REFERENCES else "query"
            name = brand.name.lower()
            yield Photo(file.with_suffix(".jpg"), name, name, role, boxes=voc_boxes(file), unit=f"{name}/{file.stem}")


def voc_boxes(file: Path) -> tuple[Box, ...]:
    """Read the boxes of a Pascal VOC annotation.

    Notes
    -----
    The parser of the standard library expands no external entity; files are those of the set's owners.
    """
    found = []
    for thing in ElementTree.parse(file).getroot().iter("object"):
        corners = [float(thing.findtext(f"bndbox/{k}", "nan")) for k in ("xmin", "ymin", "xmax", "ymax")]
        found.append(Box(thing.findtext("name", "").strip().lower(), *corners))
    return tuple(found)
