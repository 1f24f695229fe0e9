"""Where does the thing in this photo differ from the reference, beyond light, focus, compression and viewpoint?

The two are laid on each other by a homography over matched keypoints and a smooth residual flow; where too little matches,
they show different sides and nothing is said. What is left is compared for structure and for colour, at two scales, and
held against how much the rest of the same overlap differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch import geometry
from imgmatch.config import DiscrepancyConfig
from imgmatch.geometry import Points, Transform, VerifiedMatch
from imgmatch.photo import PhotoContext, Query
from imgmatch.types import Candidate, Finding, FindingStatus, FloatArray, Image

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Comparison", "Difference", "DiscrepancySignal", "compare"]

_SIDE = 320  # longer side of the working picture in pixels
_VIEWS = 3  # reference photos of an item that are tried
_PHOTOS = 3  # photos of a listing that are examined
_MOST = 0.45  # see DiscrepancySignal
_REGIONS = 3  # differences that are shown
_PLACES = 25  # least matched places: pairs of adidas views with 15 to 21 lay wrong and differed by up to 38 deviations (dev)
_ALIKE = 0.8  # least share of the overlap whose structure agrees; less is another side, not another part


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """One place where the two differ.

    Parameters
    ----------
    query_polygon, reference_polygon : ndarray, shape (4, 2), float64
        The same place in both, in their own original pixels.
    strength : float
        How far it stands out, in robust standard deviations of the overlap.
    color : float
        CIEDE2000 between the two median colours there, after the light was evened out.
    """

    query_polygon: Points
    reference_polygon: Points
    strength: float
    color: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What two aligned photos of one design have in common and where they differ.

    Parameters
    ----------
    match : VerifiedMatch
    strength : float
        Of the strongest difference, in robust standard deviations of the overlap; 0 where nothing stands out.
    differences : tuple of Difference
        Strongest first, at most three.
    heatmap : ndarray, shape (rows, columns), float32
        In [0, 1], at most 32 x 32; 1 at 32 robust standard deviations.
    query_polygon : ndarray, shape (4, 2), float64
        What the heat map covers, in original pixels of the query.
    """

    match: VerifiedMatch
    strength: float
    differences: tuple[Difference, ...]
    heatmap: FloatArray
    query_polygon: Points


