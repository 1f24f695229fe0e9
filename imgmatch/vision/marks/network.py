"""A small network that describes windows of a photo: the same mark has nearly the same description wherever it shows.

The first blocks of a MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), their last two sizes added up as in a feature
pyramid (Lin et al. 2017, arXiv:1612.03144), make a map of the photo. A window is 5 x 5 cells of that map, whatever its size,
as one unit vector. It was trained on drawn icons, words and marks in random scenes, none of them of the brands of
`logos_in_photos`, FlickrLogos-32 and `reference_logos`: views of one mark attract each other, other marks and what else a
scene holds repel (`benchmarks/mark_network`).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors.numpy import load_file

from imgmatch.encoders.runtime import session
from imgmatch.errors import WeightsError
from imgmatch.io.files import sha256_file
from imgmatch.types import FloatArray, UInt8Array

__all__ = ["DIM", "NETWORK", "SHA256", "WINDOW", "check", "described", "windows"]

NETWORK = Path(__file__).with_name("network.onnx")
"""From a picture (1, 3, h, w), normalised, to its map (1, `WIDTH`, h / 8, w / 8); h and w are multiples of 16."""

WINDOW = NETWORK.with_name("window.safetensors")
"""From the cells of a window to its vector: ``weight`` (`DIM`, `WIDTH` * `GRID` * `GRID`) and ``bias`` (`DIM`,)."""

SHA256 = {
    "network.onnx": "8ce410babd2bd2c15d4a189ddece292610d12482db618a353278b26bf008028b",
    "window.safetensors": "81a7c75bd07310d5d743756efc1dc5b68f8e086625e22a56f9b7ccd3b67e68d3",
}
"""Of these two files, as ``benchmarks/mark_network/train.py`` wrote them: a damaged one may load, and answer anything."""

CELL, GRID, WIDTH, DIM = 8, 5, 64, 128
"""Pixels of a cell of the map, cells of a window down and across, channels of the map, length of a vector: the shape of what
``benchmarks/mark_network/network.py`` trains."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels that the first blocks were trained on (torchvision's ``MobileNet_V2_Weights.IMAGENET1K_V1``), and so of
those in ``benchmarks/mark_network/network.py``."""

LONGEST = 512
"""Longer side in pixels at which a photo is looked at first (``benchmarks/marks_real.py``, dev). At 1,024, four times the
cost, two more of 143 are named; where a smaller one, as the part that is looked at again, is not enlarged, six less."""

LEVELS = (1.0, 0.71, 0.5, 0.35)
"""Sizes at which a photo is looked at, of `LONGEST`, a step of the square root of two apart, as measured by
``benchmarks/mark_network/alone.py`` (a step half as large was not): square windows lie over 40 to 114 of 512
pixels, the widest over 343."""

SHAPES = ((1, 1), (1, 2), (2, 1), (1, 3))
"""Windows, in units of `GRID` cells down and across, as measured by ``benchmarks/mark_network/alone.py``: a mark of another
proportion is seen with what is beside it, or in part."""

STEP = 2
"""Cells from one window to the next: with 1, four times as many windows, ``benchmarks/mark_network/alone.py`` named 94 of
143 rightly and 9 wrongly instead of 92 and 4."""

SIDES, AROUND = (40.0, 56.0, 80.0), 0.8
"""Longer sides in pixels at which a reference is described, as windows see it, and what is kept around it, in longer sides
(``benchmarks/mark_network/alone.py``): above all photos of nothing 92 of 143 were named, with two sides (48, 72) 77; of the
other 160 74 and 69."""


def described(pixels: UInt8Array, box: tuple[float, float, float, float]) -> FloatArray:
    """Describe a box of a picture, as windows see it.

    Parameters
    ----------
    pixels : ndarray, shape (h, w, 3), uint8
    box : tuple of float
        (x0, y0, x1, y1) in those pixels.

    Returns
    -------
    ndarray, shape (3, `DIM`), float32
        At each of `SIDES`.

    Notes
    -----
    Each cell is the average of 2 x 2 samples of the map (He et al. 2017, arXiv:1703.06870, section 3).
    """
    side = max(box[2] - box[0], box[3] - box[1])
    x0, y0 = (max(math.floor(v - AROUND * side), 0) for v in box[:2])
    x1, y1 = (min(math.ceil(v + AROUND * side), most) for v, most in zip(box[2:], pixels.shape[1::-1], strict=True))
    out = []
    for size in SIDES:
        map_, across, down = _map(np.ascontiguousarray(pixels[y0:y1, x0:x1]), size / side)
        at = (np.arange(2 * GRID) + 0.5) / (2 * GRID)
        x = ((box[0] - x0) + (box[2] - box[0]) * at) * across / CELL - 0.5
        y = ((box[1] - y0) + (box[3] - box[1]) * at) * down / CELL - 0.5
        columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        samples = [cv2.remap(c, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for c in map_]
        out.append(np.reshape(samples, (WIDTH, GRID, 2, GRID, 2)).mean(axis=(2, 4)).ravel())
    return _vectors(np.array(out, np.float32))


def windows(pixels: UInt8Array) -> tuple[FloatArray, FloatArray]:
    """Describe all windows of a photo.

    Parameters
    ----------
    pixels : ndarray, shape (h, w, 3), uint8

    Returns
    -------
    ndarray, shape (n, `DIM`), float32
    ndarray, shape (n, 4), float32
        Their x0, y0, x1, y1, in pixels of the photo.
    """
    height, width = pixels.shape[:2]
    vectors, boxes = [np.zeros((0, DIM), np.float32)], [np.zeros((0, 4), np.float32)]
    for level in LEVELS:
        map_, across, down = _map(pixels, level * LONGEST / max(height, width))
        for high, wide in SHAPES:
            cells = _everywhere(map_, high, wide)
            y, x = np.mgrid[: cells.shape[0], : cells.shape[1]] * float(STEP * CELL)
            corners = np.stack([x, y, x + wide * GRID * CELL, y + high * GRID * CELL], axis=2).reshape(-1, 4)
            corners /= (across, down, across, down)
            inside = np.flatnonzero((corners[:, 2] <= width + 4 / across) & (corners[:, 3] <= height + 4 / down))
            vectors.append(_vectors(cells.reshape(-1, WIDTH * GRID * GRID)[inside]))
            boxes.append(corners[inside].astype(np.float32))
    return np.concatenate(vectors), np.concatenate(boxes)


def _everywhere(map_: FloatArray, high: int, wide: int) -> FloatArray:
    """Return the cells, each of high x wide, of all windows of a shape, (rows, columns, `WIDTH`, `GRID`, `GRID`)."""
    pooled = map_
    for axis, count in ((1, high), (2, wide)):
        size = pooled.shape[axis] - count + 1
        if size < 1 + (GRID - 1) * count:
            return np.zeros((0, 0, WIDTH, GRID, GRID), np.float32)
        pooled = np.mean([np.take(pooled, range(n, n + size), axis) for n in range(count)], axis=0)
    pooled = np.ascontiguousarray(pooled, np.float32)
    rows, columns = ((size - 1 - (GRID - 1) * n) // STEP + 1 for size, n in zip(pooled.shape[1:], (high, wide), strict=True))
    channel, down, right = pooled.strides
    strides = STEP * down, STEP * right, channel, high * down, wide * right
    return np.lib.stride_tricks.as_strided(pooled, (rows, columns, WIDTH, GRID, GRID), strides)


def _vectors(cells: FloatArray) -> FloatArray:
    weight, bias = _window()
    found = cells @ weight + bias
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), np.float32)


@cache
def _window() -> tuple[FloatArray, FloatArray]:
    kept = load_file(_intact(WINDOW))
    return np.ascontiguousarray(kept["weight"].T, np.float32), kept["bias"].astype(np.float32)


@cache
def _network() -> Any:
    return session(_intact(NETWORK))


def check() -> None:
    """Raise `WeightsError` where one of the network's files is not as it was written."""
    _intact(NETWORK)
    _intact(WINDOW)


def _intact(file: Path) -> Path:
    try:
        if sha256_file(file) == SHA256[file.name]:
            return file
    except OSError:
        pass
    raise WeightsError(f"{file}: this file of imgmatch is missing or damaged; install imgmatch again")


def _map(pixels: UInt8Array, scale: float) -> tuple[FloatArray, float, float]:
    """Return the map of a picture drawn at a scale, (`WIDTH`, h, w), and by how much it was enlarged across and down."""
    width, height = (max(round(side * scale), CELL) for side in pixels.shape[1::-1])
    drawn = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    below, right = (-side % 16 for side in (height, width))
    drawn = cv2.copyMakeBorder(drawn, 0, below, 0, right, cv2.BORDER_REPLICATE)
    mean, deviation = (np.array(v, np.float32) for v in (MEAN, DEVIATION))
    picture = (drawn.astype(np.float32) / 255 - mean) / deviation
    (map_,) = _network().run(None, {"picture": np.ascontiguousarray(picture.transpose(2, 0, 1)[None])})
    return map_[0], width / pixels.shape[1], height / pixels.shape[0]
