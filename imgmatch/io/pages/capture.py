"""From captured pages to a table of listings with their photos, each with where it came from and the hash of its bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from imgmatch.cells import as_json
from imgmatch.errors import InputError
from imgmatch.io.files import PHOTO_SUFFIXES, atomic_write, sha256_file
from imgmatch.io.folders import FileFinder, Skipped, holds_photo, visible
from imgmatch.io.pages.archives import MHTML, read_archive
from imgmatch.io.pages.product import Product
from imgmatch.io.pages.reader import PageReader
from imgmatch.io.pages.response import Captured

__all__ = ["is_capture", "unpack"]

_ARCHIVES = (".warc", ".warc.gz", ".wacz", *MHTML)
_PAGES = (".html", ".htm", ".xhtml", *MHTML)
_PAGE_BYTES = 16 * 2**20  # the parser takes some ten times as much memory
_MOST_PAGES = 100_000
_HTML = ("text/html", "application/xhtml")
_BESIDE = re.compile(r"(?i)[ _-](files|dateien|fichiers|archivos|bestanden|file|arquivos|filer|soubory|pliki)$|\.files$")


@dataclass(frozen=True, slots=True)
class _Photo:
    """A captured photo: its name in the folder of photos, where it came from, when, and the hash of its bytes."""

    name: str
    url: str
    time: str
    sha256: str


@dataclass(slots=True)
class _Page:
    """A captured page: what it offers, when it was captured, the hash of its bytes, the file it lies in."""

    product: Product
    url: str
    time: str
    sha256: str
    file: str = ""


def is_capture(path: Path) -> bool:
    """Tell whether a source is a web archive, or a folder of saved pages: no photos at its top, no folders but theirs."""
    if path.is_dir():
        entries = visible(path, Skipped())
        others = any(
            Path(e.name).suffix.lower() in PHOTO_SUFFIXES or (e.is_dir() and not _BESIDE.search(e.name)) for e in entries
        )
        return not others and any(e.name.lower().endswith(_PAGES) for e in entries)
    return path.name.lower().endswith(_ARCHIVES)


def unpack(path: Path, out: Path) -> tuple[Path, list[str]]:
    """Write what captured pages offer as a table of listings with their photos beside it.

    Parameters
    ----------
    path : Path
        A WARC, WACZ or MHTML file, or a folder of saved pages (``page.html`` with ``page_files/``, or pages in one file).
    out : Path
        Folder that gets ``listings.jsonl`` and ``photos/``, named by their hashes: unpacking again changes no file.

    Returns
    -------
    table : Path
    notes : list of str
        What was skipped.

    Raises
    ------
    InputError
        Where nothing can be read there, or the archive is out of bounds.
    """
    (out / "photos").mkdir(parents=True, exist_ok=True)
    source = {"captured_from": path.name} | ({} if path.is_dir() else {"archive_sha256": sha256_file(path)})
    with PageReader() as reader:
        rows, notes = (_from_folder if path.is_dir() else _from_archive)(path, out / "photos", reader)
    if not rows:
        raise InputError("no page found that offers anything", source=str(path))
    with atomic_write(out / "listings.jsonl") as f:
        seen: dict[str, int] = {}
        for page, photos in rows:
            row = _row(page, photos, source)
            n = seen[row["listing_id"]] = seen.get(row["listing_id"], 0) + 1
            if n > 1:  # the same page, captured again
                row["listing_id"] += f" ({page.time or n})"
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    kept = {photo.name for _, photos in rows for photo in photos}
    for file in (out / "photos").iterdir():
        if file.name not in kept:
            file.unlink()
    return out / "listings.jsonl", notes


def _row(page: _Page, photos: list[_Photo], source: dict[str, str]) -> dict[str, Any]:
    fields = {name: as_json(value) for name, value in page.product.fields.items() if value is not None}
    captured = {
        **source,
        **({"file": page.file} if page.file else {}),
        "url": page.url or None,
        "time": page.time or None,
        "sha256": page.sha256,
        "stated_by": page.product.source,
        "photos": [{"file": f"photos/{p.name}", "url": p.url, "time": p.time or None, "sha256": p.sha256} for p in photos],
    }
    return {
        "listing_id": page.url or page.file,
        **fields,
        "url": page.url or None,
        "captured_at": page.time or None,
        "photos": [f"photos/{p.name}" for p in photos],
        "capture": captured,
    }


def _from_archive(path: Path, folder: Path, reader: PageReader) -> tuple[list[tuple[_Page, list[_Photo]]], list[str]]:
    """Read an archive twice: its pages, then the photos that they name."""
    pages, notes = _offers(list(islice(_pages(read_archive(path), reader), _MOST_PAGES)))
    rows, missing = _with_photos(pages, path, folder)
    return rows, notes + (
        [f"{missing} photo{'s' * (missing > 1)} that pages name {'were' if missing > 1 else 'was'} not captured"]
        if missing
        else []
    )


def _with_photos(pages: list[_Page], path: Path, folder: Path) -> tuple[list[tuple[_Page, list[_Photo]]], int]:
    """Write the photos that pages of an archive name; say how many were not captured."""
    wanted = {_key(url) for page in pages for url in page.product.photos if not url.startswith("data:")}
    photos: dict[str, _Photo] = {}
    for captured in read_archive(path):
        key = _key(captured.url)
        if key in wanted and key not in photos and not captured.kind.startswith(_HTML):
            photo = _store(captured.data, folder, captured.url, captured.time)
            if photo is not None:
                photos[key] = photo
    rows = []
    for page in pages:
        found = [
            _inline(url, folder, page) if url.startswith("data:") else photos.get(_key(url)) for url in page.product.photos
        ]
        rows.append((page, [p for p in found if p is not None]))
    return rows, len(wanted - photos.keys())


def _pages(captures: Iterable[Captured], reader: PageReader) -> Iterator[_Page]:
    for c in captures:
        if c.kind.startswith(_HTML) and len(c.data) <= _PAGE_BYTES:
            yield _Page(reader.read(c.data, c.url, c.content_type), c.url, c.time, hashlib.sha256(c.data).hexdigest())


def _offers(pages: list[_Page]) -> tuple[list[_Page], list[str]]:
    """Keep the pages that state a product; where none does, all that show a title and photos."""
    stated = [page for page in pages if page.product.source != "plain page"]
    kept = stated or [page for page in pages if page.product.fields.get("title") and page.product.photos]
    passed = len(pages) - len(kept)
    return kept, [f"skipped {passed} pages that offer nothing"] if passed else []


def _from_folder(root: Path, folder: Path, reader: PageReader) -> tuple[list[tuple[_Page, list[_Photo]]], list[str]]:
    passed, rows = Skipped(), []
    for entry in visible(root, passed):
        path = Path(entry.path)
        if not entry.is_file(follow_symlinks=False) or not entry.name.lower().endswith(_PAGES):
            if not (entry.is_dir() and _BESIDE.search(entry.name)):
                passed.add("not a saved page", entry.name)
            continue
        if path.suffix.lower() not in MHTML and entry.stat().st_size > _PAGE_BYTES:
            passed.add("a page of more than 16 MiB", entry.name)
            continue
        if path.suffix.lower() in MHTML:
            try:
                pages = list(islice(_pages(read_archive(path), reader), 1))
            except InputError:
                passed.add("not a readable MHTML file", entry.name)
                continue
            for page in pages:
                page.file, page.sha256 = entry.name, sha256_file(path)
            rows += _with_photos(pages, path, folder)[0]
            continue
        data = path.read_bytes()
        product = reader.read(data)
        time = datetime.fromtimestamp(entry.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")
        page = _Page(product, product.url, time, hashlib.sha256(data).hexdigest(), entry.name)
        rows.append((page, list(_saved_photos(page, root, folder))))
    pages, notes = _offers([page for page, _ in rows])
    kept = {id(page) for page in pages}
    return [row for row in rows if id(row[0]) in kept], passed.notes() + notes


def _saved_photos(page: _Page, root: Path, folder: Path) -> Iterator[_Photo]:
    """Yield the photos of a saved page that lie beside it, or in it."""
    stem = Path(page.file).stem
    beside = [d for d in root.iterdir() if d.is_dir() and d.name.startswith(stem) and _BESIDE.search(d.name[len(stem) :])]
    finders = [FileFinder(root), *(FileFinder(d) for d in beside)]
    for url in page.product.photos:
        if url.startswith("data:"):
            photo = _inline(url, folder, page)
            if photo is not None:
                yield photo
            continue
        for finder in finders:
            path = finder.root / finder.find(unquote(url) if "://" not in url else url)
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                photo = _store(path.read_bytes(), folder, url, page.time)
                if photo is not None:
                    yield photo
                break


def _inline(uri: str, folder: Path, page: _Page) -> _Photo | None:
    head, _, body = uri.partition(",")
    if not head.endswith(";base64"):
        return None
    try:
        data = base64.b64decode(unquote(body), validate=False)
    except (binascii.Error, ValueError):
        return None
    return _store(data, folder, f"{page.url}#inline", page.time)


def _store(data: bytes, folder: Path, url: str, time: str) -> _Photo | None:
    """Write a photo under the hash of its bytes; None where the bytes are no photo."""
    if not holds_photo(data[:32]):
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    if not (folder / sha256).exists():
        (folder / sha256).write_bytes(data)
    return _Photo(sha256, url, time, sha256)


def _key(url: str) -> str:
    """Return an address as photos and pages that name them share it."""
    return re.sub(r"^https?:", "", url.partition("#")[0])
