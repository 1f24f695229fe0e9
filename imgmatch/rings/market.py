"""What a market shows: which seller uses which photos and contacts, boiled down from any number of records."""

from __future__ import annotations

import hashlib
import hmac
import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from imgmatch.commerce.prices import convert, parse_price
from imgmatch.errors import ImageError
from imgmatch.images import load_image, resolve_within
from imgmatch.photo import PhotoContext
from imgmatch.records import Listing, ScanRecord
from imgmatch.rings.duplicates import group_photos
from imgmatch.types import FindingStatus

__all__ = ["Market", "Offer", "OpenPhoto", "Token", "asking_prices", "photo_opener", "rarity", "utc_time"]

OpenPhoto = Callable[[str, str], "PhotoContext | None"]
"""Opens the photo with a sha256 and a path, or returns None where it is not there any more."""


def photo_opener(roots: Sequence[Path]) -> OpenPhoto:
    """Return what opens a photo below any of some folders, provided its bytes are still those of its sha256."""

    def open_photo(sha256: str, path: str) -> PhotoContext | None:
        for root in roots:
            try:
                image = load_image(resolve_within(root, path), target_side=_SIDE)
            except ImageError:
                continue
            if image.sha256 == sha256:
                return PhotoContext(sha256, image)
        return None

    return open_photo


_SIDE = 480
"""Shorter side in pixels that photos are decoded to at least: enough for keypoints (`geometry.MAX_SIDE`) and thumbnails."""


@dataclass(slots=True)
class Seller:
    listings: dict[str, Offer] = field(default_factory=dict)
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What is kept of a listing."""

    time: str
    price: str | None
    currency: str | None
    brand: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """Something shared: its uses as {seller: {listing_id: (sha256, path)}}."""

    key: str
    kind: str
    weight: float
    uses: Mapping[int, Mapping[str, tuple[str, str]]]
    how: str


class Market:
    """What all records say, in as little memory as the graph needs."""

    def __init__(self, contact_key: bytes) -> None:
        self.keys: list[tuple[str, str]] = []
        self.sellers: list[Seller] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._files: dict[str, tuple[str | None, str]] = {}  # sha256 -> phash, path
        self._photos: dict[str, dict[int, dict[str, tuple[str, str]]]] = defaultdict(lambda: defaultdict(dict))
        self._contacts: dict[str, dict[int, dict[str, tuple[str, str]]]] = defaultdict(lambda: defaultdict(dict))
        self._official: set[str] = set()
        self._contact_key = contact_key

    def add(self, record: ScanRecord) -> None:
        listing = record.listing
        if not listing.seller_id:
            return
        key = (listing.platform or "", listing.seller_id)
        if key not in self._numbers:
            self._numbers[key] = len(self.keys)
            self.keys.append(key)
            self.sellers.append(Seller())
        number = self._numbers[key]
        seller = self.sellers[number]
        times = [t for t in map(utc_time, (listing.listed_at, listing.captured_at)) if t]
        seller.first = min([*times, *filter(None, [seller.first])], default=None)
        seller.last = max([*times, *filter(None, [seller.last])], default=None)
        offer = Offer(
            max(times, default=""), _short(listing.price), listing.currency, record.verdict.brand if record.verdict else None
        )
        known = seller.listings.get(listing.listing_id)
        if known is None or _newer(offer, known):
            seller.listings[listing.listing_id] = offer
        official = _official_photos(record)
        for photo in record.photos:
            if photo.status == "ok" and photo.sha256:
                phash, path = self._files.get(photo.sha256, (photo.phash, photo.path))
                self._files[photo.sha256] = (phash, min(path, photo.path))
                uses = self._photos[photo.sha256][number]
                uses[listing.listing_id] = (photo.sha256, min(uses.get(listing.listing_id, ("", photo.path))[1], photo.path))
                if photo.photo_id in official:
                    self._official.add(photo.sha256)
        if self._contact_key:
            for contact in _contacts(listing, record):
                digest = hmac.new(self._contact_key, contact.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
                    :32
                ]
                self._contacts[digest][number][listing.listing_id] = ("", "")

    def order(self) -> list[int]:
        """Return the sellers' numbers, earliest first: the order everything is decided in."""
        return sorted(range(len(self.keys)), key=self.age)

    def age(self, number: int) -> tuple[str, str, str]:
        return (self.sellers[number].first or "9999", *self.keys[number])

    def tokens(self, common: float, contact_weight: float, open_photo: OpenPhoto | None) -> Iterator[Token]:
        """Yield what at least two sellers share and not everybody does."""
        files = sorted(self._files)
        owners = [min(self._photos[sha]) if len(self._photos[sha]) == 1 else -1 - i for i, sha in enumerate(files)]

        def look(row: int) -> PhotoContext | None:
            return open_photo(files[row], self._files[files[row]][1]) if open_photo else None

        groups, why = group_photos([self._files[sha][0] for sha in files], owners, look if open_photo else None)
        reasons: dict[int, str] = {}
        for (i, _), how in sorted(why.items(), reverse=True):
            reasons[int(groups[i])] = how
        members: dict[int, list[str]] = defaultdict(list)
        for row, sha in enumerate(files):
            members[int(groups[row])].append(sha)
        for row, copies in members.items():
            uses: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
            for sha in copies:
                for seller, listings in self._photos[sha].items():
                    for listing, use in listings.items():
                        uses[seller].setdefault(listing, use)
            weight = rarity(len(uses), common)
            if weight > 0.0 and not any(sha in self._official for sha in copies):
                yield Token(files[row], "photo", weight, uses, reasons.get(row, "same file"))
        for digest, contact_uses in sorted(self._contacts.items()):
            weight = contact_weight * rarity(len(contact_uses), common)
            if weight > 0.0:
                yield Token(digest, "contact", weight, contact_uses, "same contact")


