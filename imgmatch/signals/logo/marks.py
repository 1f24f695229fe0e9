"""The marks of a catalog: what they score by chance, and what speaks for each of them in a photo."""

from __future__ import annotations

import contextlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog import Catalog
from imgmatch.catalog.manifest import photo_path
from imgmatch.errors import ImageError
from imgmatch.loading.cache import Arrays, remembered
from imgmatch.loading.photo import PhotoContext, producer
from imgmatch.signals.logo.closer import LEAD, confirmed, doubtful, enlarged
from imgmatch.signals.logo.seen import CLAIM, Seen, apart, patterns
from imgmatch.types import Box, PhotoRole
from imgmatch.vision.marks import (
    LearntIndex,
    LearntMatch,
    MarkIndex,
    MarkReference,
    ShapeIndex,
    ShapeMatch,
    Sighting,
    make_reference,
)
from imgmatch.vision.marks.canvas import surroundings
from imgmatch.vision.marks.index import LEAST
from imgmatch.vision.marks.shape import LEAST_PHOTOS
from imgmatch.vision.marks.sighting import packed, unpacked

__all__ = ["Marks"]

LAID, LAID_FROM, LAID_LEAST, LAID_MOST = 0.3, 5.0, -3.0, 12.0
"""What a reference's shape is worth in evidence where features lay it over the photo: so much for each standard deviation
that its detector's answer is above the second, between the third and the fourth (``benchmarks/marks_real.py``, dev). It
answers 10 to the median right placement of weak evidence (below 2.4) and 0 to the median wrong one; at three wrong or false
ones of 569 it names 189 of 303 instead of 178, and 0.2 to 0.5 do as well; of sellers' open photos 34 of 72 instead of 16."""

ALONE_FROM = 8.0
"""In place of the second above where one feature alone lays a small mark (``benchmarks/marks_real.py``, sellers, open,
either half asking the other): 9 more of 153 photos are named, and nothing wrong or false is added, neither there nor on 403
photos of other things; at 9 two of the nine are lost, at 7 none is won."""

SHAPE_FROM, SHAPE_FOR, SHAPE_AGAINST = 1.5, 1.0, 0.5
"""A shape that is this many standard deviations above chance says nothing; what each further one adds to the evidence
of features, and what each lacking one takes from it (``benchmarks/marks_real.py``, dev): features that agree where nothing
looks like it do so by chance."""

MARGIN, MARGIN_FROM, MARGIN_MOST, MARGIN_PHOTOS = 0.15, 2.0, 10.0, 5
"""What a shape's place adds to the evidence, or takes from it (``benchmarks/marks_real.py``, dev): so much for each standard
deviation, at most the third, by which its margin over other brands' pictures is more than the second above the average on
photos of other brands, where so many have one. Of 303 photos 205 are named instead of 198 by marks alone, and by marks and
words 244 instead of 242, 5 wrongly instead of 7. Without that average catalogs of two brands claim five times as many photos
of other things. Where features agree on a place, the margin there counts as far as it is above that average: 209 are named
instead of 206. A catalog of fewer than `LEAST_PHOTOS` has the average on drawn sheets as well: by drawings alone 95 of 153
are named instead of 92 (with the sheets of that time); with 0 as the average 97, but four brands at a
time claim 2 of 1,963 photos of other things."""

AROUND, AROUND_MOST = 7.0, 10.0
"""Answer of the surroundings of a pattern's places at which its evidence is taken as it is, by its square up to the second
(``benchmarks/marks_real.py``, sellers, open, either half asking the other); none where there is no answer. Of 1,024 asked,
those and photos of other things, 17 patterns are claimed rightly and 2 wrongly; in plain proportion 14 and 4."""

PATTERN_LEAST, PATTERN_ABOVE = 2.8, 1.2
"""Least evidence of a pattern's claim, over all pictures of it, and how far it must be above the most that the catalog's
photos of other brands gave it (``benchmarks/marks_real.py``, sellers, open): a plain weave finds itself on many a cloth. Of
15 canvases 10 have more, of 119 others none; of the strongest picture alone, without surroundings, 6 stand out."""

LEARNT, LEARNT_FROM, LEARNT_LEAST, LEARNT_MOST = 0.8, 2.2, -1.0, 2.5
"""What the likest window adds to the evidence, or takes from it (``benchmarks/marks_real.py``, dev): so much for each
standard deviation above chance that is above the second, between the third and the fourth. With it 228 of 303 photos are
named, 3 wrongly, without 220, 3 wrongly; of 153 by drawings 94 and 92. It adds less than a claim takes: alone it names no
photo; it would name one more."""

