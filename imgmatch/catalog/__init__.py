"""The authentic reference: items, photos, logos, prices, authorised sellers."""

from __future__ import annotations

from imgmatch.catalog.catalog import Catalog
from imgmatch.catalog.items import Brand, CatalogPhoto, Item, LogoReference

__all__ = ["Brand", "Catalog", "CatalogPhoto", "Item", "LogoReference"]
