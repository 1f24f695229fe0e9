"""What a market shows: which seller uses which photos and contacts, condensed from any number of records."""

from __future__ import annotations

import hashlib
import hmac
import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgmatch.cells import utc_time
from imgmatch.errors import ImageError
from imgmatch.images import load_image, resolve_within
from imgmatch.investigate.rings.duplicates import Groups, group_photos
from imgmatch.investigate.rings.pairs import PairLimits, PairMatch, match_pairs
from imgmatch.investigate.rings.state import State
from imgmatch.loading.photo import PhotoContext
from imgmatch.market.prices import convert, parse_price
from imgmatch.records import Listing, ScanRecord
from imgmatch.types import FindingStatus, FloatArray

__all__ = [
    "Market", "Offer", "OpenPhoto", "PhotoAccess", "Token", "asking_prices", "listing_row", "photo_opener", "rarity",
]  # fmt: skip

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
    price: str | float | None
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


@dataclass(slots=True)
class File:
    """A distinct photo file."""

    phash: str | None
    path: str
    urgency: int
    official: bool = False


@dataclass(frozen=True, slots=True)
class PhotoAccess:
    """What can be seen of photos beyond their hashes.

    Parameters
    ----------
    open_photo : callable, optional
        ``open_photo(sha256, path) -> PhotoContext or None``; without it nothing is looked at.
    embeddings : callable, optional
        ``embeddings(shas)`` gives an embedding or None per photo, all of one space: they propose pairs to look at.
    limits : PairLimits
    """

    open_photo: OpenPhoto | None = None
    embeddings: Callable[[Sequence[str]], Sequence[FloatArray | None]] | None = None
    limits: PairLimits = field(default_factory=PairLimits)


class Market:
    """What all records say, in as little memory as the graph needs."""

    def __init__(self, contact_key: bytes) -> None:
        self.keys: list[tuple[str, str]] = []
        self.sellers: list[Seller] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._files: dict[str, File] = {}
        self._photos: dict[str, dict[int, dict[str, tuple[str, str]]]] = defaultdict(lambda: defaultdict(dict))
        self._contacts: dict[str, dict[int, dict[str, tuple[str, str]]]] = defaultdict(lambda: defaultdict(dict))
        self._contact_key = contact_key

    def add(self, record: ScanRecord) -> None:
        row = listing_row(record, self._contact_key)
        if row is not None:
            self.add_row(row)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Add what :func:`listing_row` made of a record."""
        key = (row["platform"], row["seller"])
        if key not in self._numbers:
            self._numbers[key] = len(self.keys)
            self.keys.append(key)
            self.sellers.append(Seller())
        number, listing = self._numbers[key], row["listing"]
        seller, times = self.sellers[number], row["times"]
        seller.first = min([*times, *filter(None, [seller.first])], default=None)
        seller.last = max([*times, *filter(None, [seller.last])], default=None)
        offer = Offer(max(times, default=""), row["price"], row["currency"], row["brand"])
        known = seller.listings.get(listing)
        if known is None or _newer(offer, known):
            seller.listings[listing] = offer
        for sha, phash, path, official in row["photos"]:
            file = self._files.setdefault(sha, File(phash, path, row["urgency"]))
            file.path, file.urgency = min(file.path, path), min(file.urgency, row["urgency"])
            file.official |= official
            uses = self._photos[sha][number]
            uses[listing] = (sha, min(uses.get(listing, ("", path))[1], path))
        for digest in row["contacts"]:
            self._contacts[digest][number][listing] = ("", "")

    def order(self) -> list[int]:
        """Return the sellers' numbers, earliest first: the order everything is decided in."""
        return sorted(range(len(self.keys)), key=self.age)

    def age(self, number: int) -> tuple[str, str, str]:
        return (self.sellers[number].first or "9999", *self.keys[number])

    def tokens(self, common: float, weights: Mapping[str, float], photos: PhotoAccess, state: State) -> Iterator[Token]:
        """Yield what at least two sellers share and not everybody does; `weights` by kind."""
        files = sorted(self._files)
        groups, doubtful = group_photos(
            files, [self._files[sha].phash for sha in files], state, doubtful=photos.open_photo is not None
        )
        joined: dict[int, float] = {}
        places: list[tuple[int, int, str, float]] = []
        if photos.open_photo is not None:
            for i, j, match in self._matched_pairs(files, groups, doubtful, common, photos, state):
                if match.kind != "photo":
                    places.append((i, j, match.kind, match.strength))
                elif groups.join(i, j):
                    joined[i] = min(joined.get(i, 1.0), match.strength)
        members = _members(groups, files)
        least: dict[int, float] = {}
        for i, strength in joined.items():
            least[groups.of(i)] = min(least.get(groups.of(i), 1.0), strength)
        for row, rows in members.items():
            how = f"geometry {least[row]:.2f}" if row in least else "near hash" if len(rows) > 1 else "same file"
            yield from self._token(files, rows, "photo", weights["photo"], common, how)
        for kind in ("background", "watermark"):
            linked = Groups(len(files))
            for i, j, what, _ in places:
                if what == kind:
                    linked.join(i, j)
            for row, rows in _members(linked, files).items():
                if len(rows) > 1:
                    strength = min(s for i, _, what, s in places if what == kind and linked.of(i) == row)
                    everything = sorted({copy for r in rows for copy in members[groups.of(r)]})
                    yield from self._token(files, everything, kind, weights[kind], common, f"geometry {strength:.2f}")
        for digest, uses in sorted(self._contacts.items()):
            weight = weights["contact"] * rarity(len(uses), common)
            if weight > 0.0:
                yield Token(digest, "contact", weight, uses, "same contact")

    def _token(
        self, files: Sequence[str], rows: Sequence[int], kind: str, full: float, common: float, how: str
    ) -> Iterator[Token]:
        uses: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
        for row in rows:
            for seller, listings in self._photos[files[row]].items():
                for listing, use in listings.items():
                    uses[seller][listing] = min(uses[seller].get(listing, use), use)
        weight = full * rarity(len(uses), common)
        if weight > 0.0 and not any(self._files[files[row]].official for row in rows):
            key = files[rows[0]] if kind == "photo" else f"{kind}-{files[rows[0]]}"
            yield Token(key, kind, weight, uses, how)

    def _matched_pairs(
        self,
        files: Sequence[str],
        groups: Groups,
        doubtful: Sequence[tuple[int, int, int]],
        common: float,
        photos: PhotoAccess,
        state: State,
    ) -> Iterator[tuple[int, int, PairMatch]]:
        """PairMatch at one photo of each group that is neither official nor everybody's."""
        worth: list[int] = []
        owners = np.full(len(files), -1, np.int64)
        urgency: dict[int, int] = {}
        for row, rows in _members(groups, files).items():
            users = {seller for r in rows for seller in self._photos[files[r]]}
            if len(users) < common and not any(self._files[files[r]].official for r in rows):
                owners[row] = min(users) if len(users) == 1 else -2 - row
                urgency[row] = min(self._files[files[r]].urgency for r in rows)
                worth.append(row)
        at = {row: n for n, row in enumerate(worth)}
        pairs = [
            (d, at[a], at[b])
            for d, i, j in doubtful
            for a, b in [sorted((groups.of(i), groups.of(j)))]
            if a in at and b in at
        ]
        vectors = None
        if photos.embeddings is not None:
            known = [(n, v) for n, v in enumerate(photos.embeddings([files[row] for row in worth])) if v is not None]
            vectors = ([n for n, _ in known], np.stack([v for _, v in known])) if len(known) > 1 else None

        def open_photo(sha: str) -> PhotoContext | None:
            return None if photos.open_photo is None else photos.open_photo(sha, self._files[sha].path)

        for i, j, match in match_pairs(
            [files[row] for row in worth],
            owners[worth],
            urgent=sorted(range(len(worth)), key=lambda n: (urgency[worth[n]], n)),
            doubtful=pairs,
            vectors=vectors,
            open_photo=open_photo,
            state=state,
            limits=photos.limits,
            same=lambda i, j: groups.of(worth[i]) == groups.of(worth[j]),
        ):
            yield worth[i], worth[j], match


