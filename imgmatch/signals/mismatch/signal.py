"""Does the promo photo that leads here show a brand that the offer behind it does not? Bait and switch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imgmatch.catalog.held_out import Sample
from imgmatch.catalog.likeness import sample
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder
from imgmatch.messages import Message
from imgmatch.names import fold
from imgmatch.records import Listing
from imgmatch.signals.base import Signal
from imgmatch.signals.mismatch.settings import MismatchConfig
from imgmatch.types import Finding, FindingStatus, FloatArray, Label, PhotoRole
from imgmatch.vision.regions import crop, regions

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["MismatchSignal"]

_NAMED = 0.6
"""Certainty of a brand that only the promo's words name: enough for a review, never for a lead (see the rules' table)."""

_FAR = 0.001
"""Share of a catalog's own photos as far from their brand as a listing that is called a switch at the level of a weak
contradiction. A tenth of the honest listings that may be called one: sellers' photos are farther from a catalog's than these
from each other. On dev of ``python -m benchmarks mismatch`` none of 132 honest pairs is called, nor at 0.01, where two are
on the verge (0.0103)."""


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


class MismatchSignal(Signal):
    """Compare promo photos and words with the photos and words of the listing they lead to.

    Parameters
    ----------
    catalog : Catalog
    config : MismatchConfig

    Notes
    -----
    One finding, ``listing_mismatch``, with value ``claim * (1 - support)``:

    claim
        Certainty that the best region of a promo photo shows an item of a brand, as in
        :class:`imgmatch.catalog.likeness.Likeness`, or 0.6 where only the words name one.
    support
        1 where the listing's words name that brand. Else the greatest cosine of a region of a listing photo to what the
        promo shows or to any photo of the brand decides: where one in a thousand of the catalog's own photos is as far from
        all others of its brand (:meth:`imgmatch.catalog.likeness.Likeness.as_far`), support is a half; it is 1 where twice
        as many are, and 0 where none is.

    It abstains where a side is missing or cannot be read, where the promo claims no brand of the catalog, and where the
    catalog has too few photos of its brands to say how far apart those of one brand are.
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
        nearest = None if named else self._nearest(brand, [view for photo in offer for view in self._views(photo)], match)
        if nearest is None and not named:
            unknown = Message("The catalog has too few photos to say whether the listing's photos show the brand.")
            return _abstained(unknown, brand=brand)
        as_far = 1.0 if nearest is None else self._catalog.likeness.as_far(nearest)
        value = certainty * (1.0 - min(as_far / (2 * _FAR), 1.0))
        return self._finding(brand, value, certainty=certainty, nearest=nearest, as_far=as_far, match=match)

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

    def _nearest(self, brand: str, there: Sequence[_View], match: _ItemMatch | None) -> float | None:
        """Return the greatest cosine of a listing's views to a brand's photos, or to what the promo shows; None where the
        catalog cannot say what that means."""
        own = self._sample.vectors[self._sample.brands == brand]
        if not len(own) or len(self._catalog.likeness.learnt.near) < 3:
            return None
        vectors = np.stack([view.vector for view in there])
        known = own if match is None else np.vstack([own, match.view.vector])
        # Photos of the brand that the sample leaves out count where they are among the nearest of all.
        found = [hit for rows in self._catalog.nearest(vectors, self.config.neighbors).rows() for hit in rows]
        photos = [(self._catalog.photos.get(self._catalog.photo_ids[row]), similarity) for row, similarity in found]
        beyond = [s for p, s in photos if p is not None and p.role is PhotoRole.REFERENCE and p.brand == brand]
        return max([float((vectors @ known.T).max()), *beyond])

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
    def _sample(self) -> Sample:
        return sample(self._catalog)[1]

    @cached_property
    def _names(self) -> NameFinder:
        lexicon = Lexicon.load()
        return NameFinder(self._catalog.brands, lexicon.everyday, lexicon.nicknames)

    def _finding(
        self,
        brand: str,
        value: float,
        certainty: float,
        nearest: float | None,
        as_far: float,
        match: _ItemMatch | None,
    ) -> Finding:
        known = self._catalog.brands.get(brand)
        name = known.name if known is not None and known.name else brand
        item = None if match is None else self._catalog.items[match.item_id]
        thing = "" if item is None else item.name or item.item_id
        thing = thing if fold(name) in fold(thing) else f"{name} {thing}"
        promo = (
            Message("The promo names {brand}", brand=name) if item is None else Message("The promo shows {item}", item=thing)
        )
        if nearest is None:
            reason = Message("{promo}, and the listing names {brand} too.", promo=promo, brand=name)
        elif value >= 0.5:
            reason = Message(
                "{promo}; the listing it leads to neither names {brand} nor shows anything like it.", promo=promo, brand=name
            )
        else:
            reason = Message("{promo}, and the listing it leads to may well show the same.", promo=promo)
        facts: dict[str, float | str] = {
            Message("certainty of what the promo claims"): round(certainty, 3),
        }
        if nearest is not None:
            facts[Message("similarity of the listing's photos to the brand")] = round(nearest, 3)
            facts[Message("share of a brand's own photos that are as far from each other")] = round(as_far, 4)
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


def _abstained(reason: Message, brand: str | None = None) -> Finding:
    return Finding.abstained("listing_mismatch", reason, brand=brand)
