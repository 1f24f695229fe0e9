"""Part by part: dense local descriptors of two photos, each compared with its best counterpart in the other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog.kept import reference_parts
from imgmatch.catalog.likeness import sample
from imgmatch.encoders.base import Prepared
from imgmatch.loading.cache import PartCache, remembered
from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["CloserLook", "local_similarity"]

_CENTRE_PHOTOS = 64  # a mean over 64 photos' cells is steady
_TRIALS = 48  # held-out photos that are asked, each against its nearest items: some 500 forward passes, once per catalog
_CANDIDATES = 10
_READY = 128 << 20  # bytes of references ready to be compared: some 400 of MobileNetV2's, 900 of ViT-B/32's


class CloserLook:
    """Listing photos compared part by part with photos of a catalog.

    Parameters
    ----------
    catalog : Catalog
    weight : float
        How much the part-by-part similarity counts beside the cosine.

    Notes
    -----
    Thread-safe. The cells of a reference are computed when it is first met, those of one call in one batch, and remembered
    on disk, as the catalog's mean cell is; what was lately compared with stays in memory, ready.
    """

    def __init__(self, catalog: Catalog, weight: float) -> None:
        self._catalog, self._weight = catalog, weight
        self._lock = threading.RLock()
        self._ready: OrderedDict[str, _Parts] = OrderedDict()

    def similarities(self, photo: PhotoContext, references: Sequence[str]) -> list[float]:
        """Return :func:`local_similarity` of a photo to reference photos, by their sha256, in order."""
        cells = photo.cells(lambda: self._catalog.encoder)
        query = _Parts.of(cells, self._centre)
        return [query.similarity(reference) for reference in self._references(references)]

    @property
    def helps(self) -> bool:
        """Whether held-out photos of the catalog stand out more from the wrong items by it, or there are none to ask.

        Asked is by how much the best right candidate is above the best wrong one, in standard deviations of the candidates'
        scores: that must grow by a standard error of the paired difference. Of the few dozen photos that a catalog can hold
        out, one or two are ranked otherwise, which says nothing: 1 of 19 groceries, where the closer look gains 0.16 of
        recall@1 (margin +2.4 standard errors), and 2 of 32 sellers' posts, where it loses (-1.0).

        Where there are none it is used: of the sets of one photo an item, the packages of ``python -m benchmarks retrieval``
        gain 0.3 of recall@1 by it and articles seen from other sides lose 0.06.
        """
        with self._lock:
            return self._helps

    @cached_property
    def _helps(self) -> bool:
        rows, photos = sample(self._catalog)
        shas = [self._catalog.photo_ids[row] for row in rows]
        trials = list(photos.trials(_TRIALS, _CANDIDATES))

        def margins() -> dict[str, npt.NDArray[Any]]:
            plain, closer = [], []
            for query, candidates, right in trials:
                right = np.asarray(right, bool)
                if right.all() or not right.any():
                    continue
                known = self._cells([shas[query], *(shas[c] for c in candidates)])
                parts = _Parts.of(known[shas[query]], self._centre)
                local = [parts.similarity(_Parts.of(known[shas[c]], self._centre)) for c in candidates]
                cosines = photos.cosines[query][candidates]
                plain.append(_margin(cosines, right))
                closer.append(_margin(cosines + self._weight * np.array(local), right))
            return {"plain": np.array(plain), "closer": np.array(closer)}

        if not trials:
            return True
        found = remembered("closer-3", margins, photos.vectors, photos.items, photos.brands, self._weight)
        gain = found["closer"] - found["plain"]
        return len(gain) > 1 and bool(gain.mean() >= gain.std(ddof=1) / len(gain) ** 0.5)

    def _references(self, shas: Sequence[str]) -> list[_Parts]:
        with self._lock:
            found = {sha: self._ready.pop(sha) for sha in dict.fromkeys(shas) if sha in self._ready}
        missing = [sha for sha in shas if sha not in found]
        if missing:
            found |= {sha: _Parts.of(cells, self._centre) for sha, cells in self._cells(missing).items()}
        with self._lock:
            self._ready.update(found)
            while len(self._ready) * found[shas[0]].cells.nbytes > _READY:
                self._ready.popitem(last=False)
        return [found[sha] for sha in shas]

    @cached_property
    def _cache(self) -> PartCache:
        return reference_parts()

    @cached_property
    def _centre(self) -> FloatArray:
        """Mean cell of a few catalog photos, evenly over the catalog."""
        rows, _ = sample(self._catalog, _CENTRE_PHOTOS)
        shas = [self._catalog.photo_ids[row] for row in rows[:_CENTRE_PHOTOS]]

        def mean() -> dict[str, FloatArray]:
            cells = self._cells(shas)
            return {"centre": np.mean([cells[sha].astype(np.float32).mean((0, 1)) for sha in shas], axis=0)}

        return remembered("centre-1", mean, self._catalog.space.id, *shas)["centre"]

    def _encoded(self, prepared: Sequence[Prepared]) -> npt.NDArray[np.float16]:
        """Return cells (n, h, w, c), in half precision: what comes from disk and what does not are the same."""
        return self._catalog.encoder.encode_dense(prepared)[1].astype(np.float16)

    def _cells(self, references: Sequence[str]) -> dict[str, npt.NDArray[np.float16]]:
        """Return cells (h, w, c) of catalog photos by sha256."""
        catalog = self._catalog
        known = {sha: cells for sha, (cells,) in self._cache.get(references, catalog.space.id).items()}
        missing = [sha for sha in dict.fromkeys(references) if sha not in known]
        if missing:
            new = dict(zip(missing, self._encoded([catalog.prepared(sha) for sha in missing]), strict=True))
            self._cache.put({sha: (cells,) for sha, cells in new.items()}, catalog.space.id)
            known |= new
        return known


def _margin(scores: FloatArray, right: npt.NDArray[np.bool_]) -> float:
    """Return how far the best right score is above the best wrong one, in standard deviations of all."""
    return float((scores[right].max() - scores[~right].max()) / max(float(scores.std()), 1e-9))


def local_similarity(
    query: npt.NDArray[np.floating[Any]], references: npt.NDArray[np.floating[Any]], centre: FloatArray
) -> FloatArray:
    """Return how well the parts of a photo are found in each of some others, and theirs in it.

    Parameters
    ----------
    query : ndarray, shape (h, w, c), float32 or float16
        Cells of :meth:`imgmatch.encoders.base.Encoder.encode_dense`.
    references : ndarray, shape (n, h, w, c), float32 or float16
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
    one = _Parts.of(query, centre)
    return np.array([one.similarity(_Parts.of(reference, centre)) for reference in references], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The cells of a photo ready to be compared: (k, c), the centre taken off, of norm 1, and their weights (k,)."""

    cells: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, cells: npt.NDArray[np.floating[Any]], centre: FloatArray) -> _Parts:
        single = cells.astype(np.float32)
        return cls(_unit(single.reshape(-1, single.shape[-1]) - centre), _foreground(single))

    def similarity(self, other: _Parts) -> float:
        cosines = other.cells @ self.cells.T
        return float(cosines.max(0) @ self.weights + cosines.max(1) @ other.weights) / 2


def _foreground(cells: FloatArray) -> FloatArray:
    """Return how far each cell of (h, w, c) is from the mean cell of the photo's rim, as weights (h w,) of sum 1."""
    h, w, c = cells.shape
    rim = np.ones((h, w), bool)
    rim[1:-1, 1:-1] = False
    away = 1.001 - _unit(cells.reshape(h * w, c)) @ _unit(cells[rim].mean(axis=0))  # a photo of one texture: all alike
    weights: FloatArray = away / away.sum()
    return weights


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
