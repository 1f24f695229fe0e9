"""Compare what was read with brands' wordmarks: open-set, with a null, tolerant of OCR and of disguise.

A reading claims a brand when its letters would hardly meet one of the catalog's marks by chance (:func:`chance_hits`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import OSA, Levenshtein

from imgmatch.catalog.items import Brand
from imgmatch.names import UNSPACED, fold, letters, skeleton
from imgmatch.vision.ocr import Reading

__all__ = [
    "CHANCE",
    "LONGEST",
    "Line",
    "Match",
    "WordmarkMatcher",
    "align",
    "cased",
    "chance_hits",
    "edits_allowed",
    "is_listed",
    "lines",
    "names_of",
    "spelled_as",
    "spellings",
]


CHANCE = 0.1
"""A reading is of a mark where fewer matches as good as this are expected by chance."""

FREQUENCY = {
    **dict(zip("abcdefghijklm", (82, 15, 28, 43, 127, 22, 20, 61, 70, 1.5, 7.7, 40, 24), strict=True)),
    **dict(zip("nopqrstuvwxyz", (67, 75, 19, 0.95, 60, 63, 91, 28, 9.8, 24, 1.5, 20, 0.74), strict=True)),
}
"""Occurrences of each letter per thousand of English text (Lewand, *Cryptological Mathematics*, 2000, p. 36)."""

SAME_SHAPE = frozenset("cosuvwxzkpy")
"""Letters whose capital is the small letter enlarged: OCR cannot tell their case from one word alone."""


def spelled_as(text: str, mark: str) -> bool:
    """Say whether `text` is `mark` to the letter: accents may be missing but not added, spaces and punctuation do not count.

    Nor does case, unless the mark is listed with capitals inside its words (FedEx): then it is right in that case, all
    capitals, all small or capitalised.
    """
    view = _shape if cased(mark) else _small
    return view(text) in {view(form) for form in spellings(mark)}


def cased(mark: str) -> bool:
    """Say whether a mark is listed with capitals inside a word; FEDEX, fedex and Fedex are not, and may be written FedEx."""
    return mark != mark.upper() and any(a.isalpha() and b.isupper() for a, b in pairwise(mark))


def spellings(mark: str) -> list[str]:
    """Return the ways in which the mark may rightly be written, most likely first."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", mark) if not unicodedata.combining(c))
    forms = [form for m in (mark, bare) for form in (m, m.upper(), m.lower(), m.title(), m.capitalize())]
    return list(dict.fromkeys(forms))


def _small(text: str) -> str:
    return letters(text).casefold()


def _shape(text: str) -> str:
    return "".join(c.lower() if c.lower() in SAME_SHAPE else c for c in letters(text))


def chance_hits(mark: str, distance: int, tests: float) -> float:
    """Return how many of `tests` random words would come as near to `mark`.

    Parameters
    ----------
    mark : str
        As `skeleton` gives it (the part that was matched).
    distance : int
        Edits between reading and mark.
    tests : float
        Words read times marks in the catalog.

    Notes
    -----
    Letters are drawn independently with their :data:`FREQUENCY`; `distance` of the L letters, in any of
    ``C(L, distance)`` places, are free. Independence flatters words made of common syllables, which is why everyday
    words have a list of their own. Signs outside a-z count as 1 in 100.
    """
    group = {c: sum(FREQUENCY.get(o, 0.0) for o in "il" if c == "l") or FREQUENCY.get(c, 10.0) for c in set(mark)}
    log_p = sum(math.log(group[c] / 1000) for c in mark)
    kept = max(len(mark) - distance, 0)
    return tests * math.comb(len(mark), min(distance, len(mark))) * math.exp(log_p * kept / max(len(mark), 1))


def align(reading: str, reference: str) -> list[tuple[str, str]]:
    """Align two strings letter by letter; "" stands for a letter that one side lacks.

    >>> align("PUMBA", "PUMA")
    [('P', 'P'), ('U', 'U'), ('M', 'M'), ('B', ''), ('A', 'A')]
    """
    out: list[tuple[str, str]] = []
    for op in Levenshtein.opcodes(reading, reference):
        a, b = reading[op.src_start : op.src_end], reference[op.dest_start : op.dest_end]
        out += [(a[i : i + 1], b[i : i + 1]) for i in range(max(len(a), len(b)))]
    return out


@dataclass(frozen=True, slots=True)
class Line:
    """A reading, or two that stand beside or below each other and may be one mark (GUC | CI, MICHAEL / KORS)."""

    parts: tuple[Reading, ...]

    @property
    def text(self) -> str:
        return " ".join(p.text for p in self.parts)

    @property
    def confidence(self) -> float:
        return min(p.confidence for p in self.parts)


def names_of(brand: Brand) -> list[str]:
    """Return the brand's wordmarks and aliases, and its name (its id, where it has none) unless they have it."""
    listed = dict.fromkeys((*brand.wordmarks, *brand.aliases))
    name = brand.name or brand.brand
    return [*listed, *([] if fold(name) in map(fold, listed) else [name])]


