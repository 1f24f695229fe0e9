"""One run of one suite on one data set with one encoder: what the suite is given, and the rows it gives back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import locked
from benchmarks.frame import raw
from benchmarks.frame.data import OUT, Dataset, Photo, load
from benchmarks.frame.scorer import Figure
from benchmarks.frame.suites import SUITES, suite

__all__ = ["ENCODER", "SUITES", "Job", "figures", "findings", "link", "run", "suite", "write_source"]

ENCODER = "mobilenet-v2"  # the one whose weights come from the package registry


@dataclass
class Job:
    """What a suite's ``run`` is given.

    Attributes
    ----------
    data : Dataset
    encoder_name : str
    locked : bool
        Whether the queries are those of the locked part.
    limit : int or None
        Most queries, chosen by hash; suites that draw their own input draw less of it.
    smoke : bool
        A handful of everything: figures mean nothing.
    peers : tuple of str
        Other tools to ask as well, see ``benchmarks/peers``.
    """

    suite: str
    data: Dataset
    encoder_name: str = ENCODER
    locked: bool = False
    limit: int | None = None
    smoke: bool = False
    peers: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """What the head of the raw file says beside the usual: the suite may add to it while it runs."""

    @cached_property
    def encoder(self) -> Any:
        from imgmatch import load_encoder

        return load_encoder(self.encoder_name)

    @cached_property
    def work(self) -> Path:
        """A folder for what can be made again, by suite and data."""
        folder = OUT / self.suite / f"{self.data.name}-{self.data.hash()}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def asked(self, photos: Iterable[Photo]) -> list[Photo]:
        """Of some photos those that may be asked about in this run: the open parts or the locked one, at most `limit`."""
        mine = [p for p in photos if (p.split == "locked") is self.locked]
        return mine if self.limit is None or len(mine) <= self.limit else self.some(mine, self.limit)

    def some(self, photos: Iterable[Photo], most: int) -> list[Photo]:
        """At most so many photos, chosen by the hash of their names."""
        return sorted(photos, key=lambda p: hashlib.sha256(self.name(p).encode()).digest())[:most]

    def size(self, smoke: Any, limited: Any, full: Any) -> Any:
        """Return how much a suite draws, builds or times: in a smoke run, with a limit, in full."""
        return smoke if self.smoke else limited if self.limit else full

    def known(self, photos: Iterable[Photo]) -> list[Photo]:
        """Of some photos those that the catalog may hold: nothing locked, unless the locked part is asked."""
        return [p for p in photos if self.locked or p.split != "locked"]

    def name(self, photo: Photo) -> str:
        """A photo's place in its set, for raw rows."""
        inside = photo.path.is_relative_to(self.data.root)
        return str(photo.path.relative_to(self.data.root) if inside else photo.path.name)

    def catalog(self, photos: Sequence[Photo], brands: Sequence[dict[str, Any]] = ()) -> Any:
        """Return the catalog in :meth:`catalog_folder`."""
        from imgmatch import Catalog

        return Catalog.load(self.catalog_folder(photos, brands), encoder=self.encoder)

    def catalog_folder(self, photos: Sequence[Photo], brands: Sequence[dict[str, Any]] = ()) -> Path:
        """Build a catalog of photos, each item of the set an item; one that was built of the same is taken.

        Parameters
        ----------
        photos : sequence of Photo
        brands : sequence of dict
            Rows of ``brands.jsonl``; paths of logos are absolute.
        """
        from imgmatch import Catalog

        key = hashlib.sha256(json.dumps([self.encoder.space.id, list(brands)], default=str).encode())
        for p in photos:
            key.update(f"{self.name(p)} {p.path.stat().st_size} {p.item} {p.brand}\n".encode())
        folder = self.work / f"catalog-{key.hexdigest()[:12]}"
        if not (folder / "manifest.json").is_file():
            source = self.work / "source"
            shutil.rmtree(source, ignore_errors=True)
            Catalog.build(write_source(source, photos, brands), folder, encoder=self.encoder)
            shutil.rmtree(source)
        return folder

    def embed(self, photos: Sequence[Photo]) -> Any:
        """Embeddings of photos, (n, d) float32; kept, for the same photos are asked about again."""
        import numpy as np

        from imgmatch import load_image

        names = hashlib.sha256("\n".join([self.encoder.space.id, *map(self.name, photos)]).encode()).hexdigest()[:16]
        file = self.work / f"embeddings-{names}.npy"
        if not file.is_file():
            rows = []
            for at in range(0, len(photos), 32):
                side = 2 * self.encoder.input_size
                rows.append(self.encoder.encode([load_image(p.path, target_side=side) for p in photos[at : at + 32]]))
            np.save(file, np.concatenate(rows) if rows else np.zeros((0, self.encoder.space.dim), np.float32))
        return np.load(file)

    def examine(self, matcher: Any, photos: Sequence[Photo]) -> Iterator[tuple[Photo, Any]]:
        """Ask the matcher about each photo as a listing of its own; yield photo and record."""
        from imgmatch import Listing

        for at in range(0, len(photos), 16):
            part = photos[at : at + 16]
            listings = [Listing(str(n), (p.path.name,)) for n, p in enumerate(part)]
            for listing, photo in zip(listings, part, strict=True):
                yield photo, matcher.examine(listing, photos=photo.path.parent)


