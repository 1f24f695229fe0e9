"""Where do two photos of one design differ, beyond light, focus, compression and viewpoint?

The two are laid on each other by a homography over matched keypoints and a smooth residual flow; where too little matches,
they show different sides and nothing is said. What is left is compared for structure and for colour, at two scales, and
held against how much the rest of the same overlap differs. A real difference shows against every view of the design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.signals.discrepancy.measures import Measure, ciede2000, colours, outline, pattern_period, subject
from imgmatch.types import FloatArray, Image
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Points, Transform, VerifiedMatch

__all__ = ["Comparison", "Difference", "agreed", "compare"]

_SIDE = 320  # longer side of the working picture in pixels
_REGIONS = 3  # differences that are shown
_PLACES = 25  # least matched places: pairs of adidas views with 15 to 21 lay wrong and differed by up to 38 deviations (dev)
_ALIKE = 0.8  # least share of the overlap whose structure agrees; less is another side, not another part


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """One place where the two differ.

    Parameters
    ----------
    query_polygon, reference_polygon : ndarray, shape (4, 2), float64
        The same place in both, in their own original pixels.
    strength : float
        How far it stands out, in robust standard deviations of the overlap.
    color : float
        CIEDE2000 between the two median colours there, after the light was evened out.
    """

    query_polygon: Points
    reference_polygon: Points
    strength: float
    color: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What two aligned photos of one design have in common and where they differ.

    Parameters
    ----------
    match : VerifiedMatch
    strength : float
        Of the strongest difference, in robust standard deviations of the overlap; 0 where nothing stands out.
    differences : tuple of Difference
        Strongest first, at most three.
    heatmap : ndarray, shape (rows, columns), float32
        In [0, 1], at most 32 x 32: the greatest score of each cell; 1 at 32 robust standard deviations.
    query_polygon : ndarray, shape (4, 2), float64
        What the heat map covers, in original pixels of the query.
    measures : tuple of Measure
        Colours, pattern period and outline, as far as each can be told; see `imgmatch.signals.discrepancy.measures`.
    scores : ndarray, shape (H, W), float32
        Per working pixel, at most 320 a side, how far the two differ in robust standard deviations; NaN where not compared.
    frame : ndarray, shape (3, 3)
        Maps original pixels of the query to working pixels.
    """

    match: VerifiedMatch
    strength: float
    differences: tuple[Difference, ...]
    heatmap: FloatArray
    query_polygon: Points
    measures: tuple[Measure, ...]
    scores: FloatArray
    frame: Transform


def compare(photo: PhotoContext, reference: PhotoContext) -> Comparison | None:
    """Lay a photo on a reference photo and find where they differ.

    Parameters
    ----------
    photo, reference : PhotoContext

    Returns
    -------
    Comparison or None
        None where they do not correspond: fewer than 25 matched places, places bunched in a corner of the overlap, or less
        than 0.8 of the overlap alike in structure once aligned.

    Notes
    -----
    Only what lies between matched places and near one is compared: of the rest nothing says that it is the same surface.
    Where the reference stands on a plain ground, the ground is left out: an honest photo has another. Per pixel,
    the least difference over shifts of up to two working pixels counts, in structure (1 - normalised correlation in a 9 px
    window, weighted by contrast) and in colour (CIELAB distance after an affine fit of colours and evening out of slow
    changes of light). Both are averaged at two scales and expressed in robust standard deviations (median and MAD) of the
    overlap.
    """
    ours, theirs = geometry.keypoints(photo), geometry.keypoints(reference)
    match = geometry.verify(ours, theirs, geometry.match(ours, theirs), model="homography")
    if match is None or len(match) < _PLACES or match.cells < 8:
        return None
    low, high = match.reference_xy.min(axis=0).astype(np.float64), match.reference_xy.max(axis=0).astype(np.float64)
    enlarged = np.sqrt(abs(np.linalg.det(match.transform[:2, :2])))
    gain = min(_SIDE / float((high - low).max()), 1.0 / reference.image.scale, 1.5 * enlarged / photo.image.scale)
    width, height = (int(n) for n in (high - low) * gain)
    if min(width, height) < 64:
        return None
    work = np.array([[gain, 0.0, -low[0] * gain], [0.0, gain, -low[1] * gain], [0.0, 0.0, 1.0]])
    frame: Transform = work @ np.linalg.inv(match.transform)
    r, r_covered = geometry.draw(reference.image, work, (width, height), smooth=0.8)
    q, q_covered = geometry.draw(photo.image, frame, (width, height), smooth=0.8)
    known = r_covered & q_covered & _vouched(geometry.map_points(work, match.reference_xy), (height, width))
    known &= geometry.draw(_thing(reference.image), work, (width, height))[0][..., 0] > 250
    if known.mean() < 0.1:
        return None
    rl, ql = _lab(r), _lab(_pulled(q, r, known))
    ql = _evened(ql, rl, known)
    structure, color = _residuals(ql, rl)
    if np.mean(structure[known] < 0.3) < _ALIKE:
        return None
    score = _scores(structure, color, known)
    places = _peaks(score, known)
    inverse: Transform = np.linalg.inv(work)
    differences = []
    for (x0, y0, x1, y1), strength in places:
        box = geometry.map_points(inverse, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64))
        ours_there, theirs_there = (np.median(p[y0:y1, x0:x1].reshape(-1, 3), axis=0) for p in (ql, rl))
        differences.append(
            Difference(geometry.map_points(match.transform, box), box, strength, ciede2000(ours_there, theirs_there))
        )
    light = _lab(q)[..., 0]
    measures = (
        colours(ql, rl, known),
        pattern_period(light, rl[..., 0], known),
        outline(subject(photo.image), subject(reference.image)),
    )
    corners = geometry.map_points(inverse, geometry.rectangle(width, height))
    return Comparison(
        match,
        differences[0].strength if differences else 0.0,
        tuple(differences),
        _heat(score),
        geometry.map_points(match.transform, corners),
        tuple(m for m in measures if m is not None),
        np.where(known, score, np.nan).astype(np.float32),
        frame,
    )


