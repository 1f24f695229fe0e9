"""The product, top to bottom: load a listing's photos, embed them, propose catalog items, examine, decide."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.errors import ImageError, ImgmatchError
from imgmatch.images import ImageSource, resolve_within
from imgmatch.io.files import package_sha256
from imgmatch.loading.cache import PhotoCache
from imgmatch.loading.findings import FindingCache
from imgmatch.loading.loader import PhotoLoader
from imgmatch.loading.photo import PhotoContext, Query, producer
from imgmatch.market.contacts import contacts_of
from imgmatch.messages import Message
from imgmatch.parallel import StageTimer, checkpoint, one_blas_thread
from imgmatch.records import Listing, PhotoRecord, Said, ScanRecord
from imgmatch.signals import Signal, SignalSource, default_signals, make_signals
from imgmatch.types import Candidate, Finding, FindingStatus
from imgmatch.verdicts import Fusion

__all__ = ["Loaded", "Matcher", "Photos"]

Photos = str | Path | Mapping[str, ImageSource]
"""Where a listing's photos are: a folder that its paths are relative to, or the photos by what the listing calls them."""

_log = logging.getLogger("imgmatch")

_AHEAD = 16
"""Photos of one listing that wait for their embedding (600 kB each) before those are made, however long the listing is."""

_OUT_OF_MEMORY = ImageError("too_many_pixels", Message("not enough memory to examine it"))


@dataclass(slots=True)
class Loaded:
    """A listing whose photos have been read: one record per photo, a context with its size for each that is readable."""

    listing: Listing
    records: list[PhotoRecord] = field(default_factory=list)
    photos: list[tuple[PhotoContext, tuple[int, int]]] = field(default_factory=list)