def findings(record: Any, *signals: str) -> list[Any]:
    """Return what some signals found in a listing; nothing where it could not be examined."""
    return [f for f in record.verdict.findings if f.signal in signals] if record.verdict else []


def write_source(folder: Path, photos: Sequence[Photo], brands: Sequence[dict[str, Any]] = ()) -> Path:
    """Write what a catalog is built from, photos linked and named by their place; return its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    items: dict[str, dict[str, Any]] = {}
    for p in photos:
        row = items.setdefault(p.item, {"item_id": p.item, "brand": p.brand or "unbranded", "photos": []})
        row["photos"].append(link(p.path, folder))
    _lines(folder / "manifest.jsonl", items.values())
    if brands:
        logos = ([{**logo, "path": link(Path(logo["path"]), folder)} for logo in b.get("logos", ())] for b in brands)
        _lines(folder / "brands.jsonl", ({**b, "logos": mine} for b, mine in zip(brands, logos, strict=True)))
    return folder / "manifest.jsonl"


def _lines(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def link(source: Path, folder: Path, name: str = "") -> str:
    """Put a file into a folder, as a hard link where that can be; return its name there, by default one of its place."""
    name = name or f"{hashlib.sha256(str(source).encode()).hexdigest()[:16]}{source.suffix.lower()}"
    if not (folder / name).exists():
        try:
            os.link(source, folder / name)
        except OSError:  # another file system
            shutil.copyfile(source, folder / name)
    return name


def run(name: str, spec: str, results: Path, version: str, **options: Any) -> Path:
    """Run a suite on one data set and write its raw file.

    Raises
    ------
    PermissionError
        Where the locked part of this set was opened by this suite for this version already.
    """
    module = suite(name)
    data = load(spec, smoke=options.get("smoke", False))
    job = Job(name, data, **options)
    if job.locked:
        _open_locked(name, data.name, version)
    head = {"suite": name, "data": data.name, "encoder": job.encoder_name, "locked": job.locked, "smoke": job.smoke}
    head |= {"rendered": data.card.rendered, "seen": data.card.seen, "photos": len(data.photos), "data_hash": data.hash()}
    head |= raw.environment()  # of the start: a tree may move while a suite runs
    rows = list(module.run(job))
    encoder = re.sub(r"[^-.\w]+", "-", job.encoder_name)
    file = results / name / f"{data.name}{'+locked' if job.locked else ''}@{encoder}.jsonl.xz"
    return raw.write(file, {**head, "seed": 0, "limit": job.limit, **job.facts}, rows)


def figures(name: str, results: Path) -> Iterator[tuple[dict[str, Any], Figure]]:
    """Score all raw files of a suite: yield each figure with the head of its file."""
    for head, rows in raw.parts(name, results):
        for figure in suite(name).score(rows, head):
            yield head, figure


def _open_locked(name: str, data: str, version: str) -> None:
    """Write down that a suite looks at the locked part of a set: once a version."""
    opened = [json.loads(x) for x in locked.OPENED.read_text("utf-8").splitlines()] if locked.OPENED.is_file() else []
    for row in opened:
        if (row["suite"], row.get("data"), row.get("version")) == (name, data, version):
            raise PermissionError(
                f"the locked part of {data} was opened by {name} for version {version} on {row['when']}, commit "
                f"{row['commit'][:12]}; a second look would be tuning on it"
            )
    facts = raw.environment()
    row = {"suite": name, "data": data, "version": version, "when": facts["made"]}
    row |= {"commit": facts["commit"], "clean": facts["clean"]}
    with open(locked.OPENED, "a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")
