"""Sellers tied by shared photos, contacts, places and watermarks."""

from imgmatch.rings.find import Ring, RingSettings, find_rings
from imgmatch.rings.market import Sight
from imgmatch.rings.state import State

__all__ = ["Ring", "RingSettings", "Sight", "State", "find_rings"]
