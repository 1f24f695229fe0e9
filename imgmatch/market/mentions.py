"""Find the brands that a listing's own text names, openly or in disguise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from imgmatch.catalog.items import Brand
from imgmatch.market.wordmarks import LONGEST, is_listed, names_of
from imgmatch.messages import Message
from imgmatch.names import (
    APOSTROPHES,
    HOMOGLYPHS,
    INVISIBLE,
    POSSESSIVE,
    UNSPACED,
    Stretches,
    beginning,
    fold,
    folds,
    letters,
    skeleton,
    skeletons,
)

__all__ = ["Mention", "NameFinder"]

_BETWEEN = r"\s\-‐‑–—_.+·•~,;:()\[\]{}\"“”„«»<>?/、。・，；：？【】「」『』《》〈〉"
# Latin letters beside Chinese, Japanese or Korean ones are a word of their own (GUCCI包), and so is a possessive's s.
_TOKEN = re.compile(
    rf"{UNSPACED.pattern}+|{POSSESSIVE.pattern}|(?:(?!{UNSPACED.pattern}|{POSSESSIVE.pattern})[^{_BETWEEN}])+"
)
_EDGES = ".!_-#@" + APOSTROPHES
_AND = ("and", "und", "et", "e", "y")
_PARTICLES = frozenset(("da", "de", "del", "der", "di", "du", "el", "la", "le", "les", "lo", "los", "mac", "mc", "van"))
_MASKED = re.compile(r"(?<![\w*])\w+\*[\w*]*\w(?![\w*])")


@dataclass(frozen=True, slots=True)
class Mention:
    """A brand named in a text.

    Parameters
    ----------
    brand, mark : str
        The brand's id, and the wordmark or alias that is named.
    raw : str
        What stands there.
    disguise : Message or None
        How the name is disguised, in plain words; None where it is written openly.
    everyday : bool
        The name is also an ordinary word.
    """

    brand: str
    mark: str
    raw: str
    disguise: Message | None = None
    everyday: bool = False


class _Name(NamedTuple):
    brand: str
    mark: str
    listed: bool
    breaks: frozenset[int]  # after how many letters any of its spellings has something between letters


class NameFinder:
    """All names of all brands, ready to be looked for in texts.

    Parameters
    ----------
    brands : mapping of str to Brand
    everyday : iterable of str
        Words of ordinary language.
    nicknames : mapping of str to iterable of str
        A brand's id or one of its names, to the words that stand for it where its name is filtered.
    """

    def __init__(
        self, brands: Mapping[str, Brand], everyday: Iterable[str] = (), nicknames: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self._everyday = frozenset(map(fold, everyday))
        self._names: dict[str, _Name] = {}
        self._skeletons: dict[str, _Name] = {}
        self._glued: dict[str, Mention] = {}
        for brand in brands.values():
            known = names_of(brand)
            spelled = [*known, brand.name or brand.brand]
            known += [mark.replace("&", f" {word} ") for mark in known if "&" in mark for word in _AND]
            for mark in known:
                if len(fold(mark)) > LONGEST:
                    continue
                if UNSPACED.search(mark):
                    self._glued[_plain(mark)] = Mention(brand.brand, mark, mark)
                elif fold(mark):
                    same = [mark, *(s for s in spelled if fold(s) == fold(mark))]
                    name = _Name(brand.brand, mark, is_listed(brand, mark), frozenset().union(*map(_breaks, same)))
                    self._names.setdefault(fold(mark), name)
                    self._skeletons.setdefault(skeleton(mark), name)
        ids = {fold(b.brand): b.brand for b in brands.values()}
        for called, words in (nicknames or {}).items():
            hit = self._names.get(fold(called))
            brand_id = ids.get(fold(called)) or (hit.brand if hit else None)
            if brand_id:
                how = Message("a nickname in place of the name")
                self._glued.update({_plain(word): Mention(brand_id, called, word, how) for word in words})
        self._words = max(2, *(len(_TOKEN.findall(n.mark)) for n in self._names.values()), 0)
        self._stretches = Stretches(self._names), Stretches(self._skeletons)
        self._lengths = sorted({len(word) for word in self._glued})
        self._first = (
            re.compile(f"[{re.escape(''.join(sorted({word[0] for word in self._glued})))}]") if self._glued else None
        )
        self._ends: dict[str, list[str]] = {}  # a name's first and last letter, to the names that have them
        for folded in self._names:
            if len(folded) >= 4:
                self._ends.setdefault(folded[0] + folded[-1], []).append(folded)

    def find(self, text: str) -> list[Mention]:
        """Return each brand that `text` names, once openly and once in disguise at most, in order of appearance.

        Notes
        -----
        Linear in the length of the text, of which the `beginning` is read.
        """
        source = beginning(text)
        found: dict[tuple[str, bool], Mention] = {}
        judged: dict[tuple[str, _Name | Mention], Mention | None] = {}
        named = 0  # where what is named so far ends: a name inside a longer one is not named (Max Mara, Max)
        places: list[tuple[int, str, _Name | Mention]] = [
            *self._in_words(source),
            *self._glued_in(source),
            *self._masked(source),
        ]
        for at, raw, what in sorted(places, key=lambda place: (place[0], -len(place[1]))):
            if (raw, what) not in judged:
                judged[raw, what] = self._judge(raw, what) if isinstance(what, _Name) else what
            mention = judged[raw, what]
            if mention is not None and at + len(raw) > named:
                named = at + len(raw)
                found.setdefault((mention.brand, mention.disguise is not None), mention)
        return list(found.values())

    def _in_words(self, text: str) -> Iterator[tuple[int, str, _Name]]:
        tokens = list(_TOKEN.finditer(text))
        words = list({t[0] for t in tokens})
        bare = [word.strip(_EDGES) for word in words]
        for view, known, stretches in zip((folds, skeletons), (self._names, self._skeletons), self._stretches, strict=True):
            views = dict(zip(words, view(bare), strict=True)) if words else {}
            kept = [(t, views[t[0]]) for t in tokens if views[t[0]]]
            for i, j, key in stretches.find([part for _, part in kept]):
                start, end = kept[i][0].start(), kept[j - 1][0].end()
                raw = text[start:end].strip(_EDGES)
                start = text.index(raw, start)
                # As many words as a name has; more only where they are single letters, or where no blank is between them.
                if j - i <= self._words or len(raw.split()) == 1 or all(len(part) == 1 for _, part in kept[i:j]):
                    yield start, raw, known[key]

    def _glued_in(self, text: str) -> Iterator[tuple[int, str, Mention]]:
        plain = _plain(text)
        starts = [first.start() for first in self._first.finditer(plain)] if self._first else []
        spans = _spans(text) if starts else []
        for start in starts:
            for length in self._lengths:
                word = plain[start : start + length]
                if word in self._glued:
                    at, end = spans[start][0], spans[start + len(word) - 1][1]
                    yield at, text[at:end], self._glued[word]

    def _masked(self, text: str) -> Iterator[tuple[int, str, Mention]]:
        for masked in _MASKED.finditer(text):
            # Each star may stand for one letter; a run of stars for as many, or for a few more or fewer.
            parts = [part if part.startswith("*") else fold(part) for part in re.split(r"(\*+)", masked[0])]
            if sum(len(part) for part in parts[::2]) >= 2:
                for folded in self._ends.get(parts[0][:1] + parts[-1][-1:], ()):
                    if folded.startswith(parts[0]) and folded.endswith(parts[-1]) and _fits(folded, parts):
                        name = self._names[folded]
                        yield masked.start(), masked[0], Mention(name.brand, name.mark, masked[0], Message("masked letters"))

    def _judge(self, raw: str, name: _Name) -> Mention | None:
        mark, short = letters(name.mark), len(fold(name.mark)) <= 3
        how = _disguise(raw, name)
        if how is None:
            # LV is a brand, lv a unit. Where nobody listed how the name is written, capitals will do.
            if short and letters(raw) != mark and (name.listed or letters(raw) != mark.upper()):
                return None
            if re.search(r"\s", raw) and _breaks(raw) - name.breaks and not _two_words(raw, name):
                return None  # two short words that happen to make a name (DI OR)
        everyday = fold(name.mark) in self._everyday
        if how is not None and (everyday or (short and not re.search(r"\w[*|_~•·]+\w", raw))):
            return None  # a word that only looks like a short or an ordinary name is left alone
        return Mention(name.brand, name.mark, raw, how, everyday)


def _fits(name: str, parts: list[str]) -> bool:
    """Say whether a masked word may be `name`; `parts` are letters and runs of stars in turn."""
    ends = {len(parts[0])}
    for stars, known in zip(parts[1::2], parts[2::2], strict=True):
        ends = {
            end + gap + len(known) for end in ends for gap in range(1, len(stars) + 3) if name.startswith(known, end + gap)
        }
        ends = {end for end in ends if end <= len(name)}
    return len(name) in ends


def _disguise(raw: str, name: _Name) -> Message | None:
    """Say how `raw`, which comes down to the name, differs from open writing; None where it does not."""
    if INVISIBLE.search(raw):
        return Message("invisible characters between the letters")
    # Full-width Latin is ordinary in Japanese text.
    if any(_plain(c) != c.casefold() and _plain(c).isalnum() and not "！" <= c <= "～" for c in raw):
        return Message("styled letters in place of plain ones")
    if any(ord(c) in HOMOGLYPHS and c not in name.mark and unicodedata.normalize("NFKD", c)[0] == c for c in raw):
        return Message("letters of another script in place of Latin ones")
    if fold(raw) != fold(name.mark):
        return Message("signs in place of letters")
    if _breaks(raw) <= name.breaks or _one_apostrophe(raw) or _two_words(raw, name):
        return None
    if len(letters(raw)) <= 3 and letters(raw).isupper() and not re.search(r"[^\w.&\s]", raw):
        return None  # Y.S.L. is how abbreviations are written
    if len(letters(raw)) <= 4 and re.search(r"\w\s+\w", raw) and max(map(len, raw.split())) > 1:
        return None
    return Message("letters set apart")


def _one_apostrophe(raw: str) -> bool:
    """Say whether nothing but one apostrophe stands between the letters: L'Ondara is a spelling of Londara."""
    inner = [c for c in raw if not c.isalnum() and not unicodedata.combining(c)]
    return len(inner) == 1 and inner[0] in APOSTROPHES


