"""Is this photo, or a part of it, that photo? Keypoints give a placement, the pixels must agree with it.

Local features must agree on one affine transform; with the two laid on each other, their light and dark must agree
cell by cell. Another photo of the same thing gets through the geometry; here it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray, Image
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Points, Transform, VerifiedMatch

__all__ = ["Agreement", "Copy", "agreement", "verified"]

_LEAST = 0.1  # a smaller value is not worth a reader's time
_SURE = 0.9  # a photo that is found so surely is not looked for in the mirror; a guess
_CELL = 16  # pixels of the working picture; a cell of a 320 px picture is a twentieth of its side
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How far two pictures agree pixel by pixel once they lie on each other.

    Parameters
    ----------
    share : float
        Of the cells that have structure in either picture and lie where the keypoints agree, those that agree, in [0, 1].
    cells : int
        How many agree, anywhere in the overlap.
    query_polygon, reference_polygon : ndarray, shape (n, 2), float64
        The same part of both, in their own original pixels.
    covered : float
        Share of the cells with structure in that part that do not agree: what lies over it.
    tint : float
        Root mean square difference of the mean colours of agreeing cells, in grey levels.
    recoloured : float
        Share of the cells whose mean colour is more than 15 grey levels from what one change of colour of the whole
        picture would have made it: a filter leaves 0, the same strap with another dial does not.
    """

    share: float
    cells: int
    query_polygon: Points
    reference_polygon: Points
    covered: float
    tint: float
    recoloured: float


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """A photo found in another photo.

    Parameters
    ----------
    sha256 : str
        Of the photo that was found.
    value : float
        In [0, 1], see `verified`.
    transform : ndarray, shape (3, 3)
        Reference to query, original pixels.
    query_polygon, reference_polygon : ndarray, shape (n, 2), float64
        The same part of both, in their own original pixels.
    mirrored : bool
    match : VerifiedMatch or None
        None where the bytes are the same or only the hash found it.
    agreement : Agreement or None
        None where the bytes are the same.
    """

    sha256: str
    value: float
    transform: Transform
    query_polygon: Points
    reference_polygon: Points
    mirrored: bool
    match: VerifiedMatch | None
    agreement: Agreement | None


def verified(
    photo: PhotoContext,
    reference: PhotoContext,
    hints: Sequence[tuple[Transform, bool]] = (),
    sides: Sequence[bool] = (False, True),
    *,
    side: int = geometry.MAX_SIDE,
) -> Copy | None:
    """Tell whether a photo, or a part of it, is a copy of (a part of) another.

    Parameters
    ----------
    photo, reference : PhotoContext
    hints : sequence of (transform, mirrored)
        Placements to try beside those that the keypoints give, reference to query, original pixels.
    sides : sequence of bool
        Whether keypoints are compared with those of the photo as it is (False), of its mirror image (True), or both.
    side : int
        Longer side in pixels at which the keypoints of the photo are found.

    Returns
    -------
    Copy or None
        The best placement; None where none has a value of 0.1.

    Notes
    -----
    ``value = m.score * clip((a.share - 0.4 + x) / 0.4, 0, 1) * (1 - exp(-a.cells / 10))
    * clip((0.5 + x - a.covered) / 0.35, 0, 1) * clip((0.25 - a.recoloured) / 0.15, 0, 1) * e`` of the `VerifiedMatch` m and
    the `Agreement` a; without the first factor where a near perceptual hash, not keypoints, gave the placement; 1 for the
    same bytes.

    The factor e is for placements that editing gives: people crop, turn and stretch photos along their sides, but only a
    camera in another place tilts them, so ``e = clip((0.08 - skew) / 0.06, 0, 1) * clip((1.5 - stretch) / 0.2, 0, 1)``.
    The allowance x for what lies over a photo, ``0.2 * clip((0.4 - m.error) / 0.2, 0, 1)
    * clip((0.1 - a.recoloured) / 0.05, 0, 1)``, is given where keypoints agree within a fraction of a pixel and colours by
    one change of the whole: so another photo of the thing does not lie on it, but one under a caption and a sticker does.
    Of 90 dev photos of sellers under both, 0.92 have a value of 0.5 without it and 0.99 with it (0.95: 0.43 and 0.98), and
    none of 652 pairs of other photos gains 0.1 that is no reuse of one photo. The rest of the shape is ours,
    the constants come from the dev half of ``benchmarks/copies.py`` (of true copies there, 99 % have skew below
    0.002, stretch below 1.01 and less than 0.18 covered; edits of colour and contrast leave at most 0.08 recoloured, and of
    five watches in the pose of another, four are kept from a value of 0.5 by it) and from phone photos of the rendered
    world, which are no copies.
    """
    best: Copy | None = None
    for transform, flipped, match in _placements(photo, reference, hints, sides, side):
        support = None if match is None else match.reference_xy
        found = agreement(photo.image, reference.image, transform, support)
        if found is None:
            continue
        value = _value(transform, match, found)
        if value >= _LEAST and (best is None or value > best.value):
            best = Copy(
                reference.sha256,
                value,
                transform,
                query_polygon=found.query_polygon,
                reference_polygon=found.reference_polygon,
                mirrored=flipped,
                match=match,
                agreement=found,
            )
        if best is not None and best.match is not None and best.value >= _SURE:
            break  # its mirror image is not asked for
    return best


