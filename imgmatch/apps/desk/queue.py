"""The queue: which listings a reviewer sees, in which order, and what comes next."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

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

_STATES = {
    "unreviewed": "SELECT DISTINCT listing FROM standing",
    "reviewed": "SELECT DISTINCT listing FROM standing",
    "split": "SELECT listing FROM standing GROUP BY listing HAVING count(DISTINCT label) > 1",
}
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
            "state": list(_STATES),
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
        self._slugs: tuple[list[int], npt.NDArray[np.uint64]] | None = None
        self.brands = self._facet("brand")
        self.platforms = self._facet("platform")
        tally = index.rows("SELECT decision, count(*) FROM listings GROUP BY decision")
        self.counts = Counter({row[0]: row[1] for row in tally})

    def ids(self, filters: Filters, reviewer: str = "") -> list[int]:
        """Return the ids of all listings of a view, in order.

        Those that an audit drew are shown in it though they were reviewed before for another reason: left out, the sample
        would hold too few of what is flagged, and the rate that it supports would be too low.
        """
        version = self.decisions.sync(self.index)
        state = filters.state
        if filters.sort in ("worth", "second"):  # what they list depends on what was decided
            key: Any = filters, reviewer, version
        else:
            filters = replace(filters, state="")
            key = filters
        with self.index.lock:
            if key not in self._kept:
                self._kept[key] = self._ids(filters, reviewer)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            found = self._kept[key]
            if not state or filters.state:
                return found
            of_audit = " WHERE sampled = 'random'" if filters.sort == "audit" and state != "split" else ""
            decided = set(self.index.ids(_STATES[state] + of_audit))
            return [i for i in found if (i in decided) != (state == "unreviewed")]

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
        if filters.sort == "audit":
            return self._audit(filters.seed)
        if filters.sort == "second":
            where.append("id IN (SELECT listing FROM standing GROUP BY listing HAVING count(*) = 1 AND max(reviewer) != ?)")
            values.append(reviewer)
            where.append(f"slug < '{int(_SECOND * 16**4):04x}'")  # a slug is a hash: any range of them is a random share
        order = _ORDER.get(filters.sort, "id")
        return self.index.ids(f"SELECT id FROM listings{_all(where)} ORDER BY {order}", values)  # noqa: S608

    def _audit(self, seed: str) -> list[int]:
        """Return a random sample of all listings, in random order: the same for the same seed."""
        if self._slugs is None:
            rows = self.index.ids("SELECT id FROM listings ORDER BY id")
            cursor = self.index.db.execute("SELECT slug FROM listings ORDER BY id")
            self._slugs = rows, np.array([int(row["slug"], 16) for row in cursor], np.uint64)
        rows, slugs = self._slugs
        drawn = _mixed(slugs ^ np.uint64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")))
        return [rows[i] for i in np.argsort(drawn, kind="stable")[:_AUDIT]]

    def _worth(self, where: list[str], values: list[Any]) -> list[int]:
        """Order by uncertainty, divided by how many of the same kind stand before it or have a label already.

        Uncertainty sampling (Lewis and Gale, SIGIR 1994), spread over kinds: the same findings about the same brand teach
        a model less each time.
        """
        where = [*where, "uncertainty > 0", "id NOT IN (SELECT listing FROM standing)"]
        query = f"SELECT id, kind, uncertainty FROM listings{_all(where)} ORDER BY uncertainty DESC, id LIMIT {_WORTH}"  # noqa: S608
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
    long = [word for word in f.q.split() if len(word) >= 3]
    if long:  # three letters are the least that the index of words knows
        where.append("id IN (SELECT rowid FROM words WHERE text MATCH ?)")
        values.append(" AND ".join('"' + word.replace('"', '""') + '"' for word in long))
    for word in f.q.split():
        if len(word) < 3:
            where.append(r"(title LIKE ? ESCAPE '\' OR listing_id LIKE ? ESCAPE '\')")
            values += [f"%{word.translate(_LIKE)}%"] * 2
    return where, values


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return numbers that look random and are different for different ones: the finaliser of SplitMix64.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z: npt.NDArray[np.uint64] = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _all(where: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None
