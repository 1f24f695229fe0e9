"""The real photos beside the project, `../shared/data`: one reader for all, for each set has a ``labels.csv``."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.frame.data import Box, Card, Photo, part_of
from benchmarks.frame.raw import table

_CARD = Card(
    title="real photos beside the project",
    licence="third parties'; results only, never a photo",
    cite="../shared/data/README.md",
    protocol="one photo of each article held out, or query role; halves by hash (seen), a part locked",
    url="",
    task="articles",
    seen=True,
)
SETS = {
    "adidas_products": replace(_CARD, title="adidas articles, several views"),
    "grocery_iconic_vs_photo": replace(_CARD, title="groceries: catalog photo, phone photos"),
    "eval_bags_watches": replace(_CARD, title="watches of seven brands"),
    "bags_three_brands": replace(_CARD, title="bags of three brands"),
    "watches_fashion_catalog": replace(_CARD, title="250 watches"),
    "distractors": replace(_CARD, title="everyday photos"),
    "seller_reposts": replace(_CARD, title="sellers' posts and re-posts", task="copies"),
    "logos_in_photos": replace(_CARD, title="marks of 20 brands in photos", task="marks"),
    "reference_logos": replace(_CARD, title="drawings of marks", task="marks"),
    "lookalike_logos": replace(_CARD, title="genuine and lookalike logos", task="marks"),
}
_ITEM = {"adidas_products": "sku", "grocery_iconic_vs_photo": "class_id", "bags_three_brands": "product_id"}
_WITH_STRANGERS = ("adidas_products", "bags_three_brands", "eval_bags_watches", "seller_reposts")
LABELS = Path(__file__).parents[1] / "labels"
_REFERENCES = 8  # the first dev photos of a brand in logos_in_photos, as its README says


def reader(name: str) -> Callable[[Path], Iterator[Photo]]:
    return partial(_read, name)


def _read(name: str, root: Path) -> Iterator[Photo]:
    """Photos of the set, and as distractors the everyday photos on which nobody reads a brand of it."""
    brands = set()
    for photo in _own(name, root):
        brands.add(_folded(photo.brand))
        yield photo
    everyday = root.parent / "distractors"
    if name in _WITH_STRANGERS and everyday.is_dir():
        for row in table(LABELS / "distractor_brands.csv"):
            if not brands & {_folded(b) for b in row["brands"].split("|")}:
                part = part_of("distractors", row["path"])
                yield Photo(everyday / row["path"], role="distractor", split=part, unit=row["path"])


def _folded(brand: str) -> str:
    return "".join(c for c in brand.lower() if c.isalnum()) or "?"


def _own(name: str, root: Path) -> Iterator[Photo]:
    read = {r["path"]: r for r in table(LABELS / "seller_brands.csv")} if name == "seller_reposts" else {}
    first: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for row in table(root / "labels.csv"):
        brand, role, boxes = row.get("brand", "").lower(), row.get("role", ""), ()
        if name == "seller_reposts":  # a group of re-posts goes by its first post
            first[row["post_id"]] = first.get(row["repost_of"], row["repost_of"] or row["post_id"])
            item = unit = first[row["post_id"]]
            label = read.get(row["path"], {"brand": "", "doubt": "1"})
            brand = "" if label["doubt"] == "1" or "|" in label["brand"] else label["brand"].lower()
        elif name == "logos_in_photos":
            item, unit = brand, row["path"]
            boxes = tuple(Box(brand, *map(float, b.split())) for b in row["boxes"].split(";") if b.strip())
            dev = row["half"] == "dev"
            taken[brand] += dev
            role = "catalog" if dev and taken[brand] <= _REFERENCES else "query"
            yield Photo(root / row["path"], item, brand, role, "dev" if dev else "locked", boxes, unit)
            continue
        elif name == "reference_logos":
            item = unit = "".join(c for c in brand if c.isalnum())
        elif name in _ITEM:
            item = unit = row[_ITEM[name]]
        else:
            item, unit = (brand if name == "eval_bags_watches" else row["path"]), row["path"]
        shown = "" if name == "distractors" else item
        yield Photo(
            root / row["path"],
            shown,
            brand or ("" if name == "distractors" else row.get("coarse", "unbranded").lower()),
            {"catalog": "catalog", "query": "query", "": "both"}.get(role, "query") if shown else "distractor",
            part_of(name, unit),
            boxes,
            unit,
        )
