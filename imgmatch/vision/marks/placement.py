"""Lay a drawing of a mark over a photo, see how much of the photo it explains, and where the two differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from imgmatch.types import FloatArray, Image, UInt8Array
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks.reference import Ink, MarkReference, rounded

__all__ = ["Difference", "Placement", "coarse", "difference", "judge"]

WINDOW = 21
"""Side in ink-map pixels of the window that is displaced as one; of 10, 14 and 21 the last found most altered marks of
the dev icons of ``benchmarks/figures.py`` at f1b99b2 without calling a genuine one altered."""

BLURS = (0.0, 0.8, 1.5, 2.5, 3.5, 5.0)
"""Blurs (standard deviation, ink-map pixels) that a photo may have: one pixel of a mark 30 wide is 5 of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A drawing laid over a photo.

    Parameters
    ----------
    ink : Ink
    transform : ndarray, shape (3, 3), float64
        From ink-map pixels to original pixels of the photo.
    explained : float
        Share of the patch's variance that the ink map explains, in [0, 1], after allowing for even light and its slope.
    patch : ndarray, shape (h, w), float32
        The photo under the ink map, in units of ink: 0 where it is as the ground, 1 where it is as the ink.
    """

    ink: Ink
    transform: Transform
    explained: float
    patch: FloatArray

    @property
    def pixels(self) -> float:
        """Longer side of the drawing in the photo, original pixels."""
        height, width = self.ink.share.shape
        corners = geometry.map_points(self.transform, geometry.rectangle(width, height))
        return float(np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1).max())

    def corners(self) -> list[list[float]]:
        """Return the corners of the whole ink map in the photo, original pixels."""
        height, width = self.ink.share.shape
        return rounded(geometry.map_points(self.transform, geometry.rectangle(width, height)))


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Where a photo's mark differs from its reference.

    Parameters
    ----------
    size : float
        Area of the largest single place where ink is missing or ink is added, as a share of the mark's inked area.
    rest : float
        Share of the variance of all that is not such a place that the ink map explains, at most 1.
    where : ndarray, shape (h, w), float32
        In [0, 1]: how far the patch is outside what the reference allows within the tolerance.
    """

    size: float
    rest: float
    where: FloatArray


def difference(placement: Placement, tolerance: float = 0.02) -> Difference:
    """Measure where a photo's mark differs from its reference.

    Parameters
    ----------
    placement : Placement
    tolerance : float
        Displacement that is forgiven, as a share of the ink map's longer side.

    Notes
    -----
    The ink map is first blurred as the photo is. Every part of the patch, a window of :data:`WINDOW` pixels at a time, is
    then compared at the displacement within the tolerance that suits it best (block matching): cloth bends and a placement
    is never exact, but no displacement puts back a stroke that is missing, however thin.

    A place counts only if it looks like plain ground where ink should be, or like plain ink where ground should be: what
    merely covers the mark (a finger, a strap, a highlight) has a tone of its own.
    """
    import cv2

    ink = placement.ink.share
    model, contrast, ground = _blurred_as(ink, placement.patch)
    patch = cv2.GaussianBlur((placement.patch - ground) / max(contrast, 0.3), (0, 0), 1.0)
    model = cv2.GaussianBlur(model, (0, 0), 1.0)
    radius = max(round(tolerance * max(ink.shape)), 1)
    padded = cv2.copyMakeBorder(model, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    off, least = np.zeros_like(patch), np.full(ink.shape, np.inf, np.float32)
    for dy, dx in np.argwhere(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))):
        apart = patch - padded[dy : dy + ink.shape[0], dx : dx + ink.shape[1]]
        # Of displacements that suit alike, the least.
        cost = cv2.blur(apart * apart, (WINDOW, WINDOW)) + 1e-4 * float((dy - radius) ** 2 + (dx - radius) ** 2)
        nearer = cost < least
        off[nearer], least[nearer] = apart[nearer], cost[nearer]
    plain = np.where(off < 0, np.abs(patch) < 0.35, np.abs(patch - 1.0) < 0.35)
    places = ((np.abs(off) > 0.5) & plain).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(places, connectivity=8)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 3, 2 * radius + 3))
    same = cv2.dilate(places, around) == 0
    left, kept = placement.patch[same] - ink[same], placement.patch[same]
    rest = 1.0 - float(np.square(left).sum()) / max(float(np.square(kept - kept.mean()).sum()), 1e-6) if same.any() else 0.0
    where = np.asarray(np.clip(np.abs(off), 0.0, 1.0) * plain, np.float32)
    return Difference(largest / float(max((ink > 0.5).sum(), 1)), rest, where)


def _blurred_as(ink: FloatArray, patch: FloatArray) -> tuple[FloatArray, float, float]:
    """Return the ink map with the blur under which it explains the patch best; ``patch = contrast * map + ground``."""
    import cv2

    fits = []
    for sigma in BLURS:
        model = cv2.GaussianBlur(ink, (0, 0), sigma) if sigma else ink
        design = np.stack([model.ravel(), np.ones(model.size, np.float32)], axis=1)
        (contrast, ground), left, *_ = np.linalg.lstsq(design, patch.ravel(), rcond=None)
        fits.append((float(left[0]) if len(left) else np.inf, model, float(contrast), float(ground)))
    _, model, contrast, ground = min(fits, key=lambda fit: fit[0])
    return model, contrast, ground