def _two_words(raw: str, name: _Name) -> bool:
    """Say whether `raw` is a one-word name as people write it in two: Mont Blanc, La Coste, a folder's louisvuitton.

    Guc ci and Cha nel are not: what hides a name leaves pieces that are too short for a word.
    """
    parts = [letters(word).casefold() for word in re.split(r"[\s\-‐‑–]+", raw)]
    least = 4 if name.listed else 3
    return len(parts) == 2 and len(parts[1]) >= least and (len(parts[0]) >= least or parts[0] in _PARTICLES)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spans(text: str) -> list[tuple[int, int]]:
    """Return for each character of ``_plain(text)`` which part of `text` it is made of: ﾊﾞ makes one, … makes three."""
    spans: list[tuple[int, int]] = []
    start, part, made = 0, "", ""
    for at, c in enumerate(text):
        whole, alone = (unicodedata.normalize("NFKC", s) for s in (part + c, c))
        if unicodedata.combining(alone[0]) or whole != made + alone:
            part, made = part + c, whole
        else:
            spans += [(start, at)] * len(made.casefold())
            start, part, made = at, c, alone
    return spans + [(start, len(text))] * len(made.casefold())


def _breaks(text: str) -> set[int]:
    """Return after how many letters something stands between letters."""
    out, count, gap = set(), 0, False
    for c in text:
        if c.isalnum():
            if gap and count:
                out.add(count)
            count, gap = count + 1, False
        elif not unicodedata.combining(c):
            gap = True
    return out
