"""What the bank is drawn from: icons, invented words, crops of pictures and stamps; and whose marks stay out of it."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.frame.data import REPO, SHARED
from imgmatch.types import UInt8Array

__all__ = [
    "COLOURED",
    "GROUND",
    "ICON",
    "PLAIN",
    "STAMP",
    "WORD",
    "Drawn",
    "crops",
    "draw_icon",
    "draw_word",
    "icons",
    "invented",
    "left_out",
    "names_left_out",
    "pictures",
    "stamp",
    "usable",
    "webp",
]

ICON, WORD, GROUND, STAMP = 96, (40, 192), 256, 192
"""Pixels: sides of an icon, height and width of a word, sides of a ground and of a stamp. Guesses."""

PLAIN: Mapping[str, int] = {
    "simple-icons": 4000, "cib": 900, "pinhead": 1500, "temaki": 557, "maki": 215, "mdi": 3000, "ri": 1500,
    "healthicons": 800, "icon-park-solid": 1000, "fluent-emoji-high-contrast": 800, "cryptocurrency": 300, "token": 1200,
    "bi": 600, "mingcute": 800,
}  # fmt: skip
"""Sets of icons of one colour, and at most how many are taken of each. The numbers are guesses."""

COLOURED: Mapping[str, int] = {
    "logos": 2200, "thesvg-color": 4900, "token-branded": 2200, "noto": 1500, "fluent-emoji-flat": 1500,
    "cryptocurrency-color": 483, "cif": 199, "devicon": 1000, "material-icon-theme": 400,
}  # fmt: skip
"""Sets of icons in colours, likewise."""

# Of variants of one drawing, one is enough; an outlined one is thin at 24 pixels.
_VARIANTS = {
    "token-branded": re.compile(r"^(?!.*-background$)"),
    "mdi": re.compile(r"^(?!.*-outline$)"),
    "ri": re.compile(r"fill$"),
    "bi": re.compile(r"fill$"),
    "mingcute": re.compile(r"fill$"),
    "noto": re.compile(r"^(?!.*(skin-tone|-(light|medium|dark)))"),
}

_MEASURED = """
adidas apple bmw citroen coca cocacola dhl fedex ferrari ford google heineken hp intel mcdonald mini nbc nike pepsi porsche
puma redbull sprite starbucks texaco unicef vodafone yahoo

aldi becks carlsberg chimay corona erdinger esso foster guinness milka nvidia paulaner ritter shell singha stella tsingtao
ups

