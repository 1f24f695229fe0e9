"""Figurative marks: references, where they show in a photo, and how what shows there differs from them."""

from imgmatch.vision.marks.index import MarkIndex
from imgmatch.vision.marks.learnt import LearntIndex, LearntMatch
from imgmatch.vision.marks.reference import Ink, MarkReference, ink_map, make_reference
from imgmatch.vision.marks.shape import ShapeIndex, ShapeMatch
from imgmatch.vision.marks.sighting import Sighting

__all__ = [
    "Ink",
    "LearntIndex",
    "LearntMatch",
    "MarkIndex",
    "MarkReference",
    "ShapeIndex",
    "ShapeMatch",
    "Sighting",
    "ink_map",
    "make_reference",
]
