"""Does the listing show the design of a catalog item: global embeddings, normalised against a background."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgmatch.photo import PhotoContext, Query
from imgmatch.types import Candidate, Finding, FindingStatus, FloatArray, PhotoRole

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog
    from imgmatch.config import DesignConfig

__all__ = ["Background", "DesignSignal"]

_BACKGROUND = ""  # the group of photos with role background: never a candidate, always part of what is normalised with


@dataclass(frozen=True, slots=True, eq=False)
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

    def similarity(self, query: FloatArray, without: Sequence[str]) -> float:
        """Return the mean cosine of a query (d,) to its nearest background photos outside some groups; 0 without any."""
        return self._mean_nearest(self.vectors @ query, ~np.isin(self.groups, without))

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

    def _mean_nearest(self, similarities: FloatArray, keep: npt.NDArray[np.bool_]) -> float:
        kept = similarities[keep]
        if not len(kept):
            return 0.0
        k = min(self.nearest, len(kept))
        return float(np.partition(kept, len(kept) - k)[-k:].mean())

    @classmethod
    def of(cls, catalog: Catalog, config: DesignConfig) -> Background:
        """Sample a catalog and take its leave-one-out scores.

        Notes
        -----
        Whole items are sampled, evenly over the catalog, until `config.background_photos` is reached, so the cost does not
        grow with the catalog: one (m, m) product of similarities.
        """
        rows, groups, items = _sample(catalog, config.background_photos)
        vectors = np.ascontiguousarray(catalog.vectors[rows], np.float32)
        empty = np.zeros(0, np.float32)
        self = cls(vectors, groups, config.background_weight, config.background_nearest, empty, empty)
        genuine, foreign = [], []
        for i, similarities in enumerate(vectors @ vectors.T if len(rows) else []):
            other = np.arange(len(rows)) != i
            outside = groups != groups[i]
            if groups[i] != _BACKGROUND:
                same = other & (items == items[i])
                same = same if same.any() else other & ~outside
                if same.any():
                    genuine.append(similarities[same].max() - self.weight * self._mean_nearest(similarities, outside))
            strangers = np.where(outside & (groups != _BACKGROUND), similarities, -np.inf)
            nearest = int(strangers.argmax())
            if np.isfinite(strangers[nearest]):
                rest = outside & (groups != groups[nearest])
                foreign.append(strangers[nearest] - self.weight * self._mean_nearest(similarities, rest))
        ordered = (np.sort(np.array(scores, np.float32)) for scores in (genuine, foreign))
        return cls(vectors, groups, self.weight, self.nearest, *ordered)


def _sample(catalog: Catalog, photos: int) -> tuple[list[int], npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Return rows of `catalog.vectors`, and the group and the item of each."""
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


