"""Pairs of local features, and the transform that most of them agree on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray
from imgmatch.vision.geometry.features import Keypoints
from imgmatch.vision.geometry.shapes import Points, Transform, area, map_points, overlap, rectangle

__all__ = ["VerifiedMatch", "match", "verify"]

_RANGE = 20.0  # to one: how much larger or smaller a picture may be shown


def match(query: Keypoints, reference: Keypoints, *, ratio: float = 0.8) -> npt.NDArray[np.int64]:
    """Pair the features of two pictures.

    Parameters
    ----------
    query, reference : Keypoints
    ratio : float
        A pair is kept when its distance is below this share of the distance to the second nearest reference feature.

    Returns
    -------
    ndarray, shape (m, 2), int64
        Rows (index in query, index in reference), mutual nearest neighbours, most distinctive first.

    Notes
    -----
    O(n m) in one matrix product. Repeated structure (a monogram canvas) mostly fails the ratio test: that is wanted.

    References
    ----------
    Lowe, IJCV 2004, section 7.1: 0.8 rejects 90 % of false matches and less than 5 % of correct ones.
    """
    if len(query) < 1 or len(reference) < 2:
        return np.zeros((0, 2), np.int64)
    similarity = query.descriptors @ reference.descriptors.T
    rows = np.arange(len(query))
    best = similarity.argmax(axis=1)
    back = similarity.argmax(axis=0)
    nearest = 2.0 - 2.0 * similarity[rows, best]
    similarity[rows, best] = -1.0
    second = 2.0 - 2.0 * similarity.max(axis=1)
    share = np.maximum(nearest, 0.0) / np.maximum(second, 1e-6)
    kept = np.flatnonzero((back[best] == rows) & (share < ratio * ratio))
    kept = kept[np.argsort(share[kept], kind="stable")]
    return np.stack([kept, best[kept]], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedMatch:
    """Pairs of features that agree on one transform.

    Parameters
    ----------
    transform : ndarray, shape (3, 3), float64
        Maps reference points to query points.
    query_xy, reference_xy : ndarray, shape (k, 2), float32
        The agreeing pairs, one per place (several features at one corner count once).
    pairs : int
        How many pairs were offered.
    rival : int
        Pairs that agree on the best *other* placement: near `len(self)` where the structure repeats.
    spread : float
        Area of the hull of the pairs as a share of the overlap of the two pictures, in [0, 1].
    cells : int
        Occupied cells of a 6x6 grid over the overlap, 1 to 36.
    error : float
        Median reprojection error in pixels of the coarser of the two reduced pictures.
    score : float
        In [0, 1], see `verify`.
    """

    transform: Transform
    query_xy: FloatArray
    reference_xy: FloatArray
    pairs: int
    rival: int
    spread: float
    cells: int
    error: float
    score: float

    def __len__(self) -> int:
        return len(self.query_xy)


def verify(
    query: Keypoints,
    reference: Keypoints,
    pairs: npt.NDArray[np.int64],
    *,
    model: str = "similarity",
    tolerance: float = 4.0,
    min_inliers: int = 6,
) -> VerifiedMatch | None:
    """Find the transform that most pairs agree on.

    Parameters
    ----------
    query, reference : Keypoints
    pairs : ndarray, shape (m, 2), int64
        From `match`.
    model : str
        ``similarity`` (turn, scale, shift), ``affine`` or ``homography``.
    tolerance : float
        Largest reprojection error of an agreeing pair, in pixels of the coarser of the two reduced pictures.
    min_inliers : int
        Fewer agreeing places are no match.

    Returns
    -------
    VerifiedMatch or None
        None where too few pairs agree or the transform is not a view of a flat thing (folds, mirrors, scale beyond 1:20).
        For mirrored copies pass `mirrored` keypoints of the query.

    Notes
    -----
    Every pair alone names a similarity through the two sizes and angles (Lowe 2004, section 7.3; Philbin et al., CVPR 2007,
    section 3.2), so the first 256 are all tried: no random numbers for the similarity, a fixed seed for the others
    (OpenCV's USAC_MAGSAC, Barath et al., CVPR 2020, on the pairs that loosely agree with the best similarity).

    ``score = (1 - exp(-(k - 4) / 10)) * min(1, cells / 9) * (1 - error / (2 * tolerance))``, with k the agreeing places: k
    rises steeply against chance, cells asks that they are not all in one corner. The shape is ours; what it is worth is
    measured in ``benchmarks/copies.py``.
    """
    if model not in ("similarity", "affine", "homography"):
        raise ValueError(f"expected model similarity, affine or homography, got {model!r}")
    if len(pairs) < min_inliers:
        return None
    q = query.xy[pairs[:, 0]].astype(np.float64)
    r = reference.xy[pairs[:, 1]].astype(np.float64)
    ratio = query.size[pairs[:, 0]].astype(np.float64) / reference.size[pairs[:, 1]]
    turn = np.radians(query.angle[pairs[:, 0]].astype(np.float64) - reference.angle[pairs[:, 1]])

    votes, agreement = _votes(q, r, ratio, turn, tolerance * query.scale)
    rows = [row for row in np.argsort(-votes, kind="stable")[:5] if 2 * votes[row] >= min_inliers]
    different = {agreement[row].tobytes(): agreement[row] for row in rows}.values()
    fits = ((_refine(q, r, loose, tolerance, query.scale, reference.scale), loose) for loose in different)
    found = [(fit[0], fit[1], loose) for fit, loose in fits if fit is not None]
    if not found:
        return None
    transform, inliers, loose = max(found, key=lambda f: np.count_nonzero(f[1]))
    if model != "similarity":
        scales = {"query_scale": query.scale, "reference_scale": reference.scale}
        better = _general(q, r, loose | inliers, model, tolerance=tolerance, **scales)
        if better is not None and better[1].sum() >= inliers.sum():
            transform, inliers = better
    if not _plausible(transform, reference):
        return None

    errors = _errors(transform, q, r, query.scale, reference.scale)
    # One per place: several features share a corner, and a rendered edge may give many at one pixel.
    places = np.unique(np.round(q[inliers] / (2.0 * query.scale)), axis=0, return_index=True)[1]
    chosen = np.flatnonzero(inliers)[np.sort(places)]
    if len(chosen) < min_inliers:
        return None
    rivals = votes[(agreement & inliers).sum(axis=1) < 0.2 * np.maximum(votes, 1)]
    shared = overlap(transform, (reference.width, reference.height), (query.width, query.height))
    spread = _hull_area(q[chosen]) / area(shared) if len(shared) else 0.0
    cells = _cells(q[chosen], shared if len(shared) else q[chosen])
    error = float(np.median(errors[chosen]))
    score = (1.0 - np.exp(-max(len(chosen) - 4, 0) / 10.0)) * min(1.0, cells / 9.0) * (1.0 - error / (2.0 * tolerance))
    return VerifiedMatch(
        transform,
        q[chosen].astype(np.float32),
        reference_xy=r[chosen].astype(np.float32),
        pairs=len(pairs),
        rival=int(rivals.max(initial=0)),
        spread=float(min(spread, 1.0)),
        cells=cells,
        error=error,
        score=float(np.clip(score, 0.0, 1.0)),
    )


def _votes(
    q: Points, r: Points, ratio: Points, turn: Points, tolerance: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Let each of the first 256 pairs name a similarity and count which pairs agree with it, loosely."""
    tried = slice(0, 256)
    scale = ratio[tried, None]
    cos, sin = np.cos(turn[tried, None]) * scale, np.sin(turn[tried, None]) * scale
    dx, dy = r[None, :, 0] - r[tried, None, 0], r[None, :, 1] - r[tried, None, 1]
    ex = q[tried, None, 0] + cos * dx - sin * dy - q[None, :, 0]
    ey = q[tried, None, 1] + sin * dx + cos * dy - q[None, :, 1]
    # One pair's size and angle are off by some 10 % and a few degrees: the miss grows with the distance from it.
    allowed = 2.0 * tolerance + 0.12 * scale * np.hypot(dx, dy)
    near = np.hypot(ex, ey) < allowed
    alike = np.abs(np.log(ratio[None, :] / scale)) < np.log(1.6)
    aligned = np.cos(turn[None, :] - turn[tried, None]) > np.cos(np.radians(25.0))
    agreement = near & alike & aligned
    return agreement.sum(axis=1), agreement


def _refine(
    q: Points, r: Points, start: npt.NDArray[np.bool_], tolerance: float, query_scale: float, reference_scale: float
) -> tuple[Transform, npt.NDArray[np.bool_]] | None:
    """Fit a similarity by least squares while the tolerance tightens from 4 times to once its value."""
    zq, zr = q[:, 0] + 1j * q[:, 1], r[:, 0] + 1j * r[:, 1]
    inliers = start
    for factor in (4.0, 2.0, 1.0, 1.0):
        if np.count_nonzero(inliers) < 2:
            return None
        fitted = _similarity(zq[inliers], zr[inliers])
        if fitted is None:
            return None
        a, b = fitted
        unit = max(query_scale, abs(a) * reference_scale, 1e-9)
        inliers = np.abs(a * zr + b - zq) < factor * tolerance * unit
    transform = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0.0, 0.0, 1.0]])
    return (transform, inliers) if np.count_nonzero(inliers) >= 2 else None


