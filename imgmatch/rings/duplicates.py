"""Which of very many photos are the same photo: hashes propose through an index, geometry disposes where it can look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from imgmatch import geometry
from imgmatch.photo import PhotoContext
from imgmatch.types import UInt8Array

__all__ = ["SAME_DISTANCE", "TRY_DISTANCE", "group_photos", "near_pairs"]

SAME_DISTANCE = 12
"""Bits of 256 within which two PDQ hashes count as one photo without a look at the pixels. Of the 337,060 pairs of distinct
photos in adidas_products, bags_three_brands and eval_bags_watches and distractors none is this near; at 16 four are."""

TRY_DISTANCE = 31
"""Bits of 256 within which a pair is worth a look: the match threshold of PDQ's authors (Meta, 2019)."""

_BANDS = 16
_BAND_BITS = 256 // _BANDS
_CHUNK = 1 << 21
_REMEMBERED = 256

Open = Callable[[int], "PhotoContext | None"]
Rows = npt.NDArray[np.int64]


def near_pairs(hashes: UInt8Array, radius: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield all pairs of hashes within a Hamming distance, exactly.

    Parameters
    ----------
    hashes : ndarray, shape (n, 32), uint8
        256-bit PDQ hashes.
    radius : int
        In [0, 31].

    Yields
    ------
    i, j, distance : ndarray, shape (m,), int64
        With i != j in no particular order; a pair may come more than once.

    Notes
    -----
    Multi-index hashing (Norouzi, Punjani & Fleet, CVPR 2012): of 16 bands of 16 bits two hashes within 15 bits share one
    band exactly, within 31 bits share one up to one bit. Bits are dealt to the bands at random (fixed seed), because
    neighbouring bits of PDQ describe neighbouring frequencies. Cost: about ``n² / 500`` cheap comparisons for radius 31 and
    ``n² / 8000`` up to 15, in pieces of bounded memory (``benchmarks/rings.py`` measures it).
    """
    if not 0 <= radius <= 2 * _BANDS - 1:
        raise ValueError(f"expected radius in [0, {2 * _BANDS - 1}], got {radius}")
    if hashes.ndim != 2 or hashes.shape[1] != 32 or hashes.dtype != np.uint8:
        raise ValueError(f"expected hashes (n, 32) uint8, got {hashes.shape} {hashes.dtype}")
    dealt = np.random.default_rng(0).permutation(256)
    shuffled = np.packbits(np.unpackbits(hashes, axis=1)[:, dealt], axis=1)
    bands = np.ascontiguousarray(shuffled).view(np.uint16)
    words = np.ascontiguousarray(hashes).view(np.uint64)
    for band in range(_BANDS):
        keys = bands[:, band].astype(np.int64)
        order = np.argsort(keys, kind="stable")
        counts = np.bincount(keys, minlength=1 << _BAND_BITS)
        starts = np.cumsum(counts) - counts
        yield from _join(words, order, keys, keys, counts, starts, radius, same=True)
        if radius >= _BANDS:
            for bit in range(_BAND_BITS):
                low = np.flatnonzero((keys >> bit) & 1 == 0)  # the other half meets the same pairs from the other side
                yield from _join(words, order, keys[low] | (1 << bit), low, counts, starts, radius, same=False)


def _join(
    words: npt.NDArray[np.uint64],
    order: Rows,
    wanted: Rows,
    rows: Rows,
    counts: Rows,
    starts: Rows,
    radius: int,
    *,
    same: bool,
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Compare each row with the bucket it wants; with `same`, each pair of one bucket once."""
    rows = np.arange(len(wanted)) if same else rows
    sizes = counts[wanted]
    ends = np.cumsum(sizes)
    first = 0
    while first < len(rows):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), first + 1)
        size = sizes[first:last]
        left = np.repeat(rows[first:last], size)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(size) - size, size)
        right = order[np.repeat(starts[wanted[first:last]], size) + offset]
        if same:
            keep = left < right
            left, right = left[keep], right[keep]
        # Half of the bits tell nearly all strangers apart (128 ± 8 of 256 differ), and cost half.
        distance = np.bitwise_count(words[left, 0] ^ words[right, 0]).astype(np.int64)
        distance += np.bitwise_count(words[left, 1] ^ words[right, 1])
        keep = distance <= radius
        left, right, distance = left[keep], right[keep], distance[keep]
        distance += np.bitwise_count(words[left, 2] ^ words[right, 2])
        distance += np.bitwise_count(words[left, 3] ^ words[right, 3])
        keep = distance <= radius
        yield left[keep], right[keep], distance[keep]
        first = last


