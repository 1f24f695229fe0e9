"""Drawings of evidence: what a finding holds, as shapes that the templates draw.

Knows the vocabulary :data:`imgmatch.types.EVIDENCE_KEYS` and no signal's name. Records come from files, so every value is
checked before it is drawn; what does not make sense is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from imgmatch.investigate.report.pictures import Picture, heat, overlay
from imgmatch.investigate.report.words import fact_words, plain, term
from imgmatch.messages import Message
from imgmatch.types import Finding
from imgmatch.vision import geometry

__all__ = ["Crop", "Drawing", "Mark", "Pair", "Reading", "Region", "align", "draw", "pair"]

WIDTH = 400.0
"""Width and height, in drawing units, of the place a picture gets beside another; marks are drawn in the same units."""

_GAP = 28.0
_MAX_LINES = 40
_MAX_MARKS = 12
_MAX_CROPS = 4
_SURROUNDINGS = 0.12  # least side of a crop as a share of the photo's longer side: a part is known by what it stands beside
_LARGE = 0.3
_TAG = 18.0
_MAX_POINTS = 64
_MAX_GRID = 256

Points = list[list[float]]


@dataclass(frozen=True, slots=True)
class Mark:
    """An outlined region: SVG points, its number in the drawing, its label; `wide` ones are not tinted."""

    points: str
    x: float
    y: float
    number: int
    label: str
    wide: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A checked region: ``query`` or ``reference``, its points in that photo's original pixels, its label."""

    on: str
    points: Points
    label: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture stands in a drawing, and how many drawing units one of its original pixels takes."""

    key: str
    x: float
    width: float
    height: float
    scale: float
    caption: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One or two pictures side by side with regions and matched points drawn on them."""

    width: float
    height: float
    places: tuple[Place, ...]
    marks: tuple[Mark, ...] = ()
    lines: tuple[tuple[float, float, float, float], ...] = ()
    matches: int = 0


@dataclass(frozen=True, slots=True)
class Crop:
    """A region cut out of the query, the reference, or both."""

    number: int
    label: str
    query: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Lettering that was read, letter by letter beside what it is compared with.

    Parameters
    ----------
    columns : tuple of (read, expected, same)
        One per letter; an empty string stands for a missing letter.
    """

    reading: str
    reference: str
    columns: tuple[tuple[str, str, bool], ...]
    confidence: str
    crop: str | None
    expected_crop: str | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that one finding shows."""

    pair: Pair | None = None
    crops: tuple[Crop, ...] = ()
    readings: tuple[Reading, ...] = ()
    overlay: str | None = None
    heat: str | None = None
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.pair or self.crops or self.readings or self.overlay or self.heat or self.facts)


def draw(finding: Finding, query: Picture | None, reference: Picture | None, *, overlays: bool = True) -> Drawing:
    """Return what the evidence of a finding shows.

    Parameters
    ----------
    finding : Finding
    query, reference : Picture or None
        The photo it is about and the catalog photo it is compared with, where they can be shown.
    overlays : bool
        Whether to lay the reference over the photo: a picture of its own, which a page cannot hold for everything.
    """
    evidence = finding.evidence
    regions = _regions(evidence.get("regions"), query, reference)
    expected = next((r for r in regions if r.on == "reference"), None)
    readings = _readings(
        evidence.get("readings"), query, reference.crop(expected.points) if reference and expected else None
    )
    marks = regions + [region for _, region in readings if region is not None]
    matches = _matches(evidence.get("matches"), query, reference)
    transform = _array(evidence.get("transform"), (3, 3))
    grid = _grid(evidence.get("heatmap"))
    return Drawing(
        pair=pair(query, reference, marks, matches, finding.photo_id or "") if marks or matches else None,
        crops=_crops(regions, query, reference),
        readings=tuple(reading for reading, _ in readings),
        overlay=overlay(query, reference, transform) if overlays and query and reference and transform is not None else None,
        heat=heat(query, *grid, [r.points for r in regions if r.on == "query"]) if query and grid is not None else None,
        facts=tuple(fact_words(evidence.get("facts"))),
    )


