"""Marks of the rendered brands: drawings of them as references, and goods whose figure was altered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.datasets.rendered import BRANDS
from benchmarks.frame.job import Job

ALTERED = 3  # goods of each brand


def _brands(job: Job) -> Iterator[tuple[int, Any]]:
    from imgmatch.world.brands import make_brand

    known = {p.brand for p in job.data.photos if p.role == "catalog"}
    for seed in (s for seeds in BRANDS.values() for s in seeds):
        brand = make_brand(seed)
        if brand.brand in known:
            yield seed, brand


def drawn_marks(job: Job) -> tuple[list[dict[str, Any]], list[tuple[str, str, Path, tuple[float, ...]]]]:
    """Return rows of ``brands.jsonl``, and (brand, kind, picture, no box) of each figure and monogram."""
    from imgmatch.world.logos import logo_picture
    from imgmatch.world.staging import jpeg

    rows, marks = [], []
    for _, brand in _brands(job):
        rows.append({"brand": brand.brand, "name": brand.name, "wordmarks": [brand.wordmark]})
        for kind in ("figure", "monogram"):
            file = job.work / "marks" / f"{brand.brand}-{kind}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(jpeg(logo_picture(brand, kind), 95))
            marks.append((brand.brand, kind, file, ()))
    return rows, marks


def altered_goods(job: Job) -> list[tuple[Path, str]]:
    """Return photos of goods of the test half whose figure was altered, with their brands."""
    import numpy as np

    from imgmatch.augment.conditions import snapshot
    from imgmatch.world.collection import make_collection
    from imgmatch.world.forge import forge_item
    from imgmatch.world.render import PHONE_VIEWS, phone_photo
    from imgmatch.world.staging import jpeg

    made = []
    for seed, brand in _brands(job):
        shown = [p.spec for p in make_collection(brand, seed, bags=3, watches=0, variants=2) if seed in BRANDS["test"]]
        for n, spec in enumerate(s for s in shown if s.logo in ("figure", "combined")):
            if n == (1 if job.smoke else ALTERED):
                break
            rng = np.random.default_rng([seed, *spec.item_id.encode()])
            photo = phone_photo(forge_item("altered_figure", spec, rng, 0.8), PHONE_VIEWS["bag"][0], rng)
            file = job.work / "altered" / f"{spec.item_id}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(jpeg(snapshot(photo.pixels, rng, 0.6), 82))
            made.append((file, brand.brand))
    return made
