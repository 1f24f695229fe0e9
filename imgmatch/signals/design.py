"""Does the listing show the design of a catalog item: global embeddings, normalised against a background."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imgmatch.background import Background
from imgmatch.photo import PhotoContext, Query
from imgmatch.types import Candidate, Finding, FindingStatus, PhotoRole

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog
    from imgmatch.config import DesignConfig

__all__ = ["DesignSignal"]


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
        return Finding(
            self.name,
            FindingStatus.OK,
            certainty,
            reason,
            photo_id=best.photo_id,
            item_id=best.item_id,
            brand=best.brand,
            evidence=self._evidence(best, candidates),
        )

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
