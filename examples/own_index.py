"""A vector index of your own in one file: exact search in half precision, half the memory.

    python examples/own_index.py

A line in `imgmatch.indexes.INDEXES` names it; or publish it as an entry point of the group ``imgmatch.indexes``.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgmatch import Catalog
from imgmatch.indexes import INDEXES
from imgmatch.indexes.exact import ExactIndex
from imgmatch.testing import check_index
from imgmatch.types import FloatArray, Neighbors


class HalfIndex:
    """Keeps float16 rows and searches them exactly, in float32."""

    spec = "half"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rows = np.empty((0, dim), np.float16)

    def __len__(self) -> int:
        return len(self._rows)

    def train(self, sample: FloatArray) -> None:
        pass

    def add(self, vectors: FloatArray) -> None:
        self._rows = np.concatenate([self._rows, vectors.astype(np.float16)])

    def search(self, queries: FloatArray, k: int, *, keep: np.ndarray | None = None) -> Neighbors:
        index = ExactIndex(self.dim)
        index.add(self._rows.astype(np.float32))
        return index.search(queries, k, keep=keep)

    def save(self, path: Path) -> None:
        with open(path, "wb") as f:
            np.save(f, self._rows, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> HalfIndex:
        rows = np.load(path, allow_pickle=False)
        index = cls(rows.shape[1])
        index._rows = rows
        return index


def main(folder: str = "half-catalog") -> None:
    check_index(HalfIndex)
    INDEXES["half"] = HalfIndex
    rng = np.random.default_rng(0)
    source = Path(folder, "source")
    for n in range(4):
        (source / "acme" / f"bag-{n}").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(source / "acme" / f"bag-{n}" / "1.png"), rng.integers(0, 256, (64, 64, 3), np.uint8))
    catalog = Catalog.build(source, Path(folder, "catalog"), encoder="mobilenet-v2", factory="half")
    print(catalog.search(source / "acme" / "bag-2" / "1.png", k=1)[0].item_id)


if __name__ == "__main__":
    main()