class DiscrepancySignal:
    """Compare listing photos with the best reference view of the likeliest items. Finding ``discrepancy``.

    Parameters
    ----------
    catalog : Catalog
    config : DiscrepancyConfig

    Notes
    -----
    ``value = 0.45 * clip((strength - quiet) / (loud - quiet), 0, 1)``: below what the rules count, on purpose. On controlled
    edits of flat photos it tells edited from benign (``benchmarks/discrepancy.py``), but on rendered phone photos of
    three-dimensional bags and watches held against studio photos it did not: honest ones differed by up to 35 deviations,
    forged ones by up to 24. So it points a person to where to look, and does not speak against a listing. Something that
    lies over the product looks the same to it as a part that differs.
    """

    name = "discrepancy"

    def __init__(self, catalog: Catalog, config: DiscrepancyConfig) -> None:
        self._catalog = catalog
        self._config = config

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Propose nothing: this signal looks closely at what others propose."""
        return [[] for _ in queries]

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Report, per listing, the photo and item that correspond best and how they differ."""
        return [[self._examine(query)] for query in queries]

    def _examine(self, query: Query) -> Finding:
        seen: list[tuple[Comparison, PhotoContext, Candidate, str]] = []
        for candidate in query.candidates[: self._config.candidates]:
            for photo in query.photos[:_PHOTOS]:
                for sha in self._views(candidate, photo):
                    found = compare(photo, self._catalog.photo(sha))
                    if found is not None:
                        seen.append((found, photo, candidate, sha))
        if not seen:
            reason = "no photo shows a likely item from the same side as one of its reference photos"
            return Finding.abstained(self.name, reason if query.candidates else "no item of the catalog is likely")
        best, photo, candidate, _ = max(seen, key=lambda row: len(row[0].match))
        # A real difference shows against every view that corresponds; one that a second view explains is viewpoint.
        alike = [row for row in seen if row[1:3] == (photo, candidate) and 2 * len(row[0].match) >= len(best.match)]
        found, _, _, sha = min(alike, key=lambda row: row[0].strength)
        return self._finding(photo, candidate, sha, found)

    def _views(self, candidate: Candidate, photo: PhotoContext) -> list[str]:
        """Return the item's reference photos nearest to a photo."""
        item = self._catalog.items[candidate.item_id]
        shas = [s for s in dict.fromkeys((candidate.photo, *item.photos)) if s in self._catalog.photos]
        near = sorted(shas, key=lambda s: -float(photo.embedding @ self._catalog.embedding(s)))
        return [s for s in near if s != photo.sha256][:_VIEWS] if photo.sha256 not in shas else []

    def _finding(self, photo: PhotoContext, candidate: Candidate, sha: str, found: Comparison) -> Finding:
        quiet, loud = self._config.quiet, self._config.loud
        value = _MOST * float(np.clip((found.strength - quiet) / (loud - quiet), 0.0, 1.0))
        shown = [d for d in found.differences if d.strength > quiet]
        regions = []
        for number, d in enumerate(shown, 1):
            for on, polygon in (("query", d.query_polygon), ("reference", d.reference_polygon)):
                regions.append({"on": on, "polygon": _rounded(polygon), "label": f"difference {number}"})
        step = -(-len(found.match) // 60)
        facts: dict[str, Any] = {
            "matched keypoints": len(found.match),
            "strongest difference in standard deviations of the rest": round(found.strength, 1),
        }
        if shown:
            facts["colour difference there in CIEDE2000"] = round(shown[0].color, 1)
        places = "one place" if len(shown) == 1 else f"{len(shown)} places"
        reason = (
            f"laid on the reference photo, it differs in {places} more than light and viewpoint explain"
            if shown
            else "laid on the reference photo, nothing differs more than light and viewpoint explain"
        )
        return Finding(
            self.name,
            FindingStatus.OK,
            round(value, 4),
            reason,
            photo_id=photo.photo_id,
            item_id=candidate.item_id,
            brand=candidate.brand,
            evidence={
                "reference_photo": sha,
                "regions": regions,
                "matches": _rounded(np.c_[found.match.query_xy, found.match.reference_xy][::step]),
                "transform": [[float(f"{x:.8g}") for x in row] for row in found.match.transform],
                "heatmap": {
                    "polygon": _rounded(found.query_polygon),
                    "values": [[round(float(v), 3) for v in row] for row in found.heatmap],
                },
                "facts": facts,
            },
        )


def compare(photo: PhotoContext, reference: PhotoContext) -> Comparison | None:
    """Lay a photo on a reference photo and find where they differ.

    Parameters
    ----------
    photo, reference : PhotoContext

    Returns
    -------
    Comparison or None
        None where they do not correspond: fewer than 25 matched places, places bunched in a corner of the overlap, or less
        than 0.8 of the overlap alike in structure once aligned.

    Notes
    -----
    Only what lies between matched places and near one is compared: of the rest nothing says that it is the same surface.
    Where the reference stands on a plain ground, the ground is left out: an honest photo has another. Per pixel,
    the least difference over shifts of up to two working pixels counts, in structure (1 - normalised correlation in a 9 px
    window, weighted by contrast) and in colour (CIELAB distance after an affine fit of colours and evening out of slow
    changes of light). Both are averaged at two scales and expressed in robust standard deviations (median and MAD) of the
    overlap.
    """
    ours, theirs = geometry.keypoints(photo), geometry.keypoints(reference)
    match = geometry.verify(ours, theirs, geometry.match(ours, theirs), model="homography")
    if match is None or len(match) < _PLACES or match.cells < 8:
        return None
    low, high = match.reference_xy.min(axis=0).astype(np.float64), match.reference_xy.max(axis=0).astype(np.float64)
    enlarged = np.sqrt(abs(np.linalg.det(match.transform[:2, :2])))
    gain = min(_SIDE / float((high - low).max()), 1.0 / reference.image.scale, 1.5 * enlarged / photo.image.scale)
    width, height = (int(n) for n in (high - low) * gain)
    if min(width, height) < 64:
        return None
    work = np.array([[gain, 0.0, -low[0] * gain], [0.0, gain, -low[1] * gain], [0.0, 0.0, 1.0]])
    back: Transform = work @ np.linalg.inv(match.transform)
    r, r_covered = geometry.draw(reference.image, work, (width, height), smooth=0.8)
    q, q_covered = geometry.draw(photo.image, back, (width, height), smooth=0.8)
    known = r_covered & q_covered & _vouched(geometry.map_points(work, match.reference_xy), (height, width))
    known &= geometry.draw(_thing(reference.image), work, (width, height))[0][..., 0] > 250
    if known.mean() < 0.1:
        return None
    rl, ql = _lab(r), _lab(_pulled(q, r, known))
    ql = _evened(ql, rl, known)
    structure, color = _residuals(ql, rl)
    if np.mean(structure[known] < 0.3) < _ALIKE:
        return None
    score = _scores(structure, color, known)
    places = _peaks(score, known)
    inverse: Transform = np.linalg.inv(work)
    differences = []
    for (x0, y0, x1, y1), strength in places:
        box = geometry.map_points(inverse, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64))
        ours_there, theirs_there = (np.median(p[y0:y1, x0:x1].reshape(-1, 3), axis=0) for p in (ql, rl))
        differences.append(
            Difference(geometry.map_points(match.transform, box), box, strength, ciede2000(ours_there, theirs_there))
        )
    corners = geometry.map_points(inverse, geometry.rectangle(width, height))
    return Comparison(
        match,
        differences[0].strength if differences else 0.0,
        tuple(differences),
        _heat(score),
        geometry.map_points(match.transform, corners),
    )


