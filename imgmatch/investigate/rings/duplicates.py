"""Which of very many photos have nearly the same perceptual hash, and which pairs are worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from imgmatch.investigate.rings.state import State
from imgmatch.types import UInt8Array

__all__ = ["SAME_DISTANCE", "TRY_DISTANCE", "Groups", "group_photos", "near_pairs"]

SAME_DISTANCE = 12
"""Bits of 256 within which two PDQ hashes count as one photo without a look at the pixels. Of the 337,060 pairs of distinct
photos in adidas_products, bags_three_brands and eval_bags_watches and distractors none is this near; at 16 four are."""

TRY_DISTANCE = 31
"""Bits of 256 within which a pair is worth a look: the match threshold of PDQ's authors (Meta, 2019)."""

_BANDS = 16
_BAND_BITS = 256 // _BANDS
_CHUNK = 1 << 21

Rows = npt.NDArray[np.int64]


def near_pairs(
    hashes: UInt8Array, radius: int, fresh: npt.NDArray[np.bool_] | None = None
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield all pairs of hashes within a Hamming distance, exactly.

    Parameters
    ----------
    hashes : ndarray, shape (n, 32), uint8
        256-bit PDQ hashes.
    radius : int
        In [0, 31].
    fresh : ndarray, shape (n,), bool, optional
        Only pairs with one of these at least.

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
    asking = np.arange(len(hashes)) if fresh is None else np.flatnonzero(fresh)
    for band in range(_BANDS):
        keys = bands[:, band].astype(np.int64)
        order = np.argsort(keys, kind="stable")
        counts = np.bincount(keys, minlength=1 << _BAND_BITS)
        starts = np.cumsum(counts) - counts
        flips = [0] if radius < _BANDS else [0, *(1 << bit for bit in range(_BAND_BITS))]
        for flip in flips:
            wanted = keys[asking] ^ flip
            yield from _join(words, order, asking, starts=starts[wanted], sizes=counts[wanted], radius=radius, fresh=fresh)


def _join(
    words: npt.NDArray[np.uint64],
    order: Rows,
    rows: Rows,
    *,
    starts: Rows,
    sizes: Rows,
    radius: int,
    fresh: npt.NDArray[np.bool_] | None,
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Compare each row with the bucket it wants; of two rows that both ask, the smaller one meets the larger."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(rows):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), first + 1)
        size = sizes[first:last]
        left = np.repeat(rows[first:last], size)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(size) - size, size)
        right = order[np.repeat(starts[first:last], size) + offset]
        keep = left < right if fresh is None else (left < right) | ~fresh[right]
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


class Groups:
    """Which rows belong together (disjoint sets); a group is named by its smallest row."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def of(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(self, i: int, j: int) -> bool:
        """Put two groups together; False where they were one already."""
        a, b = self.of(i), self.of(j)
        self._parent[max(a, b)] = min(a, b)
        return a != b

    def all(self) -> Rows:
        """Return the group of every row, shape (n,)."""
        return np.array([self.of(i) for i in range(len(self._parent))], np.int64)


def group_photos(
    shas: Sequence[str], hashes: Sequence[str | None], state: State, *, doubtful: bool
) -> tuple[Groups, list[tuple[int, int, int]]]:
    """Put photos with near hashes into groups.

    Parameters
    ----------
    shas : sequence of str
        Distinct files, ascending.
    hashes : sequence of str or None
        256-bit PDQ hash in hex of each; None where the photo has none.
    state : State
        Knows which photos have met already; only the others are compared, with one another and with all.
    doubtful : bool
        Also look for the pairs that their hashes leave in doubt.

    Returns
    -------
    groups : Groups
        Joined where hashes are within :data:`SAME_DISTANCE`.
    doubtful : list of (distance, i, j)
        The nearest pair of any two groups that are farther apart, up to :data:`TRY_DISTANCE`; ascending.

    Notes
    -----
    Copies of copies join one group. A chain of near photos that grew by mistake is shown by many sellers, and what many
    show carries little weight in :mod:`imgmatch.investigate.rings`: the error is on the safe side. Hashes with fewer than
    96 or more than 160 set bits come from flat pictures (PDQ splits at the median) and are left alone.
    """
    row_of = {sha: row for row, sha in enumerate(shas)}
    valid = [i for i, h in enumerate(hashes) if h and len(h) == 64]
    packed = np.array([np.frombuffer(bytes.fromhex(hashes[i] or ""), np.uint8) for i in valid], np.uint8).reshape(-1, 32)
    weight = np.unpackbits(packed, axis=1).sum(axis=1)
    keep = (weight >= 96) & (weight <= 160)
    rows, packed = np.asarray(valid, np.int64)[keep], packed[keep]

    groups = Groups(len(shas))
    known = [(d, row_of[a], row_of[b]) for a, b, d in state.near() if a in row_of and b in row_of]
    for distance, i, j in known:
        if distance <= SAME_DISTANCE:
            groups.join(i, j)
    met = state.hashed()
    fresh = np.array([shas[row] not in met for row in rows.tolist()], bool)
    bridges: list[tuple[str, str, int]] = []
    far: list[npt.NDArray[np.int64]] = []
    for left, right, distances in near_pairs(packed, TRY_DISTANCE if doubtful else SAME_DISTANCE, fresh):
        same = distances <= SAME_DISTANCE
        for i, j, d in zip(rows[left[same]].tolist(), rows[right[same]].tolist(), distances[same].tolist(), strict=True):
            if groups.join(i, j):
                bridges.append((shas[min(i, j)], shas[max(i, j)], d))
        far.append(np.stack([distances[~same], rows[left[~same]], rows[right[~same]]], axis=1))
    # Of any two groups only the nearest pair is worth keeping: groups only grow, so the least of the kept stays the least.
    nearest: dict[tuple[int, int], tuple[int, int, int]] = {}
    of = groups.all()
    fresh_pairs = np.concatenate([np.zeros((0, 3), np.int64), *far])
    fresh_pairs = fresh_pairs[of[fresh_pairs[:, 1]] != of[fresh_pairs[:, 2]]]
    for d, i, j in (*(k for k in known if k[0] > SAME_DISTANCE), *map(tuple, fresh_pairs.tolist())):
        i, j = min(i, j), max(i, j)
        a, b = sorted((int(of[i]), int(of[j])))
        if a != b:
            nearest[a, b] = min(nearest.get((a, b), (d, i, j)), (d, i, j))
    found = sorted(nearest.values())
    state.keep_near([*bridges, *((shas[i], shas[j], d) for d, i, j in found)], (shas[row] for row in rows[fresh].tolist()))
    return groups, found