class Matcher:
    """Examine listings against a catalog.

    Parameters
    ----------
    catalog : Catalog
    config : Config, optional
    signals : iterable of Signal or callable, optional
        Signals, or callables that make one of a catalog; :func:`imgmatch.signals.default_signals` by default.
    cache : PhotoCache, optional
        Remembers between runs what photos look like, and what the signals said of a listing.

    Attributes
    ----------
    fingerprint : str
        16 hex digits over all that can change a verdict but the catalog: settings, signals, rules, calibration, code.
    seconds : dict of str to float
        Processor seconds spent so far by stage, summed over threads: decode, prepare, encode, each signal, decide.

    Notes
    -----
    Thread-safe. A verdict does not depend on what else is in the batch.

    Examples
    --------
    >>> from imgmatch import Catalog, Listing, Matcher                 # doctest: +SKIP
    >>> matcher = Matcher(Catalog.load("catalog"))                     # doctest: +SKIP
    >>> matcher.examine(Listing("1", photos=("bag.jpg",))).decision    # doctest: +SKIP
    <Decision.CLEAR: 'clear'>
    """

    def __init__(
        self,
        catalog: Catalog,
        config: Config | None = None,
        *,
        signals: Iterable[SignalSource] | None = None,
        cache: PhotoCache | None = None,
    ) -> None:
        if not isinstance(catalog, Catalog):
            raise TypeError(f"catalog: expected a Catalog, got {catalog!r:.60}; open one with Catalog.load(folder)")
        self.catalog = catalog
        self.config = Config() if config is None else config
        self.signals = make_signals(default_signals(self.config) if signals is None else signals, catalog)
        self.fusion = Fusion.from_config(catalog, self.config)
        signals_used = [[s.name, s.fingerprint()] for s in self.signals]
        self.fingerprint = self._fingerprint(signals_used)
        self._findings = None if cache is None else self._remembered(cache, signals_used)
        self._timer = StageTimer()
        self.seconds = self._timer.seconds
        self._loader = PhotoLoader(
            lambda: catalog.encoder,
            catalog.space,
            limits=self.config.images,
            cache=cache,
            batch=self.config.scan.batch,
            timer=self._timer,
        )

    def __repr__(self) -> str:
        return f"Matcher({self.catalog!r}, signals={[s.name for s in self.signals]})"

    def warm_up(self) -> None:
        """Load the encoder and build what each signal needs, so that the first listing is answered as fast as the rest."""
        self.catalog.encoder  # noqa: B018 - loads it
        for signal in self.signals:
            signal.warm_up()

    def examine(self, listing: Listing, *, photos: Photos = ".") -> ScanRecord:
        """Examine one listing: a batch of one.

        Parameters
        ----------
        listing : Listing
        photos : path or mapping
            The folder that the listing's photo paths are relative to, or the photos themselves by what the listing calls
            them: ``{"a.jpg": data}`` with bytes, PIL images or uint8 arrays (H, W, 3).

        Returns
        -------
        ScanRecord
        """
        return self.examine_batch([listing], photos=photos)[0]

    def examine_batch(self, listings: Sequence[Listing], *, photos: Photos = ".") -> list[ScanRecord]:
        """Examine listings.

        Parameters
        ----------
        listings : sequence of Listing
        photos : path or mapping
            As for :meth:`examine`; photos outside the folder, and names that the mapping lacks, are refused.

        Returns
        -------
        list of ScanRecord
            One per listing, in order. A photo that cannot be read is left out; where a signal breaks, its finding fails.
        """
        if isinstance(listings, Listing):
            raise TypeError("listings: expected a list of Listing, got one; ask examine() about one")
        return self.examine_loaded([self.load(listing, photos) for listing in listings])

    def load(self, listing: Listing, photos: Photos) -> Loaded:
        """Read a listing's photos: CPU work that many threads may do ahead of :meth:`examine_loaded`."""
        if not isinstance(listing, Listing):
            raise TypeError(f"listing: expected a Listing, got {listing!r:.60}; make one with Listing(id, photos=[path])")
        loaded = Loaded(listing)
        for role, prefix, paths in (("listing", "photo", listing.photos), ("promo", "promo", listing.promo_photos)):
            for number, path in enumerate(paths, 1):
                photo_id = f"{prefix}-{number}"
                checkpoint()
                try:
                    photo, size = self._loader.load(photo_id, role, path, _source(photos, path))
                except (ImageError, MemoryError) as problem:
                    error = problem if isinstance(problem, ImageError) else _OUT_OF_MEMORY
                    reason = Message("{kind}: {problem}", kind=error.reason, problem=error.said)
                    loaded.records.append(PhotoRecord(photo_id, role, path, status="failed", error=reason))
                else:
                    loaded.photos.append((photo, size))
                    if len(loaded.photos) % _AHEAD == 0:
                        self._loader.embed(loaded.photos[-_AHEAD:], dense=False)
                    loaded.records.append(PhotoRecord(photo_id, role, path, photo.sha256, photo.phash[0], *size))
        return loaded

    @one_blas_thread()
    def examine_loaded(self, batch: Sequence[Loaded]) -> list[ScanRecord]:
        """Embed, propose, examine and decide a batch of listings whose photos have been read.

        Raises
        ------
        OutOfTimeError
            Inside a :func:`imgmatch.parallel.time_limit` alone.
        """
        queries = [
            Query(b.listing, [p for p, _ in b.photos], (), tuple(r.photo_id for r in b.records if r.status == "failed"))
            for b in batch
        ]
        said = [None if self._findings is None else self._findings.get(query) for query in queries]
        fresh = [n for n, known in enumerate(said) if known is None]
        if fresh:
            self.embed([batch[n] for n in fresh])
            asked = [queries[n] for n in fresh]
            answers = self._asked(asked)
            if self._findings is not None:
                self._findings.put(list(zip(asked, answers, strict=True)))
            for n, answer in zip(fresh, answers, strict=True):
                said[n] = answer
        checkpoint()
        with self._timer("decide"):
            records = []
            for loaded, query, known in zip(batch, queries, said, strict=True):
                query.candidates, findings = known or ((), [])
                records.append(self._record(loaded, query, findings))
            return records

    def _asked(self, queries: Sequence[Query]) -> list[Said]:
        """Ask all signals about listings whose photos have embeddings: what they propose, and what they find."""
        findings: list[list[Finding]] = [[] for _ in queries]
        proposed: list[list[Candidate]] = [[] for _ in queries]
        for signal in self.signals:
            with self._timer(signal.name):
                _collect(signal, signal.propose, "propose", queries, proposed, findings)
        for query, candidates in zip(queries, proposed, strict=True):
            query.candidates = _united(candidates)[: self.config.candidates]
        for signal in self.signals:
            with self._timer(signal.name):
                _collect(signal, signal.examine, "examine", queries, findings, findings)
        return [(query.candidates, found) for query, found in zip(queries, findings, strict=True)]

    def embed(self, batch: Sequence[Loaded]) -> None:
        """Give the photos of a batch their embeddings in shared forward passes; those that have one are left alone."""
        with self._timer("encode"):
            dense = any(map(_is_dense, self.signals))
            self._loader.embed((photo for loaded in batch for photo in loaded.photos), dense=dense)

    def _record(self, loaded: Loaded, query: Query, findings: list[Finding]) -> ScanRecord:
        record = ScanRecord(
            loaded.listing,
            photos=tuple(loaded.records),
            contacts=contacts_of(query, self.config.contacts),
            catalog_version=self.catalog.version,
            config_fingerprint=self.fingerprint,
        )
        unreadable = [p for p in loaded.records if p.status == "failed"]
        if not query.photos and not any(f.status is FindingStatus.OK for f in findings):
            problem = unreadable[0].error if unreadable else Message("the listing has no photo")
            return replace(record, status="failed", error=Message("nothing could be examined: {problem}", problem=problem))
        try:
            return replace(record, verdict=self.fusion.decide(query, findings))
        except Exception as error:
            return replace(record, status="failed", error=Message("no verdict: {problem}", problem=_message(error)))

    def _remembered(self, cache: PhotoCache, signals: Sequence[Sequence[str]]) -> FindingCache:
        settings = [self.config.candidates, asdict(self.config.images), signals, package_sha256(), producer()]
        return FindingCache(cache.parts, f"{self.catalog.version} {json.dumps(settings, default=str)}")

    def _fingerprint(self, signals: Sequence[Sequence[str]]) -> str:
        parts = [self.config.fingerprint(), signals, self.fusion.fingerprint, package_sha256()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _source(photos: Photos, path: str) -> ImageSource:
    if not isinstance(photos, Mapping):
        return resolve_within(photos, path)
    if path not in photos:
        given = tuple(sorted(photos)[:5]) or (Message("none"),)
        raise ImageError("missing", Message("is not among the photos given: {names}", names=given), source=path)
    return photos[path]


def _united(proposals: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Keep one row per item, best first: the proposal with the highest score, and the names of all who proposed it."""
    best: dict[str, Candidate] = {}
    for c in proposals:
        known = best.get(c.item_id)
        if known is None:
            best[c.item_id] = c
        else:
            by = tuple(dict.fromkeys(known.proposed_by + c.proposed_by))
            best[c.item_id] = replace(c if c.score > known.score else known, proposed_by=by)
    return tuple(sorted(best.values(), key=lambda c: (-c.score, c.item_id)))


def _is_dense(signal: Signal) -> bool:
    """Tell whether a signal wants cells; one that breaks over the question breaks again when it is asked, and pays then."""
    try:
        return bool(signal.dense)
    except Exception:
        return False


def _collect(
    signal: Signal,
    ask: Callable[[Sequence[Query]], Sequence[list[Any]]],
    verb: str,
    queries: Sequence[Query],
    answers: list[list[Any]],
    failures: list[list[Finding]],
) -> None:
    """Add a signal's answers to those of each query; where it breaks, a failed finding says so."""
    checkpoint()
    for i, answer in enumerate(_row_by_row(ask, queries)):
        if isinstance(answer, Exception):
            if not isinstance(answer, ImgmatchError):
                _log.error("signal %s could not %s", signal.name, verb, exc_info=answer)
            failures[i].append(Finding.failed(signal.name, Message("This check failed: {error}", error=_message(answer))))
        else:
            answers[i] += answer


def _message(error: Exception) -> str:
    """Say what a reader can use: a library's own message, with paths and assertions of its source, is for the log."""
    unexpected = Message("unexpected {error}, see the log", error=type(error).__name__)
    return error.said if isinstance(error, ImgmatchError) else unexpected


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
