"""The command line: parse, call, print. Heavy imports happen inside the commands, so that ``--help`` answers at once.

Exit codes: 0 done; 1 it could not be done; 2 wrong usage; 10 ``--fail-on`` was reached; 130 interrupted.
"""

from __future__ import annotations

import io
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import imgmatch
from imgmatch.apps.console import EXIT_FAILED, EXIT_INTERRUPTED, console, fail, show_warnings
from imgmatch.errors import ImgmatchError, printable

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """All commands: what a usage error repeats of the command line, such as names that a shell put there, is shown."""

    def make_context(self, *given: Any, **more: Any) -> Any:
        with _shown():
            return super().make_context(*given, **more)

    def invoke(self, ctx: Any) -> Any:
        with _shown():
            return super().invoke(ctx)


@contextmanager
def _shown() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = printable(message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=_Commands,
    help="Find listings that pass off fake luxury goods, and defend every flag.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 10 --fail-on reached, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_ROOMS = ("catalog", "scan", "weights", "verdicts", "serve", "desk", "look", "report", "rings", "case", "cache", "demo")
for _room in _ROOMS:
    import_module(f"imgmatch.apps.commands_{_room}").register(app)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    show_warnings()
    if version:
        console.print(f"imgmatch {imgmatch.__version__}", highlight=False)
        raise typer.Exit


def main() -> None:
    """Run the command line; errors of ours are one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):  # cp1252 and ASCII, in which a signal's arrow would be an error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except ImgmatchError as error:
        fail(str(error))
        sys.exit(EXIT_FAILED)
    except OSError as error:  # a disk that is full, a folder that may not be read
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(EXIT_FAILED)
    except Exception as error:
        command = " ".join(sys.argv[1:])
        fail(f"unexpected error in: imgmatch {command:.200}: {type(error).__name__}: {_one_line(error)}; {_logged()}")
        sys.exit(EXIT_FAILED)
    except SystemExit as stop:
        if stop.code == EXIT_INTERRUPTED:
            fail("interrupted; what was finished is kept, run the same command again to continue")
        raise


def _one_line(error: Exception) -> str:
    """Return what an error says, and what those who passed it on noted of it, such as the row they were at."""
    return " ".join("; ".join((str(error), *getattr(error, "__notes__", ()))).split())[:500]


def _logged() -> str:
    """Write the traceback of the current error to a file; return a sentence that says where it is."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="imgmatch-error-", suffix=".log", delete=False, encoding="utf-8") as f:
            f.write(traceback.format_exc())
    except OSError as error:
        return f"the log cannot be written ({error.strerror})"
    return f"the log is {f.name}; please report it"


if __name__ == "__main__":
    main()
