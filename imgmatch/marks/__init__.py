"""Figurative marks: references, where they show in a photo, and how what shows there differs from them."""

from imgmatch.marks.index import MarkIndex, repeats
from imgmatch.marks.placement import Difference, Placement, difference
from imgmatch.marks.reference import MarkReference, ink_map, make_reference

__all__ = ["Difference", "MarkIndex", "MarkReference", "Placement", "difference", "ink_map", "make_reference", "repeats"]
