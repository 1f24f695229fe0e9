"""The marks of a brand as ink: wordmark, figurative mark, monogram tile, and pictures of them for a catalog."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from imgmatch.augment.textures import Mask, lettering
from imgmatch.world.brands import BrandDesign, Figure, LetterStyle
from imgmatch.world.draw import Sheet, arc, ellipse, rectangle, rounded

__all__ = ["LOGO_KINDS", "figure_ink", "logo_picture", "monogram_tile", "wordmark_ink"]

LOGO_KINDS = ("wordmark", "figure", "combined", "monogram")


def wordmark_ink(text: str, letters: LetterStyle) -> Mask:
    """Return a wordmark as coverage, shape (96, W)."""
    return lettering(
        text,
        96,
        tracking=letters.tracking,
        stretch=letters.stretch,
        weight=letters.weight,
        slant=letters.slant,
        face=letters.face,
    )


@lru_cache(maxsize=256)
def figure_ink(figure: Figure, size: int = 224) -> Mask:
    """Return a figurative mark as coverage, shape (size, size)."""
    s = Sheet(-1.08, -1.08, 1.08, 1.08, size / 2.16)
    ink = np.zeros(s.shape, np.uint8)
    reach = 0.74 if figure.frame != "none" else 1.0
    if figure.frame == "ring":
        ink = s.stroke(ellipse(0, 0, 0.97, 0.97), 0.08, closed=True)
    elif figure.frame == "square":
        ink = s.stroke(rounded(rectangle(-0.95, -0.95, 0.95, 0.95), 0.18), 0.08, closed=True)
    draw = {
        "rosette": _rosette,
        "crescents": _crescents,
        "shield": _shield,
        "sun": _sun,
        "arches": _arches,
        "lozenge": _lozenge,
    }
    body = draw[figure.kind](s, figure, reach)
    if figure.turn:
        centre = (s.shape[1] / 2 - 0.5, s.shape[0] / 2 - 0.5)
        body = np.asarray(cv2.warpAffine(body, cv2.getRotationMatrix2D(centre, -figure.turn, 1.0), s.shape[::-1]), np.uint8)
    return np.asarray(cv2.max(ink, body), np.uint8)


def _rosette(s: Sheet, f: Figure, r: float) -> Mask:
    out = np.zeros(s.shape, np.uint8)
    petal = ellipse(0, -0.56 * r, 0.42 * f.ratio * r, 0.42 * r, 40)
    for i in range(f.count):
        a = 2 * math.pi * i / f.count
        turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
        out = cv2.max(out, s.fill(petal @ turn))
    return np.asarray(cv2.max(out, s.fill(ellipse(0, 0, 0.11 * r, 0.11 * r, 32))), np.uint8)


def _crescents(s: Sheet, f: Figure, r: float) -> Mask:
    out = np.zeros(s.shape, np.uint8)
    for sign in (-1, 1):
        outer = s.fill(ellipse(sign * 0.30 * r, 0, 0.68 * r, 0.82 * r))
        inner = s.fill(ellipse(sign * (0.30 + 0.38 * (1 - f.ratio)) * r, 0, 0.60 * r, 0.72 * r))
        out = cv2.bitwise_xor(out, cv2.subtract(outer, inner))
    bar = s.fill(rounded(rectangle(-0.5 * r, -0.06 * r, 0.5 * r, 0.06 * r), 0.03))
    for i in range(f.count - 1):
        out = cv2.max(out, np.roll(bar, round((i - (f.count - 2) / 2) * 0.24 * r * s.ppu), axis=0))
    return np.asarray(out, np.uint8)


def _shield(s: Sheet, f: Figure, r: float) -> Mask:
    def outline(k: float) -> npt.NDArray[np.float64]:
        left = [(-0.8 * k, -0.9 * k), (-0.8 * k, 0.1 * k), (-0.62 * k, 0.5 * k), (0, 0.98 * k)]
        right = [(0.62 * k, 0.5 * k), (0.8 * k, 0.1 * k), (0.8 * k, -0.9 * k)]
        return rounded([*left, *right], [0.08, 0.3, 0.3, 0.05, 0.3, 0.3, 0.08])

    inside = s.fill(outline(0.86 * r))
    out = cv2.subtract(s.fill(outline(r)), inside)
    for i in range(f.count):
        y = (0.62 - 0.30 * i) * r
        width = 0.13 * r * (0.5 + f.ratio)
        chevron = s.stroke(np.array([(-0.9 * r, y - 0.42 * r), (0, y), (0.9 * r, y - 0.42 * r)]), width)
        out = cv2.max(out, cv2.min(chevron, inside))
    return np.asarray(out, np.uint8)


def _sun(s: Sheet, f: Figure, r: float) -> Mask:
    n = 2 * f.count
    points = []
    for i in range(2 * n):
        radius = r if i % 2 == 0 else r * (0.40 + 0.3 * f.ratio)
        a = math.pi * i / n - math.pi / 2
        points.append((radius * math.cos(a), radius * math.sin(a)))
    star = s.fill(points)
    return np.asarray(
        cv2.max(cv2.subtract(star, s.fill(ellipse(0, 0, 0.36 * r, 0.36 * r))), s.fill(ellipse(0, 0, 0.2 * r, 0.2 * r))),
        np.uint8,
    )


def _arches(s: Sheet, f: Figure, r: float) -> Mask:
    out = np.zeros(s.shape, np.uint8)
    n = max(2, min(f.count, 5))
    for i in range(n):
        k = r * (1 - i / n)
        path = np.concatenate([[(-0.9 * k, 0.8 * r)], arc(0, 0, 0.9 * k, 0.9 * k, 180, 360), [(0.9 * k, 0.8 * r)]])
        out = cv2.max(out, s.stroke(path, 0.34 * r * f.ratio * 1.6 / n))
    return np.asarray(out, np.uint8)


def _lozenge(s: Sheet, f: Figure, r: float) -> Mask:
    diamond = [(0, -r), (0.78 * r, 0), (0, r), (-0.78 * r, 0)]
    out = s.fill(diamond)
    letter = s.stamp(lettering(f.initial, 160, weight=0.04), 0, 0, 0.5 * r)
    out = cv2.subtract(out, letter)
    line = s.stroke(np.array(diamond) * 0.86, 0.05 * r * (0.5 + f.ratio), closed=True)
    return np.asarray(cv2.subtract(out, line), np.uint8)


@lru_cache(maxsize=64)
def monogram_tile(figure: Figure, motifs: tuple[str, ...], size: int = 256) -> Mask:
    """Return one period of a canvas print as coverage, shape (size, size); seamless."""
    s = Sheet(0, 0, 1, 1, size)
    out = np.zeros(s.shape, np.uint8)
    for i, (x, y) in enumerate(rectangle(0.25, 0.25, 0.75, 0.75)):
        out = cv2.max(out, _motif(s, motifs[i % 2], figure, x, y, 0.34))
    for x, y in [(0.0, 0.0), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.0), (0.0, 0.5), (1.0, 0.5), (0.5, 1.0)]:
        out = cv2.max(out, _motif(s, motifs[2], figure, x, y, 0.17))
    return np.asarray(out, np.uint8)


def _motif(s: Sheet, name: str, figure: Figure, x: float, y: float, width: float) -> Mask:
    if name == "initial":
        letter = lettering(figure.initial, 128, weight=0.02)
        return s.stamp(letter, x, y, width * 0.62)
    if name == "figure":
        return s.stamp(figure_ink(figure), x, y, width)
    if name == "diamond":
        h = width / 2
        diamond, at = np.array([(0, -h), (0.72 * h, 0), (0, h), (-0.72 * h, 0)]), np.array([x, y])
        return np.asarray(cv2.subtract(s.fill(diamond + at), s.fill(diamond * 0.45 + at)), np.uint8)
    if name == "flower":
        return s.stamp(figure_ink(Figure("rosette", 4, 0.9, "none", "")), x, y, width)
    return s.fill(ellipse(x, y, width * 0.22, width * 0.22, 32))


def logo_picture(brand: BrandDesign, kind: str, size: int = 420) -> npt.NDArray[np.uint8]:
    """Return a mark on plain ground as a brand's press kit would have it, shape (H, W, 3), uint8.

    Parameters
    ----------
    brand : BrandDesign
    kind : str
        One of :data:`LOGO_KINDS`.
    size : int
        Width in pixels.
    """
    if kind == "monogram":
        ground, ink = (np.asarray(c, np.float32) for c in brand.canvas)
        tile = np.tile(monogram_tile(brand.figure, brand.motifs, size // 2), (2, 2)).astype(np.float32)[..., None] / 255
        return np.asarray(ground + (ink - ground) * tile, np.uint8)
    word = wordmark_ink(brand.wordmark, brand.letters)
    w = round(size * 0.8)
    word = cv2.resize(word, (w, round(word.shape[0] * w / word.shape[1])), interpolation=cv2.INTER_AREA)
    mark = figure_ink(brand.figure, size // 2)
    pieces = {"wordmark": [word], "figure": [mark], "combined": [mark, word]}[kind]
    margin = size // 10
    height = sum(p.shape[0] for p in pieces) + margin * (len(pieces) + 1)
    page = np.full((height, size), 255, np.uint8)
    y = margin
    for piece in pieces:
        h, w = piece.shape
        x = (size - w) // 2
        page[y : y + h, x : x + w] = 255 - piece
        y += h + margin
    return np.repeat(page[..., None], 3, axis=2)
