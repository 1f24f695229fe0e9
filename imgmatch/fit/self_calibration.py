"""Calibrate on a catalog's own photos: honest and dishonest listings are made of them, scanned, and fitted on.

For an embedding space that no shipped calibration fits and where no reviewer has decided anything yet. Some views of every
item are held out of the catalog; offered as they are they are honest, with a part forged they are not. What cannot come from
photos (prices, words, contacts) is invented as :mod:`imgmatch.world` invents it. So the figures are of forged photos and
invented offers, and every record that uses such a calibration says so.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image

from imgmatch.augment.changes import Photo
from imgmatch.augment.conditions import condition
from imgmatch.augment.edits import EDITS, edit
from imgmatch.augment.rates import BAD, HONEST, asked
from imgmatch.augment.region_forge import REGION_FORGERIES, forge_region
from imgmatch.augment.wording import SPEECH, contacts
from imgmatch.catalog import Catalog
from imgmatch.catalog.items import Item
from imgmatch.config import Config
from imgmatch.errors import CalibrationError
from imgmatch.fit.examples import examples_from
from imgmatch.fit.fitting import Example, fit
from imgmatch.matcher import Matcher
from imgmatch.records import Listing
from imgmatch.types import Box, PhotoRole
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.labels import RANDOM, LabelRow
from imgmatch.verdicts.rules import Rules

__all__ = ["LEAST_ITEMS", "calibrate_self", "held_out", "self_examples"]

LISTINGS = 100
"""Listings made at most, a fair sample of all that could be: some three minutes of one core. That supports ``balanced`` and
``fpr_1e-1``; ``fpr_1e-2`` takes 300 honest listings, and reviewers' decisions say more than that many of these."""

LEAST_ITEMS = 10
"""Items with two photos or more that it takes: fewer would put too few into each of the five parts that are held out."""

BATCH = 8
SIDE = 1024  # longer side of the photos made, in pixels, as platforms serve them
_CONDITIONS = ("light", "white_balance", "jpeg", "resize", "crop", "perspective", "occlusion")
_TRIES = 20  # places to alter that are looked at: a guess
_OUTRIGHT = 0.15  # of dishonest offers that say what they are: a guess
_TIDY = ("resize", "recompress", "crop", "border", "caption", "watermark")  # edits that honest shops make too


@dataclass(frozen=True, slots=True)
class _Offer:
    listing: Listing
    photo: bytes
    bad: bool


