"""Grids of gradient directions: what a mark's shape is compared by, of a mark and of a photo at all sizes.

References
----------
Dalal & Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray, Image, UInt8Array
from imgmatch.vision.geometry import Transform, draw, shrink

__all__ = ["BINS", "CELL", "LONG", "SQUARE", "cells_through", "gradients", "grid", "levels", "template"]

CELL, BINS = 6, 9
"""Side of a cell in pixels, and directions between 0 and 180 degrees (both as Dalal & Triggs 2005 found best): a mark in
inverted colours has the same gradients."""

MOST = int(np.iinfo(np.uint8).max)
"""Largest step of colour from one pixel to the next but one."""

AREA, SHORT, LONG = 49, 4, 14
"""Cells of a template (7 x 7 for a square mark), its least and its greatest side."""

SQUARE = 9, 9
"""Cells of a mark that is drawn as a square (``benchmarks/marks_real.py``, dev): without the outermost, 205 of 303 photos
are named; with 7 x 7 and all of them 199."""

SIDE, STEPS = 456, 4
"""Longer side at which a photo is looked at first, and sizes for each halving. The smallest mark is 42 such pixels wide."""

STRIP = 48
"""Rows of pixels that are counted at a time, whole cells: what they need stays in the processor's cache, which takes half
the time (as measured); no value changes but by rounding."""

PAD = 0.04
"""Ground kept around a mark in its template, as a share of its longer side."""


def levels(photo: PhotoContext) -> list[tuple[float, FloatArray]]:
    """Return a photo's cells at all sizes, each with original pixels per pixel; computed by ``photo.once(levels)``.

    In half precision they take a third of a megabyte, and differ by less than a photo saved once more does.
    """
    per, *cells = photo.lasting(_levels)
    return [(float(p), c.astype(np.float32)) for p, c in zip(per, cells, strict=True)]


def _levels(photo: PhotoContext) -> tuple[npt.NDArray[Any], ...]:
    import cv2

    per: list[float] = []
    cells: list[npt.NDArray[np.float16]] = []
    sized: list[UInt8Array] = []
    image = photo.image
    height, width = image.height, image.width
    while True:
        factor = SIDE / max(height, width) * 2.0 ** (-len(per) / STEPS)
        size = round(width * factor), round(height * factor)
        if min(size) < SHORT * CELL or max(size) < 7 * CELL:
            return np.array(per), *cells
        # Twice the size: drawn already where there are so many levels.
        known = len(sized) >= STEPS and max(image.pixels.shape) > 2 * max(size)
        source = sized[-STEPS] if known else shrink(image.pixels, 2 * max(size))
        smaller = size[0] < source.shape[1]
        small = cv2.resize(source, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        sized.append(np.asarray(small, np.uint8))
        per.append(1.0 / factor)
        cells.append(gradients(sized[-1]).astype(np.float16))


def gradients(pixels: UInt8Array) -> FloatArray:
    """Return cells of gradient directions, shape (h, w, BINS), each divided by the strength of its neighbourhood.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        Of the three colours the one that changes most counts: red on blue of the same brightness is an edge.
    """
    import cv2

    height, width = pixels.shape[0] // CELL, pixels.shape[1] // CELL
    whole = pixels[: height * CELL, : width * CELL]
    colours = cv2.split(cv2.copyMakeBorder(whole, 1, 1, 1, 1, cv2.BORDER_REFLECT_101))
    soft = _softly(height)
    strips = np.zeros((height, width * CELL * BINS), np.float32)
    shares = np.empty((STRIP, width * CELL, BINS), np.float32)
    for top in range(0, height * CELL, STRIP):
        bottom = min(top + STRIP, height * CELL)
        place = _strongest([colour[top : bottom + 2] for colour in colours])
        part = np.take(_shares(), place, axis=0, out=shares[: bottom - top], mode="clip").reshape(bottom - top, -1)
        first, last = max(top // CELL - 2, 0), bottom // CELL + 2
        strips[first:last] += soft[first:last, top:bottom] @ part
    cells = _softly(width) @ strips.reshape(height, width * CELL, BINS)
    energy = cv2.blur(np.square(cells).sum(axis=2), (3, 3))
    return np.asarray(np.minimum(cells / (np.sqrt(np.maximum(energy, 0)) + 4.0)[:, :, None], 0.6), np.float32)


def _strongest(colours: Sequence[UInt8Array]) -> npt.NDArray[np.int32]:
    """Return where in `_shares` the step stands of the colour that changes most, for each pixel but those at the border.

    In 16 bits, which takes half the time. Of steps of more than 256 the first is as good as any: sums stop at 65,535.
    """
    import cv2

    across, down, strongest = _steps(colours[0])
    for colour in colours[1:]:
        right, below, power = _steps(colour)
        more = (power > strongest).view(np.uint8)
        cv2.copyTo(right, more, across)
        cv2.copyTo(below, more, down)
        np.maximum(strongest, power, out=strongest)
    return np.asarray(down * np.int32(2 * MOST + 1) + across + MOST * (2 * MOST + 2), np.int32)


def _steps(colour: UInt8Array) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Return the steps of one colour across and down, and the sum of their squares."""
    import cv2

    values = colour.astype(np.int16)
    across, down = values[1:-1, 2:] - values[1:-1, :-2], values[2:, 1:-1] - values[:-2, 1:-1]
    power = cv2.add((across * across).view(np.uint16), (down * down).view(np.uint16))
    return across, down, np.asarray(power, np.uint16)


