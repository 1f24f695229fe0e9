"""Does the listing show the design of a catalog item: global embeddings first, part by part where that tells more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from imgmatch.catalog.background import Background, sample
from imgmatch.catalog.metric import Metric
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.signals.base import Signal
from imgmatch.signals.design.local import CloserLook
from imgmatch.signals.design.settings import DesignConfig
from imgmatch.types import Candidate, Finding, FindingStatus, FloatArray, PhotoRole

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["DesignSignal"]

_ITEMS_KEPT = 5_000  # items whose vectors in the metric's space are kept: some 100 MB at 4 photos of 1,280 floats


class DesignSignal(Signal):
    """Name the catalog items whose design a listing's photos show.

    Parameters
    ----------
    catalog : Catalog
    config : DesignConfig

    Notes
    -----
    Open set: where nothing is near enough, or two brands are equally near, it abstains. How near is near enough comes
    from leaving photos of the catalog itself out, see :meth:`Background.certainty`, never from the photos examined.
    Cost per photo: one index search and one product with the background sample. In catalogs with too few photos per item
    or brand for a metric, the nearest candidates are ranked again by :func:`imgmatch.signals.design.local.local_similarity`:
    a decode and a forward pass per reference photo the first time it is met, on this machine; ``python -m
    benchmarks.retrieval`` prints what that takes.
    """

    name = "design"
    Config = DesignConfig

    def __init__(self, catalog: Catalog, config: DesignConfig | None = None) -> None:
        self.catalog = catalog
        self.config = DesignConfig() if config is None else config
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[list[str], FloatArray, FloatArray]] = {}
        self._closer_look = CloserLook(catalog)

    @property
    def dense(self) -> bool:
        """Whether photos are looked at part by part: a learnt metric ranks better without."""
        with self._lock:
            return self.config.local_weight > 0 and self._metric is None

    @property
    def background(self) -> Background:
        """The background of the catalog, sampled when first used."""
        with self._lock:
            return self._background

    @cached_property
    def _background(self) -> Background:
        config = self.config
        return Background.of(
            self.catalog,
            self._metric,
            photos=config.background_photos,
            weight=config.background_weight,
            nearest=config.background_nearest,
        )

    @cached_property
    def _metric(self) -> Metric | None:
        """Learnt from photos of one item, else of one brand; None where the catalog has too few."""
        rows, groups, items = sample(self.catalog, self.config.background_photos)
        known = np.flatnonzero([item in self.catalog.items for item in items])
        vectors = np.ascontiguousarray(self.catalog.vectors[np.array(rows, np.int64)[known]], np.float32)
        by_item = Metric.fit(vectors, items[known], shrinkage=self.config.shrinkage)
        return by_item or Metric.fit(vectors, groups[known], shrinkage=self.config.shrinkage)

    def warm_up(self) -> None:
        """Learn the catalog's metric and sample its background."""
        self.background  # noqa: B018 - computes it

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Name the items nearest to any listing photo, best first, at most `config.candidates` each."""
        photos = [photo for query in queries for photo in query.of_role("listing")]
        if not photos:
            return [[] for _ in queries]
        self._hold(photos)
        found = self.catalog.nearest(np.stack([photo.embedding for photo in photos]), self.config.neighbors)
        items = {id(photo): self._items_of(row for row, _ in rows) for photo, rows in zip(photos, found.rows(), strict=True)}
        return [self._candidates(query, {i for p in query.of_role("listing") for i in items[id(p)]})[0] for query in queries]

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Say, of the best candidate of each query, how certain it is that the listing shows its design."""
        self._hold([photo for query in queries for photo in query.of_role("listing")])
        return [[self._finding(query)] for query in queries]

    def _hold(self, photos: Sequence[PhotoContext]) -> None:
        """Map the photos of a batch with the metric and hold them against the background, in one product each."""
        waiting = [photo for photo in photos if not photo.remembers(self._held)]
        if not waiting:
            return
        vectors, background = np.stack([photo.embedding for photo in waiting]), self.background
        mapped = vectors if self._metric is None else self._metric(vectors)
        for photo, vector, similarities in zip(waiting, mapped, background.similarities(mapped), strict=True):
            photo.remember((vector, background.outside(similarities), {}), self._held)

    def _held(self, photo: PhotoContext) -> tuple[FloatArray, Callable[[str], float], dict[str, Candidate]]:
        raise LookupError("the photo was not compared with the background; propose and examine do so for a whole batch")

    def _similarities(self, photo: PhotoContext) -> dict[str, float]:
        return {}  # by reference photo, filled by _local

    def _items_of(self, rows: Iterable[int]) -> set[str]:
        photos = (self.catalog.photos.get(self.catalog.photo_ids[row]) for row in rows)
        return {photo.item_id for photo in photos if photo is not None and photo.item_id}

    def _candidates(self, query: Query, item_ids: Iterable[str]) -> tuple[list[Candidate], bool]:
        """Score items against a query, per item the best pair of photos; also tell whether they were ranked part by part."""
        best: dict[str, Candidate] = {}
        items = sorted(item_ids)
        for photo in query.of_role("listing"):
            for candidate in self._nearest(photo, items):
                if candidate.item_id not in best or candidate.score > best[candidate.item_id].score:
                    best[candidate.item_id] = candidate
        ranked = sorted(best.values(), key=lambda c: (-c.score, c.item_id))[: self.config.candidates]
        return (self._closer(query, ranked), True) if self._looks_closer(ranked) else (ranked, False)

    def _looks_closer(self, ranked: Sequence[Candidate]) -> bool:
        """Tell whether the part-by-part look is worth it: a stranger needs none."""
        return self.dense and len(ranked) > 1 and self.background.certainty(ranked[0].score) >= 0.5

    def _closer(self, query: Query, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Rank again by a part-by-part look; scores only fall by it, so that it never makes a stranger near."""
        local = self._local(query, candidates)
        weight, best = self.config.local_weight, max(local)
        scored = [replace(c, score=c.score - weight * (best - x)) for c, x in zip(candidates, local, strict=True)]
        return sorted(scored, key=lambda c: (-c.score, c.item_id))

    def _local(self, query: Query, candidates: Sequence[Candidate]) -> list[float]:
        """Part-by-part similarity of each candidate's listing photo to its nearest reference photo."""
        found: dict[tuple[str, str], float] = {}
        for photo in query.of_role("listing"):
            known: dict[str, float] = photo.once(self._similarities)
            asked = [c.photo for c in candidates if c.photo_id == photo.photo_id]
            if new := [reference for reference in asked if reference not in known]:
                known.update(zip(new, self._closer_look.similarities(photo, new), strict=True))
            found |= {(photo.photo_id, reference): known[reference] for reference in asked}
        return [found[c.photo_id, c.photo] for c in candidates]

    def _references(self, item_id: str) -> tuple[list[str], FloatArray, FloatArray]:
        """Return an item's reference photos, their vectors, and these in the space of the metric; kept while in use."""
        known = self._kept.get(item_id)
        if known is None:
            photos = self.catalog.photos
            shas = [s for s in self.catalog.items[item_id].photos if s in photos and photos[s].role is PhotoRole.REFERENCE]
            plain = np.stack([self.catalog.embedding(sha) for sha in shas]) if shas else np.empty((0, 0), np.float32)
            known = shas, plain, plain if self._metric is None or not shas else self._metric(plain)
            if len(self._kept) >= _ITEMS_KEPT:
                self._kept.clear()
            self._kept[item_id] = known
        return known

    def _nearest(self, photo: PhotoContext, item_ids: Sequence[str]) -> list[Candidate]:
        """Score items against one photo, each by its nearest reference, and return the best `config.candidates`."""
        mapped, outside, scored = photo.once(self._held)
        if all(item_id in scored for item_id in item_ids):  # examined after it was proposed
            return [scored[item_id] for item_id in item_ids]
        known = [(item_id, *self._references(item_id)) for item_id in item_ids]
        known = [row for row in known if row[1]]
        if not known:
            return []
        similarities = np.concatenate([references for *_, references in known]) @ mapped
        starts = np.cumsum([0, *(len(shas) for _, shas, *_ in known)])
        background = self.background
        groups = [self._group(item_id, background) for item_id, *_ in known]
        taken_off = {group: background.weight * outside(group) for group in dict.fromkeys(groups)}
        scores = [float(s) for s in np.maximum.reduceat(similarities, starts[:-1])]
        ranked = sorted((taken_off[g] - s, n) for n, (g, s) in enumerate(zip(groups, scores, strict=True)))
        for loss, n in ranked[: self.config.candidates]:
            item_id, shas, references, _ = known[n]
            nearest = int(similarities[starts[n] : starts[n + 1]].argmax())
            brand, similarity = self.catalog.items[item_id].brand, float(references[nearest] @ photo.embedding)
            scored[item_id] = Candidate(item_id, brand, similarity, shas[nearest], photo.photo_id, -loss, (self.name,))
        return [scored[known[n][0]] for _, n in ranked[: self.config.candidates]]

    def _finding(self, query: Query) -> Finding:
        if not query.of_role("listing"):
            return Finding.abstained(self.name, "The listing has no readable photo.")
        proposed = {c.item_id for c in query.candidates if c.item_id in self.catalog.items}
        candidates, closer = self._candidates(query, proposed)
        if not candidates:
            return Finding.abstained(self.name, "No catalog item was proposed.")
        best = candidates[0]
        evidence = self._evidence(best, candidates)
        if closer:
            evidence["facts"]["part-by-part similarity"] = round(self._local(query, [best])[0], 4)
        certainty = self.background.certainty(best.score)
        rival = next((c for c in candidates if c.brand != best.brand), None)
        if certainty < 0.5 or best.similarity < self.background.least(self._group(best.item_id, self.background)):
            return Finding.abstained(
                self.name,
                f"Nothing in the catalog is near enough: the nearest item, {self._called(best)}, has similarity "
                f"{best.similarity:.2f}, which says no more than that of another brand would.",
                photo_id=best.photo_id,
                evidence=evidence,
            )
        if rival is not None and self.background.certainty(rival.score) >= 0.5:
            return Finding.abstained(
                self.name,
                f"Two brands are about equally near: {self._called(best)} ({best.similarity:.2f}) and "
                f"{self._called(rival)} ({rival.similarity:.2f}).",
                photo_id=best.photo_id,
                evidence=evidence,
            )
        reason = (
            f"The photo looks like {self._called(best)} (similarity {best.similarity:.2f}){_variant(evidence['facts'])}."
        )
        return Finding(
            self.name,
            FindingStatus.OK,
            certainty,
            reason,
            photo_id=best.photo_id,
            item_id=best.item_id,
            brand=best.brand,
            evidence=evidence,
        )

    def _group(self, item_id: str, background: Background) -> str:
        """Return the group of the background that an item belongs to: its brand, or itself where there is one brand."""
        brand = self.catalog.items[item_id].brand
        return brand if brand in background else item_id

    def _called(self, candidate: Candidate) -> str:
        item = self.catalog.items[candidate.item_id]
        brand = self.catalog.brands.get(item.brand)
        owner, name = (brand.name if brand else "") or item.brand, item.name or item.model or item.item_id
        return name if name.lower().startswith(owner.lower()) else f"{owner} {name}"

    def _evidence(self, best: Candidate, candidates: Sequence[Candidate]) -> dict[str, Any]:
        item = self.catalog.items[best.item_id]
        facts: dict[str, float | str] = {
            "similarity": round(best.similarity, 4),
            "least similarity of a claim": round(self.background.least(self._group(best.item_id, self.background)), 4),
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


def _variant(facts: dict[str, float | str]) -> str:
    """Say the model and the variant apart: which colour or material it is, is less sure than which model."""
    told = [f"{name} {facts[name]}" for name in ("variant", "next variant") if name in facts]
    return f"; model {facts['model']}; {', '.join(told)}" if "model" in facts and told else ""
