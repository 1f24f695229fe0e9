"""Part by part: dense local descriptors of two photos, each held against its best counterpart in the other."""

from __future__ import annotations

import numpy as np

from imgmatch.types import FloatArray

__all__ = ["local_similarity"]


def local_similarity(query: FloatArray, references: FloatArray, centre: FloatArray) -> FloatArray:
    """Return how well the parts of a photo are found in each of some others, and theirs in it.

    Parameters
    ----------
    query : ndarray, shape (h, w, c), float32
        Cells of :meth:`imgmatch.encoders.base.Encoder.features`.
    references : ndarray, shape (n, h, w, c), float32
    centre : ndarray, shape (c,), float32
        Mean cell of the catalog. Taken off first: what all cells share (a trained network's cells lie in a narrow cone)
        would otherwise hide what they differ in.

    Returns
    -------
    ndarray, shape (n,), float32
        In [-1, 1]: the mean over the cells of either photo of the cosine to its nearest cell in the other, where a cell
        weighs as much as it stands out from the photo's rim. Does not depend on where inside the photo the parts lie.

    Notes
    -----
    O(n (h w)² c). The weights are a foreground found in the feature map itself: on the groceries of the dev half they take
    recall@1 from 0.81 to 0.85, as much as a mask of high activations does; ``docs/decisions/localisation.md``.
    """
    c = query.shape[-1]
    wa, wb = _foreground(query[None])[0], _foreground(references)
    a = _unit(query.reshape(-1, c) - centre)
    b = _unit(references.reshape(len(references), -1, c) - centre)
    similarities = (b.reshape(-1, c) @ a.T).reshape(len(b), b.shape[1], len(a))
    found: FloatArray = (similarities.max(1) @ wa + (similarities.max(2) * wb).sum(1)) / 2
    return found


def _foreground(cells: FloatArray) -> FloatArray:
    """Return how far each cell of (n, h, w, c) is from the mean cell of its photo's rim, as weights (n, h w) of sum 1."""
    n, h, w, c = cells.shape
    rim = np.ones((h, w), bool)
    rim[1:-1, 1:-1] = False
    ground = _unit(cells[:, rim].mean(axis=1))
    away = 1.001 - np.einsum("nkc,nc->nk", _unit(cells.reshape(n, h * w, c)), ground)  # a photo of one texture: all alike
    weights: FloatArray = away / away.sum(axis=1, keepdims=True)
    return weights


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
