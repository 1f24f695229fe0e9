"""The queue: which listings a reviewer sees, in which order, and what comes next."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from imgmatch.apps.desk.decisions import Decisions
from imgmatch.apps.desk.index import ScanIndex
from imgmatch.types import Decision, Label

__all__ = ["SORTS", "Filters", "Queue"]

PAGE = 50
"""Listings on a page."""

SORTS: Mapping[str, str] = {
    "strength": "strongest first",
    "uncertainty": "most uncertain first",
    "value": "highest asking price first",
    "newest": "newest first",
    "worth": "most worth a label",
    "audit": "random audit",
    "second": "for a second opinion",
}
_ORDER = {
    "strength": "strength DESC, id",
    "uncertainty": "uncertainty DESC, id",
    "value": "value DESC, id",
    "newest": "day DESC, id",
}
SAMPLED_BY: Mapping[str, str] = {"worth": "uncertain", "audit": "random", "second": "second"}
"""How a listing came to be reviewed, by the sort that showed it; all others are `flagged`."""

_STATES = ("unreviewed", "reviewed", "split")
_WORTH = 5000  # the most uncertain listings that are weighed against what was labelled
_SECOND = 0.1
"""Share of the reviewed listings that a second reviewer is shown. A guess: enough for an agreement after some hundreds."""
_AUDIT = 300
"""Listings that one seed draws: as many honest ones support a false-positive rate of 1e-2 (three divided by the rate)."""
_KEPT = 16
_LIKE = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page of the queue shows; all of it stands in its address.

    Parameters
    ----------
    q : str
        Words that must all be in the texts of a listing, anywhere in a word, in any case.
    decision, brand, label, seller, platform : str
    low, high : float or None
        Bounds of the asking price.
    since, until : str
        ISO 8601 days, inclusive.
    brand_shown : bool
        Only listings whose photos show a brand of the catalog.
    state : str
        ``unreviewed``, ``reviewed``, ``split`` (two reviewers disagree), or empty for all.
    sort : str
        One of `SORTS`.
    seed : str
        Of the random audit.
    """

    q: str = ""
    decision: str = ""
    brand: str = ""
    label: str = ""
    seller: str = ""
    platform: str = ""
    low: float | None = None
    high: float | None = None
    since: str = ""
    until: str = ""
    brand_shown: bool = False
    state: str = ""
    sort: str = "strength"
    seed: str = "0"

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """Read an address; what is not understood there is as if it were not there."""
        values: dict[str, Any] = {f.name: query[f.name].strip()[:200] for f in fields(cls) if query.get(f.name)}
        for name in ("low", "high"):
            values[name] = _number(values.get(name))
        values["brand_shown"] = bool(values.get("brand_shown"))
        allowed: dict[str, Sequence[str]] = {
            "decision": [*map(str, Decision), "failed"],
            "label": list(map(str, Label)),
            "state": _STATES,
            "sort": list(SORTS),
        }
        read = cls(**{k: v for k, v in values.items() if k not in allowed or v in allowed[k]})
        # An audit is of all listings: one of a selection would support no rate.
        return cls(sort="audit", seed=read.seed, state=read.state) if read.sort == "audit" else read

    def address(self, **changes: Any) -> str:
        """Return the query string of this view, with some fields changed; empty where all is as by default."""
        values = {f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)}
        default = Filters()
        given = {k: "1" if v is True else f"{v:g}" if isinstance(v, float) else v for k, v in values.items()
                 if v != getattr(default, k)}  # fmt: skip
        return f"?{urlencode(given)}" if given else ""

    @property
    def sampled_by(self) -> str:
        return SAMPLED_BY.get(self.sort, "flagged")


