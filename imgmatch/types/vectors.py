"""Vectors that know their space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import SpaceMismatchError

__all__ = ["EmbeddingSpace", "Embeddings", "FloatArray", "Neighbors"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Identity of a space of embeddings. Vectors of two spaces never meet: an error, not a number.

    Parameters
    ----------
    encoder : str
        Registry name or model name; a label, not part of the identity.
    weights : str
        sha256 over the canonical tensors (names, shapes, fp32 values), so that the same weights in another file format
        are the same space.
    architecture : str
        For example ``ViT-B-32`` or ``torchvision:mobilenet_v2``.
    preprocess : str
        Canonical text of the preprocessing with its decode rule.
    numeric : str
        Numeric class: ``fp32``, ``bf16 throughout``, ``static int8, HASH``. A runtime of proven parity has its source's.
    dim : int
        Length of a vector.
    """

    encoder: str
    weights: str
    architecture: str
    preprocess: str
    numeric: str
    dim: int

    @property
    def id(self) -> str:
        """First 16 hex digits of the sha256 over everything but the label."""
        parts = [self.weights, self.architecture, self.preprocess, self.numeric, self.dim]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Return a line for messages that names what can differ."""
        return (
            f"{self.encoder} [{self.id}] ({self.architecture}, weights {self.weights[:8]}, "
            f"{self.numeric}, {self.dim}-d, {self.preprocess})"
        )

    def require(self, got: EmbeddingSpace, *, hint: str = "") -> None:
        """Raise :class:`SpaceMismatchError` unless `got` is this very space."""
        if self.id != got.id:
            names = {"weights": "weights", "architecture": "architecture", "preprocess": "preprocessing",
                     "numeric": "numeric class", "dim": "length"}  # fmt: skip
            differ = [words for name, words in names.items() if getattr(self, name) != getattr(got, name)]
            said = f"They differ in {' and '.join(differ)}"
            raise SpaceMismatchError(self.describe(), got.describe(), hint=f"{said}; {hint}" if hint else said)

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors that know their space.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), float32
        Unit norm within 1e-3; zero rows are not allowed.
    space : EmbeddingSpace
        With ``space.dim == d``.
    """

    vectors: FloatArray
    space: EmbeddingSpace

    def __post_init__(self) -> None:
        v = self.vectors
        if v.ndim != 2 or v.shape[1] != self.space.dim or v.dtype != np.float32:
            raise ValueError(f"expected (n, {self.space.dim}) float32, got {v.shape} {v.dtype}")
        if len(v) and not np.allclose(np.linalg.norm(v, axis=1), 1.0, atol=1e-3):
            raise ValueError("expected rows of unit norm")

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """Result of a search: for each query the k nearest references, best first.

    Parameters
    ----------
    ids : ndarray, shape (n, k), int64
        Row numbers; -1 pads where fewer than k exist.
    similarities : ndarray, shape (n, k), float32
        Cosine similarity, descending; -inf where padded.
    """

    ids: npt.NDArray[np.int64]
    similarities: FloatArray

    def rows(self) -> Iterator[list[tuple[int, float]]]:
        """Yield, per query, the (row, similarity) pairs without the padding."""
        for ids, sims in zip(self.ids, self.similarities, strict=True):
            yield [(int(i), float(s)) for i, s in zip(ids, sims, strict=True) if i >= 0]
