"""Figurative marks: are they found and named, and are altered ones told from genuine ones seen in bad light?

    python -m benchmarks.figures icons DIR   # DIR: the npm package simple-icons, unpacked
    python -m benchmarks.figures score

Icons with a licence other than CC0 are left out. They are split by name into dev and test (the parity of their hash).
Half of the scenes without an edit show a mark that is not among the references: the open set. No icon is stored in the
project.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import read_raw, wilson, write_raw
from imgmatch.loading.photo import PhotoContext
from imgmatch.signals.logo.signal import CLAIM, COMPARABLE_PIXELS, COMPARABLE_REST, DIFFERENCE_CENTRE
from imgmatch.types import Image
from imgmatch.vision.geometry import keypoints
from imgmatch.vision.marks import MarkIndex, MarkReference, Sighting, make_reference
from imgmatch.vision.marks.placement import difference, judge

EDITS = ("missing", "added", "moved", "proportions")
SIDE = 480


def _split(name: str) -> str:
    return "test" if hashlib.sha256(name.encode()).digest()[0] % 2 else "dev"


def icons(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Ink (SIDE, SIDE) uint8, 255 for ink, of `count` icons chosen by hash, none with a licence of its own."""
    import resvg_py

    rows = json.loads((folder / "data" / "simple-icons.json").read_text("utf-8"))
    own = {r["slug"] for r in rows if r.get("license", {"type": "CC0-1.0"})["type"] != "CC0-1.0"}
    slugs = sorted((r["slug"] for r in rows if r["slug"] not in own), key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    out = {}
    for slug in slugs[:count]:
        png = resvg_py.svg_to_bytes(
            svg_path=str(folder / "icons" / f"{slug}.svg"), background="#ffffff", width=SIDE - 80, height=SIDE - 80
        )
        gray = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_GRAYSCALE)
        ink = 255 - np.pad(gray, 40, constant_values=255)
        if 0.02 < (ink > 127).mean() < 0.6:
            out[slug] = ink
    return out


def edited(ink: np.ndarray, edit: str, rng: np.random.Generator) -> np.ndarray | None:
    """Alter a mark; None where the mark has no place for such an edit."""
    drawn = ink > 127
    area = drawn.sum()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn.astype(np.uint8))
    parts = [i for i in range(1, count) if 0.05 * area < stats[i, cv2.CC_STAT_AREA] < 0.6 * area]
    if edit == "missing":
        if parts:
            return np.where(labels == rng.choice(parts), 0, ink).astype(np.uint8)
        ys, xs = np.nonzero(drawn)
        out = ink.copy()
        at = int(rng.integers(len(xs)))
        cv2.circle(out, (int(xs[at]), int(ys[at])), int(np.sqrt(rng.uniform(0.12, 0.25) * area / np.pi)), 0, -1)
        lost = (drawn & (out < 128)).sum() / area
        return out if lost > 0.06 else None
    if edit == "added":
        out = ink.copy()
        ys, xs = np.nonzero(drawn)
        for _ in range(20):
            a, b = rng.uniform([xs.min(), ys.min()], [xs.max(), ys.max()], (2, 2)).astype(int)
            if 0.25 * SIDE < np.hypot(*(a - b)) < 0.6 * SIDE:
                cv2.line(out, tuple(map(int, a)), tuple(map(int, b)), 255, int(rng.integers(20, 34)))
                if ((out > 127) & ~drawn).sum() > 0.06 * area:
                    return out
                out = ink.copy()
        return None
    if not parts:
        return None
    part = int(rng.choice(parts))
    mask = np.where(labels == part, ink, 0).astype(np.uint8)
    rest = np.where(labels == part, 0, ink).astype(np.uint8)
    cx, cy = stats[part, 0] + stats[part, 2] / 2, stats[part, 1] + stats[part, 3] / 2
    if edit == "moved":
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.14) * SIDE
        matrix = np.float32([[1, 0, far * np.cos(angle)], [0, 1, far * np.sin(angle)]])
    else:
        s = rng.choice([0.65, 1.4])
        matrix = np.float32([[s, 0, cx * (1 - s)], [0, s, cy * (1 - s)]])
    return np.maximum(rest, cv2.warpAffine(mask, matrix, (SIDE, SIDE)))