def _similarity(
    zq: npt.NDArray[np.complex128], zr: npt.NDArray[np.complex128]
) -> tuple[np.complex128, np.complex128] | None:
    """Return a and b of the least-squares similarity q = a r + b of points as complex numbers."""
    cq, cr = zq.mean(), zr.mean()
    away = zr - cr
    power = np.vdot(away, away).real
    if power < 1e-9:
        return None
    a = np.vdot(away, zq - cq) / power
    return a, cq - a * cr


def _general(
    q: Points,
    r: Points,
    loose: npt.NDArray[np.bool_],
    model: str,
    tolerance: float,
    query_scale: float,
    reference_scale: float,
) -> tuple[Transform, npt.NDArray[np.bool_]] | None:
    import cv2

    if loose.sum() < 6:
        return None
    source, drawn = r[loose].astype(np.float32), q[loose].astype(np.float32)
    threshold = tolerance * query_scale
    transform = np.eye(3)
    if model == "homography":
        found, _ = cv2.findHomography(source, drawn, cv2.USAC_MAGSAC, threshold, confidence=0.999)
        if found is None:
            return None
        transform = np.asarray(found, dtype=np.float64)
    else:
        found, _ = cv2.estimateAffine2D(source, drawn, None, cv2.USAC_MAGSAC, threshold, confidence=0.999)
        if found is None:
            return None
        transform[:2] = found
    return transform, _errors(transform, q, r, query_scale, reference_scale) < tolerance


