"""Figurative marks: references, where they show in a photo, and how what shows there differs from them."""

from imgmatch.vision.marks.index import MarkIndex, Sighting
from imgmatch.vision.marks.reference import Ink, MarkReference, ink_map, make_reference
from imgmatch.vision.marks.shape import ShapeIndex, ShapeMatch

__all__ = [
    "Ink",
    "MarkIndex",
    "MarkReference",
    "ShapeIndex",
    "ShapeMatch",
    "Sighting",
    "ink_map",
    "make_reference",
]
