"""Recognise marks by what a small network has learnt to tell apart: see :mod:`imgmatch.vision.marks.network`.

Every window of a photo is compared with every reference. How like a mark its likest window is by chance differs from mark to
mark, and is measured on photos of other things.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import Box, FloatArray
from imgmatch.vision.marks import network
from imgmatch.vision.marks.reference import MarkReference, name_of
from imgmatch.vision.marks.shape import LEAST_PHOTOS, chance_of, sheets

__all__ = ["LearntIndex", "LearntMatch"]

PROPORTION = 0.75
"""Greatest difference of the natural logarithms of a window's and a mark's width over height
(``benchmarks/mark_network/alone.py``): above all but three photos of nothing 92 of 143 were named; with 0.5 73, 1.0 94."""

CHANCE_MEAN, CHANCE_DEVIATION, RESERVE = 0.5, 0.06, 0.005
"""Least mean and deviation of a mark's greatest likeness to windows of other photos, and what is added to the deviation: the
photos are few (``benchmarks/mark_network/alone.py``). Photos of goods on white vary less than others, so that by them alone
many more pairs of a brand and a photo of nothing would be far above chance; that command counts them. The floors cost two of
303 photos of ``benchmarks/marks_real.py``, dev, and three of 153 by drawings."""

_PROPORTIONS = np.log([wide / high for high, wide in network.SHAPES])


@dataclass(frozen=True, slots=True)
class LearntMatch:
    """The window of a photo that is likest to a brand's marks.

    Parameters
    ----------
    reference : int
        Position among the index's references.
    score : float
        Standard deviations above the mark's greatest likeness by chance; below 0 where it is less like than that.
    box : Box
        In original pixels.
    """

    reference: int
    score: float
    box: Box


class LearntIndex:
    """What the network says of a catalog's marks.

    Parameters
    ----------
    references : sequence of MarkReference

    Notes
    -----
    Some 120 ms of processor time for each photo. Its `repr` names all that :meth:`scan` rests on beside the photo and the
    code: what is found in a photo is remembered by it.
    """

    def __init__(self, references: Sequence[MarkReference]) -> None:
        self.references = references
        self._name = f"LearntIndex({name_of(references)}, {', '.join(network.SHA256.values())})"
        views = len(network.SIDES)
        self._vectors = np.reshape([r.learnt for r in references], (-1, views, network.DIM)).astype(np.float32)
        self._proportions = np.log([(r.box[2] - r.box[0]) / (r.box[3] - r.box[1]) for r in references])
        self._comparable = (np.abs(self._proportions[:, None] - _PROPORTIONS) <= PROPORTION).any(axis=1)
        self._brands = np.array([r.brand for r in references], np.str_)
        self.chance = np.full((len(references), 2), np.inf)

    def __repr__(self) -> str:
        return self._name

    def learn(self, others: Iterable[tuple[Set[str], FloatArray]]) -> None:
        """Learn what likeness is chance, from photos with the brands that each may show, as `ShapeIndex.learn` does."""
        rows = list(others)
        for number, reference in enumerate(self.references):
            scores = np.array([row[number] for brands, row in rows if reference.brand not in brands])
            scores = scores[scores > 0]  # a photo may be too small for a mark
            chance = [chance_of(scores, RESERVE)] if len(scores) >= LEAST_PHOTOS else []
            if reference.ink is not None and self._comparable[number]:
                chance += [chance_of(kind[:, number], RESERVE) for kind in self._on_sheets]
            self.chance[number] = np.max([(CHANCE_MEAN, CHANCE_DEVIATION), *chance], axis=0) if chance else np.inf

    @cached_property
    def _on_sheets(self) -> list[FloatArray]:
        """What each mark scores on plain sheets of each kind, shape (sheets, n)."""
        return [np.array([self.likest(*windows)[0] for windows in kind]) for kind in _sheet_windows()]

    def find(self, photo: PhotoContext) -> list[LearntMatch]:
        """Return the likest window for each brand that has one whose chance is known, likest first."""
        return self.matches(*self.scan(photo)) if np.isfinite(self.chance).any() else []

    def scan(self, photo: PhotoContext) -> tuple[FloatArray, FloatArray]:
        """Return each reference's greatest likeness (n,) and its window (n, 4) in original pixels."""
        best, boxes = photo.lasting(_scanned, self)
        return best, boxes

    def matches(self, likeness: FloatArray, boxes: FloatArray) -> list[LearntMatch]:
        """Return what :meth:`find` does, for a photo that was scanned."""
        with np.errstate(invalid="ignore"):
            standard = (likeness - self.chance[:, 0]) / self.chance[:, 1]
        best: dict[str, int] = {}
        for i in np.argsort(-standard, kind="stable"):
            if likeness[i] > 0 and np.isfinite(standard[i]):
                best.setdefault(str(self._brands[i]), int(i))
        return [LearntMatch(i, float(standard[i]), Box(*map(float, boxes[i]))) for i in best.values()]

    def likest(self, vectors: FloatArray, boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each reference's greatest likeness among some windows (n,), and that window (n, 4)."""
        best, at = np.zeros(len(self._vectors), np.float32), np.zeros(len(self._vectors), np.intp)
        windows = np.log((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]))
        nearest = np.abs(windows[:, None] - _PROPORTIONS).argmin(axis=1)
        for number, proportion in enumerate(_PROPORTIONS):
            rows, marks = np.flatnonzero(nearest == number), np.abs(self._proportions - proportion) <= PROPORTION
            if len(rows) and marks.any():
                alike = vectors[rows].astype(np.float32) @ self._vectors[marks].reshape(-1, network.DIM).T
                alike = alike.reshape(len(rows), -1, self._vectors.shape[1]).max(axis=2)
                better = alike.max(axis=0) > best[marks]
                columns = np.flatnonzero(marks)[better]
                best[columns], at[columns] = alike.max(axis=0)[better], rows[alike[:, better].argmax(axis=0)]
        return best, boxes[at] if len(boxes) else np.zeros((len(best), 4), np.float32)


def _scanned(photo: PhotoContext, index: LearntIndex) -> tuple[FloatArray, FloatArray]:
    image = photo.image
    best, boxes = index.likest(*network.windows(image.pixels))
    height, width = image.pixels.shape[:2]
    edge = np.array([width, height, width, height], np.float32)  # a window may reach half a cell beyond it
    return best, np.minimum(boxes, edge) * np.float32(image.scale)


@cache
def _sheet_windows() -> list[list[tuple[FloatArray, FloatArray]]]:
    """Return what the network says of plain sheets; they stay in memory, 38 MB, where drawings are measured at all."""
    said = [[network.windows(sheet.image.pixels) for sheet in kind] for kind in sheets()]
    return [[(vectors.astype(np.float16), boxes) for vectors, boxes in kind] for kind in said]
