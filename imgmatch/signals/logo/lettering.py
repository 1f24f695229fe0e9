"""Words of marks, and other words that are taken for them: letters of one typeface are alike, whatever they spell."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext
from imgmatch.market.wordmarks import names_of
from imgmatch.names import letters, skeleton
from imgmatch.signals.logo.seen import Seen
from imgmatch.types import Box, FloatArray
from imgmatch.vision import geometry, ocr
from imgmatch.vision.marks import MarkReference, Sighting

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["FIGURE", "WordMarks", "area", "beside", "is_word"]

FIGURE = 0.25
"""Least share of the mark that the figure has by itself: as measured on 80 drawings of `reference_logos` whose word is read,
38 are a word alone (0.05 at most), ten are between, a word in an oval or with a bar, and 32 have as much."""

COVERED = 0.5
"""Least share of a mark's place that lines of other words cover. Of 22 marks that 23 catalogs of four drawings each saw in
slogans, one real photo of printed ones and 40 laid over photos of bags, 18 have as much, and 17 are dropped; of 395 that are
claimed rightly on the dev photos of ``benchmarks/marks_real.py`` none is. No command repeats the first."""

HEIGHT, ALONG = 3.0, 0.95
"""How many times higher or lower than a mark a line may be that was taken for it, and the least cosine between them, of 18
degrees: a watermark across a mark is no print under it. As measured on the same 22, they are 0.51 to 2.36 times as high and
have a cosine of 0.99."""

NEAR = 0.65
"""Least share of letters that a word and a name have in common, in order, so that it may be the name misread. As measured on
the same 22, a slogan's words have 0.6 at most, but for WATCH and WITH; BNW and BMW have 0.67."""

LEAST_LETTERS = 3
"""On a dev photo of ``benchmarks/marks_real.py`` hp is read upside down, as "dy"."""

_ADDRESS = re.compile(r"[@_]|\.[a-z]{2}", re.IGNORECASE)
"""Handles and addresses of sites, which sellers lay over their photos."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Spelt:
    """What a picture of a mark spells.

    Parameters
    ----------
    words : tuple of str
        Skeletons, see `imgmatch.names.skeleton`.
    corners : ndarray, shape (4, 2), float32
        Of the box around the words, original pixels of the picture, clockwise from the top left.
    alone : bool
        The mark has next to nothing beside them.
    """

    words: tuple[str, ...]
    corners: FloatArray
    alone: bool


class WordMarks:
    """What a catalog's pictures of marks spell; each is read when it is first asked for.

    Parameters
    ----------
    catalog : Catalog
    side : int
        The longer side at which text is looked for.
    """

    def __init__(self, catalog: Catalog, side: int) -> None:
        self._catalog, self._side = catalog, side
        self._known: dict[MarkReference, Spelt | None] = {}
        self._lock = threading.Lock()

    def other_words(self, photo: PhotoContext, seen: Seen) -> bool:
        """Say whether what was taken for the word of a mark is print of other words.

        They stand in its place, of its height and direction, and nothing but features that lie on them speaks for the mark:
        one that shows through a watermark has more, its shape for one. Of 110 claims on dev photos with a seller's name
        laid over the mark five are lost all the same; without the last condition 23.

        Parameters
        ----------
        photo : PhotoContext
        seen : Seen

        Returns
        -------
        bool
            False where more of the mark than its word is there, where the word is read anywhere in the photo, or nearly,
            and where nothing can be read for want of the extra ``ocr``.

        Raises
        ------
        ImageError
            Where the photo cannot be read.
        """
        by_features = seen.shape is None and seen.learnt is None
        if (
            seen.sighting is None
            or seen.sighting.repeats
            or seen.sighting.mirrored
            or not by_features
            or not ocr.available()
        ):
            return False  # a canvas is no word, and words in a mirror are read as others
        spelt = self._spelt(seen.reference)
        place = None if spelt is None else _place(seen.sighting, spelt)
        if spelt is None or place is None:
            return False
        names = {*spelt.words, *(skeleton(name) for name in names_of(self._catalog.brands[seen.brand]))}
        readings = ocr.read(photo, self._side)
        if any(_near(reading.text, names) for reading in readings):
            return False
        lines = [np.asarray(reading.polygon, np.float32) for reading in readings if _is_print(reading)]
        lines = [line for line in _apart(lines) if _alike(line, place)]
        covered = sum(geometry.area(geometry.intersect(line, place)) for line in lines)
        return 0.0 < covered >= COVERED * geometry.area(place) and _all_on(seen.sighting.points, lines)

    def _spelt(self, reference: MarkReference) -> Spelt | None:
        with self._lock:
            if reference not in self._known:
                try:
                    self._known[reference] = _spelt(
                        ocr.read(self._catalog.photo(reference.photo), self._side), reference.box
                    )
                except ImageError:
                    self._known[reference] = None
            return self._known[reference]


def is_word(line: ocr.Reading) -> bool:
    """Say whether a line is surely read, the right way round, in Latin letters alone."""
    return _is_print(line) and letters(line.text).isalpha()


def beside(box: Corners, words: FloatArray) -> Corners:
    """Return the largest part of a mark (x0, y0, x1, y1) beside the corners of words in it (n, 2)."""
    x0, y0, x1, y1 = box
    (left, top), (right, bottom) = words.min(axis=0).tolist(), words.max(axis=0).tolist()
    return max((x0, y0, x1, top), (x0, bottom, x1, y1), (x0, y0, left, y1), (right, y0, x1, y1), key=area)


def area(box: Corners) -> float:
    """Return the area of (x0, y0, x1, y1)."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _spelt(readings: Iterable[ocr.Reading], box: Corners) -> Spelt | None:
    """Return what is read within a mark."""
    x0, y0, x1, y1 = box
    inside = []
    for reading in readings:
        x, y = np.mean(reading.polygon, axis=0)
        if x0 <= x <= x1 and y0 <= y <= y1 and len(skeleton(reading.text)) > 1:
            inside.append(reading)
    if not inside:
        return None
    corners = np.concatenate([np.asarray(r.polygon, np.float32) for r in inside])
    around = Box(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()).polygon()
    alone = area(beside(box, corners)) < FIGURE * area(box)
    words = tuple(skeleton(r.text) for r in inside)
    longer = tuple(word for word in words if len(word) >= LEAST_LETTERS)  # TM is in DEPARTMENT
    return Spelt(longer or words, np.asarray(around, np.float32), alone)