def calibrate_self(
    catalog: Catalog,
    config: Config,
    *,
    created: str,
    prevalence: float = 0.03,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a calibration in a catalog's own space, on listings made of its own photos.

    Parameters
    ----------
    catalog : Catalog
    config : Config
        Signals, rules and currency rates, as the scans will have them.
    created : str
        ISO 8601 date.
    prevalence : float
        Share of bad listings where it will be used, in (0, 1).
    progress : callable, optional
        Called with (listings done, listings in all).

    Raises
    ------
    CalibrationError
        Where the catalog is too small, saying what is missing.
    """
    return fit(
        self_examples(catalog, config, progress=progress),
        space=catalog.space,
        gating=_rules(config).gating,
        fitted_on="self",
        name="self-calibration",
        source="the catalog's own photos, forged and not, in invented offers",
        created=created,
        prevalence=prevalence,
    )


def self_examples(
    catalog: Catalog,
    config: Config,
    *,
    listings: int = LISTINGS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """Make listings of a catalog's photos, scan them against the rest of it, and return what a calibration is fitted on.

    Notes
    -----
    Half of the views of each item are held out, at most; examples of one item are one group, so that no listing is judged
    by a model that saw its item. Cost: one full examination per listing.

    Raises
    ------
    CalibrationError
        Where fewer than `LEAST_ITEMS` items have a view to hold out.
    """
    held = held_out(catalog)
    if len(held) < LEAST_ITEMS:
        raise CalibrationError(
            f"{catalog.path}: {len(held)} of {len(catalog.items)} items have two photos or more, so that one can be held "
            f"out; expected at least {LEAST_ITEMS}. The catalog itself is complete: scan with it, and the rules decide. "
            "To calibrate, add photos to the catalog, or use reviewers' decisions (imgmatch calibrate --labels)"
        )
    reduced = _without(catalog, {sha for shas in held.values() for sha in shas})
    settings = replace(config, fusion=replace(config.fusion, calibration="none"))
    matcher, rules = Matcher(reduced, settings), _rules(config)
    rng = np.random.default_rng(seed)
    plans = _plans(catalog, held, rng)[:listings]
    out: list[Example] = []
    for start in range(0, len(plans), BATCH):
        offers = [make(rng, f"self-{start + i}") for i, make in enumerate(plans[start : start + BATCH])]
        loaded = [matcher.load(o.listing, {o.listing.photos[0]: o.photo}) for o in offers]
        records = matcher.examine_loaded(loaded)
        labels = [LabelRow(o.listing.listing_id, "confirm" if o.bad else "reject", "", "", RANDOM) for o in offers]
        out += examples_from(zip(records, labels, strict=True), rules)
        if progress:
            progress(min(start + BATCH, len(plans)), len(plans))
    return out


_Make = Callable[[np.random.Generator, str], _Offer]


def held_out(catalog: Catalog) -> dict[str, list[str]]:
    """Return views to hold out by item: every second one, so that at least half of them stay."""
    held = {}
    for item_id, item in sorted(catalog.items.items()):
        views = [s for s in item.photos if s in catalog.photos and catalog.photos[s].role is PhotoRole.REFERENCE]
        if len(views) >= 2:
            held[item_id] = views[1::2]
    return held


def _without(catalog: Catalog, held: set[str]) -> Catalog:
    """Return the catalog as it would be without some photos; nothing is written."""
    reduced = Catalog.load(catalog.path, space=catalog.space.id, encoder=catalog.encoder)
    reduced.photos = {sha: p for sha, p in catalog.photos.items() if sha not in held}
    reduced.items = {
        i: replace(item, photos=tuple(s for s in item.photos if s not in held)) for i, item in catalog.items.items()
    }
    reduced.version = f"{catalog.version} without {len(held)} photos held out"
    return reduced


def _plans(catalog: Catalog, held: dict[str, list[str]], rng: np.random.Generator) -> list[_Make]:
    """Return the listings to make, shuffled, so that a part of them is a fair sample.

    Per view held out an honest private offer and, of every other one, a forged one; per item an honest shop and, of every
    other one, a thief with the official photo; per background photo something unrelated.
    """
    plans: list[_Make] = []
    for n, (item_id, item) in enumerate(sorted(catalog.items.items())):
        for k, sha in enumerate(held.get(item_id, ())):
            plans.append(_bound(_own, catalog, item, sha))
            if (n + k) % 2 == 0:
                plans.append(_bound(_forged, catalog, item, sha))
        kept = [s for s in item.photos if s in catalog.photos and s not in held.get(item_id, ())]
        if kept:
            plans.append(_bound(_shop, catalog, item, kept[0]))
            if n % 2 == 1:
                plans.append(_bound(_thief, catalog, item, kept[0]))
    plans += [_bound(_unrelated, catalog, None, p.sha256) for p in catalog.of_role(PhotoRole.BACKGROUND)]
    return [plans[i] for i in rng.permutation(len(plans))]


def _bound(
    make: Callable[[np.random.Generator, str, Item | None, Photo, str], _Offer],
    catalog: Catalog,
    item: Item | None,
    sha: str,
) -> _Make:
    brand = "" if item is None else (catalog.brands[item.brand].name if item.brand in catalog.brands else "") or item.brand
    return lambda rng, listing_id: make(rng, listing_id, item, _pixels(catalog, sha), brand)


def _own(rng: np.random.Generator, listing_id: str, item: Item | None, pixels: Photo, brand: str) -> _Offer:
    return _offer(rng, listing_id, item, _taken(rng, pixels), brand)


def _forged(rng: np.random.Generator, listing_id: str, item: Item | None, pixels: Photo, brand: str) -> _Offer:
    h, w = pixels.shape[:2]
    altered = pixels  # where nothing can be altered, a replica in which nothing is visibly wrong
    for _ in range(_TRIES):
        side = rng.uniform(0.15, 0.35, 2) * (w, h)
        x, y = (rng.uniform(0.15, 0.85, 2) * ((w, h) - side)).tolist()  # the product is in the middle
        box = Box(x, y, x + float(side[0]), y + float(side[1]))
        name = str(rng.choice(sorted(REGION_FORGERIES)))
        try:
            altered = forge_region(name, pixels, box, rng, float(rng.uniform(0.2, 1.0))).image
            break
        except ValueError:  # a plain ground: nothing there to alter
            continue
    return _offer(rng, listing_id, item, _taken(rng, altered), brand, bad=True)


def _shop(rng: np.random.Generator, listing_id: str, item: Item | None, pixels: Photo, brand: str) -> _Offer:
    shown = _copied(rng, pixels, _TIDY) if rng.random() < 0.4 else pixels
    return _offer(rng, listing_id, item, shown, brand, shop=True)


def _thief(rng: np.random.Generator, listing_id: str, item: Item | None, pixels: Photo, brand: str) -> _Offer:
    shown = _copied(rng, pixels, sorted(EDITS)) if rng.random() < 0.6 else pixels
    return _offer(rng, listing_id, item, shown, brand, shop=rng.random() < 0.4, bad=True)


def _unrelated(rng: np.random.Generator, listing_id: str, item: Item | None, pixels: Photo, brand: str) -> _Offer:
    return _offer(rng, listing_id, item, _taken(rng, pixels), brand)


def _offer(
    rng: np.random.Generator,
    listing_id: str,
    item: Item | None,
    pixels: Photo,
    brand: str,
    *,
    shop: bool = False,
    bad: bool = False,
) -> _Offer:
    """Put a listing together; it is priced and worded at the rates of its side, without a price where none is known."""
    manner, speech = BAD if bad else HONEST, SPEECH["fit"]
    used = rng.random() > (0.5 if shop else manner.new)
    usual = None if item is None else _usual(item, used)
    described = speech.description(rng, shop, manner.hints, manner.silent)
    if bad and rng.random() < _OUTRIGHT:
        described = f"{rng.choice(speech.outright)} {described}".strip()
    listing = Listing(
        listing_id,
        photos=(f"{listing_id}.jpg",),
        title="For sale" if item is None else f"{brand} {item.name or item.model or item.category or ''}".strip(),
        description=described,
        price=None if usual is None else f"{max(usual * asked(rng, manner, 'fit')[1], 1.0):.2f}",
        currency=None if usual is None or item is None else item.currency,
        condition="used" if used else "new",
        seller_id=f"of {item.item_id}" if item is not None else listing_id,  # an item is one group
        platform="self-calibration",
        contacts=contacts(rng) if rng.random() < manner.reachable else (),
    )
    return _Offer(listing, _jpeg(rng, pixels), bad)


def _usual(item: Item, used: bool) -> float | None:
    return item.condition_prices.get("used") if used else item.price


def _taken(rng: np.random.Generator, pixels: Photo) -> Photo:
    """Put a photo under two honest conditions."""
    for name in rng.choice(_CONDITIONS, 2, replace=False):
        pixels = condition(str(name), pixels, rng, float(rng.uniform(0.2, 0.7))).image
    return pixels


def _copied(rng: np.random.Generator, pixels: Photo, names: Sequence[str]) -> Photo:
    return edit(str(rng.choice(names)), pixels, rng, float(rng.uniform(0.15, 0.6))).image


def _pixels(catalog: Catalog, sha: str) -> Photo:
    image = PIL.Image.fromarray(catalog.photo(sha).image.pixels)
    image.thumbnail((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    return np.asarray(image)


def _jpeg(rng: np.random.Generator, pixels: Photo) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "JPEG", quality=int(rng.integers(76, 93)))
    return out.getvalue()


def _rules(config: Config) -> Rules:
    return Rules.load(config.folder / config.fusion.rules if config.fusion.rules else None)
