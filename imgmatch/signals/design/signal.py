"""Does the listing show the design of a catalog item: global embeddings first, part by part where that tells more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imgmatch.catalog.likeness import Compared
from imgmatch.catalog.strangers import FALSE_CLAIMS, KINDS
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.messages import Message
from imgmatch.names import fold
from imgmatch.signals.base import Signal
from imgmatch.signals.design.local import CloserLook
from imgmatch.signals.design.settings import DesignConfig
from imgmatch.types import Candidate, Finding, FindingStatus

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["DesignSignal"]

_FAR = 0.99
"""Share of strangers nearer than a photo at which it is not looked at part by part. Of 287 shop photos of packages none is
as near as a claim takes: looked at from there on, 0.52 of the dev half of ``python -m benchmarks retrieval`` are ranked
first, by this limit 0.76, without one 0.82 (test: 0.35, 0.52 and 0.59); of 133 everyday photos 2 are looked at."""


class DesignSignal(Signal):
    """Name the catalog items whose design a listing's photos show.

    Parameters
    ----------
    catalog : Catalog
    config : DesignConfig

    Notes
    -----
    Open set: where nothing is near enough, or two brands are equally near, it abstains. How near is near enough comes
    from holding photos of the catalog itself out, see :class:`imgmatch.catalog.likeness.Likeness`, never from the photos
    examined; where the catalog has no second photo of any item or brand, nothing is.
    Cost per photo: one index search and one product with a sample of the catalog. Where the closer look ranks better and no
    metric does, the nearest candidates are ranked again by :func:`imgmatch.signals.design.local.local_similarity`: a decode
    and a forward pass per reference photo the first time it is met, on this machine.
    """

    name = "design"
    Config = DesignConfig

    def __init__(self, catalog: Catalog, config: DesignConfig | None = None) -> None:
        self.catalog = catalog
        self.config = DesignConfig() if config is None else config
        self._closer_look = CloserLook(catalog, self.config.local_weight)

    @property
    def dense(self) -> bool:
        """Whether photos are looked at part by part."""
        return self.config.local_weight > 0 and self.catalog.likeness.metric is None and self._closer_look.helps

    def warm_up(self) -> None:
        """Learn how much nearness says in this catalog."""
        self.dense  # noqa: B018 - computes it

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Name the items nearest to any listing photo, best first, at most `config.candidates` each."""
        photos = [photo for query in queries for photo in query.of_role("listing")]
        if not photos:
            return [[] for _ in queries]
        self._compare(photos)
        found = self.catalog.nearest(np.stack([photo.embedding for photo in photos]), self.config.neighbors)
        items = {id(photo): self._items_of(row for row, _ in rows) for photo, rows in zip(photos, found.rows(), strict=True)}
        return [self._candidates(query, {i for p in query.of_role("listing") for i in items[id(p)]})[0] for query in queries]

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Say, of the best candidate of each query, how certain it is that the listing shows its design."""
        self._compare([photo for query in queries for photo in query.of_role("listing")])
        return [[self._finding(query)] for query in queries]

    def _compare(self, photos: Sequence[PhotoContext]) -> None:
        """Compare the photos of a batch with the catalog, in one product."""
        waiting = [photo for photo in photos if not photo.remembers(self._compared)]
        if waiting:
            compared = self.catalog.likeness.compare(np.stack([photo.embedding for photo in waiting]))
            for photo, one in zip(waiting, compared, strict=True):
                photo.remember((one, {}), self._compared)

    def _compared(self, photo: PhotoContext) -> tuple[Compared, dict[str, Candidate]]:
        raise LookupError("the photo was not compared with the catalog; propose and examine do so for a whole batch")

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
        """Tell whether the part-by-part look is worth it: what is farther than nearly every stranger needs none."""
        if len(ranked) < 2 or not self.dense:
            return False
        likeness = self.catalog.likeness
        return not likeness.learnt.trials or likeness.false_claims(ranked[0].score) < _FAR

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

    def _nearest(self, photo: PhotoContext, item_ids: Sequence[str]) -> list[Candidate]:
        """Score items against one photo, each by its nearest reference, and return the best `config.candidates`."""
        compared, scored = photo.once(self._compared)
        if all(item_id in scored for item_id in item_ids):  # examined after it was proposed
            return [scored[item_id] for item_id in item_ids]
        known = [(item_id, self.catalog.likeness.references(item_id)) for item_id in item_ids]
        known = [(item_id, references) for item_id, references in known if references.photos]
        if not known:
            return []
        similarities = np.concatenate([references.mapped for _, references in known]) @ compared.vector
        starts = np.cumsum([0, *(len(references.photos) for _, references in known)])
        nearest = np.maximum.reduceat(similarities, starts[:-1]).tolist()
        scores = compared.scores(nearest, [item_id for item_id, _ in known])
        best = sorted(range(len(known)), key=lambda n: (-scores[n], n))[: self.config.candidates]
        for n in best:
            item_id, references = known[n]
            at = int(similarities[starts[n] : starts[n + 1]].argmax())
            brand, similarity = self.catalog.items[item_id].brand, float(references.plain[at] @ photo.embedding)
            scored[item_id] = Candidate(
                item_id,
                brand,
                similarity=similarity,
                photo=references.photos[at],
                photo_id=photo.photo_id,
                score=scores[n],
                proposed_by=(self.name,),
            )
        return [scored[known[n][0]] for n in best]

    def _finding(self, query: Query) -> Finding:
        if not query.of_role("listing"):
            return Finding.abstained(self.name, Message("The listing has no readable photo."))
        proposed = {c.item_id for c in query.candidates if c.item_id in self.catalog.items}
        candidates, closer = self._candidates(query, proposed)
        if not candidates:
            return Finding.abstained(self.name, Message("No catalog item is near enough to compare with."))
        best = candidates[0]
        evidence = self._evidence(best, candidates)
        if closer:
            evidence["facts"][Message("part-by-part similarity")] = round(self._local(query, [best])[0], 4)
        why = self._doubt(best, next((c for c in candidates if c.brand != best.brand), None))
        if why is not None:
            return Finding.abstained(self.name, why, photo_id=best.photo_id, evidence=evidence)
        return Finding(
            self.name,
            FindingStatus.OK,
            self.catalog.likeness.certainty(best.score),
            self._reason(best, evidence["facts"]),
            photo_id=best.photo_id,
            item_id=best.item_id,
            brand=best.brand,
            evidence=evidence,
        )

    def _doubt(self, best: Candidate, rival: Candidate | None) -> Message | None:
        """Say why the best candidate is not claimed, if it is not, given the best one of another brand."""
        likeness = self.catalog.likeness
        item, similarity, group = self._called(best), best.similarity, likeness.group(best.item_id)
        if not likeness.learnt.trials:
            return Message(
                "The nearest item is {item} (similarity {similarity:.2f}), but the catalog has no second photo of any item "
                "or brand to show how much that says.",
                item=item,
                similarity=similarity,
            )
        if likeness.learnt.kinds < KINDS:
            return Message(
                "The nearest item is {item} (similarity {similarity:.2f}), but the catalog has too few brands to show how "
                "near other goods come.",
                item=item,
                similarity=similarity,
            )
        if likeness.false_claims(best.score) > FALSE_CLAIMS or similarity < likeness.least(group):
            return Message(
                "Nothing in the catalog is near enough: the nearest item, {item}, has similarity {similarity:.2f}, which "
                "other goods reach as well.",
                item=item,
                similarity=similarity,
            )
        if likeness.alone(group):
            return Message(
                "The nearest item is {item} (similarity {similarity:.2f}), but the catalog has nothing else like it: the "
                "photo may show the same kind of goods rather than the brand.",
                item=item,
                similarity=similarity,
            )
        if rival is not None and likeness.certainty(rival.score) >= 0.5:
            return Message(
                "Two brands are about equally near: {item} ({similarity:.2f}) and {rival} ({next:.2f}).",
                item=item,
                similarity=similarity,
                rival=self._called(rival),
                next=rival.similarity,
            )
        return None

    def _reason(self, best: Candidate, facts: Mapping[str, float | str]) -> Message:
        """Say the model and the variant apart: which colour or material it is, is less sure than which model."""
        item, similarity = self._called(best), best.similarity
        looks = Message("The photo looks like {item} (similarity {similarity:.2f}).", item=item, similarity=similarity)
        model, first, second = (facts.get(name) for name in ("model", "variant", "next variant"))
        if model is None or (first is None and second is None):
            return looks
        variants = tuple(filter(None, (first, second)))
        names = Message("Model {model}, nearest variants: {variants}.", model=model, variants=variants)
        return Message("{sentence} {next}", sentence=looks, next=names)

    def _called(self, candidate: Candidate) -> str:
        item = self.catalog.items[candidate.item_id]
        brand = self.catalog.brands.get(item.brand)
        owner, name = (brand.name if brand else "") or item.brand, item.name or item.model or item.item_id
        return name if fold(name).startswith(fold(owner)) else f"{owner} {name}"

    def _evidence(self, best: Candidate, candidates: Sequence[Candidate]) -> dict[str, Any]:
        item = self.catalog.items[best.item_id]
        likeness = self.catalog.likeness
        facts: dict[str, float | str] = {
            Message("similarity"): round(best.similarity, 4),
            Message("similarity needed for a claim"): round(likeness.least(likeness.group(best.item_id)), 4),
            Message("normalised score"): round(best.score, 4),
            Message("share of other goods expected to score so high"): round(likeness.false_claims(best.score), 4),
            Message("largest such share at which a brand is claimed"): FALSE_CLAIMS,
            Message("held-out photos this rests on"): likeness.learnt.trials,
        }
        rival = next((c for c in candidates if c.brand != best.brand), None)
        if rival is not None:
            facts[Message("next brand")] = rival.brand
            facts[Message("margin over the next brand")] = round(best.score - rival.score, 4)
        if item.model:
            facts[Message("model")] = item.model
        if item.variant:
            facts[Message("variant")] = item.variant
        if shared := self.catalog.shared.get(best.photo):
            facts[Message("items with this photo")] = ", ".join(shared)
        others = (c for c in candidates[1:] if c.brand == best.brand)  # many brands have a model called Classic
        sibling = next((c for c in others if item.model and self.catalog.items[c.item_id].model == item.model), None)
        if sibling is not None:
            facts[Message("next variant")] = self.catalog.items[sibling.item_id].variant or sibling.item_id
            facts[Message("margin over the next variant")] = round(best.score - sibling.score, 4)
        return {"reference_photo": best.photo, "facts": facts}
