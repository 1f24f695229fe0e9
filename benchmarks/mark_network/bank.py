"""The bank that scenes are made of: icons, words, grounds and stamps, in one file.

    python -m benchmarks.mark_network.bank --icons DIR --fonts DIR --pictures DIR... --stamps DIR --out FILE

A few minutes of two cores. README.md beside this file says what the folders are.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import chain
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.mark_network import sources
from benchmarks.mark_network.sources import Drawn
from imgmatch.types import UInt8Array

__all__ = ["COLOURS", "GROUNDS", "WORDS", "Bank", "read", "write"]

COLOURS, WORDS, GROUNDS = 8500, 12000, 1500
"""At most how many icons in colours, words and grounds are kept, so that the bank stays small. Guesses."""


@dataclass(frozen=True)
class Bank:
    """What scenes are made of, each as bytes on the device that makes them.

    Parameters
    ----------
    icons : torch.Tensor, shape (n, 96, 96)
        How much ink.
    coloured : torch.Tensor, shape (n, 4, 96, 96)
        RGBA, the colours not multiplied by the opacity.
    words : torch.Tensor, shape (n, 40, 192)
        How much ink.
    icon_sizes, coloured_sizes, word_sizes : torch.Tensor, shape (n, 2)
        Width and height of each drawing on its canvas, in the middle of which it lies; floats.
    grounds : torch.Tensor, shape (n, 3, 256, 256)
    stamps : torch.Tensor, shape (n, 4, 192, 192)
        As `coloured`.
    """

    icons: torch.Tensor
    coloured: torch.Tensor
    words: torch.Tensor
    icon_sizes: torch.Tensor
    coloured_sizes: torch.Tensor
    word_sizes: torch.Tensor
    grounds: torch.Tensor
    stamps: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.icons.device

    def to(self, device: str | torch.device) -> Bank:
        return Bank(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def write(
    path: Path,
    icons: Sequence[Drawn],
    coloured: Sequence[Drawn],
    words: Sequence[Drawn],
    grounds: Sequence[bytes],
    stamps: Sequence[bytes],
) -> None:
    """Write a bank.

    Parameters
    ----------
    path : Path
        An npz file.
    icons, words : sequence of Drawn
        On canvases of one channel; 16 shades are kept.
    coloured : sequence of Drawn
        On RGBA canvases.
    grounds, stamps : sequence of bytes
        Encoded pictures, without and with transparency.
    """
    content: dict[str, Any] = {}
    for name, drawings in (("icon", icons), ("word", words)):
        content[f"{name}s"] = _halved(np.stack([d[0] for d in drawings]))
        content[f"{name}_sizes"] = _sizes(drawings)
    content["coloured_sizes"] = _sizes(coloured)
    with ThreadPoolExecutor() as threads:
        encoded = list(threads.map(lambda d: sources.webp(Image.fromarray(d[0]), 72), coloured))
    for name, files in (("coloured", encoded), ("grounds", grounds), ("stamps", stamps)):
        content[name] = np.frombuffer(b"".join(files), np.uint8)
        content[f"{name}_ends"] = np.cumsum([len(f) for f in files])
    with open(path, "wb") as out:
        np.savez_compressed(out, **content)


def read(path: Path) -> Bank:
    """Read a bank that :func:`write` has written."""
    with np.load(path) as content:
        drawn = {name: torch.from_numpy(_whole(content[name])) for name in ("icons", "words")}
        sizes = {n: torch.from_numpy(content[n]).float() for n in ("icon_sizes", "coloured_sizes", "word_sizes")}
        files = {n: np.split(content[n], content[f"{n}_ends"][:-1]) for n in ("coloured", "grounds", "stamps")}
    decoded = {n: _decoded(files[n], "RGB" if n == "grounds" else "RGBA") for n in files}
    return Bank(**drawn, **sizes, **decoded)


def _sizes(drawings: Sequence[Drawn]) -> UInt8Array:
    return np.array([d[1] for d in drawings], np.uint8)


def _halved(shades: UInt8Array) -> UInt8Array:
    """Keep 16 shades, two neighbours in a byte."""
    four_bits = ((shades.astype(np.uint16) * 15 + 127) // 255).astype(np.uint8)
    return np.asarray(four_bits[..., ::2] << 4 | four_bits[..., 1::2], np.uint8)


def _whole(halved: UInt8Array) -> UInt8Array:
    return np.stack([(halved >> 4) * 17, (halved & 15) * 17], axis=-1).reshape(*halved.shape[:-1], -1)


def _decoded(files: Iterable[UInt8Array], mode: str) -> torch.Tensor:
    def pixels(file: UInt8Array) -> UInt8Array:
        return np.asarray(Image.open(io.BytesIO(file.tobytes())).convert(mode))

    with ThreadPoolExecutor() as threads:
        stacked = np.stack(list(threads.map(pixels, files)))
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def make(icons: Path, fonts: Path, pictures: Sequence[Path], stamps: Path, out: Path, processes: int) -> None:
    """Draw a bank and write it; the same input gives the same bank."""
    names = sources.names_left_out()
    draw = random.Random(0)
    with Pool(processes) as pool:

        def drawn(function: Callable[[Any], Any], jobs: Iterable[Any], most: int | None = None) -> list[Any]:
            found = [d for d in pool.imap(function, jobs, 16) if d]
            draw.shuffle(found)  # what training never sees is the end of each list: of all sets and pictures
            print(f"{function.__name__}: {len(found)}, kept {len(found[:most])}", flush=True)
            return found[:most]

        plain = [(d[0][..., 3], d[1]) for d in drawn(sources.draw_icon, sources.icons(icons, sources.PLAIN, names))]
        coloured = drawn(sources.draw_icon, sources.icons(icons, sources.COLOURED, names), COLOURS)
        faces = [str(f) for f in sources.pictures([fonts], ("ttf", "otf")) if sources.usable(str(f))]
        spare = WORDS // 50  # one in a hundred cannot be written in its font
        words = drawn(sources.draw_word, sources.invented(WORDS + spare, faces, names), WORDS)
        squares = drawn(sources.crops, [(file, i) for i, file in enumerate(sources.pictures(pictures))])
        grounds = list(chain.from_iterable(squares))
        draw.shuffle(grounds)
        things = drawn(sources.stamp, sources.pictures([stamps], ("png",)))
    write(out, plain, coloured, words, grounds[:GROUNDS], things)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mark_network.bank", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--icons", type=Path, required=True, help="the npm package @iconify/json, unpacked")
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, nargs="+", help="folders of photos and wallpapers")
    parser.add_argument("--stamps", type=Path, required=True, help="folder of cut-out things, PNG")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    make(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
