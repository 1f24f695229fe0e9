"""Simple measured facts about two photos of one design, laid on one another: each measured on both, or not told.

Facts point a person to what to measure on the thing itself. None of them enters a score. Each stands beside the deviation
that honest photos show too, :data:`TOLERANCES`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray, Image
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Points, Transform

__all__ = ["TOLERANCES", "Measure", "ciede2000", "colours", "outline", "pattern_period", "plate", "subject"]

TOLERANCES: dict[str, float] = {
    "dominant colours, CIEDE2000 apart": 2.5,
    "pattern period, reference pixels": 0.01,
    "width of the outline to its height": 0.14,
    "width of the logo to its height": 0.03,
    "logo from the left, share of the width": 0.01,
    "logo from the top, share of the height": 0.01,
}
"""Deviation that 95 % of honest photos stay within, by the name of the fact. Ratios as a share of the reference's value;
colours and places as they are. As ``python -m benchmarks.discrepancy tolerances`` prints it from development photos: 14 real
ones under benign changes (101 to 149 pictures that told a fact, but 8 for the pattern's period) and rendered phone photos of
14 goods against studio photos (25 for colours, 10 for the logo; none told period or outline), the greater of the two,
rounded up. The logos of the real ones are boxes of an eighth of the photo around some keypoint."""

_COLOURS = 3  # dominant colours that are compared
_BIN = 16  # side of a cell of CIELAB that counts as one colour, about what a glance tells apart
_LEAST_SHARE = 0.08  # of the overlap that a dominant colour covers at least
_REPEAT = 0.35  # least autocorrelation of a pattern at its period
_SIDE = 320  # longer side in pixels a subject is told from its ground at
_LEAST_LOGO = 24  # pixels of a logo that can be measured
_LOGO_SIDE = 160  # pixels a logo is measured at
_LAID = 0.9  # least correlation of the logo's surroundings once laid on each other

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measure:
    """One fact, measured on both photos.

    Parameters
    ----------
    name : str
        A key of :data:`TOLERANCES`.
    query, reference : float
    deviation : float
        How far they are apart, in the unit of the tolerance; at least 0.
    """

    name: str
    query: float
    reference: float
    deviation: float

    @property
    def unusual(self) -> bool:
        """Whether honest photos seldom deviate so far."""
        return self.deviation > TOLERANCES[self.name]

    def words(self) -> dict[str, str | bool]:
        """Return it as a row of the evidence ``measures``: shares and deviations in percent, colours in CIEDE2000."""
        colour = self.name.endswith("apart")
        shape = "lightness {:.0f}" if colour else "{:.1%}" if "share" in self.name else "{:.4g}"
        apart = "{:.1f}" if colour else "{:.1%}"
        return {
            "name": self.name,
            "query": shape.format(self.query),
            "reference": shape.format(self.reference),
            "apart": apart.format(self.deviation),
            "usual": "up to " + apart.format(TOLERANCES[self.name]),
            "unusual": self.unusual,
        }


def _ratio(name: str, query: float, reference: float) -> Measure:
    return Measure(name, query, reference, abs(query / reference - 1.0))


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


def colours(query_lab: FloatArray, reference_lab: FloatArray, known: Mask) -> Measure | None:
    """Return how far the reference's dominant colours are from those at the same places of the query.

    Parameters
    ----------
    query_lab, reference_lab : ndarray, shape (H, W, 3), float32
        CIELAB, aligned, the query in the reference's light.
    known : ndarray of bool, shape (H, W)

    Returns
    -------
    Measure or None
        The largest CIEDE2000 over the three commonest colours; its values are the lightness of that colour in both. None
        where no colour covers 8 % of the overlap.
    """
    lab, other = reference_lab[known], query_lab[known]
    cells = np.floor(lab / _BIN).astype(np.int64) @ np.array([1, 64, 4096])
    _, member, counts = np.unique(cells, return_inverse=True, return_counts=True)
    worst: Measure | None = None
    for k in np.argsort(-counts, kind="stable")[:_COLOURS]:
        if counts[k] < max(_LEAST_SHARE * len(lab), 1):
            break
        theirs, ours = (np.median(p[member == k], axis=0) for p in (lab, other))
        apart = ciede2000(ours, theirs)
        if worst is None or apart > worst.deviation:
            worst = Measure("dominant colours, CIEDE2000 apart", float(ours[0]), float(theirs[0]), apart)
    return worst


def pattern_period(query: FloatArray, reference: FloatArray, known: Mask) -> Measure | None:
    """Return the period of a repeated pattern along the width, in working pixels.

    Parameters
    ----------
    query, reference : ndarray, shape (H, W), float32
        Lightness, aligned by a homography alone: a flow would hide a wrong period.
    known : ndarray of bool, shape (H, W)

    Returns
    -------
    Measure or None
        None where either shows no period: normalised autocorrelation below 0.35 at its first peak.

    Notes
    -----
    Autocorrelation by FFT, masked and normalised by the number of overlapping pixels (Padfield, "Masked object registration
    in the Fourier domain", IEEE TIP 21(5), 2012, equation 3 for equal masks), refined by a parabola through the peak.
    """
    periods = [_period(light, known) for light in (reference, query)]
    if periods[0] is None or periods[1] is None:
        return None
    return _ratio("pattern period, reference pixels", periods[1], periods[0])


def _period(light: FloatArray, known: Mask) -> float | None:
    import cv2

    weight = known.astype(np.float32)
    around = cv2.GaussianBlur(light * weight, (0, 0), 24) / (cv2.GaussianBlur(weight, (0, 0), 24) + 1e-6)
    values = np.where(known, light - around, 0.0)
    shape = (2 * known.shape[0], 2 * known.shape[1])
    spectrum, counted = np.fft.rfft2(values, shape), np.fft.rfft2(weight, shape)
    covariance = np.fft.irfft2(np.abs(spectrum) ** 2, shape)[0]
    overlap = np.fft.irfft2(np.abs(counted) ** 2, shape)[0]
    far = known.shape[1] // 3
    line = covariance[:far] / np.maximum(overlap[:far], 1.0)
    if far < 12 or line[0] < 1.0:
        return None
    line = line / line[0]
    below = np.flatnonzero(line < 0.1)
    if not len(below):
        return None
    rest = line[below[0] :]
    tops = np.flatnonzero((rest[1:-1] >= rest[:-2]) & (rest[1:-1] >= rest[2:]) & (rest[1:-1] >= 0.8 * rest.max())) + 1
    peak = int(below[0] + tops[0]) if len(tops) else 0  # the first of the near equally high ones: others are its multiples
    if not 6 <= peak < far - 1 or line[peak] < _REPEAT:
        return None
    before, top, after = line[peak - 1 : peak + 2]
    bend = before - 2 * top + after
    return float(peak + (0.0 if bend >= 0 else 0.5 * (before - after) / bend))


def outline(query: Mask | None, reference: Mask | None) -> Measure | None:
    """Return the width of the subject to its height, along its own axes.

    Parameters
    ----------
    query, reference : ndarray of bool or None
        Where each shows its subject; None where the ground is not plain.

    Returns
    -------
    Measure or None
        None where either has no plain ground, or its subject touches the rim of the photo.
    """
    ours, theirs = _aspect(query), _aspect(reference)
    return None if ours is None or theirs is None else _ratio("width of the outline to its height", ours, theirs)


def _aspect(mask: Mask | None) -> float | None:
    import cv2

    if mask is None or mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any() or not mask.any():
        return None
    corners = cv2.boxPoints(cv2.minAreaRect(cv2.findNonZero(mask.astype(np.uint8))))
    sides = corners[1:3] - corners[:2]
    upright, across = sorted(sides, key=lambda s: abs(s[0]))
    height, width = np.linalg.norm(upright), np.linalg.norm(across)
    return float(width / height) if min(width, height) > 8 else None


def plate(query: Image, reference: Image, transform: Transform, polygon: Points) -> tuple[Measure, ...]:
    """Return the logo's proportion and its place within the outline, on both photos.

    Parameters
    ----------
    query, reference : Image
    transform : ndarray, shape (3, 3)
        Lays the whole product of the reference on that of the query.
    polygon : ndarray, shape (4, 2)
        Corners of the logo on the reference, original pixels, in turn from the top left.

    Returns
    -------
    tuple of Measure
        Width to height, then from the left and from the top as a share of the outline; all of the query as if it were seen
        from where the reference was. Empty where the logo is less than 24 pixels long on either, or its surroundings cannot
        be laid on each other (correlation below 0.9).

    Notes
    -----
    The surroundings of the logo are laid on each other once more, affinely: Evangelidis & Psarakis, "Parametric image
    alignment using enhanced correlation coefficient maximization", IEEE TPAMI 30(10), 2008. What is left over after the
    alignment of the whole product is the logo's own.
    """
    import cv2

    low, high = polygon.min(axis=0), polygon.max(axis=0)
    longest = float((high - low).max())
    enlarged = float(np.sqrt(abs(np.linalg.det(transform[:2, :2]))))
    resolution = min(1.0 / reference.scale, enlarged / query.scale)
    if longest * resolution < _LEAST_LOGO:
        return ()
    gain = min(resolution, _LOGO_SIDE / longest)
    origin = low - 0.3 * longest
    width, height = (int(n) for n in (high - low + 0.6 * longest) * gain)
    work = np.array([[gain, 0.0, -origin[0] * gain], [0.0, gain, -origin[1] * gain], [0.0, 0.0, 1.0]])
    seen = [
        geometry.draw(image, to, (width, height), smooth=0.8)
        for image, to in ((reference, work), (query, work @ np.linalg.inv(transform)))
    ]
    if not seen[1][1].all():
        return ()
    own = np.eye(2, 3, dtype=np.float32)
    steps = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-4)
    try:
        grays = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels, _ in seen]
        laid, own = cv2.findTransformECC(grays[0], grays[1], own, cv2.MOTION_AFFINE, steps, None, 5)
    except cv2.error:  # no convergence
        return ()
    move = np.linalg.inv(work) @ np.vstack([own, [0.0, 0.0, 1.0]]) @ work
    moved = geometry.map_points(move, polygon)
    far = np.linalg.norm(moved.mean(axis=0) - polygon.mean(axis=0))
    if laid < _LAID or not far < 0.3 * longest:  # beyond its surroundings: it was laid on something else
        return ()
    shown = subject(reference)
    rows, columns = (np.flatnonzero(shown.any(axis=k)) if shown is not None else np.arange(1) for k in (1, 0))
    start, size = np.zeros(2), np.array([reference.width, reference.height], dtype=np.float64)
    if shown is not None and len(rows) and len(columns):
        unit = reference.width / shown.shape[1]
        start = np.array([columns[0], rows[0]]) * unit
        size = np.array([columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]) * unit
    here, there = (moved.mean(axis=0) - start) / size, (polygon.mean(axis=0) - start) / size
    return (
        _ratio("width of the logo to its height", _proportion(moved), _proportion(polygon)),
        Measure("logo from the left, share of the width", float(here[0]), float(there[0]), float(abs(here - there)[0])),
        Measure("logo from the top, share of the height", float(here[1]), float(there[1]), float(abs(here - there)[1])),
    )


def subject(image: Image) -> Mask | None:
    """Return where a photo shows its subject, at most 320 pixels a side, or None where its ground is not plain."""
    import cv2

    small = geometry.shrink(image.pixels, _SIDE)
    rim = np.ones(small.shape[:2], bool)
    rim[3:-3, 3:-3] = False
    ground = np.median(small[rim], axis=0)
    like_ground = np.abs(small.astype(np.float32) - ground).max(axis=2) < 20
    if like_ground[rim].mean() <= 0.7:
        return None
    # Ground shows inside handles and loops too, so it need not touch the rim; a part of its colour is not compared.
    ground_seen = cv2.morphologyEx(like_ground.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.erode(1 - ground_seen, np.ones((5, 5), np.uint8)) > 0)


def _proportion(quad: Points) -> float:
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float((sides[0] + sides[2]) / max(sides[1] + sides[3], 1e-6))
