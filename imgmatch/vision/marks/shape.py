"""Recognise marks by shape: for those with too few corners to be found by them (an apple, two chevrons, a swoosh).

A mark becomes a small grid of gradient directions, and a linear detector in one step: divided by the covariance that natural
photos have, so that what every photo shows (long edges, even ground) weighs little. The photo is looked at in all sizes.

References
----------
Hariharan, Malik & Ramanan, "Discriminative decorrelation for clustering and classification", ECCV 2012 (exemplar LDA).
Dalal & Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgmatch.images import load_image
from imgmatch.io.files import sha256_file
from imgmatch.loading.photo import PhotoContext
from imgmatch.types import Box, FloatArray, UInt8Array
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks.gradients import BINS, CELL, LONG, SQUARE, cells_through, grid, levels, template
from imgmatch.vision.marks.plain import plain_sheets
from imgmatch.vision.marks.reference import MarkReference, name_of

__all__ = ["LEAST_PHOTOS", "STATISTICS", "ShapeIndex", "ShapeMatch", "answers", "chance_of", "sheets"]

STATISTICS = Path(__file__).with_name("gradients.npz")
"""Mean and covariance of cells at all offsets, made by ``benchmarks/gradient_statistics.py``."""

CHANCE_MEAN, CHANCE_DEVIATION, CHANCE_RESERVE = 6.5, 1.5, 0.3
"""Least mean and standard deviation of a mark's scores on other photos, whatever the catalog's photos say, which may all be
on white: what nine in ten marks of `logos_in_photos` have at most on the open part of the distractors; and what is added to
the deviation, since the photos are few."""

LEAST_PHOTOS = 16
"""A box whose scores are known on fewer photos of other things has no standard score: it is not named by shape, since by
drawn sheets 20 brands of boxes claim 4 of 266 photos of nothing instead of 1. For a drawing drawn sheets stand in for
photos, and count beside them where it scores higher there: its catalog may have photos on white alone, boxes bring the
photos along that they are in. With drawings as the only references (``benchmarks/marks_real.py``, dev) 94 of 153 photos are
named so, where no shape is believed 74; of 133 photos of nothing none is claimed, by the two numbers above alone 9 (every
disc is like a disc, every word like a word), and with 48 photos of bags in the catalog (the open ones of
`bags_three_brands`) none instead of 4."""

SECONDED, PICTURES, SAME_PLACE = 2.0, 3, 0.4
"""How far the score of one picture of a brand may exceed the best that another picture of it has at the same place (boxes
that share so much of the smaller one), where the brand has so many (``benchmarks/marks_real.py``, dev): a star of one sign
is like any star. Of 2, 3 and means the first names most: 200 instead of 189 of 303 at as few false."""


ALIKE = 3
"""Pictures on either side, the likest ones, over whose means a margin is taken (``benchmarks/marks_real.py``, dev): of the
likest alone it names as many, 5 instead of 1 of 266 photos of nothing wrongly."""


@dataclass(frozen=True, slots=True)
class ShapeMatch:
    """The place of a photo whose shape is likest to a brand's mark.

    Parameters
    ----------
    reference : int
        Position among the index's references.
    score : float
        Standard deviations above the mark's best scores by chance.
    box : Box
        In original pixels.
    margin : float or None
        How much more the place is like the brand's pictures than like those of all others, in standard deviations of
        natural photos; None where there is no other brand.
    """

    reference: int
    score: float
    box: Box
    margin: float | None


class ShapeIndex:
    """The shapes of a catalog's marks.

    Parameters
    ----------
    references : sequence of MarkReference

    Notes
    -----
    Some 15 ms for each photo, and 15 more for each 100 references. Its `repr` names all that :meth:`scan` and :meth:`laid`
    rest on beside the photo and the code: what is found in a photo is remembered by it.
    """

    def __init__(self, references: Sequence[MarkReference]) -> None:
        self._references = references
        self._name = f"ShapeIndex({name_of(references)}, {sha256_file(STATISTICS)})"
        self._sizes = [r.cells.shape[:2] for r in references]
        mean, _ = _statistics()
        self._mean = mean
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, size in enumerate(self._sizes):
            groups[size[0], size[1]].append(number)
        self._detectors: dict[int, FloatArray] = {}
        self._by_width: dict[int, list[tuple[int, npt.NDArray[np.intp], FloatArray]]] = defaultdict(list)
        for (height, width), rows in groups.items():
            detectors = _detectors([references[r].cells for r in rows], mean)
            self._detectors |= dict(zip(rows, detectors, strict=True))
            lines = detectors.transpose(3, 1, 2, 0).reshape(width * BINS, height * len(rows))
            self._by_width[width].append((height, np.array(rows), np.ascontiguousarray(lines)))
        self._squares = _detectors([r.square for r in references], mean) if references else np.zeros((0, 1))
        self._brands = np.array([r.brand for r in references], np.str_)
        self._pictures = np.array([r.photo for r in references], np.str_)
        self.chance = np.full((len(references), 2), np.inf)

    def __repr__(self) -> str:
        return self._name

    def learn(self, others: Iterable[tuple[Set[str], FloatArray]]) -> None:
        """Learn what scores are chance.

        Parameters
        ----------
        others : iterable of (set of str, ndarray)
            For photos the brands whose marks each may show, and the scores of :meth:`scan`: those of all other marks are
            chance.
        """
        rows = list(others)
        for number, reference in enumerate(self._references):
            scores = np.array([row[number] for brands, row in rows if reference.brand not in brands])
            scores = scores[np.isfinite(scores)]  # a photo may be too small for a mark
            chance = [chance_of(scores, CHANCE_RESERVE)] if len(scores) >= LEAST_PHOTOS else []
            if reference.ink is not None:
                chance += [chance_of(kind[:, number], CHANCE_RESERVE) for kind in self._on_sheets]
            self.chance[number] = np.max([(CHANCE_MEAN, CHANCE_DEVIATION), *chance], axis=0) if chance else np.inf

    @cached_property
    def _on_sheets(self) -> list[FloatArray]:
        """What each mark scores on plain sheets of each kind, shape (sheets, n)."""
        return [np.array([self._scan(sheet)[0] for sheet in kind]) for kind in sheets()]

    def matches_on_sheets(self) -> list[list[ShapeMatch]]:
        """Return what :meth:`find` does, for each plain sheet."""
        return [self.matches(sheet, *self._scan(sheet)) for kind in sheets() for sheet in kind]

    def find(self, photo: PhotoContext) -> list[ShapeMatch]:
        """Return the likest place for each brand, likest first; only those above chance."""
        return self.matches(photo, *self.scan(photo)) if np.isfinite(self.chance).any() else []

    def matches(self, photo: PhotoContext, scores: FloatArray, boxes: FloatArray) -> list[ShapeMatch]:
        """Return what :meth:`find` does, for a photo that was scanned."""
        with np.errstate(invalid="ignore"):
            standard = (scores - self.chance[:, 0]) / self.chance[:, 1]
        standard = np.where(np.isfinite(standard), standard, -np.inf)
        seconded = standard.copy()
        for number in np.flatnonzero(standard > SECONDED):
            others = np.flatnonzero((self._brands == self._brands[number]) & (self._pictures != self._pictures[number]))
            if len(np.unique(self._pictures[others])) >= PICTURES - 1:
                there = others[_shared(boxes[others], boxes[number]) > SAME_PLACE]
                seconded[number] = min(standard[number], max(standard[there].max(initial=0.0), 0.0) + SECONDED)
        best: dict[str, int] = {}
        for i in np.argsort(-seconded, kind="stable"):
            if seconded[i] > 0:
                best.setdefault(str(self._brands[i]), int(i))
        found = []
        for brand, first in best.items():
            box = Box(*map(float, boxes[first]))
            found.append(ShapeMatch(first, float(seconded[first]), box, self._margin(photo, brand, box)))
        return found

    def _margin(self, photo: PhotoContext, brand: str, box: Box) -> float | None:
        scale = photo.image.scale
        place = box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale
        return self._nearer(brand, template(photo.image.pixels, place, SQUARE, ground=0.0))

    def margin(self, photo: PhotoContext, number: int, transform: Transform) -> float | None:
        """Return the margin, as of a `ShapeMatch`, of the place where a reference is said to lie.

        Parameters
        ----------
        photo : PhotoContext
        number : int
            Position of the reference.
        transform : ndarray, shape (3, 3)
            From original pixels of the reference picture to original pixels of the photo.

        Returns
        -------
        float or None
            None where less than half of it lies in the photo, and where there is no other brand.
        """
        reference = self._references[number]
        cells = cells_through(photo.image, transform @ grid(reference.box, SQUARE)[0], SQUARE, 0.5)
        return None if cells is None else self._nearer(reference.brand, cells)

    def _nearer(self, brand: str, square: FloatArray) -> float | None:
        """Compare a place, drawn as a square, with all pictures: a star of one brand is like any other brand's star."""
        own = self._brands == brand
        if own.all():
            return None
        answer = self._squares.reshape(len(own), -1) @ (square[1:-1, 1:-1] - self._mean).transpose(2, 0, 1).ravel()
        ours, others = (np.sort(answer[side])[-ALIKE:].mean() for side in (own, ~own))
        return float(ours - others)

    def laid(self, photo: PhotoContext, number: int, transform: Transform) -> float:
        """Score the shape of a reference where it is said to lie.

        Parameters
        ----------
        photo : PhotoContext
        number : int
            Position of the reference.
        transform : ndarray, shape (3, 3)
            From original pixels of the reference picture to original pixels of the photo.

        Returns
        -------
        float
            The detector's answer to the photo as seen through the transform: of deviation 1 on natural photos.
            -inf where less than half of it lies in the photo.
        """
        reference = self._references[number]
        size = reference.cells.shape[0], reference.cells.shape[1]
        cells = cells_through(photo.image, transform @ grid(reference.box, size)[0], size, 0.5)
        return (
            -np.inf
            if cells is None
            else float((cells - self._mean).transpose(2, 0, 1).ravel() @ self._detectors[number].ravel())
        )

    def scan(self, photo: PhotoContext) -> tuple[FloatArray, FloatArray]:
        """Return each reference's best score in a photo (n,) and its box (n, 4) in original pixels; -inf where none."""
        best, boxes = photo.lasting(_scanned, self)
        return best, boxes

    def _scan(self, photo: PhotoContext) -> tuple[FloatArray, FloatArray]:
        best = np.full(len(self._sizes), -np.inf, np.float32)
        boxes = np.zeros((len(best), 4), np.float32)
        for per, cells in photo.once(levels):
            centred = cells - self._mean
            for width, groups in self._by_width.items():
                if centred.shape[1] < width:
                    continue
                down, right, bin_ = centred.strides
                windows = len(cells), cells.shape[1] - width + 1, width * BINS
                across = np.ascontiguousarray(np.lib.stride_tricks.as_strided(centred, windows, (down, right, bin_)))
                for height, rows, lines in groups:
                    if len(cells) < height:
                        continue
                    answer = _added(across @ lines, height)
                    value = answer.max(axis=(0, 1))
                    better = np.flatnonzero(value > best[rows])
                    at = answer.reshape(-1, len(rows))[:, better].argmax(axis=0)
                    y, x = np.divmod(at, answer.shape[1])
                    best[rows[better]] = value[better]
                    boxes[rows[better]] = np.stack([x, y, x + width, y + height], axis=1) * CELL * per
        return best, boxes


