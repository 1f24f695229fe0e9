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
# What tables are saved in where it is not Unicode: the ANSI and OEM code pages of Windows and the encodings of East Asia.
_LEGACY = [
    "cp1252", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp1257", "cp1258", "cp874", "koi8_r", "mac_roman", "cp850", "cp437",
]  # fmt: skip


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
    from charset_normalizer import from_bytes

    # Strict decoding rules out most: a sample that is whole in a multi-byte encoding is hardly ever something else.
    best = from_bytes(sample, cp_isolation=_LEGACY, preemptive_behaviour=False, enable_fallback=False).best()
    return "cp1252" if best is None else best.encoding
