"""Reads captured pages in a process of its own: parsers take time that grows with the square of some pages, and nothing
stops them from outside.

Run as ``python -m imgmatch.io.pages.reader``, this file is that process; what crosses the pipes is JSON and a page's bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imgmatch.errors import MissingExtraError
from imgmatch.io.pages.product import Product, read_product

__all__ = ["PageReader"]

SECONDS = 20.0
"""Processor time for one page. A guess: the largest that is read, 16 MiB of plain tags, takes some eight."""

_MEMORY = 4 << 30  # bytes: twenty times what such a page takes


class PageReader:
    """Reads pages as :func:`imgmatch.io.pages.product.read_product` does; one that takes too long offers nothing."""

    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PageReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(OSError):
                self._process.communicate()
            self._process = None

    def read(self, html: bytes, url: str = "", content_type: str = "") -> Product:
        asked = json.dumps({"bytes": len(html), "url": url, "content_type": content_type, "seconds": SECONDS})
        try:
            stdin, stdout = self._pipes()
            stdin.write(asked.encode() + b"\n" + html)
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = b""
        if not line:
            self.__exit__()
            return Product()
        return Product(**json.loads(line))

    def _pipes(self) -> tuple[Any, Any]:
        if self._process is None:
            if find_spec("extruct") is None:
                raise MissingExtraError("reading captured pages", "web")
            package = str(Path(__file__).resolve().parents[3])
            path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "imgmatch.io.pages.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        return self._process.stdin, self._process.stdout


def _serve() -> None:
    """Answer requests on stdin until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        html = sys.stdin.buffer.read(asked["bytes"])
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, asked["seconds"])  # ends this process, inside a native call as well
        try:
            made = read_product(html, asked["url"], asked["content_type"])
        except Exception:  # what is odd enough to break a parser offers nothing
            made = Product()
        print(json.dumps(dataclasses.asdict(made), default=str), flush=True)


if __name__ == "__main__":
    _serve()
