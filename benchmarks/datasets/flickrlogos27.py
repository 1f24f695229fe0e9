"""FlickrLogos-27: marks of 27 brands in photos of Flickr users."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Box, Card, File, Photo

CARD = Card(
    title="FlickrLogos-27",
    licence="annotations for research; each photo its owner's",
    cite="Kalantidis et al., Scalable triangulation-based logo recognition, ICMR 2011",
    protocol="810 annotated photos are references, 270 query photos: 135 with one of the 27 marks, 135 with none",
    url="http://image.ntua.gr/iva/datasets/flickr_logos/",
    task="marks",
    files=(File("http://image.ntua.gr/iva/datasets/flickr_logos/flickr_logos_27_dataset.tar.gz", mib=100),),
)
_NAME = "flickr_logos_27_dataset"


def read(root: Path) -> Iterator[Photo]:
    """Training rows: file brand subset x0 y0 x1 y1, one a box; query rows: file brand, or none."""
    boxes: dict[tuple[str, str], list[Box]] = defaultdict(list)
    for line in (root / f"{_NAME}_training_set_annotation.txt").read_text("utf-8").splitlines():
        if line.strip():
            file, brand, _, *corners = line.split()
            boxes[file, brand].append(Box(brand.lower(), *map(float, corners[:4])))
    photos = root / f"{_NAME}_images"
    for (file, brand), mine in boxes.items():
        whole = tuple(b for b in mine if b.x1 > b.x0 and b.y1 > b.y0)  # some rows have no area
        yield Photo(photos / file, brand.lower(), brand.lower(), "catalog", "dev", whole, unit=file)
    for line in (root / f"{_NAME}_query_set_annotation.txt").read_text("utf-8").splitlines():
        if line.strip():
            file, brand = line.split()[:2]
            none = brand.lower() == "none"
            yield Photo(
                photos / file,
                "" if none else brand.lower(),
                "" if none else brand.lower(),
                "distractor" if none else "query",
            )
