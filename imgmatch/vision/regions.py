"""Boxes worth looking at by themselves: the photo without its borders, panels, insets, the thing on a plain ground.

Found once per photo on a 256 px thumbnail, in original pixels. They are proposals: a wrong box costs time, not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import Box, Image
from imgmatch.vision.geometry import shrink

__all__ = ["Region", "crop", "find_regions", "regions"]

_KINDS = ("whole", "trimmed", "panel", "inset", "foreground")
_SIDE = 256
_MIN_SHARE = 0.2  # a panel is at least so much of its parent's width or height
_MAX_PANELS = 9  # a 3x3 collage
_FLAT = 4.0  # grey levels: what JPEG leaves of a uniform bar
_STEP = 14.0  # grey levels: a seam between two pictures, well above texture after averaging down to 256 px

# Chosen on pictures in pictures from the dev half of benchmarks/copies.py; another photo yields 0.7 boxes.
_INSETS = 2
_INSET_LINES = 20  # straight edges tried per direction: at most 231 pairs of each, 53,361 rectangles, 11 ms in all
_INSET_EDGE = 10.0  # grey levels of any colour
_INSET_SIDE = 0.6  # share of each side that is an edge: the rest lies on a like colour

_Cut = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a photo.

    Parameters
    ----------
    box : Box
        In original pixels.
    kind : str
        ``whole``, ``trimmed`` (uniform borders cut off), ``panel`` (a picture in a composite), ``inset`` (a picture laid
        on another) or ``foreground`` (what stands out from a plain ground).
    """

    box: Box
    kind: str


def regions(photo: PhotoContext) -> tuple[Region, ...]:
    """Return the regions of a photo, the whole first, computed once; see `find_regions`."""
    return photo.once(_found)


def _found(photo: PhotoContext) -> tuple[Region, ...]:
    boxes, kinds = photo.lasting(_parts)
    return tuple(Region(Box(*box), _KINDS[kind]) for box, kind in zip(boxes.tolist(), kinds, strict=True))


def _parts(photo: PhotoContext) -> tuple[npt.NDArray[Any], ...]:
    found = find_regions(photo.image)
    return np.array([(r.box.x0, r.box.y0, r.box.x1, r.box.y1) for r in found]), np.array(
        [_KINDS.index(r.kind) for r in found]
    )


def find_regions(image: Image) -> tuple[Region, ...]:
    """Find the parts of a picture that may be pictures of their own.

    Parameters
    ----------
    image : Image

    Returns
    -------
    tuple of Region
        The whole photo first; no two boxes overlap by more than 0.9 (intersection over union). At most 13.

    Notes
    -----
    A picture is cut where a straight line runs across all of it: a uniform bar, or a step that at least three quarters of
    the line share and its neighbours do not. Pieces are cut again, so grids and screenshots come apart. An inset is a
    rectangle with straight edges on all four sides, or on three where the photo ends on the fourth.
    """
    small = shrink(image.pixels, _SIDE)
    pixels = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32)  # one plane a colour: sums run along lines
    height, width = pixels.shape[1:]
    per_x, per_y = image.width / width, image.height / height
    whole: _Cut = (0, 0, width, height)
    trimmed = _trim(pixels, whole)
    found: list[tuple[_Cut, str]] = [(whole, "whole"), (trimmed, "trimmed")]
    panels = list(_split(pixels, trimmed, 3))
    if 1 < len(panels) <= _MAX_PANELS:
        found += [(panel, "panel") for panel in panels]
    found += [(inset, "inset") for inset in _insets(pixels)]
    front = _foreground(pixels)
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
    """Tell which lines along `axis` (1 down, 2 across) have one colour."""
    return np.asarray(pixels.std(axis=axis).max(axis=0) < _FLAT)


def _trim(pixels: npt.NDArray[np.float32], cut: _Cut) -> _Cut:
    x0, y0, x1, y1 = cut
    for _ in range(2):  # letterbox and pillarbox hide one another
        rows = np.flatnonzero(~_flat(pixels[:, y0:y1, x0:x1], 2))
        if not len(rows):
            return cut
        y0, y1 = y0 + int(rows[0]), y0 + int(rows[-1]) + 1
        columns = np.flatnonzero(~_flat(pixels[:, y0:y1, x0:x1], 1))
        if not len(columns):
            return cut
        x0, x1 = x0 + int(columns[0]), x0 + int(columns[-1]) + 1
    return (x0, y0, x1, y1) if min(x1 - x0, y1 - y0) >= 16 else cut


def _split(pixels: npt.NDArray[np.float32], cut: _Cut, depth: int) -> Iterator[_Cut]:
    """Yield the pieces a cut falls into along its strongest line, again and again."""
    x0, y0, x1, y1 = cut
    part = pixels[:, y0:y1, x0:x1]
    best = max(((*_line(part, axis), axis) for axis in (1, 2)), key=lambda line: line[0]) if depth else (0.0, 0, 0, 0)
    strength, start, end, axis = best
    if strength <= 0.0:
        yield cut
        return
    halves = (
        [(x0, y0, x0 + start, y1), (x0 + end, y0, x1, y1)]
        if axis == 1
        else [(x0, y0, x1, y0 + start), (x0, y0 + end, x1, y1)]
    )
    for half in halves:
        yield from _split(pixels, _trim(pixels, half), depth - 1)


