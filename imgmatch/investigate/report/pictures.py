"""The pictures of a report: small copies of photos, crops of them, a reference laid over a photo, a heat map."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import ImgmatchError
from imgmatch.images import load_image, resolve_within, thumbnail_jpeg
from imgmatch.records import PhotoRecord
from imgmatch.types import Box, Image, UInt8Array
from imgmatch.vision import geometry

__all__ = ["Gallery", "Picture", "data_uri"]

SIDE = 340
"""Longest side in pixels of a picture in a report: near the size it is shown at, about 15 kB."""

_DETAIL = 1000
"""Shorter side in pixels that photos are decoded to at least: crops of small marks stay sharp, huge photos stay cheap."""

_CROP = 220
_MARGIN = 0.2
_WARM = np.array([214.0, 69.0, 32.0])
"""The colour of a heat map's hottest cell (sRGB)."""


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address that needs no network."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One photo as a report shows it.

    Parameters
    ----------
    key : str
        Unique in the report, safe as an HTML id.
    image : Image
    """

    key: str
    image: Image

    @property
    def width(self) -> int:
        """Original pixels; figures are drawn in these."""
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def uri(self) -> str:
        """Return the small copy."""
        return data_uri(thumbnail_jpeg(self.image, SIDE))

    def crop(self, points: list[list[float]]) -> str | None:
        """Return the surroundings of a polygon (original pixels), or None where it lies outside the photo."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        pad = _MARGIN * max(max(xs) - min(xs), max(ys) - min(ys)) + 2
        x0, y0 = max(min(xs) - pad, 0.0), max(min(ys) - pad, 0.0)
        x1, y1 = min(max(xs) + pad, float(self.width)), min(max(ys) + pad, float(self.height))
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None
        return data_uri(thumbnail_jpeg(self.image, _CROP, Box(x0, y0, x1, y1)))

    def small(self, side: int = SIDE) -> tuple[UInt8Array, float]:
        """Return the pixels with `side` as their longest side at most, and how many original pixels one of them is."""
        pixels = geometry.shrink(self.image.pixels, side)
        return pixels, self.width / pixels.shape[1]


def overlay(
    query: Picture, reference: Picture, transform: npt.NDArray[np.float64], *, opacity: float = 0.5, side: int = SIDE
) -> str | None:
    """Draw the reference where it lies on the query.

    Parameters
    ----------
    transform : ndarray, shape (3, 3)
        Maps reference pixels to query pixels, both original.
    opacity : float
        Of the reference, in [0, 1].
    side : int
        Longest side of the drawing in pixels.
    """
    canvas, query_scale = query.small(side)
    pixels, reference_scale = reference.small(side)
    shown = np.diag([1 / query_scale, 1 / query_scale, 1.0]) @ transform @ np.diag([reference_scale, reference_scale, 1.0])
    if not np.isfinite(shown).all() or abs(np.linalg.det(shown)) < 1e-12:
        return None
    drawn, covered = geometry.warp(pixels, shown, (canvas.shape[1], canvas.shape[0]))
    mixed = canvas.astype(np.float32)
    # Outside the reference the photo is paler, so that the eye goes to what was compared.
    mixed = np.where(covered[..., None], (1 - opacity) * mixed + opacity * drawn, 0.35 * mixed + 0.65 * 255)
    return data_uri(thumbnail_jpeg(mixed.round().astype(np.uint8), side))


def heat(
    query: Picture,
    corners: list[list[float]],
    values: npt.NDArray[np.float64],
    boxes: Sequence[list[list[float]]] = (),
) -> str:
    """Colour a photo where it differs from the reference; what was not compared is pale.

    Parameters
    ----------
    corners : list of 4 points
        Where the corners of `values` lie on the query, clockwise from the top left, original pixels.
    values : ndarray, shape (rows, columns), in [0, 1]
    boxes : sequence of polygons
        The places that stand out, outlined; original pixels.
    """
    canvas, scale = query.small()
    rows, columns = values.shape
    grid = np.repeat((values * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    to_canvas = _quad(columns, rows, np.asarray(corners) / scale)
    drawn, covered = geometry.warp(grid, to_canvas, (canvas.shape[1], canvas.shape[0]))
    strength = np.where(covered, drawn[..., 0] / 255.0, 0.0)[..., None] * 0.9
    grey = np.where(covered[..., None], canvas.mean(axis=2, keepdims=True), 0.35 * canvas + 0.65 * 255)
    mixed = (grey * (1 - strength) + _WARM * strength).round().astype(np.uint8)
    return data_uri(thumbnail_jpeg(_outlined(mixed, [np.asarray(b) / scale for b in boxes]), SIDE))


def _outlined(pixels: UInt8Array, polygons: list[npt.NDArray[np.float64]]) -> UInt8Array:
    from PIL import Image as Pillow
    from PIL import ImageDraw

    picture = Pillow.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for polygon in polygons:
        pen.line([tuple(p) for p in (*polygon, polygon[0])], fill=(120, 20, 10), width=2)
    return np.asarray(picture)


def _quad(width: float, height: float, corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the homography that takes a rectangle's corners to four points (the usual eight linear equations)."""
    rows, right = [], []
    for (x, y), (u, v) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), np.array(right, float)), 1.0).reshape(3, 3)


class Gallery:
    """Opens the photos of a report; a photo that cannot be shown is None, never an error.

    Parameters
    ----------
    photo_roots : sequence of Path
        Folders that the paths of the records may be relative to.
    catalog : Catalog or None
        For the references.
    """

    def __init__(self, photo_roots: Sequence[Path], catalog: Any) -> None:
        self._roots = photo_roots
        self._catalog = catalog

    def query(self, photo: PhotoRecord) -> Picture | None:
        """Open a listing photo, provided it is still the one that was scanned."""
        if photo.status != "ok" or not photo.sha256:
            return None
        for root in self._roots:
            try:
                image = load_image(resolve_within(root, photo.path), target_side=_DETAIL)
            except (ImgmatchError, OSError, ValueError):
                continue
            if image.sha256 == photo.sha256:
                return Picture(f"q{photo.sha256[:24]}", image)
        return None

    def reference(self, sha256: str | None) -> Picture | None:
        """Open a catalog photo."""
        if not sha256 or self._catalog is None or sha256 not in self._catalog.photos:
            return None
        try:
            return Picture(f"r{sha256[:24]}", self._catalog.photo(sha256).image)
        except (ImgmatchError, OSError):
            return None
