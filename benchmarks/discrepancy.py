"""Are controlled design edits found and placed, and are benign changes of an honest photo left alone?

    python -m benchmarks.discrepancy run --split dev      # raw values to benchmarks/results/raw/discrepancy-dev.jsonl
    python -m benchmarks.discrepancy run --split test
    python -m benchmarks.discrepancy world --split dev    # rendered phone photos of goods against studio photos
    python -m benchmarks.discrepancy world --split test
    python -m benchmarks.discrepancy angles               # authentic photos of one article from other angles
    python -m benchmarks.discrepancy score                # the tables of all of these, from the raw values
    python -m benchmarks.discrepancy tolerances           # what the measured facts deviate by on honest photos of dev

Real photos: adidas_products and bags_three_brands, split by article. A query is an authentic photo, altered in one box by
`imgmatch.augment.region_forge.forge_region` or left as it is, then taken through one benign condition of
`imgmatch.augment.conditions` and JPEG; the reference is the photo itself. The negatives went through the same conditions,
each as often. So this measures whether an edit can be told from an honest picture of the same view, not whether
counterfeits can be told from genuine goods. Rendered world: phone photos of an item and of altered copies, other angle,
light and ground, against three studio photos of the item.

Trivial scores beside ours: bytes as PNG, number of pixels, mean saturation.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import environment, shared_data, write_raw
from benchmarks.discrepancy_tables import print_angles, print_photos, print_tolerances, print_world
from imgmatch.metrics import split_of

PHOTOS = 14  # per split
STRENGTHS = (0.3, 0.9)
_LEAST_SEEN = 64  # altered pixels: fewer do not show
_FIRST = {"dev": 300, "test": 400}  # seeds of the brands of the rendered world
_PRODUCTS = {"dev": 14, "test": 28}
_LOGO = 0.5  # as in `imgmatch.signals.discrepancy.signal`

Mask = npt.NDArray[np.bool_]


def run(data: Path, split: str) -> None:
    """Edit real photos, examine, write raw values."""
    import cv2

    from imgmatch.augment.changes import recompressed
    from imgmatch.augment.conditions import CONDITIONS, condition
    from imgmatch.augment.region_forge import REGION_FORGERIES, forge_region
    from imgmatch.images import load_image
    from imgmatch.loading.photo import PhotoContext
    from imgmatch.signals.discrepancy.differences import compare
    from imgmatch.signals.discrepancy.measures import plate
    from imgmatch.types import Box
    from imgmatch.vision.geometry import keypoints

    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = [{"environment": environment(), "split": split}]
    used = 0
    for number, path in enumerate(_photos(data, split)):
        image = load_image(path)
        reference = PhotoContext("reference", image, "reference")
        points = keypoints(reference)
        if used == PHOTOS:
            break
        if len(points) < 80:
            continue  # too plain to align: the signal abstains
        used += 1
        cases = [("forged", name, s) for name in REGION_FORGERIES for s in STRENGTHS]
        cases += [("benign", name, STRENGTHS[(number + k) % 2]) for k, name in enumerate(CONDITIONS)]
        for kind, name, strength in cases:
            rng = np.random.default_rng([number, int(10 * strength), *name.encode()])
            # A box of an eighth of the side around a keypoint near the middle: something is there to be altered.
            middle = np.argsort(np.abs(points.xy - [image.width / 2, image.height / 2]).sum(axis=1))[: len(points) // 2]
            x, y = points.xy[middle[rng.integers(len(middle))]]
            half = max(image.width, image.height) / 16
            box = Box(x - half, y - half, x + half, y + half)
            pixels = np.array(image.pixels)
            mask = np.zeros(pixels.shape[:2], bool)
            after = (name, strength)
            if kind == "forged":
                try:
                    forged = forge_region(name, pixels, box, rng, strength)
                except ValueError:
                    rows.append({"kind": "finds nothing to alter", "name": name, "value": None})
                    continue
                pixels, mask = forged.image, forged.mask
                after = (str(rng.choice(list(CONDITIONS))), float(rng.choice(STRENGTHS)))
            changed = condition(after[0], pixels, rng, after[1])
            h, w = changed.image.shape[:2]
            where = cv2.warpPerspective(mask.astype(np.uint8), changed.homography, (w, h)) > 0
            photo = PhotoContext("photo-1", load_image(recompressed(changed.image, int(rng.integers(70, 92)))))
            start = time.process_time()
            found = compare(photo, reference)
            seconds = time.process_time() - start
            polygon = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]])
            beside = () if found is None else plate(photo.image, image, found.match.transform, polygon)
            rows.append(
                {"kind": kind, "name": name, "after": after[0], "strength": strength, "path": path, "group": path}
                | {"visible": int(mask.sum()), "seconds": seconds}
                | _values(found, beside, where)
                | _trivial(photo.image.pixels)
            )
        write_raw(f"discrepancy-{split}", rows)  # after each photo: a run that is cut short can be scored


def run_world(split: str) -> None:
    """Rendered products: phone photos of the item and of altered copies, held against the brand's studio photos."""
    import cv2

    from imgmatch.augment.changes import differs
    from imgmatch.augment.conditions import snapshot
    from imgmatch.images import load_image
    from imgmatch.loading.photo import PhotoContext
    from imgmatch.signals.discrepancy.differences import agreed, compare
    from imgmatch.signals.discrepancy.measures import plate
    from imgmatch.vision.marks import MarkIndex, make_reference
    from imgmatch.world.brands import make_brand
    from imgmatch.world.collection import make_collection
    from imgmatch.world.forge import forge_item, forgeries_of
    from imgmatch.world.logos import logo_picture
    from imgmatch.world.render import PHONE_VIEWS, phone_photo, studio_photo

    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = [{"environment": environment(), "split": split}]
    drawn: Counter[str] = Counter()
    for number in range(_PRODUCTS[split]):
        seed = _FIRST[split] + number
        brand = make_brand(seed)
        spec = make_collection(brand, seed, bags=1, watches=1, variants=1)[number % 2].spec
        views = ("front", "three_quarter", "logo") if spec.category == "bag" else ("front", "tilted", "dial")
        references = [PhotoContext(v, load_image(studio_photo(spec, v)), "reference") for v in views]
        marks = MarkIndex(
            [
                make_reference(brand.brand, k, k, load_image(logo_picture(brand, k)), None)
                for k in ("wordmark", "figure", "combined")
            ]
        )
        rng = np.random.default_rng([_FIRST[split], number])
        # The edits seen least so far, so that each is seen about as often as it applies.
        names = sorted(rng.permutation(forgeries_of(spec)).tolist(), key=lambda n: drawn[n])[:3]
        drawn.update(names)
        logos: dict[int, tuple[Any, float]] = {}
        for view in PHONE_VIEWS[spec.category][::2]:
            key = [_FIRST[split], number, *view.encode()]
            honest = phone_photo(spec, view, np.random.default_rng(key)).pixels
            for place, name in enumerate([None, *names]):
                strength = STRENGTHS[(number // 2 + place + PHONE_VIEWS[spec.category].index(view) // 2) % 2]
                shown, mask = honest, np.zeros(honest.shape[:2], bool)
                if name is not None:
                    altered = forge_item(name, spec, np.random.default_rng(key), strength)
                    shown = phone_photo(altered, view, np.random.default_rng(key)).pixels
                    mask = differs(honest, shown)
                    if mask.sum() < _LEAST_SEEN:
                        rows.append({"kind": "does not show", "name": name, "view": view, "value": None})
                        continue
                photo = PhotoContext("photo-1", load_image(snapshot(shown, rng, 0.6)))
                start = time.process_time()
                compared = [(f, k) for k, r in enumerate(references) if (f := compare(photo, r)) is not None]
                seconds = time.process_time() - start
                seen = [f for f, _ in compared]
                found = agreed(seen) if seen else None  # as the signal does
                beside: tuple[Any, ...] = ()
                timed: dict[str, float] = {}
                if found is not None:
                    at = next(k for f, k in compared if f.match is found.match)
                    if at not in logos:
                        start = time.process_time()
                        marked = [m for m in marks.find(references[at])[:1] if m.evidence >= _LOGO]
                        logos[at] = (np.array(marked[0].polygon()) if marked else None, time.process_time() - start)
                        timed["seconds_mark"] = logos[at][1]
                    if logos[at][0] is not None:
                        start = time.process_time()
                        beside = plate(photo.image, references[at].image, found.match.transform, logos[at][0])
                        timed["seconds_plate"] = time.process_time() - start
                row = {"kind": "forged" if name else "benign", "name": name or "phone", "strength": strength, "view": view}
                row |= {"group": spec.item_id, "visible": int(mask.sum()), "seconds": seconds, "views": len(seen)} | timed
                row |= _values(found, beside, mask)
                if found is not None:  # without what the other views explain
                    row["quietest"] = next(f.strength for f in seen if f.match is found.match)
                rows.append(row | _trivial(photo.image.pixels))
        write_raw(f"discrepancy-world-{split}", rows)


def run_angles(data: Path, pairs: int) -> None:
    """Pairs of authentic photos of one article from other angles: each finding on them is a false alarm."""
    from imgmatch.images import load_image
    from imgmatch.loading.photo import PhotoContext
    from imgmatch.signals.discrepancy.differences import compare

    rows: list[dict[str, Any]] = [{"environment": environment()}]
    for name, a, b in _angles(data, pairs):
        start = time.process_time()
        found = compare(PhotoContext("a", load_image(a)), PhotoContext("b", load_image(b), "reference"))
        seconds = time.process_time() - start
        rows.append({"set": name, "a": a, "b": b, "value": None if found is None else found.strength, "seconds": seconds})
        write_raw("discrepancy-angles", rows)


def _angles(data: Path, pairs: int) -> Iterator[tuple[str, str, str]]:
    """Yield shoes of one article number, and shop photos of a packaged article with its catalog photo."""
    adidas: dict[str, list[str]] = {}
    with open(data / "adidas_products" / "labels.csv", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            if split_of(row["sku"]) == "test":
                adidas.setdefault(row["sku"], []).append(str(data / "adidas_products" / row["path"]))
    catalog: dict[str, str] = {}
    shop: dict[str, list[str]] = {}
    with open(data / "grocery_iconic_vs_photo" / "labels.csv", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            path = str(data / "grocery_iconic_vs_photo" / row["path"])
            if row["role"] == "catalog":
                catalog[row["class_id"]] = path
            elif split_of(row["class_id"]) == "test":
                shop.setdefault(row["class_id"], []).append(path)
    shoes = [("adidas", v[0], v[1]) for v in adidas.values() if len(v) > 1]
    goods = [("groceries", p, catalog[k]) for k, v in shop.items() for p in v if k in catalog]
    rng = np.random.default_rng(2)
    for rows in (shoes, goods):
        yield from (rows[k] for k in rng.permutation(len(rows))[:pairs])


def _photos(data: Path, split: str) -> list[str]:
    paths: dict[str, str] = {}
    for folder, key in (("adidas_products", "sku"), ("bags_three_brands", "product_id")):
        with open(data / folder / "labels.csv", encoding="utf-8") as f:
            for row in csv.DictReader(f):
                if split_of(row[key]) == split:
                    paths.setdefault(f"{folder}/{row[key]}", str(data / folder / row["path"]))
    names = sorted(paths)
    return [paths[names[i]] for i in np.random.default_rng(1).permutation(len(names))]


def _values(found: Any, beside: tuple[Any, ...], where: Mask) -> dict[str, Any]:
    """Return what is kept of a comparison: strengths and colours of the places, facts, whether the strongest place hits."""
    if found is None:
        return {"value": None, "facts": {}, "hit": None}
    hit, chance = _hit(found, where)
    return {
        "value": found.strength,
        "places": [[round(d.strength, 3), round(d.color, 3)] for d in found.differences],
        "inliers": len(found.match),
        "facts": {m.name: m.deviation for m in (*found.measures, *beside)},
        "hit": hit if where.any() else None,
        "chance": chance if where.any() else None,
    }


def _hit(found: Any, where: Mask) -> tuple[bool, float]:
    """Return whether the strongest place touches the altered pixels, and how often a box of its size anywhere in what was
    compared would.
    """
    if not found.differences:
        return False, 0.0
    h, w = where.shape
    (x0, y0), (x1, y1) = _bounds(found.differences[0].query_polygon, w, h)
    size = (max(x1 - x0, 1), max(y1 - y0, 1))
    (left, top), (right, bottom) = _bounds(found.query_polygon, w, h)
    total = np.pad(where.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = (
        total[size[1] :, size[0] :]
        - total[: -size[1], size[0] :]
        - total[size[1] :, : -size[0]]
        + total[: -size[1], : -size[0]]
    )
    everywhere = inside[top : max(bottom - size[1], top) + 1, left : max(right - size[0], left) + 1]
    return bool(where[y0 : y1 + 1, x0 : x1 + 1].any()), float((everywhere > 0).mean()) if everywhere.size else 1.0


def _bounds(polygon: npt.NDArray[np.float64], width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    low, high = (
        np.clip(np.array([polygon.min(axis=0), polygon.max(axis=0)]), 0, [width - 1, height - 1]).astype(int).tolist()
    )
    return (low[0], low[1]), (high[0], high[1])


def _trivial(pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
    import cv2

    return {
        "bytes": len(cv2.imencode(".png", pixels)[1]),
        "pixels": pixels.shape[0] * pixels.shape[1],
        "saturation": float(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1].mean()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "world", "angles", "score", "tolerances"))
    parser.add_argument("--data")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(shared_data(arguments.data), arguments.split)
    elif arguments.command == "world":
        run_world(arguments.split)
    elif arguments.command == "angles":
        run_angles(shared_data(arguments.data), 60)
    elif arguments.command == "tolerances":
        print_tolerances()
    else:
        print_photos()
        print_world()
        print_angles()
