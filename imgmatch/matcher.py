"""The product, top to bottom: retrieve what a photo may show, examine it with independent signals, fuse to a verdict."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import imgmatch
from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.encoders.base import Prepared
from imgmatch.errors import ImageError
from imgmatch.images import load_image, perceptual_hash, read_file, resolve_within
from imgmatch.loading.cache import CachedPhoto, PhotoCache
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.contacts import extract_contacts
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.signals import Signal, make_signal
from imgmatch.types import Candidate, Finding, FindingStatus, FloatArray, Image
from imgmatch.verdicts import Fusion

__all__ = ["Loaded", "Matcher"]

Cells = npt.NDArray[np.float16]

# Signals that look at pixels get the photo with its shorter side at least this long, where the photo has that much:
# lettering of 1 % of the picture's height is still 10 px high, the least that PP-OCR reads.
_PIXEL_SIDE = 1024


@dataclass(slots=True)
class Loaded:
    """A listing whose photos have been read; `prepared` holds what waits to be encoded, by photo id."""

    listing: Listing
    photos: list[PhotoContext] = field(default_factory=list)
    records: list[PhotoRecord] = field(default_factory=list)
    prepared: dict[str, Prepared] = field(default_factory=dict)


class Matcher:
    """Hold listings against a catalog.

    Parameters
    ----------
    catalog : Catalog
    config : Config
    cache : PhotoCache, optional
        Remembers embeddings and hashes of photos between runs.

    Attributes
    ----------
    fingerprint : str
        Of all that can change a verdict but the catalog: settings, rules, calibration, code.
    seconds : dict of str to float
        Time spent so far by stage, summed over threads: decode, prepare, encode, propose, examine, fuse.

    Notes
    -----
    Thread-safe. A verdict does not depend on what else is in the batch.

    Examples
    --------
    >>> from imgmatch import Catalog, Listing, Matcher                      # doctest: +SKIP
    >>> matcher = Matcher(Catalog.load("catalog"))                          # doctest: +SKIP
    >>> matcher.examine(Listing("1", photos=("bag.jpg",))).verdict.decision  # doctest: +SKIP
    <Decision.CLEAR: 'clear'>
    """

    def __init__(self, catalog: Catalog, config: Config | None = None, *, cache: PhotoCache | None = None) -> None:
        self.catalog = catalog
        self.config = Config() if config is None else config
        self.signals = [make_signal(name, catalog, self.config) for name in self.config.signals]
        self.fusion = Fusion.from_config(catalog, self.config)
        self.fingerprint = self.config.fingerprint(code=imgmatch.__version__, fusion=self.fusion.fingerprint)
        if self.config.contacts.extract:
            extract_contacts(())  # a missing extra is said now, not at the first listing
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._cache = cache
        self._space = catalog.space

    def examine(self, listing: Listing, *, root: str | Path = ".") -> ScanRecord:
        """Examine one listing: a batch of one."""
        return self.examine_batch([listing], root=root)[0]

    def examine_batch(self, listings: Sequence[Listing], *, root: str | Path = ".") -> list[ScanRecord]:
        """Examine listings.

        Parameters
        ----------
        listings : sequence of Listing
        root : path
            Folder that photo paths are relative to; photos outside it are refused.

        Returns
        -------
        list of ScanRecord
            One per listing, in order. A photo that cannot be read costs itself; a signal that breaks costs its finding.
        """
        return self.examine_loaded([self.load(listing, Path(root)) for listing in listings])

    def load(self, listing: Listing, photos: Path | Mapping[str, bytes]) -> Loaded:
        """Read a listing's photos: CPU work that many threads may do ahead of :meth:`examine_loaded`.

        Parameters
        ----------
        listing : Listing
        photos : Path or mapping of str to bytes
            Folder that the listing's photo paths are relative to, or all the photos by what the listing calls them.
        """
        loaded = Loaded(listing)
        for role, paths in (("listing", listing.photos), ("promo", listing.promo_photos)):
            for number, path in enumerate(paths, 1):
                photo_id = f"{'photo' if role == 'listing' else role}-{number}"
                try:
                    source = resolve_within(photos, path) if isinstance(photos, Path) else photos[path]
                    self._load_photo(loaded, photo_id, role, path, source)
                except ImageError as error:
                    record = PhotoRecord(photo_id, role, path, status="failed", error=f"{error.reason}: {error}")
                    loaded.records.append(record)
        return loaded

    def examine_loaded(self, batch: Sequence[Loaded]) -> list[ScanRecord]:
        """Retrieve, examine and fuse a batch of listings whose photos have been read."""
        with self._timed("encode"):
            self._encode(batch)
        queries = [Query(loaded.listing, loaded.photos) for loaded in batch]
        with self._timed("propose"):
            proposed: list[list[Candidate]] = [[] for _ in queries]
            failures: list[list[Finding]] = [[] for _ in queries]
            for signal in self.signals:
                answers = _row_by_row(signal.propose, queries)
                for i, answer in enumerate(answers):
                    if isinstance(answer, Exception):
                        failures[i].append(Finding.failed(signal.name, f"could not propose: {answer!r}"))
                    else:
                        proposed[i] += answer
            for query, candidates in zip(queries, proposed, strict=True):
                query.candidates = self._united(candidates)
        with self._timed("examine"):
            findings: list[list[Finding]] = [[] for _ in queries]
            for signal in self.signals:
                for i, result in enumerate(_row_by_row(signal.examine, queries)):
                    if isinstance(result, Exception):
                        findings[i].append(Finding.failed(signal.name, f"could not examine: {result!r}"))
                    else:
                        findings[i] += result
        with self._timed("fuse"):
            return [
                self._record(loaded, query, [*found, *failed])
                for loaded, query, found, failed in zip(batch, queries, findings, failures, strict=True)
            ]

    # Steps

    def _load_photo(self, loaded: Loaded, photo_id: str, role: str, shown: str, source: Path | bytes) -> None:
        with self._timed("decode"):
            data = source if isinstance(source, bytes) else read_file(source, config=self.config.images, name=shown)
            sha256 = hashlib.sha256(data).hexdigest()
            known = None if self._cache is None else self._cache.get(sha256, self._space.id)
            if known is None:
                encoder = self.catalog.encoder  # loaded only now: a scan of known photos needs none
                image = load_image(data, config=self.config.images, target_side=2 * encoder.input_size, name=shown)
                phash, quality = perceptual_hash(image)
                known = CachedPhoto(None, phash, quality, image.width, image.height)
        context = PhotoContext(photo_id, lambda: self._pixels(source, shown, sha256, _PIXEL_SIDE), role, sha256=sha256)
        context.put("phash", (known.phash, known.quality))
        if known.embedding is None:
            with self._timed("prepare"):
                loaded.prepared[photo_id] = encoder.prepare(image)
            context.put("prepared", loaded.prepared[photo_id])
        else:
            context.defer("prepared", lambda: self._prepared(source, shown, sha256))
            context.defer("cells", lambda: self._cells(context))
            context.put("embedding", known.embedding)
        loaded.photos.append(context)
        loaded.records.append(PhotoRecord(photo_id, role, shown, sha256, known.phash, known.width, known.height))

    def _prepared(self, source: Path | bytes, shown: str, sha256: str) -> Prepared:
        """Prepare a photo whose embedding is remembered, as it was then: no verdict may depend on what is remembered."""
        encoder = self.catalog.encoder
        return encoder.prepare(self._pixels(source, shown, sha256, 2 * encoder.input_size))

    def _cells(self, photo: PhotoContext) -> Cells:
        """Return the cells of a photo whose embedding is remembered."""
        known = {} if self._cache is None else self._cache.cells.get([photo.sha256], self._space.id)
        if photo.sha256 in known:
            return known[photo.sha256]
        encoder = self.catalog.encoder  # loaded only now
        _, [cells] = encoder.encode_dense([photo.prepared(encoder)])
        return self._keep_cells(photo, cells.astype(np.float16))

    def _keep_cells(self, photo: PhotoContext, cells: Cells) -> Cells:
        """Remember the cells of a photo that somebody asked for: of most photos nobody does."""
        if self._cache is not None:
            self._cache.cells.put({photo.sha256: cells}, self._space.id)
        return cells

    def _pixels(self, source: Path | bytes, shown: str, sha256: str, side: int) -> Image:
        image = load_image(source, config=self.config.images, target_side=side, name=shown)
        if image.sha256 != sha256:
            raise ImageError("missing", "was changed while it was being examined", source=shown)
        return image

    def _encode(self, batch: Sequence[Loaded]) -> None:
        """Give every photo its embedding; identical photos are encoded once."""
        waiting: dict[str, Prepared] = {}
        for loaded in batch:
            for photo in loaded.photos:
                if photo.photo_id in loaded.prepared:
                    waiting[photo.sha256] = loaded.prepared[photo.photo_id]
        vectors: dict[str, FloatArray] = {}
        cells: dict[str, Cells] = {}
        names = list(waiting)
        size = self.config.scan.batch
        dense = bool(names) and any(map(_is_dense, self.signals))
        for start in range(0, len(names), size):
            part = names[start : start + size]
            photos = [waiting[sha] for sha in part]
            if dense:
                embedded, parts = self.catalog.encoder.encode_dense(photos)
                cells.update(zip(part, parts.astype(np.float16), strict=True))
            else:
                embedded = self.catalog.encoder.encode(photos)
            vectors.update(zip(part, embedded, strict=True))
        entries: dict[str, CachedPhoto] = {}
        for loaded in batch:
            for photo, record in zip(loaded.photos, (r for r in loaded.records if r.status == "ok"), strict=True):
                if photo.photo_id in loaded.prepared:
                    vector = vectors[photo.sha256]
                    photo.put("embedding", vector)
                    if dense:
                        photo.defer("cells", partial(self._keep_cells, photo, cells[photo.sha256]))
                    entries[photo.sha256] = CachedPhoto(vector, *photo.phash, record.width or 0, record.height or 0)
            loaded.prepared.clear()
        if self._cache is not None and entries:
            self._cache.put(entries, self._space.id)

    def _united(self, proposals: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Keep one row per item: the proposal with the highest score, and the names of all who proposed it."""
        best: dict[str, Candidate] = {}
        for c in proposals:
            known = best.get(c.item_id)
            if known is None:
                best[c.item_id] = c
            else:
                by = tuple(dict.fromkeys(known.proposed_by + c.proposed_by))
                best[c.item_id] = replace(c if c.score > known.score else known, proposed_by=by)
        ranked = sorted(best.values(), key=lambda c: (-c.score, c.item_id))
        return tuple(ranked[: self.config.retrieval.candidates])

    def _record(self, loaded: Loaded, query: Query, findings: list[Finding]) -> ScanRecord:
        record = ScanRecord(
            loaded.listing,
            photos=tuple(loaded.records),
            contacts=self._contacts(query),
            catalog_version=self.catalog.version,
            config_fingerprint=self.fingerprint,
        )
        unreadable = [p for p in loaded.records if p.status == "failed"]
        if not query.photos and not any(f.status is FindingStatus.OK for f in findings):
            error = unreadable[0].error if unreadable else "the listing has no photo"
            return replace(record, status="failed", error=f"nothing could be examined: {error}")
        try:
            return replace(record, verdict=self.fusion.decide(query, findings))
        except Exception as error:
            return replace(record, status="failed", error=f"no verdict: {error!r}")

    def _contacts(self, query: Query) -> tuple[str, ...]:
        if not self.config.contacts.extract:
            return ()
        listing = query.listing
        texts = [t for t in (listing.title, listing.description, listing.promo_text) if t]
        return tuple(str(c) for c in extract_contacts(texts, query.photos, self.config.contacts.regions))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


def _is_dense(signal: Signal) -> bool:
    """Tell whether a signal wants cells; one that breaks over the question breaks again when it is asked, and pays then."""
    try:
        return bool(getattr(signal, "dense", False))
    except Exception:
        return False


def _row_by_row(
    ask: Callable[[Sequence[Query]], Sequence[list[Any]]], queries: Sequence[Query]
) -> Sequence[list[Any] | Exception]:
    """Ask for the whole batch; where that breaks, query by query, so that only the row that breaks it pays."""
    try:
        answers = ask(queries)
        if len(answers) != len(queries):
            raise RuntimeError(f"expected {len(queries)} rows, got {len(answers)}")
        return answers
    except Exception as error:
        if len(queries) == 1:
            return [error]
        return [_row_by_row(ask, [query])[0] for query in queries]