def _errors(transform: Transform, q: Points, r: Points, query_scale: float, reference_scale: float) -> Points:
    """Return reprojection errors in pixels of whichever reduced picture is coarser where they lie on each other."""
    enlarged = np.sqrt(abs(np.linalg.det(transform[:2, :2])))
    unit = max(query_scale, enlarged * reference_scale, 1e-9)
    return np.asarray(np.linalg.norm(map_points(transform, r) - q, axis=1) / unit)


def _plausible(transform: Transform, reference: Keypoints) -> bool:
    if not transform[2, :2].any() and transform[0, 0] == transform[1, 1] and transform[0, 1] == -transform[1, 0]:
        return bool(
            1.0 / _RANGE < np.hypot(transform[0, 0], transform[1, 0]) < _RANGE
        )  # a similarity keeps angles and ratios
    corners = rectangle(reference.width, reference.height)
    depth = np.c_[corners, np.ones(4)] @ transform[2]
    if not np.isfinite(transform).all() or (depth <= 1e-6).any():
        return False
    mapped = map_points(transform, corners)
    edges = np.roll(mapped, -1, axis=0) - mapped
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    sizes = np.linalg.norm(edges, axis=1) / np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return bool(
        (turns > 0).all() and sizes.min() > 1.0 / _RANGE and sizes.max() < _RANGE and sizes.max() / sizes.min() < 4.0
    )


def _hull_area(points: Points) -> float:
    import cv2

    return area(cv2.convexHull(points.astype(np.float32)).reshape(-1, 2))


def _cells(points: Points, polygon: Points) -> int:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    at = np.clip((points - low) / np.maximum(high - low, 1e-9) * 6, 0, 5).astype(int)
    return len(np.unique(at, axis=0))
