"""Figurative marks: references, where they show in a photo, and how what shows there differs from them."""

from imgmatch.vision.marks.index import MarkIndex, repeats
from imgmatch.vision.marks.placement import Difference, Placement, difference
from imgmatch.vision.marks.reference import MarkReference, ink_map, make_reference
from imgmatch.vision.marks.views import views
from imgmatch.vision.marks.windows import Window, WindowIndex, cut

__all__ = [
    "Difference",
    "MarkIndex",
    "MarkReference",
    "Placement",
    "Window",
    "WindowIndex",
    "cut",
    "difference",
    "ink_map",
    "make_reference",
    "repeats",
    "views",
]
