"""One way to compare names: what is written, what it stands for, and what it may be mistaken for.

Views of a text, from strict to lenient:

* :func:`written` is the text as its writer meant it: HTML entities resolved, trade-mark signs gone.
* :func:`letters` keeps letters and digits after NFKC: what is literally written.
* :func:`fold` also drops accents and case, and turns letters of other scripts that look Latin into Latin (Cyrillic ``а``).
  Two spellings with one fold are one name, however they write apostrophes, hyphens, blanks and accents.
* :func:`skeleton` also unites what OCR, and people who disguise a name, take for one another (``0`` and ``o``).

All of them take time linear in the length of the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from imgmatch.messages import Message

__all__ = [
    "APOSTROPHES",
    "HOMOGLYPHS",
    "INVISIBLE",
    "POSSESSIVE",
    "READ_LIMIT",
    "UNSPACED",
    "Stretches",
    "beginning",
    "fold",
    "folds",
    "letters",
    "name_key",
    "read_in_part",
    "skeleton",
    "skeletons",
    "spelled",
    "without_accents",
    "written",
]

READ_LIMIT = 10_000
"""Characters of one text that are read. A guess: twice the longest description that we have seen, and short enough for each
reader to take at most some 25 ms of processor time over the worst text that we could think of."""

UNSPACED = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\ud7a3]")
"""A letter of a script without spaces between words, or with glued particles (Korean)."""

APOSTROPHES = "'’‘‛′`´＇"

POSSESSIVE = re.compile(rf"[{APOSTROPHES}][sS](?!(?!{UNSPACED.pattern})\w)")

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")

# Also those that are written without their semicolon, and that no query string has: &eacute, &amp, &#39.
_ENTITY = re.compile(
    r"&(?:#\d{1,7};?|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};"
    r"|[A-Za-z]{1,2}(?:acute|grave|circ|uml|tilde|cedil|ring|slash|lig)|amp(?![a-z=]))"
)
_TRADE_MARK = re.compile(r"[™℠®©℗\U0001f12c\U0001f16a-\U0001f16c]|\((?:tm|sm|r|c)\)", re.IGNORECASE)
_LETTER_APOSTROPHES = dict.fromkeys(map(ord, "ʹʻʼʽˈ"), "'")  # modifier letters, to Unicode
# Normalising sorts each run of combining marks by insertion: 20,000 in a row take a second. Thirty is what UAX #15,
# section 13 ("Stream-Safe Text Format"), lets stand; no language needs more.
_MARKS_IN_A_ROW = re.compile(r"([^\w\s\x00-\x7f]{30})[^\w\s\x00-\x7f]+")


def _pairs(text: str) -> dict[int, str]:
    return {ord(pair[0]): pair[1] for pair in text.split()}


HOMOGLYPHS = _pairs(
    "Аa Вb Еe Кk Мm Нh Оo Рp Сc Тt Уy Хx Іi Јj Ѕs Ԛq Ԝw аa вb еe кk мm нh оo рp сc тt уy хx іi јj ѕs ԁd ԛq ԝw һh ӏl "
    "Αa Βb Εe Ζz Ηh Ιi Κk Μm Νn Οo Ρp Τt Υy Χx αa βb εe ικ ιi κk νv οo ρp τt υu χx "
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz ıi øo Øo łl Łl đd Đd ɡg ɑa"
)
"""Letters drawn like a Latin letter: a selection of https://www.unicode.org/Public/security/latest/confusables.txt."""

_LOOKALIKES = _pairs("0o 1l il |l !l 3e 4a @a 5s $s 7t 8b 2z €e £l")
"""One representative for each group of signs that stand in for one another, in OCR errors and in written disguise."""


def written(text: str) -> str:
    """Return `text` with HTML entities resolved, also doubly coded ones, and trade-mark signs as blanks.

    Letters that serve as apostrophes become apostrophes.

    >>> written("L&#39;Ondara&trade; tote"), written("Charell&amp;eacute;"), written("D&G, H&M")
    ("L'Ondara  tote", 'Charellé', 'D&G, H&M')
    """
    for _ in range(2):
        if "&" in text:
            text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if text.isascii() and "(" not in text:
        return text
    return _MARKS_IN_A_ROW.sub(r"\1", _TRADE_MARK.sub(" ", text)).translate(_LETTER_APOSTROPHES)


def beginning(text: str) -> str:
    """Return what is read of a text: `written`, and as much of it as has `READ_LIMIT` characters, also after NFKC."""
    text = written(text[:READ_LIMIT])[:READ_LIMIT]
    plain = unicodedata.normalize("NFKC", text)
    return text if len(plain) <= READ_LIMIT else plain[:READ_LIMIT]  # one sign may stand for eighteen letters


