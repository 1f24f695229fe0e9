"""Are controlled design edits found and placed, and are benign changes of an honest photo left alone?

A query is an authentic photo, altered in one box by `imgmatch.augment.region_forge.forge_region` or left as it is, then
taken through one benign condition of `imgmatch.augment.conditions` and JPEG; the catalog holds the photo itself. So this
measures whether an edit can be told from an honest picture of the same view, not whether counterfeits can be told from
genuine goods. The rendered set adds phone photos of altered copies of its goods, other angle, light and ground.
What the product says is a finding of `Matcher`; its value never reaches what the rules count. Trivial scores stand beside:
bytes as PNG, number of pixels, mean saturation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.data import Photo
from benchmarks.frame.job import Job

QUESTION = "Are altered parts told from honest changes of a photo?"
DATA = ("adidas_products", "bags_three_brands", "rendered")
PHOTOS = 10  # of each part, each under every edit and condition
STRENGTHS = (0.3, 0.9)
VISIBLE = 64  # altered pixels: fewer do not show
TRIVIAL = ("bytes", "pixels", "saturation")


def run(job: Job) -> Iterator[dict[str, Any]]:
    import cv2

    from imgmatch import Config, Matcher

    chosen = _chosen(job)
    catalog = [replace(p, role="catalog") for p in chosen]
    matcher = Matcher(job.catalog(catalog), Config(signals=("design", "discrepancy")))
    folder = job.work / "altered"
    folder.mkdir(exist_ok=True)
    for number, photo in enumerate(chosen):
        for row, pixels, where in _altered(photo, number, job.smoke):
            file = folder / f"{_hash(job.name(photo)).hex()[:12]}-{row['kind']}-{row['name']}-{row['strength']}.png"
            cv2.imwrite(str(file), pixels[..., ::-1])
            verdict = next(job.examine(matcher, [replace(photo, path=file)]))[1].verdict
            found = [f for f in verdict.findings if f.signal == "discrepancy"] if verdict else []
            best = max((f for f in found if f.value is not None), key=lambda f: f.value, default=None)
            yield {
                **row, "split": photo.split, "unit": photo.group, "query": job.name(photo),
                "value": best.value if best else None, "hit": _hit(best, where), "visible": int(where.sum()),
                "bytes": file.stat().st_size, "pixels": int(pixels.shape[0] * pixels.shape[1]),
                "saturation": float(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1].mean()),
            }  # fmt: skip
            Path.unlink(file)


def _chosen(job: Job) -> list[Photo]:
    """One photo of each of a few articles, of those that are structured enough to be compared."""
    first: dict[str, Photo] = {}
    for p in sorted(job.asked(p for p in job.data.photos if p.item and p.role != "query"), key=lambda p: _hash(job.name(p))):
        first.setdefault(p.item, p)
    parts = ("locked",) if job.locked else ("dev", "test")
    return [p for s in parts for p in [q for q in first.values() if q.split == s][: 1 if job.smoke else PHOTOS]]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _altered(photo: Photo, number: int, smoke: bool) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """Yield what was done, the pixels, and where they were altered."""
    import cv2

    from imgmatch import load_image
    from imgmatch.augment.changes import recompressed
    from imgmatch.augment.conditions import CONDITIONS, condition
    from imgmatch.augment.region_forge import REGION_FORGERIES, forge_region
    from imgmatch.types import Box

    image = load_image(photo.path)
    gray = cv2.cvtColor(np.asarray(image.pixels), cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(gray, 60, 0.02, 8)
    if corners is None:
        return
    middle = sorted(corners[:, 0].tolist(), key=lambda c: abs(c[0] - image.width / 2) + abs(c[1] - image.height / 2))
    cases = [("forged", name, s) for name in REGION_FORGERIES for s in STRENGTHS]
    cases += [("benign", name, STRENGTHS[(number + k) % 2]) for k, name in enumerate(CONDITIONS)]
    for kind, name, strength in cases[:: 4 if smoke else 1]:
        rng = np.random.default_rng([number, int(10 * strength), *name.encode()])
        x, y = middle[int(rng.integers(max(len(middle) // 2, 1)))]
        half = max(image.width, image.height) / 16  # a box of an eighth of the side, where something is to be altered
        pixels, after = np.array(image.pixels), (name, strength)
        mask = np.zeros(pixels.shape[:2], bool)
        if kind == "forged":
            try:
                forged = forge_region(name, pixels, Box(x - half, y - half, x + half, y + half), rng, strength)
            except ValueError:
                continue  # there is nothing to alter in that way
            pixels, mask = forged.image, forged.mask
            after = (str(rng.choice(list(CONDITIONS))), float(rng.choice(STRENGTHS)))
        try:
            changed = condition(after[0], pixels, rng, after[1])
        except ValueError:
            continue  # another background needs a plain one
        h, w = changed.image.shape[:2]
        where = cv2.warpPerspective(mask.astype(np.uint8), changed.homography, (w, h)) > 0
        shown = recompressed(changed.image, int(rng.integers(70, 92)))
        yield {"kind": kind, "name": name, "after": after[0], "strength": strength}, shown, where


def _hit(finding: Any, where: Any) -> bool | None:
    """Whether the strongest place of a finding touches the altered pixels; None where nothing was altered or said."""
    if finding is None or not where.any():
        return None
    regions = [r for r in finding.evidence.get("regions", ()) if r["on"] == "query"]
    for region in regions[:1]:  # strongest first
        (x0, y0), (x1, y1) = np.min(region["polygon"], 0).astype(int), np.max(region["polygon"], 0).astype(int)
        if where[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1].any():
            return True
    return False


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    part = "locked" if head["locked"] else "test"
    said = [{**r, "value": 0.0 if r["value"] is None else r["value"]} for r in rows if r["split"] == part]
    benign = [r for r in said if r["kind"] == "benign"]
    forged = [r for r in said if r["kind"] == "forged" and r["visible"] >= VISIBLE]
    both = forged + benign
    if not forged or not benign:
        return

    def area(key: str) -> float:
        return scorer.auroc([r[key] for r in forged], [r[key] for r in benign])

    table = [[r["value"], r["kind"] == "forged"] for r in both]
    low, high = scorer.interval(table, [r["unit"] for r in both], _auroc)
    trivial = "; ".join(f"{k} {max(area(k), 1 - area(k)):.2f}" for k in TRIVIAL)
    silent = sum(r["value"] is None for r in rows if r["split"] == part)
    against = f"{trivial}; abstained on {silent} of {len(said)}"
    what = "part altered on a photo, AUROC against benign changes: it points, it does not count"
    yield scorer.Figure(what, area("value"), low, high, len(both), len({r["unit"] for r in both}), against=against, form="n")
    shown = [r for r in forged if r["hit"] is not None]
    yield scorer.share("… and what it points to is the altered part", [r["hit"] for r in shown], [r["unit"] for r in shown])


def _auroc(table: Any) -> float:
    return scorer.auroc(table[table[:, 1] == 1, 0], table[table[:, 1] == 0, 0])
