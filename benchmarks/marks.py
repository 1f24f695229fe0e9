"""Logos and brand text: which brand do photos show, how often is one claimed wrongly, and are altered marks told apart?

Raw rows first, scores from them later::

    python -m benchmarks.marks read      # OCR of the labelled photos and of groceries
    python -m benchmarks.marks read --side 480   # the fast mode, on the photos with a readable word
    python -m benchmarks.marks letters   # altered and genuine wordmarks, rendered
    python -m benchmarks.marks score     # what has been run; figurative marks: marks_real.py, figures.py

Labels: ``labels/marks.csv`` (368 photos: which brands show, can a person read the word, recognise the figure; written by
eye before any reading was run) and ``labels/brands.csv`` (the marks of a catalog of 108 brands). Photos and the raw rows
stay outside the project.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.common import RAW, read_raw, shared_data, wilson, write_raw
from imgmatch.catalog.items import Brand
from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.records import Listing
from imgmatch.signals.text.misspelt import MISSPELT_CENTRE, misspelt_ratio
from imgmatch.signals.text.settings import TextConfig
from imgmatch.signals.text.signal import TextSignal
from imgmatch.types import Image
from imgmatch.vision import ocr
from imgmatch.vision.ocr import Reading

HERE = Path(__file__).resolve().parent
DATA = shared_data()
CLAIM = 0.5  # the least value that weights/rules.toml takes for a claim


def brands() -> dict[str, Brand]:
    with (HERE / "labels" / "brands.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    split = {
        k: tuple(filter(None, v.split("|")))
        for r in rows
        for k, v in ((r["brand"] + "w", r["wordmarks"]), (r["brand"] + "a", r["aliases"]))
    }
    return {r["brand"]: Brand(r["brand"], r["name"], split[r["brand"] + "w"], split[r["brand"] + "a"]) for r in rows}


def labels() -> list[dict[str, Any]]:
    with (HERE / "labels" / "marks.csv").open(encoding="utf-8") as f:
        return [
            {
                "path": r["path"],
                "brands": set(filter(None, r["brands"].split("|"))),
                "word": r["word_readable"] == "1",
                "figure": r["figure_recognisable"] == "1",
            }
            for r in csv.DictReader(f)
            if (DATA / r["path"]).is_file()  # a smoke run has a few of them
        ]


def groceries() -> list[str]:
    """Every second shop photo and all catalog photos of the groceries."""
    folder = DATA / "grocery_iconic_vs_photo"
    with (folder / "labels.csv").open(encoding="utf-8") as f:
        paths = [r["path"] for r in csv.DictReader(f)]
    return [
        f"grocery_iconic_vs_photo/{p}"
        for p in paths
        if p.startswith("catalog") or int(hashlib.sha256(p.encode()).hexdigest(), 16) % 2
    ]


def photo_of(path: str) -> PhotoContext:
    return PhotoContext(path, load_image(DATA / path))


def read(side: int) -> Iterator[dict[str, Any]]:
    known = set(brands())
    readable = [r["path"] for r in labels() if r["word"] and r["brands"] & known]
    for path in [r["path"] for r in labels()] + groceries() if side == TextConfig().side else readable:
        photo = photo_of(path)
        start = time.perf_counter()
        readings = ocr.read(photo, side)
        yield {
            "path": path,
            "ms": 1000 * (time.perf_counter() - start),
            "readings": [dataclasses.asdict(r) for r in readings],
        }


def reading_of(row: dict[str, Any]) -> Reading:
    return Reading(row["text"], row["confidence"], tuple(row["letters"]), tuple(map(tuple, row["polygon"])), row["mirrored"])


def claims(rows: Iterable[dict[str, Any]]) -> dict[str, list[tuple[str, float, str, str]]]:
    """Per photo the findings (signal, value, brand, reading) of the text signal on stored readings."""
    signal = TextSignal(SimpleNamespace(brands=brands()), TextConfig())
    out = {}
    for row in rows:
        photo = photo_of(row["path"])
        photo.remember(tuple(map(reading_of, row["readings"])), ocr._read, TextConfig().side)
        [findings] = signal.examine([Query(Listing("1"), [photo])])
        out[row["path"]] = [
            (f.signal, f.value, f.brand or "", f.evidence["readings"][0]["reading"]) for f in findings if f.value is not None
        ]
    return out


def score_read(verbose: bool = False) -> None:
    """Print per folder how many readable words were named, and how many photos were given a brand they do not show."""
    rows = read_raw("marks_read")
    for fast in sorted(RAW.glob("marks_read_*.jsonl")):
        few = read_raw(fast.stem)
        same = {r["path"] for r in few}
        truth = {r["path"]: r["brands"] for r in labels()}
        for side, group in ((TextConfig().side, [r for r in rows if r["path"] in same]), (fast.stem.split("_")[-1], few)):
            hits = [
                any(s == "text" and v >= CLAIM and b in truth[path] for s, v, b, _ in f) for path, f in claims(group).items()
            ]
            print(f"side {side}: named {wilson(sum(hits), len(hits))}")
    found = claims(rows)
    truth = {r["path"]: r for r in labels()}
    groups: dict[str, list[tuple[bool, bool, bool, bool]]] = {}
    for path, findings in found.items():
        label = truth.get(path, {"brands": set(), "word": False})
        said = {b for s, v, b, _ in findings if s == "text" and v >= CLAIM}
        alarm = any(s == "logo_tamper" and v >= CLAIM for s, v, _, _ in findings)
        named, wrong = bool(said & label["brands"]), bool(said - label["brands"])
        known = bool(label["brands"] & set(brands()))
        folder = "/".join(path.split("/")[:2]) if path.startswith("distractors") else path.split("/")[0]
        groups.setdefault(folder, []).append((label["word"] and known, named, wrong, alarm))
        if verbose and (wrong or alarm or (label["word"] and known and not named)):
            print(path, sorted(label["brands"]), findings)
    total = [row for g in groups.values() for row in g]
    for folder, g in [*groups.items(), ("all", total)]:
        readable = [named for word, named, _, _ in g if word]
        print(f"{folder:28} named {wilson(sum(readable), len(readable))}")
        print(
            f"{'':28} wrong name {wilson(sum(w for _, _, w, _ in g), len(g))}; misspelt-mark alarms {sum(a for *_, a in g)}"
        )
    ms = [r["ms"] for r in rows]
    print(f"reading: median {np.median(ms):.0f} ms, p90 {np.percentile(ms, 90):.0f} ms (as the machine was)")


# Altered wordmarks, rendered

GENUINE = ("genuine", "hidden")  # the latter: an end is cut off by the picture's edge, or under something
EDITS = (*GENUINE, "swap", "insert", "double", "drop inner", "drop end", "replace", "lookalike", "accent", "case")
LOOKALIKE = {
    "O": "0",
    "I": "l",
    "L": "I",
    "E": "F",
    "C": "G",
    "S": "5",
    "B": "8",
    "A": "4",
    "N": "M",
    "U": "V",
    "o": "0",
    "l": "I",
    "i": "l",
    "a": "o",
    "e": "c",
}
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


def font_families() -> dict[str, list[Path]]:
    """Font files by family: the package rendercv-fonts (open licences) and what the system has."""
    import rendercv_fonts

    roots = [Path(rendercv_fonts.__file__).parent, Path("/usr/share/fonts/truetype")]
    families: dict[str, list[Path]] = {}
    for file in sorted(f for root in roots for f in root.rglob("*.[to]tf")):
        if "Awesome" not in str(file) and "Math" not in file.name:
            families.setdefault(file.stem.split("-")[0], []).append(file)
    return families


def render(text: str, font: Path, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a word as a photo may show it: size, colour, contrast, cloth, light, tilt, blur, noise, JPEG."""
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    size = int(rng.choice([18, 24, 32, 48, 64, 90]))
    face = ImageFont.truetype(str(font), size)
    width, height = 560, 240
    while face.getlength(text) > 480:
        size = int(size * 0.8)
        face = ImageFont.truetype(str(font), size)
    dark, light = sorted(rng.integers(0, 256, 2).tolist())
    dark, light = (dark, light) if light - dark >= 70 else (max(dark - 60, 0), min(light + 60, 255))
    ink, ground = (dark, light) if rng.random() < 0.6 else (light, dark)
    tint = rng.integers(-25, 26, (2, 3))
    canvas = Image.new("RGB", (width, height), tuple(np.clip(ground + tint[0], 0, 255).tolist()))
    ImageDraw.Draw(canvas).text(
        (width / 2, height / 2), text, fill=tuple(np.clip(ink + tint[1], 0, 255).tolist()), font=face, anchor="mm"
    )
    pixels = np.array(canvas).astype(np.float32)
    if rng.random() < 0.5:  # cloth or grain
        weave = (
            6
            * np.sin(np.arange(width) * rng.uniform(0.8, 2.5))[None, :, None]
            * np.sin(np.arange(height) * rng.uniform(0.8, 2.5))[:, None, None]
        )
        pixels += weave + rng.normal(0, rng.uniform(1, 8), (height, width, 1))
    pixels *= 1 + rng.uniform(-0.25, 0.25) * np.linspace(-1, 1, width)[None, :, None]
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    warped = corners + rng.uniform(-18, 18, (4, 2)).astype(np.float32)
    pixels = cv2.warpPerspective(
        np.clip(pixels, 0, 255),
        cv2.getPerspectiveTransform(corners, warped),
        (width, height),
        borderMode=cv2.BORDER_REPLICATE,
    )
    blur = float(rng.choice([0.0, 0.6, 1.0, 1.5]))
    if blur:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur)
    quality = int(rng.choice([40, 60, 80, 95]))
    _, data = cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR), {
        "size": size,
        "blur": blur,
        "quality": quality,
        "contrast": abs(ink - ground),
    }


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


