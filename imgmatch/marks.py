"""Find a brand's mark in a photo, lay it over its reference, and see what differs.

A mark is drawn in one ink on one ground, in any two colours, so references are kept as *ink maps*: 0 ground, 1 ink.
Two kinds of proposals feed one verification:

* keypoints that agree on a placement (:mod:`imgmatch.geometry`), for marks with enough corners;
* blobs of ink whose silhouette is the mark's, for marks with few (a swoosh, three stripes).

A placement is then refined and judged on pixels: how much of the patch of the photo does the ink map explain?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imgmatch import geometry
from imgmatch.geometry import Keypoints, Points, Transform
from imgmatch.photo import PhotoContext
from imgmatch.types import FloatArray, Image, UInt8Array

__all__ = ["Difference", "MarkIndex", "MarkReference", "Placement", "difference", "ink_map", "make_reference", "repeats"]

SIDE = 160
"""Longer side in pixels of an ink map, without its margin: marks are rarely larger in photos of products."""

MARGIN = 0.12
"""Ground kept around the mark, as a share of its longer side; it has to be ground in the photo too."""

GRID = 24
"""Side in pixels of the silhouettes that blobs are compared by."""

PLAIN = 0.9
"""A mark of which plain shapes explain more than this is not looked for: it would be found everywhere."""

VOTE, SILHOUETTE = 0.7, 0.0
"""Least similarity of a feature that votes, and least likeness of a silhouette. Low: verification decides."""

_TURNS = (0.0, -15.0, 15.0, -30.0, 30.0, 90.0, -90.0)

# A reference is the same mark when its colours are inverted. For a SIFT descriptor that turns the dominant direction by
# 180 degrees and with it the 4x4 grid, while directions relative to the dominant one stay: rows and columns reverse.
_NEGATIVE = np.arange(128).reshape(4, 4, 8)[::-1, ::-1].ravel()


Proposal = tuple[int, Transform, bool, int]
"""Reference, ink map to photo, mirrored, agreeing keypoints."""


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
    """

    shape: FloatArray
    turn: Transform
    box: tuple[int, int, int, int]

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
        return _rounded(self.tight() * self.scale + np.array(self.origin))


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
        return _rounded(geometry.map_points(self.transform, self.reference.tight()))

    def corners(self) -> list[list[float]]:
        """Return the corners of the whole ink map in the photo, original pixels."""
        height, width = self.reference.ink.shape
        return _rounded(geometry.map_points(self.transform, geometry.rectangle(width, height)))

    def from_reference(self) -> Transform:
        """Return the transform from original pixels of the reference picture to those of the photo."""
        x, y = self.reference.origin
        step = 1.0 / self.reference.scale
        return np.asarray(self.transform @ np.array([[step, 0, -x * step], [0, step, -y * step], [0, 0, 1.0]]), np.float64)


def _rounded(points: Points) -> list[list[float]]:
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


