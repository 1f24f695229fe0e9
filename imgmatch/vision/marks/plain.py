"""Things that are no mark, drawn: what every photo has, so that no brand can be named by it."""

from __future__ import annotations

from functools import cache

import numpy as np

from imgmatch.loading.cache import remembered
from imgmatch.loading.photo import producer
from imgmatch.types import FloatArray, UInt8Array
from imgmatch.vision import geometry

__all__ = ["plain_descriptors", "plain_sheets"]

SHEETS, SIDE = 24, 240
"""How many sheets are drawn, and their side in pixels: some 4,000 features, 2 MB, in half a second. A guess."""


@cache
def plain_descriptors() -> FloatArray:
    """Return RootSIFT descriptors of drawn shapes, letters and grain, shape (n, 128), float32; the same every time."""
    return remembered("plain-1", _described, producer())["descriptors"]


def _described() -> dict[str, FloatArray]:
    rng = np.random.default_rng(0)
    sheets = [_sheet(rng, number) for number in range(SHEETS)]
    return {"descriptors": np.concatenate([geometry.extract(s, max_keypoints=250).descriptors for s in sheets])}


def plain_sheets() -> list[list[UInt8Array]]:
    """Return two kinds of `SHEETS` / 2 drawn sheets, shape (`SIDE`, `SIDE`), of clean print and of words on plates; the same
    every time."""
    prints, plates = (np.random.default_rng(seed) for seed in range(2))
    half = range(SHEETS // 2)
    return [[_print(prints) for _ in half], [_plates(plates) for _ in half]]


def _plates(rng: np.random.Generator) -> UInt8Array:
    """Draw words of random letters on ovals, boxes and triangles, filled or outlined: what packs, badges and signs have.

    With print and plates 93 to 95 of 153 photos are named by drawings of their marks (``benchmarks/marks_real.py``, dev,
    three seeds). With sheets of shapes and of words in place of plates it is 93, and the drawn oval of one brand is found
    on three packs of a hundred.
    """
    import cv2

    from imgmatch.augment.textures import lettering

    sheet = _grain(rng).astype(np.float32) if rng.random() < 0.5 else np.full((SIDE, SIDE), rng.uniform(0, 255), np.float32)
    for number in range(6):
        x, y = 60 + 120 * (number % 2), 40 + 80 * (number // 2)
        wide, high, tone = int(rng.integers(24, 56)), int(rng.integers(14, 38)), float(rng.integers(256))
        plate, kind = np.zeros((SIDE, SIDE), np.uint8), rng.choice(["oval", "oval", "box", "triangle"])
        if kind == "oval":
            cv2.ellipse(plate, (x, y), (wide, high), 0, 0, 360, 255, -1, cv2.LINE_AA)
        elif kind == "box":
            cv2.rectangle(plate, (x - wide + 8, y - high + 8), (x + wide - 8, y + high - 8), 255, -1)
            plate = cv2.dilate(plate, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17)))
        else:
            up = int(rng.choice([-1, 1])) * high
            corners = np.array([[x - wide, y + up], [x + wide, y + up], [x, y - up]], np.int32)
            cv2.fillPoly(plate, [corners], 255, cv2.LINE_AA)
        if rng.random() < 0.5:
            rim = int(rng.choice([3, 5]))
            plate = cv2.morphologyEx(plate, cv2.MORPH_GRADIENT, np.ones((rim, rim), np.uint8))
        sheet += plate / np.float32(255) * (tone - sheet)
        letters = rng.choice(["ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"])
        word = "".join(rng.choice(list(letters), int(rng.integers(2, 8))))
        ink = lettering(word, int(high * rng.uniform(0.7, 1.2)), weight=float(rng.choice([0, 0.04, 0.08])))
        ink = cv2.resize(ink, (min(ink.shape[1], int(1.6 * wide)), ink.shape[0]), interpolation=cv2.INTER_AREA)
        top, left = y - ink.shape[0] // 2, x - ink.shape[1] // 2
        under = sheet[top : top + ink.shape[0], left : left + ink.shape[1]]
        under += ink / np.float32(255) * ((tone + 128) % 256 - under)
    return np.asarray(cv2.GaussianBlur(sheet.astype(np.uint8), (0, 0), float(rng.uniform(0.3, 1.0))), np.uint8)


def _print(rng: np.random.Generator) -> UInt8Array:
    """Draw lines of words of random letters on even ground, sharp: what labels, shop signs and books have.

    Without them drawings of words are found in any clean line: of 80 dev photos of ``benchmarks/marks_real.py`` 21 drawings,
    most of them words of other brands, claim 4 wrongly; with them none.
    """
    from imgmatch.augment.textures import lettering

    dark, light = sorted((float(rng.integers(0, 110)), float(rng.integers(150, 256))))
    ground, ink = (light, dark) if rng.random() < 0.7 else (dark, light)
    sheet = np.full((SIDE, SIDE), ground, np.float32)
    height, weight = int(rng.integers(14, 44)), float(rng.choice([0, 0.04, 0.08]))
    for y in range(int(rng.integers(4, 30)), SIDE - height - 4, int(height * 1.7)):
        letters = rng.choice(["ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"])
        words = ("".join(rng.choice(list(letters), int(rng.integers(2, 9)))) for _ in range(4))
        line = lettering(" ".join(words), height, weight=weight)[: SIDE - y, : SIDE - 8]
        under = sheet[y : y + line.shape[0], 8 : 8 + line.shape[1]]
        under += line / np.float32(255) * (ink - under)
    return np.asarray(sheet, np.uint8)


def _grain(rng: np.random.Generator) -> UInt8Array:
    import cv2

    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), float(rng.uniform(0.8, 4)))
    sheet = rng.uniform(60, 190) + 18 * grain / max(float(grain.std()), 1e-6)
    return np.asarray(np.clip(sheet, 0, 255), np.uint8)


def _sheet(rng: np.random.Generator, number: int) -> UInt8Array:
    """Draw shapes (every third sheet letters) in greys over grain, then blur it a little."""
    import cv2

    sheet = _grain(rng)
    for _ in range(22):
        tone, (x, y) = int(rng.integers(256)), (int(v) for v in rng.integers(0, SIDE, 2))
        size, thick = int(rng.integers(8, 46)), int(rng.choice([-1, 2, 5]))
        kind = "letter" if number % 3 == 0 else rng.choice(["disc", "box", "triangle", "line"])
        if kind == "letter":
            face = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX]))
            text = "".join(rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdeghnoprstu0123456789"), 3))
            cv2.putText(sheet, text, (x - 20, y), face, size / 24, tone, max(size // 12, 1), cv2.LINE_AA)
        elif kind == "disc":
            cv2.circle(sheet, (x, y), size, tone, thick, cv2.LINE_AA)
        elif kind == "box":
            around = cv2.boxPoints(((x, y), (2.0 * size, float(rng.integers(8, 60))), float(rng.uniform(0, 90))))
            cv2.drawContours(sheet, [np.intp(around)], 0, tone, thick, cv2.LINE_AA)
        elif kind == "triangle":
            corners = np.array([x, y], np.int32) + np.vstack([[0, 0], rng.integers(-size, size, (2, 2))]).astype(np.int32)
            cv2.drawContours(sheet, [corners], 0, tone, thick, cv2.LINE_AA)
        else:
            end = (x + int(rng.integers(-60, 60)), y + int(rng.integers(-60, 60)))
            cv2.line(sheet, (x, y), end, tone, int(rng.integers(1, 8)), cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(sheet, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