def as_photo(pixels: np.ndarray) -> PhotoContext:
    height, width = pixels.shape[:2]
    return PhotoContext("x", Image(np.ascontiguousarray(pixels[:, :, ::-1]), "0" * 64, "<render>", width, height, "RAW"))


def letters(genuine: int = 400, each: int = 60) -> Iterator[dict[str, Any]]:
    from imgmatch.market.wordmarks import WordmarkMatcher
    from imgmatch.metrics import split_of

    known = brands()
    signal = TextSignal(SimpleNamespace(brands=known), TextConfig())
    matcher: WordmarkMatcher = signal._matcher
    families = font_families()
    for split in ("dev", "test"):
        names = [b for b in sorted(known) if split_of(b) == split and len(known[b].wordmarks[0]) >= 4]
        fonts = [f for family, files in families.items() if split_of(family) == split for f in files]
        rng = np.random.default_rng({"dev": 1, "test": 2}[split])
        for edit in EDITS:
            wanted = (genuine if edit == "genuine" else each) // (1 if split == "test" else 2)
            while wanted:
                brand = str(rng.choice(names))
                mark = str(rng.choice(known[brand].wordmarks))
                shown = altered(mark, edit, rng)
                if shown is None:
                    continue
                font = fonts[int(rng.integers(len(fonts)))]
                pixels, how = render(shown, font, rng)
                photo = as_photo(pixels)
                if edit == "hidden":
                    seen = ocr.read(photo)
                    if len(seen) != 1:
                        continue
                    photo = as_photo(hide(pixels, seen[0].polygon, seen[0].text, rng))
                wanted -= 1
                start = time.perf_counter()
                readings = ocr.read(photo)
                matches = matcher.match(readings)
                ratios = [(r, m) for m in matches if (r := misspelt_ratio(photo, m, known[m.brand], readings)) is not None]
                best = max(ratios, key=lambda pair: pair[0], default=(None, matches[0] if matches else None))
                yield {
                    "split": split,
                    "edit": edit,
                    "brand": brand,
                    "mark": mark,
                    "shown": shown,
                    "font": font.stem,
                    **how,
                    "ms": 1000 * (time.perf_counter() - start),
                    "read": [r.text for r in readings],
                    "ratio": best[0],
                    "claimed": best[1].brand if best[1] else None,
                    "kind": best[1].kind if best[1] else None,
                }


