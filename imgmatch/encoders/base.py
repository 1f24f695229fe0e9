"""What an encoder is: photos in, unit vectors of one embedding space out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from imgmatch.types import EmbeddingSpace, FloatArray, Image

__all__ = ["Encoder", "Prepared"]

Prepared = npt.NDArray[Any]
"""What `prepare` returns: an array of one fixed shape and dtype per encoder."""


@runtime_checkable
class Encoder(Protocol):
    """A model that embeds photos. Thread-safe; no gradients.

    Attributes
    ----------
    space : EmbeddingSpace
        Known before the first photo is encoded.
    input_size : int
        Side in pixels of the square the model sees; lets callers decode large photos at reduced size.
    """

    space: EmbeddingSpace
    input_size: int

    def prepare(self, image: Image) -> Prepared:
        """Preprocess one photo on the CPU, so that a GPU can be fed from many threads.

        Returns
        -------
        ndarray
            Of the same shape and dtype for every photo.
        """
        ...

    def encode(self, batch: Sequence[Image | Prepared]) -> FloatArray:
        """Embed a batch of photos, or of what `prepare` made of them.

        Returns
        -------
        ndarray, shape (n, d), float32
            Unit norm, in input order; shape (0, d) for an empty batch. The vector of a photo does not depend on what
            else is in the batch beyond float rounding.
        """
        ...

    def encode_dense(self, batch: Sequence[Image | Prepared]) -> tuple[FloatArray, npt.NDArray[np.float32]]:
        """Embed a batch and return its dense local descriptors as well: one forward pass gives both.

        Returns
        -------
        vectors : ndarray, shape (n, d), float32
            What :meth:`encode` returns, up to float rounding.
        cells : ndarray, shape (n, h, w, c), float32
            Scaled per photo to a mean squared cell norm of 1: a cell that says little stays short. Cell (i, j) describes
            the part of the prepared square around ``((j + 0.5) / w, (i + 0.5) / h)`` of its side.
        """
        ...

    def encode_text(self, prompts: Sequence[str]) -> FloatArray:
        """Embed texts into the same space, shape (n, d).

        Raises
        ------
        NotImplementedError
            Where the model has no text tower.
        """
        ...
