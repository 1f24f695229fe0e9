"""What nearness is worth in a catalog: its own photos, held out of all that is fitted, scored against the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog.metric import Metric, Spread, sums
from imgmatch.catalog.strangers import FALSE_CLAIMS, UNKNOWN, WEIGHTS, Prior, share
from imgmatch.types import FloatArray

__all__ = ["WAYS", "HeldOut", "Sample", "better", "foreign", "held_out", "outside"]

NEAREST = 10
"""How many photos of other groups are averaged to be taken off a score; ten, as in Pizzi et al. 2022 (arXiv:2202.10261)."""

WAYS = (("nearest", False, 0.0), ("nearest and mean", True, 0.0), ("metric", True, 1.0), ("strong metric", True, 0.1))
"""How items can be ranked, simplest first: what it is called, whether the cosine to the mean photo of the item or brand is
averaged with that to the nearest, and the shrinkage of the metric, 0 for none. Of shrinkages 0.05 to 1 the first is best for
the brands of watches, the other for views of one article, on the dev units of ``benchmarks/design.py`` at f1b99b2."""

_SAME = 0.98  # cosine of two copies of one photo (its reposts, other sizes): they say nothing about another photo; a guess
_FOLDS = 5
_FAR = 0.1  # of 0.1, 0.2 and 0.3 the only one that costs bags no right claim; open photos of `python -m benchmarks claims`

Mask = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Sample:
    """Photos of a catalog.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), float32
        Embeddings, plain, of unit norm.
    items : ndarray, shape (n,), str
        Item of each photo; the photos of an item stand together. A photo of role background is an item of its own.
    brands : ndarray, shape (n,), str
        Empty for photos of role background.
    """

    vectors: FloatArray
    items: Strings
    brands: Strings

    @cached_property
    def known(self) -> Mask:
        known: Mask = self.brands != ""
        return known

    @cached_property
    def groups(self) -> Strings:
        """What a claim is about: the brand, or the item where the catalog has one brand."""
        return self.brands if len(np.unique(self.brands[self.known])) > 1 else self.items

    @cached_property
    def cosines(self) -> FloatArray:
        cosines: FloatArray = self.vectors @ self.vectors.T
        return cosines

    @cached_property
    def same(self) -> npt.NDArray[np.bool_]:
        """Which photos are of one item, shape (n, n)."""
        same: npt.NDArray[np.bool_] = self.items[:, None] == self.items
        return same

    @cached_property
    def labels(self) -> Strings:
        """What photos belong together by: the item where half of the photos have another one of it that is no copy, else the
        group."""
        paired = (self.same & (self.cosines < _SAME)).any(axis=1) & self.known
        return self.items if 2 * paired.sum() >= self.known.sum() else self.groups

    @cached_property
    def units(self) -> npt.NDArray[np.int64]:
        """What is held out together, numbered: photos with their copies, whole items where groups are learnt.

        Sellers post a bag from several sides, and post it again: a metric that saw the other post flatters this one. On
        sellers' listings (``python -m benchmarks.design``) it promised 0.72 instead of 0.59 and took ten right ones of 63.
        """
        alike = self.same if self.labels is not self.items else self.same & (self.cosines >= _SAME)
        first = (alike | np.eye(len(alike), dtype=bool)).argmax(axis=1) if len(alike) else np.zeros(0, np.int64)
        return np.unique(first, return_inverse=True)[1]

    def trials(self, most: int, candidates: int) -> Iterator[tuple[int, npt.NDArray[np.int64], Mask]]:
        """Yield held-out photos, evenly over the sample, that have another one of theirs.

        Yields
        ------
        query : int
        nearest : ndarray, shape (at most `candidates`,), int64
            The nearest photo of each of the items nearest by plain cosine, best first.
        right : ndarray of bool
            Which of them belong with the query.
        """
        asked = [i for i in np.flatnonzero(self.known).tolist() if (self.others(i) & (self.labels == self.labels[i])).any()]
        for i in asked[:: max(1, -(-len(asked) // most))]:
            others = np.flatnonzero(self.others(i) & self.known)
            ranked = others[np.argsort(-self.cosines[i][others], kind="stable")]
            first = np.sort(np.unique(self.items[ranked], return_index=True)[1])[:candidates]
            yield i, ranked[first], self.labels[ranked[first]] == self.labels[i]

    def others(self, i: int) -> Mask:
        """Mark all photos but one and its copies."""
        others: Mask = self.cosines[i] < _SAME
        others[i] = False
        return others


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What was measured.

    Parameters
    ----------
    way : int
        Place in `WAYS` of how items are ranked.
    recall : ndarray, shape (ways,), float64
        By way, the share of `trials` in which the photo's own item or group came first.
    trials : int
        Photos that have another one of theirs.
    weight : float
        How much is taken off scores, one of `WEIGHTS`.
    genuine, foreign : ndarray, float32, ascending
        Scores by that way of photos against their own item (else their group), and against the best other group with their
        own group taken out of the catalog and of what the metric was learnt from.
    kinds : int
        How many groups the catalog has.
    alone : ndarray of str
        Groups that are of a kind of their own, see :func:`_alone`.
    near, near_groups : ndarray, shape (n,), float32 and str
        Cosine of photos to the nearest other one of their brand, and their groups.
    mean, matrix : ndarray
        Of the metric; empty where none is used.
    """

    way: int
    recall: npt.NDArray[np.float64]
    trials: int
    weight: float
    genuine: FloatArray
    foreign: FloatArray
    kinds: int
    alone: Strings
    near: FloatArray
    near_groups: Strings
    mean: FloatArray
    matrix: FloatArray

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {key: np.asarray(value) for key, value in asdict(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> HeldOut:
        one = {"way": int, "trials": int, "weight": float, "kinds": int}
        return cls(**{key: one[key](value) if key in one else value for key, value in arrays.items()})  # type: ignore[arg-type]


def held_out(photos: Sample, priors: Mapping[float, Prior] = MappingProxyType({})) -> HeldOut:
    """Score every photo as a query against the others, by each way of ranking, and choose the way and the weight.

    Parameters
    ----------
    photos : Sample
    priors : mapping
        By weight, how much the scores of strangers vary in other catalogs, where no metric is used.

    Notes
    -----
    A metric that saw a photo flatters it. So for genuine scores it is learnt on four fifths of the photos and applied to the
    last, and for foreign ones on all groups but a fifth of them: a stranger's brand was in no metric. Ten decompositions,
    some ten seconds for 2048 photos of 1280 floats.

    Of the ways that rank more photos right than the nearest photo alone, by at least one standard error of the paired
    difference (McNemar 1947, see :func:`better`), the best is chosen: where there is none, what was learnt is noise. The
    weight, which changes no order, is the one by which more of the photos score higher than a stranger may.
    """
    by_photo = _folds(photos, photos.units % _FOLDS)
    by_group = _folds(photos, np.unique(photos.groups, return_inverse=True)[1] % _FOLDS)
    tried = {way: scores for way in range(len(WAYS)) if (scores := _scores(photos, way, by_photo, by_group)) is not None}
    able = [0, *(way for way, scores in tried.items() if better(scores.hits, tried[0].hits))]
    way = max(able, key=lambda way: tried[way].hits.sum())
    scores = tried[way]
    recall = np.array([tried[way].hits.mean() if way in tried and len(tried[way].hits) else 0.0 for way in range(len(WAYS))])
    shrinkage = WAYS[way][2]
    kinds = len(np.unique(photos.groups[photos.known]))
    known = {weight: UNKNOWN if shrinkage else priors.get(weight, UNKNOWN) for weight in WEIGHTS}
    claimed = [(share(scores.foreign(w), kinds, scores.genuine(w), known[w]) <= FALSE_CLAIMS).sum() for w in WEIGHTS]
    weight = WEIGHTS[int(np.argmax(claimed))]
    metric = Metric.fit(photos.vectors[photos.known], photos.labels[photos.known], shrinkage) if shrinkage else None
    none = np.zeros(0, np.float32)
    near = _near(photos)
    has = np.isfinite(near)
    return HeldOut(
        way,
        recall,
        trials=len(scores.hits),
        weight=weight,
        genuine=np.sort(scores.genuine(weight)),
        foreign=np.sort(scores.foreign(weight)),
        kinds=kinds,
        alone=_alone(photos),
        near=near[has],
        near_groups=photos.groups[has],
        mean=none if metric is None else metric.mean,
        matrix=none if metric is None else metric.matrix,
    )


def foreign(photos: Sample, weight: float) -> FloatArray:
    """Return the scores of photos, by their nearest photo, with their own group taken out; see :class:`HeldOut`."""
    space = _Space(photos, photos.vectors, averaged=False)
    best = np.array([space.strangest(i) for i in range(len(photos.items))], np.float32).reshape(-1, 2)
    return _weighed(best[np.isfinite(best[:, 0])], weight)


def outside(similarities: FloatArray, groups: npt.NDArray[Any], photos: FloatArray, photo_groups: npt.NDArray[Any]) -> float:
    """Return how near a photo is to what it does not show: the same is taken off all its scores, so that their order stays.

    Parameters
    ----------
    similarities, groups : ndarray, shape (n,)
        Of the photo to items, one at least, and the groups of these.
    photos, photo_groups : ndarray, shape (m,)
        Cosines of the photo to single photos, and the groups of these.

    Returns
    -------
    float
        Mean of the `NEAREST` highest cosines to photos outside the group of the best item; 0 where there are none.
    """
    return _mean_highest(photos[photo_groups != groups[int(np.argmax(similarities))]])


def _mean_highest(similarities: FloatArray) -> float:
    if not len(similarities):
        return 0.0
    k = min(NEAREST, len(similarities))
    return float(np.partition(similarities, len(similarities) - k)[-k:].mean())


@dataclass(frozen=True, eq=False)
class _Scores:
    """Which photos were ranked right, and similarities beside what may be taken off them, shape (n, 2)."""

    hits: Mask
    to_own: FloatArray
    to_others: FloatArray

    def genuine(self, weight: float) -> FloatArray:
        return _weighed(self.to_own, weight)

    def foreign(self, weight: float) -> FloatArray:
        return _weighed(self.to_others, weight)


def _weighed(pairs: FloatArray, weight: float) -> FloatArray:
    scores: FloatArray = pairs[:, 0] - np.float32(weight) * pairs[:, 1]
    return scores


Folds = Sequence[tuple[npt.NDArray[np.int64], Spread | None]]
"""Rows held out together, and what the others vary by."""


def _folds(photos: Sample, fold: npt.NDArray[Any]) -> Folds:
    learn = [(fold != f) & photos.known for f in np.unique(fold)]
    spreads = [Spread.of(photos.vectors[rows], photos.labels[rows]) for rows in learn]
    return [(np.flatnonzero(fold == f), spread) for f, spread in zip(np.unique(fold), spreads, strict=True)]


def _scores(photos: Sample, way: int, by_photo: Folds, by_group: Folds) -> _Scores | None:
    """Score by one way; None where there are too few photos for its metric."""
    hits, genuine, others = [], [], []
    for rows, space in _spaces(photos, way, by_photo):
        if space is None:
            return None
        for i in rows:
            found = space.own(i)
            if found is not None:
                hits.append(found[0])
                genuine.append(found[1:])
    for rows, space in _spaces(photos, way, by_group):
        if space is None:
            return None
        others += [best for i in rows if np.isfinite((best := space.strangest(i))[0])]
    pairs = (np.array(found, np.float32).reshape(-1, 2) for found in (genuine, others))
    return _Scores(np.array(hits, bool), *pairs)


def _spaces(photos: Sample, way: int, folds: Folds) -> Iterator[tuple[npt.NDArray[Any], _Space | None]]:
    """Yield the rows held out together and the space that was learnt without them."""
    _, averaged, shrinkage = WAYS[way]
    if not len(photos.items):
        return
    if not shrinkage:
        yield np.arange(len(photos.items)), _Space(photos, photos.vectors, averaged=averaged)
        return
    for held, spread in folds:
        mapped = None if spread is None else spread.metric(shrinkage)(photos.vectors)
        yield held, None if mapped is None else _Space(photos, mapped, averaged=averaged)


class _Space:
    """Every photo of a sample against every item of it."""

    def __init__(self, photos: Sample, vectors: FloatArray, *, averaged: bool) -> None:
        self._photos, self._averaged = photos, averaged
        self._starts = np.flatnonzero(np.r_[True, photos.items[1:] != photos.items[:-1]])
        self._item = np.cumsum(np.r_[False, photos.items[1:] != photos.items[:-1]])
        self._groups = np.unique(photos.groups, return_inverse=True)[1]
        self._labels = np.unique(photos.labels, return_inverse=True)[1]
        self._likeness = vectors @ vectors.T
        by_label = sums(vectors, self._labels)
        self._power = (by_label**2).sum(axis=1)
        self._to_sums = vectors @ by_label.T

    def own(self, i: int) -> tuple[bool, float, float] | None:
        """Return whether a photo's label comes first, its similarity and what may be taken off; None without another of its
        own."""
        keep = self._photos.others(i)
        if not (self._photos.known[i] and (keep & (self._labels == self._labels[i])).any()):
            return None
        scores, near = self._against(i, keep)
        first = self._starts[int(scores.argmax())]
        mine = scores[self._item[i]]
        if not np.isfinite(mine):
            mine = scores[self._groups[self._starts] == self._groups[i]].max()
        return bool(self._labels[first] == self._labels[i]), float(mine), near

    def strangest(self, i: int) -> tuple[float, float]:
        """Return a photo's best similarity with its group taken out, -inf where there is none, and what may be taken off."""
        keep = self._groups != self._groups[i] if self._photos.known[i] else np.arange(len(self._groups)) != i
        scores, near = self._against(i, keep)
        return float(scores.max(initial=-np.inf)), near

    def _against(self, i: int, keep: Mask) -> tuple[npt.NDArray[Any], float]:
        """Return the similarities of a photo to every item, from the photos to keep, -inf for items without any, and what
        may be taken off them."""
        similarities = self._likeness[i]
        scores = np.maximum.reduceat(np.where(keep & self._photos.known, similarities, -np.inf), self._starts)
        if self._averaged:
            power, product = self._power.copy(), self._to_sums[i].copy()
            mine = self._labels[i]  # the mean that stands beside its own photos leaves it and its copies out
            out = np.flatnonzero((self._labels == mine) & ~keep)
            power[mine] += self._likeness[np.ix_(out, out)].sum() - 2.0 * self._to_sums[out, mine].sum()
            product[mine] -= similarities[out].sum()
            cosines = product / np.sqrt(np.maximum(power, 1e-12))
            scores = (scores + cosines[self._labels[self._starts]]) / 2
        return scores, outside(scores, self._groups[self._starts], similarities[keep], self._groups[keep])


def better(hits: Mask, before: Mask) -> bool:
    """Tell whether more queries are answered right than before, by at least a standard error of the paired difference.

    Notes
    -----
    With the continuity correction of Edwards (1948, Psychometrika 13, doi 10.1007/BF02289261): two gained and none lost are
    no more than chance.
    """
    gained, lost = int((hits & ~before).sum()), int((before & ~hits).sum())
    return gained > lost and (gained - lost - 1) ** 2 >= gained + lost


def _alone(photos: Sample) -> Strings:
    """Return the groups that nothing in the catalog but themselves is like: half of their photos are farther from other
    groups than nine of ten photos of the catalog are.

    No score of other groups was measured on such a kind of goods, so that a score says nothing there: with one brand's
    bags among shoes every bag would be that brand's.
    """
    rows = zip(photos.cosines, photos.groups, strict=True)
    outside = np.array([_mean_highest(row[photos.groups != group]) for row, group in rows])
    known = np.unique(photos.groups[photos.known])
    if len(known) < 2:
        return known[:0]
    far = np.quantile(outside, _FAR)
    return np.array([group for group in known if np.median(outside[photos.groups == group]) < far], np.str_)


def _near(photos: Sample) -> FloatArray:
    """Return the cosine of every photo to the nearest other one of its brand; -inf where there is none."""
    same = (photos.brands[:, None] == photos.brands) & photos.known & (photos.cosines < _SAME)
    np.fill_diagonal(same, False)
    nearest: FloatArray = np.where(same, photos.cosines, -np.inf).max(axis=1, initial=-np.inf)
    return nearest
