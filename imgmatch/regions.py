"""Boxes worth looking at by themselves: the photo without its borders, the panels of a collage, the thing on a plain ground.

Found once per photo on a 256 px thumbnail, in original pixels. They are proposals: a wrong box costs time, not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgmatch.geometry import shrink
from imgmatch.photo import PhotoContext
from imgmatch.types import Box, Image, UInt8Array

__all__ = ["Region", "crop", "find_regions", "regions"]

_SIDE = 256
_MIN_SHARE = 0.2  # a panel is at least so much of its parent's width or height
_MAX_PANELS = 9  # a 3x3 collage
_FLAT = 4.0  # grey levels: what JPEG leaves of a uniform bar
_STEP = 14.0  # grey levels: a seam between two pictures, well above texture after averaging down to 256 px

_Cut = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a photo.

    Parameters
    ----------
    box : Box
        In original pixels.
    kind : str
        ``whole``, ``trimmed`` (uniform borders cut off), ``panel`` (a picture in a composite) or ``foreground`` (what
        stands out from a plain ground).
    """

    box: Box
    kind: str


def regions(photo: PhotoContext) -> tuple[Region, ...]:
    """Return the regions of a photo, the whole first, computed once; see `find_regions`."""
    return photo.once("regions", lambda: find_regions(photo.image))


def find_regions(image: Image) -> tuple[Region, ...]:
    """Find the parts of a picture that may be pictures of their own.

    Parameters
    ----------
    image : Image

    Returns
    -------
    tuple of Region
        The whole photo first; no two boxes overlap by more than 0.9 (intersection over union). At most 12.

    Notes
    -----
    A picture is cut where a straight line runs across all of it: a uniform bar, or a step that at least three quarters of
    the line share and its neighbours do not. Pieces are cut again, so grids and screenshots come apart.
    """
    small = shrink(image.pixels, _SIDE)
    pixels = small.astype(np.float32)
    height, width = pixels.shape[:2]
    per_x, per_y = image.width / width, image.height / height
    whole: _Cut = (0, 0, width, height)
    trimmed = _trim(pixels, whole)
    found: list[tuple[_Cut, str]] = [(whole, "whole"), (trimmed, "trimmed")]
    panels = list(_split(pixels, trimmed, 3))
    if 1 < len(panels) <= _MAX_PANELS:
        found += [(panel, "panel") for panel in panels]
    front = _foreground(small)
    if front is not None:
        found.append((front, "foreground"))
    kept: list[Region] = []
    for (x0, y0, x1, y1), kind in found:
        box = Box(x0 * per_x, y0 * per_y, x1 * per_x, y1 * per_y)
        if all(box.iou(other.box) < 0.9 for other in kept):
            kept.append(Region(box, kind))
    return tuple(kept)


def crop(image: Image, box: Box) -> Image:
    """Return a part of a picture as a picture, for encoders.

    Parameters
    ----------
    image : Image
    box : Box
        In original pixels; clipped to the picture.

    Raises
    ------
    ValueError
        Where the box lies outside.
    """
    height, width = image.pixels.shape[:2]
    s = image.scale
    x0, y0 = max(int(box.x0 / s), 0), max(int(box.y0 / s), 0)
    x1, y1 = min(max(round(box.x1 / s), x0 + 1), width), min(max(round(box.y1 / s), y0 + 1), height)
    if x0 >= x1 or y0 >= y1:
        raise ValueError(f"expected a box that overlaps the {image.width} x {image.height} picture, got {box}")
    pixels = np.ascontiguousarray(image.pixels[y0:y1, x0:x1])
    name = f"{image.sha256}#{x0},{y0},{x1},{y1}"
    return Image(pixels, name, image.source, round((x1 - x0) * s), round((y1 - y0) * s), image.format)


def _flat(pixels: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.bool_]:
    """Tell which lines along `axis` have one colour."""
    return np.asarray(pixels.std(axis=axis).max(axis=1) < _FLAT)


