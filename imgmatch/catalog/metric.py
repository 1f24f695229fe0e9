"""A metric learnt from the catalog: what varies between photos of one item counts less than what tells items apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray

__all__ = ["Metric"]

# Fewer deviations than this say little about a covariance of hundreds of dimensions: the plain cosine stays.
_LEAST_DEVIATIONS = 100


@dataclass(frozen=True, eq=False)
class Metric:
    """A linear map of embeddings after which the cosine compares designs rather than views.

    Parameters
    ----------
    mean : ndarray, shape (d,), float32
    matrix : ndarray, shape (d, d), float32

    Notes
    -----
    Within-class covariance normalisation: the map whitens the covariance of the deviations of photos from the mean of
    their group. Shrinking it towards a multiple of the identity keeps the directions that no deviation has shown.

    References
    ----------
    Hatch, Kajarekar and Stolcke 2006, *Within-class covariance normalization for SVM-based speaker recognition*,
    Interspeech, equation 6.
    """

    mean: FloatArray
    matrix: FloatArray

    @cached_property
    def _double(self) -> npt.NDArray[np.float64]:
        return self.matrix.astype(np.float64)

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Map embeddings (n, d) or (d,) to unit vectors of the same shape.

        Notes
        -----
        Taken in double precision and rounded: the same for a photo alone and in a batch.
        """
        mapped = (vectors - self.mean) @ self._double
        length = np.linalg.norm(mapped, axis=-1, keepdims=True)
        unit: FloatArray = (mapped / np.maximum(length, 1e-12)).astype(np.float32)
        return unit

    @classmethod
    def fit(cls, vectors: FloatArray, groups: npt.NDArray[np.str_], shrinkage: float) -> Metric | None:
        """Learn the metric of groups.

        Parameters
        ----------
        vectors : ndarray, shape (n, d), float32
        groups : ndarray, shape (n,), str
            The item (or brand) of each photo; groups of one photo say nothing.
        shrinkage : float
            Weight of the identity beside the covariance, both scaled to the same trace; > 0.

        Returns
        -------
        Metric or None
            None where too few photos share a group.

        Notes
        -----
        O(n d² + min(n, d)³): a second or two for d = 1280 and n = 2048.
        """
        names, member = np.unique(groups, return_inverse=True)
        counts = np.bincount(member, minlength=len(names))
        if counts[counts > 1].sum() - (counts > 1).sum() < _LEAST_DEVIATIONS:
            return None
        sums = np.zeros((len(names), vectors.shape[1]), np.float64)
        np.add.at(sums, member, vectors)
        deviations = (vectors - (sums / counts[:, None])[member])[counts[member] > 1]
        # Directions that no deviation shows keep the scale of the identity alone; fewer deviations than dimensions span few.
        few = len(deviations) < vectors.shape[1]
        power, basis = np.linalg.eigh(deviations @ deviations.T if few else deviations.T @ deviations)
        shown = power > 1e-9 * power[-1]
        power, basis = power[shown], basis[:, shown]
        directions = deviations.T @ basis / np.sqrt(power) if few else basis
        floor = shrinkage / vectors.shape[1]
        gain = (power / (deviations**2).sum() + floor) ** -0.5 - floor**-0.5
        matrix = (directions * gain) @ directions.T + floor**-0.5 * np.eye(vectors.shape[1])
        return cls(vectors.mean(0).astype(np.float32), matrix.astype(np.float32))
