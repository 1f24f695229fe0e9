"""Text files of unknown encoding: a byte-order mark, then UTF-8, then a kept detector; letters are never replaced."""

from __future__ import annotations

import codecs
import re
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
# Code pages for Latin letters, of Windows first, the likeliest first, and the letters that their languages use.
_LATIN = {
    "cp1252": "äöüßéèêëàâáçñíóúôîïûùìòãõåæøœÄÖÜÉÈÊÀÂÁÇÑÍÓÚÅÆØ’‘“”„«»–—…€£°´",
    "iso8859_15": "äöüßéèêëàâáçñíóúôîïûùìòãõåæøœÄÖÜÉÈÊÀÂÁÇÑÍÓÚÅÆØ«»€£°",
    "cp1250": "ąćęłńóśźżĄĆĘŁŃÓŚŹŻáčďéěíňřšťúůýžÁČĎÉĚÍŇŘŠŤÚŮÝŽőűŐŰöüäôľÖÜÄăâîşţßđĐ’‘“”„«»–—…€°´",
    "cp1254": "çğıöşüÇĞİÖŞÜâîû’‘“”–…€",
    "cp850": "äöüßéèêëàâáçñíóúôîïûùìòãõåæøÄÖÜÉÅÇÑ«»£",  # Excel's "CSV (MS-DOS)"
    "mac_roman": "äöüßéèêëàâáçñíóúôîïûùìòãõåæøœÄÖÜÉÀÇÑ’‘“”«»–—…",
}
# Those of East Asia, in this order where text fits several, and the characters that nearly all of their text is in: Hangul,
# kana and the more common half of the kanji, hanzi (JIS X 0208, GB 2312 and Big5 put these first).
_EAST_ASIAN = {
    "cp949": re.compile(rb"[\xb0-\xc8][\xa1-\xfe]"),
    "cp932": re.compile(rb"[\x81-\x83\x88-\x97][\x40-\xfc]"),
    "gb18030": re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa1-\xc6][\x40-\xfe]"),
    "euc_jp": re.compile(rb"[\xa1\xa4\xa5\xb0-\xcf][\xa1-\xfe]"),
}
_OTHERS = ["cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874"]


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

    East Asian text is in the common part of its character set. Latin text has ASCII letters in its words, and is in the code
    page whose languages use its other letters. What is neither goes to charset-normalizer, which knows which letters
    follow one another in Russian, Greek, Hebrew, Arabic and Thai; of a few words in Latin letters it knows little.
    """
    fits = {name: _covered(sample, name, common) for name, common in _EAST_ASIAN.items()}
    if fits["cp932"] >= 0.9 and re.search(rb"[\x82\x83][\x40-\xfc]", sample):  # kana, whose second bytes look like ASCII
        return "cp932"
    # A sign by itself (1250 €) says nothing of the letters.
    words = b"".join(w for w in re.findall(rb"[A-Za-z\x80-\xff]+", sample) if len(w) > 1 and not w.isascii())
    likeliest = max(_LATIN, key=lambda name: _share(sample, name))
    if len(re.findall(rb"[A-Za-z]", words)) >= 0.3 * len(words) and _share(sample, likeliest) >= 0.8:
        return likeliest
    best = max(fits, key=lambda name: fits[name])
    if fits[best] >= 0.9:
        return best
    from charset_normalizer import from_bytes

    found = from_bytes(
        sample, cp_isolation=[*_OTHERS, *_EAST_ASIAN], preemptive_behaviour=False, enable_fallback=False
    ).best()
    return "cp1252" if found is None else found.encoding


def _share(sample: bytes, encoding: str) -> float:
    """Return the share of other than ASCII letters that the languages of a Latin code page use."""
    letters = [c for c in sample.decode(encoding, "replace") if c > "\x7f"]
    return sum(c in _LATIN[encoding] for c in letters) / max(len(letters), 1)


def _covered(sample: bytes, encoding: str, common: re.Pattern[bytes]) -> float:
    """Return the share of characters that are common ones of an East Asian encoding, 0 where it cannot be that."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    letters = [c.encode(encoding) for c in text if c > "\x7f"]
    return sum(common.fullmatch(c) is not None for c in letters) / max(len(letters), 1)
