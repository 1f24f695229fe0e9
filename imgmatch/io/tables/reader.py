"""One way in for every table: its content decides what it is."""

from __future__ import annotations

import atexit
import csv
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from imgmatch.cells import as_texts, defused, is_missing
from imgmatch.errors import InputError
from imgmatch.io.files import append_lines
from imgmatch.io.tables.columns import Columns, Layout
from imgmatch.io.tables.delimited import delimiter_of, describe, read_cells
from imgmatch.io.tables.encoding import Encoding, encoding_of, open_text, undecodable
from imgmatch.io.tables.records import WRAPPERS, read_json, read_jsonl, read_parquet, read_sheet
from imgmatch.messages import Message

__all__ = ["Table", "append_rows", "listing_input", "read_table"]

_NO_TABLES = (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"GIF8", b"RIFF", b"%PDF")
_OLE = b"\xd0\xcf\x11\xe0"  # .xls
_JSONL = frozenset({".jsonl", ".ndjson"})
_ABOVE = 20  # rows that the header is looked for in; a guess
_STDIN = "-"

Rows = Iterator[tuple[str, Any]]


class Table:
    """The rows of a table, and how it is read.

    Iterating gives ``(place, row)``, or ``(place, InputError)`` where one row cannot be read; `place` is ``table.csv:17``,
    the line, row or number it is at. It raises InputError where the table cannot be read on.

    Attributes
    ----------
    how : str
        In words: ``CSV, semicolon, cp1252, columns id, title``.
    unmapped : list of str
        Columns that are none of the fields asked for, as far as rows were read.
    """

    def __init__(self, how: str, rows: Rows, columns: Columns) -> None:
        self.how = how
        self._rows = rows
        self._columns = columns

    def __iter__(self) -> Rows:
        return self._rows

    @property
    def columns(self) -> list[str]:
        """What the columns are called in the table; where rows name their own cells, in the first row."""
        return self._columns.seen

    @property
    def unmapped(self) -> list[str]:
        return list(self._columns.unmapped)


def read_table(
    path: Path,
    *,
    known: Iterable[str] = (),
    lists: frozenset[str] = frozenset(),
    layout: Layout | None = None,
) -> Table:
    """Open a table.

    Parameters
    ----------
    path : Path
        CSV with any delimiter and encoding, JSON lines, a JSON array, Parquet (extra ``parquet``) or a spreadsheet (extra
        ``xlsx``), whatever its suffix; ``-`` is standard input.
    known : iterable of str
        Fields that are asked for; columns are matched whatever their case, blanks or hyphens.
    lists : frozenset of str
        Fields that may stand in several columns; what their cells mean, :func:`imgmatch.cells.as_texts` says.
    layout : Layout, optional
        Where the fields come from in somebody else's table.

    Raises
    ------
    InputError
        Where the table as a whole cannot be read.
    """
    columns = Columns(known, lists, layout)
    name, path = path.name, listing_input(path)
    try:
        how, rows = _open(path, name, columns)
        return Table(how, _checked(_grouped(rows, layout, lists), path), columns)
    except (OSError, UnicodeError) as error:
        raise _unreadable(error, path) from error


def listing_input(path: Path) -> Path:
    """Return the file to read: standard input, where the path is ``-``, as a temporary file, since it is read twice."""
    return _stdin() if str(path) == _STDIN else path


@cache
def _stdin() -> Path:
    if sys.stdin is None:
        raise InputError("standard input is closed; pipe a table into it, or name a file")
    with tempfile.NamedTemporaryFile(prefix="imgmatch-stdin-", delete=False) as f:
        shutil.copyfileobj(sys.stdin.buffer, f)
    atexit.register(Path(f.name).unlink, missing_ok=True)
    return Path(f.name)