def _placements(
    photo: PhotoContext, reference: PhotoContext, hints: Sequence[tuple[Transform, bool]], sides: Sequence[bool], side: int
) -> Iterator[tuple[Transform, bool, VerifiedMatch | None]]:
    """Yield what the hashes suggest, and, as far as they are asked for, what the keypoints say on each side."""
    yield from ((transform, flipped, None) for transform, flipped in hints)
    ours, theirs = geometry.keypoints(photo, max_side=side), geometry.keypoints(reference)
    for flipped in sides:
        points = geometry.mirrored(ours) if flipped else ours
        match = geometry.verify(points, theirs, geometry.match(points, theirs), model="affine")
        if match is None:
            continue
        if flipped:
            back = geometry.flip(ours.width)
            xy = geometry.map_points(back, match.query_xy).astype(np.float32)
            match = replace(match, transform=back @ match.transform, query_xy=xy)
        yield match.transform, flipped, match


def _value(transform: Transform, match: VerifiedMatch | None, found: Agreement) -> float:
    over = 0.0 if match is None else _allowance(match, found)
    value = np.clip((found.share - 0.4 + over) / 0.4, 0.0, 1.0) * (1.0 - np.exp(-found.cells / 10.0)) * edited(transform)
    value *= np.clip((0.5 + over - found.covered) / 0.35, 0, 1) * np.clip((0.25 - found.recoloured) / 0.15, 0, 1)
    return float(value) * (1.0 if match is None else match.score)


def _allowance(match: VerifiedMatch, found: Agreement) -> float:
    """Return how much more of a photo may be covered where all else agrees exactly, in [0, 0.2]."""
    return 0.2 * float(np.clip((0.4 - match.error) / 0.2, 0, 1) * np.clip((0.1 - found.recoloured) / 0.05, 0, 1))


def edited(transform: Transform) -> float:
    """Return how far a placement can come from editing a photo rather than taking another, in [0, 1]."""
    sizes = np.linalg.svd(transform[:2, :2], compute_uv=False)
    stretch = float(sizes[0] / max(float(sizes[1]), 1e-9))
    return float(np.clip((0.08 - geometry.skew(transform)) / 0.06, 0, 1) * np.clip((1.5 - stretch) / 0.2, 0, 1))


