"""Contacts in case files: masked wherever they stand and however they are written, and looked for in what was packed."""

from __future__ import annotations

import json
import unicodedata
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.io.files import is_sha256
from imgmatch.market.contacts import Contact, extract_contacts, mask_contact
from imgmatch.names import HOMOGLYPHS, READ_LIMIT, written

__all__ = ["Masks", "contacts_in", "contacts_left"]

_SHORTEST = 5  # letters and digits: a shorter one stands in too many words that are none
_LONGEST = 32  # letters and digits that are compared at once, a bound on the work
_NATIONAL = 9  # digits of a phone number that tell it, however its country is written; shorter numbers are compared whole
_IN_NUMBERS = frozenset(" +()-./·_")
_LARGEST_FILE = 64 << 20
_OVERLAP = 400  # characters that a contact, with the word that tells its messenger, may have
_ALIKE = HOMOGLYPHS | {ord(c): str(i % 10) for i, c in enumerate("〇一二三四五六七八九零壹贰叁肆伍陆柒捌玖")}


class Masks:
    """Replace known contacts in texts by their masks.

    Parameters
    ----------
    contacts : iterable of str
        As records have them: ``kind:value``.

    Notes
    -----
    Letters and digits alone are compared, in one case and one width, without accents, in Latin letters where they look so:
    ``+41 79 555 12 34``, ``0041795551234`` and ``(079) 555-12-34`` are one number; ``Seller (at) shop.example`` is
    ``seller@shop.example``, and so it is with a Cyrillic ``е``. Linear in the text.
    """

    def __init__(self, contacts: Iterable[str]) -> None:
        self._masks: dict[str, tuple[str, bool]] = {}
        self._lengths: dict[str, list[int]] = {}  # how a form begins, to how long those are that begin so, shortest first
        for contact in sorted(set(contacts)):
            value = contact.partition(":")[2] or contact
            mask = mask_contact(contact).partition(":")[2] or mask_contact(contact)
            for form in _forms(value.strip()):
                self._masks |= dict.fromkeys(_pieces(form), (mask, form.isdigit()))
        for form in self._masks:
            self._lengths.setdefault(form[:_SHORTEST], []).append(len(form))
        self._lengths = {begins: sorted(set(lengths)) for begins, lengths in self._lengths.items()}
        self._within: dict[str, int] = {}  # what a form may be cut to, to the length of the longest form that begins that
        for form in self._masks:
            longest = 0
            for length in self._lengths[form[:_SHORTEST]]:
                if length <= len(form):
                    longest = length if form[:length] in self._masks else longest
                    self._within[form[:length]] = longest

    def __call__(self, value: Any) -> Any:
        """Return a copy of plain JSON in which no text, key or value, holds a known contact."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self(k): self(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(v) for v in value]
        return value

    def _text(self, text: str) -> str:
        if not self._masks or is_sha256(text):
            return text
        pieces, done = [], 0
        for start, stop, mask in self._spans(text):
            pieces += [text[done:start], mask]
            done = stop
        return "".join([*pieces, text[done:]])

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return where known contacts stand, and their masks, in order; those that touch are one span."""
        plain = list(map(_plain, text))
        bare = "".join(plain) + " " * _LONGEST  # a blank is no letter: nothing that is looked for ends behind the text
        known = self._lengths.get
        begins = [(at, lengths) for at in range(len(bare)) if (lengths := known(bare[at : at + _SHORTEST]))]
        places = [place for place, letters in enumerate(plain) for _ in letters] if begins else []
        spans: list[tuple[int, int, str]] = []
        covered = 0  # letters, up to the end of the last span
        for at, lengths in begins:
            length = self._longest(bare, at, lengths, covered - at)
            if not length:
                continue
            mask, number = self._masks[bare[at : at + length]]
            start = _number_start(text, places[at]) if number and at >= covered else places[at]
            covered = at + length
            if spans and start <= spans[-1][1]:
                start, _, mask = spans.pop()
            spans.append((start, places[covered - 1] + 1, mask))
        return spans

    def _longest(self, bare: str, at: int, lengths: Sequence[int], over: int) -> int:
        """Return the length of the longest form that stands at a place, 0 where none has more letters than `over`.

        A binary search by length (Waldvogel et al., "Scalable high speed IP routing lookups", 1997): a text that parts from
        all forms stays apart.
        """
        first = bisect_right(lengths, over)
        if first == len(lengths) or bare[at : at + lengths[first]] not in self._within:
            return 0
        apart = bisect_left(lengths, True, first + 1, key=lambda n: bare[at : at + n] not in self._within)
        longest = self._within[bare[at : at + lengths[apart - 1]]]
        return longest if longest > over else 0


