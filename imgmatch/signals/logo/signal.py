"""Logo: which brand's mark does a photo show, and has the mark been altered?

Findings
--------
logo
    A mark of a brand lies over a part of the photo: features that agree on one place, a shape, a window that a trained
    network finds like it, or a pattern that repeats.
    Below a half it says too little for a claim, but may agree with a word. What was taken for the word of a mark is none
    where other words are read.
logo_tamper
    A drawing of the mark lies over the photo but for a part that is missing or added, or its figure is there with another
    word.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from imgmatch.catalog import Catalog
from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.messages import Message
from imgmatch.signals.base import Signal, fingerprint_of
from imgmatch.signals.logo.lettering import WordMarks
from imgmatch.signals.logo.lockup import OTHER_WORD, Lockups
from imgmatch.signals.logo.marks import Marks
from imgmatch.signals.logo.seen import CLAIM, Seen
from imgmatch.signals.logo.settings import LogoConfig
from imgmatch.types import Finding, FindingStatus, Label
from imgmatch.vision.marks import network
from imgmatch.vision.marks.placement import Difference, Placement, coarse, difference, judge
from imgmatch.vision.marks.shape import STATISTICS
from imgmatch.vision.ocr import Reading

__all__ = ["LogoSignal"]

DIFFERENCE_CENTRE, DIFFERENCE_SLOPE = 0.02, 0.35
"""Value 0.5 of the differing share of the inked area, and steepness on its natural logarithm. Of 68 genuine
marks placed in scenes of dev icons of ``benchmarks/figures.py`` at f1b99b2 one exceeds it."""

COMPARABLE_PIXELS, COMPARABLE_REST = 80.0, 0.93
"""A mark is compared with its drawing where it is at least so large in the photo (a guess), and all but the altered place is
explained so well: a mark of chrome, stitched, half hidden or of another year is not its drawing, whoever made it. Of 96
genuine marks of `logos_in_photos`, dev, that were named by drawings of `reference_logos`, none is called altered; at a rest
of 0.85, 5."""

WEAK = 1.2
"""Evidence from which a mark that is not claimed is a finding: half of a claim. As measured on ``benchmarks/marks_real.py``,
dev, before small marks were looked at again, 9 of 51 photos that nothing names have one of the right brand; of 266 photos of
other things 7 have one of any."""

NEAREST_MISSES = 3


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
        self._prepared: Marks | None = None
        self._lockups = Lockups(catalog, self.config.effort.reading)
        self._words = WordMarks(catalog, self.config.effort.reading)
        if any(brand.logos for brand in catalog.brands.values()):
            network.check()  # now, not photo by photo

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        return [list(self._examine(query)) for query in queries]

    def warm_up(self) -> None:
        """Describe the catalog's marks, and measure what they score on photos of other things."""
        self._marks()

    def fingerprint(self) -> str:
        # The network's files are named by their hashes in its code.
        packages = ("rapidocr", "onnxruntime", "opencv-python-headless")
        return fingerprint_of(self, files=(STATISTICS,), packages=packages)

    def _marks(self) -> Marks:
        with self._lock:
            if self._prepared is None:
                self._prepared = Marks(self._catalog, self.config.effort.keypoints)
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
                printed = [s for s in seen if s.value >= 0.5 and self._is_print(photo, s)]
            except ImageError as error:
                failed = Message("The photo could not be read: {error}", error=error.said)
                yield Finding.failed("logo", failed, photo_id=photo.photo_id)
                continue
            looked += 1
            misses += printed
            seen = [s for s in seen if s not in printed]
            misses += [s for s in seen if s.evidence < WEAK]
            for finding in self._findings(photo, seen):
                key = (finding.signal, finding.brand or "")
                if key not in best or (finding.value or 0.0) > (best[key].value or 0.0):
                    best[key] = finding
        yield from best.values()
        if looked and not any(signal == "logo" for signal, _ in best):
            nothing = Message("No mark of the catalog was found in the photos.")
            yield Finding.abstained("logo", self._with_nearest(nothing, misses))

    def _findings(self, photo: PhotoContext, seen: Sequence[Seen]) -> Iterator[Finding]:
        for s in (s for s in seen if s.evidence >= WEAK):
            misses = [other for other in seen if other.value < 0.5 and other.brand != s.brand]
            reason = self._by_what(s)
            if s.value < 0.5:
                little = Message("That is too little for a claim by itself.")
                reason = Message("{sentence} {next}", sentence=reason, next=little)
            yield Finding(
                "logo",
                FindingStatus.OK,
                s.value,
                self._with_nearest(reason, misses),
                photo_id=photo.photo_id,
                brand=s.brand,
                evidence=self._evidence(s),
            )
            if s.value >= 0.5 and s.sighting is not None and not s.sighting.repeats:
                placed = judge(photo.image, s.sighting.reference, s.sighting.transform)
                if placed is not None:
                    yield from self._tampered(photo, s, placed, difference(placed))
                yield from self._reworded(photo, s, self._lockups.word_instead(photo, s.sighting))

    def _is_print(self, photo: PhotoContext, seen: Seen) -> bool:
        """Say whether other words were taken for the mark's; beside the brand's own figure they are an alteration."""
        if not self._words.other_words(photo, seen):
            return False
        return seen.sighting is None or self._lockups.word_instead(photo, seen.sighting) is None

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
            said.append(Message("its shape is {score:.1f} standard deviations above chance", score=score))
        if seen.learnt is not None:
            score = seen.learnt.score
            said.append(Message("the trained network puts it {score:.1f} standard deviations above chance", score=score))
        if seen.value < 0.5:
            return Message("Something like the mark of {brand} is in the photo: {how}.", brand=called, how=tuple(said))
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

    def _reworded(self, photo: PhotoContext, seen: Seen, line: Reading | None) -> Iterator[Finding]:
        if line is None:
            return
        called = self._called(seen.brand)
        polygon = [[round(x, 1), round(y, 1)] for x, y in line.polygon]
        reading = {"reading": line.text, "reference": called, "alignment": [], "confidence": round(line.confidence, 3)}
        yield Finding(
            "logo_tamper",
            FindingStatus.OK,
            OTHER_WORD,
            Message("The mark of {brand} has another word where its own belongs: “{text}”.", brand=called, text=line.text),
            photo_id=photo.photo_id,
            brand=seen.brand,
            labels=(Label.LOOKALIKE,),
            evidence=self._evidence(seen) | {"readings": [reading | {"polygon": polygon}]},
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
            facts[Message("shape, standard deviations above chance")] = round(seen.shape.score, 1)
        if seen.learnt is not None:
            facts[Message("trained network, standard deviations above chance")] = round(seen.learnt.score, 1)
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