class MarkIndex:
    """All marks of a catalog, ready to be looked for together.

    Parameters
    ----------
    references : sequence of MarkReference

    Attributes
    ----------
    plainness : ndarray, shape (n,), float32
        How much of each mark the marks of other brands and plain shapes (disc, ring, square, …) explain, in [0, 1]. A mark
        that is little more than a disc is found in every button: what counts is what it explains beyond that.
    """

    def __init__(self, references: Sequence[MarkReference]) -> None:
        self.references = tuple(references)
        none = np.zeros((0, 128), np.float32)
        descriptors = np.concatenate([none, *(r.keypoints.descriptors for r in self.references)])
        self._owners = np.repeat(np.arange(len(self.references)), [len(r.keypoints) for r in self.references])
        # Votes need no more than the 32 directions in which the marks' features differ most; verification has them all.
        self._axes = np.linalg.eigh(descriptors.T @ descriptors)[1][:, -32:].astype(np.float32)
        self._stack = descriptors @ self._axes
        self.plainness = _plainness(self.references)
        self._outlines = [(i, o) for i, r in enumerate(self.references) if self.plainness[i] < PLAIN for o in r.outlines]
        none = np.zeros((0, GRID * GRID), np.float32)
        self._shapes = np.concatenate([none, *(o.shape.reshape(1, -1) for _, o in self._outlines)])
        self._aspects = np.array([o.aspect for _, o in self._outlines])

    def find(self, photo: PhotoContext, most: int = 6) -> list[Placement]:
        """Find the marks that show in a photo.

        Parameters
        ----------
        photo : PhotoContext
        most : int
            Proposals of each of the two kinds that are verified.

        Returns
        -------
        list of Placement
            The best per reference, likest first. All that could be laid over the photo, also unlike ones.
        """
        best: dict[int, Placement] = {}
        for index, transform, mirrored, support in [*self._by_keypoints(photo, most), *self._by_silhouette(photo, most)]:
            placed = _judge(photo.image, self.references[index], transform, mirrored, support, float(self.plainness[index]))
            if placed is not None and (index not in best or placed.likeness > best[index].likeness):
                best[index] = placed
        return sorted(best.values(), key=lambda p: -p.likeness)

    def _by_keypoints(self, photo: PhotoContext, most: int) -> list[Proposal]:
        query = geometry.keypoints(photo)
        out: list[Proposal] = []
        if len(query) < 4 or not len(self._stack):
            return out
        for mirrored, features in ((False, query), (True, geometry.mirrored(query))):
            # Each feature of the photo votes for the mark that holds its nearest feature, if it is near at all.
            similarity = (features.descriptors @ self._axes) @ self._stack.T
            nearest = similarity.argmax(axis=1)
            voters = similarity[np.arange(len(features)), nearest] > VOTE
            votes = np.bincount(self._owners[nearest[voters]], minlength=len(self.references)) * (self.plainness < PLAIN)
            for index in np.argsort(-votes, kind="stable")[: 2 * most]:
                if votes[index] < 3:
                    break
                points = self.references[index].keypoints
                pairs = geometry.match(features, points, ratio=0.95)
                found = geometry.verify(features, points, pairs, model="affine", min_inliers=4)
                if found is not None:
                    transform = geometry.flip(query.width) @ found.transform if mirrored else found.transform
                    out.append((int(index), transform, mirrored, len(found)))
        return sorted(out, key=lambda p: -p[3])[:most]

    def _by_silhouette(self, photo: PhotoContext, most: int) -> list[Proposal]:
        shapes, boxes = photo.once("blobs", lambda: _blobs(photo.image))
        out: list[Proposal] = []
        if not len(shapes) or not len(self._shapes):
            return out
        likeness = shapes.reshape(len(shapes), -1) @ self._shapes.T
        aspect = np.log((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]))
        likeness[np.abs(aspect[:, None] - self._aspects[None]) > 0.35] = 0.0
        # Where a plain shape would do as well there is nothing to verify.
        plain = self.plainness[[i for i, _ in self._outlines]]
        likeness = (np.square(np.maximum(likeness, 0.0)) - plain) / (1.0 - plain)
        tried: dict[int, int] = {}
        for flat in np.argsort(-likeness, axis=None)[: 20 * most]:
            blob, column = divmod(int(flat), likeness.shape[1])
            if likeness[blob, column] < SILHOUETTE or len(out) >= most:
                break
            index, outline = self._outlines[column]
            if tried.get(index, 0) < 3:
                tried[index] = tried.get(index, 0) + 1
                out.append((index, outline.laid_on(boxes[blob]), False, 0))
        return out


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


# Proposals


