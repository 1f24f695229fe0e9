"""What web archives hold: WARC files, bare or gzipped, WACZ packages of them, and pages that a browser saved as MHTML.

All are bounded in records and bytes, packed ones in ratio.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.io.pages.response import MOST_BYTES, Captured

__all__ = ["MHTML", "read_archive"]

MHTML = (".mhtml", ".mht")

_RECORDS = 1_000_000
_MEMBERS = 10_000
_RATIO = 200  # bytes unpacked for a byte of the archive, whatever they are; text packs to a tenth, photos not at all
_SPARE = 256 * 2**20  # that small archives may unpack to all the same
_MHTML_BYTES = 128 * 2**20  # parsed in memory
_MHTML_LINES = 4_000_000  # which the parser sees one by one; of 76 letters (RFC 2045) there are fewer in that many bytes
_MULTIPARTS = 8  # in one another, each of which looks at every line again; browsers write one


def read_archive(path: Path) -> Iterator[Captured]:
    """Yield the good responses of an archive, in its order.

    Raises
    ------
    InputError
        Where it is none, is damaged, or holds more than the bounds allow.
    MissingExtraError
        Where the extra ``web`` is not installed.

    Notes
    -----
    An MHTML file gives its first page, and pictures; frames within the page are left out.
    """
    if path.suffix.lower() in MHTML:
        yield from _mhtml(path)
        return
    try:
        from imgmatch.io.pages.warcs import read_warc
    except ImportError as error:
        raise MissingExtraError("reading web archives", "web") from error
    budget = _RATIO * path.stat().st_size + _SPARE

    def take(count: int) -> None:
        nonlocal budget
        budget -= count
        if budget < 0:
            raise _too_much(path)

    name, records = "", 0
    try:
        for member, stream in _warcs(path):
            name = member
            for captured in read_warc(stream, take):
                records += 1
                if records > _RECORDS:
                    raise _too_much(path)
                if captured is not None:
                    yield captured
    except InputError:
        raise
    except Exception as error:  # warcio and zipfile raise what they trip over: AttributeError, NotImplementedError, …
        where = path.name if name in ("", path.name) else f"{path.name}:{name}"
        raise InputError(f"not a readable web archive: {error!s:.200}", source=where) from error


def _too_much(path: Path) -> InputError:
    return InputError("holds more than an archive of its size may; unpack it yourself", source=str(path))


def _warcs(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as f:
            yield path.name, f
        return
    with zipfile.ZipFile(path) as package:
        members = [m for m in package.infolist() if m.filename.endswith((".warc", ".warc.gz"))]
        if len(package.infolist()) > _MEMBERS:
            raise _too_much(path)
        if not members:
            raise InputError("holds no WARC: expected a WACZ package", source=str(path))
        for member in members:
            with package.open(member) as f:
                yield member.filename, f


def _mhtml(path: Path) -> Iterator[Captured]:
    data = path.read_bytes() if path.stat().st_size <= _MHTML_BYTES else b""
    multiparts = re.findall(rb"(?i)content-type:\s*multipart/", data)
    if not data or data.count(b"\n") > _MHTML_LINES or len(multiparts) > _MULTIPARTS:
        raise InputError("empty, or larger than a saved page may be (128 MiB)", source=str(path))
    whole = BytesParser().parsebytes(data)
    if not whole.is_multipart():
        raise InputError("not a saved page: expected MHTML", source=str(path))
    time = _mail_time(whole)
    page_seen = False
    for number, part in enumerate(whole.walk()):
        if number > _MEMBERS:
            raise InputError("holds more parts than a saved page may", source=str(path))
        kind = part.get_content_type()
        is_page = kind.startswith(("text/html", "application/xhtml"))
        if part.is_multipart() or not (kind.startswith("image/") or (is_page and not page_seen)):
            continue
        body = part.get_payload(decode=True)
        if isinstance(body, bytes) and 0 < len(body) <= MOST_BYTES:
            where = str(part.get("Content-Location") or "").strip()
            if is_page:
                where = str(whole.get("Snapshot-Content-Location") or where or whole.get("Content-Location") or "").strip()
            page_seen = page_seen or is_page
            yield Captured(where, time, kind, body, str(part.get("Content-Type") or ""))


def _mail_time(message: Message) -> str:
    try:
        return parsedate_to_datetime(str(message.get("Date"))).isoformat()
    except (ValueError, TypeError, OverflowError):
        return ""
