"""Patterns that repeat all over a canvas: places that agree in scale and direction, each with what is around it.

On a canvas the nearest feature is that of any of the repeats, so that places do not agree; scale and direction do. That is
also true of grids, weaves and borders: so what surrounds each place in the reference is laid over the photo as well.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints
from imgmatch.vision.marks.gradients import AREA, CELL, cells_through
from imgmatch.vision.marks.reference import MarkReference
from imgmatch.vision.marks.shape import answers
from imgmatch.vision.marks.sighting import Sighting

__all__ = ["find_pattern", "surroundings"]

REACH, WINDOWS = 14.0, 6
"""Side of what surrounds a place, in diameters of its feature, more than twice what the feature's descriptor sees, and most
places that are looked at (``benchmarks/marks_real.py``, sellers, open): of 9, 14 and 20 diameters the second tells most, and
12 places tell no more than 6."""


def find_pattern(
    query: Keypoints, reference: MarkReference, pairs: npt.NDArray[np.intp], weights: FloatArray, mirrored: bool
) -> Sighting | None:
    """Find the largest family of pairs that agree in scale and direction.

    Parameters
    ----------
    query : Keypoints
    reference : MarkReference
    pairs : ndarray, shape (m, 2)
        Positions among the features of the photo and of the reference.
    weights : ndarray, shape (m,), float32
        How distinctive each pair is.
    mirrored : bool
        Whether `query` is the mirror image.

    Notes
    -----
    Each place of the reference counts once, however often it is found: of cloth, one kind of feature is found everywhere.
    """
    points = reference.keypoints
    scale = query.size[pairs[:, 0]] / points.size[pairs[:, 1]]
    turn = np.radians(query.angle[pairs[:, 0]] - points.angle[pairs[:, 1]])
    alike = (np.abs(np.log(scale[:, None] / scale[None])) < 0.25) & (np.cos(turn[:, None] - turn[None]) > np.cos(0.26))
    x0, y0, x1, y1 = reference.box
    _, place = np.unique(np.round(points.xy[pairs[:, 1]] / (max(x1 - x0, y1 - y0) / 12)), axis=0, return_inverse=True)
    best = np.zeros((len(pairs), int(place.max()) + 1), np.float32)
    for column in range(best.shape[1]):
        mine = place == column
        best[:, column] = (alike[:, mine] * weights[mine]).max(axis=1)
    lead = int(best.sum(axis=1).argmax())
    if (best[lead] > 0).sum() < 3:
        return None
    family = np.flatnonzero(alike[lead])
    family = family[np.argsort(-weights[family], kind="stable")]
    size, angle = float(np.median(scale[family])), float(np.angle(np.exp(1j * turn[family]).sum()))
    linear = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    xy, middle = query.xy[pairs[family, 0]], points.xy[pairs[family, 1]]
    transform = np.eye(3)
    transform[:2, :2], transform[:2, 2] = linear, xy[0] - linear @ middle[0]
    if mirrored:
        transform = geometry.flip(query.width) @ transform
        xy = np.asarray(geometry.map_points(geometry.flip(query.width), xy), np.float32)
    places = np.column_stack([middle, points.size[pairs[family, 1]]])
    evidence, agreeing = float(best[lead].sum()), int((best[lead] > 0).sum())
    return Sighting(
        reference, transform, evidence=evidence, agreeing=agreeing, mirrored=mirrored, repeats=True, points=xy, places=places
    )


def surroundings(photo: PhotoContext, sighting: Sighting) -> float:
    """Return how like the reference the surroundings of a pattern's places are.

    Parameters
    ----------
    photo : PhotoContext
    sighting : Sighting
        Of a pattern.

    Returns
    -------
    float
        The median over places of a detector's answer, see :func:`imgmatch.vision.marks.shape.answers`: of deviation 1 on
        natural photos. 0 where no place has surroundings in both pictures.
    """
    swatch = sighting.reference.swatch
    if swatch is None:
        return 0.0
    side, box = round(AREA**0.5), np.reshape(sighting.reference.box, (2, 2))
    origin = np.array([[1, 0, -swatch.origin[0]], [0, 1, -swatch.origin[1]], [0, 0, 1.0]])
    known, shown, seen = [], [], np.zeros((0, 2))
    for point, place in zip(sighting.points, sighting.places.astype(np.float64), strict=True):
        if len(seen) == WINDOWS or (np.abs(seen - point) < 2.0).all(axis=1).any():
            continue
        seen = np.vstack([seen, point])
        # What surrounds it of the reference, not of what the reference lies on.
        half = min(REACH * place[2], np.ptp(box, axis=0).max()) / 2
        middle = np.where(np.ptp(box, axis=0) > 2 * half, np.clip(place[:2], box[0] + half, box[1] - half), box.mean(axis=0))
        step = 2 * half / (side * CELL)
        corner = middle - half - step * CELL
        window = np.array([[step, 0, corner[0]], [0, step, corner[1]], [0, 0, 1.0]])
        there = sighting.transform.copy()
        there[:2, 2] = point - there[:2, :2] @ place[:2]
        pair = (
            cells_through(swatch.image, origin @ window, (side, side), 0.5),
            cells_through(photo.image, there @ window, (side, side), 0.5),
        )
        if pair[0] is not None and pair[1] is not None:
            known.append(pair[0])
            shown.append(pair[1])
    return float(np.median(answers(known, shown))) if known else 0.0