def agreement(
    query: Image, reference: Image, transform: Transform, support: npt.ArrayLike | None = None, *, side: int = 320
) -> Agreement | None:
    """Lay two pictures on each other and compare them cell by cell.

    Parameters
    ----------
    query, reference : Image
    transform : ndarray, shape (3, 3)
        Reference to query, original pixels.
    support : array_like, shape (n, 2), optional
        Points of the reference whose hull is where the two ought to agree (a collage shows only a part); by default the
        whole overlap.
    side : int
        Longer side of the working picture in pixels; less where one of the two has less detail.

    Returns
    -------
    Agreement or None
        None where the overlap is too small to tell or has no structure.

    Notes
    -----
    A cell agrees when the normalised cross-correlation of its grey values is at least 0.7, which no change of brightness,
    contrast or colour balance alters; noise of 2 grey levels is allowed for. Cells below 5 grey levels of contrast in both
    pictures (plain ground) say nothing.
    """
    shared = geometry.overlap(transform, (reference.width, reference.height), (query.width, query.height))
    if not len(shared):
        return None
    back: Transform = np.linalg.inv(transform)
    part = geometry.map_points(back, shared)
    low, high = part.min(axis=0), part.max(axis=0)
    enlarged = np.sqrt(abs(np.linalg.det(transform[:2, :2])))
    gain = min(side / float((high - low).max()), 1.0 / reference.scale, enlarged / query.scale)
    columns, rows = (int(n) for n in np.rint((high - low) * gain / _CELL))
    if min(columns, rows) < 2 or max(columns, rows) < 4:
        return None
    width, height = columns * _CELL, rows * _CELL
    sx, sy = np.array([width, height]) / (high - low)
    work = np.array([[sx, 0.0, -low[0] * sx], [0.0, sy, -low[1] * sy], [0.0, 0.0, 1.0]])
    r, r_covered = geometry.draw(reference, work, (width, height), smooth=1.0)
    q, q_covered = geometry.draw(query, work @ back, (width, height), smooth=1.0)
    known = _cells((r_covered & q_covered)[..., None].astype(np.float32)).mean(axis=2)[..., 0] > 0.9
    rg, qg = (_cells((p @ _LUMA)[..., None])[..., 0] for p in (r.astype(np.float32), q.astype(np.float32)))
    rv, qv = rg.var(axis=2), qg.var(axis=2)
    both = ((rg - rg.mean(axis=2, keepdims=True)) * (qg - qg.mean(axis=2, keepdims=True))).mean(axis=2)
    likeness = both / np.sqrt((rv + 4.0) * (qv + 4.0))
    structured = known & (np.maximum(rv, qv) > 25.0)
    agrees = structured & (likeness >= 0.7)
    if not agrees.any():
        return None
    where = (
        structured & _near(geometry.map_points(work, support) / _CELL, structured.shape)
        if support is not None
        else structured
    )
    share = float((agrees & where).sum() / max(where.sum(), 1))
    # The part that is shared: the bounding box of what agrees, wider where nothing speaks against it.
    x0, x1 = _reach(agrees.any(axis=0), (structured & ~agrees).any(axis=0))
    y0, y1 = _reach(agrees.any(axis=1), (structured & ~agrees).any(axis=1))
    inside = structured[y0:y1, x0:x1]
    covered = 1.0 - agrees[y0:y1, x0:x1].sum() / inside.sum()
    inverse: Transform = np.linalg.inv(work)
    box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64) * _CELL
    seen = geometry.intersect(geometry.map_points(transform @ inverse, box), shared)
    if not len(seen):
        return None
    ours, theirs = (_cells(p.astype(np.float32)).mean(axis=2) for p in (q, r))
    tint = float(np.sqrt(((theirs - ours)[agrees] ** 2).mean()))
    informative = (known & (agrees | ~structured))[y0:y1, x0:x1]
    recoloured = _recoloured(ours[y0:y1, x0:x1][informative], theirs[y0:y1, x0:x1][informative])
    return Agreement(
        share,
        int(agrees.sum()),
        query_polygon=seen,
        reference_polygon=geometry.map_points(back, seen),
        covered=float(covered),
        tint=tint,
        recoloured=recoloured,
    )


def _recoloured(ours: FloatArray, theirs: FloatArray) -> float:
    """Return the share of colours (n, 3) that no single affine map of colours explains, fitted to the most of them."""
    if len(ours) < 12:  # the map has 12 numbers
        return 0.0
    given = np.c_[theirs, np.ones(len(theirs))]
    weight = np.ones(len(ours))
    for _ in range(6):  # least absolute deviations, by reweighting
        root = np.sqrt(weight)[:, None]
        colours = np.linalg.lstsq(given * root, ours * root, rcond=None)[0]
        away = np.sqrt(((given @ colours - ours) ** 2).mean(axis=1))
        weight = 1.0 / np.maximum(away, 2.0)
    return float((away > 15.0).mean())


def _cells(pixels: FloatArray) -> FloatArray:
    """Cut (H, W, c) into (rows, columns, pixels of a cell, c)."""
    h, w, c = pixels.shape
    cut = pixels.reshape(h // _CELL, _CELL, w // _CELL, _CELL, c).swapaxes(1, 2)
    return np.asarray(cut.reshape(h // _CELL, w // _CELL, _CELL * _CELL, c))


def _near(points: Points, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Mark the cells in, or next to, the hull of some points given in cells."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    hull = cv2.convexHull(np.floor(points).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1)
    return np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0)


def _reach(agrees: npt.NDArray[np.bool_], differs: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the half-open span of what agrees, widened on each side up to the edge unless something differs there."""
    at = np.flatnonzero(agrees)
    start, end = int(at[0]), int(at[-1]) + 1
    return (start if differs[:start].any() else 0), (end if differs[end:].any() else len(agrees))
