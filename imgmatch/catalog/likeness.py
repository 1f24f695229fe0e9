"""How alike a photo and the items of a catalog are, and how much that says there: learnt from the catalog's own photos.

One per catalog (:attr:`imgmatch.catalog.Catalog.likeness`), shared by the signals that embed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from imgmatch.catalog.held_out import WAYS, HeldOut, Sample, held_out, outside
from imgmatch.catalog.metric import Metric
from imgmatch.catalog.strangers import PRIORS, UNKNOWN, WEIGHTS, share, share_below
from imgmatch.loading.cache import remembered
from imgmatch.metrics import wilson_interval
from imgmatch.types import FloatArray, PhotoRole

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Compared", "Likeness", "References", "sample"]

PHOTOS = 2048
"""Photos that all this is learnt from, whole items evenly over the catalog: the cost does not grow with it."""

_ONE_SIDED = 1.645  # standard normal deviate of a limit that holds in 95 of 100 samples
_ITEMS_KEPT = 5_000  # items whose vectors are kept mapped: some 100 MB at 4 photos of 1,280 floats
_GROUP_PHOTOS = 20  # three of them lie below the floor


class References(NamedTuple):
    """Reference photos of an item.

    Parameters
    ----------
    photos : list of str
        sha256.
    plain, mapped : ndarray, shape (n, d), float32
        Their vectors, as the encoder gives them and in the space that items are ranked in.
    mean : ndarray, shape (d,), float32
        Mean, of unit norm, of the mapped photos of the item, or of its brand where items have one photo.
    """

    photos: list[str]
    plain: FloatArray
    mapped: FloatArray
    mean: FloatArray


class Likeness:
    """Scores of photos against the items of one catalog, and how certain they make it.

    The score of an item is the cosine to its nearest photo, or the mean of that and the cosine to the mean photo of its
    item or brand. Items are ranked by the plain cosine to their nearest photo, unless photos of the catalog held out of
    all that is fitted say that means or a metric rank better (:func:`imgmatch.catalog.held_out.held_out`); they also say
    how much a score means. Where more of them can be claimed by it, half the mean cosine to the ten nearest photos of groups
    other than the best item's is taken off all scores of a photo, so that one that is near to everything is near to nothing.

    Parameters
    ----------
    catalog : Catalog

    Attributes
    ----------
    metric : Metric or None
    learnt : HeldOut
        What was measured on the catalog's own photos.

    Notes
    -----
    Thread-safe. Making one takes some ten seconds where a metric is in question; it is remembered on disk.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._kept: dict[str, References] = {}
        _, photos = sample(catalog)
        names, self._groups = np.unique(photos.groups, return_inverse=True)
        self._number = {str(name): number for number, name in enumerate(names)}
        priors = {weight: PRIORS.get((catalog.space.id, weight), UNKNOWN) for weight in WEIGHTS}
        inputs = photos.vectors, photos.items, photos.brands, np.array(list(priors.values()))
        found = remembered("likeness-12", lambda: held_out(photos, priors).arrays(), *inputs)
        self.learnt = learnt = HeldOut.from_arrays(found)
        self.metric = Metric(learnt.mean, learnt.matrix) if len(learnt.matrix) else None
        self._prior = priors[learnt.weight] if self.metric is None else UNKNOWN
        vectors = self.mapped(photos.vectors)
        self._double = vectors.T.astype(np.float64)
        known = photos.known
        self._means = {} if photos.labels is photos.items else _means(vectors[known], photos.labels[known])
        self._alone = frozenset(learnt.alone.tolist())
        self._floor = _floor(learnt.near)
        counts = Counter(learnt.near_groups.tolist())
        self._floors = {g: _floor(learnt.near[learnt.near_groups == g]) for g, n in counts.items() if n >= _GROUP_PHOTOS}

    def mapped(self, vectors: FloatArray) -> FloatArray:
        """Return embeddings (n, d) or (d,) in the space that items are ranked in."""
        return vectors if self.metric is None else self.metric(vectors)

    def compare(self, vectors: FloatArray) -> list[Compared]:
        """Compare photos with the catalog.

        Parameters
        ----------
        vectors : ndarray, shape (n, d), float32
            Their embeddings.

        Notes
        -----
        One product with the sample, in double precision and rounded: the same for a photo alone and in a batch.
        """
        mapped = self.mapped(vectors)
        similarities = (mapped @ self._double).astype(np.float32)
        return [Compared(self, *row) for row in zip(vectors, mapped, similarities, strict=True)]

    def references(self, item_id: str) -> References:
        """Return the reference photos of an item; none where it has none. Kept while in use."""
        with self._lock:
            known = self._kept.get(item_id)
        if known is None:
            photos, item = self._catalog.photos, self._catalog.items[item_id]
            shas = [s for s in item.photos if s in photos and photos[s].role is PhotoRole.REFERENCE]
            if not shas:
                return References([], *(np.zeros((0, 0), np.float32),) * 2, np.zeros(0, np.float32))
            plain = np.stack([self._catalog.embedding(sha) for sha in shas])
            mapped = self.mapped(plain)
            mean = self._means.get(item.brand)
            known = References(shas, plain, mapped, _unit(mapped.mean(axis=0)) if mean is None else mean)
            with self._lock:
                if len(self._kept) >= _ITEMS_KEPT:
                    self._kept.clear()
                self._kept[item_id] = known
        return known

    def group(self, item_id: str) -> str:
        """Return what a claim of an item is about: its brand, or the item itself where the catalog has one brand."""
        brand = self._catalog.items[item_id].brand
        return brand if brand in self._number else item_id

    def least(self, group: str) -> float:
        """Return the plain cosine to a reference below which a photo is not claimed to show a group.

        Notes
        -----
        85 % of the group's photos are so near to another one of their brand (of all photos, where the group has less than
        20); 1 where no two photos belong together. The share was chosen on the dev half of the open-set suite that
        ``benchmarks.claims`` has replaced since: of 115 unknown photos none is claimed there, at 90 % three, with one
        floor for all brands nine.
        """
        return self._floors.get(group, self._floor)

    def alone(self, group: str) -> bool:
        """Tell whether a group is the only one of its kind of goods in the catalog, so that its scores tell nothing."""
        return group in self._alone

    def false_claims(self, score: float) -> float:
        """Return the share of photos of brands that the catalog does not have that are expected to score so high.

        Notes
        -----
        What a stranger scores is known from the catalog's photos with their own group taken out of it, and from how much
        such scores vary in other catalogs of the same encoder, see :func:`imgmatch.catalog.strangers.share`. 1 where the
        catalog has less than three brands (items, where it has one brand).
        """
        return float(share(self.learnt.foreign, self.learnt.kinds, score, self._prior))

    def as_far(self, similarity: float) -> float:
        """Return the share of photos of a brand of the catalog that are expected to be no nearer to any other one of theirs.

        Parameters
        ----------
        similarity : float
            Plain cosine of a photo to the nearest reference of the brand.

        Notes
        -----
        Of the catalog's photos and the nearest other one of their brand that is no copy, see
        :func:`imgmatch.catalog.strangers.share_below`; 1 where there are less than three.
        """
        return float(share_below(self.learnt.near, similarity))

    def certainty(self, score: float) -> float:
        """Turn a score into a certainty in [0, 1].

        With *a* the share of foreign scores at or above this one and *b* the share of genuine ones at or below it, it is
        b / (a + b): a half where the two kinds of error are equal. Of *a* the upper and of *b* the lower 95 %
        Wilson limit is taken, so that a small catalog cannot be certain: 0.99 takes 270 photos of other brands below the
        score. 0 where no two photos belong together or there is one group.
        """
        learnt = self.learnt
        if not len(learnt.genuine) or not len(learnt.foreign):
            return 0.0
        above = len(learnt.foreign) - int(np.searchsorted(learnt.foreign, score, side="left"))
        below = int(np.searchsorted(learnt.genuine, score, side="right"))
        a = wilson_interval(above, len(learnt.foreign), z=_ONE_SIDED)[1]
        b = wilson_interval(below, len(learnt.genuine), z=_ONE_SIDED)[0]
        return b / (a + b)

    def describe(self) -> str:
        """Say in words how items are ranked and what decided it."""
        learnt = self.learnt
        if not learnt.trials:
            return "nearest photo: no two photos of one item or brand, so that nothing is certain"
        shares = ", ".join(f"{name} {share:.2f}" for (name, *_), share in zip(WAYS, learnt.recall, strict=True) if share)
        tried = any(share for (*_, shrinkage), share in zip(WAYS, learnt.recall, strict=True) if shrinkage)
        why = (
            "that ranks best" if self.metric else "no learnt metric ranks better" if tried else "too few photos for a metric"
        )
        right = f"share of {learnt.trials} held-out photos whose first hit is right: {shares or 'none'}"
        return f"{WAYS[learnt.way][0]}; {why} ({right})"


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A photo compared with the catalog: its embedding, that embedding mapped, and its cosines to the sample."""

    likeness: Likeness
    embedding: FloatArray
    vector: FloatArray
    similarities: FloatArray

    def scores(self, similarities: Sequence[float], items: Sequence[str]) -> list[float]:
        """Return the scores of items whose nearest photos have these cosines in the mapped space; all that are compared."""
        if not items:
            return []
        likeness = self.likeness
        if WAYS[likeness.learnt.way][1]:
            means = [float(likeness.references(item_id).mean @ self.vector) for item_id in items]
            similarities = [(nearest + mean) / 2 for nearest, mean in zip(similarities, means, strict=True)]
        groups = np.array([likeness._number.get(likeness.group(item_id), -1) for item_id in items])
        found = np.array(similarities)
        near = outside(found, groups, self.similarities, likeness._groups)
        scores: list[float] = (found - likeness.learnt.weight * near).tolist()
        return scores


def sample(catalog: Catalog, photos: int = PHOTOS) -> tuple[list[int], Sample]:
    """Return rows of `catalog.vectors` and what they are: whole items and photos of role background, evenly."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, sha in enumerate(catalog.photo_ids):
        photo = catalog.photos.get(sha)
        if photo is not None and photo.role is PhotoRole.REFERENCE and photo.item_id and photo.item_id in catalog.items:
            rows_of.setdefault((photo.item_id, catalog.items[photo.item_id].brand), []).append(row)
        elif photo is not None and photo.role is PhotoRole.BACKGROUND:
            rows_of.setdefault((f"\0{row:09d}", ""), []).append(row)
    step = max(1, -(-sum(map(len, rows_of.values())) // photos))
    chosen = [(key, row) for key in sorted(rows_of)[::step] for row in rows_of[key]]
    rows = [row for _, row in chosen]
    vectors = np.ascontiguousarray(catalog.vectors[np.array(rows, np.int64)], np.float32)
    items, brands = (np.array([key[part] for key, _ in chosen], np.str_) for part in (0, 1))
    return rows, Sample(vectors, items, brands)


def _means(vectors: FloatArray, labels: npt.NDArray[np.str_]) -> dict[str, FloatArray]:
    return {str(label): _unit(vectors[labels == label].mean(axis=0)) for label in np.unique(labels)}


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
    return unit


def _floor(near: FloatArray) -> float:
    return float(np.quantile(near, 0.15)) if len(near) else 1.0
