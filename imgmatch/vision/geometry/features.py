"""Local features of one picture: keypoints that geometry is verified with, compact patches that are searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray, UInt8Array
from imgmatch.vision.geometry.shapes import shrink

__all__ = ["Keypoints", "extract", "keypoints", "mirrored", "patches"]

_ORB_PATCH = 31  # pixels that a descriptor looks at: OpenCV's `patchSize`, as in Rublee et al., ICCV 2011

MAX_SIDE = 640
MAX_KEYPOINTS = 1000
"""Defaults of `keypoints`: on a 600 px product photo more pixels or points find no further copies
(``benchmarks/copies.py``) and cost time in proportion."""

CONTRAST = 0.0236
"""Least contrast of a feature: 0.6 of Lowe's (0.04 in OpenCV's units), for leather and dials are low in contrast. Below
6 / 255 OpenCV looks closely at every extremum, noise on even ground as well, which takes a fifth of SIFT's time."""


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
    descriptors : ndarray
        RootSIFT, shape (n, 128), float32, unit norm; of `patches` 256 bits, shape (n, 32), uint8.
    width, height : float
        Size of the whole picture in original pixels.
    scale : float
        Original pixels per pixel of the reduced picture the features were found in: their resolution.
    """

    xy: FloatArray
    size: FloatArray
    angle: FloatArray
    descriptors: npt.NDArray[Any]
    width: float
    height: float
    scale: float

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, rows: npt.NDArray[Any]) -> Keypoints:
        """Return some of the features: by a mask or by positions."""
        return replace(
            self, xy=self.xy[rows], size=self.size[rows], angle=self.angle[rows], descriptors=self.descriptors[rows]
        )


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
    return _rooted(*_sift(pixels, max_side, max_keypoints, scale, origin))


def _sift(
    pixels: UInt8Array, max_side: int, max_keypoints: int, scale: float, origin: tuple[float, float]
) -> tuple[npt.NDArray[Any], ...]:
    import cv2

    if max_side < 1 or max_keypoints < 1:
        raise ValueError(f"expected max_side and max_keypoints >= 1, got {max_side} and {max_keypoints}")
    height, width = pixels.shape[:2]
    small = shrink(pixels, max_side)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    # Twice as many as are kept in turns, of the highest contrast: describing those of a page of print takes as long again.
    sift = cv2.SIFT_create(nfeatures=2 * max_keypoints, contrastThreshold=CONTRAST, enable_precise_upscale=True)
    found, described = sift.detectAndCompute(gray, None)  # in one: described by themselves they cost a second pyramid
    if described is None:
        found, described, reduced = (), np.zeros((0, 128)), scale
    else:
        kept = _in_turns(found, gray.shape, max_keypoints, 8, 0)
        found, described, reduced = [found[i] for i in kept], described[kept], width * scale / small.shape[1]
    at, size, angle = _numbers(found)
    xy = ((at.astype(np.float64) + 0.5) * reduced + np.asarray(origin)).astype(np.float32)
    size = (size * reduced).astype(np.float32)
    return xy, size, angle, described.astype(np.uint8), np.array([width * scale, height * scale, reduced])


def _numbers(found: Sequence[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return positions (n, 2), sizes (n,) and directions (n,) of OpenCV's keypoints, of which a list is slow to read."""
    import cv2

    at = np.asarray(cv2.KeyPoint.convert(found), np.float32).reshape(-1, 2)
    return at, np.array([k.size for k in found], np.float32), np.array([k.angle for k in found], np.float32)


def _rooted(*arrays: npt.NDArray[Any]) -> Keypoints:
    """Return features with RootSIFT of what `_sift` gives."""
    xy, size, angle, described, whole = arrays
    counted = described.astype(np.float32)
    roots = np.sqrt(counted / np.maximum(counted.sum(axis=1, keepdims=True), 1e-12))
    return _features(xy, size, angle, roots, whole)


def _features(*arrays: npt.NDArray[Any]) -> Keypoints:
    xy, size, angle, descriptors, whole = arrays
    width, height, scale = whole.tolist()
    return Keypoints(xy, size, angle=angle, descriptors=descriptors, width=width, height=height, scale=scale)


def keypoints(photo: PhotoContext, *, max_side: int = MAX_SIDE, max_keypoints: int = MAX_KEYPOINTS) -> Keypoints:
    """Return the local features of a photo, computed once per setting; see `extract`."""
    return photo.once(_extracted, max_side, max_keypoints)


