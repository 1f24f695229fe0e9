"""Tables of a scan beside its records: one flat row per listing, as CSV for people and Parquet for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from imgmatch.cells import defused
from imgmatch.errors import MissingExtraError, printable
from imgmatch.io.files import atomic_write
from imgmatch.records import ScanRecord

__all__ = ["COLUMNS", "flat_row", "spreadsheet_cell", "write_tables"]

COLUMNS = (
    "listing_id",
    "status",
    "decision",
    "basis",
    "rank",
    "probability",
    "calibration",
    "labels",
    "brand",
    "item_id",
    "shows_brand",
    "shown_by",
    "certainty",
    "similarity",
    "reasons",
    "error",
    "title",
    "price",
    "currency",
    "seller_id",
    "platform",
    "url",
    "photos",
    "photos_failed",
)

_CELL = 32_000  # spreadsheets cut cells at 32,767 characters
_ROWS = 1024  # in memory at once, and in a row group of the Parquet file


def flat_row(record: ScanRecord) -> dict[str, Any]:
    """Return the columns of one record; values are str, float, int or None."""
    v, listing = record.verdict, record.listing
    return {
        "listing_id": record.listing_id,
        "status": record.status,
        "decision": v and str(v.decision),
        "basis": v and str(v.basis),
        "rank": v and v.rank,
        "probability": v and v.probability,
        "calibration": v and v.calibration,
        "labels": v and "; ".join(map(str, v.labels)),
        "brand": v and v.brand,
        "item_id": v and v.item_id,
        "shows_brand": v and v.shows_brand,
        "shown_by": v and "; ".join(v.shown_by),
        "certainty": v and v.certainty,
        "similarity": v and v.similarity,
        "reasons": v and " ".join(v.reasons),
        "error": record.error,
        "title": listing.title,
        "price": None if listing.price is None else str(listing.price),
        "currency": listing.currency,
        "seller_id": listing.seller_id,
        "platform": listing.platform,
        "url": listing.url,
        "photos": len(record.photos),
        "photos_failed": sum(p.status != "ok" for p in record.photos),
    }


def write_tables(records: Iterable[ScanRecord], folder: Path, notes: list[str]) -> Iterator[ScanRecord]:
    """Write both tables while the records go by; they are there when the last has gone.

    Parameters
    ----------
    records : iterable of ScanRecord
    folder : Path
        Gets ``records.csv``, UTF-8 with a byte-order mark so that spreadsheets read it as such, its cells defused; and,
        with pyarrow, ``records.parquet``: the same columns, and the whole record as JSON in the column ``record``.
    notes : list of str
        Gets a line for each file that could not be written.

    Yields
    ------
    ScanRecord
        Each of `records`, in order.
    """
    with ExitStack() as stack:
        text = stack.enter_context(atomic_write(folder / "records.csv"))
        text.write("\ufeff")
        csv_rows = csv.DictWriter(text, COLUMNS)
        csv_rows.writeheader()
        try:
            write_parquet = stack.enter_context(_parquet(folder / "records.parquet"))
        except MissingExtraError as error:
            write_parquet = None
            notes.append(f"no records.parquet: {error}")
        for part in _chunks(records):
            rows = [flat_row(record) for record in part]
            csv_rows.writerows({k: spreadsheet_cell(x) for k, x in row.items()} for row in rows)
            if write_parquet is not None:
                write_parquet([row | {"record": json.dumps(r.to_dict())} for row, r in zip(rows, part, strict=True)])
            yield from part


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Open a Parquet file for rows."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "parquet") from error
    kinds = dict.fromkeys(("rank", "probability", "certainty", "similarity"), pa.float64())
    kinds |= dict.fromkeys(("photos", "photos_failed"), pa.int32())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*COLUMNS, "record")])
    with atomic_write(path, "wb") as f, pq.ParquetWriter(f, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))


def _chunks(records: Iterable[ScanRecord]) -> Iterator[list[ScanRecord]]:
    iterator = iter(records)
    while rows := list(islice(iterator, _ROWS)):
        yield rows


def spreadsheet_cell(value: Any) -> Any:
    """Return a value as a spreadsheet program may be given it: text that it would take for a formula stays text."""
    if not isinstance(value, str):
        return value
    return defused("\n".join(map(printable, value[:_CELL].replace("\r\n", "\n").split("\n")))[:_CELL])
