"""The part of every data set that nothing is tuned on, nor looked at, before a version is published.

A unit is what repeats in a set: an article, a group of reposts, a photo where nothing repeats, a seed of the rendered world.
A unit belongs to the locked part by the hash of its name alone, so the part stays the same on every machine and in every
order of files. `OPENED` is where a suite writes down that it was scored on the locked part: when, and by which commit.

The halves that earlier figures reported are *seen*: they serve development, and prove nothing any more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["LOCKED_SEEDS", "OPENED", "UNITS", "is_locked"]

OPENED = Path(__file__).with_name("locked_opened.jsonl")

LOCKED_SEEDS = range(9000, 9100)
"""Seeds of the rendered world and its markets that no fitting, test or figure of this round may use."""

UNITS = {
    "adidas_products": ("sku", 0.25),
    "grocery_iconic_vs_photo": ("class_id", 0.25),
    "eval_bags_watches": ("path", 0.25),
    "watches_fashion_catalog": ("path", 0.25),
    "bags_three_brands": ("product_id", 0.25),
    "seller_reposts": ("group of reposts, named by its first post_id", 0.25),
    "reference_logos": ("brand, letters and digits only", 0.25),
    "lookalike_logos": ("path", 0.25),
    "distractors": ("path", 0.5),
}
"""What repeats in each set, and the share of units that is locked. Of `logos_in_photos` the whole test half is locked."""


def is_locked(dataset: str, unit: str) -> bool:
    """Tell whether a unit of a data set belongs to its locked part.

    Parameters
    ----------
    dataset : str
        A key of `UNITS`, or ``"logos_in_photos"``, whose units are its halves.
    unit : str
        What `UNITS` says repeats there.
    """
    if dataset == "logos_in_photos":
        return unit == "test"
    share = UNITS[dataset][1]
    digest = hashlib.sha256(f"imgmatch locked 2026-11 {dataset} {unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