LEARNT_ASKED = LEAD
"""Evidence of features and shapes from which the network is asked at all. With less a place is not looked at again either,
and what the network adds makes no claim. Of 133 everyday photos 27 have as much (``benchmarks/marks_real.py``, dev). To ask
of every photo names one more of 303, and one more of 153 by drawings: ones about which a closer look decides."""

OTHERS = 64
"""Photos of other brands, and background photos, of the catalog on which each mark's chance scores are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the three indexes find in a photo."""

    sightings: list[Sighting]
    shapes: list[ShapeMatch]
    learnt: Callable[[], list[LearntMatch]]  # the dearest: called only where it can decide


class Marks:
    """The marks of a catalog in all three indexes."""

    def __init__(self, catalog: Catalog, side: int) -> None:
        self.references: list[MarkReference] = []
        for brand in catalog.brands.values():
            for logo in brand.logos:
                try:
                    image = catalog.photo(logo.photo).image
                    self.references.append(make_reference(brand.brand, logo.photo, logo.kind, image, logo.box))
                except (ImageError, ValueError):
                    continue  # the catalog lists it among its issues
        self.figures = [r for r in self.references if r.kind != "monogram"]
        self._number = {r: number for number, r in enumerate(self.figures)}
        self.features = MarkIndex(self.references, side)
        self.shapes, self.learnt = ShapeIndex(self.figures), LearntIndex(self.references)
        self._brands = sorted({r.brand for r in self.references})
        self._pattern_chance: dict[str, float] = {}
        self._margin_chance: dict[str, float] = {}
        others = _others(catalog)
        # A photo may be away for a while; what was measured without it is not what is measured with it.
        here = " ".join(s for s in others if os.access(photo_path(catalog.path, s), os.R_OK))
        rests_on = catalog.version, producer(), repr(self), here
        known = remembered("marks", lambda: self._measured(catalog, others), *rests_on)
        self.shapes.chance, self.learnt.chance = known["chance"], known["learnt"]
        self._pattern_chance = dict(zip(self._brands, known["patterns"].tolist(), strict=True))
        self._margin_chance = {
            b: m for b, m in zip(self._brands, known["margins"].tolist(), strict=True) if not math.isnan(m)
        }
        self.false = {brand: (int(n), int(of)) for brand, (n, of) in zip(self._brands, known["false"], strict=True)}

    def _measured(self, catalog: Catalog, photos: Mapping[str, Set[str]]) -> dict[str, npt.NDArray[Any]]:
        """Return what the marks score on the catalog's photos of other things, and how often each is seen there."""
        others = self._looks((brands, catalog.photo(s)) for s, brands in photos.items()) if self.references else []
        for brands, _, look in others:
            for name, pattern in patterns(look.sightings).items():
                if name not in brands:
                    self._pattern_chance[name] = max(self._pattern_chance.get(name, 0.0), pattern.evidence)
        shapes: list[tuple[Set[str], Sequence[ShapeMatch]]] = [(brands, look.shapes) for brands, _, look in others]
        if self.figures and len(others) < LEAST_PHOTOS:
            shapes += [(frozenset(), found) for found in self.shapes.matches_on_sheets()]
        self._margin_chance = self._margins(shapes)
        seen = [(brands, self._claimed(photo, look)) for brands, photo, look in others]
        false = [
            (sum(brand in claimed for brands, claimed in seen if brand not in brands), sum(brand not in b for b, _ in seen))
            for brand in self._brands
        ]
        repeated = np.array([self._pattern_chance.get(brand, 0.0) for brand in self._brands])
        above = np.array([self._margin_chance.get(brand, math.nan) for brand in self._brands])
        out = {"chance": self.shapes.chance, "learnt": self.learnt.chance, "patterns": repeated, "margins": above}
        return out | {"false": np.reshape(false, (-1, 2))}

    def _claimed(self, photo: PhotoContext, look: _Look) -> set[str]:
        try:
            return {s.brand for s in self._judged(photo, look) if s.value >= 0.5}
        except ImageError:
            return set()
        finally:
            photo.forget()

    def _margins(self, shapes: Iterable[tuple[Set[str], Sequence[ShapeMatch]]]) -> dict[str, float]:
        """Return the average margin of each brand on photos of other brands, where enough have one."""
        margins: dict[str, list[float]] = defaultdict(list)
        for brands, m in ((brands, m) for brands, found in shapes for m in found):
            if m.margin is not None and (name := self.figures[m.reference].brand) not in brands:
                margins[name].append(m.margin)
        return {n: sum(of) / len(of) for n, of in margins.items() if len(of) >= MARGIN_PHOTOS}

    def look(self, photo: PhotoContext) -> list[Seen]:
        """Return what speaks for each brand in a photo, strongest first."""
        return self._judged(photo, self._looked(photo))

    def _judged(self, photo: PhotoContext, look: _Look) -> list[Seen]:
        """Return what speaks for each brand; about a doubtful small mark a closer look decides."""
        seen = self._seen(look)
        for mark in doubtful(seen, photo):
            try:
                larger, back = enlarged(photo, mark)
            except ImageError:  # a part that is too long or too thin for a picture of its own
                continue
            again = confirmed(mark, self._seen(self._looked(larger)), back)
            seen = [s for s in seen if s is not mark] + ([] if again is None else [again])
        return apart(sorted(seen, key=lambda s: -s.evidence))

    def _looks(self, others: Iterable[tuple[Set[str], PhotoContext]]) -> list[tuple[Set[str], PhotoContext, _Look]]:
        """Look at photos of other things; what shapes score there by chance is learnt before any is believed."""
        scanned = []
        for brands, photo in others:
            with contextlib.suppress(ImageError):
                scanned.append((brands, photo, self._sighted(photo), self.shapes.scan(photo), self.learnt.scan(photo)))
            photo.forget()  # what is found in it is on disk: a megabyte
        self.shapes.learn((brands, shapes[0]) for brands, _, _, shapes, _ in scanned)
        self.learnt.learn((brands, learnt[0]) for brands, _, _, _, learnt in scanned)
        out: list[tuple[Set[str], PhotoContext, _Look]] = []
        for brands, photo, sightings, shapes, learnt in scanned:
            with contextlib.suppress(ImageError):
                said = partial(self.learnt.matches, *learnt)
                out.append((brands, photo, _Look(sightings, self.shapes.matches(photo, *shapes), said)))
            photo.forget()
        return out

    def _looked(self, photo: PhotoContext) -> _Look:
        return _Look(self._sighted(photo), self.shapes.find(photo), partial(self.learnt.find, photo))

    def __repr__(self) -> str:
        return f"{self.features!r} {self.shapes!r} {self.learnt!r}"

    def _sighted(self, photo: PhotoContext) -> list[Sighting]:
        return unpacked(photo.lasting(_sightings, self), self.features.references)

    def sightings(self, photo: PhotoContext) -> list[Sighting]:
        """Return where features lay marks over a photo, each with what its shape or surroundings there add."""
        found = []
        for s in self.features.find(photo):
            if s.repeats:
                evidence = s.evidence * (min(max(surroundings(photo, s), 0.0), AROUND_MOST) / AROUND) ** 2
            else:
                evidence = s.evidence + LAID * self._shape_there(photo, s)
                if s.agreeing == 1 and evidence < CLAIM:
                    continue  # most are chance, and would stand in front of what several features say
                if s.agreeing > 1 and evidence >= LEAST:
                    s = replace(s, margin=self.shapes.margin(photo, self._number[s.reference], s.transform))
            found.append(replace(s, evidence=evidence))
        return found

    def _shape_there(self, photo: PhotoContext, sighting: Sighting) -> float:
        """Return by how much the answer to the shape of a mark where it is said to lie is above what chance gives."""
        laid = self.shapes.laid(photo, self._number[sighting.reference], sighting.transform)
        return laid - ALONE_FROM if sighting.agreeing == 1 else min(max(laid, LAID_LEAST), LAID_MOST) - LAID_FROM

    def _seen(self, look: _Look) -> list[Seen]:
        seen = self._added_up(look, [])
        return self._added_up(look, look.learnt()) if any(s.evidence >= LEARNT_ASKED for s in seen) else seen

    def _added_up(self, look: _Look, matches: Sequence[LearntMatch]) -> list[Seen]:
        sightings = {brand: self._in_proportion(s) for brand, s in patterns(look.sightings).items()}
        for s in (s for s in look.sightings if not s.repeats):
            brand, evidence = s.reference.brand, s.evidence + self._above_chance(s.reference.brand, s.margin)
            if brand not in sightings or evidence > sightings[brand].evidence:
                sightings[brand] = replace(s, evidence=evidence)
        shapes = {self.figures[m.reference].brand: m for m in look.shapes}
        learnt = {self.references[m.reference].brand: m for m in matches}
        brands = {**sightings, **shapes, **learnt}
        seen = [self._weighed(brand, sightings.get(brand), shapes.get(brand), learnt.get(brand)) for brand in brands]
        return apart(sorted((s for s in seen if s is not None), key=lambda s: -s.evidence))

    def _in_proportion(self, pattern: Sighting) -> Sighting:
        """Return a pattern's sighting with its evidence in proportion to what a claim of that brand's pattern takes."""
        least = max(PATTERN_LEAST, PATTERN_ABOVE * self._pattern_chance.get(pattern.reference.brand, 0.0))
        return replace(pattern, evidence=pattern.evidence * CLAIM / least)

    def _above_chance(self, brand: str, margin: float | None, least: float = 0.0) -> float:
        """Return what a margin adds to the evidence, or takes from it."""
        if margin is None or brand not in self._margin_chance:
            return 0.0
        return MARGIN * min(max(margin - self._margin_chance[brand] - least, -MARGIN_MOST), MARGIN_MOST)

    def _weighed(
        self, brand: str, sighting: Sighting | None, shape: ShapeMatch | None, learnt: LearntMatch | None
    ) -> Seen | None:
        by_shape = self._by_shape(brand, sighting, shape)
        by_window = 0.0 if learnt is None else _by_window(learnt)
        if sighting is not None and sighting.agreeing == 1:
            by_window = max(by_window, 0.0)  # it may be too small for a window
        evidence = by_shape + by_window + (sighting.evidence if sighting is not None else 0.0)
        shape, learnt = (shape if by_shape > 0 else None), (learnt if by_window > 0 else None)
        places = [(sighting.evidence, sighting.reference, sighting.polygon())] if sighting is not None else []
        places += [(by_shape, self.figures[shape.reference], _corners(shape.box))] if shape is not None else []
        places += [(by_window, self.references[learnt.reference], _corners(learnt.box))] if learnt is not None else []
        if evidence <= 0 or not places:
            return None
        _, reference, polygon = max(places, key=lambda place: place[0])  # that of the kind that says most
        return Seen(brand, evidence, reference, polygon, sighting=sighting, shape=shape, learnt=learnt)

    def _by_shape(self, brand: str, sighting: Sighting | None, shape: ShapeMatch | None) -> float:
        """Return what the likest shape adds to the evidence, or takes from it."""
        if sighting is not None and sighting.repeats:
            return 0.0
        above = (shape.score if shape is not None else 0.0) - SHAPE_FROM
        extra = SHAPE_FOR * above if above > 0 else SHAPE_AGAINST * above
        extra += self._above_chance(brand, shape.margin, MARGIN_FROM) if shape is not None else 0.0
        if sighting is not None and sighting.agreeing == 1:
            return max(extra, 0.0)  # the shape has been asked where it lies: it may be too small or turned to be found
        return extra


def _by_window(learnt: LearntMatch) -> float:
    """Return what the likest window adds to the evidence, or takes from it."""
    return LEARNT * min(max(learnt.score - LEARNT_FROM, LEARNT_LEAST), LEARNT_MOST)


def _corners(box: Box) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in box.polygon()]


def _sightings(photo: PhotoContext, marks: Marks) -> Arrays:
    return packed(marks.sightings(photo), marks.features.references)


def _others(catalog: Catalog) -> dict[str, Set[str]]:
    """Return photos of goods, of marks in use and of the background, spread evenly over the catalog, with their brands."""
    boxed: dict[str, set[str]] = {}
    for brand in catalog.brands.values():
        for logo in brand.logos:
            if logo.box is not None:
                boxed.setdefault(logo.photo, set()).add(brand.brand)
    real = sorted(s for s, p in catalog.photos.items() if p.role is not PhotoRole.LOGO or s in boxed)
    even = real[:: max(len(real) // OTHERS, 1)][:OTHERS]
    return {sha: boxed.get(sha, set()) | {catalog.photos[sha].brand or ""} for sha in even}
