"""Lay a mark over a photo, see how much of the photo it explains, and where the two differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgmatch import geometry
from imgmatch.geometry import Transform
from imgmatch.marks.reference import MarkReference, rounded, symmetric
from imgmatch.types import FloatArray, Image, UInt8Array

__all__ = ["Difference", "Placement", "difference", "judge"]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A mark laid over a photo.

    Parameters
    ----------
    reference : MarkReference
    transform : ndarray, shape (3, 3), float64
        From ink-map pixels to original pixels of the photo.
    explained : float
        Share of the patch's variance that the ink map explains, in [0, 1], after allowing for even light and its slope.
    plainness : float
        See `MarkIndex.plainness`.
    patch : ndarray, shape (h, w), float32
        The photo under the ink map, in units of ink: 0 where it is as the ground, 1 where it is as the ink.
    mirrored : bool
        The mirror image of the mark lies better than the mark.
    support : int
        Agreeing keypoints; 0 for a silhouette.
    """

    reference: MarkReference
    transform: Transform
    explained: float
    plainness: float
    patch: FloatArray
    mirrored: bool = False
    support: int = 0

    @property
    def likeness(self) -> float:
        """What the mark explains beyond what plain shapes and other marks would, in [0, 1]."""
        return max(self.explained - self.plainness, 0.0) / (1.0 - self.plainness)

    def polygon(self) -> list[list[float]]:
        """Return the mark's corners in the photo, without the margin, original pixels."""
        return rounded(geometry.map_points(self.transform, self.reference.tight()))

    def corners(self) -> list[list[float]]:
        """Return the corners of the whole ink map in the photo, original pixels."""
        height, width = self.reference.ink.shape
        return rounded(geometry.map_points(self.transform, geometry.rectangle(width, height)))

    def from_reference(self) -> Transform:
        """Return the transform from original pixels of the reference picture to those of the photo."""
        x, y = self.reference.origin
        step = 1.0 / self.reference.scale
        return np.asarray(self.transform @ np.array([[step, 0, -x * step], [0, step, -y * step], [0, 0, 1.0]]), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Where a photo's mark differs from its reference.

    Parameters
    ----------
    size : float
        Area of the largest single place where ink is missing or ink is added, as a share of the mark's inked area.
    rest : float
        `Placement.likeness` of all that is not such a place, in [0, 1].
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
    A place counts only if it looks like plain ground where ink should be, or like plain ink where ground should be: what
    merely covers the mark (a finger, a strap, a highlight) has a tone of its own.
    """
    import cv2

    ink = placement.reference.ink
    radius = max(round(tolerance * max(ink.shape)), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    patch = cv2.GaussianBlur(placement.patch, (0, 0), 1.0)
    missing = cv2.erode(ink, disc) - patch
    added = patch - cv2.dilate(ink, disc)
    off = np.clip(np.maximum(missing, added), 0.0, 1.0)
    plain = np.where(missing > added, np.abs(patch) < 0.35, np.abs(patch - 1.0) < 0.35)
    places = ((off > 0.55) & plain).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(places, connectivity=8)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    same = cv2.dilate(places, cv2.dilate(disc, np.ones((3, 3), np.uint8))) == 0
    left, kept = placement.patch[same] - ink[same], placement.patch[same]
    explained = (
        1.0 - float(np.square(left).sum()) / max(float(np.square(kept - kept.mean()).sum()), 1e-6) if same.any() else 0.0
    )
    rest = max(explained - placement.plainness, 0.0) / (1.0 - placement.plainness)
    return Difference(largest / float(max((ink > 0.5).sum(), 1)), rest, np.asarray(off * plain, np.float32))


def judge(
    image: Image, reference: MarkReference, start: Transform, mirrored: bool, support: int, plainness: float
) -> Placement | None:
    """Refine a proposed placement and judge it on pixels.

    Parameters
    ----------
    image : Image
    reference : MarkReference
    start : ndarray, shape (3, 3), float64
        From ink-map pixels to original pixels of the photo; good to a few pixels.
    mirrored, support, plainness
        As in :class:`Placement`.

    Returns
    -------
    Placement or None
        None where the mark cannot lie there: outside the photo, too small, or nothing there is explained by it.
    """
    import cv2

    ink = reference.ink
    if not _sane(start, reference, image):
        return None
    transform = start
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
        if _sane(refined, reference, image):
            transform = refined
    drawn, covered = geometry.draw(image, _inverse(transform), (ink.shape[1], ink.shape[0]), smooth=0.8)
    if covered.mean() < 0.85:
        return None
    explained, patch = _explain(_contrast(drawn, ink), ink)
    mirrored = mirrored and not symmetric(ink)
    return Placement(reference, transform, explained, plainness, patch, mirrored, support)


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


def _sane(transform: Transform, reference: MarkReference, image: Image) -> bool:
    """Say whether the placement is a view of a flat thing, inside the photo, at least 12 original pixels across."""
    linear = transform[:2, :2]
    if not np.isfinite(transform).all():
        return False
    large, little = np.linalg.svd(linear, compute_uv=False)
    side = max(reference.ink.shape)
    return bool(
        little > 1e-6 and large / little < 2.5 and large * side < 1.5 * max(image.width, image.height) and little * side > 12
    )
