"""Logo: which brand's mark does a photo show, and has the mark been altered?

Findings
--------
logo
    A mark of a brand lies over a part of the photo: features that agree on one place, a shape, or a pattern that repeats.
logo_tamper
    A drawing of the mark lies over the photo but for a part that is missing or added.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog import Catalog
from imgmatch.catalog.manifest import photo_path
from imgmatch.errors import ImageError
from imgmatch.io.files import sha256_file
from imgmatch.loading.cache import remembered
from imgmatch.loading.photo import PhotoContext, Query, producer
from imgmatch.messages import Message
from imgmatch.signals.base import Signal, fingerprint_of
from imgmatch.signals.logo.seen import CLAIM, Seen, apart, patterns
from imgmatch.signals.logo.settings import LogoConfig
from imgmatch.types import Finding, FindingStatus, Label, PhotoRole
from imgmatch.vision.marks import MarkIndex, MarkReference, ShapeIndex, ShapeMatch, Sighting, make_reference
from imgmatch.vision.marks.canvas import surroundings
from imgmatch.vision.marks.placement import Difference, Placement, coarse, difference, judge
from imgmatch.vision.marks.shape import STATISTICS

__all__ = ["LogoSignal"]

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
of other things."""

AROUND, AROUND_MOST = 7.0, 10.0
"""Answer of the surroundings of a pattern's places at which its evidence is taken as it is, in proportion up to the second
(``benchmarks/marks_real.py``, sellers, open); none where there is no answer."""

PATTERN_LEAST, PATTERN_ABOVE = 2.8, 1.2
"""Least evidence of a pattern's claim, over all pictures of it, and how far it must be above the most that the catalog's
photos of other brands gave it (``benchmarks/marks_real.py``, sellers, open): a plain weave finds itself on many a cloth. Of
15 canvases 10 have more, of 119 others none; of the strongest picture alone, without surroundings, 6 stand out."""

OTHERS = 64
"""Photos of other brands, and background photos, of the catalog on which each mark's chance scores are measured."""

DIFFERENCE_CENTRE, DIFFERENCE_SLOPE = 0.02, 0.35
"""Value 0.5 of the differing share of the inked area, and steepness on its natural logarithm. Of 68 genuine
marks placed in scenes of dev icons of ``benchmarks/figures.py`` at f1b99b2 one exceeds it."""

COMPARABLE_PIXELS, COMPARABLE_REST = 80.0, 0.93
"""A mark is compared with its drawing where it is at least so large in the photo (a guess), and all but the altered place is
explained so well: a mark of chrome, stitched, half hidden or of another year is not its drawing, whoever made it. Of 96
genuine marks of `logos_in_photos`, dev, that were named by drawings of `reference_logos`, none is called altered; at a rest
of 0.85, 5."""