def pair(
    query: Picture | None,
    reference: Picture | None,
    regions: list[Region] | tuple[()] = (),
    matches: Points | tuple[()] = (),
    photo_id: str = "",
) -> Pair | None:
    """Put a photo and its reference side by side; None where neither can be shown."""
    at: dict[str, Place] = {}
    x = 0.0
    photo = Message("the listing’s photo")
    of_listing = Message("the listing’s {photo}", photo=plain(photo_id, 20)) if photo_id else photo
    of_catalog = Message("the catalog’s photo")
    for name, picture, caption in (("query", query, of_listing), ("reference", reference, of_catalog)):
        if picture is not None:
            scale = min(WIDTH / picture.width, WIDTH / picture.height)
            at[name] = Place(picture.key, x, picture.width * scale, picture.height * scale, scale, caption)
            x += at[name].width + _GAP
    if not at:
        return None
    marks: list[Mark] = []
    numbers: dict[str, int] = {}
    for region in regions:
        if region.on not in at or len(marks) == _MAX_MARKS:
            continue
        place = at[region.on]
        number = numbers.setdefault(region.label, len(numbers) + 1)
        points = [(place.x + x * place.scale, y * place.scale) for x, y in region.points]
        # The number stands above the region where there is room, so that it hides nothing.
        left = min(max(min(p[0] for p in points), place.x), place.x + place.width - _TAG)
        top = min(max(min(p[1] for p in points) - _TAG, 0.0), place.height - _TAG)
        wide = geometry.area(points) > _LARGE * place.width * place.height
        marks.append(Mark(" ".join(f"{x:.1f},{y:.1f}" for x, y in points), left, top, number, region.label, wide))
    lines = []
    if matches:
        q, r = at["query"], at["reference"]
        step = max(1, math.ceil(len(matches) / _MAX_LINES))
        lines = [(q.x + m[0] * q.scale, m[1] * q.scale, r.x + m[2] * r.scale, m[3] * r.scale) for m in matches[::step]]
    return Pair(
        width=x - _GAP,
        height=max(p.height for p in at.values()),
        places=tuple(at.values()),
        marks=tuple(marks),
        lines=tuple(lines),
        matches=len(matches),
    )


def _regions(value: Any, query: Picture | None, reference: Picture | None) -> list[Region]:
    pictures = {"query": query, "reference": reference}
    found = []
    for row in _rows(value):
        on = row.get("on")
        picture = pictures.get(on) if isinstance(on, str) else None
        points = _polygon(row.get("polygon"), picture)
        if points:
            found.append(Region(str(on), points, term(row.get("label") or "", 60)))
    return found


