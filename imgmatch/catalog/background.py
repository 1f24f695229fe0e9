"""What nearness means in a catalog: a background that similarities are normalised with. Shared by the signals that embed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog.metric import Metric
from imgmatch.loading.cache import remembered
from imgmatch.types import FloatArray, PhotoRole

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Background", "sample"]

_GROUP_PHOTOS = 20  # three of them lie below the floor
_BACKGROUND = ""  # the group of photos with role background: never a candidate, always part of what is normalised with


@dataclass(frozen=True, eq=False)
class Background:
    """A sample of the catalog that similarities are normalised with, and what nearness meant within the catalog.

    The similarity of a query to its nearest reference depends on the query (a plain photo is near to everything). Taking
    off its mean similarity to the nearest photos that cannot be what it shows makes scores comparable.

    Parameters
    ----------
    vectors : ndarray, shape (m, d), float32
    groups : ndarray, shape (m,), str
        Brand of each photo (its item where the catalog has one brand and no background photos).
    weight : float
        How much of the background's similarity is taken off.
    nearest : int
        How many nearest background photos are averaged.
    genuine, foreign : ndarray, shape (n,), float32, ascending
        Leave-one-out scores of catalog photos, held against other photos of their item (else of their brand), and against
        the nearest other group with their own group taken out.
    floors : mapping of str to float
        By group, the plain similarity that 85 % of its photos reach to another photo of their item (else of their group).
        What is farther from its nearest reference than that is unknown, whatever its score: the score says which of the
        known, not whether one of them. Only groups of at least 20 photos.
    floor : float
        The same over the whole sample, for smaller groups; -1 where no two photos belong together.

    Notes
    -----
    The share of 85 % was chosen on the dev half of ``python -m benchmarks.open_set``: of 115 unknown photos none is claimed
    there, at 90 % three, with one floor for all brands nine.

    References
    ----------
    Pizzi et al. 2022, *A Self-Supervised Descriptor for Image Copy Detection*, arXiv:2202.10261, section 5: similarity
    normalisation.
    """

    vectors: FloatArray
    groups: npt.NDArray[np.str_]
    weight: float
    nearest: int
    genuine: FloatArray
    foreign: FloatArray
    floors: Mapping[str, float] = field(default_factory=dict)
    floor: float = -1.0

    @cached_property
    def _members(self) -> dict[str, npt.NDArray[np.bool_]]:
        return {str(group): self.groups == group for group in np.unique(self.groups)}

    def __contains__(self, group: str) -> bool:
        return group in self._members

    @cached_property
    def _double(self) -> npt.NDArray[np.float64]:
        vectors: npt.NDArray[np.float64] = self.vectors.T.astype(np.float64)
        return vectors

    def similarities(self, queries: FloatArray) -> FloatArray:
        """Return the cosines of queries (n, d) or (d,) to the background photos: (n, m) or (m,).

        Notes
        -----
        Taken in double precision and rounded: the same for a query alone and in a batch.
        """
        return (queries @ self._double).astype(np.float32)

    def outside(self, similarities: FloatArray) -> Callable[[str], float]:
        """Return what gives, for a group, the mean of a query's highest similarities (m,) outside it; 0 without any."""
        if not len(similarities):
            return lambda group: 0.0
        k = min(self.nearest, len(similarities))
        top = np.argpartition(similarities, len(similarities) - k)[len(similarities) - k :]
        whole, near = self._mean_nearest(similarities), set(self.groups[top].tolist())

        def mean(group: str) -> float:
            # Leaving out a group that has none of the highest changes nothing.
            return self._mean_nearest(similarities[~self._members[group]]) if group in near else whole

        return mean

    def least(self, group: str) -> float:
        """Return the plain similarity below which a photo is not claimed to show this group."""
        return self.floors.get(group, self.floor)

    def certainty(self, score: float) -> float:
        """Turn a normalised score into a certainty in [0, 1].

        With *a* the share of foreign scores at or above this one and *b* the share of genuine ones at or below it, the
        certainty is b / (a + b): 0.5 where the two kinds of error are equal. A provisional reading of the catalog
        itself, not a probability.
        """
        foreign = len(self.foreign) - np.searchsorted(self.foreign, score, side="left")
        genuine = np.searchsorted(self.genuine, score, side="right")
        a = (foreign + 1) / (len(self.foreign) + 2)
        b = (genuine + 1) / (len(self.genuine) + 2)
        return float(b / (a + b))

    def _mean_nearest(self, kept: FloatArray) -> float:
        if not len(kept):
            return 0.0
        k = min(self.nearest, len(kept))
        return float(np.partition(kept, len(kept) - k)[-k:].mean())

    @classmethod
    def of(
        cls, catalog: Catalog, metric: Metric | None = None, *, photos: int = 2048, weight: float = 1.0, nearest: int = 10
    ) -> Background:
        """Sample a catalog and take its leave-one-out scores, in the plain space or in that of a metric.

        Notes
        -----
        Whole items are sampled, evenly over the catalog, until `photos` is reached, so the cost does not
        grow with the catalog: one (m, m) product of similarities, remembered on disk for the same photos.
        """
        rows, groups, items = sample(catalog, photos)
        plain = np.ascontiguousarray(catalog.vectors[rows], np.float32)
        vectors = plain if metric is None else metric(plain)
        empty = np.zeros(0, np.float32)
        self = cls(vectors, groups, weight, nearest, empty, empty)
        found = remembered(
            "background-1", lambda: self._left_out(plain, items), vectors, plain, groups, items, self.weight, self.nearest
        )
        own, own_groups = found["own"], groups[found["own_rows"].astype(np.int64)]
        floors = {
            str(g): _floor(own[own_groups == g]) for g, n in Counter(own_groups.tolist()).items() if n >= _GROUP_PHOTOS
        }
        return cls(vectors, groups, self.weight, self.nearest, found["genuine"], found["foreign"], floors, _floor(own))

    def _left_out(self, plain: FloatArray, items: npt.NDArray[np.str_]) -> dict[str, npt.NDArray[Any]]:
        """Hold every sampled photo against the others: scores, and plain similarity to the nearest of its own item."""
        vectors, groups = self.vectors, self.groups
        genuine, foreign, own, own_rows = [], [], [], []
        for i, similarities in enumerate(vectors @ vectors.T if len(groups) else []):
            other = np.arange(len(groups)) != i
            outside = groups != groups[i]
            if groups[i] != _BACKGROUND:
                same = other & (items == items[i])
                same = same if same.any() else other & ~outside
                if same.any():
                    own.append(float((plain[same] @ plain[i]).max()))
                    own_rows.append(i)
                    genuine.append(similarities[same].max() - self.weight * self._mean_nearest(similarities[outside]))
            strangers = np.where(outside & (groups != _BACKGROUND), similarities, -np.inf)
            nearest = int(strangers.argmax())
            if np.isfinite(strangers[nearest]):
                rest = outside & (groups != groups[nearest])
                foreign.append(strangers[nearest] - self.weight * self._mean_nearest(similarities[rest]))
        return {
            "genuine": np.sort(np.array(genuine, np.float32)),
            "foreign": np.sort(np.array(foreign, np.float32)),
            "own": np.array(own, np.float64),
            "own_rows": np.array(own_rows, np.int64),
        }