def _members(groups: Groups, files: Sequence[str]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(len(files)):
        members[groups.of(row)].append(row)
    return members


def listing_row(record: ScanRecord, contact_key: bytes) -> dict[str, Any] | None:
    """Return what rings need of a record as plain JSON; None where it names no seller.

    Contacts are kept only as HMAC-SHA256 under the key, and not at all without one.
    """
    listing = record.listing
    if not listing.seller_id:
        return None
    official = _official_photos(record)
    verdict = record.verdict
    digests = (hmac.new(contact_key, c.encode("utf-8", "surrogatepass"), hashlib.sha256) for c in _contacts(listing, record))
    return {
        "platform": listing.platform or "",
        "seller": listing.seller_id,
        "listing": listing.listing_id,
        "times": sorted(t for t in map(utc_time, (listing.listed_at, listing.captured_at)) if t),
        "price": _short(listing.price),
        "currency": listing.currency,
        "brand": verdict.brand if verdict else None,
        "urgency": 2 - (verdict.decision.rank if verdict else 0),
        "photos": [
            [p.sha256, p.phash, p.path, p.photo_id in official] for p in record.photos if p.status == "ok" and p.sha256
        ],
        "contacts": sorted(d.hexdigest()[:32] for d in digests) if contact_key else [],
    }


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
    return (a.time, str(a.price or ""), a.currency or "") > (b.time, str(b.price or ""), b.currency or "")


def _short(price: str | float | None) -> str | float | None:
    return price[:100] if isinstance(price, str) else price


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
        code = price.currencies[0] if len(price.currencies) == 1 else "unknown currency"  # "¥" is two of them
        converted = convert(price.low, code, currency, rates) if currency else None
        if currency and converted is not None:
            total[currency] += converted
        else:
            total[code] += price.low
    return {code: round(amount, 2) for code, amount in sorted(total.items())}, unpriced