def _crops(regions: list[Region], query: Picture | None, reference: Picture | None) -> tuple[Crop, ...]:
    """Pair the regions of one label, first with first: what a person compares. Large regions need no closer look."""
    pictures = {"query": query, "reference": reference}
    rows: dict[tuple[str, int], dict[str, Region]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    numbers: dict[str, int] = {}
    for region in regions:
        numbers.setdefault(region.label, len(numbers) + 1)
        picture = pictures[region.on]
        if picture is None or geometry.area(region.points) > _LARGE * picture.width * picture.height:
            continue
        nth = counts[region.on, region.label]
        counts[region.on, region.label] += 1
        if len(rows) < _MAX_CROPS or (region.label, nth) in rows:
            rows.setdefault((region.label, nth), {})[region.on] = region
    out = []
    for (label, _), row in rows.items():
        if "query" not in row:
            continue
        # Both of a pair are enlarged alike, so that both show the same.
        k = max(_enlargement(r.points, p) for on, r in row.items() if (p := pictures[on]) is not None)
        cut = {on: p.crop(_enlarged(r.points, k)) for on, r in row.items() if (p := pictures[on]) is not None}
        if cut["query"]:
            out.append(Crop(numbers[label], label, cut["query"], cut.get("reference")))
    return tuple(out)


def _enlargement(points: Points, picture: Picture) -> float:
    """Return how much a region must grow to be a crop that shows what it stands beside."""
    side = float(np.ptp(np.asarray(points), axis=0).max())
    return max(1.0, _SURROUNDINGS * max(picture.width, picture.height) / max(side, 1.0))


def _enlarged(points: Points, k: float) -> Points:
    corners = np.asarray(points)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    grown: Points = (middle + k * (corners - middle)).tolist()
    return grown


def _readings(value: Any, query: Picture | None, expected_crop: str | None) -> list[tuple[Reading, Region | None]]:
    found = []
    for row in _rows(value):
        reading, expected = plain(row.get("reading"), 80), plain(row.get("reference"), 80)
        if not reading:
            continue
        points = _polygon(row.get("polygon"), query)
        confidence = row.get("confidence")
        found.append(
            (
                Reading(
                    reading,
                    expected,
                    tuple(_columns(row.get("alignment"), reading, expected)),
                    f"{confidence:.2f}" if _is_number(confidence) else "",
                    query.crop(points) if query and points else None,
                    expected_crop,
                ),
                Region("query", points, Message("read: {text}", text=reading)) if points else None,
            )
        )
    return found


def _columns(alignment: Any, reading: str, expected: str) -> list[tuple[str, str, bool]]:
    """Return the letters of both strings under one another, from the finding's alignment or aligned here."""
    if not expected:
        return []
    if isinstance(alignment, (list, tuple)) and alignment:
        pairs = [p for p in alignment if isinstance(p, (list, tuple)) and len(p) >= 2]
        if len(pairs) == len(alignment):
            letters = [(plain(a, 8), plain(b, 8)) for a, b, *_ in pairs[:_MAX_POINTS]]
            return [(a, b, a.casefold() == b.casefold()) for a, b in letters]
    return align(reading, expected)


def align(reading: str, expected: str) -> list[tuple[str, str, bool]]:
    """Align two strings letter by letter with the fewest edits, whatever their case; "" stands for a missing letter."""
    from rapidfuzz.distance import Levenshtein

    out: list[tuple[str, str, bool]] = []
    for op in Levenshtein.opcodes([c.casefold() for c in reading], [c.casefold() for c in expected]):
        ours, theirs = reading[op.src_start : op.src_end], expected[op.dest_start : op.dest_end]
        out += [(a, b, op.tag == "equal") for a, b in zip_longest(ours, theirs, fillvalue="")]
    return out


def _matches(value: Any, query: Picture | None, reference: Picture | None) -> Points:
    if query is None or reference is None or not isinstance(value, (list, tuple)):
        return []
    rows = [list(map(float, m)) for m in value if isinstance(m, (list, tuple)) and len(m) == 4 and all(map(_is_number, m))]
    return [
        m
        for m in rows
        if _inside(m[0], query.width) and _inside(m[1], query.height)
        if _inside(m[2], reference.width) and _inside(m[3], reference.height)
    ]


def _polygon(value: Any, picture: Picture | None) -> Points:
    """Return a polygon's points, held within a photo's surroundings; empty where there is nothing to draw."""
    if picture is None or not isinstance(value, (list, tuple)) or not 3 <= len(value) <= _MAX_POINTS:
        return []
    if not all(isinstance(p, (list, tuple)) and len(p) == 2 and all(map(_is_number, p)) for p in value):
        return []
    return [
        [min(max(float(x), 0.0), float(picture.width)), min(max(float(y), 0.0), float(picture.height))] for x, y in value
    ]


def _grid(value: Any) -> tuple[Points, Any] | None:
    if not isinstance(value, Mapping):
        return None
    corners, values = _array(value.get("polygon"), (4, 2)), _array(value.get("values"), None)
    if corners is None or values is None or not 1 <= max(values.shape) <= _MAX_GRID or min(values.shape) < 1:
        return None
    a, b, c, d = corners
    if min(_turn(a, b, c), _turn(b, c, d), _turn(c, d, a), _turn(d, a, b)) <= 0:  # crossed or flat: nothing to draw on
        return None
    return corners.tolist(), np.clip(values, 0.0, 1.0)


def _turn(a: Any, b: Any, c: Any) -> float:
    return float((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]))


_MOST_PIXELS = 1e6  # a side of a photo has fewer


def _array(value: Any, shape: tuple[int, ...] | None) -> Any:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    if not (np.abs(array) < _MOST_PIXELS).all() or (array.shape != shape if shape else array.ndim != 2):
        return None
    return array


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _inside(value: float, length: float) -> bool:
    return 0.0 <= value <= length
