"""Worker processes for decoders that a hostile file may crash, hang or exhaust: TIFF, WebP, AVIF, HEIC.

Such a decoder is one native call that nothing in the same process can interrupt. A worker that dies or overruns
fails its own photo only and is replaced. Run as ``python -m imgmatch.images.decode_pool``, this file is the worker.

The pipes carry a JSON line and raw bytes, never a pickle: a worker that was taken over can lie about pixels, no more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from imgmatch.config import ImageConfig
from imgmatch.errors import ImageError
from imgmatch.images.decoding import Decoded, check_size, decode_bytes
from imgmatch.messages import Message

__all__ = ["DecodePool"]

_WALL_SECONDS = 8.0  # times the CPU seconds allowed, for a worker that waits rather than computes
_PIPE_BYTES = 1 << 20  # what Linux allows anyone; a photo of 600 x 600 pixels crosses at once
_BYTES_PER_PIXEL = 16  # the hungriest is WebP: two RGBA canvases, a copy, Pillow's picture, and the result: 15


class DecodePool:
    """Decodes photos in worker processes.

    Parameters
    ----------
    size : int
        Most workers, each started when it is first needed (0.2 s) and kept.

    Notes
    -----
    Thread-safe; a caller waits while all workers are busy. Workers end when this process does, however it ends: their
    input closes.
    """

    def __init__(self, size: int) -> None:
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # last in first out keeps few workers warm
        for _ in range(size):
            self._slots.put(None)

    def decode(self, data: bytes, *, config: ImageConfig, target_side: int | None, source: str) -> Decoded:
        """Decode a photo as :func:`imgmatch.images.decoding.decode_bytes` does.

        Raises
        ------
        ImageError
            Also with ``timeout`` and ``decoder_crashed``.
        """
        slot = self._slots.get()
        keep = None
        try:
            slot = slot or _Worker()
            answer = slot.decode(data, config, target_side, source)
            keep = slot
            return answer
        except ImageError as error:
            keep = slot if error.reason not in ("timeout", "decoder_crashed") else None
            raise
        finally:
            if keep is None and slot is not None:
                slot.close()
            self._slots.put(keep)

    def close(self) -> None:
        """End the idle workers."""
        for _ in range(self._slots.qsize()):
            slot = self._slots.get()
            if slot is not None:
                slot.close()
            self._slots.put(None)


class _Worker:
    def __init__(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        # One thread per native library: a worker is the unit of parallelism here.
        env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-m", "imgmatch.images.decode_pool"]
        # libtiff writes its complaints to stderr, one per broken tag.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, pipesize=_PIPE_BYTES
        )

    def decode(self, data: bytes, config: ImageConfig, target_side: int | None, source: str) -> Decoded:
        request = {
            "config": dataclasses.asdict(config),
            "target_side": target_side,
            "source": source,
            "bytes": len(data),
        }
        try:
            stdin, stdout = self._pipes()
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.write(data)
            stdin.flush()
            line = stdout.readline(65536)
            answer = json.loads(line) if line else None
            if answer is None:
                raise EOFError
            if "reason" in answer:
                error = ImageError(answer["reason"], Message.from_dict(answer["message"], answer["said"]))
                error.source = source
                raise error
            rows, columns = answer["shape"]
            check_size(answer["width"], answer["height"], config, source)
            if rows * columns > config.max_pixels:
                raise ValueError("more pixels than allowed")
            pixels = np.empty((rows, columns, 3), np.uint8)
            if stdout.readinto(pixels.reshape(-1).data) != pixels.size:  # type: ignore[attr-defined]
                raise EOFError
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise self._obituary(config, source) from error
        return Decoded(pixels, answer["width"], answer["height"], answer["format"])

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise EOFError
        return self._process.stdin, self._process.stdout

    def _obituary(self, config: ImageConfig, source: str) -> ImageError:
        self.close()
        code = self._process.returncode
        if sys.platform != "win32" and code in (-signal.SIGPROF, -signal.SIGALRM):
            message = Message("took more than {seconds:g} s to decode (images.max_seconds)", seconds=config.max_seconds)
            return ImageError("timeout", message, source=source)
        died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ImageError("decoder_crashed", Message("the decoder crashed on it ({how})", how=died), source=source)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written has nowhere to go
                    pipe.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve() -> None:
    """Answer requests on stdin until it closes."""
    stdin = sys.stdin.buffer
    # Native libraries that print must not print into the answers.
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may want this photo finished
    limited = False
    while line := stdin.readline():
        request = json.loads(line)
        config = ImageConfig(**request["config"])
        data = stdin.read(request["bytes"])
        if not limited:
            _limit_memory(config)
            limited = True
        _alarm(config.max_seconds)
        answer: dict[str, Any]
        pixels: bytes | memoryview = b""
        try:
            decoded = decode_bytes(data, config=config, target_side=request["target_side"], source=request["source"])
            answer = {"shape": decoded.pixels.shape[:2], "width": decoded.width, "height": decoded.height}
            answer["format"] = decoded.format
            pixels = decoded.pixels.reshape(-1).data
        except ImageError as error:
            said = error.said
            answer = {"reason": error.reason, "message": str(error)}
            answer["said"] = said.to_dict() if isinstance(said, Message) else {"id": str(error)}
        _alarm(0.0)
        stdout.write(json.dumps(answer).encode() + b"\n")
        stdout.write(pixels)
        stdout.flush()


def _limit_memory(config: ImageConfig) -> None:
    if sys.platform == "linux":
        import resource

        with open("/proc/self/statm") as f:
            mapped = int(f.read().split()[0]) * resource.getpagesize()
        limit = mapped + _BYTES_PER_PIXEL * config.max_pixels + 3 * config.max_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _alarm(seconds: float) -> None:
    """Let the system end this process after so much computing, even inside a native call; 0 calls it off."""
    if sys.platform != "win32":
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds * _WALL_SECONDS)


if __name__ == "__main__":
    _serve()
