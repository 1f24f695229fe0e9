"""Tables that users bring: CSV, JSON lines or Parquet, one row at a time, with the place of each row for messages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.io.files import append_lines

__all__ = ["TABLE_SUFFIXES", "append_rows", "read_rows", "read_table"]

TABLE_SUFFIXES = frozenset({".csv", ".jsonl", ".ndjson", ".parquet"})

# A cell may hold a description of megabytes; Python's default of 128 KiB would end the whole table there.
_CELL_LIMIT = 64 * 2**20


def read_table(path: Path, lists: frozenset[str], objects: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Yield ``(place, row)`` for each row of a table, or ``(place, InputError)`` where one row cannot be read.

    Parameters
    ----------
    path : Path
        ``.csv`` (UTF-8, with a header), ``.jsonl`` / ``.ndjson`` or ``.parquet`` (extra ``parquet``).
    lists, objects : frozenset of str
        Columns whose CSV cells are JSON arrays or objects. In a list column, a cell that does not start with ``[`` is a
        list of that one string.

    Yields
    ------
    place : str
        ``table.csv:17``, the line (or Parquet row) it is at.
    row : dict or InputError
        Empty CSV cells are None.

    Raises
    ------
    InputError
        Where the table as a whole cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise InputError(f"expected one of {', '.join(sorted(TABLE_SUFFIXES))}", source=str(path))
    if suffix == ".parquet":
        yield from _read_parquet(path)
        return
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
            yield from _read_csv(f, path, lists, objects) if suffix == ".csv" else _read_jsonl(f, path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(path)) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return all rows of a JSON-lines file; any bad row is an error that names its line."""
    rows = []
    for place, row in read_table(path, frozenset()):
        if isinstance(row, InputError):
            raise InputError(str(row))
        if not isinstance(row, dict):
            raise InputError(f"expected a JSON object, got {row!r:.60}", source=place)
        rows.append(row)
    return rows


def _read_csv(f: Any, path: Path, lists: frozenset[str], objects: frozenset[str]) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(_CELL_LIMIT)
    reader = csv.DictReader((line.replace("\0", "\ufffd") for line in f), strict=False)
    if not reader.fieldnames:
        raise InputError("the table is empty: expected a header line", source=str(path))
    while True:
        place = f"{path.name}:{reader.line_num + 1}"
        try:
            row: dict[str | None, Any] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, InputError(str(error), source=place)
            continue
        if None in row:
            yield place, InputError(f"{len(row[None])} cells more than the header has", source=place)
            continue
        try:
            yield place, {k: _cell(k, v, lists, objects) for k, v in row.items() if k}
        except ValueError as error:
            yield place, InputError(str(error), source=place)


def _cell(name: str, text: str | None, lists: frozenset[str], objects: frozenset[str]) -> Any:
    if text is None or text == "":
        return None
    text = _clean(text)
    if name in lists:
        return _json(name, text, list) if text.lstrip().startswith("[") else [text]
    return _json(name, text, dict) if name in objects else text


def _json(name: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: not valid JSON: {error}") from error
    if not isinstance(value, kind):
        raise ValueError(f"{name}: expected a JSON {'array' if kind is list else 'object'}, got {text:.60}")
    return value


def _read_jsonl(f: Any, path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(f, 1):
        place = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(_clean(line))
        except (ValueError, RecursionError) as error:
            yield place, InputError(f"not valid JSON: {error}", source=place)
            continue
        if isinstance(row, Mapping):
            yield place, row
        else:
            yield place, InputError(f"expected a JSON object, got {line.strip()[:60]!r}", source=place)


def _read_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow.parquet as pq
        from pyarrow.lib import ArrowException
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "parquet") from error
    try:
        number = 0
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name}:{number}", row
    except (OSError, ArrowException) as error:
        raise InputError(f"not a readable Parquet file: {error}", source=str(path)) from error


def _clean(text: str) -> str:
    # Undecodable bytes would make the record unwritable as UTF-8; they are shown as question marks.
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def append_rows(path: Path, rows: Iterable[Sequence[Any]], columns: Sequence[str], what: str) -> None:
    """Append rows to a CSV table that only ever grows; it is made, with its header, where it does not exist.

    Parameters
    ----------
    path : Path
    rows : iterable of sequence
        In the order of `columns`.
    columns : sequence of str
    what : str
        What the table is, for the message: ``a labels table``.

    Raises
    ------
    InputError
        Where the file is some other table, or cannot be written; nothing is written then.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    try:
        append_lines(path, text.getvalue(), header=",".join(columns))
    except ValueError as error:
        raise InputError(f"not {what}: {error}", source=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(path)) from error
