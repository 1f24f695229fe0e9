"""Does a brand's figure stand with another word where the brand's own word belongs?

A lockup is a figure and a word in one fixed arrangement. A look-alike often keeps the figure and changes the word.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgmatch.catalog.items import Brand
from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext
from imgmatch.market.wordmarks import WordmarkMatcher, names_of, spellings
from imgmatch.names import skeleton
from imgmatch.signals.logo.lettering import FIGURE, area, beside, is_word
from imgmatch.types import FloatArray
from imgmatch.vision import geometry, ocr
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks import MarkReference, Sighting
from imgmatch.vision.marks.gradients import cells_through, grid, template
from imgmatch.vision.marks.shape import answers

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["OTHER_WORD", "Lockup", "Lockups", "make_lockup"]

OTHER_WORD = 0.7
"""Value of the finding: a weak contradiction (``weights/rules.toml``), for brands put the names of their lines in that place
too, golf or originals under the stripes."""

FIGURE_THERE = 5.0
"""Least answer of the figure's shape, without the word, where the features lay it: between right placements and wrong ones,
see ``benchmarks/marks_real.py``, dev, where 57 of 73 lockups have it. The letters of PUMA lay the mark over COMA (7 points,
all on the word); its figure answers 8.9."""

SAME_PLACE = 0.5
"""Least share of what the word's place and the line cover together that both cover. Of the 66 times that the brand's own
word was read in a lockup's place on the dev photos of ``benchmarks/marks_real.py`` it is 0.53 or more 64 times."""

OTHERWISE = 20.0
"""Nats by which the line must be likelier to be what was read than any name of the brand, at every scale. As measured on
31 drawings whose word was replaced, which no command repeats, 42 other words have 37 or more, misread own ones 5 at most;
with it ``benchmarks/marks_real.py``, dev, calls none of 103 named marks altered."""


@dataclass(frozen=True, slots=True, eq=False)
class Lockup:
    """A picture of a mark that has a figure and the brand's word side by side.

    Parameters
    ----------
    word : ndarray, shape (4, 2)
        Corners of the word in the reference picture, clockwise from the first letter's top left, original pixels.
    figure : tuple of float
        (x0, y0, x1, y1) of the largest part beside the word, original pixels.
    cells : ndarray, shape (h, w, BINS), float32
        Gradients of that part.
    """

    word: FloatArray
    figure: tuple[float, float, float, float]
    cells: FloatArray


def make_lockup(photo: PhotoContext, reference: MarkReference, brand: Brand, side: int) -> Lockup | None:
    """Read the brand's word in a picture of its mark; None where there is none, or no figure beside it."""
    x0, y0, x1, y1 = reference.box
    names = {skeleton(name) for name in names_of(brand)}
    best: Lockup | None = None
    for reading in ocr.read(photo, side):
        word = np.asarray(reading.polygon, np.float32)
        x, y = word.mean(axis=0)
        if skeleton(reading.text) not in names or reading.mirrored or not (x0 <= x <= x1 and y0 <= y <= y1):
            continue
        figure = beside(reference.box, word)
        if area(figure) < FIGURE * area(reference.box) or (best is not None and area(best.figure) <= area(figure)):
            continue
        scale = photo.image.scale
        a, b, c, d = (v / scale for v in figure)
        best = Lockup(word, figure, template(photo.image.pixels, (a, b, c, d)))
    return best


class Lockups:
    """The lockups among a catalog's pictures of marks, each read when it is first asked for.

    Parameters
    ----------
    catalog : Catalog
    side : int
        The longer side at which text is looked for.
    """

    def __init__(self, catalog: Catalog, side: int) -> None:
        self._catalog, self._side = catalog, side
        self._known: dict[MarkReference, Lockup | None] = {}
        self._lock = threading.Lock()

    def word_instead(self, photo: PhotoContext, sighting: Sighting) -> ocr.Reading | None:
        """Return the line that stands where the brand's word belongs and is another word, where the figure is the brand's.

        Parameters
        ----------
        photo : PhotoContext
        sighting : Sighting
            Where the picture of the mark lies in the photo.

        Returns
        -------
        Reading or None
            None where the photo reads the brand's name, or nearly, anywhere: a genuine article may show its mark with one
            word more.
        """
        brand = self._catalog.brands[sighting.reference.brand]
        if sighting.mirrored or not ocr.available():
            return None
        readings = ocr.read(photo, self._side)
        names = [skeleton(name) for name in names_of(brand)]
        lines = [line for line in readings if is_word(line) and _inside(line, sighting.polygon())]
        lines = [line for line in lines if not any(skeleton(line.text) in name for name in names)]  # KORS of MICHAEL KORS
        if not lines or WordmarkMatcher({brand.brand: brand}).match(readings):
            return None
        lockup = self._lockup(sighting.reference, brand)
        if lockup is None or not _figure_there(photo, sighting.transform, lockup):
            return None
        place = np.asarray(geometry.map_points(sighting.transform, lockup.word), np.float32)
        forms = [form for name in names_of(brand) for form in spellings(name)]
        for line in (line for line in lines if _same_place(place, line.polygon)):
            scores = ocr.log_likelihoods(photo, line, [line.text, *forms])
            if (scores[:, 0] - scores[:, 1:].max(axis=1)).min() >= OTHERWISE:
                return line
        return None

    def _lockup(self, reference: MarkReference, brand: Brand) -> Lockup | None:
        with self._lock:
            if reference not in self._known:
                try:
                    lockup = make_lockup(self._catalog.photo(reference.photo), reference, brand, self._side)
                except ImageError:
                    lockup = None
                self._known[reference] = lockup
            return self._known[reference]


def _figure_there(photo: PhotoContext, transform: Transform, lockup: Lockup) -> bool:
    size = lockup.cells.shape[0], lockup.cells.shape[1]
    shown = cells_through(photo.image, transform @ grid(lockup.figure, size)[0], size, 0.5)
    return shown is not None and float(answers([lockup.cells], [shown])[0]) >= FIGURE_THERE


def _inside(line: ocr.Reading, mark: Sequence[Sequence[float]]) -> bool:
    """Say whether more than half of a line lies on a mark."""
    return geometry.area(geometry.intersect(line.polygon, mark)) > 0.5 * geometry.area(line.polygon)


def _same_place(a: FloatArray, b: Sequence[tuple[float, float]]) -> bool:
    """Say whether two lines cover one place and run in one direction."""
    other = np.asarray(b)
    shared = geometry.area(geometry.intersect(a, other))
    along, along_other = a[1] - a[0], other[1] - other[0]
    return along @ along_other > 0 and shared >= SAME_PLACE * (geometry.area(a) + geometry.area(other) - shared)
