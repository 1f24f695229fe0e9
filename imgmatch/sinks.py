"""Tables of a scan beside its records: one flat row per listing, as CSV for people and Parquet for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from imgmatch.errors import MissingExtraError
from imgmatch.files import atomic_write
from imgmatch.records import ScanRecord

__all__ = ["COLUMNS", "flat_row", "write_csv", "write_parquet"]

COLUMNS = (
    "listing_id",
    "status",
    "decision",
    "basis",
    "probability",
    "labels",
    "brand",
    "item_id",
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

# A cell that starts with one of these is a formula to a spreadsheet program
# (OWASP, https://owasp.org/www-community/attacks/CSV_Injection); a leading apostrophe makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CELL = 32_000  # spreadsheets cut cells at 32,767 characters
_ROWS = 4096


def flat_row(record: ScanRecord) -> dict[str, Any]:
    """Return the columns of one record; values are str, float, int or None."""
    v, listing = record.verdict, record.listing
    return {
        "listing_id": record.listing_id,
        "status": record.status,
        "decision": v and str(v.decision),
        "basis": v and str(v.basis),
        "probability": v and v.probability,
        "labels": v and "; ".join(map(str, v.labels)),
        "brand": v and v.brand,
        "item_id": v and v.item_id,
        "similarity": v and v.similarity,
        "reasons": v and "; ".join(v.reasons),
        "error": record.error,
        "title": listing.title,
        "price": listing.price,
        "currency": listing.currency,
        "seller_id": listing.seller_id,
        "platform": listing.platform,
        "url": listing.url,
        "photos": len(record.photos),
        "photos_failed": sum(p.status != "ok" for p in record.photos),
    }


def write_csv(records: Iterable[ScanRecord], path: Path) -> None:
    """Write ``records.csv``, UTF-8 with a byte-order mark so that spreadsheets read it as such; cells are defused."""
    with atomic_write(path) as f:
        f.write("\ufeff")
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        for record in records:
            writer.writerow({k: _cell(x) for k, x in flat_row(record).items()})


def write_parquet(records: Iterable[ScanRecord], path: Path) -> None:
    """Write ``records.parquet``: the columns of the CSV, and the whole record as JSON in the column ``record``.

    Raises
    ------
    MissingExtraError
        Without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "parquet") from error
    kinds = {"probability": pa.float64(), "similarity": pa.float64(), "photos": pa.int32(), "photos_failed": pa.int32()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*COLUMNS, "record")])
    with atomic_write(path, "wb") as f, pq.ParquetWriter(f, schema) as writer:
        for rows in _chunks(records):
            table = [{**flat_row(r), "record": json.dumps(r.to_dict())} for r in rows]
            writer.write_table(pa.Table.from_pylist(table, schema))


def _chunks(records: Iterable[ScanRecord]) -> Iterator[list[ScanRecord]]:
    iterator = iter(records)
    while rows := list(islice(iterator, _ROWS)):
        yield rows


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "")[:_CELL]
    return f"'{value}" if value.startswith(_FORMULA) else value