class Queue:
    """Lists of listings, by id in the index.

    Parameters
    ----------
    index : ScanIndex
    decisions : Decisions

    Notes
    -----
    A list is kept until a decision or the index changes: pages, counts and "what next" are slices of it.
    """

    def __init__(self, index: ScanIndex, decisions: Decisions) -> None:
        self.index = index
        self.decisions = decisions
        self._kept: OrderedDict[Any, list[int]] = OrderedDict()
        self.brands = self._facet("brand")
        self.platforms = self._facet("platform")
        tally = index.rows("SELECT decision, count(*) FROM listings GROUP BY decision")
        self.counts = Counter({row[0]: row[1] for row in tally})

    def ids(self, filters: Filters, reviewer: str = "") -> list[int]:
        """Return the ids of all listings of a view, in order."""
        version = self.decisions.sync(self.index)
        # Where decisions play no part, what was listed before one is still right.
        depends = filters.state or filters.sort in ("worth", "second")
        key = filters, reviewer if filters.sort == "second" else "", version if depends else None
        with self.index.lock:
            if key not in self._kept:
                self._kept[key] = self._ids(filters, reviewer)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def page(self, ids: Sequence[int], number: int) -> list[Any]:
        """Return the rows of a page, counted from 1."""
        return self.rows(ids[(number - 1) * PAGE : number * PAGE])

    def rows(self, ids: Sequence[int]) -> list[Any]:
        marks = ", ".join("?" * len(ids))
        found = {row["id"]: row for row in self.index.rows(f"SELECT * FROM listings WHERE id IN ({marks})", ids)}  # noqa: S608
        return [found[i] for i in ids]

    def around(self, filters: Filters, reviewer: str, listing: int) -> tuple[int | None, int | None, int, int]:
        """Return what stands before and after a listing in a view, its place counted from 1 (0 where it is not), and n."""
        ids = self.ids(filters, reviewer)
        try:
            at = ids.index(listing)
        except ValueError:
            return None, ids[0] if ids else None, 0, len(ids)
        return ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None, at + 1, len(ids)

    def _facet(self, column: str) -> list[tuple[str, int]]:
        query = (
            f"SELECT {column}, count(*) AS n FROM listings WHERE {column} != '' GROUP BY {column} ORDER BY n DESC LIMIT 200"  # noqa: S608
        )
        return [(row[0], row[1]) for row in self.index.rows(query)]

    def _ids(self, filters: Filters, reviewer: str) -> list[int]:
        where, values = _where(filters)
        if filters.sort == "worth":
            return self._worth(where, values)
        if filters.sort == "second":
            where.append("id IN (SELECT listing FROM standing GROUP BY listing HAVING count(*) = 1 AND max(reviewer) != ?)")
            values.append(reviewer)
        order = _ORDER.get(filters.sort, "id")
        query = f"SELECT id, slug FROM listings{' WHERE ' if where else ''}{' AND '.join(where)} ORDER BY {order}"  # noqa: S608
        rows = self.index.rows(query, values)
        if filters.sort == "audit":
            drawn = {i: place for place, i in enumerate(self._audit(filters.seed))}
            rows = sorted((row for row in rows if row["id"] in drawn), key=lambda row: drawn[row["id"]])
        if filters.sort == "second":
            rows = [row for row in rows if _drawn("second", row["slug"]) < _SECOND]
        return [row["id"] for row in rows]

    def _audit(self, seed: str) -> list[int]:
        rows = self.index.rows("SELECT id, slug FROM listings")
        return [row["id"] for row in heapq.nsmallest(_AUDIT, rows, key=lambda row: _drawn(seed, row["slug"]))]

    def _worth(self, where: list[str], values: list[Any]) -> list[int]:
        """Order by uncertainty, divided by how many of the same kind stand before it or have a label already.

        Uncertainty sampling (Lewis and Gale, SIGIR 1994), spread over kinds: the same findings about the same brand teach
        a model less each time.
        """
        where = [*where, "uncertainty > 0", "id NOT IN (SELECT listing FROM standing)"]
        query = f"""SELECT id, kind, uncertainty FROM listings WHERE {" AND ".join(where)}
            ORDER BY uncertainty DESC, id LIMIT {_WORTH}"""  # noqa: S608
        labelled = "SELECT kind, count(DISTINCT id) FROM standing JOIN listings ON listing = id GROUP BY kind"
        seen = {row[0]: row[1] for row in self.index.rows(labelled)}
        scored = []
        for row in self.index.rows(query, values):
            seen[row["kind"]] = seen.get(row["kind"], 0) + 1
            scored.append((-row["uncertainty"] / seen[row["kind"]], row["id"]))
        return [listing for _, listing in sorted(scored)]


def _where(f: Filters) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    for column in ("decision", "brand", "seller", "platform"):
        if getattr(f, column):
            where.append(f"{column} = ?")
            values.append(getattr(f, column))
    for condition, value in (("value >= ?", f.low), ("value <= ?", f.high), ("day >= ?", f.since), ("day <= ?", f.until)):
        if value not in (None, ""):
            where.append(condition)
            values.append(value)
    if f.until and not f.since:
        where.append("day != ''")
    if f.label:
        where.append("labels LIKE ?")
        values.append(f"%;{f.label};%")
    if f.brand_shown:
        where.append("shows_brand = 1")
    if f.state:
        of_all, split = (
            "SELECT listing FROM standing",
            "SELECT listing FROM standing GROUP BY listing HAVING count(DISTINCT label) > 1",
        )
        where.append(f"id {'NOT IN' if f.state == 'unreviewed' else 'IN'} ({split if f.state == 'split' else of_all})")
    long = [word for word in f.q.split() if len(word) >= 3]
    if long:  # three letters are the least that the index of words knows
        where.append("id IN (SELECT rowid FROM words WHERE text MATCH ?)")
        values.append(" AND ".join('"' + word.replace('"', '""') + '"' for word in long))
    for word in f.q.split():
        if len(word) < 3:
            where.append(r"(title LIKE ? ESCAPE '\' OR listing_id LIKE ? ESCAPE '\')")
            values += [f"%{word.translate(_LIKE)}%"] * 2
    return where, values


def _drawn(seed: str, slug: str) -> float:
    """Return where a listing stands in a random order, in [0, 1): the same for the same seed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {slug}".encode()).digest()[:7], "big") / (1 << 56)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None