def _floor(nearest: npt.NDArray[Any]) -> float:
    return float(np.quantile(nearest, 0.15)) if len(nearest) else -1.0


def sample(catalog: Catalog, photos: int) -> tuple[list[int], npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Return rows of `catalog.vectors`, and the group and the item of each: whole items, evenly over the catalog."""
    rows_of: dict[str, list[int]] = {}
    for row, sha in enumerate(catalog.photo_ids):
        photo = catalog.photos.get(sha)
        if photo is not None and photo.role is PhotoRole.REFERENCE and photo.item_id:
            rows_of.setdefault(photo.item_id, []).append(row)
        elif photo is not None and photo.role is PhotoRole.BACKGROUND:
            rows_of.setdefault(f"{_BACKGROUND}{row}\0", []).append(row)
    keys = sorted(rows_of)
    step = max(1, -(-sum(map(len, rows_of.values())) // photos))
    chosen = [(key, row) for key in keys[::step] for row in rows_of[key]]
    brands = {catalog.items[key].brand if key in catalog.items else _BACKGROUND for key, _ in chosen}
    by_brand = len(brands) > 1
    items = [key for key, _ in chosen]
    groups = [(catalog.items[k].brand if by_brand else k) if k in catalog.items else _BACKGROUND for k in items]
    return [row for _, row in chosen], np.array(groups, np.str_), np.array(items, np.str_)
