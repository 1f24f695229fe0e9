"""Sellers tied by shared photos, contacts, places and watermarks."""

from imgmatch.investigate.rings.find import RingSettings, find_rings
from imgmatch.investigate.rings.market import PhotoAccess
from imgmatch.investigate.rings.ring import Ring
from imgmatch.investigate.rings.state import State

__all__ = ["PhotoAccess", "Ring", "RingSettings", "State", "find_rings"]