NEAREST_MISSES = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What both indexes find in a photo."""

    sightings: list[Sighting]
    shapes: list[ShapeMatch]


class _Marks:
    """The marks of a catalog in both indexes."""

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
        self.shapes = ShapeIndex(self.figures)
        self._brands = sorted({r.brand for r in self.references})
        self._pattern_chance: dict[str, float] = {}
        self._margin_chance: dict[str, float] = {}
        others = _others(catalog)
        # A photo may be away for a while; what was measured without it is not what is measured with it.
        here = [r.photo for r in self.references], [s for s in others if os.access(photo_path(catalog.path, s), os.R_OK)]
        rests_on = [catalog.version, producer(), sha256_file(STATISTICS), *map(" ".join, here)]
        known = remembered("marks", lambda: self._measured(catalog, others), float(side), *rests_on)
        self.shapes.chance = known["chance"]
        self._pattern_chance = dict(zip(self._brands, known["patterns"].tolist(), strict=True))
        self._margin_chance = {
            b: m for b, m in zip(self._brands, known["margins"].tolist(), strict=True) if not math.isnan(m)
        }
        self.false = {brand: (int(n), int(of)) for brand, (n, of) in zip(self._brands, known["false"], strict=True)}

    def _measured(self, catalog: Catalog, photos: Mapping[str, Set[str]]) -> dict[str, npt.NDArray[Any]]:
        """Return what the marks score on the catalog's photos of other things, and how often each is seen there."""
        others = self._looks((brands, catalog.photo(s)) for s, brands in photos.items()) if self.references else []
        margins: dict[str, list[float]] = defaultdict(list)
        for name, s in ((n, s) for brands, look in others for n, s in patterns(look.sightings).items() if n not in brands):
            self._pattern_chance[name] = max(self._pattern_chance.get(name, 0.0), s.evidence)
        for brands, m in ((brands, m) for brands, look in others for m in look.shapes):
            if m.margin is not None and (name := self.figures[m.reference].brand) not in brands:
                margins[name].append(m.margin)
        self._margin_chance = {n: sum(of) / len(of) for n, of in margins.items() if len(of) >= MARGIN_PHOTOS}
        seen = [(brands, {s.brand for s in self._seen(look) if s.value >= 0.5}) for brands, look in others]
        false = [
            (sum(brand in claimed for brands, claimed in seen if brand not in brands), sum(brand not in b for b, _ in seen))
            for brand in self._brands
        ]
        repeated = np.array([self._pattern_chance.get(brand, 0.0) for brand in self._brands])
        above = np.array([self._margin_chance.get(brand, math.nan) for brand in self._brands])
        out = {"chance": self.shapes.chance, "patterns": repeated, "margins": above}
        return out | {"false": np.reshape(false, (-1, 2))}

    def look(self, photo: PhotoContext) -> list[Seen]:
        """Return what speaks for each brand in a photo, strongest first."""
        return self._seen(self._looked(photo))

    def _looks(self, others: Iterable[tuple[Set[str], PhotoContext]]) -> list[tuple[Set[str], _Look]]:
        """Look at photos of other things; what shapes score there by chance is learnt before any is believed."""
        scanned = []
        for brands, photo in others:
            with contextlib.suppress(ImageError):
                scanned.append((brands, photo, self._sighted(photo), self.shapes.scan(photo)))
            photo.forget()  # what is found in it is on disk: a megabyte
        self.shapes.learn((brands, scores) for brands, _, _, (scores, _) in scanned)
        out: list[tuple[Set[str], _Look]] = []
        for brands, photo, sightings, (scores, boxes) in scanned:
            with contextlib.suppress(ImageError):
                out.append((brands, _Look(sightings, self.shapes.matches(photo, scores, boxes))))
            photo.forget()
        return out

    def _looked(self, photo: PhotoContext) -> _Look:
        return _Look(self._sighted(photo), self.shapes.find(photo))

    def _sighted(self, photo: PhotoContext) -> list[Sighting]:
        found = []
        for s in self.features.find(photo):
            if s.repeats:
                evidence = s.evidence * min(max(surroundings(photo, s), 0.0), AROUND_MOST) / AROUND
            else:
                evidence = s.evidence + LAID * self._shape_there(photo, s)
                if s.agreeing == 1 and evidence < CLAIM:
                    continue  # most are chance, and would stand in front of what several features say
            found.append(replace(s, evidence=evidence))
        return found

    def _shape_there(self, photo: PhotoContext, sighting: Sighting) -> float:
        """Return by how much the answer to the shape of a mark where it is said to lie is above what chance gives."""
        laid = self.shapes.laid(photo, self._number[sighting.reference], sighting.transform)
        return laid - ALONE_FROM if sighting.agreeing == 1 else min(max(laid, LAID_LEAST), LAID_MOST) - LAID_FROM

    def _seen(self, look: _Look) -> list[Seen]:
        sightings = {brand: self._in_proportion(s) for brand, s in patterns(look.sightings).items()}
        for s in look.sightings:
            known = sightings.get(s.reference.brand)
            if not s.repeats and (known is None or s.evidence > known.evidence):
                sightings[s.reference.brand] = s
        shapes = {self.figures[m.reference].brand: m for m in look.shapes}
        seen = [self._weighed(brand, sightings.get(brand), shapes.get(brand)) for brand in {**sightings, **shapes}]
        return apart(sorted((s for s in seen if s is not None), key=lambda s: -s.value))

    def _in_proportion(self, pattern: Sighting) -> Sighting:
        """Return a pattern's sighting with its evidence in proportion to what a claim of that brand's pattern takes."""
        least = max(PATTERN_LEAST, PATTERN_ABOVE * self._pattern_chance.get(pattern.reference.brand, 0.0))
        return replace(pattern, evidence=pattern.evidence * CLAIM / least)

    def _weighed(self, brand: str, sighting: Sighting | None, shape: ShapeMatch | None) -> Seen | None:
        above = (shape.score if shape is not None else 0.0) - SHAPE_FROM
        extra = SHAPE_FOR * above if above > 0 else SHAPE_AGAINST * above
        chance = self._margin_chance.get(brand)
        if shape is not None and shape.margin is not None and chance is not None:
            margin = shape.margin - chance - MARGIN_FROM
            extra += MARGIN * min(max(margin, -MARGIN_MOST), MARGIN_MOST)
        if sighting is not None and sighting.repeats:
            extra = 0.0
        elif sighting is not None and sighting.agreeing == 1:
            extra = max(extra, 0.0)  # the shape has been asked where it lies: it may be too small or turned to be found
        evidence = extra + (sighting.evidence if sighting is not None else 0.0)
        if evidence <= 0:
            return None
        shape = shape if extra > 0 else None
        if shape is not None and (sighting is None or extra > sighting.evidence):
            polygon = [[round(x, 1), round(y, 1)] for x, y in shape.box.polygon()]
            return Seen(brand, evidence, self.figures[shape.reference], polygon, sighting, shape)
        if sighting is None:
            return None
        return Seen(brand, evidence, sighting.reference, sighting.polygon(), sighting, shape)


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


