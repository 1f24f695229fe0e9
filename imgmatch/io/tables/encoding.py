"""Text files of unknown encoding: a byte-order mark, then UTF-8, then a kept detector; letters are never replaced."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from imgmatch.errors import InputError

__all__ = ["Encoding", "encoding_of", "open_text", "undecodable"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1 << 20
_SAMPLE = 1 << 16  # bytes of lines with other than ASCII letters that the detector sees; a guess
# Those that tables are saved in where they are not Unicode: of Windows, ISO 8859, DOS, the Mac, Russia and East Asia. The
# detector knows a hundred; the others are far rarer than the mistakes that they invite in a few words.
_CODE_PAGES = (
    "cp1252", "iso8859_15", "cp1250", "iso8859_2", "cp1254", "cp1257", "cp850", "cp852", "mac_roman", "cp1251", "koi8_r",
    "koi8_u", "cp866", "iso8859_5", "cp1253", "iso8859_7", "cp1255", "iso8859_8", "cp1256", "iso8859_6", "cp874", "cp932",
    "euc-jp", "gb18030", "big5", "cp949",
)  # fmt: skip
_COMMONEST = 1.2  # cp1252 among those that fit nearly alike: of 1 to 1.3 the best on the short tables of the commit; a guess
# The characters that nearly all of their text is in: Hangul, kana and the more common half of the kanji, hanzi (JIS X 0208,
# GB 2312 and Big5 put these first).
_COMMON = {
    "cp949": re.compile(rb"[\xa1-\xa3\xb0-\xc8][\xa1-\xfe]"),
    "cp932": re.compile(rb"[\x81-\x83\x88-\x97][\x40-\xfc]"),
    "gb18030": re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]"),
    "big5hkscs": re.compile(rb"[\xa1-\xc6][\x40-\xfe]"),
    "euc_jis_2004": re.compile(rb"[\xa1\xa4\xa5\xb0-\xcf][\xa1-\xfe]"),
}
_WORD = re.compile(r"[^\W\d_]+")
_SIGN_WITHIN = re.compile(r"(?<=[^\W\d_])[^\w\s\x00-\x7f’ʼ·](?=[^\W\d_])")  # of which a text has few: pr¢ba


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of a table are read.

    Parameters
    ----------
    name : str
        As Python calls it.
    guessed : bool
        Whether a detector chose it; notes say so then.
    """

    name: str
    guessed: bool = False

    def describe(self) -> str:
        return f"{self.name} (guessed: save the table as UTF-8 if letters are wrong)" if self.guessed else self.name


def encoding_of(path: Path) -> Encoding:
    """Find the encoding of a text file.

    Notes
    -----
    The file is read once to its end where it is not ASCII, which costs little beside what is done with its rows. A file that
    is UTF-8 but for a few bytes is UTF-8: rows that hold such bytes are refused one by one, see :func:`undecodable`.
    """
    with open(path, "rb") as f:
        head = f.read(4096)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return Encoding(name)
        zeros = [head[0::2].count(0), head[1::2].count(0)]
        if len(head) >= 4 and max(zeros) > len(head) // 5:  # two bytes a letter, and no mark
            return Encoding("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le", guessed=True)
        f.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := f.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
            return Encoding("utf-8")
        except UnicodeDecodeError:
            pass
        f.seek(0)
        sample = bytearray()
        for line in f:
            if not line.isascii():
                sample += line[:_SAMPLE]
                if len(sample) >= _SAMPLE:
                    break
    letters = sample.decode("utf-8", "surrogateescape")
    broken = len(re.findall("[\udc80-\udcff]+", letters))
    if sum(c > "\x7f" and not undecodable(c) for c in letters) > 4 * broken:
        return Encoding("utf-8")
    return Encoding(_detect(bytes(sample)), guessed=True)


def open_text(path: Path, encoding: Encoding) -> TextIO:
    """Open a text file; bytes that are none of its encoding become lone surrogates, which :func:`undecodable` finds."""
    try:
        return open(path, encoding=encoding.name, errors="surrogateescape", newline="")
    except LookupError as error:
        raise InputError(f"its encoding {encoding.name} is not known to Python", source=str(path)) from error


def undecodable(text: str) -> bool:
    """Tell whether a text holds bytes that could not be decoded."""
    return not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text)


def _detect(sample: bytes) -> str:
    """Return the likeliest encoding of text that is not Unicode.

    chardet knows which letters follow one another in a language. A few words may be a text in several: what no language
    writes (:func:`_odd`) speaks against an encoding, and cp1252 is the commonest.
    """
    if not re.search(rb"[A-Za-z\x80-\xff][\x80-\xff]|[\x80-\xff][A-Za-z]", sample):  # signs alone: 1250 €
        return "iso8859_15" if b"\xa4" in sample else "cp1252"
    from chardet import detect_all

    # The cells that matter, as sentences: what stands beside them, and how they are quoted, should not decide.
    sample = b". ".join(cell for cell in re.findall(rb'[^,;\t"\r\n]+', sample) if not cell.isascii())
    best, likeliest = 0.0, "cp1252"
    for found in detect_all(sample, ignore_threshold=True, compat_names=False, include_encodings=_CODE_PAGES):
        name = codecs.lookup(found["encoding"] or "cp1252").name.replace("-", "_")
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        score = found["confidence"] * (1.0 - _odd(text, name)) * (_COMMONEST if name == "cp1252" else 1.0)
        if score > best:
            best, likeliest = score, name
    return likeliest


def _odd(text: str, encoding: str) -> float:
    """Return the share of other than ASCII characters that stand as no language writes them, at most 1."""
    others = [c for c in text if c > "\x7f"]
    odd = sum(unicodedata.category(c) in ("Cc", "Co", "Cn", "Sm", "Sk", "So") and c not in "©®°™№" for c in others)
    odd += 2 * (text.count("¤") + len(_SIGN_WITHIN.findall(text)))
    odd += sum(_ill_formed(word) * len(word) for word in _WORD.findall(text))
    if encoding in _COMMON:
        odd += sum(_COMMON[encoding].fullmatch(c.encode(encoding)) is None for c in others)
    return min(1.0, odd / max(len(others), 1))


def _ill_formed(word: str) -> bool:
    """Tell whether a word mixes alphabets, or has capitals after small letters, as words in another code page have."""
    if word.isascii():
        return False
    scripts = {unicodedata.name(c, "?").split()[0] for c in word}
    alphabets = scripts & {"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI"}
    return len(alphabets) > 1 or scripts >= {"HANGUL", "CJK"} or not (word.isupper() or word[1:] == word[1:].lower())