def letters(text: str) -> str:
    """Return the letters and digits of `text` after NFKC (full-width, enclosed and styled letters become plain)."""
    plain = filter(_is_letter, unicodedata.normalize("NFKC", written(text)))
    return unicodedata.normalize("NFC", "".join(plain))


def fold(text: str) -> str:
    """Return `letters` without case and accents, with Latin-looking letters of other scripts as Latin.

    >>> fold("Hermès"), fold("ＧＵＣＣＩ"), fold("Gυссi"), fold("L’Ondara™")
    ('hermes', 'gucci', 'gucci', 'londara')
    """
    return folds([text])[0]


def folds(texts: Sequence[str]) -> list[str]:
    """Return the `fold` of each text; of many short ones faster than one by one."""
    return _folded(written(_rows(texts))).split("\n")


def skeleton(text: str) -> str:
    """Return `fold` with signs that stand in for one another united.

    >>> skeleton("R0LEX") == skeleton("Rolex"), skeleton("$upreme"), skeleton("GUCC1") == skeleton("gucci")
    (True, 'supreme', True)
    """
    return skeletons([text])[0]


def skeletons(texts: Sequence[str]) -> list[str]:
    """Return the `skeleton` of each text."""
    rows = written(_rows(texts))
    plain = rows.lower() if rows.isascii() else unicodedata.normalize("NFKC", rows).casefold()
    united = _folded(plain.translate(_LOOKALIKES)).translate(_LOOKALIKES)
    return united.replace("rn", "m").replace("vv", "w").split("\n")


def _rows(texts: Sequence[str]) -> str:
    return "\n".join(text.replace("\n", " ") for text in texts)


def _folded(rows: str) -> str:
    if rows.isascii():
        return re.sub(r"[^a-z0-9\n]", "", rows.lower())
    plain = unicodedata.normalize("NFKC", rows).translate(HOMOGLYPHS).casefold()
    return "".join(c for c in without_accents(plain).translate(HOMOGLYPHS) if c == "\n" or _is_letter(c))


def without_accents(text: str) -> str:
    """Return `text` without the marks that are set above or below a letter; vowel signs and voicing marks stay.

    >>> without_accents("Éloraé"), without_accents("ガ"), without_accents("แบรนด์")
    ('Elorae', 'ガ', 'แบรนด์')
    """
    # Combining classes of 200 and more are positions (Unicode Standard, table 4-3); those below belong to one script.
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.combining(c) < 200))


def spelled(name: str) -> str:
    """Return a name as people are shown it: entities resolved, NFC, single blanks, no trade-mark signs."""
    return " ".join(INVISIBLE.sub("", unicodedata.normalize("NFC", written(name))).split())


def name_key(name: str) -> str:
    """Return what two spellings of one name share: the `fold`, or all that is written where that leaves nothing.

    >>> name_key("New-Balance") == name_key("new balance®"), name_key("!!")
    (True, '!!')
    """
    return fold(name) or spelled(name).lower()


class Stretches:
    """Keys that are looked for in a row of parts, each as some parts that stand beside one another.

    Parameters
    ----------
    keys : collection of str

    Notes
    -----
    A search takes as many steps as there are parts, times the parts of the longest key at most: a stretch that begins no
    key is not followed any further.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = frozenset(keys)
        self._beginnings = frozenset(key[:n] for key in keys for n in range(1, len(key) + 1))

    def find(self, parts: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Yield (start, end, key) of each stretch ``parts[start:end]`` that is a key; empty parts begin none."""
        for start in range(len(parts)):
            stretch = ""
            for end in range(start, len(parts)):
                stretch += parts[end]
                if stretch not in self._beginnings:
                    break
                if stretch in self._keys:
                    yield start, end + 1, stretch


def read_in_part(reason: str, texts: Mapping[str, str]) -> str:
    """Add to a sentence about some texts, by name, which of them are longer than what is read of them."""
    long = tuple(
        Message("{name} ({count:,} characters)", name=name, count=len(text))
        for name, text in texts.items()
        if len(text) > READ_LIMIT
    )
    if not long:
        return reason
    note = Message("Only the first {limit:,} characters were read of: {texts}.", limit=READ_LIMIT, texts=long)
    return Message("{sentence} {next}", sentence=reason, next=note)


def _is_letter(c: str) -> bool:
    """Say whether `c` is a letter, a digit, or a sign of a letter's own (a Thai vowel, but no variation selector)."""
    return c.isalnum() or (unicodedata.category(c) in ("Mn", "Mc") and INVISIBLE.match(c) is None)
