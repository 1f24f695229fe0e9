"""Are altered wordmarks called misspelt, and genuine ones, also where an end is covered, left alone? Rendered.

Wordmarks of 108 brands (``labels/brands.csv``), genuine and with one edit of nine kinds, are drawn as a photo may show them:
size, colour, tilt, light, blur, noise, JPEG. Fonts: the package rendercv-fonts (open licences) where it is installed,
and what the system and matplotlib bring. Brands and fonts of dev and test are others. Asked is `Matcher` with the text
signal; real look-alikes, of which there are few, are in the suite `words`.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.data import REPO
from benchmarks.frame.job import Job, findings
from benchmarks.frame.raw import table

QUESTION = "Are altered wordmarks called misspelt, and genuine ones left alone?"
DATA = ("rendered",)
GENUINE_PHOTOS, EACH, CALLED = 100, 20, 0.5  # of a part; value from which a finding calls a mark misspelt

GENUINE = ("genuine", "hidden")  # the latter: an end is cut off by the picture's edge, or under something
EDITS = (*GENUINE, "swap", "insert", "double", "drop inner", "drop end", "replace", "lookalike", "accent", "case")
LOOKALIKE = dict(zip("OILECSBANUoliae", "0lIFG584MV0Iloc", strict=True))
ACCENT = dict(zip("AEIOUaeiou", "ÁÉÍÓÚáéíóú", strict=True))


def altered(mark: str, edit: str, rng: np.random.Generator) -> str | None:
    """Return the mark with one edit of a kind, None where it has no place for it."""
    letters = [i for i, c in enumerate(mark) if c.isalpha()]
    inner = letters[1:-1]
    if edit in GENUINE:
        return mark
    if edit == "drop end":
        end = letters[int(rng.choice([0, -1]))]
        return mark[:end] + mark[end + 1 :]
    places = {
        "swap": [i for i in letters[:-1] if mark[i + 1 : i + 2].isalpha() and mark[i + 1] != mark[i]],
        "lookalike": [i for i in letters if mark[i] in LOOKALIKE],
        "accent": [i for i in letters if mark[i] in ACCENT],
        "case": [i for i in inner if mark[i].lower() not in "cosuvwxzkpy" and mark[i].swapcase() != mark[i]],
        "double": inner,
    }.get(edit, inner)
    if not places:
        return None
    i = int(rng.choice(places))
    c = mark[i]
    other = chr(int(rng.integers(26)) + ord("A" if c.isupper() else "a"))
    new = {
        "swap": mark[i + 1 : i + 2] + c,
        "insert": c + other,
        "double": c + c,
        "drop inner": "",
        "replace": other if other != c else chr((ord(c) - 64) % 26 + 65),
        "lookalike": LOOKALIKE.get(c, c),
        "accent": ACCENT.get(c, c),
        "case": c.swapcase(),
    }[edit]
    out = mark[:i] + new + mark[i + (2 if edit == "swap" else 1) :]
    return None if out.upper() == mark.upper() and edit not in ("case", "accent") else out


SYMBOLS = ("Awesome", "Math", "Siz", "NonUni", "cmex", "cmsy", "Display", "LastResort")
"""Fonts of signs, which have no letters."""


def font_families() -> dict[str, list[Path]]:
    """Font files by family: see the module."""
    found = [importlib.util.find_spec(name) for name in ("rendercv_fonts", "matplotlib")]
    roots = [Path("/usr/share/fonts/truetype"), *(Path(spec.origin).parent for spec in found if spec and spec.origin)]
    families: dict[str, list[Path]] = {}
    for file in sorted(f for root in roots for f in root.rglob("*.[to]tf")):
        if not any(name in str(file) for name in SYMBOLS):
            families.setdefault(file.stem.split("-")[0], []).append(file)
    return families


def render(text: str, font: Path, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a word as a photo may show it: size, colour, contrast, tilt, and what a phone and a re-post do to it."""
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    from imgmatch.augment.conditions import snapshot

    size, (width, height) = int(rng.choice([18, 24, 32, 48, 64, 90])), (560, 240)
    size = min(size, int(480 * size / ImageFont.truetype(str(font), size).getlength(text)))
    dark, light = sorted(rng.integers(20, 220, 2).tolist())
    dark, light = (dark, light) if light - dark >= 70 else (max(dark - 60, 0), min(light + 60, 240))
    ink, ground = (dark, light) if rng.random() < 0.6 else (light, dark)
    colours = np.clip(np.array([[ground], [ink]]) + rng.integers(-25, 26, (2, 3)), 0, 255).tolist()
    canvas = Image.new("RGB", (width, height), tuple(colours[0]))
    face = ImageFont.truetype(str(font), size)
    ImageDraw.Draw(canvas).text((width / 2, height / 2), text, fill=tuple(colours[1]), font=face, anchor="mm")
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    tilt = cv2.getPerspectiveTransform(corners, corners + rng.uniform(-18, 18, (4, 2)).astype(np.float32))
    tilted = cv2.warpPerspective(np.array(canvas), tilt, (width, height), borderMode=cv2.BORDER_REPLICATE)
    pixels, quality = snapshot(tilted, rng, float(rng.uniform(0.1, 0.6))), int(rng.choice([40, 60, 80, 95]))
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR), {"size": size, "quality": quality, "contrast": abs(ink - ground)}