def _line(part: npt.NDArray[np.float32], axis: int) -> tuple[float, int, int]:
    """Return (strength, start, end) of the strongest line of constant x (axis 1) or y (axis 2); strength 0 for none."""
    length = part.shape[3 - axis]
    margin = max(int(length * _MIN_SHARE), 12)
    if length < 2 * margin + 1:
        return 0.0, 0, 0
    best = (0.0, 0, 0)
    flat = _flat(part, axis)
    edges = np.flatnonzero(np.diff(np.r_[0, flat.astype(np.int8), 0]))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if start >= margin and end <= length - margin and 1.0 + (end - start) / length > best[0]:
            best = (1.0 + (end - start) / length, int(start), int(end))
    step = np.abs(np.diff(part, axis=3 - axis)).mean(axis=0) > _STEP
    share = step.mean(axis=axis - 1)
    # Between two pictures one or two neighbouring steps are high (resizing blurs a seam); texture is high everywhere.
    around = np.convolve(share, np.r_[np.ones(3), np.zeros(5), np.ones(3)] / 6.0, mode="same")
    for at in range(margin, length - margin):
        seam = float(share[at - 1])
        if seam >= 0.75 and around[at - 1] < 0.5 * seam and seam > best[0]:
            best = (seam, at, at)
    return best


def _insets(pixels: npt.NDArray[np.float32]) -> list[_Cut]:
    """Return the rectangles with the most edge along their sides, strongest first."""
    height, width = pixels.shape[1:]
    (left, right), down = _edges(pixels)
    (top, bottom), across = _edges(pixels.swapaxes(1, 2))
    x0, y0 = (v.ravel() for v in np.meshgrid(left, top))
    x1, y1 = (v.ravel() for v in np.meshgrid(right, bottom))
    sides = np.stack(
        [(down[y1, x] - down[y0, x]) / (y1 - y0) for x in (x0, x1)]
        + [(across[x1, y] - across[x0, y]) / (x1 - x0) for y in (y0, y1)]
    )
    inside = np.stack([x0 > 0, x1 < width, y0 > 0, y1 < height])
    sides[~inside] = _INSET_SIDE
    strength = sides.min(axis=0) + sides.mean(axis=0)
    able = np.flatnonzero((sides.min(axis=0) >= _INSET_SIDE) & (inside.sum(axis=0) >= 3))
    kept: list[_Cut] = []
    for i in able[np.argsort(-strength[able], kind="stable")]:
        cut = int(x0[i]), int(y0[i]), int(x1[i]), int(y1[i])
        if all(Box(*cut).iou(Box(*other)) < 0.5 for other in kept):
            kept.append(cut)
        if len(kept) == _INSETS:
            break
    return kept


def _edges(
    part: npt.NDArray[np.float32],
) -> tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """Return pairs of x that may be two sides of an inset, and the edge pixels above each (y, x), of lines of constant x."""
    import cv2

    height, width = part.shape[1:]
    step = np.zeros((height, width + 1), np.float32)
    step[:, 1:-1] = np.abs(np.diff(part, axis=2)).max(axis=0)
    # Texture is a ridge here and there, a seam keeps to its line, or to two: reducing a photo blurs it over both.
    ridge = (step > _INSET_EDGE) & (step >= cv2.dilate(step, np.ones((1, 5), np.uint8)))
    above = np.zeros((height + 1, width + 1), np.float32)
    above[1:] = np.cumsum(cv2.dilate(ridge.astype(np.uint8), np.ones((1, 3), np.uint8)), axis=0)
    least = min(max(int(height * _MIN_SHARE), 12), height)
    longest = (above[least:] - above[:-least]).max(axis=0) / least
    at = np.flatnonzero((longest >= cv2.dilate(longest[None], np.ones((1, 5), np.uint8))[0]) & (longest >= _INSET_SIDE))
    at = at[np.argsort(-longest[at], kind="stable")][:_INSET_LINES]
    at = np.unique(np.r_[0, at, width])
    start, end = (at[i] for i in np.triu_indices(len(at), 1))
    fits = (end - start >= max(width * _MIN_SHARE, 12)) & (end - start < 0.9 * width)
    return (start[fits], end[fits]), above


def _foreground(pixels: npt.NDArray[np.float32]) -> _Cut | None:
    """Return the box of what stands out from a plain ground, None where the ground is not plain."""
    height, width = pixels.shape[1:]
    rim = max(min(height, width) // 40, 1)
    sides = (pixels[:, :rim], pixels[:, -rim:], pixels[:, :, :rim], pixels[:, :, -rim:])
    border = np.concatenate([side.reshape(3, -1) for side in sides], axis=1)
    ground = np.median(border, axis=1)
    if (np.abs(border - ground[:, None]).max(axis=0) < 20).mean() < 0.7:
        return None
    stands_out = np.abs(pixels - ground[:, None, None]).max(axis=0) > 25
    # One stray pixel in a line is JPEG or a watermark.
    columns, rows = np.flatnonzero(stands_out.sum(axis=0) > 2), np.flatnonzero(stands_out.sum(axis=1) > 2)
    if len(columns) < 8 or len(rows) < 8:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