def rarity(users: int, common: float) -> float:
    """Return what it says that a photo or contact is used by so many sellers, in [0, 1]; see `find_rings`."""
    if users < 2 or users >= common:
        return 0.0
    return math.log(common / users) / math.log(common / 2)


def _official_photos(record: ScanRecord) -> set[str]:
    """Return the ids of the photos that the scan found to be copies of the catalog's own."""
    findings = record.verdict.findings if record.verdict else ()
    return {
        f.photo_id
        for f in findings
        if f.signal == "copy" and f.status is FindingStatus.OK and f.photo_id and (f.value or 0.0) >= 0.5
    }


def _contacts(listing: Listing, record: ScanRecord) -> set[str]:
    texts = (unicodedata.normalize("NFKC", c).casefold() for c in (*listing.contacts, *record.contacts))
    return {"".join(text.split()) for text in texts if text.strip()}


def _newer(a: Offer, b: Offer) -> bool:
    return (a.time, a.price or "", a.currency or "") > (b.time, b.price or "", b.currency or "")


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= 100 else text[:100]


def utc_time(text: str | None) -> str | None:
    """Return a time as ISO 8601 in UTC, None where it is not one; times without a zone are taken as UTC."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    time = time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
    return time.isoformat(timespec="seconds")


def asking_prices(offers: Iterable[Offer], rates: Mapping[str, float], currency: str | None) -> tuple[dict[str, float], int]:
    """Sum asking prices by currency, one unit per listing, the lower end of a range.

    Parameters
    ----------
    offers : iterable of Offer
    rates : mapping of str to float
        The user's; nothing is converted without them.
    currency : str or None
        Sum in this one what `rates` can convert.

    Returns
    -------
    totals : dict of str to float
        By ISO 4217 code, or ``unknown currency``.
    unpriced : int
        Offers without a readable price.
    """
    total: dict[str, float] = defaultdict(float)
    unpriced = 0
    for offer in offers:
        price = parse_price(offer.price, offer.currency)
        if isinstance(price, str):
            unpriced += 1
            continue
        code = price.currencies[0] if price.currencies else "unknown currency"
        converted = convert(price.low, code, currency, rates) if currency else None
        if currency and converted is not None:
            total[currency] += converted
        else:
            total[code] += price.low
    return {code: round(amount, 2) for code, amount in sorted(total.items())}, unpriced