class DesignSignal:
    """Name the catalog items whose design a listing's photos show.

    Parameters
    ----------
    catalog : Catalog
    config : DesignConfig

    Notes
    -----
    Open set: where nothing is near enough, or two brands are equally near, it abstains. How near is near enough comes
    from leaving photos of the catalog itself out, see :meth:`Background.certainty`, never from the photos examined.
    Cost per photo: one index search and one product with the background sample.
    """

    name = "design"

    def __init__(self, catalog: Catalog, config: DesignConfig) -> None:
        self.catalog = catalog
        self.config = config
        self._lock = threading.Lock()

    @property
    def background(self) -> Background:
        """The background of the catalog, sampled when first used."""
        with self._lock:
            return self._background

    @cached_property
    def _background(self) -> Background:
        return Background.of(self.catalog, self.config)

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Name the items nearest to any listing photo, best first, at most `config.candidates` each."""
        photos = [photo for query in queries for photo in query.of_role("listing")]
        if not photos:
            return [[] for _ in queries]
        found = self.catalog.search(np.stack([photo.embedding for photo in photos]), self.config.neighbors)
        items = {id(photo): self._items_of(row for row, _ in rows) for photo, rows in zip(photos, found.rows(), strict=True)}
        return [
            self._candidates(query, {i for p in query.of_role("listing") for i in items[id(p)]})[: self.config.candidates]
            for query in queries
        ]

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Say, of the best candidate of each query, how certain it is that the listing shows its design."""
        return [[self._finding(query)] for query in queries]

    def _items_of(self, rows: Iterable[int]) -> set[str]:
        photos = (self.catalog.photos.get(self.catalog.photo_ids[row]) for row in rows)
        return {photo.item_id for photo in photos if photo is not None and photo.item_id}

    def _candidates(self, query: Query, item_ids: Iterable[str]) -> list[Candidate]:
        """Score items against a query: per item, the best pair of a listing photo and a catalog photo."""
        best: dict[str, Candidate] = {}
        for photo in query.of_role("listing"):
            taken_off: dict[str, float] = {}
            for item_id in sorted(item_ids):
                candidate = self._score(photo, item_id, taken_off)
                if candidate is not None and (item_id not in best or candidate.score > best[item_id].score):
                    best[item_id] = candidate
        return sorted(best.values(), key=lambda c: (-c.score, c.item_id))

    def _score(self, photo: PhotoContext, item_id: str, taken_off: dict[str, float]) -> Candidate | None:
        item = self.catalog.items[item_id]
        shas = [s for s in item.photos if s in self.catalog.photos and self.catalog.photos[s].role is PhotoRole.REFERENCE]
        if not shas:
            return None
        similarities = np.stack([self.catalog.embedding(sha) for sha in shas]) @ photo.embedding
        nearest = int(similarities.argmax())
        background = self.background
        group = item.brand if item.brand in background.groups else item_id
        if group not in taken_off:
            taken_off[group] = background.weight * background.similarity(photo.embedding, [group])
        similarity = float(similarities[nearest])
        score = similarity - taken_off[group]
        return Candidate(item_id, item.brand, similarity, shas[nearest], photo.photo_id, score, (self.name,))

    def _finding(self, query: Query) -> Finding:
        if not query.of_role("listing"):
            return Finding.abstained(self.name, "The listing has no readable photo.")
        candidates = self._candidates(query, {c.item_id for c in query.candidates if c.item_id in self.catalog.items})
        if not candidates:
            return Finding.abstained(self.name, "No catalog item was proposed.")
        best = candidates[0]
        certainty = self.background.certainty(best.score)
        rival = next((c for c in candidates if c.brand != best.brand), None)
        where = {"photo_id": best.photo_id, "item_id": best.item_id, "brand": best.brand}
        if certainty < 0.5:
            return Finding.abstained(
                self.name,
                f"Nothing in the catalog is near enough: the nearest item, {self._called(best)}, has similarity "
                f"{best.similarity:.2f}, no more than photos of other brands have to it.",
                photo_id=best.photo_id,
                evidence=self._evidence(best, candidates),
            )
        if rival is not None and self.background.certainty(rival.score) >= 0.5:
            return Finding.abstained(
                self.name,
                f"Two brands are about equally near: {self._called(best)} ({best.similarity:.2f}) and "
                f"{self._called(rival)} ({rival.similarity:.2f}).",
                photo_id=best.photo_id,
                evidence=self._evidence(best, candidates),
            )
        reason = f"The photo looks like {self._called(best)} (similarity {best.similarity:.2f})."
        return Finding(self.name, FindingStatus.OK, certainty, reason, evidence=self._evidence(best, candidates), **where)

    def _called(self, candidate: Candidate) -> str:
        item = self.catalog.items[candidate.item_id]
        brand = self.catalog.brands.get(item.brand)
        return f"{(brand.name if brand else '') or item.brand} {item.name or item.model or item.item_id}"

    def _evidence(self, best: Candidate, candidates: Sequence[Candidate]) -> dict[str, object]:
        item = self.catalog.items[best.item_id]
        facts: dict[str, float | str] = {
            "similarity": round(best.similarity, 4),
            "normalised score": round(best.score, 4),
        }
        if item.model:
            facts["model"] = item.model
        if item.variant:
            facts["variant"] = item.variant
        siblings = [c for c in candidates[1:] if item.model and self.catalog.items[c.item_id].model == item.model]
        if siblings:
            sibling = siblings[0]
            facts["next variant"] = self.catalog.items[sibling.item_id].variant or sibling.item_id
            facts["lead over next variant"] = round(best.score - sibling.score, 4)
        return {"reference_photo": best.photo, "facts": facts}
