"""PDQ hashes of a photo's parts, as they are and mirrored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.images import perceptual_hash
from imgmatch.loading.photo import PhotoContext
from imgmatch.types import UInt8Array
from imgmatch.vision import geometry
from imgmatch.vision.regions import crop, regions

__all__ = ["PDQ_QUALITY", "bits_of", "hashes_of"]

PDQ_QUALITY = 50  # PDQ's authors advise against matching hashes of less


def hashes_of(photo: PhotoContext) -> tuple[npt.NDArray[Any], ...]:
    """Return boxes (n, 4), whether mirrored (n,) and PDQ hashes (n, 32) of a photo's parts, as they are and mirrored."""
    boxes: list[tuple[float, ...]] = []
    flips: list[bool] = []
    bits: list[UInt8Array] = []
    for region in regions(photo):
        part = crop(photo.image, region.box)
        small = geometry.shrink(part.pixels, 256)
        for pixels, flipped in ((small, False), (np.ascontiguousarray(small[:, ::-1]), True)):
            phash, quality = perceptual_hash(replace(part, pixels=pixels))
            if quality >= PDQ_QUALITY:
                boxes.append((region.box.x0, region.box.y0, region.box.x1, region.box.y1))
                flips.append(flipped)
                bits.append(bits_of(phash))
    return np.array(boxes).reshape(-1, 4), np.array(flips, bool), np.array(bits, np.uint8).reshape(-1, 32)


def bits_of(phash: str) -> UInt8Array:
    """Return a hash in hex as bytes."""
    return np.frombuffer(bytes.fromhex(phash), np.uint8)
