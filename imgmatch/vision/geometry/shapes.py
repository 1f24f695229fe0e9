"""Points, polygons and transforms of pictures, and pictures drawn through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.types import Image, UInt8Array

__all__ = [
    "Points",
    "Transform",
    "area",
    "draw",
    "flip",
    "intersect",
    "map_points",
    "overlap",
    "rectangle",
    "shrink",
    "skew",
    "warp",
]

Points = npt.NDArray[np.float64]
Transform = npt.NDArray[np.floating[Any]]


def shrink(pixels: UInt8Array, max_side: int) -> UInt8Array:
    """Return the picture with its longer side at most `max_side`, area-averaged; smaller ones come back as they are."""
    import cv2

    height, width = pixels.shape[:2]
    factor = max_side / max(height, width)
    if factor >= 1.0:
        return pixels
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def flip(width: float) -> Transform:
    """Return the 3x3 transform between a picture of that width and its left-right mirror image."""
    return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


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
    """Return what two convex polygons share.

    Parameters
    ----------
    a, b : array_like, shape (n, 2)
        Corners in order, either way round.

    Returns
    -------
    ndarray, shape (m, 2), float64
        Corners in the order of `a`; shape (0, 2) where the two do not meet in an area.

    Notes
    -----
    `a` is cut along each edge of `b`, which stays right where edges nearly coincide, as those of a photo and of its crop do;
    OpenCV's ``intersectConvexConvex`` finds no meeting of some such pairs.

    References
    ----------
    Sutherland & Hodgman, "Reentrant polygon clipping", Communications of the ACM 17(1), 1974.
    """
    part, edges = (np.asarray(p, dtype=np.float64).reshape(-1, 2) for p in (a, b))
    turn = np.sign(edges[:, 0] @ np.roll(edges[:, 1], -1) - edges[:, 1] @ np.roll(edges[:, 0], -1))
    for start, end in zip(edges, np.roll(edges, -1, axis=0), strict=True):
        dx, dy = end - start
        side = turn * (dx * (part[:, 1] - start[1]) - dy * (part[:, 0] - start[0]))
        corners = []
        for point, following, here, there in zip(part, np.roll(part, -1, axis=0), side, np.roll(side, -1), strict=True):
            if here >= 0:
                corners.append(point)
            if here * there < 0:
                corners.append(point + (following - point) * (here / (here - there)))
        part = np.reshape(corners, (-1, 2))
    return part if area(part) > 0 else np.zeros((0, 2))


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
