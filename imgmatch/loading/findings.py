"""What the signals said of a listing, remembered: with other rules or thresholds, only the verdict is computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from imgmatch.loading.cache import PartCache
from imgmatch.loading.photo import Query
from imgmatch.records import Said, said_from_dict, said_to_dict
from imgmatch.types import FindingStatus

__all__ = ["FindingCache"]


class FindingCache:
    """Candidates and findings of listings, by all that they depend on.

    Parameters
    ----------
    parts : PartCache
    producer : str
        Names catalog, signals, settings and code.

    Notes
    -----
    A listing of which a signal failed, or a photo could not be read, is not remembered: it may come out otherwise.
    """

    def __init__(self, parts: PartCache, producer: str) -> None:
        self._parts, self._recipe = parts, f"findings {producer}"

    def get(self, query: Query) -> Said | None:
        """Return what was said of a listing with these very photos, or None."""
        key = _key(query)
        known = self._parts.get([key], self._recipe).get(key)
        if known is None or query.unreadable:
            return None
        try:
            return said_from_dict(json.loads(known[0].tobytes()))
        except (ValueError, KeyError, TypeError):  # a damaged row
            return None

    def put(self, rows: Sequence[tuple[Query, Said]]) -> None:
        """Remember what was said of listings."""
        new = {
            _key(query): (np.frombuffer(json.dumps(said_to_dict(said)).encode(), np.uint8),)
            for query, said in rows
            if not query.unreadable and all(f.status is not FindingStatus.FAILED for f in said[1])
        }
        self._parts.put(new, self._recipe)


def _key(query: Query) -> str:
    photos = [[photo.photo_id, photo.role, photo.sha256] for photo in query.photos]
    return hashlib.sha256(json.dumps([query.listing.to_dict(), photos], sort_keys=True).encode()).hexdigest()
