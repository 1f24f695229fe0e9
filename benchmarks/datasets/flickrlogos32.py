"""FlickrLogos-32: marks of 32 brands, and photos without any, with an open-set protocol."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Box, Card, Photo, Published

_TABLED = "as tabled by Bianco et al., Deep learning for logo recognition, Neurocomputing 2017"

CARD = Card(
    title="FlickrLogos-32",
    licence="for research, by request; each photo its owner's",
    cite="Romberg, Garcia Pueyo, Lienhart and van Zwol, Scalable logo recognition in real-world images, ICMR 2011",
    protocol="references from training photos; 960 test photos with a mark and 3,000 without: precision, recall",
    url="https://www.uni-augsburg.de/en/fakultaet/fai/informatik/prof/mmc/research/datensatze/flickrlogos/",
    task="marks",
    published=(
        Published("Romberg et al. 2011", "precision", 0.981, _TABLED),
        Published("Romberg et al. 2011", "recall", 0.610, _TABLED),
        Published("Romberg and Lienhart 2013", "precision", 0.999, _TABLED),
        Published("Romberg and Lienhart 2013", "recall", 0.832, _TABLED),
    ),
    by_request="write to the address on its page",
)
_PARTS = (("trainset", "catalog", "dev"), ("valset-logosonly", "query", "dev"), ("valset-nologos", "distractor", "dev"),
          ("testset-logosonly", "query", "test"), ("testset-nologos", "distractor", "test"))  # fmt: skip


def read(root: Path) -> Iterator[Photo]:
    """``NAME.relpaths.txt`` lists ``classes/jpg/BRAND/FILE``; boxes (x y width height) are beside the masks."""
    for name, role, split in _PARTS:
        if name.endswith("nologos"):  # only the list of a whole part names them
            lines = (root / f"{name.split('-')[0]}.relpaths.txt").read_text("utf-8").split()
            lines = [line for line in lines if "/no-logo/" in line.lower()]
        else:
            lines = (root / f"{name}.relpaths.txt").read_text("utf-8").split()
        for line in lines:
            path = root / line
            if role == "distractor":
                yield Photo(path, role=role, split=split)
                continue
            brand = path.parent.name.lower()
            file = root / "classes" / "masks" / path.parent.name / f"{path.name}.bboxes.txt"
            rows = [list(map(float, row.split())) for row in file.read_text("utf-8").splitlines()[1:] if row.strip()]
            boxes = tuple(Box(brand, x, y, x + w, y + h) for x, y, w, h in rows)
            yield Photo(path, brand, brand, role, split, boxes, unit=path.name)
