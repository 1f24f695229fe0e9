"""A picture of a mark as what is looked for: one ink on one ground, its features and its silhouettes.

A mark is drawn in any two colours, so references are kept as *ink maps*: 0 ground, 1 ink.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imgmatch.types import FloatArray, Image, UInt8Array
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints, Points, Transform

__all__ = ["GRID", "MarkReference", "Outline", "ink_map", "make_reference", "rounded", "symmetric", "unit"]

SIDE = 160
"""Longer side in pixels of an ink map, without its margin: marks are rarely larger in photos of products."""

MARGIN = 0.12
"""Ground kept around the mark, as a share of its longer side; it has to be ground in the photo too."""

GRID = 24
"""Side in pixels of the silhouettes that blobs are compared by."""

_TURNS = (0.0, -15.0, 15.0, -30.0, 30.0, 90.0, -90.0)

# A reference is the same mark when its colours are inverted. For a SIFT descriptor that turns the dominant direction by
# 180 degrees and with it the 4x4 grid, while directions relative to the dominant one stay: rows and columns reverse.
_NEGATIVE = np.arange(128).reshape(4, 4, 8)[::-1, ::-1].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A silhouette that a blob of ink in a photo is compared with.

    Parameters
    ----------
    shape : ndarray, shape (GRID, GRID), float32
        The ink in its bounding box, zero mean, unit norm.
    turn : ndarray, shape (3, 3), float64
        From ink-map pixels to those of the turned mark.
    box : tuple of int
        (x0, y0, x1, y1) of the ink there.
    mirrored : bool
        Of the mark's mirror image.
    """

    shape: FloatArray
    turn: Transform
    box: tuple[int, int, int, int]
    mirrored: bool = False

    @property
    def aspect(self) -> float:
        """Natural logarithm of width over height."""
        x0, y0, x1, y1 = self.box
        return float(np.log((x1 - x0) / (y1 - y0)))

    def laid_on(self, box: FloatArray) -> Transform:
        """Return the transform from ink-map pixels that lays the silhouette on a box of a photo."""
        x0, y0, x1, y1 = self.box
        sx, sy = (box[2] - box[0]) / (x1 - x0), (box[3] - box[1]) / (y1 - y0)
        lay = np.array([[sx, 0, box[0] - sx * x0], [0, sy, box[1] - sy * y0], [0, 0, 1.0]])
        return np.asarray(lay @ self.turn, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class MarkReference:
    """One mark of a brand, ready to be looked for.

    Parameters
    ----------
    brand, photo, kind : str
        As in :class:`imgmatch.catalog.items.LogoReference`.
    ink : ndarray, shape (h, w), float32
        In [0, 1], margin included.
    origin : tuple of float
        Position of the ink map's top left corner in the reference picture, original pixels.
    scale : float
        Reference picture's original pixels per ink-map pixel.
    keypoints : Keypoints
        In ink-map pixels, of both polarities and of a small version.
    outlines : tuple of Outline
        The mark at several turns, and without each of its parts in turn.
    """

    brand: str
    photo: str
    kind: str
    ink: FloatArray
    origin: tuple[float, float]
    scale: float
    keypoints: Keypoints
    outlines: tuple[Outline, ...]

    def tight(self) -> Points:
        """Return the corners of the inked box in ink-map pixels, shape (4, 2)."""
        ys, xs = np.flatnonzero((self.ink > 0.5).any(axis=1)), np.flatnonzero((self.ink > 0.5).any(axis=0))
        size = float(xs[-1] + 1 - xs[0]), float(ys[-1] + 1 - ys[0])
        return np.asarray(geometry.rectangle(*size) + np.array([xs[0], ys[0]]), np.float64)

    def polygon(self) -> list[list[float]]:
        """Return the mark's corners in the reference picture, original pixels."""
        return rounded(self.tight() * self.scale + np.array(self.origin))


def rounded(points: Points) -> list[list[float]]:
    """Return points as evidence holds them: to a tenth of a pixel."""
    return [[round(float(x), 1), round(float(y), 1)] for x, y in points]


def ink_map(pixels: UInt8Array) -> tuple[FloatArray, tuple[int, int, int, int]]:
    """Return a picture of a mark as ink on ground, and the box of the ink.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        The mark on an even ground that reaches the border.

    Returns
    -------
    ink : ndarray, shape (H, W), float32
        Distance of each pixel's colour from the ground's (median of the border), as a share of the ink's usual distance,
        clipped to [0, 1].
    box : tuple of int
        (x0, y0, x1, y1), half-open.

    Raises
    ------
    ValueError
        Where nothing stands out from the ground.
    """
    image = pixels.astype(np.float32)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    away = np.linalg.norm(image - np.median(border, axis=0), axis=2)
    drawn = away > 40.0
    if drawn.sum() < 16:
        raise ValueError("the picture of the mark is empty: nothing stands out from its border's colour")
    ink = np.clip(away / np.median(away[drawn]), 0.0, 1.0)
    ys, xs = np.flatnonzero((ink > 0.5).any(axis=1)), np.flatnonzero((ink > 0.5).any(axis=0))
    return ink, (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)


def make_reference(
    brand: str, photo: str, kind: str, image: Image, box: tuple[float, float, float, float] | None
) -> MarkReference:
    """Prepare one picture of a mark.

    Parameters
    ----------
    brand, photo, kind : str
    image : Image
    box : tuple of float or None
        (x0, y0, x1, y1) of the mark in original pixels; None for the whole picture.

    Raises
    ------
    ValueError
        Where the picture holds no mark, see `ink_map`.
    """
    pixels, scale = image.pixels, image.scale
    left, top = 0, 0
    if box is not None:
        x0, y0, x1, y1 = (round(v / scale) for v in box)
        left, top = max(x0, 0), max(y0, 0)
        pixels = pixels[top : max(y1, top + 2), left : max(x1, left + 2)]
    full, (x0, y0, x1, y1) = ink_map(pixels)
    tight = full[y0:y1, x0:x1]
    pad = round(MARGIN * max(tight.shape))
    ink = _fit(np.pad(tight, pad), round(SIDE * (1 + 2 * MARGIN)))
    per = (tight.shape[1] + 2 * pad) / ink.shape[1]
    gray = np.repeat((255 * (1 - ink)).astype(np.uint8)[:, :, None], 3, axis=2)
    return MarkReference(
        brand,
        photo,
        kind,
        ink,
        ((left + x0 - pad) * scale, (top + y0 - pad) * scale),
        per * scale,
        _both_polarities(gray),
        _outlines(ink),
    )


def _fit(ink: FloatArray, side: int) -> FloatArray:
    import cv2

    factor = side / max(ink.shape)
    size = (max(round(ink.shape[1] * factor), 8), max(round(ink.shape[0] * factor), 8))
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR), np.float32)