def group_photos(
    hashes: Sequence[str | None], owners: Sequence[int] = (), open_photo: Open | None = None
) -> tuple[Rows, dict[tuple[int, int], str]]:
    """Put photos that are copies of one another into groups.

    Parameters
    ----------
    hashes : sequence of str or None
        256-bit PDQ hash in hex per distinct file; None where the photo has none.
    owners : sequence of int
        Who shows each photo; pairs of one owner are not worth a look at the pixels. Empty: all pairs are.
    open_photo : callable, optional
        Opens the photo of a row for a look, or returns None. Without it, only hashes within :data:`SAME_DISTANCE` count.

    Returns
    -------
    groups : ndarray, shape (n,), int64
        The smallest row of the group each photo belongs to.
    why : dict
        (row, row), smaller first, to ``hash 9/256`` or ``geometry 0.83``: the pairs that joined two groups.

    Notes
    -----
    Of copies of 60 real photos (``benchmarks/rings.py --edits``) those resized, recompressed, filtered, recoloured or
    watermarked are joined; crops of a few percent, borders, flips, turns, screenshots and composites are not, for PDQ does
    not propose them. No two distinct photos were joined.

    Copies of copies join one group. A chain of near photos that grew by mistake is shown by many sellers, and what many
    show carries little weight in :mod:`imgmatch.rings`: the error is on the safe side. Hashes with fewer than 96 or more
    than 160 set bits come from flat pictures (PDQ splits at the median) and are left alone.
    """
    n = len(hashes)
    parent = np.arange(n)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(i: int, j: int) -> bool:
        a, b = root(i), root(j)
        if a == b:
            return False
        parent[max(a, b)] = min(a, b)
        return True

    why: dict[tuple[int, int], str] = {}
    valid = [i for i, h in enumerate(hashes) if h and len(h) == 64]
    packed = np.array([np.frombuffer(bytes.fromhex(hashes[i] or ""), np.uint8) for i in valid], np.uint8).reshape(-1, 32)
    weight = np.unpackbits(packed, axis=1).sum(axis=1)
    keep = (weight >= 96) & (weight <= 160)
    rows, packed = np.asarray(valid, np.int64)[keep], packed[keep]

    radius = TRY_DISTANCE if open_photo else SAME_DISTANCE
    doubtful: set[tuple[int, int, int]] = set()
    for left, right, distance in near_pairs(packed, radius):
        for a, b, d in zip(rows[left].tolist(), rows[right].tolist(), distance.tolist(), strict=True):
            i, j = min(a, b), max(a, b)
            if d > SAME_DISTANCE:
                doubtful.add((d, i, j))
            elif join(i, j):
                why[i, j] = f"hash {d}/256"
    if open_photo:
        _look(sorted(doubtful), owners, open_photo, root, join, why)
    return np.array([root(i) for i in range(n)], np.int64), why


def _look(
    pairs: Sequence[tuple[int, int, int]],
    owners: Sequence[int],
    open_photo: Open,
    root: Callable[[int], int],
    join: Callable[[int, int], bool],
    why: dict[tuple[int, int], str],
) -> None:
    """Verify doubtful pairs by geometry, nearest first, never two pairs of the same two groups."""
    seen: OrderedDict[int, geometry.Keypoints | None] = OrderedDict()
    tried: set[tuple[int, int]] = set()

    def points(i: int) -> geometry.Keypoints | None:
        if i not in seen:
            photo = open_photo(i)
            seen[i] = None if photo is None else geometry.keypoints(photo)
            if len(seen) > _REMEMBERED:
                seen.popitem(last=False)
        return seen[i]

    for _, i, j in pairs:
        groups = (min(root(i), root(j)), max(root(i), root(j)))
        if groups[0] == groups[1] or groups in tried or (owners and owners[i] == owners[j]):
            continue
        tried.add(groups)
        a, b = points(i), points(j)
        if a is None or b is None:
            continue
        match = geometry.verify(a, b, geometry.match(a, b))
        if match is not None and match.score >= _VERIFIED and join(i, j):
            why[i, j] = f"geometry {match.score:.2f}"


_VERIFIED = 0.5
"""Least score of a geometric match that counts as the same photo."""