def _blobs(image: Image) -> tuple[FloatArray, FloatArray]:
    """Find things of one tone on another: their silhouettes (n, GRID, GRID) and boxes (n, 4) in original pixels.

    Each of two sizes is cut against its neighbourhood, by tone (lighter, darker) and by hue, and pieces that nearly touch
    are also taken together: a mark may be of several parts.
    """
    import cv2

    shapes: list[FloatArray] = []
    boxes: list[tuple[float, ...]] = []
    for side, least, around in ((480, 12, 121), (200, 8, 151)):  # the small one sees marks that fill much of the photo
        small = geometry.shrink(image.pixels, side)
        per = image.width / small.shape[1]
        colour = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (0, 0), 1.0).astype(np.float32)
        height, width = colour.shape[:2]
        away = colour - cv2.blur(colour, (around, around))
        tone, hue = away[:, :, 0], np.hypot(away[:, :, 1], away[:, :, 2])
        # What stands out does so beyond the grain of the ground.
        step, tint = max(8.0, 3.0 * float(np.median(np.abs(tone)))), max(8.0, 3.0 * float(np.median(hue)))
        for stands_out in (tone > step, tone < -step, hue > tint):
            mask = stands_out.astype(np.uint8) * 255
            taken = np.zeros((0, 4), np.int32)
            for join in (1, 5, 11):
                joined = cv2.dilate(mask, np.ones((join, join), np.uint8)) if join > 1 else mask
                _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
                grown = join // 2
                x, y, w, h, area = stats[1:].T
                fits = (
                    (np.minimum(w, h) - 2 * grown >= least) & (w < 0.9 * width) & (h < 0.9 * height) & (area > 0.08 * w * h)
                )
                at = np.stack([x + grown, y + grown, x + w - grown, y + h - grown], axis=1)[fits]
                new = at[(np.abs(at[:, None] - taken[None]).max(axis=2) > 2).all(axis=1)] if len(taken) else at
                new = new[np.argsort(-((new[:, 2] - new[:, 0]) * (new[:, 3] - new[:, 1])), kind="stable")][:60]
                taken = np.concatenate([taken, new])
            for x0, y0, x1, y1 in np.clip(taken, 0, [width, height, width, height]):
                shapes.append(_unit(cv2.resize(mask[y0:y1, x0:x1], (GRID, GRID), interpolation=cv2.INTER_AREA)))
                boxes.append((x0 * per, y0 * per, x1 * per, y1 * per))
    if not shapes:
        return np.zeros((0, GRID, GRID), np.float32), np.zeros((0, 4), np.float32)
    return np.stack(shapes), np.array(boxes, np.float32)


# Verification


def _judge(
    image: Image, reference: MarkReference, start: Transform, mirrored: bool, support: int, plainness: float
) -> Placement | None:
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
    mirrored = mirrored and not _symmetric(ink)
    return Placement(reference, transform, explained, plainness, patch, mirrored, support)


def _symmetric(ink: FloatArray) -> bool:
    """Say whether the mark is about the same as its mirror image."""
    return float(np.corrcoef(ink.ravel(), ink[:, ::-1].ravel())[0, 1]) > 0.8


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


