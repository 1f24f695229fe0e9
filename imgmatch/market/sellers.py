"""Who may sell a brand: exact (platform, seller id) pairs and registrable domains, never display names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imgmatch.catalog.items import Brand
from imgmatch.messages import Message
from imgmatch.records import Listing

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

__all__ = ["authorisation", "registrable_domain"]

_PATH = re.compile(r"(?<!/)/(?!/)|[?#]")
_LONGEST = 2048  # of what stands before a URL's path (a guess): a host has 253 letters, and reading 100,000 takes seconds


def registrable_domain(url: str) -> str | None:
    """Return the part of a URL's host that somebody registered, lower-case and in ASCII.

    Parameters
    ----------
    url : str
        A URL with or without its scheme, or a bare host.

    Returns
    -------
    str or None
        None where there is none: an IP address, a bare public suffix, something that is not a URL.

    Notes
    -----
    By Mozilla's public suffix list (https://publicsuffix.org) with its private section, as the installed
    ``publicsuffixlist`` carries it, so that two shops of one hosting platform are two domains. Nothing is fetched.

    Examples
    --------
    >>> registrable_domain("https://www.gucci.co.uk/bags"), registrable_domain("https://gucci.com@evil.shop/")
    ('gucci.co.uk', 'evil.shop')
    """
    text = _PATH.split(url.strip(), maxsplit=1)[0]
    if len(text) > _LONGEST:
        return None
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        host = host.rstrip(".").encode("idna").decode("ascii") if host else ""
    except (ValueError, UnicodeError):
        return None
    if not host or ":" in host or host.replace(".", "").isdigit():
        return None
    domain: str | None = _suffixes().privatesuffix(host)
    return domain


def authorisation(brand: Brand, listing: Listing) -> Message | None:
    """Say why a listing is by a seller whom the brand authorises; None where nothing shows that.

    Parameters
    ----------
    brand : Brand
        With its `authorised_sellers` and `official_domains`.
    listing : Listing
        Its `platform` and `seller_id` are compared exactly (the platform without regard to case), its `url` by
        registrable domain.
    """
    platform = (listing.platform or "").strip().casefold()
    seller = (listing.seller_id or "").strip()
    if platform and seller:
        for known_platform, known_seller in brand.authorised_sellers:
            if platform == known_platform.strip().casefold() and seller == known_seller.strip():
                return Message(
                    "{brand} lists the seller {seller} on {platform} as authorised.",
                    brand=brand.name or brand.brand,
                    seller=seller,
                    platform=platform,
                )
    domain = registrable_domain(listing.url) if listing.url else None
    if domain is not None and domain in {registrable_domain(known) for known in brand.official_domains}:
        return Message(
            "The listing is on {domain}, an official domain of {brand}.", domain=domain, brand=brand.name or brand.brand
        )
    return None


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
