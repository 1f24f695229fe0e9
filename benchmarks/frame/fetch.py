"""Fetch a data set from its owners' own address: licence first, resumed where cut off, checked where they publish how."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from benchmarks.frame.data import Card, File, names

__all__ = ["fetch", "fetch_file"]

_CHUNK = 1 << 20


def fetch(name: str, folder: Path) -> int:
    """Fetch the files of a set; return 0, or 1 where something did not come."""
    cards = names()
    if name not in cards:
        print(f"no data set {name!r}; there are {', '.join(cards)}", file=sys.stderr)
        return 1
    card: Card = cards[name]
    print(f"{card.title}\nlicence: {card.licence}\ncite: {card.cite}\n{card.url}")
    if not card.files:
        own = f"it is yours: --dataset {name}=FOLDER" if card.licence == "yours" else "it is not published for download"
        drawn = "it is drawn here, when a suite first asks for it"
        print(f"not fetched: {card.by_request or (drawn if card.rendered else own)}")
        return 1
    for file in card.files:
        try:
            print(fetch_file(file, folder / name))
        except (OSError, ValueError) as error:
            print(f"{file.url}: {_plain(error)}", file=sys.stderr)
            return 1
    print(f"unpack in {folder / name}, then: --dataset {name}={folder / name}")
    return 0


def fetch_file(file: File, folder: Path) -> str:
    """Fetch one file, going on where an earlier run was cut off.

    Returns
    -------
    str
        What came, with its sha256: compared with the published one, or recorded where none is.

    Raises
    ------
    OSError
        Where the address does not answer.
    ValueError
        Where the bytes are not those that were published; the file is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / Path(urlsplit(file.url).path).name
    part = target.with_name(target.name + ".part")
    if not target.is_file():
        have = part.stat().st_size if part.is_file() else 0
        request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            if error.code != 416:  # nothing is left to come
                raise
            answer = None
        if answer is not None:
            with answer, open(part, "ab" if getattr(answer, "status", 200) == 206 else "wb") as out:
                size, start = int(answer.headers.get("Content-Length") or 0), out.tell()
                here = f", {start / 2**20:,.0f} MiB of it here already" if start else ""
                print(f"{file.url}: {(size + start) / 2**20:,.0f} MiB{here}", flush=True)
                while data := answer.read(_CHUNK):
                    out.write(data)
                if size and out.tell() < size + start:
                    raise OSError(f"cut off at {out.tell():,} of {size + start:,} bytes; run again to go on")
        part.rename(target)
    with open(target, "rb") as f:
        digest = _sha256(f)
    if file.sha256 and digest != file.sha256:
        target.unlink()
        raise ValueError(f"sha256 {digest}, published is {file.sha256}; the file was removed")
    if not file.sha256:
        (folder / f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n", "utf-8")
    return f"{target}: sha256 {digest} {'as published' if file.sha256 else '(none is published: recorded beside it)'}"


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def _plain(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code} {error.reason}; look at the page of the set for a new address"
    if isinstance(error, urllib.error.URLError):
        return f"does not answer ({error.reason}); try again later, or look at the page of the set for a new address"
    return str(error)
