"""Path, bytes or file object in; upright sRGB pixels, hashes and thumbnails out."""

from imgmatch.images.loading import (
    ImageSource,
    hamming,
    load_image,
    pdq_dihedral,
    perceptual_hash,
    read_file,
    resolve_within,
    thumbnail_jpeg,
)

__all__ = [
    "ImageSource",
    "hamming",
    "load_image",
    "pdq_dihedral",
    "perceptual_hash",
    "read_file",
    "resolve_within",
    "thumbnail_jpeg",
]
