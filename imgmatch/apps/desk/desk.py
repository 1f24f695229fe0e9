"""What the pages of the desk share: the scans and their index, the decisions, the catalog, the rules."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgmatch.apps.desk.decisions import Decisions
from imgmatch.apps.desk.index import ScanIndex
from imgmatch.apps.desk.jobs import Jobs
from imgmatch.apps.desk.look import lookup_of
from imgmatch.apps.desk.photos import LinkedGallery, Photos
from imgmatch.apps.desk.queue import Queue
from imgmatch.config import Config
from imgmatch.errors import ImgmatchError, InputError
from imgmatch.investigate.lookup import PhotoLookup
from imgmatch.investigate.report.rings_page import read_rings
from imgmatch.investigate.rings import Ring
from imgmatch.matcher import Matcher
from imgmatch.results import Results
from imgmatch.verdicts.rules import Rules

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Desk"]

_log = logging.getLogger("imgmatch.desk")


class Desk:
    """One desk over some scans.

    Parameters
    ----------
    scans : sequence of Results
    catalog : Catalog or None
        What was scanned against, for references, searches and the negative bank.
    labels : Path
        The table of decisions.
    rings : Path or None
        A ``rings.jsonl``.
    config : Config
    progress : callable, optional
        ``progress(done)`` while the scans are indexed.

    Notes
    -----
    Where a scan changes, it is reindexed in the background, and the pages go over to the new index when it is ready.
    """

    def __init__(
        self,
        scans: Sequence[Results],
        *,
        catalog: Catalog | None,
        labels: Path,
        rings: Path | None = None,
        config: Config | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.scans = list(scans)
        self.catalog = catalog
        self.config = Config() if config is None else config
        self.decisions = Decisions(labels)
        self.rings_path = rings
        self.jobs = Jobs()
        self._rings: list[Ring] = []
        self._rings_read: tuple[int, int] | None = None
        self.undo: dict[str, list[str]] = {}
        self._matcher: Matcher | None = None
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._indexing: threading.Thread | None = None
        self._open(ScanIndex(scans, progress=progress))

    def _open(self, index: ScanIndex) -> None:
        self.index = index
        self.queue = Queue(index, self.decisions)
        self.photos = Photos(index, self.catalog)
        self._lookup: PhotoLookup | None = None

    @cached_property
    def rules(self) -> Rules:
        named = self.config.fusion.rules
        return Rules.load(self.config.folder / named if named else None)

    @property
    def matcher(self) -> Matcher:
        """What searches and compares photos, made when first asked for.

        Raises
        ------
        InputError
            Where the desk has no catalog.
        """
        if self.catalog is None:
            raise InputError("there is no catalog; start the desk with --catalog")
        with self._making:
            if self._matcher is None:
                self._matcher = Matcher(self.catalog, self.config)
            return self._matcher

    def warm_up(self) -> None:
        """Load what searching and comparing need, in the background: somebody is choosing a photo."""
        if self.catalog is not None and self._matcher is None:
            threading.Thread(target=self._warm_up, name="imgmatch-desk-warm", daemon=True).start()

    def _warm_up(self) -> None:
        try:
            self.matcher.warm_up()
        except (ImgmatchError, OSError) as error:
            _log.error("searching is not ready: %s", error)

    @property
    def lookup(self) -> PhotoLookup:
        """What searches the photos of the scans, made when first asked for."""
        space = self.matcher.catalog.space.id
        with self._making:
            if self._lookup is None:
                self._lookup = lookup_of(self.index, space)
            return self._lookup

    @property
    def roots(self) -> list[Path]:
        return list(dict.fromkeys(scan.photo_root for scan in self.scans))

    @property
    def gallery(self) -> LinkedGallery:
        return LinkedGallery(self.roots, self.catalog)

    @property
    def rings(self) -> list[Ring]:
        """The rings, reread when their file has changed."""
        if self.rings_path is None:
            return []
        stat = self.rings_path.stat()
        state = stat.st_size, stat.st_mtime_ns
        if state != self._rings_read:
            self._rings, self._rings_read = read_rings(self.rings_path), state
        return self._rings

    def template(self, kind: str) -> Path | None:
        """Return the user's own template of a notice, ``notices/KIND.txt`` beside the labels; None where there is none."""
        own = self.decisions.path.parent / "notices" / f"{kind}.txt"
        return own if own.is_file() else None

    def ring(self, ring_id: str) -> Ring | None:
        return next((r for r in self.rings if ring_id == r.ring_id or ring_id in r.supersedes), None)

    def rows_of(self, sellers: Collection[tuple[str, str]]) -> list[Any]:
        """Return the rows of all listings of some sellers, strongest first."""
        query = "SELECT * FROM listings WHERE seller = ? AND platform = ?"
        rows = [row for platform, seller in sellers for row in self.index.rows(query, (seller, platform))]
        return sorted(rows, key=lambda row: (-row["strength"], row["id"]))

    def brand(self, brand: str | None) -> str:
        known = self.catalog.brands.get(brand) if brand and self.catalog is not None else None
        return (known.name if known else "") or brand or ""

    def refresh(self) -> None:
        """Reindex the scans in the background when they have changed."""
        with self._lock:
            if self._indexing is None and self.index.changed:
                self._indexing = threading.Thread(target=self._reindex, name="imgmatch-desk-index", daemon=True)
                self._indexing.start()

    def _reindex(self) -> None:
        try:
            self._open(ScanIndex(self.scans))  # the old one closes when its last page is answered
        except (ImgmatchError, OSError) as error:
            _log.error("the scans were not reindexed: %s", error)
        finally:
            self._indexing = None

    def events_of(self, key: tuple[str, str, str]) -> list[Any]:
        return [e for e in self.decisions.events(key) if e.what in ("note", "wrong")]
