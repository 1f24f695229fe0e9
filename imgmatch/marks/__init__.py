"""Figurative marks: references, where they show in a photo, and how what shows there differs from them."""

from imgmatch.marks.index import MarkIndex, repeats
from imgmatch.marks.placement import Difference, Placement, difference
from imgmatch.marks.reference import MarkReference, ink_map, make_reference
from imgmatch.marks.views import views
from imgmatch.marks.windows import Window, WindowIndex, cut

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
