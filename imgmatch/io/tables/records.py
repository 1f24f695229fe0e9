"""Tables of records: JSON lines, a JSON array, Parquet, spreadsheets. Cells keep their type."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imgmatch.errors import InputError, MissingExtraError
from imgmatch.io.tables.encoding import Encoding, open_text, undecodable
from imgmatch.messages import Message

__all__ = ["WRAPPERS", "read_json", "read_jsonl", "read_parquet", "read_sheet"]

_EXACT = {"float": 2**24, "halffloat": 2**11}  # integers up to here are exact in float32 and float16 (IEEE 754)
WRAPPERS = frozenset({"items", "listings", "results", "data", "products", "rows", "records", "offers", "ads", "hits"})
"""What answers of marketplaces' interfaces call the array that they hold."""

_JSON_BYTES = 512 * 2**20  # an array is read as a whole; JSON lines have no limit
_SHEET_BYTES = 1 << 30  # a spreadsheet is unpacked in memory


def read_jsonl(path: Path, encoding: Encoding) -> Iterator[tuple[int, Any]]:
    """Yield (line, object) or (line, InputError)."""
    with open_text(path, encoding) as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            if undecodable(line):
                yield number, InputError(Message("holds bytes that are not {encoding}", encoding=encoding.name))
                continue
            try:
                row = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                yield number, InputError(Message("not valid JSON: {error}", error=str(error)))
                continue
            yield number, _row(row)


def read_json(path: Path, encoding: Encoding) -> Iterator[tuple[int, Any]]:
    """Yield (number, object) of a JSON array, or of the array that an object wraps; any other object is one row.

    Raises
    ------
    InputError
        Where the file is not valid JSON, or too large to be read whole.
    """
    if path.stat().st_size > _JSON_BYTES:
        raise InputError("a JSON array of more than 512 MiB; save it as JSON lines, one object a line", source=str(path))
    with open_text(path, encoding) as f:
        try:
            value = json.loads(f.read(), object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not valid JSON: {error}", source=str(path)) from error
    while isinstance(value, Mapping):
        wrapped = [value[name] for name in sorted(WRAPPERS & value.keys()) if isinstance(value[name], (list, Mapping))]
        value = wrapped[0] if wrapped else [value]
    if not isinstance(value, list):
        raise InputError("expected a JSON array of objects", source=str(path))
    for number, row in enumerate(value, 1):
        yield number, _row(row)


def read_parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, Any]]]:
    """Return the columns and the rows of a Parquet file, counted from 1."""
    try:
        import pyarrow.parquet as pq
        from pyarrow.lib import ArrowException
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "parquet") from error
    try:
        file = pq.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise InputError(f"not a readable Parquet file: {error}", source=str(path)) from error
    names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]

    def rows() -> Iterator[tuple[int, Any]]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=1024):
                columns = [_column(batch.column(name)) for name in names]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, dict(zip(names, cells, strict=True))
        except (OSError, ArrowException) as error:
            raise InputError(f"not a readable Parquet file: {error}", source=str(path)) from error

    return names, rows()


def read_sheet(path: Path, fits: Callable[[list[Any]], bool]) -> tuple[str, list[tuple[int, list[Any]]]]:
    """Return the name of a sheet of a spreadsheet, and its rows with their numbers.

    Parameters
    ----------
    path : Path
    fits : callable
        Tells whether a row may be the header: the first sheet with one such at its top is taken, else
        the one with most cells.

    Raises
    ------
    InputError
        Where it cannot be read, or would unpack to more than 1 GiB.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise MissingExtraError("reading a spreadsheet", "xlsx") from error
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as members:
                if sum(member.file_size for member in members.infolist()) > _SHEET_BYTES:
                    raise InputError("a spreadsheet that unpacks to more than 1 GiB; save it as CSV", source=str(path))
        with CalamineWorkbook.from_path(str(path)) as book:
            fullest: tuple[str, list[tuple[int, list[Any]]]] = "", []
            for name in book.sheet_names:
                rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
                found = [(n, [_cell(c) for c in row]) for n, row in enumerate(rows, 1) if any(c != "" for c in row)]
                if any(fits(row) for _, row in found[:20]):
                    return name, found
                if sum(len(row) for _, row in found) > sum(len(row) for _, row in fullest[1]):
                    fullest = name, found
            if fullest[1]:
                return fullest
    except InputError:
        raise
    except (CalamineError, zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise InputError(f"not a readable spreadsheet: {error}", source=str(path)) from error
    raise InputError("the spreadsheet is empty: expected a header row", source=str(path))


def _row(row: Any) -> Any:
    if isinstance(row, Mapping):
        return row
    return InputError(Message("expected a JSON object, got {value}", value=json.dumps(row)[:60]))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate field {next(n for n in names if names.count(n) > 1)!r}")
    return made


def _column(column: Any) -> list[Any]:
    """Return the cells of a column; a time beyond what Python holds loses only its own cell."""
    try:
        cells: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        cells = []
        for cell in column:
            try:
                cells.append(cell.as_py())
            except (ValueError, OverflowError):
                cells.append(None)
    if "binary" in str(column.type) and all(cell is None or _printable(cell) for cell in cells):
        return [None if cell is None else cell.decode() for cell in cells]  # as Spark and Impala write texts
    exact = _EXACT.get(str(column.type))
    if exact is not None:  # written with the digits that it has: no id can be mistaken for whole
        cells = [f"{cell:.6e}" if isinstance(cell, float) and abs(cell) >= exact else cell for cell in cells]
    return cells


def _printable(cell: bytes) -> bool:
    try:
        text = cell.decode()
    except UnicodeDecodeError:
        return False
    return not any(c < " " and c not in "\t\r\n" for c in text)


def _cell(cell: Any) -> Any:
    """Return a whole number of a spreadsheet, all of whose numbers are floats, as the integer that it shows."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else cell