def _trim(pixels: npt.NDArray[np.float32], cut: _Cut) -> _Cut:
    x0, y0, x1, y1 = cut
    for _ in range(2):  # letterbox and pillarbox hide one another
        rows = np.flatnonzero(~_flat(pixels[y0:y1, x0:x1], 1))
        if not len(rows):
            return cut
        y0, y1 = y0 + int(rows[0]), y0 + int(rows[-1]) + 1
        columns = np.flatnonzero(~_flat(pixels[y0:y1, x0:x1], 0))
        if not len(columns):
            return cut
        x0, x1 = x0 + int(columns[0]), x0 + int(columns[-1]) + 1
    return (x0, y0, x1, y1) if min(x1 - x0, y1 - y0) >= 16 else cut


def _split(pixels: npt.NDArray[np.float32], cut: _Cut, depth: int) -> Iterator[_Cut]:
    """Yield the pieces a cut falls into along its strongest line, again and again."""
    x0, y0, x1, y1 = cut
    part = pixels[y0:y1, x0:x1]
    best = max(((*_line(part, axis), axis) for axis in (0, 1)), key=lambda line: line[0]) if depth else (0.0, 0, 0, 0)
    strength, start, end, axis = best
    if strength <= 0.0:
        yield cut
        return
    halves = (
        [(x0, y0, x0 + start, y1), (x0 + end, y0, x1, y1)]
        if axis == 0
        else [(x0, y0, x1, y0 + start), (x0, y0 + end, x1, y1)]
    )
    for half in halves:
        yield from _split(pixels, _trim(pixels, half), depth - 1)


def _line(part: npt.NDArray[np.float32], axis: int) -> tuple[float, int, int]:
    """Return (strength, start, end) of the strongest line of constant x (axis 0) or y (axis 1); strength 0 for none."""
    length = part.shape[1 - axis]
    margin = max(int(length * _MIN_SHARE), 12)
    if length < 2 * margin + 1:
        return 0.0, 0, 0
    best = (0.0, 0, 0)
    flat = _flat(part, axis)
    edges = np.flatnonzero(np.diff(np.r_[0, flat.astype(np.int8), 0]))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if start >= margin and end <= length - margin and 1.0 + (end - start) / length > best[0]:
            best = (1.0 + (end - start) / length, int(start), int(end))
    step = np.abs(np.diff(part, axis=1 - axis)).mean(axis=2) > _STEP
    share = step.mean(axis=axis)
    # Between two pictures one or two neighbouring steps are high (resizing blurs a seam); texture is high everywhere.
    around = np.convolve(share, np.r_[np.ones(3), np.zeros(5), np.ones(3)] / 6.0, mode="same")
    for at in range(margin, length - margin):
        seam = float(share[at - 1])
        if seam >= 0.75 and around[at - 1] < 0.5 * seam and seam > best[0]:
            best = (seam, at, at)
    return best


def _foreground(small: UInt8Array) -> _Cut | None:
    """Return the box of what stands out from a plain ground, None where the ground is not plain."""
    height, width = small.shape[:2]
    rim = max(min(height, width) // 40, 1)
    pixels = small.astype(np.float32)
    border = np.concatenate(
        [
            pixels[:rim].reshape(-1, 3),
            pixels[-rim:].reshape(-1, 3),
            pixels[:, :rim].reshape(-1, 3),
            pixels[:, -rim:].reshape(-1, 3),
        ]
    )
    ground = np.median(border, axis=0)
    if (np.abs(border - ground).max(axis=1) < 20).mean() < 0.7:
        return None
    stands_out = np.abs(pixels - ground).max(axis=2) > 25
    # One stray pixel in a line is JPEG or a watermark.
    columns, rows = np.flatnonzero(stands_out.sum(axis=0) > 2), np.flatnonzero(stands_out.sum(axis=1) > 2)
    if len(columns) < 8 or len(rows) < 8:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
