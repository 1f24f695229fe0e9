"""Find the brands that a listing's own text names, openly or in disguise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgmatch.catalog.items import Brand
from imgmatch.market.wordmarks import HOMOGLYPHS, fold, letters, names, skeleton

__all__ = ["Mention", "NameFinder"]

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_TOKEN = re.compile(r"[^\s,;:()\[\]{}\"“”„«»<>?/]+")
_MASKED = re.compile(r"(?<![\w*])\w+\*[\w*]*\w(?![\w*])")
_RUN = 16
"""Longest row of single letters that is tried as one name."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A brand named in a text.

    Parameters
    ----------
    brand, mark : str
        The brand's id, and the wordmark or alias that is named.
    raw : str
        What stands there.
    disguise : str or None
        How the name is disguised, in plain words; None where it is written openly.
    everyday : bool
        The name is also an ordinary word.
    """

    brand: str
    mark: str
    raw: str
    disguise: str | None = None
    everyday: bool = False


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
        self._names: dict[str, tuple[str, str]] = {}  # fold -> (brand, mark)
        self._skeletons: dict[str, tuple[str, str]] = {}
        self._unspaced: dict[str, tuple[str, str]] = {}
        self._nicknames: dict[str, tuple[str, str]] = {}
        for brand in brands.values():
            for mark in names(brand):
                entry = (brand.brand, mark)
                if is_unspaced(mark):
                    self._unspaced[_plain(mark).casefold()] = entry
                elif fold(mark):
                    self._names.setdefault(fold(mark), entry)
                    self._skeletons.setdefault(skeleton(mark), entry)
        ids = {fold(b.brand): b.brand for b in brands.values()}
        for name, words in (nicknames or {}).items():
            brand_id = ids.get(fold(name)) or self._names.get(fold(name), ("", ""))[0]
            if brand_id:
                self._nicknames.update({_plain(w).casefold(): (brand_id, name) for w in words})
        self._words = max((len(mark.split()) for _, mark in self._names.values()), default=1)

    def find(self, text: str) -> list[Mention]:
        """Return each brand that `text` names, once openly and once in disguise at most, in order of appearance."""
        found: dict[tuple[str, bool], tuple[int, Mention]] = {}
        for at, mention in sorted(self._all(text), key=lambda pair: (pair[0], -len(pair[1].raw))):
            found.setdefault((mention.brand, mention.disguise is not None), (at, mention))
        return [mention for _, mention in found.values()]

    def _all(self, text: str) -> Iterator[tuple[int, Mention]]:
        plain = _plain(text).casefold()
        for word, (brand, name) in self._nicknames.items():
            if (at := plain.find(word)) >= 0:
                yield at, Mention(brand, name, word, "a nickname stands for the name")
        for alias, (brand, mark) in self._unspaced.items():
            if (at := plain.find(alias)) >= 0:
                yield at, Mention(brand, mark, mark)
        for at, raw in _windows(text, max(self._words, 2)):
            mention = self._named(raw)
            if mention is not None:
                yield at, mention
        for masked in _MASKED.finditer(text):
            if self._named(masked[0]) is None:
                yield from ((masked.start(), m) for m in self._unmasked(masked[0]))

    def _named(self, raw: str) -> Mention | None:
        folded = fold(raw)
        hit = self._names.get(folded) or self._skeletons.get(skeleton(raw))
        if hit is None:
            return None
        brand, mark = hit
        everyday = fold(mark) in self._everyday
        how = _disguise(raw, mark)
        # LV is a brand, lv a unit; and a word that only looks like a short or ordinary name is left alone.
        if how is None and len(folded) <= 3 and letters(raw) != letters(mark):
            return None
        if how is None and re.search(r"\s", raw) and _breaks(raw) - _breaks(mark):
            return None  # two short words that happen to make a name (DI OR)
        if how is not None and (everyday or (len(folded) <= 3 and not re.search(r"\w[*|_~•·]+\w", raw))):
            return None
        return Mention(brand, mark, raw, how, everyday)

    def _unmasked(self, raw: str) -> Iterator[Mention]:
        # Each star may stand for one letter; a run of stars for as many, or for a few more or fewer.
        parts = re.split(r"(\*+)", raw)
        pattern = "".join(rf"\w{{1,{len(p) + 2}}}" if p.startswith("*") else re.escape(fold(p)) for p in parts)
        for folded, (brand, mark) in self._names.items():
            if len(folded) >= 4 and len(fold(raw)) >= 2 and re.fullmatch(pattern, folded):
                yield Mention(brand, mark, raw, "letters are masked")


def is_unspaced(text: str) -> bool:
    """Say whether `text` has letters of a script without spaces between words, or with glued particles (Korean)."""
    return any("\u0e00" <= c <= "\u0e7f" or "\u1100" <= c <= "\u11ff" or "\u3040" <= c <= "\ud7a3" for c in text)


def _windows(text: str, words: int) -> Iterator[tuple[int, str]]:
    """Yield every stretch of up to `words` tokens, and every row of single letters."""
    tokens = list(_TOKEN.finditer(text))
    single = [len(letters(t[0])) <= 1 for t in tokens]
    for i in range(len(tokens)):
        limit = _RUN if single[i] else words
        for n in range(min(limit, len(tokens) - i), 0, -1):
            if n <= words or all(single[i : i + n]):
                yield tokens[i].start(), text[tokens[i].start() : tokens[i + n - 1].end()].strip(".!'’_-#@")


def _disguise(raw: str, mark: str) -> str | None:
    """Say how `raw`, which comes down to `mark`, differs from open writing; None where it does not."""
    if _INVISIBLE.search(raw):
        return "invisible characters stand between the letters"
    # Full-width Latin is ordinary in Japanese text.
    if any(_plain(c) != c and _plain(c).isalnum() and not "！" <= c <= "～" for c in raw):
        return "styled letters stand in for plain ones"
    if any(ord(c) in HOMOGLYPHS and c not in mark and unicodedata.normalize("NFKD", c)[0] == c for c in raw):
        return "letters of another script stand in for Latin ones"
    if fold(raw) != fold(mark):
        return "signs stand in for letters"
    apart, allowed = _breaks(raw), _breaks(mark) | {0}
    if apart <= allowed:
        return None
    if len(letters(raw)) <= 3 and letters(raw).isupper() and not re.search(r"[^\w.&\s]", raw):
        return None  # Y.S.L. is how abbreviations are written
    if len(letters(raw)) <= 4 and re.search(r"\w\s+\w", raw) and max(map(len, raw.split())) > 1:
        return None
    return "letters are set apart"


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


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