def ciede2000(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the colour difference of two CIELAB colours (L in [0, 100]).

    References
    ----------
    Sharma, Wu & Dalal, "The CIEDE2000 color-difference formula", Color Research & Application 30(1), 2005, equations 2-22.
    """
    (l1, a1, b1), (l2, a2, b2) = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(mean_c7 / (mean_c7 + 25.0**7)))
    c1, c2 = np.hypot(a1 * (1 + g), b1), np.hypot(a2 * (1 + g), b2)
    h1, h2 = (np.degrees(np.arctan2(y, x * (1 + g))) % 360 for x, y in ((a1, b1), (a2, b2)))
    dh = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    if c1 * c2 == 0:
        mean_h = h1 + h2
    else:
        mean_h = (h1 + h2) / 2 if abs(h1 - h2) <= 180 else ((h1 + h2 + 360) / 2 if h1 + h2 < 360 else (h1 + h2 - 360) / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    turn = 30 * np.exp(-(((mean_h - 275) / 25) ** 2))
    rt = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(2 * turn))
    dl, dc = (l2 - l1) / sl, (c2 - c1) / sc
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2)) / sh
    return float(np.sqrt(dl**2 + dc**2 + hue**2 + rt * dc * hue))


def _rounded(points: npt.ArrayLike) -> list[list[float]]:
    return [[round(float(v), 1) for v in row] for row in np.asarray(points)]


def _vouched(points: Points, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mark what lies between matched points and within a tenth of the side of one: the rest may be another surface."""
    import cv2

    places = np.round(points).astype(np.int32)
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(places), 1)
    near = np.zeros(shape, np.uint8)
    for x, y in places:
        cv2.circle(near, (int(x), int(y)), max(shape) // 10, 1, -1)
    return np.asarray((mask & near) > 0)


def _thing(reference: Image) -> Image:
    """Return a picture that is white where the reference shows its subject and black where its plain ground shows."""
    import cv2

    small = geometry.shrink(reference.pixels, _SIDE)
    rim = np.ones(small.shape[:2], bool)
    rim[3:-3, 3:-3] = False
    ground = np.median(small[rim], axis=0)
    like_ground = np.abs(small.astype(np.float32) - ground).max(axis=2) < 20
    shown = np.ones(small.shape[:2], np.uint8)
    if like_ground[rim].mean() > 0.7:
        # Ground shows inside handles and loops too, so it need not touch the rim; a part of its colour is not compared.
        ground_seen = cv2.morphologyEx(like_ground.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        shown = cv2.erode(1 - ground_seen, np.ones((5, 5), np.uint8))
    pixels = np.repeat(np.asarray(shown * 255, dtype=np.uint8)[..., None], 3, axis=2)
    return Image(pixels, reference.sha256, reference.source, reference.width, reference.height, reference.format)


def _lab(pixels: npt.NDArray[Any]) -> FloatArray:
    import cv2

    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), dtype=np.float32)


