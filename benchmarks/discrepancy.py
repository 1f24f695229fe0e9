"""Are controlled design edits found and placed, and are benign changes of an honest photo left alone?

    python -m benchmarks.discrepancy run --split dev     # raw values to benchmarks/results/raw/discrepancy-dev.jsonl
    python -m benchmarks.discrepancy run --split test
    python -m benchmarks.discrepancy world; python -m benchmarks.discrepancy angles
    python -m benchmarks.discrepancy score-others        # rendered phone photos; real photos from other angles
    python -m benchmarks.discrepancy score               # the strength for 1 % false positives from dev, the table of test

Photos: adidas_products and bags_three_brands, split by article. A query is an authentic photo, altered in one box by
`imgmatch.world.region_forge.forge_region` or left as it is, then taken through one benign condition of `imgmatch.world.conditions`
and JPEG; the reference is the photo itself. The negatives went through the same conditions. So this measures whether an
edit can be told from an honest picture of the same view, not whether counterfeits can be told from genuine goods.

Trivial scores beside ours: bytes as PNG, number of pixels, mean saturation, each in its better direction.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment, read_raw, shared_data, write_raw
from imgmatch.metrics import auroc, split_of, wilson_interval

PHOTOS = 14  # per split


def _photos(data: Path, split: str) -> list[str]:
    paths: dict[str, str] = {}
    for folder, key in (("adidas_products", "sku"), ("bags_three_brands", "product_id")):
        with open(data / folder / "labels.csv", encoding="utf-8") as f:
            for row in csv.DictReader(f):
                if split_of(row[key]) == split:
                    paths.setdefault(f"{folder}/{row[key]}", str(data / folder / row["path"]))
    names = sorted(paths)
    return [paths[names[i]] for i in np.random.default_rng(1).permutation(len(names))]


def run(data: Path, split: str) -> None:
    """Edit, examine, write raw values."""
    import cv2

    from imgmatch.geometry import keypoints
    from imgmatch.images import load_image
    from imgmatch.photo import PhotoContext
    from imgmatch.scoring.differences import compare
    from imgmatch.types import Box
    from imgmatch.world.changes import recompressed
    from imgmatch.world.conditions import CONDITIONS, condition
    from imgmatch.world.region_forge import REGION_FORGERIES, forge_region

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
            continue  # too plain to align: the signal abstains, see the last line of the table
        used += 1
        cases = [("forged", name, s) for name in REGION_FORGERIES for s in (0.3, 0.9)]
        cases += [("benign", name, s) for name in CONDITIONS for s in (0.3, 0.9)]
        for kind, name, strength in cases:
            rng = np.random.default_rng([number, int(10 * strength), *name.encode()])
            pixels = np.array(image.pixels)
            mask = np.zeros(pixels.shape[:2], bool)
            if kind == "forged":
                # A box of an eighth of the side around a keypoint near the middle: something is there to be altered.
                middle = np.argsort(np.abs(points.xy - [image.width / 2, image.height / 2]).sum(axis=1))[: len(points) // 2]
                x, y = points.xy[middle[rng.integers(len(middle))]]
                half = max(image.width, image.height) / 16
                try:
                    forged = forge_region(name, pixels, Box(x - half, y - half, x + half, y + half), rng, strength)
                except ValueError:
                    continue  # nothing to alter there
                pixels, mask = forged.image, forged.mask
                after = str(rng.choice([c for c in CONDITIONS if c not in ("occlusion", "dirt")]))
                changed = condition(after, pixels, rng, 0.4)
            else:
                after, changed = name, condition(name, pixels, rng, strength)
            h, w = changed.image.shape[:2]
            where = cv2.warpPerspective(mask.astype(np.uint8), changed.homography, (w, h)) > 0
            final = recompressed(changed.image, int(rng.integers(70, 92)))
            start = time.process_time()
            found = compare(PhotoContext("photo-1", load_image(final)), reference)
            hit = None
            if found is not None and kind == "forged" and found.differences:
                (x0, y0), (x1, y1) = (f(found.differences[0].query_polygon, axis=0) for f in (np.min, np.max))
                hit = bool(where[max(int(y0), 0) : int(y1) + 1, max(int(x0), 0) : int(x1) + 1].any())
            hsv = cv2.cvtColor(final, cv2.COLOR_RGB2HSV)
            rows.append(
                {
                    "kind": kind,
                    "name": name,
                    "after": after,
                    "strength": strength,
                    "path": path,
                    "visible": int(mask.sum()),
                    "value": None if found is None else found.strength,
                    "hit": hit,
                    "facts": {} if found is None else {m.name: m.deviation for m in found.measures},
                    "inliers": 0 if found is None else len(found.match),
                    "seconds": time.process_time() - start,
                    "bytes": len(cv2.imencode(".png", final)[1]),
                    "pixels": h * w,
                    "saturation": float(hsv[..., 1].mean()),
                }
            )
    print(write_raw(f"discrepancy-{split}", rows))


def run_world(split: str, products: int) -> None:
    """Rendered products: phone photos of the item and of altered copies, held against the brand's studio photos."""
    import cv2

    from imgmatch.images import load_image
    from imgmatch.photo import PhotoContext
    from imgmatch.scoring.differences import compare
    from imgmatch.world.brands import make_brand
    from imgmatch.world.collection import make_collection
    from imgmatch.world.conditions import snapshot
    from imgmatch.world.forge import forge_item, forgeries_of
    from imgmatch.world.render import PHONE_VIEWS, phone_photo, studio_photo

    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = [{"environment": environment(), "split": split}]
    first = {"dev": 300, "test": 400}[split]
    for number in range(products):
        brand = make_brand(first + number)
        spec = make_collection(brand, first + number, bags=1, watches=1, variants=1)[number % 2].spec
        views = ("front", "three_quarter", "logo") if spec.category == "bag" else ("front", "tilted", "dial")
        references = [PhotoContext(v, load_image(studio_photo(spec, v)), "reference") for v in views]
        rng = np.random.default_rng([first, number])
        names = [None, *(str(n) for n in rng.permutation(forgeries_of(spec))[:2])]
        for view in PHONE_VIEWS[spec.category][::2]:
            seed = [first, number, *view.encode()]
            honest = phone_photo(spec, view, np.random.default_rng(seed)).pixels
            for name in names:
                strength = float(rng.choice([0.3, 0.9]))
                shown, mask = honest, np.zeros(honest.shape[:2], bool)
                if name is not None:
                    altered = forge_item(name, spec, np.random.default_rng(seed), strength)
                    shown = phone_photo(altered, view, np.random.default_rng(seed)).pixels
                    mask = cv2.absdiff(shown, honest).max(axis=2) >= 10
                photo = PhotoContext("photo-1", load_image(snapshot(shown, rng, 0.6)))
                start = time.process_time()
                seen = [f for f in (compare(photo, r) for r in references) if f is not None]
                best = max((len(f.match) for f in seen), default=0)
                found = min((f for f in seen if 2 * len(f.match) >= best), key=lambda f: f.strength, default=None)
                hit = None
                if found is not None and found.differences:
                    (x0, y0), (x1, y1) = (f(found.differences[0].query_polygon, axis=0) for f in (np.min, np.max))
                    hit = bool(mask[max(int(y0), 0) : int(y1) + 1, max(int(x0), 0) : int(x1) + 1].any())
                pixels = photo.image.pixels
                rows.append(
                    {
                        "kind": "benign" if name is None else "forged",
                        "name": name or "phone",
                        "strength": strength,
                        "view": view,
                        "item": spec.item_id,
                        "visible": int(mask.sum()),
                        "value": None if found is None else found.strength,
                        "hit": hit,
                        "facts": {} if found is None else {m.name: m.deviation for m in found.measures},
                        "seconds": time.process_time() - start,
                        "bytes": len(cv2.imencode(".png", pixels)[1]),
                        "pixels": pixels.shape[0] * pixels.shape[1],
                        "saturation": float(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1].mean()),
                    }
                )
        write_raw(f"discrepancy-world-{split}", rows)


