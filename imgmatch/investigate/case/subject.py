"""Whom a case is about, and what of the scans is about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgmatch.cells import utc_time
from imgmatch.errors import InputError
from imgmatch.investigate.rings import Ring
from imgmatch.records import ScanRecord
from imgmatch.results import read_records

__all__ = ["Subject", "find_subject", "subject_records"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a case is about.

    Parameters
    ----------
    kind : str
        ``seller`` or ``ring``.
    id : str
    sellers : frozenset of (platform, seller_id)
    ring : Ring or None
    """

    kind: str
    id: str
    sellers: frozenset[tuple[str, str]]
    ring: Ring | None = None


def find_subject(name: str, records: Sequence[Path], rings: Sequence[Ring] = ()) -> Subject:
    """Find the ring or seller of that name.

    Parameters
    ----------
    name : str
        A ring's id (or one it supersedes), a seller's id, or ``platform/seller id`` where platforms share one.
    records : sequence of Path
        ``records.jsonl`` files.
    rings : sequence of Ring

    Raises
    ------
    InputError
        Where there is no such seller or ring, or more than one.
    """
    for ring in rings:
        if name == ring.ring_id or name in ring.supersedes:
            return Subject("ring", ring.ring_id, frozenset((s.platform, s.seller_id) for s in ring.sellers), ring)
    found = set()
    for path in records:
        for record in read_records(path):
            key = (record.listing.platform or "", record.listing.seller_id or "")
            if name in (key[1], f"{key[0]}/{key[1]}"):
                found.add(key)
    if len(found) > 1:
        choices = ", ".join(f"{p}/{s}" for p, s in sorted(found))
        raise InputError(f"several platforms have a seller {name!r}; name one of {choices}")
    if not found:
        raise InputError(
            f"no seller or ring {name!r} in {', '.join(map(str, records))}" + ("" if rings else "; for a ring give --rings")
        )
    ((platform, seller),) = found
    return Subject("seller", f"{platform}/{seller}" if platform else seller, frozenset(found))


def subject_records(subject: Subject, paths: Sequence[Path]) -> list[ScanRecord]:
    """Return the subject's records, each listing once as last captured, in the order of time."""
    latest: dict[tuple[str, str, str], tuple[tuple[str, str], ScanRecord]] = {}
    for path in paths:
        for record in read_records(path):
            listing, key = record.listing, record.listing.key
            if key[:2] in subject.sellers:
                # Of two captures at one time the choice must not depend on the order they come in.
                age = (utc_time(listing.captured_at) or "", json.dumps(record.to_dict(), sort_keys=True))
                if key not in latest or age > latest[key][0]:
                    latest[key] = (age, record)
    order = sorted(latest, key=lambda k: (utc_time(latest[k][1].listing.listed_at) or "9999", *k))
    return [latest[k][1] for k in order]