@cache
def sheets() -> tuple[tuple[PhotoContext, ...], ...]:
    """Return the plain sheets; what they are at all sizes stays in memory, 17 MB, where marks are measured at all."""

    def shown(sheet: UInt8Array) -> PhotoContext:
        image = load_image(np.dstack([sheet] * 3))
        return PhotoContext(image.sha256, image)

    return tuple(tuple(map(shown, kind)) for kind in plain_sheets())


def chance_of(scores: FloatArray, reserve: float) -> tuple[float, float]:
    """Return mean and standard deviation, the latter with a reserve: the scores are few."""
    return float(scores.mean()), float(scores.std()) + reserve


def _scanned(photo: PhotoContext, shapes: ShapeIndex) -> tuple[FloatArray, FloatArray]:
    return shapes._scan(photo)


def _added(lines: FloatArray, height: int) -> FloatArray:
    """Return the answers of detectors, shape (h', w', n), from those of each of their lines, shape (h, w', height * n)."""
    each = lines.shape[2] // height
    total: FloatArray = lines[: len(lines) - height + 1, :, :each].copy()
    for row in range(1, height):
        total += lines[row : row + len(total), :, row * each : (row + 1) * each]
    return total


def answers(known: Sequence[FloatArray], shown: Sequence[FloatArray]) -> FloatArray:
    """Return, for pairs of templates of one size, the answer of the detector of each one of `known` to its counterpart."""
    mean, _ = _statistics()
    detectors = _detectors(known, mean)
    return np.array([np.vdot((s - mean).transpose(2, 0, 1), d) for s, d in zip(shown, detectors, strict=True)], np.float32)