def scene(ink: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Show a mark on cloth or leather: size, colours, tilt, curvature, light, occlusion, blur, noise, JPEG."""
    width, height = 640, 480
    size = int(rng.integers(70, 230))
    ground = rng.integers(20, 236, 3).astype(np.float32)
    other = np.clip(255 - ground + rng.normal(0, 30, 3), 0, 255)
    strength = rng.uniform(0.45, 1.0)
    colour = ground + strength * (other - ground)
    if np.abs(colour - ground).max() < 70:
        colour = ground + np.where(ground > 127, -90, 90)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), rng.uniform(0.8, 4))
    grain = grain / grain.std() * rng.uniform(1, 9)
    weave = (
        rng.uniform(0, 9)
        * np.sin(np.arange(width) * rng.uniform(0.5, 2.4))[None]
        * np.sin(np.arange(height) * rng.uniform(0.5, 2.4))[:, None]
    )
    centre = rng.uniform([size * 0.75, size * 0.75], [width - size * 0.75, height - size * 0.75])
    square = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    angle = np.radians(rng.uniform(-22, 22))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to = (square * rng.uniform([0.85, 0.85], [1, 1])) @ turn.T + centre + rng.uniform(-0.05, 0.05, (4, 2)) * size
    matrix = cv2.getPerspectiveTransform(np.float32([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]), to.astype(np.float32))
    bend = float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.6)]))
    source = ink
    if bend:  # round a cylinder
        x = np.linspace(-1, 1, SIDE)
        curve = np.arcsin(np.clip(x * np.sin(bend * np.pi / 2), -1, 1)) / (bend * np.pi / 2)
        grid = np.repeat(((curve + 1) / 2 * (SIDE - 1)).astype(np.float32)[None], SIDE, 0)
        rows = np.repeat(np.arange(SIDE, dtype=np.float32)[:, None], SIDE, 1)
        source = cv2.remap(ink, grid, rows, cv2.INTER_LINEAR)
    step = max(SIDE / size / 2, 0.5)
    source = cv2.GaussianBlur(source, (0, 0), step)
    mask = cv2.warpPerspective(source, matrix, (width, height)).astype(np.float32)[:, :, None] / 255
    pixels = ground + (grain + weave)[:, :, None] + mask * (colour - ground)
    occluded = rng.random() < 0.25
    if occluded:  # a strap or a finger across, in a tone of its own
        tone = (ground + colour) / 2 + rng.normal(0, 40, 3)
        a = centre + rng.uniform(-0.5, 0.5, 2) * size
        direction = rng.uniform(0, np.pi)
        far = np.array([np.cos(direction), np.sin(direction)]) * size * 1.2
        over = np.zeros((height, width), np.uint8)
        cv2.line(
            over,
            tuple((a - far).astype(int).tolist()),
            tuple((a + far).astype(int).tolist()),
            255,
            max(int(rng.uniform(0.06, 0.16) * size), 2),
        )
        over = cv2.GaussianBlur(over, (0, 0), 1.0)[:, :, None] / 255.0
        pixels = pixels * (1 - over) + over * (tone + grain[:, :, None])
    light = (
        1
        + rng.uniform(-0.35, 0.35) * np.linspace(-1, 1, width)[None, :, None]
        + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, height)[:, None, None]
    )
    pixels = pixels * light
    blur = float(rng.choice([0, 0.8, 1.4, 2.0]))
    if blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    quality = int(rng.choice([40, 60, 85]))
    _, data = cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR), {
        "size": size,
        "blur": blur,
        "quality": quality,
        "occluded": occluded,
        "bend": bend > 0,
    }


def photo_of(pixels: np.ndarray) -> PhotoContext:
    return PhotoContext(
        "x", Image(np.ascontiguousarray(pixels), "0" * 64, "<render>", pixels.shape[1], pixels.shape[0], "RAW")
    )


def reference_of(slug: str, ink: np.ndarray) -> MarkReference:
    rgb = np.repeat((255 - ink)[:, :, None], 3, 2)
    return make_reference(slug, slug, "figure", Image(rgb, "0" * 64, slug, SIDE, SIDE, "RAW"), None)


def row_of(photo: PhotoContext, seen: Sighting) -> dict[str, Any]:
    """What the logo signal looks at: evidence of features, and how the drawing differs where it can be compared."""
    placed = judge(photo.image, seen.reference, seen.transform)
    found = difference(placed) if placed is not None else None
    comparable = placed is not None and placed.pixels >= COMPARABLE_PIXELS and found.rest >= COMPARABLE_REST
    size = found.size if comparable else -1.0
    return {"brand": seen.reference.brand, "evidence": seen.evidence, "agreeing": seen.agreeing, "size": size}


def run_icons(folder: Path, genuine: int, each: int, splits: tuple[str, ...], count: int = 240) -> Iterator[dict[str, Any]]:
    inks = icons(folder, count)
    known = {s: k for i, (s, k) in enumerate(inks.items()) if i % 2 == 0}
    unknown = {s: k for s, k in inks.items() if s not in known}
    index = MarkIndex([reference_of(s, k) for s, k in known.items()])
    for split in splits:
        rng = np.random.default_rng({"dev": 1, "test": 2}[split])
        mine, foreign = ([s for s in group if _split(s) == split] for group in (known, unknown))
        for edit in ("genuine", "unknown", *EDITS):
            wanted = genuine if edit in ("genuine", "unknown") else each
            tries = 0
            while wanted and tries < 20 * genuine:
                tries += 1
                slug = str(rng.choice(foreign if edit == "unknown" else mine))
                ink = inks[slug] if edit in ("genuine", "unknown") else edited(inks[slug], edit, rng)
                if ink is None:
                    continue
                pixels, how = scene(ink, rng)
                wanted -= 1
                photo = photo_of(pixels[:, :, ::-1])
                keypoints(photo)  # shared with the copy signal
                start = time.perf_counter()
                placed = index.find(photo)
                ms = 1000 * (time.perf_counter() - start)
                yield {
                    "split": split,
                    "edit": edit,
                    "icon": slug,
                    **how,
                    "ms": ms,
                    "placed": [row_of(photo, p) for p in placed[:6]],
                }


def claimed(placed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Marks that the logo signal would name by their features alone: a rendered scene has no photos of other things."""
    return [p for p in placed if p["evidence"] >= CLAIM]


def score_icons() -> None:
    """Print, per split, how many marks are named, how many unknown ones are, and how many altered ones are told."""
    rows = read_raw("marks_icons")
    for split in sorted({r["split"] for r in rows}):
        mine = [r for r in rows if r["split"] == split]
        own = {id(r): [p for p in claimed(r["placed"]) if p["brand"] == r["icon"]] for r in mine}
        genuine = [r for r in mine if r["edit"] == "genuine"]
        unknown = [r for r in mine if r["edit"] == "unknown"]
        wrong = sum(any(p["brand"] != r["icon"] for p in claimed(r["placed"])) for r in genuine)
        print(f"{split}: named {wilson(sum(bool(own[id(r)]) for r in genuine), len(genuine))}; also a wrong name {wrong}")
        print(f"  unknown marks named {wilson(sum(bool(claimed(r['placed'])) for r in unknown), len(unknown))}")
        alarms = {id(r): max((p["size"] for p in own[id(r)]), default=-1.0) for r in mine}
        plain = np.array([alarms[id(r)] for r in genuine])
        seen = plain[plain >= 0]
        print(f"  genuine marks called altered {wilson(int((plain >= DIFFERENCE_CENTRE).sum()), len(plain))}")
        for edit in EDITS:
            values = np.array([alarms[id(r)] for r in mine if r["edit"] == edit])
            found = values[values >= 0]
            told = int((values >= DIFFERENCE_CENTRE).sum())
            auroc = np.mean((found[:, None] > seen) + 0.5 * (found[:, None] == seen)) if len(found) else float("nan")
            print(f"  {edit:12} named {wilson(len(found), len(values))}; told {wilson(told, len(values))}")
            print(f"  {'':12} of those named, told {wilson(told, len(found))}, AUROC {auroc:.3f}")
    ms = [r["ms"] for r in rows]
    print(f"  without keypoints: median {np.median(ms):.0f} ms, p90 {np.percentile(ms, 90):.0f} ms (as the machine was)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("icons", "score"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--genuine", type=int, default=100)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--split", choices=("dev", "test"), action="append")
    args = parser.parse_args()
    if args.what == "score":
        score_icons()
        return
    write_raw("marks_icons", run_icons(args.folder, args.genuine, args.each, tuple(args.split or ("dev", "test"))))


if __name__ == "__main__":
    main()