def _open(path: Path, name: str, columns: Columns) -> tuple[str, Rows]:
    with open(path, "rb") as f:
        head = f.read(4096)
    if not head.strip() and path.suffix.lower() not in _JSONL:
        raise InputError("the table is empty: expected a header line", source=name)
    if head[:4] == b"PAR1":
        names, rows = read_parquet(path)
        columns.check(names, name)
        return f"Parquet, columns {_few(names)}", _named(name, rows, columns)
    if head[:2] == b"PK" or head[:4] == _OLE:
        sheet, cells = read_sheet(path, lambda row: columns.fits(_names(row)))
        return _positional(name, f"spreadsheet, sheet {sheet!r}", iter(cells), columns)
    if head[:2] == b"\x1f\x8b":
        raise InputError("packed with gzip; unpack it", source=name)
    if head[:4] in _NO_TABLES or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise InputError("not a table: a photo, a PDF or a web page by its content", source=name)
    encoding = encoding_of(path)
    start = head.decode(encoding.name, "replace").lstrip("\ufeff \t\r\n")
    if start[:1] == "[" and path.suffix.lower() not in {".csv", ".tsv"}:
        return _objects(name, f"JSON array, {encoding.describe()}", read_json(path, encoding), columns)
    if start[:1] == "{" and path.suffix.lower() not in _JSONL and not _is_jsonl(path, encoding):
        return _objects(name, f"JSON, {encoding.describe()}", read_json(path, encoding), columns)
    if start[:1] == "{" or path.suffix.lower() in _JSONL:
        return _objects(name, f"JSON lines, {encoding.describe()}", read_jsonl(path, encoding), columns)
    delimiter, skip = delimiter_of(path, encoding)
    how = f"CSV, {describe(delimiter)}, {encoding.describe()}"
    return _positional(name, how, read_cells(path, encoding, delimiter, skip), columns)


def _positional(name: str, how: str, rows: Iterator[tuple[int, Any]], columns: Columns) -> tuple[str, Rows]:
    """Name the cells of each row by the first row."""
    # A title or two may stand above the header.
    above = []
    for row in islice(rows, _ABOVE):
        above.append(row)
        if not isinstance(row[1], InputError) and columns.fits(_names(row[1])):
            break
    else:
        rows = chain(above[1:], rows)
        above = above[:1]
    names = _names(above[-1][1]) if above and not isinstance(above[-1][1], InputError) else []
    if not names:
        raise InputError("expected a header line", source=name)
    if undecodable("".join(names)):
        raise InputError("the header holds bytes that cannot be decoded; save the table as UTF-8", source=name)
    columns.check(names, name)

    def read() -> Rows:
        for number, cells in rows:
            place = f"{name}:{number}"
            if isinstance(cells, InputError):
                yield place, InputError(cells.said, source=place)
                continue
            more = [cell for cell in cells[len(names) :] if not is_missing(cell)]
            if more:
                extra = Message("more cells than the header has: {count}", count=len(cells) - len(names))
                yield place, InputError(extra, source=place)
                continue
            bad = next((n for n, c in zip(names, cells, strict=False) if isinstance(c, str) and undecodable(c)), None)
            if bad is not None:
                broken = Message("{column}: holds bytes that cannot be decoded; save the table as UTF-8", column=bad)
                yield place, InputError(broken, source=place)
                continue
            if _names(cells) == names:  # tables that were joined, each with its header
                continue
            padded = [*cells, *[None] * (len(names) - len(cells))]
            yield place, columns.fields(list(zip(names, padded, strict=False)), place)

    return f"{how}, columns {_few(names)}", read()


def _names(cells: Sequence[Any]) -> list[str]:
    return ["" if is_missing(cell) else str(cell).strip() for cell in cells]


def _objects(name: str, how: str, rows: Iterator[tuple[int, Any]], columns: Columns) -> tuple[str, Rows]:
    """Take the first object's names for those of the table, to say what was seen."""
    first = next(rows, None)
    if first is None or isinstance(first[1], InputError):
        return how, _named(name, chain(filter(None, [first]), rows), columns)
    columns.seen = [str(key) for key in first[1]]
    return f"{how}, columns {_few(columns.seen)}", _named(name, chain([first], rows), columns)


def _named(name: str, rows: Iterator[tuple[int, Any]], columns: Columns) -> Rows:
    """Give rows that name their own cells the fields that are asked for."""
    for number, row in rows:
        place = f"{name}:{number}"
        if isinstance(row, InputError):
            yield place, InputError(row.said, source=place)
            continue
        try:
            yield place, columns.fields([(str(k), v) for k, v in row.items()], place)
        except InputError as error:
            yield place, error


def _grouped(rows: Rows, layout: Layout | None, lists: frozenset[str]) -> Rows:
    """Fold rows that are of one listing into one."""
    if layout is not None and layout.group is not None:
        return _in_groups(rows, layout, layout.group, lists)
    return rows if layout is None or layout.parent is None else _under_parents(rows, layout, lists)


