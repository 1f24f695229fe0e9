"""Grocery Store Dataset: one catalog photo of each packaged article or fruit, phone photos in shops."""

import csv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, File, Photo

CARD = Card(
    title="Grocery Store Dataset",
    licence="MIT",
    cite="Klasson, Zhang and Kjellström, A hierarchical grocery store image dataset, WACV 2019",
    protocol="phone photos of the test part ask the iconic photos; 81 classes (the paper trains classifiers instead)",
    url="https://github.com/marcusklasson/GroceryStoreDataset",
    task="articles",
    files=(File("https://github.com/marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip", mib=120),),
)


def read(root: Path) -> Iterator[Photo]:
    """``classes.csv`` names the iconic photos, ``train.txt``, ``val.txt``, ``test.txt`` the phone photos."""
    home = root / "dataset" if (root / "dataset").is_dir() else root
    names = {}
    with open(home / "classes.csv", encoding="utf-8", newline="") as f:
        for name, number, coarse, _, icon, *_ in list(csv.reader(f))[1:]:
            names[number.strip()] = coarse
            yield Photo(home / icon.strip().lstrip("/"), number.strip(), coarse, "catalog", unit=name)
    for part, split in (("train", "dev"), ("val", "dev"), ("test", "test")):
        with open(home / f"{part}.txt", encoding="utf-8") as f:
            for line in filter(str.strip, f):
                path, number, _ = (x.strip() for x in line.rsplit(",", 2))
                yield Photo(home / path, number, names[number], "query", split)