def _shared(boxes: FloatArray, box: FloatArray) -> FloatArray:
    """Return the area that each of some boxes (n, 4) shares with one, as a share of the smaller of the two."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (boxes, box)]
    return np.asarray(np.prod(np.maximum(high - low, 0.0), axis=1) / np.maximum(np.minimum(*areas), 1e-9))


@cache
def _statistics() -> tuple[FloatArray, FloatArray]:
    """Return the mean cell (BINS,) and covariances by offset, shape (2 LONG - 1, 2 LONG - 1, BINS, BINS)."""
    with np.load(STATISTICS) as kept:
        mean, half = kept["mean"].astype(np.float32), kept["covariance"].astype(np.float32)
    full = np.zeros((2 * LONG - 1, 2 * LONG - 1, BINS, BINS), np.float32)
    full[LONG - 1 :] = half
    # A pair of cells seen from the other one: the offset is turned round and the matrix transposed.
    full[:LONG] = half[::-1, ::-1].transpose(0, 1, 3, 2)
    return mean, full


def _detectors(templates: Sequence[FloatArray], mean: FloatArray) -> npt.NDArray[np.float32]:
    """Return the linear detectors of templates of one size, shape (n, BINS, h, w), of unit variance on natural photos."""
    height, width = templates[0].shape[:2]
    inverse = _inverse(height, width)
    away = np.stack([(t - mean).ravel() for t in templates], axis=1)
    rows = inverse @ away
    rows /= np.sqrt(np.maximum((rows * away).sum(axis=0), 1e-12))
    return np.ascontiguousarray(rows.T.reshape(-1, height, width, BINS).transpose(0, 3, 1, 2), np.float32)


@lru_cache(maxsize=1)
def _inverse(height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the inverse covariance of all cells of templates of a size."""
    _, covariance = _statistics()
    y, x = (v.ravel() for v in np.mgrid[0:height, 0:width])
    blocks = covariance[y[None] - y[:, None] + LONG - 1, x[None] - x[:, None] + LONG - 1]
    whole = blocks.transpose(0, 2, 1, 3).reshape(len(y) * BINS, len(y) * BINS).astype(np.float64)
    whole += 0.1 * np.trace(whole) / len(whole) * np.eye(len(whole))  # a guess: the covariance is of few photos
    return np.asarray(np.linalg.inv(whole))