def template(
    pixels: UInt8Array,
    box: tuple[float, float, float, float],
    cells: tuple[int, int] | None = None,
    ground: float = PAD,
) -> FloatArray:
    """Return the cells of a mark, shape (h, w, BINS).

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
    box : tuple of float
        (x0, y0, x1, y1) of the mark in it.
    cells : tuple of int or None
        (h, w); None keeps the mark's proportions, roughly.
    ground : float
        What to keep around the box, as a share of its longer side.
    """
    import cv2

    if cells is None:
        x0, y0, x1, y1 = box
        pad = ground * max(x1 - x0, y1 - y0)
        per = (AREA / ((x1 - x0 + 2 * pad) * (y1 - y0 + 2 * pad))) ** 0.5
        down, across = (int(np.clip(round((v + 2 * pad) * per), SHORT, LONG)) for v in (y1 - y0, x1 - x0))
        cells = down, across
    matrix, size = grid(box, cells, ground)
    step = max(matrix[0, 0], matrix[1, 1])
    # Of the picture only what the blur reaches.
    reach = 2.0 * step
    low = np.maximum(np.floor(matrix[:2, 2] - reach), 0).astype(int)
    high = np.ceil(matrix[:2, :2] @ size + matrix[:2, 2] + reach).astype(int)
    part = pixels[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    soft = cv2.GaussianBlur(part, (0, 0), 0.45 * float(step)) if step > 1.2 else part
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = matrix[:2] - np.column_stack([np.zeros((2, 2)), low])
    laid = cv2.warpAffine(soft, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return gradients(np.asarray(laid, np.uint8))[1:-1, 1:-1]


def cells_through(image: Image, matrix: Transform, cells: tuple[int, int], least: float) -> FloatArray | None:
    """Return the cells of a template, shape (h, w, BINS), of what a photo shows under it.

    Parameters
    ----------
    image : Image
    matrix : ndarray, shape (3, 3)
        From pixels of the template, with one more cell on each side, to original pixels of the photo.
    cells : tuple of int
        (h, w)
    least : float
        Share of it that must lie in the photo; None where less does.
    """
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        return None
    size = (cells[1] + 2) * CELL, (cells[0] + 2) * CELL
    drawn, covered = draw(image, np.linalg.inv(matrix), size, smooth=0.5)
    return gradients(drawn)[1:-1, 1:-1] if covered.mean() >= least else None


def grid(
    box: tuple[float, float, float, float], cells: tuple[int, ...], ground: float = PAD
) -> tuple[Transform, tuple[int, int]]:
    """Return the map from a template's pixels to those of the box's picture, and the template's (width, height).

    `ground` is what to keep around the box, as a share of its longer side. One more cell on each side, so that the mark's
    cells know their neighbourhood as those of a photo do.
    """
    x0, y0, x1, y1 = box
    pad = ground * max(x1 - x0, y1 - y0)
    down, across = cells
    step = np.array([(x1 - x0 + 2 * pad) / (across * CELL), (y1 - y0 + 2 * pad) / (down * CELL)])
    start = np.array([x0 - pad, y0 - pad]) - CELL * step
    return np.array([[step[0], 0, start[0]], [0, step[1], start[1]], [0, 0, 1.0]]), ((across + 2) * CELL, (down + 2) * CELL)


@cache
def _shares() -> FloatArray:
    """Return how a step of colour counts in each direction, shape ((2 MOST + 1) ** 2, BINS): by dy, then dx, from -MOST."""
    step = np.arange(-MOST, MOST + 1, dtype=np.float32)
    dy, dx = (v.ravel() for v in np.meshgrid(step, step, indexing="ij"))
    position = np.arctan2(dy, dx) * np.float32(BINS / np.pi)
    position += np.where(position < 0, np.float32(BINS), np.float32(0))
    lower = np.minimum(position.astype(np.intp), BINS - 1)
    share, size, at = position - lower, np.hypot(dx, dy), np.arange(len(dx))
    shares = np.zeros((len(dx), BINS), np.float32)
    shares[at, lower] = size * (1 - share)
    shares[at, (lower + 1) % BINS] = size * share
    return shares


@lru_cache(maxsize=256)
def _softly(cells: int) -> FloatArray:
    """Return the matrix (cells, cells * CELL) that blurs a column of pixels a little and averages it by cell.

    Both steps are linear: one product along each side of a picture takes half the time of a blur of every pixel.
    """
    import cv2

    soft = cv2.GaussianBlur(np.eye(cells * CELL, dtype=np.float32), (1, 0), sigmaX=0, sigmaY=0.35 * CELL)
    return np.asarray(cv2.resize(soft, (cells * CELL, cells), interpolation=cv2.INTER_AREA), np.float32)
