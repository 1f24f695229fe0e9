"""Is what looks like a mark a line of other text? Letters of one typeface are alike, whatever they spell."""

from __future__ import annotations

from imgmatch.catalog.items import Brand
from imgmatch.loading.photo import PhotoContext
from imgmatch.market.wordmarks import WordmarkMatcher, names_of
from imgmatch.names import letters, skeleton
from imgmatch.signals.logo.seen import Seen
from imgmatch.vision import geometry, ocr

__all__ = ["is_word", "spells_another_word"]

COVERED = 0.5
"""Least share of a mark's place that lines of other words cover. Of 395 marks claimed rightly on the dev photos of
``benchmarks/marks_real.py`` none has as much, of 12 claimed wrongly three have. With words as the only marks of a catalog
most photos of a slogan in a like typeface are claimed without this, as measured on eight drawn words and two slogans."""

LEAST_LETTERS = 3
"""On a dev photo of ``benchmarks/marks_real.py`` hp is read upside down, as "dy"."""


def is_word(line: ocr.Reading) -> bool:
    """Say whether a line is surely read, the right way round, in Latin letters."""
    said = letters(line.text)
    return (
        line.confidence >= ocr.SURE
        and not line.mirrored
        and len(said) >= LEAST_LETTERS
        and said.isascii()
        and said.isalpha()
    )


def spells_another_word(photo: PhotoContext, seen: Seen, brand: Brand, side: int) -> bool:
    """Say whether a mark was seen where other words are printed.

    Parameters
    ----------
    photo : PhotoContext
    seen : Seen
    brand : Brand
        Of the mark.
    side : int
        The longer side at which text is looked for.

    Returns
    -------
    bool
        False for a pattern, where the brand is read anywhere in the photo, or nearly, and where nothing can be read for want
        of the extra ``ocr``.
    """
    if (seen.sighting is not None and seen.sighting.repeats) or not ocr.available():
        return False
    readings, names = ocr.read(photo, side), [skeleton(name) for name in names_of(brand)]

    def other(said: str) -> bool:
        return not any(said in name or name in said for name in names)

    printed = [r.polygon for r in readings if is_word(r) and other(skeleton(r.text))]
    covered = sum(geometry.area(geometry.intersect(polygon, seen.polygon)) for polygon in printed)
    if covered < COVERED * geometry.area(seen.polygon):
        return False
    return not WordmarkMatcher({brand.brand: brand}).match(readings)