class LogoSignal(Signal):
    """Brand claims and alterations in figurative marks.

    Parameters
    ----------
    catalog : Catalog
        Its brands' logo pictures.
    config : LogoConfig
    """

    name = "logo"
    Config = LogoConfig

    def __init__(self, catalog: Catalog, config: LogoConfig | None = None) -> None:
        self._catalog = catalog
        self.config = LogoConfig() if config is None else config
        self._lock = threading.Lock()
        self._prepared: _Marks | None = None

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        return [list(self._examine(query)) for query in queries]

    def warm_up(self) -> None:
        """Describe the catalog's marks, and measure what they score on photos of other things."""
        self._marks()

    def fingerprint(self) -> str:
        return fingerprint_of(self, files=(STATISTICS,), packages=("opencv-python-headless",))

    def _marks(self) -> _Marks:
        with self._lock:
            if self._prepared is None:
                self._prepared = _Marks(self._catalog, self.config.effort.keypoints)
            return self._prepared

    def _examine(self, query: Query) -> Iterator[Finding]:
        marks = self._marks()
        if not marks.references:
            yield Finding.abstained("logo", Message("The catalog has no pictures of marks."))
            return
        if not query.photos:
            yield Finding.abstained("logo", Message("There is no readable photo."))
            return
        best: dict[tuple[str, str], Finding] = {}
        misses: list[Seen] = []
        looked = 0
        for photo in query.photos:
            try:
                seen = marks.look(photo)
            except ImageError as error:
                failed = Message("The photo could not be read: {error}", error=error.said)
                yield Finding.failed("logo", failed, photo_id=photo.photo_id)
                continue
            looked += 1
            misses += [s for s in seen if s.value < 0.5]
            for finding in self._findings(photo, seen):
                key = (finding.signal, finding.brand or "")
                if key not in best or (finding.value or 0.0) > (best[key].value or 0.0):
                    best[key] = finding
        yield from best.values()
        if looked and not any(signal == "logo" for signal, _ in best):
            nothing = Message("No mark of the catalog was found in the photos.")
            yield Finding.abstained("logo", self._with_nearest(nothing, misses))

    def _findings(self, photo: PhotoContext, seen: Sequence[Seen]) -> Iterator[Finding]:
        misses = [s for s in seen if s.value < 0.5]
        for s in (s for s in seen if s.value >= 0.5):
            yield Finding(
                "logo",
                FindingStatus.OK,
                s.value,
                self._with_nearest(self._by_what(s), misses),
                photo_id=photo.photo_id,
                brand=s.brand,
                evidence=self._evidence(s),
            )
            if s.sighting is not None and not s.sighting.repeats:
                placed = judge(photo.image, s.sighting.reference, s.sighting.transform)
                if placed is not None:
                    yield from self._tampered(photo, s, placed, difference(placed))

    def _by_what(self, seen: Seen) -> Message:
        called = self._called(seen.brand)
        if seen.sighting is not None and seen.sighting.repeats:
            count = seen.sighting.agreeing
            return Message(
                "The pattern of {brand} repeats in {count} places of one size and direction.", brand=called, count=count
            )
        said = []
        if seen.sighting is not None:
            count = seen.sighting.agreeing
            alone = Message("one point, and the shape around it, are as in its picture")
            said.append(Message("{count} points agree on its place", count=count) if count > 1 else alone)
            if seen.sighting.mirrored:
                said.append(Message("it is mirrored, as the whole photo may be"))
        if seen.shape is not None:
            score = seen.shape.score
            said.append(Message("its shape is {score:.1f} standard deviations above other photos", score=score))
        return Message("The mark of {brand} is in the photo: {how}.", brand=called, how=tuple(said))

    def _with_nearest(self, sentence: Message, misses: Sequence[Seen]) -> Message:
        """Add to a sentence the marks that came nearest without making a claim."""
        names = list(dict.fromkeys(self._called(s.brand) for s in sorted(misses, key=lambda s: -s.value)))[:NEAREST_MISSES]
        nearest = Message("Nearest marks that were not claimed: {brands}.", brands=tuple(names))
        return Message("{sentence} {next}", sentence=sentence, next=nearest) if names else sentence

    def _tampered(self, photo: PhotoContext, seen: Seen, placed: Placement, found: Difference) -> Iterator[Finding]:
        if placed.pixels < COMPARABLE_PIXELS or found.rest < COMPARABLE_REST or not found.size:
            return
        value = 1.0 / (1.0 + (DIFFERENCE_CENTRE / found.size) ** (1.0 / DIFFERENCE_SLOPE))
        if value < 0.5:
            return
        called = self._called(seen.brand)
        evidence = self._evidence(seen)
        evidence["heatmap"] = {"polygon": placed.corners(), "values": coarse(found.where)}
        evidence["facts"][Message("differing share of the inked area")] = round(found.size, 4)
        evidence["facts"][Message("explained share of the rest")] = round(found.rest, 3)
        yield Finding(
            "logo_tamper",
            FindingStatus.OK,
            value,
            Message(
                "The mark of {brand} is altered: {share:.0%} of its ink is missing or added.", brand=called, share=found.size
            ),
            photo_id=photo.photo_id,
            brand=seen.brand,
            labels=(Label.COUNTERFEIT_SUSPECTED, Label.LOOKALIKE),
            evidence=evidence,
        )

    def _evidence(self, seen: Seen) -> dict[str, Any]:
        times, photos = self._marks().false[seen.brand]
        facts: dict[str, Any] = {
            Message("evidence"): round(seen.evidence, 2),
            Message("evidence needed for a claim"): CLAIM,
            Message("photos of other brands that seem to show it"): times,
            Message("photos of other brands compared"): photos,
        }
        out: dict[str, Any] = {}
        if seen.sighting is not None:
            facts[Message("agreeing points")] = seen.sighting.agreeing
            if seen.sighting.reference is seen.reference:
                out["transform"] = [[float(v) for v in row] for row in seen.sighting.transform]
        if seen.shape is not None:
            facts[Message("shape, standard deviations above photos of other things")] = round(seen.shape.score, 1)
        return {
            "reference_photo": seen.reference.photo,
            "regions": [
                {"on": "query", "polygon": seen.polygon, "label": Message("mark")},
                {"on": "reference", "polygon": seen.reference.polygon(), "label": Message("mark")},
            ],
            **out,
            "facts": facts,
        }

    def _called(self, brand: str) -> str:
        return self._catalog.brands[brand].name or brand
