"""Sellers tied by shared photos, contacts, places and watermarks."""

from imgmatch.investigate.rings.find import Ring, RingSettings, find_rings
from imgmatch.investigate.rings.market import Sight
from imgmatch.investigate.rings.state import State

__all__ = ["Ring", "RingSettings", "Sight", "State", "find_rings"]