def hide(pixels: np.ndarray, polygon: Sequence[tuple[float, float]], text: str, rng: np.random.Generator) -> np.ndarray:
    """Take one end of a word away, as far as its last letter: outside the picture, or under a thing of a tone of its own."""
    import cv2

    xs = [x for x, _ in polygon]
    letter = (max(xs) - min(xs)) / max(len(text), 1)
    first = bool(rng.random() < 0.5)
    at = round(min(xs) + 1.1 * letter if first else max(xs) - 1.1 * letter)
    if rng.random() < 0.5:
        return np.ascontiguousarray(pixels[:, at:] if first else pixels[:, :at])
    over = pixels.astype(np.float32)
    part = over[:, :at] if first else over[:, at:]
    part[:] = rng.integers(0, 256, 3) + rng.normal(0, 3, (*part.shape[:2], 1))
    return cv2.GaussianBlur(np.clip(over, 0, 255).astype(np.uint8), (0, 0), 0.7)


def brand_rows() -> list[dict[str, Any]]:
    """Rows of a catalog's ``brands.jsonl``: how 108 brands write themselves."""
    rows = table(REPO / "benchmarks" / "labels" / "brands.csv")
    split = {"wordmarks", "aliases"}
    return [
        {k: list(filter(None, v.split("|"))) if k in split else v for k, v in r.items() if k in {"brand", "name"} | split}
        for r in rows
    ]


def _half(name: str) -> str:
    return "test" if hashlib.sha256(name.encode()).digest()[0] % 2 else "dev"


def run(job: Job) -> Iterator[dict[str, Any]]:
    import cv2

    from imgmatch import Config, Listing, Matcher

    brands = brand_rows()
    matcher = Matcher(job.catalog([], brands), Config(signals=("text",)))
    families = font_families()
    for part in ("dev", "test"):
        named = [b for b in brands if _half(b["brand"]) == part and b["wordmarks"] and len(b["wordmarks"][0]) >= 4]
        fonts = [f for family, files in families.items() if _half(family) == part for f in files]
        fonts = fonts or [f for files in families.values() for f in files]
        rng = np.random.default_rng({"dev": 1, "test": 2}[part])
        for edit in EDITS:
            wanted = job.size(2, 5, GENUINE_PHOTOS if edit == "genuine" else EACH)
            made = 0
            while made < wanted:
                brand = named[int(rng.integers(len(named)))]
                mark = str(rng.choice(brand["wordmarks"]))
                shown = altered(mark, edit, rng)
                if shown is None:
                    continue
                font = fonts[int(rng.integers(len(fonts)))]
                pixels, how = render(shown, font, rng)
                if edit == "hidden":
                    apart = np.abs(pixels.astype(float) - np.median(pixels, axis=(0, 1))).sum(2)
                    ink = np.flatnonzero(apart.max(0) > 120)
                    if len(ink) < 2:
                        continue
                    pixels = hide(pixels, [(float(ink[0]), 0.0), (float(ink[-1]), 0.0)], shown, rng)
                made += 1
                data = bytes(cv2.imencode(".png", pixels)[1])
                record = matcher.examine(Listing("1", ("word.png",)), photos={"word.png": data})
                value = {
                    s: max((f.value or 0.0 for f in findings(record, s) if f.brand == brand["brand"]), default=0.0)
                    for s in ("text", "logo_tamper")
                }
                yield {"split": part, "edit": edit, "unit": brand["brand"], "mark": mark, "shown": shown, "font": font.stem,
                       **how, **value}  # fmt: skip


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    by = {e: [r for r in rows if (r["split"], r["edit"]) == ("test", e)] for e in EDITS}

    def called(what: str, *edits: str, **more: str) -> scorer.Figure:
        return scorer.share_of(what, [r for e in edits for r in by[e]], lambda r: r["logo_tamper"] >= CALLED, **more)

    kinds = [e for e in EDITS if e not in GENUINE]
    by_kind = ", ".join(f"{e} {100 * called('', e).value:.0f} %" for e in kinds)
    yield called("misspelt wordmarks called, nine kinds of edit", *kinds, against=by_kind, target=">= 0.8")
    yield called("genuine wordmarks called misspelt", "genuine", target="<= 0.01")
    yield called("genuine wordmarks with a covered end called misspelt", "hidden", target="<= 0.01")
