"""Does the offer itself contradict the brand that it claims? Price, seller, history, ways around the platform."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from imgmatch.catalog.items import Brand, Item
from imgmatch.errors import MissingExtraError
from imgmatch.loading.photo import Query
from imgmatch.market.conditions import condition_of
from imgmatch.market.contacts import extract_contacts
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder
from imgmatch.market.prices import Price, convert, parse_price
from imgmatch.market.sellers import authorisation, registrable_domain
from imgmatch.messages import Message, Money
from imgmatch.metrics import wilson_interval
from imgmatch.names import read_in_part
from imgmatch.records import Listing
from imgmatch.signals.base import Signal, fingerprint_of
from imgmatch.signals.listing.settings import ListingConfig
from imgmatch.types import Candidate, Finding, FindingStatus, Label

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["ListingSignal"]


_CONDITIONS = {"new": Message("new"), "used": Message("used")}
_FAR = 10.0  # times a brand's dearest item in the catalog; a guess


class ListingSignal(Signal):
    """Compare the offer's price and seller with what the catalog knows of the brand.

    Parameters
    ----------
    catalog : Catalog
        Items with prices, brands with authorised sellers and official domains.
    config : ListingConfig
        Currency rates.

    Notes
    -----
    Findings, each explained, each able to abstain:

    ``price``
        ``1 - price / reference``, 0 where the price is not under the reference: the share of the usual price, for that
        condition, that is missing. One finding per brand that a signal proposed first or that the words name. The
        reference is the cheapest of the items that it may be, so that a wrong model does not make a bargain look
        impossible: the brand's candidates that several signals proposed, else those that are nearer than any item of
        another brand, else all of them; all the brand's items where none is a candidate.
    ``seller``
        1 where new goods are sold by someone whom the brand does not list, though it lists its sellers.
    ``shop``
        1 where new goods are sold at an address, on no platform, whose domain is neither the brand's nor an authorised
        seller's, though the brand lists some.
    ``seller_history``
        Lower bound (Wilson, 95 %) of the share of the seller's listings that were removed, from the table's columns
        ``seller_listings`` and ``seller_removed``.
    ``contact``
        1 where the listing's words or its contacts column name a way to reach the seller outside the platform. The
        finding says which kinds, never the contact itself, which is personal data.
    """

    name = "listing"
    Config = ListingConfig

    def __init__(self, catalog: Catalog, config: ListingConfig | None = None) -> None:
        self.config = ListingConfig() if config is None else config
        self._brands = catalog.brands
        self._items = catalog.items
        self._shared = catalog.shared
        self._rates = self.config.rates

    def fingerprint(self) -> str:
        return fingerprint_of(self, packages=("phonenumberslite",))

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Make the findings; see the class."""
        return [self._examine(query) for query in queries]

    def _examine(self, query: Query) -> list[Finding]:
        offer = [self._history(query.listing), _contact(query.listing, self.config.phone_regions)]
        brands = list(dict.fromkeys([*_proposed(query.candidates), *self._named(query.listing)]))
        if not brands:
            reason = Message("Nothing suggests a brand of the catalog.")
            return [*(Finding.abstained(name, reason) for name in ("price", "seller", "shop")), *offer]
        prices = [self._price(query, brand) for brand in brands]
        sellers = [f for brand in brands for f in self._sellers(query.listing, brand)]
        return [*prices, *sellers, *offer]

    def _price(self, query: Query, brand: str) -> Finding:
        listing = query.listing
        price = parse_price(listing.price, listing.currency)
        if isinstance(price, str):
            return Finding.abstained("price", price, brand=brand)
        if not price.currencies:
            return Finding.abstained("price", Message("The price has no currency; add a currency column."), brand=brand)
        best: tuple[float, Item, str, float] | None = None  # reference in its own currency, item, condition, listing price
        lowest = math.inf
        why: str = Message("No reference price is known for {brand}.", brand=self._called(brand))
        for item in self._comparable(query, brand):
            found = _reference(item, listing.condition)
            if isinstance(found, str):
                why = found
                continue
            reference, condition = found
            paid = self._in(self._sure(price, item, brand), item.currency or "")
            if isinstance(paid, str):
                why = paid
                continue
            if reference / paid < lowest:
                lowest, best = reference / paid, (reference, item, condition, paid)
        if best is None:
            return Finding.abstained("price", why, brand=brand)
        reference, item, condition, paid = best
        ratio = paid / reference
        currency = item.currency or ""
        return Finding(
            "price",
            FindingStatus.OK,
            float(min(max(1.0 - ratio, 0.0), 1.0)),
            Message(
                "The listing asks {price}, {share:.0%} of the reference price {reference} ({condition}) of {item}.",
                price=Money(paid, currency),
                share=ratio,
                reference=Money(reference, currency),
                condition=_CONDITIONS.get(condition, condition),
                item=item.name or item.item_id,
            ),
            item_id=item.item_id,
            brand=brand,
            labels=(Label.COUNTERFEIT_SUSPECTED,),
            evidence={
                "facts": {
                    Message("price"): round(paid, 2),
                    Message("reference price"): round(reference, 2),
                    Message("currency"): currency,
                    Message("reference condition"): condition,
                    Message("price over reference"): round(ratio, 4),
                }
            },
        )

    def _sure(self, price: Price, item: Item, brand: str) -> Price | str:
        """Settle whether ``45.000 KWD`` is 45: where 45,000 would be far above all that the catalog has of the brand."""
        if not price.unsure:
            return price
        most = self._in(price, item.currency or "")
        dearest = max((i.price for i in self._items_of[brand] if i.price and i.currency == item.currency), default=math.inf)
        if isinstance(most, str) or most <= _FAR * dearest:
            return Message(
                "{low:g} and {high:g} {currency} are written alike; write 1,250.000 or 1.250,000.",
                low=price.low,
                high=price.high,
                currency=price.currencies[0],
            )
        return replace(price, high=price.high / 1000.0, unsure=False)

    def _in(self, price: Price | str, currency: str) -> float | str:
        """Return the upper end of a price in `currency`, or why it is unknown.

        A sign of several currencies (``$``, ``¥``, ``kr``) is read as the most valuable of them, so that the price is an
        upper bound; where that is not `currency` itself, the rates have to say so.
        """
        if isinstance(price, str):
            return price
        usual = price.currencies[0]
        if usual == currency:
            return price.high
        readings = [convert(price.high, code, currency, self._rates) for code in price.currencies]
        if readings[0] is not None:
            return max(r for r in readings if r is not None)
        if len(price.currencies) > 1:
            return Message(
                "The currency of the price may be any of {currencies}; add a currency column.",
                currencies=price.currencies[:3],
            )
        if not currency:
            return Message("A price in {currency} cannot be compared with one without currency.", currency=usual)
        return Message("{usual} cannot be compared with {currency}; give both rates.", usual=usual, currency=currency)

    def _comparable(self, query: Query, brand: str) -> list[Item]:
        """Return the items of a brand that the listing may show; all of the brand's where none is a candidate."""
        mine = [c for c in query.candidates if c.brand == brand and c.item_id in self._items]
        if not mine:
            return self._items_of.get(brand, [])
        agreed = [c for c in mine if len(c.proposed_by) > 1]
        rival = max((c.score for c in query.candidates if c.brand != brand), default=-math.inf)
        plausible = agreed or [c for c in mine if c.score > rival] or mine
        ids = [i for c in plausible for i in (c.item_id, *self._shared.get(c.photo, ()))]
        return [self._items[i] for i in dict.fromkeys(ids)]

    @cached_property
    def _items_of(self) -> dict[str, list[Item]]:
        items: dict[str, list[Item]] = {}
        for item in self._items.values():
            items.setdefault(item.brand, []).append(item)
        return items

    @cached_property
    def _names(self) -> NameFinder:
        lexicon = Lexicon.load()
        return NameFinder(self._brands, lexicon.everyday, lexicon.nicknames)

    def _called(self, brand: str) -> str:
        return self._brands.get(brand, Brand(brand)).name or brand

    def _named(self, listing: Listing) -> list[str]:
        texts = filter(None, (listing.brand_claim, listing.title, listing.description))
        return [m.brand for text in texts for m in self._names.find(text) if not m.everyday]

    def _sellers(self, listing: Listing, brand_id: str) -> list[Finding]:
        """Ask of a platform's seller, and of a shop at an address of its own, whether the brand lists it."""
        brand, name = self._brands.get(brand_id, Brand(brand_id)), self._called(brand_id)
        platform, domain = (listing.platform or "").strip(), registrable_domain(listing.url or "")
        known = {"seller": bool((platform and listing.seller_id) or domain), "shop": bool(domain and not platform)}
        why = authorisation(brand, listing)
        if why is not None:
            return [Finding(n, FindingStatus.OK, 0.0, why, brand=brand_id) for n, is_known in known.items() if is_known]
        unsaid = None
        if not brand.authorised_sellers and not brand.official_domains:
            unsaid = Message("The catalog lists no sellers of {brand}.", brand=name)
        elif (condition := condition_of(listing.condition)) == "used":
            unsaid = Message("Second-hand goods need no authorised seller.")
        elif condition is None:
            given = (listing.condition or "").strip()
            unsaid = Message("The condition is not stated.")
            if given:
                unsaid = Message("The condition “{condition:.40}” is not a known one.", condition=given)
        reasons = {
            "seller": Message("New goods by a seller whom {brand} does not list as authorised.", brand=name),
            "shop": Message(
                "New goods at {domain}, which is not a domain that the catalog lists for {brand}.", domain=domain, brand=name
            ),
        }
        missing = {
            "seller": Message("The seller is not known."),
            "shop": Message("The listing is on a platform, or its address is not known."),
        }
        out = []
        for kind, reason in reasons.items():
            if not known[kind] or unsaid is not None:
                out.append(Finding.abstained(kind, unsaid or missing[kind], brand=brand_id))
            else:
                labels = (Label.UNAUTHORISED_SELLER,)
                out.append(Finding(kind, FindingStatus.OK, 1.0, reason, brand=brand_id, labels=labels))
        return out

    def _history(self, listing: Listing) -> Finding:
        counts = [_count(listing.extra.get(column)) for column in ("seller_removed", "seller_listings")]
        removed, total = counts
        if removed is None or total is None or not total > 0 or removed > total:
            return Finding.abstained(
                "seller_history", Message("The table has no usable columns seller_listings and seller_removed.")
            )
        return Finding(
            "seller_history",
            FindingStatus.OK,
            wilson_interval(removed, total)[0],
            Message("{removed:,} of this seller's {total:,} earlier listings were removed.", removed=removed, total=total),
            evidence={"facts": {Message("listings removed"): removed, Message("listings in all"): total}},
        )