def agreed(seen: Sequence[Comparison]) -> Comparison:
    """Keep, of one photo's comparisons with several views of an item, what differs from every view that shows the place.

    Parameters
    ----------
    seen : sequence of Comparison
        At least one, all of the same photo and item.

    Returns
    -------
    Comparison
        The quietest of those with at least half of the most matched places; the strength of each of its differences is the
        least over all of those that cover the place: what one view explains is viewpoint or light.
    """
    most = max(len(c.match) for c in seen)
    views = [c for c in seen if 2 * len(c.match) >= most]
    quietest = min(views, key=lambda c: c.strength)
    others = [c for c in views if c is not quietest]
    differences = [
        replace(d, strength=min([d.strength, *(s for c in others if (s := _at(c, d.query_polygon)) is not None)]))
        for d in quietest.differences
    ]
    differences.sort(key=lambda d: -d.strength)
    return replace(quietest, strength=differences[0].strength if differences else 0.0, differences=tuple(differences))


def _at(comparison: Comparison, polygon: Points) -> float | None:
    """Return how far a comparison differs at most within a polygon of the query, or None where it covers less than half."""
    corners = geometry.map_points(comparison.frame, polygon)
    (x0, y0), (x1, y1) = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    place = comparison.scores[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    told = np.isfinite(place)
    return float(place[told].max()) if 2 * told.sum() >= max((x1 - x0) * (y1 - y0), 1) else None


def _vouched(points: Points, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mark what lies between matched points and within a tenth of the side of one: the rest may be another surface."""
    import cv2

    places = np.round(points).astype(np.int32)
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(places), 1)
    near = np.zeros(shape, np.uint8)
    for x, y in places:
        cv2.circle(near, (int(x), int(y)), max(shape) // 10, 1, -1)
    return np.asarray((mask & near) > 0)


def _thing(reference: Image) -> Image:
    """Return a picture that is white where the reference shows its subject and black where its plain ground shows."""
    shown = subject(reference)
    small = geometry.shrink(reference.pixels, _SIDE)
    pixels = np.full(small.shape, 255, np.uint8) if shown is None else np.repeat(shown[..., None] * np.uint8(255), 3, axis=2)
    return Image(pixels, reference.sha256, reference.source, reference.width, reference.height, reference.format)


def _lab(pixels: npt.NDArray[Any]) -> FloatArray:
    import cv2

    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), dtype=np.float32)


def _pulled(q: npt.NDArray[np.uint8], r: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> FloatArray:
    """Give the query the reference's place and colours: a smooth flow, then one affine map of colours."""
    import cv2

    gray = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (r, q)]
    gray = [cv2.createCLAHE(2.0, (4, 4)).apply(g) for g in gray]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(gray[0], gray[1], None)
    # Only slow, small shifts are viewpoint; a flow that could follow a moved logo would hide it.
    flow = cv2.GaussianBlur(np.clip(flow, -8, 8), (0, 0), max(q.shape[:2]) / 16)
    y, x = np.mgrid[: q.shape[0], : q.shape[1]].astype(np.float32)
    moved = cv2.remap(q, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = moved.astype(np.float32)
    source, aim = moved[known], r[known].astype(np.float32)
    keep = np.ones(len(source), bool)
    fit = np.zeros((4, 3), np.float32)
    for _ in range(3):  # least squares without the 20 % that fit worst: those may be what differs
        design = np.c_[source[keep], np.ones(keep.sum(), np.float32)]
        fit = np.linalg.lstsq(design, aim[keep], rcond=None)[0].astype(np.float32)
        misses = np.abs(np.c_[source, np.ones(len(source), np.float32)] @ fit - aim).sum(axis=1)
        keep = misses <= np.quantile(misses, 0.8)
    return np.asarray(np.clip(moved @ fit[:3] + fit[3], 0, 255), dtype=np.float32)


def _evened(ql: FloatArray, rl: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Take slow changes of light out of the query: subtract the heavily blurred difference, in lightness only."""
    import cv2

    sigma = max(known.shape) / 6
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma) + 1e-6
    slow = cv2.GaussianBlur((ql[..., 0] - rl[..., 0]) * known, (0, 0), sigma) / weight
    out: FloatArray = ql.copy()
    out[..., 0] -= slow
    return out


def _residuals(ql: FloatArray, rl: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, per pixel, the least difference over small shifts: of structure in [0, 2], of colour in CIELAB units."""
    import cv2

    def box(x: npt.NDArray[Any]) -> FloatArray:
        return np.asarray(cv2.boxFilter(x, -1, (9, 9)), dtype=np.float32)

    structure = np.full(rl.shape[:2], np.inf, np.float32)
    color = np.full(rl.shape[:2], np.inf, np.float32)
    light = rl[..., 0]
    mean_r = box(light)
    var_r = box(light * light) - mean_r**2
    for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (0, 2), (0, -2)):
        shifted = np.roll(ql, (dy, dx), axis=(0, 1))
        other = shifted[..., 0]
        mean_q = box(other)
        var_q = box(other * other) - mean_q**2
        likeness = (box(light * other) - mean_r * mean_q + 4.0) / np.sqrt((var_r + 4.0) * (var_q + 4.0))
        contrast = np.sqrt(np.maximum(np.maximum(var_r, var_q), 0.0))
        structure = np.minimum(structure, (1.0 - likeness) * contrast / (contrast + 4.0))
        color = np.minimum(color, np.linalg.norm(box(shifted - rl), axis=2))
    return structure, color


def _scores(structure: FloatArray, color: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return, per pixel, how far the two differ in robust standard deviations of the overlap."""
    import cv2

    total = np.zeros(known.shape, np.float32)
    inside = cv2.erode(known.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    for sigma in (3.0, 7.0):
        for part, floor in ((structure, 0.02), (color, 1.0)):
            weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), sigma) + 1e-3
            smooth = cv2.GaussianBlur(np.where(inside, part, 0).astype(np.float32), (0, 0), sigma) / weight
            values = smooth[inside]
            if not len(values):
                return total
            middle = np.median(values)
            spread = 1.4826 * np.median(np.abs(values - middle)) + floor
            total = np.maximum(total, np.where(inside, (smooth - middle) / spread, 0)).astype(np.float32)
    return total


def _peaks(score: FloatArray, known: npt.NDArray[np.bool_]) -> list[tuple[tuple[int, int, int, int], float]]:
    """Return the boxes of the strongest places, apart from one another, and their strengths."""
    import cv2

    left = np.where(known, score, 0).astype(np.float32)
    out: list[tuple[tuple[int, int, int, int], float]] = []
    for _ in range(_REGIONS):
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        peak = float(left[y, x])
        if peak <= 0:
            break
        _, labels = cv2.connectedComponents((left >= 0.5 * peak).astype(np.uint8))
        part = labels == labels[y, x]
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        out.append(((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), peak))
        left[cv2.dilate(part.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0] = 0
    return out


def _heat(score: FloatArray) -> FloatArray:
    import cv2

    height, width = score.shape
    factor = 32 / max(height, width)
    cell = int(np.ceil(1 / factor)) | 1
    spread = cv2.dilate(score, np.ones((cell, cell), np.uint8))  # the strongest of a cell: a mean would pale small parts
    small = cv2.resize(spread, (max(int(width * factor), 1), max(int(height * factor), 1)), interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.clip(small / 32.0, 0, 1), dtype=np.float32)