armani audemars balenciaga burberry cartier casio celine chanel citizen coach dior fendi fitbit goyard gucci hermes iwc kors
maserati mcm movado omega panerai prada rolex seiko tissot versace vuitton zenith
"""
"""Brands of FlickrLogos-27, the others of FlickrLogos-32, and of fashion and watches."""

_LABELS = REPO / "benchmarks" / "labels"
_WITHIN = 5  # letters of a name that is looked for within others: a shorter one, such as hp, is within too many words

_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p ph pl pr qu r s sc sh sk sl sm sn sp st str t th tr v w x y z"
)
_VOWELS = "a e i o u ai ea ee oo ou ia io y"
_CODAS = ("", "n", "r", "s", "t", "l", "m", "nd", "x", "ck", "ng", "")

Drawn = tuple[UInt8Array, tuple[int, int]]
"""A drawing in the middle of its canvas, and its own width and height there."""


def normal(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower().removeprefix("si_"))


def names_left_out(references: Path = SHARED / "reference_logos" / "labels.csv") -> frozenset[str]:
    """Return the names of brands that figures are measured on, in small letters and digits.

    Parameters
    ----------
    references : Path
        Labels of the set `reference_logos`. Without them no bank is made: the network would be measured on what it has seen.
    """

    def column(file: Path, name: str) -> Iterator[str]:
        with open(file, encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                yield from re.split(r"[|;]", row[name])

    names = [*_MEASURED.split(), *column(references, "brand"), *column(_LABELS / "distractor_brands.csv", "brands")]
    for name in ("brand", "name", "wordmarks", "aliases"):
        names += column(_LABELS / "brands.csv", name)
    names += column(_LABELS / "seller_brands.csv", "brand")
    names += (other.split(":")[-1] for other in column(_LABELS / "seller_brands.csv", "others"))
    return frozenset(filter(None, map(normal, names)))


def left_out(name: str, names: frozenset[str]) -> bool:
    """Return whether an icon is, or may be, of one of these brands: rather a few harmless ones too many."""
    whole = normal(name)
    parts = {normal(part) for part in re.split("[-_ ]", name)}
    return whole in names or bool(parts & names) or any(len(n) >= _WITHIN and n in whole for n in names)


def icons(folder: Path, sets: Mapping[str, int], names: frozenset[str]) -> Iterator[tuple[str, float, float]]:
    """Yield SVG files, their widths and heights, of random icons of sets of the npm package @iconify/json.

    Parameters
    ----------
    folder : Path
        Where the package was unpacked.
    sets : mapping
        Names of sets, and at most how many icons are taken of each.
    names : frozenset of str
        Brands that are left out.
    """
    draw = random.Random(0)
    for name, most in sets.items():
        content = json.loads((folder / "json" / f"{name}.json").read_text("utf-8"))
        variant = _VARIANTS.get(name, re.compile(""))
        found = [
            k for k, v in content["icons"].items() if not v.get("hidden") and variant.search(k) and not left_out(k, names)
        ]
        draw.shuffle(found)
        for key in found[:most]:
            icon = content["icons"][key]
            left, top, width, height = (
                icon.get(k) or content.get(k) or other
                for k, other in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
            )
            head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="#000"'
            size = f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}"'
            yield f"<svg {head} {size}>{icon['body']}</svg>", width, height


def draw_icon(job: tuple[str, float, float]) -> Drawn | None:
    """Draw an icon, cut to its ink, on an RGBA canvas; None for a file that cannot be drawn or is all but empty."""
    import resvg_py

    svg, *sides = job
    width, height = (max(round(side * ICON / max(sides)), 1) for side in sides)
    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height, skip_system_fonts=True))
        whole = Image.open(io.BytesIO(png)).convert("RGBA")
    except Exception:  # of tens of thousands, a few are broken: resvg says so with plain ValueErrors and panics
        return None
    ink = np.asarray(whole)[..., 3] > 16
    if ink.sum() < 30:
        return None
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = whole.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    return _centred(cut, (ICON, ICON)) if min(cut.size) >= 8 else None


def _centred(picture: Image.Image, size: tuple[int, int]) -> Drawn:
    """Scale a picture so that it just fits a canvas of some height and width, and put it in the middle."""
    height, width = size
    scale = min(height / picture.height, width / picture.width)
    own = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    canvas = Image.new(picture.mode, (width, height))
    canvas.paste(picture.resize(own, Image.Resampling.LANCZOS), ((width - own[0]) // 2, (height - own[1]) // 2))
    return np.asarray(canvas), own


def usable(font: str) -> bool:
    """Return whether a font writes Latin letters, each in its own way, and is not one script of a large family."""
    try:
        face = ImageFont.truetype(font, 40)
        inked = int((np.asarray(face.getmask("Hamburg")) > 0).sum())
        told_apart = bytes(face.getmask("H")) != bytes(face.getmask("g"))
        family = face.getname()[0] or ""
    except Exception:  # FreeType and Pillow raise many kinds
        return False
    script = re.search("Noto(Sans|Serif)[A-Z]", Path(font).stem)
    return inked > 200 and told_apart and "Emoji" not in family and not script


def invented(count: int, fonts: Sequence[str], names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield fonts and words to write in them: syllables or a few initials, no name of a brand that is left out."""
    draw = random.Random(1)
    onsets, vowels = _ONSETS.split(), _VOWELS.split()

    def word() -> str:
        syllables = draw.choice((1, 1, 2, 2, 2, 3))
        text = "".join(draw.choice(onsets) + draw.choice(vowels) for _ in range(syllables)) + draw.choice(_CODAS)
        if draw.random() < 0.15:
            text = "".join(draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(draw.randint(1, 4)))
        if normal(text) in names:
            return word()
        text = draw.choice((text.upper(), text.upper(), text.capitalize(), text.capitalize(), text))
        if draw.random() < 0.15 and len(text) < 8:
            text += " " + word()
        return text[:18]

    for _ in range(count):
        yield draw.choice(fonts), word()


def draw_word(job: tuple[str, str]) -> Drawn | None:
    """Write a word on a canvas of one channel; None where the font lacks it."""
    font, text = job
    try:
        face = ImageFont.truetype(font, 48)
        x0, y0, x1, y1 = map(int, face.getbbox(text))
        if x1 - x0 < 20 or y1 - y0 < 10:
            return None
        written = Image.new("L", (x1 - x0 + 4, y1 - y0 + 4))
        ImageDraw.Draw(written).text((2 - x0, 2 - y0), text, font=face, fill=255)
    except Exception:  # as in `usable`
        return None
    drawn = _centred(written, WORD)
    return drawn if (drawn[0] > 128).mean() >= 0.01 else None


def pictures(folders: Sequence[Path], endings: Sequence[str] = ("jpg", "jpeg", "png", "webp")) -> list[Path]:
    return sorted(file for folder in folders for end in endings for file in folder.rglob(f"*.{end}"))


def crops(job: tuple[Path, int]) -> list[bytes]:
    """Return 12 random squares of a picture, a fifth of its shorter side or more, as WEBP; none of a broken or small one."""
    path, seed = job
    draw = random.Random(seed)
    try:
        with Image.open(path) as file:
            file.draft("RGB", (1600, 1600))
            picture = file.convert("RGB")
    except Exception:  # whatever a folder of pictures holds
        return []
    shorter = min(picture.size)
    if shorter < 200:
        return []
    out = []
    for _ in range(12):
        side = draw.randint(min(shorter, max(200, shorter // 5)), shorter)
        x, y = draw.randint(0, picture.width - side), draw.randint(0, picture.height - side)
        square = picture.crop((x, y, x + side, y + side)).resize((GROUND, GROUND), Image.Resampling.LANCZOS)
        out.append(webp(square, 75))
    return out


def stamp(path: Path) -> bytes | None:
    """Return a cut-out thing, as WEBP with its transparency; None for a broken, small or empty picture."""
    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except Exception:
        return None
    box = picture.getchannel("A").getbbox()
    if min(picture.size) < 40 or box is None:
        return None
    thing = picture.crop(box)
    thing.thumbnail((STAMP, STAMP))
    canvas = Image.new("RGBA", (STAMP, STAMP))
    canvas.paste(thing, ((STAMP - thing.width) // 2, (STAMP - thing.height) // 2))
    return webp(canvas, 85)


def webp(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()
