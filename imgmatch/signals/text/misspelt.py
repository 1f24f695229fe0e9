"""Is a line near a wordmark a misspelling of it, or the mark itself, misread?"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from imgmatch.catalog.items import Brand
from imgmatch.loading.photo import PhotoContext
from imgmatch.market.wordmarks import CHANCE, Match, align, cased, names_of, spelled_as, spellings
from imgmatch.names import POSSESSIVE, fold, letters, skeleton
from imgmatch.types import FloatArray
from imgmatch.vision import ocr

__all__ = [
    "MISSPELT_CENTRE",
    "MISSPELT_SLOPE",
    "WELL_READ",
    "another_word",
    "misspelt_ratio",
    "rightly_spelled",
]

_LONE = re.compile(r"(?<!\S)\w(?!\S)")
_AND = re.compile(r"&|\+|\b(?:and|und|et|y|e)\b", re.IGNORECASE)

WELL_READ, LEAST_HEIGHT = 0.85, 16.0
"""Mean letter confidence and height in pixels from which a line is held to be read well enough to call it misspelt."""

MISSPELT_CENTRE, MISSPELT_SLOPE = 3.0, 1.0
"""Value 0.5, and steepness, of the log likelihood ratio `misspelt_ratio`. Of 474 real photos, two genuine marks that were
read wrongly (VUITION, SP/DER) reached ratios of 0.1 and 2.2 (``benchmarks/words.py``)."""

APART, MISREAD = 0.22, -10.0
"""Least edits, as a share of a mark's letters, at which a line near it may be another word, and the log likelihood ratio, in
nats, under which it is (``benchmarks/marks_real.py``: of 494 goods two are given another brand by words, without this rule
four). Of the 2,021 unlocked photos of goods, marks and sellers, asked by hand with 254 names of brands, marks so far from
what is read reach -5.1 or more where they are shown (11), and -16.6 at most where they are not (13). Nearer ones are not
asked: the long names of a watch or a bag, cut off at an end."""

END_ROOM = 0.1
"""Share of a letter's width at the end of a line's box that must be plain where that end's letter is not the mark's: the
detector leaves about so much (flat logos by eye; what covers a letter reaches into it)."""

PLAIN_MARGIN, SAME_GROUND, ENDS_OWE = 0.25, 0.3, 6.0
"""A word that lacks its first or last letter is held to be written so only where one letter's room on both sides is plain
(spread of tone at most this share of the word's contrast) and of one tone (medians at most this far apart, likewise), for a
strap or a fold may cover the letter. It owes so many nats more than a misspelling, as does a word whose first or last letter
is another: of NIKE, half covered, IIKE is read with 4 nats, FUMA with 11. Set on renders of dev brands, see
``docs/decisions/dropped-letters.md``."""


def misspelt_ratio(photo: PhotoContext, match: Match, brand: Brand, readings: Sequence[ocr.Reading]) -> float | None:
    """Compare a misspelt reading with the mark's own spellings on the same pixels, re-read at several scales.

    Parameters
    ----------
    photo : PhotoContext
    match : Match
    brand : Brand
        The one that `match` is of. Where it lists no wordmarks its name is the mark, in whatever case, with or without
        accents, and with any sign or word for *and*.
    readings : sequence of Reading
        All lines of the photo.

    Returns
    -------
    float or None
        The least, over the re-readings, of ``log P(reading) - max over spellings log P(spelling)``, in nats; large
        where every re-reading insists on the wrong letters. None where the line is no candidate: spelled rightly, cut
        off, part of a longer text, small, or read without confidence. One whose first or last letter is wrong or lacking,
        and which is not the mark's letters in another order, is one only where nothing seems to cover that letter; where
        it lacks, the line is re-read with room for it.
    """
    line, part = match.line, match.line.parts[0]
    if not match.whole or len(line.parts) > 1 or part.mirrored or match.chance > CHANCE:
        return None
    if any(_beside(part, other) for other in readings):
        return None  # LAN | ISKY
    if part.confidence < WELL_READ or part.height < LEAST_HEIGHT:
        return None
    if match.mark not in (brand.wordmarks or (brand.name or brand.brand,)):
        return None  # an alias does not say how the mark is lettered
    if rightly_spelled(match, brand) or (match.everyday and not letters(match.reading).isascii()):
        return None  # oméga, in another language
    owed = 0.0
    said, mark = skeleton(match.reading), skeleton(match.mark)
    if match.kind == "partial":
        wide = ocr.with_room(part)
        if len(letters(match.mark)) - len(letters(match.reading)) != 1 or not _stands_free(photo, part, wide, readings):
            return None
        part, owed = wide, ENDS_OWE
    elif sorted(said) != sorted(mark):  # UPMA has all the letters of PUMA
        # An end that differs may be a letter half covered, or, where more differs, belong to another name.
        ends = [end for end in (0, -1) if said[end] != mark[end]]
        if ends and (match.distance > 1 or not all(_is_clear(photo, part, end) for end in ends)):
            return None
        owed = ENDS_OWE if ends else 0.0
    scores = ocr.log_likelihoods(photo, part, [line.text, *_right_forms(match, brand)])
    ratios = scores[:, 0] - scores[:, 1:].max(axis=1)
    return float(ratios.min()) - owed


def another_word(photo: PhotoContext, match: Match, brand: Brand) -> bool:
    """Say whether a line that is near a mark surely reads otherwise: PRIME may be no Sprite, COMPANY no Compaq.

    It may be a name misspelt on purpose, or covered in part, all the same: it claims nothing by itself, but counts.

    Parameters
    ----------
    photo : PhotoContext
    match : Match
    brand : Brand
        The one that `match` is of.

    Notes
    -----
    The line is re-read at several scales. Where none of them, and no spelling of the mark, gives ``log P(mark) - log
    P(reading)`` of `MISREAD` nats or more, the letters are surely others.
    """
    apart = match.distance / max(len(skeleton(match.mark)), 1)
    if match.kind != "near" or apart < APART or rightly_spelled(match, brand):
        return False
    parts = [part.text for part in match.line.parts]
    text, words = "".join(parts), re.escape(match.reading).replace(r"\ ", r"[\s./:@|_]+")
    found = re.search(rf"(?<![^\s./:@|_]){words}(?![^\s./:@|_])", text)
    start, end = found.span() if found else (0, len(text))
    forms = [text[:start] + form + text[end:] for form in _right_forms(match, brand)]
    scores = []
    for n, part in enumerate(match.line.parts):
        here, there = len("".join(parts[:n])), len("".join(parts[: n + 1]))
        pieces = [_piece(text, form, here, there) for form in forms]
        scores.append(ocr.log_likelihoods(photo, part, [part.text, *pieces]))
    whole = np.sum(scores, axis=0)
    known = whole[np.isfinite(whole[:, 0])]  # letters that the reader does not know have no likelihood
    ratios = known[:, 1:] - known[:, :1]
    return bool(np.isfinite(ratios).any() and ratios.max() < MISREAD)


def _piece(text: str, form: str, start: int, end: int) -> str:
    """Return what of a form stands under a part of a text; what is more than its end, under its last part.

    >>> _piece("GUCC", "Gucci", 0, 3), _piece("GUCC", "Gucci", 3, 4)
    ('Guc', 'ci')
    """
    out, at, used = "", 0, 0
    for said, right in align(text.lower(), form.lower()):
        if start <= at < end or at == end == len(text):
            out += form[used : used + len(right)]
        at, used = at + len(said), used + len(right)
    return out


def rightly_spelled(match: Match, brand: Brand) -> bool:
    """Say whether what was read is one of the brand's names, as it may be written."""
    reading = POSSESSIVE.sub("", match.reading)
    if any(spelled_as(text, name) for text in (match.reading, reading) for name in names_of(brand)):
        return True
    words = _AND.sub(" ", match.mark)
    if words != match.mark and fold(_LONE.sub(" ", match.reading)) == fold(words):
        return True  # an ornate & is read as a letter by itself
    return not brand.wordmarks and fold(_AND.sub(" ", match.reading)) == fold(words)


def _right_forms(match: Match, brand: Brand) -> list[str]:
    """Return the ways in which the mark may rightly be written, most likely first."""
    forms = spellings(match.mark)
    if not brand.wordmarks:
        forms += [f for with_sign in {_AND.sub("&", match.mark)} for f in spellings(with_sign)]
    if not brand.wordmarks or not cased(match.mark):
        forms += [_in_case_of(match.reading, match.mark)]
    return list(dict.fromkeys(form for f in forms for form in (f, f.replace(" ", ""))))


def _in_case_of(reading: str, name: str) -> str:
    """Return `name` with its letters in the case of the letters of `reading` that they stand under.

    >>> _in_case_of("FeedEx", "fedex")
    'FedEx'
    """
    out, at, upper = "", 0, False
    for said, right in align(reading.lower(), name.lower()):
        upper = reading[at : at + 1].isupper() if said else upper
        at += len(said)
        out += right.upper() if upper else right
    return out


def _stands_free(photo: PhotoContext, part: ocr.Reading, wide: ocr.Reading, readings: Sequence[ocr.Reading]) -> bool:
    """Say whether a line has one letter's room on both sides: inside the picture, plain, of one tone, without other text."""
    x0, y0 = np.min(wide.polygon, axis=0)
    x1, y1 = np.max(wide.polygon, axis=0)
    if x0 < 0 or y0 < 0 or x1 > photo.image.width or y1 > photo.image.height:
        return False
    for other in readings:
        (left, top), (right, bottom) = np.min(other.polygon, axis=0), np.max(other.polygon, axis=0)
        if other is not part and left < x1 and right > x0 and top < y1 and bottom > y0:
            return False
    tone = ocr.crop(photo, wide).mean(axis=2)
    room = max(round(tone.shape[1] / (len(part.text) + 2)), 1)
    before, inside, after = tone[:, :room], tone[:, room:-room], tone[:, -room:]
    contrast = max(_spread(inside), 1.0)
    plain = max(_spread(before), _spread(after)) <= PLAIN_MARGIN * contrast
    return bool(plain and abs(np.median(before) - np.median(after)) <= SAME_GROUND * contrast)


def _beside(part: ocr.Reading, other: ocr.Reading) -> bool:
    """Say whether another piece of the same line follows or goes before, within one height."""
    (x0, y0), (x1, y1) = np.min(part.polygon, axis=0), np.max(part.polygon, axis=0)
    (left, top), (right, bottom) = np.min(other.polygon, axis=0), np.max(other.polygon, axis=0)
    level = min(y1, bottom) - max(y0, top) > 0.5 * min(y1 - y0, bottom - top)
    apart = not x0 < (left + right) / 2 < x1
    return bool(level and apart and left < x1 + part.height and right > x0 - part.height)


def _is_clear(photo: PhotoContext, part: ocr.Reading, end: int) -> bool:
    """Say whether the first (0) or last (-1) letter ends inside its box, with the line's own plain ground beside it."""
    tone = ocr.crop(photo, part).mean(axis=2)
    room = max(round(END_ROOM * tone.shape[1] / max(len(part.text), 1)), 2)
    beside = tone[:, :room] if end == 0 else tone[:, -room:]
    contrast = max(_spread(tone), 1.0)
    ground = np.median(tone[[0, -1]])
    return _spread(beside) <= PLAIN_MARGIN * contrast and abs(np.median(beside) - ground) <= SAME_GROUND * contrast


def _spread(tone: FloatArray) -> float:
    low, high = np.percentile(tone, (3, 97))
    return float(high - low)