def _extracted(photo: PhotoContext, max_side: int, max_keypoints: int) -> Keypoints:
    return _rooted(*photo.lasting(_detected, max_side, max_keypoints))


def _detected(photo: PhotoContext, max_side: int, max_keypoints: int) -> tuple[npt.NDArray[Any], ...]:
    """Return positions, sizes, directions, SIFT as it counts, in whole numbers, and the fields of the whole picture."""
    image = photo.image
    return _sift(image.pixels, max_side, max_keypoints, image.scale, (0.0, 0.0))


def patches(photo: PhotoContext, *, max_side: int, count: int, mirror: bool = False) -> tuple[Keypoints, Keypoints]:
    """Return compact features of a photo and of its mirror image, computed once per setting.

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
    plain, mirrored : Keypoints
        With `descriptors` of shape (n, 32), uint8: ORB, 256 bits. `mirrored` has the positions in the mirror image, and is
        empty unless asked for.

    References
    ----------
    Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011.
    """
    return photo.once(_patches, max_side, count, mirror)


def _patches(photo: PhotoContext, max_side: int, count: int, mirror: bool) -> tuple[Keypoints, Keypoints]:
    *both, whole = photo.lasting(_orb, max_side, count, mirror)
    return _features(*both[:4], whole), _features(*both[4:], whole)


def _orb(photo: PhotoContext, max_side: int, count: int, mirror: bool) -> tuple[npt.NDArray[Any], ...]:
    """Return positions, sizes, directions and bits, of the photo and of its mirror image, and the fields of the whole."""
    import cv2

    image = photo.image
    gray = cv2.cvtColor(shrink(image.pixels, max_side), cv2.COLOR_RGB2GRAY)

    scale = image.width / gray.shape[1]
    whole = np.array([image.width, image.height, scale], np.float64)

    def points(found: Sequence[Any], described: UInt8Array | None) -> tuple[npt.NDArray[Any], ...]:
        at, size, angle = _numbers(found)
        described = np.zeros((0, 32), np.uint8) if described is None else described
        return (at + 0.5) * np.float32(scale), size * np.float32(scale), angle, described

    none = points((), None)
    if min(gray.shape) < _ORB_PATCH:  # a line has no details; OpenCV fails on it
        return (*none, *none, whole)
    orb = cv2.ORB_create(nfeatures=3000, fastThreshold=10)
    found = orb.detect(gray, None)
    found = [found[i] for i in _in_turns(found, gray.shape, count, 6, 3)]
    plain = points(*orb.compute(gray, found)) if found else none
    if not mirror or not found:
        return (*plain, *none, whole)
    last = gray.shape[1] - 1
    turned = [cv2.KeyPoint(last - k.pt[0], k.pt[1], k.size, (180 - k.angle) % 360, k.response, k.octave) for k in found]
    return (*plain, *points(*orb.compute(np.ascontiguousarray(gray[:, ::-1]), turned)), whole)


def _in_turns(found: Sequence[Any], shape: tuple[int, ...], count: int, grid: int, octaves: int) -> list[int]:
    """Return which `count` keypoints to keep: the strongest of every cell of a grid, then the second strongest, and so on.

    Cells are kept apart by bands of `octaves` pyramid levels too where that is not 0.
    """
    if len(found) <= count:
        return list(range(len(found)))
    at = _numbers(found)[0].astype(np.float64)
    cell = (at[:, 1] * grid // shape[0]).astype(int) * grid + (at[:, 0] * grid // shape[1]).astype(int)
    if octaves:
        cell = cell * 16 + np.array([k.octave // octaves for k in found])
    response = np.array([k.response for k in found])
    order = np.lexsort((-response, cell))
    first = np.r_[True, np.diff(cell[order]) != 0]
    places = np.arange(len(found))
    turn = np.empty(len(found), dtype=int)
    turn[order] = places - np.maximum.accumulate(np.where(first, places, 0))
    kept: list[int] = np.lexsort((-response, turn))[:count].tolist()
    return kept


# The descriptor (Lowe, IJCV 2004) is 4 rows x 4 columns x 8 directions in a frame whose x axis is the keypoint's own
# direction. A mirror image turns that frame upside down: rows swap top to bottom, directions change sign.
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