def _pulled(q: npt.NDArray[np.uint8], r: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> FloatArray:
    """Give the query the reference's place and colours: a smooth flow, then one affine map of colours."""
    import cv2

    gray = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (r, q)]
    gray = [cv2.createCLAHE(2.0, (4, 4)).apply(g) for g in gray]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(gray[0], gray[1], None)
    # Only slow, small shifts are viewpoint; a flow that could follow a moved logo would hide it.
    flow = cv2.GaussianBlur(np.clip(flow, -8, 8), (0, 0), max(q.shape[:2]) / 16)
    y, x = np.mgrid[: q.shape[0], : q.shape[1]].astype(np.float32)
    moved = cv2.remap(q, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = moved.astype(np.float32)
    source, aim = moved[known], r[known].astype(np.float32)
    keep = np.ones(len(source), bool)
    fit = np.zeros((4, 3), np.float32)
    for _ in range(3):  # least squares without the 20 % that fit worst: those may be what differs
        design = np.c_[source[keep], np.ones(keep.sum(), np.float32)]
        fit = np.linalg.lstsq(design, aim[keep], rcond=None)[0].astype(np.float32)
        misses = np.abs(np.c_[source, np.ones(len(source), np.float32)] @ fit - aim).sum(axis=1)
        keep = misses <= np.quantile(misses, 0.8)
    return np.asarray(np.clip(moved @ fit[:3] + fit[3], 0, 255), dtype=np.float32)


def _evened(ql: FloatArray, rl: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Take slow changes of light out of the query: subtract the heavily blurred difference, in lightness only."""
    import cv2

    sigma = max(known.shape) / 6
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma) + 1e-6
    slow = cv2.GaussianBlur((ql[..., 0] - rl[..., 0]) * known, (0, 0), sigma) / weight
    out: FloatArray = ql.copy()
    out[..., 0] -= slow
    return out


def _residuals(ql: FloatArray, rl: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, per pixel, the least difference over small shifts: of structure in [0, 2], of colour in CIELAB units."""
    import cv2

    def box(x: npt.NDArray[Any]) -> FloatArray:
        return np.asarray(cv2.boxFilter(x, -1, (9, 9)), dtype=np.float32)

    structure = np.full(rl.shape[:2], np.inf, np.float32)
    color = np.full(rl.shape[:2], np.inf, np.float32)
    light = rl[..., 0]
    mean_r = box(light)
    var_r = box(light * light) - mean_r**2
    for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (0, 2), (0, -2)):
        shifted = np.roll(ql, (dy, dx), axis=(0, 1))
        other = shifted[..., 0]
        mean_q = box(other)
        var_q = box(other * other) - mean_q**2
        likeness = (box(light * other) - mean_r * mean_q + 4.0) / np.sqrt((var_r + 4.0) * (var_q + 4.0))
        contrast = np.sqrt(np.maximum(np.maximum(var_r, var_q), 0.0))
        structure = np.minimum(structure, (1.0 - likeness) * contrast / (contrast + 4.0))
        color = np.minimum(color, np.linalg.norm(box(shifted - rl), axis=2))
    return structure, color


def _scores(structure: FloatArray, color: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return, per pixel, how far the two differ in robust standard deviations of the overlap."""
    import cv2

    total = np.zeros(known.shape, np.float32)
    inside = cv2.erode(known.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    for sigma in (3.0, 7.0):
        for part, floor in ((structure, 0.02), (color, 1.0)):
            weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), sigma) + 1e-3
            smooth = cv2.GaussianBlur(np.where(inside, part, 0).astype(np.float32), (0, 0), sigma) / weight
            values = smooth[inside]
            if not len(values):
                return total
            middle = np.median(values)
            spread = 1.4826 * np.median(np.abs(values - middle)) + floor
            total = np.maximum(total, np.where(inside, (smooth - middle) / spread, 0)).astype(np.float32)
    return total


def _peaks(score: FloatArray, known: npt.NDArray[np.bool_]) -> list[tuple[tuple[int, int, int, int], float]]:
    """Return the boxes of the strongest places, apart from one another, and their strengths."""
    import cv2

    left = np.where(known, score, 0).astype(np.float32)
    out: list[tuple[tuple[int, int, int, int], float]] = []
    for _ in range(_REGIONS):
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        peak = float(left[y, x])
        if peak <= 0:
            break
        _, labels = cv2.connectedComponents((left >= 0.5 * peak).astype(np.uint8))
        part = labels == labels[y, x]
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        out.append(((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), peak))
        left[cv2.dilate(part.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0] = 0
    return out


def _heat(score: FloatArray) -> FloatArray:
    import cv2

    height, width = score.shape
    factor = 32 / max(height, width)
    small = cv2.resize(score, (max(int(width * factor), 1), max(int(height * factor), 1)), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small / 32.0, 0, 1), dtype=np.float32)
