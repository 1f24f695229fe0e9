"""Find marks in a photo: proposals from two sides feed one verification.

* keypoints that agree on a placement (:mod:`imgmatch.vision.geometry`), for marks with enough corners;
* blobs of ink whose silhouette is the mark's, for marks with few (a swoosh, three stripes).

A placement is then refined and judged on pixels: how much of the patch of the photo does the ink map explain?
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks.placement import Placement, judge, settle_side
from imgmatch.vision.marks.reference import GRID, MarkReference, unit
from imgmatch.vision.marks.windows import Window

__all__ = ["MarkIndex", "repeats"]

PLAIN = 0.9
"""A mark of which plain shapes explain more than this is not looked for: it would be found everywhere."""

VOTE, SILHOUETTE = 0.7, 0.0
"""Least similarity of a feature that votes, and least likeness of a silhouette. Low: verification decides."""

UNSETTLED = 0.3
"""Likeness from which it is worth asking whether a mark or its mirror image lies there; what is less like is not named."""


Proposal = tuple[int, Transform, bool, int]
"""Reference, ink map to photo, mirrored, agreeing keypoints."""


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

    def find(self, photo: PhotoContext, most: int = 6, windows: Sequence[Window] = ()) -> list[Placement]:
        """Find the marks that show in a photo.

        Parameters
        ----------
        photo : PhotoContext
        most : int
            Proposals of each of the two kinds that are verified.
        windows : sequence of Window
            Further places to verify.

        Returns
        -------
        list of Placement
            The best per reference, likest first. All that could be laid over the photo, also unlike ones.
        """
        best: dict[int, Placement] = {}
        looked = [(w.reference, self._laid(w), False, 0) for w in windows]
        for index, transform, mirrored, support in [
            *self._by_keypoints(photo, most),
            *self._by_silhouette(photo, most),
            *looked,
        ]:
            placed = judge(photo.image, self.references[index], transform, mirrored, support, float(self.plainness[index]))
            if placed is not None and (index not in best or placed.likeness > best[index].likeness):
                best[index] = placed
        settled = [settle_side(photo.image, p) if p.likeness >= UNSETTLED else p for p in best.values()]
        return sorted(settled, key=lambda p: -p.likeness)

    def _laid(self, window: Window) -> Transform:
        """Return the transform that lays a mark, its proportions kept, in the middle of a window."""
        height, width = self.references[window.reference].ink.shape
        scale = min(window.box.width / width, window.box.height / height)
        x = (window.box.x0 + window.box.x1 - scale * width) / 2
        y = (window.box.y0 + window.box.y1 - scale * height) / 2
        return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1.0]])

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
        shapes, boxes = photo.once(_blobs)
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
                out.append((index, outline.laid_on(boxes[blob]), outline.mirrored, 0))
        return out


def _blobs(photo: PhotoContext) -> tuple[FloatArray, FloatArray]:
    """Find things of one tone on another: their silhouettes (n, GRID, GRID) and boxes (n, 4) in original pixels.

    Each of two sizes is cut against its neighbourhood, by tone (lighter, darker) and by hue, and pieces that nearly touch
    are also taken together: a mark may be of several parts.
    """
    import cv2

    image = photo.image
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
                shapes.append(unit(cv2.resize(mask[y0:y1, x0:x1], (GRID, GRID), interpolation=cv2.INTER_AREA)))
                boxes.append((x0 * per, y0 * per, x1 * per, y1 * per))
    if not shapes:
        return np.zeros((0, GRID, GRID), np.float32), np.zeros((0, 4), np.float32)
    return np.stack(shapes), np.array(boxes, np.float32)


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
        out[i] = max(float(unit(ink).ravel() @ unit(shape).ravel()) for shape in shapes)
    return np.asarray(np.clip(out, 0.0, 0.99) ** 2, np.float32)


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
