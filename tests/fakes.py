"""Small stand-ins for tests that are about something else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from imgmatch.types import EmbeddingSpace, Image


class GridEncoder:
    """Embeds a photo as the mean colours of a 4 x 4 grid: fast, exact to compute by hand, good enough to find copies."""

    input_size = 32

    def __init__(self, weights: str = "grid") -> None:
        self.space = EmbeddingSpace("grid", weights, "mean colours of a 4 x 4 grid", "none", "fp32", 49)
        self.photos_encoded = 0

    def prepare(self, image: Image) -> np.ndarray:
        small = PIL.Image.fromarray(image.pixels).resize((4, 4), PIL.Image.Resampling.BOX)
        return np.asarray(small)

    def encode(self, batch: Sequence[Any]) -> np.ndarray:
        self.photos_encoded += len(batch)
        rows = [self.prepare(x) if isinstance(x, Image) else x for x in batch]
        flat = np.array(rows, np.float32).reshape(len(rows), 48) - 128
        flat = np.concatenate([flat, np.ones((len(rows), 1), np.float32)], axis=1)  # no zero vectors
        return (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)

    def encode_dense(self, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        vectors = self.encode(batch)
        return vectors, vectors[:, None, None, :]

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError


def picture(seed: int, size: tuple[int, int] = (96, 96), format: str = "PNG") -> bytes:
    """Return the bytes of a photo with a random 6 x 6 pattern, smooth enough for perceptual hashes."""
    pattern = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pattern).resize(size, PIL.Image.Resampling.BICUBIC).save(out, format)
    return out.getvalue()


def write_tree(root: Path, layout: dict[str, bytes]) -> Path:
    """Write files by their paths relative to `root`."""
    for name, data in layout.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