def _under_parents(rows: Rows, layout: Layout, lists: frozenset[str]) -> Rows:
    """Fold rows that name another as their parent into it; those whose parent is not in the table are listings."""
    held: list[tuple[str, Any]] = []
    broken: InputError | None = None
    try:
        held.extend(rows)
    except InputError as error:  # what was read before is kept
        broken = error
    parents: dict[str, dict[str, Any]] = {}
    for _, row in held:
        if not isinstance(row, InputError) and is_missing(row.get(layout.parent or "")):
            for name in (row.get(layout.key or ""), f"id:{row.get('listing_id')}"):
                if not is_missing(name):
                    parents.setdefault(str(name), row)
    children: set[int] = set()
    for n, (place, row) in enumerate(held):
        mine = None if isinstance(row, InputError) else parents.get(str(row.get(layout.parent or "")))
        if mine is None:
            continue
        try:
            _fold(mine, row, lists)
            children.add(n)
        except InputError as error:
            held[n] = place, InputError(str(error), source=place)
    yield from (row for n, row in enumerate(held) if n not in children)
    if broken is not None:
        raise broken


def _in_groups(rows: Rows, layout: Layout, column: str, lists: frozenset[str]) -> Rows:
    """Fold rows that follow each other and are of one listing into the first of them."""
    held: tuple[str, dict[str, Any]] | None = None
    group = next((f for f, sources in layout.columns.items() if column in sources), column)
    for place, row in rows:
        if isinstance(row, InputError):
            yield place, row
        elif held is not None and row.get(group) is not None and row.get(group) == held[1].get(group):
            try:
                _fold(held[1], row, lists)
            except InputError as error:
                yield place, InputError(error.said, source=place)
        else:
            if held is not None:
                yield held
            held = place, dict(row)
    if held is not None:
        yield held


def _fold(into: dict[str, Any], row: Mapping[str, Any], lists: frozenset[str]) -> None:
    for name, value in row.items():
        mine = into.get(name)
        if value is None or value == mine:
            continue
        if name in lists:
            into[name] = list(dict.fromkeys([*as_texts(name, mine), *as_texts(name, value)]))
        elif mine is None:
            into[name] = value
        elif name == "price":
            into[name] = _range(f"{mine} – {value}")


def _range(prices: str) -> str:
    """Return the least and the greatest of the prices of several sizes, all of them where they are not plain numbers."""
    ends = prices.split(" – ")
    try:
        return f"{min(ends, key=float)} – {max(ends, key=float)}"
    except ValueError:
        return prices


def _checked(rows: Rows, path: Path) -> Rows:
    """Say which table it was where reading breaks off."""
    try:
        yield from rows
    except (OSError, UnicodeError) as error:
        raise _unreadable(error, path) from error


def _unreadable(error: OSError | UnicodeError, path: Path) -> InputError:
    if isinstance(error, OSError):
        return InputError(f"cannot be read: {error.strerror}", source=str(path))
    return InputError(f"cannot be decoded: {error}", source=str(path))  # half a letter at the end of UTF-16


def _few(names: Sequence[str]) -> str:
    shown = [name for name in names if name]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _is_jsonl(path: Path, encoding: Encoding) -> bool:
    """Tell whether the first line is an object by itself and the next, where there is one, begins another."""
    with open_text(path, encoding) as f:
        lines = [line.strip() for line in islice(f, 3) if line.strip()]
    try:
        alone = json.loads(lines[0])
    except (ValueError, RecursionError):
        return path.suffix.lower() != ".json" and len(lines[0]) > 1
    return len(lines) > 1 or not isinstance(alone, dict) or not WRAPPERS & alone.keys()


def append_rows(path: Path, rows: Iterable[Sequence[Any]], columns: Sequence[str], what: str) -> None:
    """Append rows to a CSV table that only ever grows; it is made, with its header, where it does not exist.

    Texts are written `defused`; whoever reads them back takes them `undefused`.

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
    csv.writer(text, lineterminator="\n").writerows([defused(x) if isinstance(x, str) else x for x in row] for row in rows)
    try:
        append_lines(path, text.getvalue(), header=",".join(columns))
    except ValueError as error:
        raise InputError(f"not {what}: {error}", source=str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", source=str(path)) from error