# Preparation


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
    """Return the mark's silhouettes: whole, at all turns; and, nearly upright, without each part that is worth seeing.

    A mark that lost a part is no longer as wide or as high as it was; it is only found by what is left.
    """
    import cv2

    drawn = (ink > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    shares = [stats[i, cv2.CC_STAT_AREA] / max(int(drawn.sum()), 1) for i in range(1, count)]
    parts = [i for i, share in enumerate(shares, 1) if 0.05 < share < 0.6][:4]
    out = [_outline(ink, degrees) for degrees in _TURNS]
    return (
        *out,
        *(_outline(np.where(labels == i, 0, ink).astype(np.float32), d) for i in parts for d in (-15.0, 0.0, 15.0)),
    )


def _outline(ink: FloatArray, degrees: float) -> Outline:
    import cv2

    matrix, size = _turn_matrix(ink.shape, degrees)
    turned = cv2.warpAffine(ink, matrix[:2], size)
    ys, xs = np.flatnonzero((turned > 0.5).any(axis=1)), np.flatnonzero((turned > 0.5).any(axis=0))
    box = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    tight = turned[box[1] : box[3], box[0] : box[2]]
    return Outline(_unit(cv2.resize(tight, (GRID, GRID), interpolation=cv2.INTER_AREA)), matrix, box)


def _plainness(references: Sequence[MarkReference]) -> FloatArray:
    """Return how much of each ink map the best of these explains, laid over the same box (squared correlation).

    Its filled box, hull and outline; disc, ring, triangle and diamond; and the marks of other brands.
    """
    import cv2

    # At a quarter of the size: what matters is the gist, and every pair of marks is compared.
    small = [cv2.resize(r.ink, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for r in references]
    boxes = [np.round(r.tight()[[0, 2]] / 4).astype(int).ravel() for r in references]
    parts = [ink[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] for ink, (x0, y0, x1, y1) in zip(small, boxes, strict=True)]
    out = np.zeros(len(references), np.float32)
    for i, (ink, (x0, y0, x1, y1)) in enumerate(zip(small, boxes, strict=True)):
        middle, half = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        thick = max(min(half) // 3, 1)
        shapes = [np.zeros(ink.shape, np.float32) for _ in range(8)]
        cv2.rectangle(shapes[0], (x0, y0), (x1 - 1, y1 - 1), 1, -1)
        cv2.rectangle(shapes[1], (x0, y0), (x1 - 1, y1 - 1), 1, thick)
        cv2.ellipse(shapes[2], middle, half, 0, 0, 360, 1, -1)
        cv2.ellipse(shapes[3], middle, (max(half[0] - thick // 2, 1), max(half[1] - thick // 2, 1)), 0, 0, 360, 1, thick)
        cv2.fillPoly(shapes[4], [np.array([[middle[0], y0], [x1, y1], [x0, y1]])], 1)
        cv2.fillPoly(shapes[5], [np.array([[x0, y0], [x1, y0], [middle[0], y1]])], 1)
        cv2.fillPoly(shapes[6], [np.array([[middle[0], y0], [x1, middle[1]], [middle[0], y1], [x0, middle[1]]])], 1)
        cv2.fillConvexPoly(shapes[7], cv2.convexHull(np.argwhere(ink > 0.5 * ink.max())[:, ::-1].astype(np.int32)), 1)
        for part, other in zip(parts, references, strict=True):
            if other.brand != references[i].brand:
                laid = np.zeros(ink.shape, np.float32)
                to = laid[y0:y1, x0:x1]
                to[:] = cv2.resize(part, to.shape[::-1], interpolation=cv2.INTER_LINEAR)
                shapes.append(laid)
        out[i] = max(float(_unit(ink).ravel() @ _unit(shape).ravel()) for shape in shapes)
    return np.asarray(np.clip(out, 0.0, 0.99) ** 2, np.float32)


def _turn_matrix(shape: tuple[int, ...], degrees: float) -> tuple[Transform, tuple[int, int]]:
    """Return the turn about the middle, into a canvas that holds all of it."""
    height, width = shape[:2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    size = (int(np.ceil(abs(c) * width + abs(s) * height)), int(np.ceil(abs(s) * width + abs(c) * height)))
    shift = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1.0]])
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    return shift @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ centre, size


def _unit(shape: Any) -> FloatArray:
    centred = np.asarray(shape, np.float32) - np.float32(np.mean(shape))
    norm = float(np.linalg.norm(centred))
    return np.asarray(centred / norm if norm > 1e-6 else centred * 0, np.float32)


def repeats(photo: PhotoContext, reference: MarkReference) -> FloatArray:
    """Find the places of a mark that repeats all over a canvas.

    Parameters
    ----------
    photo : PhotoContext
    reference : MarkReference
        One tile, or one mark, of the pattern.

    Returns
    -------
    ndarray, shape (n, 2), float32
        Centres of the repeats that agree in scale and direction with one another, original pixels.

    Notes
    -----
    Every feature of the photo that is near one of the mark's names a scale, a direction and a centre. Repeats are the
    centres, in the most popular scale and direction, that features of at least four places of the mark name (Hough voting,
    Lowe 2004, section 7.3).
    """
    query, points = geometry.keypoints(photo), reference.keypoints
    if len(query) < 3 or not len(points):
        return np.zeros((0, 2), np.float32)
    similarity = query.descriptors @ points.descriptors.T
    nearest = similarity.argmax(axis=1)
    near = np.flatnonzero(similarity[np.arange(len(query)), nearest] > 0.8)
    found = nearest[near]
    scale = query.size[near] / points.size[found]
    turn = np.radians(query.angle[near] - points.angle[found])
    middle = np.array([points.width / 2, points.height / 2]) - points.xy[found]
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    centres = query.xy[near] + np.stack(
        [cos * middle[:, 0] - sin * middle[:, 1], sin * middle[:, 0] + cos * middle[:, 1]], axis=1
    )
    alike = (np.abs(np.log(scale[:, None] / scale[None])) < 0.3) & (
        np.cos(turn[:, None] - turn[None]) > np.cos(np.radians(20))
    )
    if not len(near):
        return np.zeros((0, 2), np.float32)
    family = alike[alike.sum(axis=1).argmax()]
    places = points.xy[found][family]
    centres, reach = centres[family], 0.2 * float(np.median(scale[family])) * max(points.width, points.height)
    out: list[FloatArray] = []
    left = np.ones(len(centres), bool)
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    for row in np.argsort(-(apart < reach).sum(axis=1), kind="stable"):
        group = (apart[row] < reach) & left
        if left[row] and len(np.unique(np.round(places[group] / 6), axis=0)) >= 4:
            out.append(centres[group].mean(axis=0))
            left &= apart[row] >= 2 * reach
    return np.array(out, np.float32).reshape(-1, 2)