def _place(sighting: Sighting, spelt: Spelt) -> FloatArray | None:
    """Return the corners of a mark's words in the photo; None where more of the mark than its words is there."""
    words = np.asarray(geometry.map_points(sighting.transform, spelt.corners), np.float32)
    return words if spelt.alone or _all_on(sighting.points, [words]) else None


def _is_print(line: ocr.Reading) -> bool:
    """Say whether a line is surely read, the right way round, in Latin letters; 100% COTTON as well, but no watermark."""
    said = letters(line.text)
    enough = sum(c.isalpha() for c in said) >= LEAST_LETTERS and said.isascii() and not _ADDRESS.search(line.text)
    return enough and line.confidence >= ocr.SURE and not line.mirrored


def _all_on(points: FloatArray, places: Iterable[FloatArray]) -> bool:
    """Say whether each of some points (n, 2) lies on one of some quadrilaterals."""
    import cv2

    quads = [np.ascontiguousarray(place, np.float32).reshape(-1, 1, 2) for place in places]
    return all(any(cv2.pointPolygonTest(quad, (x, y), False) >= 0 for quad in quads) for x, y in points.tolist())


def _near(text: str, names: Iterable[str]) -> bool:
    """Say whether a line holds one of some names, is a part of one, or has a word that may be one misread."""
    words = [w for w in (skeleton(word) for word in (text, *text.split())) if w]
    return any(
        (name in words[0] if len(name) >= LEAST_LETTERS else name in words)  # hp is in SHIP
        or (len(words[0]) >= LEAST_LETTERS and words[0] in name)
        or SequenceMatcher(None, word, name).ratio() >= NEAR
        for name in names
        for word in words
    )


def _alike(line: FloatArray, mark: FloatArray) -> bool:
    """Say whether a line is about as high as a mark and runs as it does."""
    along, other = line[1] - line[0], mark[1] - mark[0]  # against one another, the mark would be read upside down
    high = float(np.linalg.norm(line[3] - line[0]))
    mark_high = float(min(np.linalg.norm(other), np.linalg.norm(mark[3] - mark[0])))
    cosine = float(along @ other) / max(float(np.linalg.norm(along) * np.linalg.norm(other)), 1e-9)
    return mark_high / HEIGHT <= high <= mark_high * HEIGHT and cosine >= ALONG


def _apart(lines: Iterable[FloatArray]) -> list[FloatArray]:
    """Leave out lines that lie in longer ones: some are read twice."""
    kept: list[FloatArray] = []
    for line in sorted(lines, key=lambda q: -geometry.area(q)):
        if all(geometry.area(geometry.intersect(line, k)) <= 0.5 * geometry.area(line) for k in kept):
            kept.append(line)
    return kept
