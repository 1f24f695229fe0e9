"""What reviewers decided: an append-only table of labels, and what a calibration is fitted on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from imgmatch.errors import InputError
from imgmatch.fusion import feature_values
from imgmatch.fusion.fitting import Example
from imgmatch.fusion.negatives import NegativeBank
from imgmatch.fusion.rules import Rules
from imgmatch.records import ScanRecord
from imgmatch.tables import append_rows, read_table
from imgmatch.types import Basis, Decision, EmbeddingSpace

__all__ = ["LabelRow", "append_labels", "examples_from", "read_labels", "run_of", "space_of_run"]

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


def examples_from(
    records: Iterable[ScanRecord],
    labels: Mapping[str, LabelRow],
    rules: Rules,
    negatives: NegativeBank | None = None,
) -> list[Example]:
    """Join records with labels: what :func:`imgmatch.fusion.fitting.fit` fits on.

    Parameters
    ----------
    records : iterable of ScanRecord
        Rows that failed or carry no label are left out.
    labels : mapping of str to LabelRow
    rules : Rules
        The findings are weighed anew with these.
    negatives : NegativeBank, optional
        What it silences counts no more, though the records were made before.
    """
    examples = []
    for record in records:
        label = labels.get(record.listing_id)
        if label is None or record.verdict is None:
            continue
        listing, verdict = record.listing, record.verdict
        findings = verdict.findings if negatives is None else negatives.silenced_record(record)
        assessment = None if verdict.basis is Basis.AUTHORISED else rules.assess(findings)
        allows = Decision.CLEAR if assessment is None else assessment.allows
        if listing.photo_only:
            allows = min(allows, Decision.REVIEW, key=lambda d: d.rank)
        examples.append(
            Example(
                values=feature_values(rules, assessment, findings),
                positive=label.label == "confirm",
                allows=allows.rank,
                group=f"{listing.platform}/{listing.seller_id}" if listing.seller_id else record.listing_id,
                brand=verdict.brand,
                random=label.sampled_by == RANDOM,
            )
        )
    return examples


def run_of(records: str | Path) -> dict[str, Any]:
    """Return ``run.json`` beside a records file.

    Raises
    ------
    InputError
        Where there is no such file, or it is not one.
    """
    path = Path(records).parent / "run.json"
    try:
        run = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            "is not there; what the scan was made with (catalog, embedding space) stands there, beside its records",
            source=str(path),
        ) from error
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", source=str(path)) from error
    if not isinstance(run, dict) or not isinstance(run.get("catalog"), dict):
        raise InputError("names no embedding space and no catalog", source=str(path))
    return run


def space_of_run(records: str | Path) -> EmbeddingSpace:
    """Return the embedding space that ``run.json`` beside a records file names.

    Raises
    ------
    InputError
        Where there is no such file, or it names no space.
    """
    try:
        return EmbeddingSpace(**{k: v for k, v in run_of(records)["catalog"]["space"].items() if k != "id"})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"names no embedding space: {error}", source=str(Path(records).parent / "run.json")) from error
