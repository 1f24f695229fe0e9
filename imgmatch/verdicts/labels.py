"""What reviewers decided: an append-only table of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from imgmatch.cells import undefused
from imgmatch.errors import InputError
from imgmatch.io.tables import append_rows, read_table
from imgmatch.records import ScanRecord

__all__ = [
    "LABEL_COLUMNS",
    "RANDOM",
    "UNDO",
    "LabelRow",
    "append_labels",
    "labelled",
    "read_decisions",
    "read_labels",
    "read_rows",
    "standing",
]

UNDO = "undo"
"""A row that takes back the same reviewer's last decision about the listing: nothing is ever changed in the table."""
_VALUES = ("confirm", "reject", UNDO)
RANDOM = "random"
"""`sampled_by` of a listing that was drawn at random from all listings, unflagged ones included."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One decision of one reviewer.

    Parameters
    ----------
    listing_id : str
    label : str
        ``confirm`` (the lead was right), ``reject``, or ``undo``.
    reviewer : str
    time : str
        ISO 8601.
    sampled_by : str
        How the listing came to be reviewed: ``random`` for a random audit of all listings, anything else otherwise.
        Only random ones support a false-positive rate.
    platform, seller_id : str
        Of the listing: ids are unique within a seller at best. Both empty where not known; the id alone must tell then.
    """

    listing_id: str
    label: str
    reviewer: str
    time: str
    sampled_by: str
    platform: str = ""
    seller_id: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """As :attr:`imgmatch.records.Listing.key`."""
        return self.platform, self.seller_id, self.listing_id

    def __post_init__(self) -> None:
        if not self.listing_id:
            raise InputError("listing_id: missing or empty")
        if self.label not in _VALUES:
            raise InputError(f"label: expected {', '.join(_VALUES[:-1])} or {UNDO}, got {self.label!r:.60}")


LABEL_COLUMNS = tuple(f.name for f in fields(LabelRow))


def append_labels(path: str | Path, rows: Sequence[LabelRow]) -> None:
    """Append decisions to a labels table, which is made where it does not exist; nothing is ever changed in it.

    Raises
    ------
    InputError
        Where the file is some other table, or cannot be written.
    """
    append_rows(Path(path), (astuple(row) for row in rows), LABEL_COLUMNS, "a labels table")


def read_rows(path: str | Path) -> tuple[list[LabelRow], list[str]]:
    """Read all rows of a labels table, those that take one back as well.

    Returns
    -------
    rows : list of LabelRow
    problems : list of str
        Rows that could not be used, each with its place.
    """
    rows: list[LabelRow] = []
    problems: list[str] = []
    for place, row in read_table(Path(path)):
        if isinstance(row, InputError):
            problems.append(str(row))
            continue
        if not {"listing_id", "label"} <= set(row):
            raise InputError(f"expected the columns {', '.join(LABEL_COLUMNS)}", source=place)
        try:
            rows.append(LabelRow(**{name: undefused(str(row.get(name) or "")) for name in LABEL_COLUMNS}))
        except InputError as error:
            problems.append(f"{place}: {error}")
    return rows, problems


def standing(rows: Iterable[LabelRow]) -> dict[tuple[str, str, str], list[LabelRow]]:
    """Return the decisions that were not taken back.

    Returns
    -------
    dict of (platform, seller_id, listing_id) to list of LabelRow
        At most one of each reviewer, who may have changed their mind; the last to decide comes last.
    """
    decisions: dict[tuple[str, str, str], list[LabelRow]] = {}
    for row in rows:
        of_listing = decisions.setdefault(row.key, [])
        if row.label == UNDO:
            taken_back = next((r for r in reversed(of_listing) if r.reviewer == row.reviewer), None)
            if taken_back is not None:
                of_listing.remove(taken_back)
        else:
            of_listing.append(row)
    return {key: _of_each_reviewer(found) for key, found in decisions.items() if found}


def read_decisions(path: str | Path) -> tuple[dict[tuple[str, str, str], list[LabelRow]], list[str]]:
    """Read what stands in a labels table (see `standing`), and the problems of its rows."""
    rows, problems = read_rows(path)
    return standing(rows), problems


def _of_each_reviewer(rows: Sequence[LabelRow]) -> list[LabelRow]:
    last: dict[str, LabelRow] = {}
    for row in reversed(rows):
        last.setdefault(row.reviewer, row)
    return list(last.values())[::-1]


def read_labels(path: str | Path) -> tuple[dict[tuple[str, str, str], LabelRow], list[str]]:
    """Read a labels table.

    Returns
    -------
    labels : dict of (platform, seller_id, listing_id) to LabelRow
        The last row about a listing stands, unless it was taken back.
    problems : list of str
        Rows that could not be used, each with its place.
    """
    decisions, problems = read_decisions(path)
    return {key: rows[-1] for key, rows in decisions.items()}, problems


def labelled(
    records: Iterable[ScanRecord], labels: Mapping[tuple[str, str, str], LabelRow]
) -> tuple[list[tuple[ScanRecord, LabelRow]], list[str]]:
    """Join records with labels.

    Returns
    -------
    pairs : list of (ScanRecord, LabelRow)
        In the order of the records.
    problems : list of str
        Labels that name an id alone which several listings share: they count for none.
    """
    pairs = []
    for record in records:
        label = labels.get(record.listing.key) or labels.get(("", "", record.listing_id))
        if label is not None:
            pairs.append((record, label))
    sharing = Counter(label.key for _, label in pairs)
    shared = {key for key, n in sharing.items() if n > 1 and key[:2] == ("", "")}
    problems = [
        f"{key[2]}: {sharing[key]} listings have that id; label them by platform/seller/id" for key in sorted(shared)
    ]
    return [(record, label) for record, label in pairs if label.key not in shared], problems
