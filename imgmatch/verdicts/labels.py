"""What reviewers decided: an append-only table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from imgmatch.errors import InputError
from imgmatch.io.tables import append_rows, read_table

__all__ = ["RANDOM", "LabelRow", "append_labels", "read_labels"]

_VALUES = ("confirm", "reject")
RANDOM = "random"
"""`sampled_by` of a listing that was drawn at random from all listings, unflagged ones included."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One decision of one reviewer.

    Parameters
    ----------
    listing_id : str
    label : str
        ``confirm`` (the lead was right) or ``reject``.
    reviewer : str
    time : str
        ISO 8601.
    sampled_by : str
        How the listing came to be reviewed: ``random`` for a random audit of all listings, anything else otherwise.
        Only random ones support a false-positive rate.
    """

    listing_id: str
    label: str
    reviewer: str
    time: str
    sampled_by: str

    def __post_init__(self) -> None:
        if not self.listing_id:
            raise InputError("listing_id: missing or empty")
        if self.label not in _VALUES:
            raise InputError(f"label: expected {' or '.join(_VALUES)}, got {self.label!r:.60}")


_COLUMNS = tuple(f.name for f in fields(LabelRow))


def append_labels(path: str | Path, rows: Sequence[LabelRow]) -> None:
    """Append decisions to a labels table, which is made where it does not exist; nothing is ever changed in it.

    Raises
    ------
    InputError
        Where the file is some other table, or cannot be written.
    """
    append_rows(Path(path), (astuple(row) for row in rows), _COLUMNS, "a labels table")


def read_labels(path: str | Path) -> tuple[dict[str, LabelRow], list[str]]:
    """Read a labels table.

    Returns
    -------
    labels : dict of str to LabelRow
        By listing id; the last row about a listing stands.
    problems : list of str
        Rows that could not be used, each with its place.
    """
    labels: dict[str, LabelRow] = {}
    problems: list[str] = []
    for place, row in read_table(Path(path)):
        if isinstance(row, InputError):
            problems.append(str(row))
            continue
        if not {"listing_id", "label"} <= set(row):
            raise InputError(f"expected the columns {', '.join(_COLUMNS)}", source=place)
        try:
            label = LabelRow(**{name: str(row.get(name) or "") for name in _COLUMNS})
        except InputError as error:
            problems.append(f"{place}: {error}")
            continue
        labels.pop(label.listing_id, None)
        labels[label.listing_id] = label
    return labels, problems