def contacts_in(rows: Iterable[Any]) -> set[str]:
    """Return the contacts that the reader recognises in any text of plain JSON; none without the extra ``contacts``."""
    try:
        return {str(c) for c in _recognised(text for row in rows for text in _texts(row))}
    except MissingExtraError:
        return set()


def contacts_left(path: Path) -> list[str]:
    """Return the contacts that the reader still recognises in the texts of a package, masked: ``file: kind:value``.

    Photos and the PDF are not read: the PDF has the words of the page, and a photo stays as it was captured.

    Raises
    ------
    MissingExtraError
        Without the extra ``contacts``.
    InputError
        Where the package cannot be read.
    """
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith((".json", ".jsonl", ".html")):
                    if info.file_size > _LARGEST_FILE:
                        raise ValueError(f"{info.filename} has more than {_LARGEST_FILE} bytes")
                    texts = _file_texts(info.filename, archive.read(info).decode("utf-8", "replace"))
                    found += [f"{info.filename}: {mask_contact(c)}" for c in _recognised(texts)]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", source=str(path)) from error
    return sorted(set(found))


def _recognised(texts: Iterable[str]) -> list[Contact]:
    # A text that is a link counts as a contact in a QR code; in a record it is the listing's address. The reader, which
    # normalises, sees the ellipsis of a mask as three stops.
    pieces = dict.fromkeys(piece for text in dict.fromkeys(texts) for piece in _pieces_of_text(text))
    return [c for c in extract_contacts([*pieces]) if c.kind != "url" and "..." not in c.value]


def _pieces_of_text(text: str) -> Iterator[str]:
    """Yield a text in pieces that are read to their end, each with the end of the one before."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", written(text))
    for at in range(0, max(len(plain) - _OVERLAP, 1), READ_LIMIT - _OVERLAP):
        yield plain[at : at + READ_LIMIT]


def _file_texts(name: str, content: str) -> Iterator[str]:
    if name.endswith(".html"):
        page = _Words()
        page.feed(content)
        yield from page.texts
        return
    for line in content.splitlines() if name.endswith(".jsonl") else [content]:
        yield from _texts(json.loads(line))


class _Words(HTMLParser):
    """The words of a page: what stands between its tags, and in its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for _, value in attrs if value and not value.startswith("data:")]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if not is_sha256(value):
            yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


def _forms(value: str) -> Iterator[str]:
    """Yield what a contact may be once all but letters and digits is gone."""
    bare = _bare(value)
    if bare.isdigit():
        yield bare[-_NATIONAL:]
        return
    yield bare
    name, at, domain = value.partition("@")
    if at:
        labels = [_bare(label) for label in domain.split(".")]
        yield _bare(name) + "at" + "".join(labels)
        yield _bare(name) + "at" + "dot".join(labels)


def _pieces(form: str) -> Iterator[str]:
    """Yield a form in pieces of `_LONGEST` letters that cover it; nothing where it is too short to be looked for."""
    if len(form) >= _SHORTEST:
        last = max(len(form) - _LONGEST, 0)
        yield from (form[at : at + _LONGEST] for at in (*range(0, last, _LONGEST), last))


def _bare(text: str) -> str:
    """Return the letters and digits of a text in one case and width."""
    return "".join(map(_plain, text))


@lru_cache(maxsize=1 << 14)
def _plain(sign: str) -> str:
    plain = unicodedata.normalize("NFKD", sign).casefold().translate(_ALIKE)
    return "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in plain if c.isalnum())


def _number_start(text: str, start: int) -> int:
    """Return where a phone number begins of which the last digits begin at `start`: its country stands before them."""
    first, digits = start, 0
    while first > 0 and digits < 6 and (text[first - 1].isdigit() or text[first - 1] in _IN_NUMBERS):
        first -= 1
        digits += text[first].isdigit()
    while first < start and text[first] in " ./-_·":
        first += 1
    return first
