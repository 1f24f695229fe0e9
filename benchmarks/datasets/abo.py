"""Amazon Berkeley Objects: listings of Amazon's own brands with several catalog photos."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, File, Photo, part_of
from benchmarks.frame.raw import table

CARD = Card(
    title="Amazon Berkeley Objects",
    licence="CC BY 4.0",
    cite="Collins et al., ABO: dataset and benchmarks for real-world 3D object understanding, CVPR 2022",
    protocol="ours, not the paper's (renderings ask): other photos of an article ask its main photo; halves by hash",
    url="https://amazon-berkeley-objects.s3.amazonaws.com/index.html",
    task="articles",
    files=(
        File("https://amazon-berkeley-objects.s3.amazonaws.com/archives/abo-listings.tar", mib=83),
        File("https://amazon-berkeley-objects.s3.amazonaws.com/archives/abo-images-small.tar", mib=3072),
    ),
)


def read(root: Path) -> Iterator[Photo]:
    """``listings/metadata/listings_*.json.gz`` name photos, ``images/metadata/images.csv`` places them.

    An article is listed once a country, and its variants share photos: one that several articles show asks about none.
    """
    places = root / "images" / "metadata"
    if (places / "images.csv.gz").is_file():
        with gzip.open(places / "images.csv.gz", "rt", encoding="utf-8") as f:
            columns = next(f).strip().split(",")
            rows = [dict(zip(columns, line.strip().split(","), strict=True)) for line in f]
    else:
        rows = table(places / "images.csv")
    path = {row["image_id"]: root / "images" / "small" / row["path"] for row in rows}
    shown: dict[str, tuple[str, str, str]] = {}  # of each photo the article, brand and role
    shared = set()
    for file in sorted((root / "listings" / "metadata").glob("listings_*.json.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as f:
            for row in map(json.loads, f):
                item, brands = row["item_id"], row.get("brand", [])
                english = [b["value"] for b in brands if b["language_tag"].startswith("en")]
                brand = (english or [b["value"] for b in brands] or [""])[0]
                for role, ids in (("catalog", [row.get("main_image_id")]), ("query", row.get("other_image_id", []))):
                    for photo in filter(path.get, ids):
                        if shown.setdefault(photo, (item, brand, role))[0] != item:
                            shared.add(photo)
    for photo, (item, brand, role) in shown.items():
        if photo not in shared:
            yield Photo(path[photo], item, brand, role, part_of("abo", item))