LONGEST = 64
"""Letters of the longest name that is looked for, so that a catalog's names cost what they should: the longest of
``benchmarks/labels/brands.csv`` has 18."""


def is_listed(brand: Brand, name: str) -> bool:
    """Say whether the catalog lists how `name` is written, or `name` is but what the brand is called."""
    return name in brand.wordmarks or name in brand.aliases


def lines(readings: Sequence[Reading]) -> list[Line]:
    """Return every reading, then every pair of neighbours of about the same height, in reading order."""
    return [Line((r,)) for r in readings] + [
        Line((a, b)) for a in readings for b in readings if a is not b and _follows(a, b)
    ]


def _follows(a: Reading, b: Reading) -> bool:
    h = a.height
    if not (h > 0 and 0.6 < b.height / h < 1.6) or a.mirrored or b.mirrored:
        return False
    (x0, y0), (x1, y1) = a.polygon[0], a.polygon[1]
    length = math.dist((x0, y0), (x1, y1)) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    start, end = (((x - x0) * ux + (y - y0) * uy, (y - y0) * ux - (x - x0) * uy) for x, y in b.polygon[:2])
    beside = -0.5 * h <= start[0] - length <= 2 * h and abs(start[1]) < 0.5 * h
    shared = min(length, end[0]) - max(0.0, start[0])
    below = 0.7 * h <= start[1] <= 2.5 * h and shared > 0.5 * min(length, end[0] - start[0])
    return beside or below


@dataclass(frozen=True, slots=True)
class Match:
    """A line compared with the mark it is nearest to.

    Parameters
    ----------
    brand, mark : str
        The brand's id, and the wordmark or alias as the catalog has it.
    line : Line
    reading : str
        The words of the line that were compared with the mark.
    kind : str
        ``exact`` (up to case, accents and look-alike signs), ``partial`` (one end is cut off) or ``near``.
    distance : int
        Edits between the skeletons; 0 unless ``near``.
    chance : float
        Expected number of matches as good by chance, see `chance_hits`.
    whole : bool
        The line says nothing else.
    everyday : bool
        The mark is also an ordinary word.
    """

    brand: str
    mark: str
    line: Line
    reading: str
    kind: str
    distance: int
    chance: float
    whole: bool
    everyday: bool