def score_letters() -> None:
    """Print recall and false alarms of misspelt marks at the threshold the signal uses, and at the dev split's 1 %."""
    rows = read_raw("marks_letters")
    for row in rows:
        row["score"] = -1e9 if row["ratio"] is None else row["ratio"]
    dev = np.sort([r["score"] for r in rows if r["split"] == "dev" and r["edit"] == "genuine"])[::-1]
    at_one = max(float(dev[len(dev) // 100]), -1e8) if len(dev) else 0.0
    for split in ("dev", "test"):
        mine = [r for r in rows if r["split"] == split]
        genuine = np.array([r["score"] for r in mine if r["edit"] == "genuine"])
        read_right = sum(_bare(r["mark"]) == _bare("".join(r["read"])) for r in mine if r["edit"] == "genuine")
        print(f"{split}: genuine marks read to the letter {wilson(read_right, len(genuine))}")
        print(f"  false alarms {wilson(int((genuine > MISSPELT_CENTRE).sum()), len(genuine))}")
        hidden = [r["score"] > MISSPELT_CENTRE for r in mine if r["edit"] == "hidden"]
        print(f"  false alarms where an end is cut off or covered {wilson(sum(hidden), len(hidden))}")
        together, everything = [0, 0], [0, 0]
        for edit in EDITS[len(GENUINE) :]:
            values = np.array([r["score"] for r in mine if r["edit"] == edit])
            auroc = np.mean((values[:, None] > genuine) + 0.5 * (values[:, None] == genuine))
            hits = int((values > MISSPELT_CENTRE).sum())
            everything = [everything[0] + hits, everything[1] + len(values)]
            if edit != "lookalike":
                together = [together[0] + hits, together[1] + len(values)]
            one = np.mean(values > at_one)
            print(
                f"  {edit:10} AUROC {auroc:.3f} recall {wilson(hits, len(values))}; at dev's 1 % of false alarms {one:.3f}"
            )
        print(f"  all but look-alike letters: recall {wilson(*together)}; all {wilson(*everything)}")


def _bare(text: str) -> str:
    return text.replace(" ", "").upper()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("read", "letters", "score"))
    parser.add_argument("--genuine", type=int, default=400, help="letters: unaltered marks of test, half as many of dev")
    parser.add_argument("--each", type=int, default=60, help="letters: marks per kind of edit of test, half as many of dev")
    parser.add_argument("--side", type=int, default=TextConfig().side, help="read: the longer side text is looked for at")
    arguments = parser.parse_args()
    what = arguments.what
    if what == "score":
        score_read()
        score_letters()
        return
    if what == "read":
        side = arguments.side
        write_raw("marks_read" if side == TextConfig().side else f"marks_read_{side}", read(side))
        return
    write_raw("marks_letters", letters(arguments.genuine, arguments.each))


if __name__ == "__main__":
    sys.exit(main())
