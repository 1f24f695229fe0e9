"""Keypoints, verified matches and alignment: where one picture shows the same thing as another.

Shared by the signals that need it; everything about a photo is computed once and remembered by its
:class:`~imgmatch.photo.PhotoContext`.

Conventions
-----------
Points are in **original upright pixels, continuous**: pixel (column 0, row 0) covers the square from (0, 0) to (1, 1) and
its centre is (0.5, 0.5), so a mirror image maps x to ``width - x``. Transforms are 3x3, homogeneous, and map **reference
points to query points**.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.photo import PhotoContext
from imgmatch.types import FloatArray, Image, UInt8Array

__all__ = [
    "Keypoints",
    "VerifiedMatch",
    "area",
    "draw",
    "extract",
    "flip",
    "intersect",
    "keypoints",
    "map_points",
    "match",
    "mirrored",
    "overlap",
    "patches",
    "rectangle",
    "shrink",
    "skew",
    "verify",
    "warp",
]

Points = npt.NDArray[np.float64]
Transform = npt.NDArray[np.floating[Any]]

MAX_SIDE = 640
MAX_KEYPOINTS = 1000
"""Defaults of `keypoints`: on a 600 px product photo more pixels or points find no further copies
(``benchmarks/copy_detection.py``) and cost time in proportion."""


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Local features of one picture, best spread first.

    Parameters
    ----------
    xy : ndarray, shape (n, 2), float32
        Positions in original pixels.
    size : ndarray, shape (n,), float32
        Diameter of the described patch in original pixels.
    angle : ndarray, shape (n,), float32
        Dominant direction in degrees, from the x axis towards the y axis (clockwise as seen).
    descriptors : ndarray, shape (n, 128), float32
        RootSIFT, unit norm.
    width, height : float
        Size of the whole picture in original pixels.
    scale : float
        Original pixels per pixel of the reduced picture the features were found in: their resolution.
    """

    xy: FloatArray
    size: FloatArray
    angle: FloatArray
    descriptors: FloatArray
    width: float
    height: float
    scale: float

    def __len__(self) -> int:
        return len(self.xy)


def shrink(pixels: UInt8Array, max_side: int) -> UInt8Array:
    """Return the picture with its longer side at most `max_side`, area-averaged; smaller ones come back as they are."""
    import cv2

    height, width = pixels.shape[:2]
    factor = max_side / max(height, width)
    if factor >= 1.0:
        return pixels
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def extract(
    pixels: UInt8Array,
    *,
    max_side: int = MAX_SIDE,
    max_keypoints: int = MAX_KEYPOINTS,
    scale: float = 1.0,
    origin: tuple[float, float] = (0.0, 0.0),
) -> Keypoints:
    """Find local features in a picture.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3) or (H, W), uint8
    max_side : int
        The picture is reduced to this longer side first.
    max_keypoints : int
        At most so many are kept. They are taken in turns from an 8x8 grid, so that a caption does not use them all up.
    scale : float
        Original pixels per given pixel.
    origin : tuple of float
        Original position of the given picture's top left corner, for crops.

    Returns
    -------
    Keypoints
        Empty for a flat picture. `width` and `height` are those of the given picture.

    References
    ----------
    SIFT: Lowe, IJCV 2004. RootSIFT: Arandjelovic & Zisserman, CVPR 2012, section 2.
    """
    import cv2

    if max_side < 1 or max_keypoints < 1:
        raise ValueError(f"expected max_side and max_keypoints >= 1, got {max_side} and {max_keypoints}")
    height, width = pixels.shape[:2]
    small = shrink(pixels, max_side)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    # Half of Lowe's contrast threshold (0.04 in OpenCV's units): leather and dials are low in contrast.
    sift = cv2.SIFT_create(contrastThreshold=0.02, enable_precise_upscale=True)
    found = sift.detect(gray, None)
    found = _in_turns(found, gray.shape, max_keypoints, 8, 0)
    found, described = sift.compute(gray, found)
    if described is None or not len(found):
        none = np.zeros((0, 2), np.float32)
        return Keypoints(none, none[:, 0], none[:, 0], np.zeros((0, 128), np.float32), width * scale, height * scale, scale)
    reduced = width * scale / small.shape[1]
    descriptors = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-12))
    xy = (np.array([k.pt for k in found]) + 0.5) * reduced + np.asarray(origin)
    return Keypoints(
        xy.astype(np.float32),
        (np.array([k.size for k in found]) * reduced).astype(np.float32),
        np.array([k.angle for k in found], dtype=np.float32),
        descriptors.astype(np.float32),
        width * scale,
        height * scale,
        reduced,
    )


