"""The demo: a small catalog of three invented brands, honest sellers, one ring and one bait-and-switch campaign."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgmatch.augment.wording import RATES
from imgmatch.world.campaign import make_campaign
from imgmatch.world.catalog_source import write_catalog_source
from imgmatch.world.market import make_market

__all__ = ["DEMO_RATES", "DemoPaths", "write_demo"]

DEMO_RATES: dict[str, float] = {currency: round(1 / rate, 4) for currency, rate in RATES.items()}
"""EUR for one unit of each currency of the demo."""


@dataclass(frozen=True, slots=True)
class DemoPaths:
    """Where the demo's parts are.

    Parameters
    ----------
    manifest : Path
        Source of the catalog.
    listings, posts, truth : Path
        Tables.
    """

    manifest: Path
    listings: Path
    posts: Path
    truth: Path


def write_demo(out: Path, seed: int = 0) -> DemoPaths:
    """Render the demo world.

    Parameters
    ----------
    out : Path
        Folder for ``catalog_source/``, ``listings.csv``, ``posts.csv``, ``photos/`` and ``truth.csv``; made where missing.
    seed : int

    Notes
    -----
    21 items in 4 views, 72 listings of which 27 are dishonest, and a campaign: six posts of one account that lead to six
    more listings of three sellers. About 20 s on one core. A demo shows every kind of offer,
    so its base rate is nothing like a market's.
    """
    market = make_market(out, seed=seed, listings=72, base_rate=0.38, bags=4, watches=3, rings=1)
    make_campaign(out, market, seed)
    manifest = write_catalog_source(out / "catalog_source", market.products)
    return DemoPaths(manifest, out / "listings.csv", out / "posts.csv", out / "truth.csv")
