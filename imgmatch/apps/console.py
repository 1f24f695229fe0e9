"""What commands print with: one console, one way to fail, one progress bar."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

from imgmatch.errors import printable

__all__ = [
    "EXIT_FAILED",
    "EXIT_FLAGGED",
    "EXIT_INTERRUPTED",
    "LogFormatter",
    "console",
    "fail",
    "log_to_stderr",
    "progress_bar",
    "show_table",
    "show_warnings",
    "without_contacts",
]

EXIT_FAILED, EXIT_FLAGGED, EXIT_INTERRUPTED = 1, 10, 130


class _Console(Console):
    """A console on which text from catalogs, tables and file names is shown, never sent: see :func:`printable`."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_lines(segment.text), segment.style)


class LogFormatter(logging.Formatter):
    """Log lines in which foreign text is shown, never sent, and contacts are masked: an error quotes what broke it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if len(text) > 2 * _LOGGED:
            text = f"{text[:_LOGGED]}\n… {len(text) - 2 * _LOGGED:,} characters left out …\n{text[-_LOGGED:]}"
        return without_contacts(_lines(text))


def log_to_stderr() -> None:
    """Write what is logged to stderr from now on, for commands that run until they are stopped."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def show_warnings() -> None:
    """Let what is logged while a command runs, by our libraries too, be shown as all foreign text is."""
    if logging.lastResort is not None:  # Python's own handler of warnings that nobody else handles
        logging.lastResort.setFormatter(LogFormatter("%(levelname)s: %(message)s"))


def without_contacts(text: str) -> str:
    """Return text in which whatever could be an e-mail address or a telephone number is ``…``."""
    return _CONTACT.sub("…", text)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


console = _Console(soft_wrap=True)
errors = _Console(stderr=True, soft_wrap=True)

# E-mail addresses, and numbers long enough to call. What market/contacts.py reads, it reads better; a log, and a list of
# titles, may lose too much.
_CONTACT = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|\+?\d[\d ().-]{6,20}\d(?![\w.])")
_LOGGED = 10_000  # characters of the beginning and of the end of what is logged at once; a traceback has fewer: a guess
_PLAIN_SECONDS = 10.0  # without a terminal, a line this often


def fail(message: str) -> None:
    """Print one line about what went wrong to stderr."""
    errors.print(f"[bold red]error[/] {escape(message)}", highlight=False)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a small table; cells are shown as they are, never read as markup."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show progress: a bar with rate and time left on a terminal, plain lines elsewhere.

    Yields
    ------
    callable
        ``update(done, total or None, note)``.
    """
    start = time.monotonic()

    def rate(done: int) -> str:
        return f"{done / max(time.monotonic() - start, 1e-6):.1f}/s"

    if not errors.is_terminal:
        last = start

        def line(done: int, total: int | None, note: str = "") -> None:
            nonlocal last
            if done == total or time.monotonic() - last >= _PLAIN_SECONDS:
                last = time.monotonic()
                of = f" of {total}" if total else ""
                with suppress(OSError):  # whoever read it is gone; the work goes on
                    print(printable(f"{what}: {done}{of} ({rate(done)}) {note}".rstrip()), file=sys.stderr, flush=True)

        yield line
        return

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(what, total=None, rate="", note="")

        def draw(done: int, total: int | None, note: str = "") -> None:
            bar.update(task, completed=done, total=total, rate=rate(done), note=escape(note))

        yield draw
