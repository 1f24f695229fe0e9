"""Stanford Online Products: eBay listings, several photos of each article."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, File, Photo, Published

_ANCHOR = "Kim et al., Proxy anchor loss, CVPR 2020, table 2"

CARD = Card(
    title="Stanford Online Products",
    licence="none stated; photos of eBay sellers, for research",
    cite="Oh Song, Xiang, Jegelka and Savarese, Deep metric learning via lifted structured feature embedding, CVPR 2016",
    protocol="recall@1, 10, 100, 1000 on the test part: each photo asks for all others, 11,316 articles never trained on",
    url="https://cvgl.stanford.edu/projects/lifted_struct/",
    task="articles",
    published=(
        Published("Proxy-NCA", "recall@1", 0.737, "Movshovitz-Attias et al., ICCV 2017, table 4"),
        Published("Proxy-Anchor", "recall@1", 0.791, _ANCHOR),
        Published("Proxy-Anchor", "recall@10", 0.908, _ANCHOR),
    ),
    files=(File("ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip", mib=2950),),
)


def read(root: Path) -> Iterator[Photo]:
    """Rows of ``Ebay_train.txt`` (dev) and ``Ebay_test.txt``: image_id class_id super_class_id path."""
    for split, name in (("dev", "Ebay_train.txt"), ("test", "Ebay_test.txt")):
        with open(root / name, encoding="utf-8") as f:
            next(f)
            for line in f:
                _, item, kind, path = line.split(maxsplit=3)
                yield Photo(root / path.strip(), item, path.split("_")[0] or kind, split=split)