def keypoints(photo: PhotoContext, *, max_side: int = MAX_SIDE, max_keypoints: int = MAX_KEYPOINTS) -> Keypoints:
    """Return the local features of a photo, computed once per setting; see `extract`."""
    image = photo.image
    return photo.once(
        ("keypoints", max_side, max_keypoints),
        lambda: extract(image.pixels, max_side=max_side, max_keypoints=max_keypoints, scale=image.scale),
    )


def patches(photo: PhotoContext, *, max_side: int, count: int, mirror: bool = False) -> tuple[UInt8Array, UInt8Array]:
    """Return compact descriptors of a photo and of its mirror image, computed once per setting.

    Parameters
    ----------
    photo : PhotoContext
    max_side : int
        The photo is reduced to this longer side first.
    count : int
        At most so many, taken in turns from a 6x6 grid and three bands of scale.
    mirror : bool
        Whether the mirror image is described as well: the same points, so most of the work is shared.

    Returns
    -------
    plain, mirrored : ndarray, shape (n, 32), uint8
        ORB, 256 bits; `mirrored` is empty unless asked for.

    References
    ----------
    Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011.
    """
    return photo.once(("patches", max_side, count, mirror), lambda: _patches(photo.image.pixels, max_side, count, mirror))


def _patches(pixels: UInt8Array, max_side: int, count: int, mirror: bool) -> tuple[UInt8Array, UInt8Array]:
    import cv2

    gray = cv2.cvtColor(shrink(pixels, max_side), cv2.COLOR_RGB2GRAY)
    orb = cv2.ORB_create(nfeatures=3000, fastThreshold=10)
    found = _in_turns(orb.detect(gray, None), gray.shape, count, 6, 3)
    none = np.zeros((0, 32), np.uint8)
    plain = orb.compute(gray, found)[1] if found else None
    if not mirror or not found:
        return none if plain is None else plain, none
    last = gray.shape[1] - 1
    turned = [cv2.KeyPoint(last - k.pt[0], k.pt[1], k.size, (180 - k.angle) % 360, k.response, k.octave) for k in found]
    other = orb.compute(np.ascontiguousarray(gray[:, ::-1]), turned)[1]
    return none if plain is None else plain, none if other is None else other


