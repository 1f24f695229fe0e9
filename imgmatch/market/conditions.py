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
    r"^(item )?(condition|zustand|état|etat|estado|condizioni|stato|staat|stan|stav|skick|состояние|durum|成色|状態|상태) "
)


def condition_of(text: str | None) -> str | None:
    """Return ``new``, ``used`` or None where it is not stated or not a word that is known.

    Notes
    -----
    A text is *used* where it holds any phrase for that, since such goods have second-hand prices and need no authorised
    seller; *new* where it begins with a phrase for that and holds none for used. The phrases are in ``conditions.toml``.

    Examples
    --------
    >>> condition_of("New with tags"), condition_of("Like new"), condition_of("https://schema.org/NewCondition")
    ('new', 'used', 'new')
    >>> condition_of("New – worn once"), condition_of("purple"), condition_of(" ")
    ('used', None, None)
    """
    words = _folded(text or "")
    if not words:
        return None
    found = _phrases_in(words)
    if any(kind == "used" for _, kind in found):
        return "used"
    return "new" if found and found[0] == (0, "new") else None


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", html.unescape(text[:_LONGEST]))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # UsedLikeNew
    text = text.casefold().replace("i\u0307", "i")  # what the Turkish İ folds to
    text = (
        re.sub(r"^(https?://(www\.)?schema\.org/|schema:)", "", text.strip()).rstrip("/").replace("'", "'").replace("’", "'")
    )
    text = re.sub(r"[\s_\-–—.,;:!()\[\]{}|*\"&+]+", " ", text).strip()
    return _LABEL.sub("", text)


def _phrases_in(words: str) -> list[tuple[int, str]]:
    """Return where phrases stand, and their kind; the longest one at each place, in scripts with blanks at whole words."""
    known, longest = _phrases()
    found, at = [], 0
    while at < len(words):
        step = 1
        for end in range(min(len(words), at + longest), at, -1):
            kind = known.get(words[at:end])
            if kind is not None and _ends_word(words, end):
                found.append((at, kind))
                step = end - at
                break
        at += step
        while 0 < at < len(words) and not _ends_word(words, at):
            at += 1
        if at < len(words) and words[at] == " ":
            at += 1
    return found


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
    known = {_folded(phrase): kind for kind in ("new", "used") for many in table[kind].values() for phrase in many}
    return known, max(map(len, known))
