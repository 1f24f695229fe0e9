"""CSV and its kin: which delimiter, and rows that a quote left open cannot swallow."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from imgmatch.errors import InputError
from imgmatch.io.tables.encoding import Encoding, open_text
from imgmatch.messages import Message

__all__ = ["Cells", "delimiter_of", "read_cells"]

Cells = list[str]

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_LINES = 50  # that the delimiter is found from; a guess
_SEP = re.compile(r"""\s*["']?sep=(.)["']?[\s,;]*""", re.IGNORECASE | re.DOTALL)
_TEXT_FOR_EXCEL = re.compile(r'^="([^"]*)"$')  # ="0042", by which exports keep Excel from making a number of it
# A cell may hold a description of megabytes; Python's default of 128 KiB would end the whole table there.
_CELL_LIMIT = 64 * 2**20


def delimiter_of(path: Path, encoding: Encoding) -> tuple[str, int]:
    """Return the delimiter of a table and how many lines stand before its header: 1 where the first is ``sep=;``."""
    csv.field_size_limit(_CELL_LIMIT)
    with open_text(path, encoding) as f:
        lines = list(islice(f, _LINES))
    if lines and (found := _SEP.fullmatch(lines[0])):
        return found.group(1), 1
    return max(_DELIMITERS, key=lambda delimiter: _fit(lines, delimiter)), 0


def describe(delimiter: str) -> str:
    return _DELIMITERS.get(delimiter, repr(delimiter))


def _fit(lines: list[str], delimiter: str) -> tuple[bool, float, int]:
    """Return how well a delimiter cuts lines: whether the first row is as wide as most, their share, and that width."""
    rows = csv.reader(_without_nul(lines), delimiter=delimiter, skipinitialspace=True)
    try:
        widths = [len(row) for row in rows if any(row)]
    except csv.Error:  # a cell beyond the limit: reading it names its line
        return False, 0.0, 0
    # Some rows may be ragged (cells too many, a quote left open), and a title may stand above the header.
    usual, alike = max(Counter(widths).items(), key=lambda pair: (pair[1], pair[0]), default=(0, 0))
    return (widths[0] == usual, round(alike / len(widths), 1) * usual, usual) if usual > 1 else (False, 0.0, 0)


def read_cells(path: Path, encoding: Encoding, delimiter: str, skip: int) -> Iterator[tuple[int, Cells | InputError]]:
    """Yield the line where each row begins, and its cells, or what is wrong with it.

    Raises
    ------
    InputError
        Where a quote is left open: naming the line where it opened. Rows before it were yielded.

    Notes
    -----
    Empty lines are skipped. A quote may open at the beginning of a cell alone, so ``12" wide`` is a text as it stands. A
    row that is wrong within one line is skipped alone; one that goes on over several lines is a quote left open, as whatever
    follows may have been part of it.
    """
    with open_text(path, encoding) as f:
        lines = _Lines(islice(_without_nul(f), skip, None))
        width = 0
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            begin = reader.line_num + skip + 1
            lines.seen.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if len(lines.seen) > 1 or "unexpected end" in str(error):
                    raise _left_open(path, begin) from error
                sloppy = _sloppy(lines.seen[0], delimiter)
                if sloppy is None:
                    yield begin, InputError(Message("cannot be split into cells: {error}", error=str(error)))
                else:
                    yield begin, sloppy
                continue
            if not any(cell.strip() for cell in cells):
                continue
            more = [line for line in lines.seen[1:] if line.strip()]
            if more and all(_like(line, cells, delimiter) for line in more) and not _closed(cells, width, more[-1]):
                raise _left_open(path, begin)
            width = len(cells)
            yield begin, [_TEXT_FOR_EXCEL.sub(r"\1", cell) if cell.startswith('="') else cell for cell in cells]


class _Lines:
    """Lines as they go by, those of the row that is being read remembered."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.seen: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.seen.append(line)
        return line


def _sloppy(line: str, delimiter: str) -> Cells | None:
    """Read one line with quotes within a quoted cell (``"19" monitor"``); None where a cell's quote does not close on it."""
    quoted, cells, at = re.compile(rf'\s*"(.*?)"\s*(?={re.escape(delimiter)}|$)'), [], 0
    line = line.rstrip("\r\n")
    while at <= len(line):
        found = quoted.match(line, at)
        end = found.end() if found else line.find(delimiter, at) % (len(line) + 1)
        cell = found.group(1).replace('""', '"') if found else line[at:end].strip()
        if not found and cell.startswith('"'):
            return None
        cells.append(cell)
        at = end + 1
    return cells


def _like(line: str, row: Cells, delimiter: str) -> bool:
    """Tell whether a line within a quoted cell looks like a row of its own: as many cells, and a first cell of one shape."""
    cells = line.split(delimiter)
    return len(row) > 2 and len(cells) >= len(row) and bool(row[0].strip()) and _shape(cells[0]) == _shape(row[0])


def _closed(row: Cells, width: int, last: str) -> bool:
    """Tell whether lines like rows are text: in the last cell alone, ended by a quote that is no sign for inches."""
    alone = len(row) == width and not any("\n" in cell or "\r" in cell for cell in row[:-1])
    return alone and re.search(r'[^\s\d"]"\s*$', last) is not None


def _shape(cell: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell.strip()))


def _left_open(path: Path, line: int) -> InputError:
    return InputError(
        f"a quote that opens in line {line} is not closed; the rows before it were read, nothing after it. Close the quote, "
        "or double it where it is part of the text",
        source=f"{path.name}:{line}",
    )


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    return (line.replace("\0", "") for line in lines)
