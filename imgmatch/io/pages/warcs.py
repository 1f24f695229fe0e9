"""One WARC file, bare or gzipped, read within a budget: whatever it unpacks to is paid for as it is unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import DecompressingBufferedReader

from imgmatch.io.pages.response import MOST_BYTES, Captured

__all__ = ["read_warc"]

_HEADERS = 2**20  # bytes of one record's header lines, its own and those of HTTP; servers send some 8 kB at most: a guess
_KINDS = ("text/html", "application/xhtml", "image/", "application/octet-stream", "binary/")


def read_warc(stream: IO[bytes], take: Callable[[int], None]) -> Iterator[Captured | None]:
    """Yield what each record holds: a response that was answered in full, None for anything else.

    Parameters
    ----------
    stream : binary file
    take : callable
        Gets the number of bytes unpacked; raises where they are too many.
    """
    records = ArchiveIterator(stream)
    records.reader = reader = _Reader(stream, take)
    for record in records:
        yield _captured(record, take)
        reader.lines = 0


class _Reader(DecompressingBufferedReader):  # type: ignore[misc]
    """warcio's reader, which by itself unpacks, and gathers lines, without an end."""

    def __init__(self, stream: IO[bytes], take: Callable[[int], None]) -> None:
        super().__init__(stream)
        self.lines, self._take = 0, take

    def _process_read(self, data: bytes) -> None:
        super()._process_read(data)
        self._take(len(data) + self.buff_size if data else 0)

    def readline(self, length: int | None = None) -> bytes:
        line: bytes = super().readline(min(length or _HEADERS, _HEADERS))
        self.lines += len(line)
        if self.lines > _HEADERS:
            raise ValueError(f"a record has more than {_HEADERS} bytes of headers")
        return line


def _captured(record: Any, take: Callable[[int], None]) -> Captured | None:
    if record.rec_type not in ("response", "resource"):
        return None
    headers = record.http_headers
    if record.rec_type == "response" and (headers is None or headers.get_statuscode() != "200"):
        return None
    source = headers if headers is not None else record.rec_headers
    content_type = source.get_header("Content-Type") or ""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind.startswith(_KINDS):
        return None
    # Brotli unpacks a piece to any size at once: it stays packed, as where its library is not installed.
    packed = (source.get_header("Content-Encoding") or "").lower() == "br"
    data = (record.raw_stream if packed else record.content_stream()).read(MOST_BYTES + 1)
    take(len(data))
    if not data or len(data) > MOST_BYTES or not _is_whole(record.raw_stream):
        return None
    where, when = (record.rec_headers.get_header(name) or "" for name in ("WARC-Target-URI", "WARC-Date"))
    return Captured(where, when, kind, data, content_type)


def _is_whole(stream: Any) -> bool:
    """Say whether a record has as many bytes as its header says: an archive may be cut off in the middle of one."""
    while stream.read(1 << 16):
        pass
    return int(getattr(stream, "limit", 0)) <= 0