def judge(image: Image, reference: MarkReference, start: Transform) -> Placement | None:
    """Refine where a drawing lies in a photo and judge it on pixels.

    Parameters
    ----------
    image : Image
    reference : MarkReference
    start : ndarray, shape (3, 3), float64
        From original pixels of the reference picture to original pixels of the photo; good to a few pixels.

    Returns
    -------
    Placement or None
        None where the reference is no drawing, or cannot lie there: outside the photo, too small, nothing explained by it.
    """
    import cv2

    if reference.ink is None:
        return None
    ink = reference.ink.share
    (x, y), step = reference.ink.origin, reference.ink.scale
    transform = np.asarray(start @ np.array([[step, 0, x], [0, step, y], [0, 0, 1.0]]), np.float64)
    if not _sane(transform, ink, image):
        return None
    # A placement is good to a few pixels of the photo; the comparison wants one pixel of the ink map. First on a small
    # ink map, which sees farther, then on the whole.
    for factor, steps in ((0.4, 25), (1.0, 8)):
        size = (max(round(ink.shape[1] * factor), 8), max(round(ink.shape[0] * factor), 8))
        small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
        zoom = np.diag([ink.shape[1] / size[0], ink.shape[0] / size[1], 1.0])
        drawn, covered = geometry.draw(image, _inverse(transform @ zoom), size, smooth=0.8)
        if covered.mean() < 0.85:
            return None
        tone = _contrast(drawn, small)
        explained, _ = _explain(tone, small)
        if explained < 0.1 and factor < 1:
            return None
        sign = 1.0 if np.corrcoef(tone.ravel(), small.ravel())[0, 1] >= 0 else -1.0
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-3)
        try:
            _, warp = cv2.findTransformECC(
                small, sign * tone, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, stop, None, 5
            )
        except cv2.error:  # no convergence: the placement stands as it is
            continue
        refined = transform @ zoom @ np.vstack([warp, [0, 0, 1]]) @ np.linalg.inv(zoom)
        if _sane(refined, ink, image):
            transform = refined
    drawn, covered = geometry.draw(image, _inverse(transform), (ink.shape[1], ink.shape[0]), smooth=0.8)
    if covered.mean() < 0.85:
        return None
    explained, patch = _explain(_contrast(drawn, ink), ink)
    return Placement(reference.ink, transform, explained, patch)


def _contrast(drawn: UInt8Array, ink: FloatArray) -> FloatArray:
    """Return the patch as one tone: the mix of its colours in which ink and ground differ most."""
    colours = drawn.reshape(-1, 3).astype(np.float32)
    inside = ink.ravel() > 0.5
    if not inside.any() or inside.all():
        return np.asarray(colours.mean(axis=1).reshape(ink.shape), np.float32)
    axis = colours[inside].mean(axis=0) - colours[~inside].mean(axis=0)
    norm = float(np.linalg.norm(axis))
    axis = axis / norm if norm > 1e-6 else np.full(3, 3**-0.5, np.float32)
    return np.asarray((colours @ axis).reshape(ink.shape), np.float32)


def _explain(tone: FloatArray, ink: FloatArray) -> tuple[float, FloatArray]:
    """Fit ``tone = a ink + b + c x + d y`` by least squares; return the share explained by ink, and tone in ink units."""
    height, width = ink.shape
    ys, xs = np.mgrid[0:height, 0:width]
    plane = np.stack([np.ones(ink.size), xs.ravel() / width - 0.5, ys.ravel() / height - 0.5], axis=1)
    design = np.c_[ink.ravel(), plane]
    target = tone.ravel().astype(np.float64)
    fit, *_ = np.linalg.lstsq(design, target, rcond=None)
    bare, *_ = np.linalg.lstsq(plane, target, rcond=None)
    left = float(((target - design @ fit) ** 2).sum())
    total = float(((target - plane @ bare) ** 2).sum())
    contrast = float(fit[0])
    if abs(contrast) < 8.0 or total <= 0:  # grey levels: less is noise, not ink
        return 0.0, np.zeros_like(ink)
    patch = (target - plane @ fit[1:]) / contrast
    return 1.0 - left / total, patch.reshape(ink.shape).astype(np.float32)


def _inverse(transform: Transform) -> Transform:
    return np.asarray(np.linalg.inv(transform), np.float64)


def _sane(transform: Transform, ink: FloatArray, image: Image) -> bool:
    """Say whether the placement is a view of a flat thing, inside the photo, at least 12 original pixels across."""
    linear = transform[:2, :2]
    if not np.isfinite(transform).all():
        return False
    large, little = np.linalg.svd(linear, compute_uv=False)
    side = max(ink.shape)
    return bool(
        little > 1e-6 and large / little < 2.5 and large * side < 1.5 * max(image.width, image.height) and little * side > 12
    )


def coarse(where: FloatArray, side: int = 32) -> list[list[float]]:
    """Return the map at `side` cells along its longer side, each the largest value in it."""
    step = max(math.ceil(max(where.shape) / side), 1)
    height, width = (-(-n // step) * step for n in where.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: where.shape[0], : where.shape[1]] = where
    cells = padded.reshape(height // step, step, width // step, step).max(axis=(1, 3))
    return [[round(float(v), 2) for v in row] for row in cells]
