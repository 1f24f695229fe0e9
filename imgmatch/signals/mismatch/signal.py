"""Does the promo photo that leads here show a brand that the offer behind it does not? Bait and switch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imgmatch.catalog.likeness import sample
from imgmatch.errors import WeightsError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder
from imgmatch.messages import Message
from imgmatch.names import fold
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.mismatch.settings import MismatchConfig
from imgmatch.types import Finding, FindingStatus, FloatArray, Label
from imgmatch.vision.regions import crop, regions

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["MismatchSignal"]

_log = logging.getLogger("imgmatch")

_NAMED = 0.6
"""Certainty of a brand that only the promo's words name: enough for a review, never for a lead (see the rules' table)."""

_KINDS = ("handbag", "wallet", "watch", "shoe", "boot", "dress", "shirt", "coat", "trousers", "hat", "belt", "scarf",
          "sunglasses", "jewellery", "perfume", "toy", "phone", "furniture", "car", "food")  # fmt: skip
"""Kinds of goods that a text encoder tells apart, after the upper levels of public product taxonomies."""

_APART = 0.9
"""Share of pairs of an own and another photo in which the own one is nearer to its category: below that it is none."""

_SHARPNESS = 100.0
"""Scale of cosines before the softmax: what CLIP learns (Radford et al., arXiv:2103.00020, section 2.3: clipped at 100)."""


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """An embedded region of a photo."""

    photo: PhotoContext
    kind: str
    polygon: list[list[float]]
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class _ItemMatch:
    """The catalog item that a side shows best."""

    certainty: float
    similarity: float
    item_id: str
    brand: str
    reference: str
    view: _View


@dataclass(frozen=True, slots=True, eq=False)
class _Category:
    """Photos of one category of the catalog, and how near its own and other photos come to them.

    Parameters
    ----------
    vectors : ndarray, shape (m, d), float32
    own, other : ndarray, float32, ascending
        Mean cosine to the ten nearest photos of the category, of its own photos (their item left out) and of all others.
    """

    vectors: FloatArray
    own: FloatArray
    other: FloatArray

    def certainty(self, vector: FloatArray) -> float:
        """Return how far a photo (d,) is of the category, in [0, 1]: as in :meth:`Likeness.certainty`."""
        score = _nearness(self.vectors @ vector)
        own = (np.searchsorted(self.own, score, side="right") + 1) / (len(self.own) + 2)
        other = (len(self.other) - np.searchsorted(self.other, score, side="left") + 1) / (len(self.other) + 2)
        return float(own / (own + other))


class MismatchSignal(Signal):
    """Compare promo photos and words with the photos and words of the listing they lead to.

    Parameters
    ----------
    catalog : Catalog
    config : MismatchConfig

    Notes
    -----
    One finding, ``listing_mismatch``, with value ``claim * (1 - support) * (1 - agreement / 2)``:

    claim
        Certainty that the best region of a promo photo shows an item of a brand, or 0.6 where only the words name one.
    support
        1 where the listing's words name that brand; else the greatest certainty that a region of a listing photo shows
        any item of that brand, or what the promo shows.
    agreement
        How far both sides are the same kind of goods, in [0, 1]: by zero-shot text where the encoder has a text tower, by
        how typical a listing photo is of the photos of the category that the promo shows otherwise (:class:`_Category`),
        0 where that is not known. Two kinds of goods can so reach a value near 1; two designs of one kind no more than a
        half.

    Certainties are as in :class:`imgmatch.catalog.likeness.Likeness`. It abstains where a side is missing or cannot be
    read, and where the promo claims no brand of the catalog.
    """

    name = "mismatch"
    Config = MismatchConfig

    def __init__(self, catalog: Catalog, config: MismatchConfig | None = None) -> None:
        self._catalog = catalog
        self.config = MismatchConfig() if config is None else config

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Make one ``listing_mismatch`` per query; see the class."""
        return [[self._examine(query)] for query in queries]

    def _examine(self, query: Query) -> Finding:
        listing = query.listing
        if not listing.promo_photos and not listing.promo_text:
            return _abstained(Message("The listing has no promo photo and no promo text."))
        promo, offer = query.of_role("promo"), query.of_role("listing")
        words = " ".join(filter(None, (listing.title, listing.description, listing.brand_claim)))
        if not promo and not listing.promo_text:
            return _abstained(Message("No promo photo could be read."))
        if not offer and not words.strip():
            return _abstained(Message("The listing has neither a readable photo nor words."))
        shown = [view for photo in promo for view in self._views(photo)]
        claim = self._claim(shown, listing)
        if claim is None:
            return _abstained(Message("The promo claims no brand of the catalog."))
        brand, certainty, match = claim
        named = brand in self._named(words)
        if not offer and not named:
            unread = Message("No listing photo could be read, and the listing's words do not name the brand.")
            return _abstained(unread, brand=brand)
        there = [view for photo in offer for view in self._views(photo)]
        seen = list(self._matches(there))
        support = 1.0 if named else self._support(brand, there, seen, match)
        agreement = self._agreement(shown, there, match)
        value = certainty * (1.0 - support) * (1.0 - (agreement or 0.0) / 2)
        return self._finding(
            brand, value, certainty=certainty, support=support, agreement=agreement, match=match, named=named
        )

    def _claim(self, shown: Sequence[_View], listing: Listing) -> tuple[str, float, _ItemMatch | None] | None:
        """Return the brand that the promo claims, how certainly, and the item seen."""
        matches: dict[str, _ItemMatch] = {}
        for match in self._matches(shown):
            if match.brand not in matches or match.certainty > matches[match.brand].certainty:
                matches[match.brand] = match
        claims = {brand: s.certainty for brand, s in matches.items() if s.certainty >= 0.5}
        for brand in self._named(listing.promo_text or ""):
            claims[brand] = max(claims.get(brand, 0.0), _NAMED)
        if not claims:
            return None
        brand = min(claims, key=lambda b: (-claims[b], b))
        seen = matches.get(brand)
        return brand, claims[brand], seen if seen is not None and seen.certainty >= 0.5 else None

    def _support(self, brand: str, there: Sequence[_View], seen: Sequence[_ItemMatch], match: _ItemMatch | None) -> float:
        best = max((s.certainty for s in seen if s.brand == brand), default=0.0)
        if match is not None and there:
            likeness = self._catalog.likeness
            promo = likeness.mapped(match.view.vector)
            for compared in likeness.compare(np.stack([view.vector for view in there])):
                (score,) = compared.scores([float(compared.vector @ promo)], [match.item_id])
                best = max(best, likeness.certainty(score))
        return best

    def _agreement(self, shown: Sequence[_View], there: Sequence[_View], match: _ItemMatch | None) -> float | None:
        """Return the chance that both sides are one kind of goods, None where it is not known."""
        if not shown or not there:
            return None
        kinds = self._kinds
        if kinds is not None:
            # Of a composite, the part that makes the claim: the other part may well show what the listing sells.
            mine = [match.view.vector] if match is not None else [v.vector for v in shown if v.kind == "whole"]
            other = [v.vector for v in there if v.kind == "whole"]
            return float(_mean_kind(kinds, mine) @ _mean_kind(kinds, other))
        category = None if match is None else self._categories.get(self._catalog.items[match.item_id].category or "")
        return None if category is None else max(category.certainty(view.vector) for view in there)

    def _matches(self, views: Sequence[_View]) -> Iterator[_ItemMatch]:
        """Yield, per view and item near it, how certainly the view shows the item."""
        if not views:
            return
        vectors, likeness = np.stack([v.vector for v in views]), self._catalog.likeness
        found = self._catalog.nearest(vectors, self.config.neighbors)
        for view, compared, rows in zip(views, likeness.compare(vectors), found.rows(), strict=True):
            entries = (self._catalog.photos.get(self._catalog.photo_ids[row]) for row, _ in rows)
            items = list(dict.fromkeys(e.item_id for e in entries if e is not None and e.item_id is not None))
            known = [likeness.references(item_id) for item_id in items]
            nearest = [max(zip((r.mapped @ compared.vector).tolist(), r.photos, strict=True)) for r in known]
            scores = compared.scores([similarity for similarity, _ in nearest], items)
            for item_id, score, (similarity, sha) in zip(items, scores, nearest, strict=True):
                brand = self._catalog.items[item_id].brand
                yield _ItemMatch(likeness.certainty(score), similarity, item_id, brand, sha, view)

    def _views(self, photo: PhotoContext) -> list[_View]:
        """Return the photo and its regions, embedded, computed once."""
        return photo.once(self._embed)

    def _embed(self, photo: PhotoContext) -> list[_View]:
        found = regions(photo)
        # Insets are mostly windows and signs, and each costs a forward pass: they are for the copy signal's cheap hashes.
        boxes = [r for r in found if r.kind not in ("whole", "inset")]
        vectors = self._catalog.encoder.encode([crop(photo.image, r.box) for r in boxes]) if boxes else ()
        views = [_View(photo, r.kind, r.box.polygon(), vector) for r, vector in zip(boxes, vectors, strict=True)]
        whole = next(r for r in found if r.kind == "whole")
        return [*views, _View(photo, "whole", whole.box.polygon(), photo.embedding)]

    def _named(self, text: str) -> set[str]:
        return {m.brand for m in self._names.find(text) if not m.everyday}

    @cached_property
    def _kinds(self) -> FloatArray | None:
        """Text embeddings (k, d) of the kinds; None where the encoder has no text tower."""
        try:
            return self._catalog.encoder.encode_text([f"a photo of a {kind}" for kind in _KINDS])
        except (NotImplementedError, WeightsError) as error:  # photos are compared all the same
            _log.warning("mismatch compares photos without the kinds of goods: %s", error)
            return None

    @cached_property
    def _categories(self) -> dict[str, _Category]:
        """The categories of the catalog that have photos of two items at least, from a sample of its photos."""
        _, photos = sample(self._catalog)
        vectors, items, known = photos.vectors, photos.items, self._catalog.items
        kinds = np.array([(known[i].category or "") if i in known else "" for i in items], np.str_)
        likeness = photos.cosines
        found = {}
        for kind in np.unique(kinds[kinds != ""]):
            inside = kinds == kind
            scores = np.array([_nearness(row[inside & (items != item)]) for row, item in zip(likeness, items, strict=True)])
            own, other = np.sort(scores[inside]), np.sort(scores[~inside])
            # A kind that the encoder does not tell from the others says nothing.
            apart = float(np.searchsorted(other, own).mean()) / len(other) if len(other) else 1.0
            if len(np.unique(items[inside])) > 1 and apart >= _APART:
                found[str(kind)] = _Category(vectors[inside], own, other)
        return found

    @cached_property
    def _names(self) -> NameFinder:
        lexicon = Lexicon.load()
        return NameFinder(self._catalog.brands, lexicon.everyday, lexicon.nicknames)

    def _finding(
        self,
        brand: str,
        value: float,
        certainty: float,
        support: float,
        agreement: float | None,
        match: _ItemMatch | None,
        named: bool,
    ) -> Finding:
        known = self._catalog.brands.get(brand)
        name = known.name if known is not None and known.name else brand
        item = None if match is None else self._catalog.items[match.item_id]
        thing = "" if item is None else item.name or item.item_id
        thing = thing if fold(name) in fold(thing) else f"{name} {thing}"
        promo = (
            Message("The promo names {brand}", brand=name) if item is None else Message("The promo shows {item}", item=thing)
        )
        if named:
            reason = Message("{promo}, and the listing names {brand} too.", promo=promo, brand=name)
        elif value >= 0.5:
            reason = Message(
                "{promo}; the listing it leads to neither names {brand} nor shows anything like it.", promo=promo, brand=name
            )
        else:
            reason = Message("{promo}, and the listing it leads to may well show the same.", promo=promo)
        facts: dict[str, float | str] = {
            Message("certainty of what the promo claims"): round(certainty, 3),
            Message("support by the listing"): round(support, 3),
        }
        if agreement is not None:
            facts[Message("same kind of goods")] = round(agreement, 3)
        evidence: dict[str, object] = {"facts": facts}
        if match is not None:
            evidence["reference_photo"] = match.reference
            evidence["regions"] = [{"on": "query", "polygon": match.view.polygon, "label": Message("what the promo claims")}]
        return Finding(
            "listing_mismatch",
            FindingStatus.OK,
            float(min(max(value, 0.0), 1.0)),
            reason,
            photo_id=None if match is None else match.view.photo.photo_id,
            item_id=None if match is None else match.item_id,
            brand=brand,
            labels=(Label.BAIT_AND_SWITCH,),
            evidence=evidence,
        )


def _nearness(similarities: FloatArray) -> float:
    """Return the mean of the ten greatest of some cosines."""
    k = min(10, len(similarities))
    return float(np.partition(similarities, len(similarities) - k)[len(similarities) - k :].mean()) if k else -1.0


def _mean_kind(kinds: FloatArray, vectors: Sequence[FloatArray]) -> FloatArray:
    """Return the mean over photos of the softmax over kinds, shape (k,)."""
    z = _SHARPNESS * (np.stack(vectors) @ kinds.T)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    mean: FloatArray = (p / p.sum(axis=1, keepdims=True)).mean(axis=0)
    return mean


def _abstained(reason: Message, brand: str | None = None) -> Finding:
    return Finding.abstained("listing_mismatch", reason, brand=brand)