def _in_turns(found: Sequence[Any], shape: tuple[int, ...], count: int, grid: int, octaves: int) -> list[Any]:
    """Keep `count` keypoints: the strongest of every cell of a grid, then the second strongest, and so on.

    Cells are kept apart by bands of `octaves` pyramid levels too where that is not 0.
    """
    if len(found) <= count:
        return list(found)
    at = np.array([k.pt for k in found])
    cell = (at[:, 1] * grid // shape[0]).astype(int) * grid + (at[:, 0] * grid // shape[1]).astype(int)
    if octaves:
        cell = cell * 16 + np.array([k.octave // octaves for k in found])
    response = np.array([k.response for k in found])
    order = np.lexsort((-response, cell))
    first = np.r_[True, np.diff(cell[order]) != 0]
    places = np.arange(len(found))
    turn = np.empty(len(found), dtype=int)
    turn[order] = places - np.maximum.accumulate(np.where(first, places, 0))
    return [found[i] for i in np.lexsort((-response, turn))[:count]]


# The descriptor is 4 rows x 4 columns x 8 directions in a frame whose x axis is the keypoint's own direction. A mirror image
# turns that frame upside down: rows swap top to bottom, directions change sign.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


def mirrored(points: Keypoints) -> Keypoints:
    """Return the features that the left-right mirror image of the picture would have, without looking at it again.

    Notes
    -----
    Mirroring permutes the entries of a SIFT descriptor and maps the angle to 180 degrees minus itself. Positions are
    those in the mirror image; `flip` maps between the two.
    """
    xy = points.xy.copy()
    xy[:, 0] = points.width - xy[:, 0]
    return replace(points, xy=xy, angle=(180.0 - points.angle) % 360.0, descriptors=points.descriptors[:, _MIRROR])


def flip(width: float) -> Transform:
    """Return the 3x3 transform between a picture of that width and its left-right mirror image."""
    return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


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
    measured in ``benchmarks/copy_detection.py``.
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
    best: tuple[int, Transform, npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None = None
    for row in np.argsort(-votes, kind="stable")[:5]:
        loose = agreement[row]
        fitted = _refine(q, r, loose, tolerance, query.scale, reference.scale)
        if fitted is not None and (best is None or fitted[1].sum() > best[0]):
            best = int(fitted[1].sum()), fitted[0], fitted[1], loose
    if best is None:
        return None
    _, transform, inliers, loose = best
    if model != "similarity":
        better = _general(q, r, loose | inliers, model, tolerance, query.scale, reference.scale)
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
        r[chosen].astype(np.float32),
        len(pairs),
        int(rivals.max(initial=0)),
        float(min(spread, 1.0)),
        cells,
        error,
        float(np.clip(score, 0.0, 1.0)),
    )


def map_points(transform: Transform, points: npt.ArrayLike) -> Points:
    """Map points by a homogeneous transform.

    Parameters
    ----------
    transform : ndarray, shape (3, 3)
    points : array_like, shape (n, 2)

    Returns
    -------
    ndarray, shape (n, 2), float64
    """
    xy = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    out = np.c_[xy, np.ones(len(xy))] @ np.asarray(transform, dtype=np.float64).T
    w = out[:, 2:]
    return np.asarray(out[:, :2] / np.where(np.abs(w) < 1e-12, 1e-12, w))


def rectangle(width: float, height: float) -> Points:
    """Return the corners of a picture clockwise from the top left, shape (4, 2)."""
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def overlap(transform: Transform, reference_size: tuple[float, float], query_size: tuple[float, float]) -> Points:
    """Return the part of the query that the mapped reference covers.

    Parameters
    ----------
    transform : ndarray, shape (3, 3)
        Reference to query.
    reference_size, query_size : tuple of float
        (width, height) in original pixels.

    Returns
    -------
    ndarray, shape (n, 2), float64
        Convex polygon in query pixels, 3 to 8 corners; shape (0, 2) where they do not meet. Map it by the inverse to get the
        same part of the reference.
    """
    return intersect(map_points(transform, rectangle(*reference_size)), rectangle(*query_size))


def intersect(a: npt.ArrayLike, b: npt.ArrayLike) -> Points:
    """Return what two convex polygons share, shape (n, 2), float64; (0, 2) where they do not meet."""
    import cv2

    hulls = (cv2.convexHull(np.asarray(p, dtype=np.float32).reshape(-1, 1, 2)) for p in (a, b))
    covered, polygon = cv2.intersectConvexConvex(*hulls)
    if covered <= 0 or polygon is None:
        return np.zeros((0, 2))
    return np.asarray(polygon, dtype=np.float64).reshape(-1, 2)


def skew(transform: Transform) -> float:
    """Return the cosine between the images of the two axes, in [0, 1].

    0 for whatever moves, turns, mirrors, scales or stretches along the sides of the reference, as people edit photos; more
    for what tilts it, as another camera position does.
    """
    a, b = transform[:2, 0], transform[:2, 1]
    return float(abs(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def area(polygon: npt.ArrayLike) -> float:
    """Return the area of a simple polygon, shape (n, 2), in square pixels."""
    p = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    x, y = p[:, 0], p[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2.0)


def warp(pixels: UInt8Array, transform: Transform, size: tuple[int, int]) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """Draw a picture through a transform.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
    transform : ndarray, shape (3, 3)
        From continuous pixels of `pixels` to continuous pixels of the result.
    size : tuple of int
        (width, height) of the result.

    Returns
    -------
    drawn : ndarray, shape (height, width, 3), uint8
    covered : ndarray, shape (height, width), bool
        Where the result shows the picture.
    """
    import cv2

    # OpenCV puts the centre of the first pixel at (0, 0), this module at (0.5, 0.5).
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    matrix = np.linalg.inv(half) @ transform @ half
    drawn = cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = np.full(pixels.shape[:2], 255, np.uint8)
    covered = cv2.warpPerspective(inside, matrix, size, flags=cv2.INTER_NEAREST, borderValue=0)
    return np.asarray(drawn, dtype=np.uint8), np.asarray(covered > 0)


def draw(
    image: Image, transform: Transform, size: tuple[int, int], *, smooth: float = 0.0
) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """Draw a photo through a transform without aliasing: it is reduced before it is warped.

    Parameters
    ----------
    image : Image
    transform : ndarray, shape (3, 3)
        From original pixels of the photo to pixels of the result.
    size : tuple of int
        (width, height) of the result.
    smooth : float
        Standard deviation in result pixels of a Gaussian blur afterwards; 0 for none.

    Returns
    -------
    drawn, covered
        As from `warp`.
    """
    import cv2

    corners = map_points(transform, rectangle(image.width, image.height))
    reduced = np.sqrt(max(area(corners), 1.0) / (image.width * image.height))
    small = shrink(image.pixels, max(round(max(image.width, image.height) * min(reduced, 1e3)), 16))
    per = np.diag([image.width / small.shape[1], image.height / small.shape[0], 1.0])
    drawn, covered = warp(small, transform @ per, size)
    if smooth:
        drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), smooth), dtype=np.uint8)
    return drawn, covered


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
    inliers, transform = start, None
    for factor in (4.0, 2.0, 1.0, 1.0):
        if inliers.sum() < 2:
            return None
        transform = _similarity(q[inliers], r[inliers])
        if transform is None:
            return None
        inliers = _errors(transform, q, r, query_scale, reference_scale) < factor * tolerance
    return (transform, inliers) if transform is not None and inliers.sum() >= 2 else None


def _similarity(q: Points, r: Points) -> Transform | None:
    """Return the least-squares similarity from r to q (as complex numbers: q = a r + b)."""
    zq, zr = q[:, 0] + 1j * q[:, 1], r[:, 0] + 1j * r[:, 1]
    cq, cr = zq.mean(), zr.mean()
    power = np.vdot(zr - cr, zr - cr).real
    if power < 1e-9:
        return None
    a = np.vdot(zr - cr, zq - cq) / power
    b = cq - a * cr
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0.0, 0.0, 1.0]])


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
        found, _ = cv2.findHomography(source, drawn, cv2.USAC_MAGSAC, threshold, maxIters=2000, confidence=0.999)
        if found is None:
            return None
        transform = np.asarray(found, dtype=np.float64)
    else:
        found, _ = cv2.estimateAffine2D(source, drawn, None, cv2.USAC_MAGSAC, threshold, 2000, 0.999)
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
    corners = rectangle(reference.width, reference.height)
    depth = np.c_[corners, np.ones(4)] @ transform[2]
    if not np.isfinite(transform).all() or (depth <= 1e-6).any():
        return False
    mapped = map_points(transform, corners)
    edges = np.roll(mapped, -1, axis=0) - mapped
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    sizes = np.linalg.norm(edges, axis=1) / np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return bool((turns > 0).all() and sizes.min() > 0.05 and sizes.max() < 20.0 and sizes.max() / sizes.min() < 4.0)


def _hull_area(points: Points) -> float:
    import cv2

    return area(cv2.convexHull(points.astype(np.float32)).reshape(-1, 2))


def _cells(points: Points, polygon: Points) -> int:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    at = np.clip((points - low) / np.maximum(high - low, 1e-9) * 6, 0, 5).astype(int)
    return len(np.unique(at, axis=0))