def run_angles(data: Path, pairs: int) -> None:
    """Pairs of authentic photos of one article from other angles: each finding on them is a false alarm."""
    from imgmatch.images import load_image
    from imgmatch.photo import PhotoContext
    from imgmatch.scoring.differences import compare

    by_sku: dict[str, list[str]] = {}
    with open(data / "adidas_products" / "labels.csv", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            if split_of(row["sku"]) == "test":
                by_sku.setdefault(row["sku"], []).append(str(data / "adidas_products" / row["path"]))
    rows: list[dict[str, Any]] = [{"environment": environment()}]
    articles = sorted(k for k, v in by_sku.items() if len(v) > 1)
    for k in np.random.default_rng(2).permutation(len(articles))[:pairs]:
        a, b = by_sku[articles[k]][:2]
        found = compare(PhotoContext("a", load_image(a)), PhotoContext("b", load_image(b), "reference"))
        rows.append({"a": a, "b": b, "value": None if found is None else found.strength})
        write_raw("discrepancy-angles", rows)


def score_others() -> None:
    """Print the tables of the rendered world and of other angles."""
    rows = read_raw("discrepancy-world-test")
    print("rendered phone photos against studio photos; environment:", rows[0]["environment"])
    told = [r for r in rows[1:] if r["value"] is not None]
    honest = [r for r in told if r["kind"] == "benign"]
    forged = [r for r in told if r["kind"] == "forged" and r["visible"] >= 64]
    print(f"abstained on {len(rows) - 1 - len(told)} of {len(rows) - 1}")
    for name in [*sorted({r["name"] for r in forged}), "all"]:
        some = [r for r in forged if name in ("all", r["name"])]
        truth = [True] * len(some) + [False] * len(honest)
        area = auroc([r["value"] for r in some + honest], truth)
        low, high = wilson_interval(sum(bool(r["hit"]) for r in some), len(some))
        print(f"{name:18s} AUROC {area:.3f}  strongest place hits [{low:.2f}, {high:.2f}] of {len(some)}")
    for key in ("bytes", "pixels", "saturation"):
        scores = [r[key] for r in forged + honest]
        truth = [True] * len(forged) + [False] * len(honest)
        print(f"AUROC of {key}: {max(auroc(scores, truth), auroc([-s for s in scores], truth)):.3f}")
    for limit in (8.0, 32.0):
        low, high = wilson_interval(sum(r["value"] > limit for r in honest), len(honest))
        print(f"honest ones above {limit:g} deviations: 95 % interval [{low:.3f}, {high:.3f}] of {len(honest)}")
    angles = read_raw("discrepancy-angles")[1:]
    for limit in (8.0, 32.0):
        count = sum(r["value"] is not None and r["value"] > limit for r in angles)
        low, high = wilson_interval(count, len(angles))
        print(f"other angles above {limit:g} deviations: {count / len(angles):.3f} [{low:.3f}, {high:.3f}] of {len(angles)}")
    print(f"other angles abstained on: {sum(r['value'] is None for r in angles)} of {len(angles)}")


def score() -> None:
    """Print the table of test, with the strength for 1 % false positives taken from dev."""
    dev, test = read_raw("discrepancy-dev"), read_raw("discrepancy-test")
    print("environment:", test[0]["environment"])
    told = {"dev": [r for r in dev[1:] if r["value"] is not None], "test": [r for r in test[1:] if r["value"] is not None]}

    def limit(rows: list[dict[str, Any]]) -> float:
        values = sorted((r["value"] for r in rows if r["kind"] == "benign"), reverse=True)
        return float(values[int(0.01 * len(values))])

    threshold = limit(told["dev"])
    print(f"strength for 1 % false positives on dev: {threshold:.1f}; dev quantiles of benign strengths 50, 90, 95, 99 %:")
    benign_dev = [r["value"] for r in told["dev"] if r["kind"] == "benign"]
    print(np.percentile(benign_dev, [50, 90, 95, 99]).round(1).tolist())
    benign = [r for r in told["test"] if r["kind"] == "benign"]
    print(f"{'forged on test':12s} strength    AUROC   found  strongest place hits  n")
    forged = [r for r in told["test"] if r["kind"] == "forged" and r["visible"] >= 64]
    for name in [*dict.fromkeys(r["name"] for r in forged), "all"]:
        for strength in (0.3, 0.9):
            rows = [r for r in forged if name in ("all", r["name"]) and r["strength"] == strength]
            if not rows:
                continue
            scores = [r["value"] for r in rows + benign]
            truth = [True] * len(rows) + [False] * len(benign)
            found = np.mean([r["value"] > threshold for r in rows])
            hit = np.mean([bool(r["hit"]) for r in rows])
            print(f"{name:12s} {strength:8.1f} {auroc(scores, truth):8.3f} {found:7.2f} {hit:21.2f} {len(rows):4d}")
    print("benign on test: share above the strength, 95 % interval")
    for name in [*dict.fromkeys(r["name"] for r in benign), "all"]:
        rows = [r for r in benign if name in ("all", r["name"])]
        count = sum(r["value"] > threshold for r in rows)
        low, high = wilson_interval(count, len(rows))
        print(f"{name:14s} {count / len(rows):.3f} [{low:.2f}, {high:.2f}] of {len(rows)}")
    print("leave one benign condition out of the choice of the strength (dev), false positives on it (test):")
    for name in dict.fromkeys(r["name"] for r in benign):
        without = limit([r for r in told["dev"] if r["name"] != name])
        rows = [r for r in benign if r["name"] == name]
        print(f"{name:14s} strength {without:5.1f}: {np.mean([r['value'] > without for r in rows]):.3f}")
    for key in ("value", "bytes", "pixels", "saturation"):
        scores = [r[key] for r in forged + benign]
        truth = [True] * len(forged) + [False] * len(benign)
        area = auroc(scores, truth)
        print(f"AUROC of {key}: {area if key == 'value' else max(area, auroc([-s for s in scores], truth)):.3f}")
    print(f"abstained: {1 - len(told['test']) / (len(test) - 1):.3f} of test; seconds per comparison, median, 90 %:")
    print(np.percentile([r["seconds"] for r in test[1:]], [50, 90]).round(3).tolist())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "world", "angles", "score", "score-others"))
    parser.add_argument("--data")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(shared_data(arguments.data), arguments.split)
    elif arguments.command == "world":
        run_world(arguments.split, 16)
    elif arguments.command == "angles":
        run_angles(shared_data(arguments.data), 40)
    elif arguments.command == "score":
        score()
    else:
        score_others()