def _both_polarities(gray: UInt8Array) -> Keypoints:
    """Return the features of a mark as drawn, of a small and a middling version, and of the negatives of all."""
    parts = []
    for side in (max(gray.shape[:2]), 96, 56):
        found = geometry.extract(gray, max_side=side, max_keypoints=80)
        negative = replace(found, angle=(found.angle + 180.0) % 360.0, descriptors=found.descriptors[:, _NEGATIVE])
        parts += [found, negative]
    return Keypoints(
        np.concatenate([p.xy for p in parts]),
        np.concatenate([p.size for p in parts]),
        np.concatenate([p.angle for p in parts]),
        np.concatenate([p.descriptors for p in parts]),
        float(gray.shape[1]),
        float(gray.shape[0]),
        1.0,
    )


def _outlines(ink: FloatArray) -> tuple[Outline, ...]:
    """Return the mark's silhouettes: whole, at all turns; nearly upright, mirrored and without each larger part.

    A mark that lost a part is no longer as wide or as high as it was; it is only found by what is left.
    """
    import cv2

    drawn = (ink > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    shares = [stats[i, cv2.CC_STAT_AREA] / max(int(drawn.sum()), 1) for i in range(1, count)]
    parts = [i for i, share in enumerate(shares, 1) if 0.05 < share < 0.6][:4]
    out = [_outline(ink, degrees) for degrees in _TURNS]
    if not symmetric(ink):
        flip = np.array([[-1, 0, ink.shape[1]], [0, 1, 0], [0, 0, 1.0]])
        mirror = [_outline(np.ascontiguousarray(ink[:, ::-1]), degrees) for degrees in _TURNS[:3]]
        out += [replace(o, turn=o.turn @ flip, mirrored=True) for o in mirror]
    return (
        *out,
        *(_outline(np.where(labels == i, 0, ink).astype(np.float32), d) for i in parts for d in (-15.0, 0.0, 15.0)),
    )


def symmetric(ink: FloatArray) -> bool:
    """Say whether a mark is the same as its mirror image, for all that a photo can show."""
    return float(np.corrcoef(ink.ravel(), ink[:, ::-1].ravel())[0, 1]) > 0.95


def _outline(ink: FloatArray, degrees: float) -> Outline:
    import cv2

    matrix, size = _turn_matrix(ink.shape, degrees)
    turned = cv2.warpAffine(ink, matrix[:2], size)
    ys, xs = np.flatnonzero((turned > 0.5).any(axis=1)), np.flatnonzero((turned > 0.5).any(axis=0))
    box = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    tight = turned[box[1] : box[3], box[0] : box[2]]
    return Outline(unit(cv2.resize(tight, (GRID, GRID), interpolation=cv2.INTER_AREA)), matrix, box)


def _turn_matrix(shape: tuple[int, ...], degrees: float) -> tuple[Transform, tuple[int, int]]:
    """Return the turn about the middle, into a canvas that holds all of it."""
    height, width = shape[:2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    size = (int(np.ceil(abs(c) * width + abs(s) * height)), int(np.ceil(abs(s) * width + abs(c) * height)))
    shift = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1.0]])
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    return shift @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ centre, size


def unit(shape: Any) -> FloatArray:
    """Return a shape with zero mean and unit norm; a flat one becomes zeros."""
    centred = np.asarray(shape, np.float32) - np.float32(np.mean(shape))
    norm = float(np.linalg.norm(centred))
    return np.asarray(centred / norm if norm > 1e-6 else centred * 0, np.float32)
