"""Photos of different sellers, compared pair by pair: copies that no hash finds, one place, one watermark.

Small details and embeddings propose pairs, a copy check and geometry dispose. What is decoded and compared is bounded,
whatever the size of the market, and remembered, so that a later run compares only what is new.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.indexes.patches import PatchIndex
from imgmatch.investigate.rings.state import State
from imgmatch.loading.photo import PhotoContext
from imgmatch.signals.copy.verify import verified
from imgmatch.types import FloatArray
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints, VerifiedMatch

__all__ = ["PairLimits", "PairMatch", "compare", "match_pairs", "near_vectors"]

Open = Callable[[str], "PhotoContext | None"]


@dataclass(frozen=True, slots=True)
class PairLimits:
    """How many pairs are compared: what bounds the cost of a large market.

    Parameters
    ----------
    photos : int
        Photos whose small details are compared with one another, those of flagged listings first. 30 ms each.
    pairs : int
        Pairs of photos that are laid on each other. About 0.1 s each.
    neighbors : int
        Most proposals per photo.
    votes : float
        Shared small details that propose a pair.
    near : float
        Cosine of embeddings that proposes a pair.
    """

    photos: int = 4_000
    pairs: int = 4_000
    neighbors: int = 5
    votes: float = 4.0
    near: float = 0.75


@dataclass(frozen=True, slots=True)
class PairMatch:
    """What two photos share.

    Parameters
    ----------
    kind : str
        ``photo`` (one is a copy of the other or of a part of it), ``background``, ``watermark`` or empty.
    strength : float
        In [0, 1].
    """

    kind: str
    strength: float


NOTHING = PairMatch("", 0.0)

_COPY = 0.5  # least value of a copy that counts, as for the copy signal
_POINTS = 12  # places that must agree on a background or watermark
_REMEMBERED = 256


def compare(a: PhotoContext, b: PhotoContext) -> PairMatch:
    """PairMatch at two photos.

    Parameters
    ----------
    a, b : PhotoContext

    Returns
    -------
    PairMatch
        Symmetric up to what is laid on what: callers order the two by sha256.

    Notes
    -----
    *background*: at least 12 places agree on one homography, on three of the four sides of both photos, while in the middle
    (0.4 of width and height) agreement is a quarter as frequent as features are, or less: different things in one place.
    *watermark*: the places lie in one small patch away from the middle, unturned, at the same relative place of both photos,
    and nothing else agrees. White walls and plain tables have no places to agree on.
    """
    ours, theirs = geometry.keypoints(a), geometry.keypoints(b)
    match = geometry.verify(ours, theirs, geometry.match(ours, theirs), model="homography")
    enough = match is not None and len(match) >= _POINTS
    if match is not None and enough and _in_one_place(match, ours, theirs):
        return PairMatch("background", _strength(match))
    copy = verified(a, b)
    if copy is not None and copy.value >= _COPY:
        return PairMatch("photo", round(copy.value, 3))
    if match is not None and enough and _stamped(match, ours, theirs):
        return PairMatch("watermark", _strength(match))
    return NOTHING


def _strength(match: VerifiedMatch) -> float:
    return round(1.0 - float(np.exp(-len(match) / 20.0)), 3)


def _relative(xy: FloatArray, points: Keypoints) -> FloatArray:
    """Return positions as shares of width and height."""
    return np.asarray(xy / np.array([points.width, points.height]), np.float32)


def _outer(xy: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(xy - 0.5).max(axis=1) > 0.2)


def _in_one_place(match: VerifiedMatch, ours: Keypoints, theirs: Keypoints) -> bool:
    for at, points in ((match.query_xy, ours), (match.reference_xy, theirs)):
        here = _relative(at, points)
        middle = ~_outer(_relative(points.xy, points))
        if middle.sum() < 10 or (~_outer(here)).mean() > 0.25 * middle.mean():
            return False
        sides = (here[:, 0] < 0.25, here[:, 0] > 0.75, here[:, 1] < 0.25, here[:, 1] > 0.75)
        if sum(bool(side.sum() >= 2) for side in sides) < 3:
            return False
    return True


def _stamped(match: VerifiedMatch, ours: Keypoints, theirs: Keypoints) -> bool:
    q, r = _relative(match.query_xy, ours), _relative(match.reference_xy, theirs)
    size = np.maximum(np.ptp(q, axis=0), np.ptp(r, axis=0))
    moved = np.abs(q - r).max()
    return bool(size.prod() < 0.1 and moved < 0.08 and _outer(np.stack([q.mean(axis=0), r.mean(axis=0)])).all())


def near_vectors(
    vectors: FloatArray, owners: npt.NDArray[np.int64], k: int, least: float
) -> Iterator[tuple[float, int, int]]:
    """Yield pairs of photos of different owners whose embeddings are near.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), float32
        Unit norm.
    owners : ndarray, shape (n,), int64
        Pairs of one owner are left out.
    k : int
        Neighbours that are searched per photo.
    least : float
        Least cosine.

    Yields
    ------
    cosine, i, j : float, int, int
        With i < j; each pair once.

    Notes
    -----
    Exact up to 20,000 photos. Beyond, vectors are projected to 128 random directions (Johnson & Lindenstrauss, 1984) and
    searched in an inverted file of about ``4 sqrt(n)`` cells, 8 of which are probed: O(n sqrt(n)).
    """
    import faiss

    n = len(vectors)
    if n < 2:
        return
    if n > 20_000:
        rng = np.random.default_rng(0)
        vectors = np.asarray(vectors @ rng.standard_normal((vectors.shape[1], 128), np.float32), np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        quantizer = faiss.IndexFlatIP(vectors.shape[1])
        index: Any = faiss.IndexIVFFlat(quantizer, vectors.shape[1], int(4 * np.sqrt(n)), faiss.METRIC_INNER_PRODUCT)
        quantizer.add(vectors[rng.permutation(n)[: index.nlist]])  # k-means finds no more here and takes minutes
        index.is_trained = True
        index.nprobe = 8
    else:
        index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    seen: set[tuple[int, int]] = set()
    for start in range(0, n, 4096):
        cosines, rows = index.search(np.ascontiguousarray(vectors[start : start + 4096]), min(k + 1, n))
        for i, near, row in zip(range(start, start + len(rows)), cosines, rows, strict=True):
            for cosine, j in zip(near.tolist(), row.tolist(), strict=True):
                pair = (min(i, j), max(i, j))
                if j >= 0 and i != j and cosine >= least and owners[i] != owners[j] and pair not in seen:
                    seen.add(pair)
                    yield cosine, *pair


def match_pairs(
    shas: Sequence[str],
    owners: npt.NDArray[np.int64],
    *,
    urgent: Sequence[int],
    doubtful: Iterable[tuple[int, int, int]],
    vectors: tuple[Sequence[int], FloatArray] | None,
    open_photo: Open,
    state: State,
    limits: PairLimits,
    same: Callable[[int, int], bool],
) -> Iterator[tuple[int, int, PairMatch]]:
    """Propose pairs and yield what two photos share, where they share something.

    Parameters
    ----------
    shas : sequence of str
        One per photo, ascending.
    owners : ndarray, shape (n,), int64
        Who shows each photo; pairs of one owner are not compared.
    urgent : sequence of int
        Rows in the order in which they are decoded, until `limits.photos`.
    doubtful : iterable of (distance, i, j)
        Pairs that their hashes leave in doubt.
    vectors : (rows, ndarray (m, d)), optional
        Embeddings of some of the photos.
    open_photo : callable
        ``open_photo(sha256) -> PhotoContext or None``.
    state : State
        Remembers details and matches.
    same : callable
        Tells whether two rows count as one photo by now: such pairs are not compared.

    Yields
    ------
    i, j, match
    """
    wanted = sorted(urgent[: limits.photos])
    photos: OrderedDict[int, PhotoContext | None] = OrderedDict()

    def photo(row: int) -> PhotoContext | None:
        if row not in photos:
            photos[row] = open_photo(shas[row])
            if len(photos) > _REMEMBERED:
                photos.popitem(last=False)
        return photos[row]

    ranked: list[tuple[int, float, int, int]] = [(0, float(d), i, j) for d, i, j in doubtful]
    ranked += [(1, -votes, i, j) for votes, i, j in _votes(wanted, owners, shas, photo, state, limits)]
    if vectors is not None:
        rows, matrix = vectors
        near = near_vectors(matrix, owners[list(rows)], limits.neighbors, limits.near)
        ranked += [(2, -cosine, *sorted((rows[i], rows[j]))) for cosine, i, j in near]  # type: ignore[misc]
    compared: set[tuple[int, int]] = set()
    for _, _, i, j in sorted(ranked):
        if len(compared) >= limits.pairs:
            return
        if (i, j) in compared or owners[i] == owners[j] or same(i, j):
            continue
        compared.add((i, j))
        known = state.pair(shas[i], shas[j])
        if known is None:
            a, b = photo(i), photo(j)
            if a is None or b is None:
                continue
            found = compare(a, b)
            state.keep_pair(shas[i], shas[j], found.kind, found.strength)
        else:
            found = PairMatch(*known)
        if found.kind:
            yield i, j, found


def _votes(
    rows: Sequence[int],
    owners: npt.NDArray[np.int64],
    shas: Sequence[str],
    photo: Callable[[int], PhotoContext | None],
    state: State,
    limits: PairLimits,
) -> Iterator[tuple[float, int, int]]:
    """Yield (votes, i, j) of photos that share small details, also where one is mirrored."""
    details: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
    here: list[int] = []
    for row in rows:
        known = state.details(shas[row])
        if known is None:
            opened = photo(row)
            if opened is None:
                continue
            plain, turned = (p.descriptors for p in geometry.patches(opened, max_side=480, count=200, mirror=True))
            known = plain, turned
            state.keep_details(shas[row], *known)
        details.append(known)
        here.append(row)
    if len(here) < 2:
        return
    index = PatchIndex(np.concatenate([plain for plain, _ in details]), np.array([len(plain) for plain, _ in details]))
    own = owners[here]
    seen: set[tuple[int, int]] = set()
    for n, (plain, turned) in enumerate(details):
        votes = np.maximum(index.vote(plain, neighbors=8), index.vote(turned, neighbors=8))
        votes[own == own[n]] = 0.0
        for m in np.argsort(-votes, kind="stable")[: limits.neighbors].tolist():
            pair = (here[min(n, m)], here[max(n, m)])
            if votes[m] >= limits.votes and pair not in seen:
                seen.add(pair)
                yield float(votes[m]), *pair
