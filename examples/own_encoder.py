"""An encoder of your own in one file: colour histograms on a grid.

    python examples/own_encoder.py

Pass it to `Catalog.build`, `Catalog.from_items` and `Catalog.load`; or publish it as an entry point of the group
``imgmatch.encoders``, and catalogs load it by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from imgmatch import Catalog
from imgmatch.testing import check_encoder
from imgmatch.types import EmbeddingSpace, FloatArray, Image


class GridHistogram:
    """Eight levels per channel in each cell of a 4 x 4 grid: 384 numbers of unit norm."""

    input_size = 64
    space = EmbeddingSpace(
        encoder="grid-histogram",
        weights=hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),  # it has none: its code is its identity
        architecture="4x4 cells, 8 levels per channel, square root",
        preprocess="64 x 64, area",
        numeric="fp32",
        dim=384,
    )

    def prepare(self, image: Image) -> np.ndarray:
        return cv2.resize(image.pixels, (64, 64), interpolation=cv2.INTER_AREA)

    def encode(self, batch: Sequence[Image | np.ndarray]) -> FloatArray:
        return self.encode_dense(batch)[0]

    def encode_dense(self, batch: Sequence[Image | np.ndarray]) -> tuple[FloatArray, np.ndarray]:
        if not batch:
            return np.zeros((0, 384), np.float32), np.zeros((0, 4, 4, 24), np.float32)
        cells = np.stack([_cells(self.prepare(x) if isinstance(x, Image) else x) for x in batch])
        vectors = np.sqrt(cells).reshape(len(batch), -1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scale = np.sqrt(np.square(cells).sum(-1).mean((1, 2)))[:, None, None, None]
        return vectors.astype(np.float32), (cells / scale).astype(np.float32)

    def encode_text(self, prompts: Sequence[str]) -> FloatArray:
        raise NotImplementedError


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Histograms (4, 4, 24) of a picture (64, 64, 3) uint8."""
    levels = (pixels // 32).reshape(4, 16, 4, 16, 3).transpose(0, 2, 1, 3, 4).reshape(4, 4, 256, 3)
    return np.concatenate([(levels == level).mean(axis=2) for level in range(8)], axis=-1).astype(np.float32)


def main() -> None:
    check_encoder(GridHistogram())
    rng = np.random.default_rng(0)
    bags = [np.full((80, 120, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(5)]
    items = [{"item_id": f"bag-{n}", "brand": "acme", "photos": [bag]} for n, bag in enumerate(bags)]
    catalog = Catalog.from_items(items, encoder=GridHistogram())
    print(catalog.search(bags[3], k=1)[0].item_id)


if __name__ == "__main__":
    main()
