"""A handful of the real photos, laid out as all of them are, so that every suite can run on it in seconds."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from imgmatch.metrics import split_of

Key = tuple[str, ...]

KEYS: dict[str, tuple[int, Callable[[dict[str, str]], Key]]] = {
    # folder: photos kept per key, key of a row
    "adidas_products": (4, lambda r: (r["sku"],)),
    "grocery_iconic_vs_photo": (2, lambda r: (r["class_id"], r["role"])),
    "eval_bags_watches": (1, lambda r: (r["brand"], r["role"], split_of(r["product_id"]))),
    "watches_fashion_catalog": (1, lambda r: (r["brand"],)),
    "bags_three_brands": (2, lambda r: (r["brand"], split_of(r["product_id"]))),
    "reference_logos": (1, lambda r: (r["brand"],)),
    "lookalike_logos": (1, lambda r: (r["brand"], r["authentic"])),
    "distractors": (2, lambda r: (r["path"].split("/")[0],)),
}
MOST = {
    "adidas_products": 10,
    "grocery_iconic_vs_photo": 10,
    "watches_fashion_catalog": 6,
    "reference_logos": 4,
    "lookalike_logos": 2,
}
"""Articles, classes or brands kept of a folder: the first ones in the order of the table."""


def thin(source: Path, target: Path) -> None:
    """Copy a few photos of every labelled folder, with the rows about them."""
    from benchmarks.copy_detection import kept_out

    reposts = (1, lambda r: (split_of(r["post_id"]), str(kept_out(r["post_id"]))))
    for folder, (each, key) in {**KEYS, "seller_reposts": reposts}.items():
        with open(source / folder / "labels.csv", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        allowed = list(dict.fromkeys(key(row)[0] for row in rows))[: MOST.get(folder)]
        taken: Counter[Key] = Counter()
        kept = []
        for row in rows:
            most = 4 if folder == "seller_reposts" and key(row)[1] == "True" else each  # collages take four others
            if key(row)[0] in allowed and taken[key(row)] < most:
                taken[key(row)] += 1
                kept.append(row)
        for row in kept:
            file = target / folder / row["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / folder / row["path"], file)
        with open(target / folder / "labels.csv", "w", encoding="utf-8", newline="") as f:
            table = csv.DictWriter(f, list(rows[0]))
            table.writeheader()
            table.writerows(kept)