def _contact(listing: Listing, regions: Sequence[str]) -> Finding:
    kinds = {"contact" if ":" not in c else c.partition(":")[0].strip() for c in listing.contacts if c.strip()}
    texts = listing.texts
    try:
        found = extract_contacts(list(texts.values()), regions=regions)
        kinds |= {c.kind for c in found if c.kind != "url"}
    except MissingExtraError:
        if not kinds:
            reason = Message("Finding phone numbers needs an extra: pip install 'imgmatch[contacts]'.")
            return Finding.abstained("contact", reason)
    if not kinds:
        if not texts:
            return Finding.abstained("contact", Message("The listing has no text."))
        return Finding(
            "contact",
            FindingStatus.OK,
            0.0,
            read_in_part(Message("The listing names no contact outside the platform."), texts),
        )
    reason = Message("The listing names a contact outside the platform: {kinds}.", kinds=tuple(sorted(kinds)))
    return Finding("contact", FindingStatus.OK, 1.0, reason)


def _reference(item: Item, condition: str | None) -> tuple[float, str] | str:
    """Return (usual price, condition it is for), or why there is none."""
    by_condition = {k.strip().casefold(): v for k, v in item.condition_prices.items() if v > 0.0}
    new = item.price if item.price is not None and item.price > 0.0 else by_condition.get("new")
    exact = by_condition.get((condition or "").strip().casefold())
    if exact is not None:
        return exact, (condition or "").strip()
    kind = condition_of(condition)
    used = by_condition.get("used", min((v for k, v in by_condition.items() if k != "new"), default=None))
    if kind == "used":
        return (used, "used") if used is not None else Message("No second-hand reference price is known.")
    if kind == "new":
        return (new, "new") if new is not None else Message("No reference price for new goods is known.")
    # The condition is not stated, so the offer gets the benefit of the doubt.
    known = [(v, k) for v, k in ((used, "used"), (new, "new")) if v is not None]
    return min(known) if known else Message("No reference price is known.")


def _proposed(candidates: Iterable[Candidate]) -> list[str]:
    """Return the brands that matter: of the best candidate of each signal that proposes."""
    first: dict[str, str] = {}
    for candidate in candidates:
        for signal in candidate.proposed_by:
            first.setdefault(signal, candidate.brand)
    return list(dict.fromkeys(first.values()))


def _count(value: object) -> int | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None
