"""What reviewers decided: an append-only table of labels, and what a calibration is fitted on."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from imgmatch.errors import InputError
from imgmatch.fusion import feature_values
from imgmatch.fusion.fitting import Example
from imgmatch.fusion.rules import Rules
from imgmatch.records import ScanRecord
from imgmatch.tables import read_table
from imgmatch.types import Basis, Decision, EmbeddingSpace

__all__ = ["LabelRow", "append_labels", "examples_from", "read_labels", "space_of_run"]

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

    Notes
    -----
    Rows are written in one piece and flushed to disk, under a lock, so that concurrent reviewers lose nothing. A line that a
    crash cut short is closed first and read as a bad row, never joined with the next one.

    Raises
    ------
    InputError
        Where the file is some other table, or cannot be written.
    """
    path = Path(path)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(astuple(row) for row in rows)
    try:
        with FileLock(f"{path}.lock"), open(path, "a+b") as f:
            f.seek(0)
            header = f.readline().decode("utf-8-sig", "replace").strip()
            size = f.seek(0, os.SEEK_END)
            if size == 0:
                f.write((",".join(_COLUMNS) + "\n").encode())
            elif header.split(",") != list(_COLUMNS):
                raise InputError(f"not a labels table: expected the header {','.join(_COLUMNS)}", source=str(path))
            else:
                f.seek(size - 1)
                if f.read(1) != b"\n":
                    f.write(b"\n")
            f.write(text.getvalue().encode("utf-8", "backslashreplace"))
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(path)) from error


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
    for place, row in read_table(Path(path), frozenset()):
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


def examples_from(records: Iterable[ScanRecord], labels: Mapping[str, LabelRow], rules: Rules) -> list[Example]:
    """Join records with labels: what :func:`imgmatch.fusion.fitting.fit` fits on.

    Parameters
    ----------
    records : iterable of ScanRecord
        Rows that failed or carry no label are left out.
    labels : mapping of str to LabelRow
    rules : Rules
        The findings are weighed anew with these.
    """
    examples = []
    for record in records:
        label = labels.get(record.listing_id)
        if label is None or record.verdict is None:
            continue
        listing, verdict = record.listing, record.verdict
        assessment = None if verdict.basis is Basis.AUTHORISED else rules.assess(verdict.findings)
        allows = Decision.CLEAR if assessment is None else assessment.allows
        if listing.photo_only:
            allows = min(allows, Decision.REVIEW, key=lambda d: d.rank)
        examples.append(
            Example(
                values=feature_values(rules, assessment, verdict.findings),
                positive=label.label == "confirm",
                allows=allows.rank,
                group=f"{listing.platform}/{listing.seller_id}" if listing.seller_id else record.listing_id,
                brand=verdict.brand,
                random=label.sampled_by == RANDOM,
            )
        )
    return examples


def space_of_run(records: str | Path) -> EmbeddingSpace:
    """Return the embedding space that ``run.json`` beside a records file names.

    Raises
    ------
    InputError
        Where there is no such file, or it names no space.
    """
    path = Path(records).parent / "run.json"
    try:
        run: Any = json.loads(path.read_text("utf-8"))
        space = {k: v for k, v in run["catalog"]["space"].items() if k != "id"}
        return EmbeddingSpace(**space)
    except OSError as error:
        raise InputError(
            "is not there; a calibration needs to know the embedding space, which the scan wrote beside its records",
            source=str(path),
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"names no embedding space: {error}", source=str(path)) from error
