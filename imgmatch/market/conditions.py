"""The condition of goods, as marketplaces and people of many languages call it: new, used, or not known."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["condition_of"]

_LONGEST = 120
_LABEL = re.compile(
    r"^(item |商品の)?(condition|zustand|état|etat|estado|condizion[ei]|stato|staat|stan|stav|skick|состояние|durum"
    r"|成色|新旧|状態|状态|상태)[ :]\s*"
)
_CLAUSE = re.compile(r"[,.;!?()\[\]{}|*\"&+、。\n]|(?<=\s)[-–—](?=\s)|[–—]")


def condition_of(text: str | None) -> str | None:
    """Return ``new``, ``used`` or None where it is not stated or not a word that is known.

    Notes
    -----
    A text is *used* where it holds any phrase for that, since such goods have second-hand prices and need no authorised
    seller; *new* where it holds none and its first clause holds phrases for new goods and nothing else, but for words that
    go with them (``in the original box``): ``New York`` is no condition. The phrases are in ``conditions.toml``.

    Examples
    --------
    >>> condition_of("New with tags"), condition_of("Like new"), condition_of("https://schema.org/NewCondition")
    ('new', 'used', 'new')
    >>> condition_of("New – worn once"), condition_of("purple"), condition_of(" ")
    ('used', None, None)
    """
    plain = _plain(text or "")
    if "used" in _kinds(_folded(plain)):
        return "used"
    first = next(filter(None, map(_folded, _CLAUSE.split(plain))), "")
    kinds = _kinds(first)
    return "new" if "new" in kinds and "" not in kinds else None


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", html.unescape(text[:_LONGEST]))
    text = "".join(" " if unicodedata.category(c) == "So" else c for c in text)  # ★ New ★
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # UsedLikeNew
    text = text.casefold().replace("i\u0307", "i").replace("’", "'").strip()  # what the Turkish İ folds to
    return _LABEL.sub("", re.sub(r"^(https?://(www\.)?schema\.org/|schema:)", "", text))


def _folded(text: str) -> str:
    return re.sub(r"[\s_\-–—.,;:!?()\[\]{}|*\"&+/、。]+", " ", text).strip()


def _kinds(words: str) -> list[str]:
    """Return the kinds of the phrases in `words`, "" for what is none: the longest phrase at each place, of whole words."""
    known, longest = _phrases()
    kinds, at = [], 0
    while at < len(words):
        ends = range(min(len(words), at + longest), at, -1)
        end = next((end for end in ends if words[at:end] in known and _ends_word(words, end)), at)
        kinds.append(known[words[at:end]] if end > at else "")
        at = max(end, at + 1)
        while not _ends_word(words, at):
            at += 1
        at += words[at : at + 1] == " "
    return kinds


def _ends_word(words: str, at: int) -> bool:
    """Tell whether a word ends before position `at`; letters of Chinese, Japanese and Thai are words by themselves."""
    if at >= len(words) or words[at] == " " or words[at - 1] == " ":
        return True
    return any(
        # Thai, and from U+2E80 on what is written without spaces (Unicode, blocks), but not Hangul
        "\u0e00" <= c <= "\u0e7f" or (ord(c) > 0x2E80 and not "\uac00" <= c <= "\ud7a3")
        for c in words[at - 1 : at + 1]
    )


@cache
def _phrases() -> tuple[Mapping[str, str], int]:
    table = tomllib.loads(resources.files("imgmatch.market").joinpath("conditions.toml").read_text("utf-8"))
    known = {
        _folded(_plain(phrase)): kind for kind, many in table.items() for phrases in many.values() for phrase in phrases
    }
    return known, max(map(len, known))
