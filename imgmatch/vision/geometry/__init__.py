"""Keypoints, verified matches and alignment: where one picture shows the same thing as another.

Shared by the signals that need it; everything about a photo is computed once and remembered by its
:class:`~imgmatch.loading.photo.PhotoContext`.

Conventions
-----------
Points are in **original upright pixels, continuous**: pixel (column 0, row 0) covers the square from (0, 0) to (1, 1) and
its centre is (0.5, 0.5), so a mirror image maps x to ``width - x``. Transforms are 3x3, homogeneous, and map **reference
points to query points**.
"""

from imgmatch.vision.geometry.features import MAX_SIDE, Keypoints, extract, keypoints, mirrored, patches
from imgmatch.vision.geometry.matching import VerifiedMatch, match, verify
from imgmatch.vision.geometry.shapes import (
    Points,
    Transform,
    area,
    draw,
    flip,
    intersect,
    map_points,
    overlap,
    rectangle,
    shrink,
    skew,
    warp,
)

__all__ = [
    "MAX_SIDE",
    "Keypoints",
    "Points",
    "Transform",
    "VerifiedMatch",
    "area",
    "draw",
    "extract",
    "flip",
    "intersect",
    "keypoints",
    "map_points",
    "match",
    "mirrored",
    "overlap",
    "patches",
    "rectangle",
    "shrink",
    "skew",
    "verify",
    "warp",
]