class WordmarkMatcher:
    """All brands' wordmarks and aliases, ready to be compared with readings.

    Parameters
    ----------
    brands : mapping of str to Brand
        A brand without wordmarks is known by its name, or its id.
    everyday : iterable of str
        Marks that are ordinary words, and ordinary words that a misspelt mark must not be taken for.
    """

    def __init__(self, brands: Mapping[str, Brand], everyday: Iterable[str] = ()) -> None:
        self._everyday = frozenset(map(fold, everyday))
        self._marks: dict[str, list[tuple[str, str]]] = {}  # skeleton -> (brand, mark)
        self._unspaced: dict[str, list[tuple[str, str]]] = {}  # the same, in scripts without spaces between words
        for brand in brands.values():
            for mark in names_of(brand):
                bare = skeleton(mark)
                known = self._marks if bare.isascii() else self._unspaced if UNSPACED.search(bare) else {}
                if 2 <= len(bare) <= LONGEST:
                    known.setdefault(bare, []).append((brand.brand, mark))
        self._longest = max((len(_WORD.findall(m)) for entries in self._marks.values() for _, m in entries), default=1)

    def __len__(self) -> int:
        return len(self._marks) + len(self._unspaced)

    def match(self, readings: Sequence[Reading]) -> list[Match]:
        """Return, for each line, the nearest mark where there is one, nearest first.

        Notes
        -----
        O(words x marks) of rapidfuzz's bit-parallel distances.
        """
        all_lines = lines(readings)
        windows = [(line, words, whole) for line in all_lines for words, whole in self._windows(line)]
        found: dict[tuple[int, ...], Match] = {}
        for line, words, whole in windows:
            tests = (len(all_lines) if whole else len(windows)) * len(self)
            match = self._nearest(line, words, whole, tests)
            if match is not None:
                _keep_nearer(found, match)
        for match in (match for reading in readings for match in self._glued(reading)):
            _keep_nearer(found, match)
        return sorted(found.values(), key=_rank)

    def _glued(self, reading: Reading) -> Iterator[Match]:
        """Find names in scripts without spaces between words anywhere in a line, to the letter: one sign is a syllable."""
        text = skeleton(reading.text)
        for bare, entries in self._unspaced.items():
            chance = chance_hits(bare, 0, len(text) * len(self))
            for brand, mark in entries if bare in text else ():
                yield Match(
                    brand,
                    mark,
                    line=Line((reading,)),
                    reading=mark,
                    kind="exact",
                    distance=0,
                    chance=chance,
                    whole=text == bare,
                    everyday=fold(mark) in self._everyday,
                )

    def akin(self, text: str) -> list[tuple[str, str]]:
        """Return (brand, mark) of the marks that an unsure reading may be of.

        Of four letters or more half must be right; of three all, with one more before or behind them, which may be a figure
        that stands there.
        """
        found = skeleton(text)

        def may_be(mark: str) -> bool:
            if len(mark) >= HALVED:
                return OSA.distance(found, mark, score_cutoff=len(mark) // 2) <= len(mark) // 2
            return len(mark) == HALVED - 1 and found in (found[:1] + mark, mark + found[-1:])

        known = [entry for mark, entries in self._marks.items() if may_be(mark) for entry in entries]
        return [(brand, mark) for brand, mark in known if fold(mark) not in self._everyday]

    def _windows(self, line: Line) -> Iterator[tuple[str, bool]]:
        words = _WORD.findall(line.text)
        yield line.text, True
        if len(line.parts) > 1:  # a pair is only worth its whole; its parts are lines of their own
            return
        for size in range(1, min(self._longest, len(words) - 1) + 1):
            for start in range(len(words) - size + 1):
                yield " ".join(words[start : start + size]), False

    def _nearest(self, line: Line, words: str, whole: bool, tests: float) -> Match | None:
        found = skeleton(words)
        if len(found) < 2 or not any(c.isalpha() for c in fold(words)):
            return None
        best: Match | None = None
        for mark, entries in self._marks.items():
            kind, distance, part = _compare(found, mark)
            if kind is None or (kind == "partial" and not whole):  # TIMES COMPANY is no cut-off C.P. COMPANY
                continue
            for brand, text in entries:
                everyday = fold(text) in self._everyday
                if kind == "near" and everyday and OSA.distance(found, mark) > edits_allowed(mark):
                    continue
                if kind != "exact" and (fold(words) in self._everyday or (everyday and _inflected(found, mark))):
                    continue
                many = tests * (2 * len(mark) if kind == "partial" else 1)
                match = Match(
                    brand,
                    text,
                    line=line,
                    reading=words,
                    kind=kind,
                    distance=distance,
                    chance=chance_hits(part, distance, many),
                    whole=whole,
                    everyday=everyday,
                )
                if best is None or _rank(match) < _rank(best):
                    best = match
        return best


def _keep_nearer(found: dict[tuple[int, ...], Match], match: Match) -> None:
    key = tuple(id(p) for p in match.line.parts)
    if key not in found or _rank(match) < _rank(found[key]):
        found[key] = match


def _compare(found: str, mark: str) -> tuple[str | None, int, str]:
    """Return how a skeleton relates to a mark's: kind, edits, and the part of the mark that was met."""
    if found == mark:
        return "exact", 0, mark
    if mark.startswith(found) or mark.endswith(found):
        enough = len(found) >= max(PARTIAL, len(mark) / 2) or len(found) == len(mark) - 1 >= PARTIAL - 1
        return ("partial", 0, found) if enough else (None, 0, "")
    allowed = edits_allowed(mark)
    if allowed and abs(len(found) - len(mark)) <= allowed:
        distance = OSA.distance(found, mark, score_cutoff=allowed + 1)
        if 1 < distance <= allowed + 1 and len(found) == len(mark):  # b, d, p and q are one letter turned over
            distance = OSA.distance(found.translate(_TURNED), mark.translate(_TURNED))
        if distance > allowed and len(mark) >= ANAGRAM and sorted(found) == sorted(mark) and found[0] == mark[0]:
            distance = allowed  # SUNSAMG
        if distance <= allowed:
            return "near", max(distance, 1), mark
    return None, 0, ""


_TURNED = str.maketrans("dpq", "bbb")

ANAGRAM = 6
"""Letters from which another order of them all, first in place, is near a mark. A guess: shorter anagrams are words."""


_WORD = re.compile(r"[^\s./:@|_]+")

HALVED = 4
"""Letters of a mark from which an unsure reading that has half of them may be of it, since the pixels decide: of 569 photos
of ``benchmarks/marks_real.py``, dev, one more is named (Ford, read as "ird"), and nothing wrongly."""

PARTIAL = 5
"""Letters, and at least half of them all, that must be left of a mark whose end is cut off: IOR alone is not DIOR. One
letter fewer where that is all but one: GUCC, OLEX."""


def edits_allowed(mark: str) -> int:
    """Return how many edits (insert, delete, replace, swap neighbours) a reading may be from a mark to be near it.

    None for three letters or fewer, where any two abbreviations are near; 1 up to five, 2 up to nine, 3 beyond.
    """
    return 0 if len(mark) <= 3 else 1 if len(mark) <= 5 else 2 if len(mark) <= 9 else 3


def _rank(match: Match) -> tuple[float, ...]:
    # What chance explains least comes first: HUOG BOSS is nearer to HUGO BOSS than it holds BOSS.
    return (match.chance, ("exact", "partial", "near").index(match.kind))


def _inflected(found: str, word: str) -> bool:
    """Say whether `found` may be a form of the ordinary word `word`: coaches, guessed, supremely."""
    stem = word[:-1] if len(word) > 4 else word
    return found.startswith(stem) and len(found) - len(stem) <= 4 and found != word
