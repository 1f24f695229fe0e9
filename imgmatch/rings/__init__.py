"""Sellers tied by shared photos and contacts."""

from imgmatch.rings.find import Ring, RingSettings, find_rings

__all__ = ["Ring", "RingSettings", "find_rings"]
