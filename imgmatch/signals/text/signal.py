"""Text: which brand do a listing's photos and words claim, in what words, and is a wordmark misspelt?

Findings
--------
text
    A brand's wordmark is read in a photo.
claim
    The title, the description or the brand column names a brand.
logo_tamper
    A wordmark-like line is *near* a mark but written otherwise, and re-readings agree that it is no misreading.
wording
    Replica wording in the listing's words or printed in a photo, or a brand's name in disguise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.lexicon import Lexicon, Phrase
from imgmatch.market.mentions import Mention, NameFinder
from imgmatch.market.wordmarks import CHANCE, Line, Match, WordmarkMatcher, align, spellings
from imgmatch.messages import Message
from imgmatch.names import fold, letters, read_in_part
from imgmatch.signals.base import Signal, fingerprint_of
from imgmatch.signals.text.misspelt import (
    MISSPELT_CENTRE,
    MISSPELT_SLOPE,
    WELL_READ,
    another_word,
    misspelt_ratio,
    rightly_spelled,
)
from imgmatch.signals.text.place import alone, aside
from imgmatch.signals.text.settings import TextConfig
from imgmatch.types import Finding, FindingStatus, Label
from imgmatch.vision import ocr

__all__ = ["TextSignal"]

EVERYDAY = 0.45
"""Most that a name which is also an ordinary word is worth alone: below any claim, above nothing."""

SURE = 0.93
"""Mean letter confidence from which a line says what was read and no other word is compared with it."""

RATIO_CENTRE, RATIO_SLOPE, RATIO_APART = -4.5, 1.0, 10.0
"""Value 0.5, and steepness, of how much less likely a mark's letters are than the ones that were read, in nats; and by how
much they must be likelier than the next brand's. On the dev half of the photos of ``benchmarks/words.py`` the marks
that unsure lines show reach -1.7 and -3.5 (and -5.1, read by its letters too), all others -5.2 at most."""

_READS = {
    "exact": Message("A line in the photo reads {mark}: “{text}”.").id,
    "partial": Message("A line in the photo is cut off but reads {mark}: “{text}”.").id,
    "near": Message("A line in the photo reads nearly {mark}: “{text}”.").id,
}


class TextSignal(Signal):
    """Brand claims in words.

    Parameters
    ----------
    catalog : Catalog
        Its brands' wordmarks and aliases.
    config : TextConfig
    """

    name = "text"
    Config = TextConfig

    def __init__(self, catalog: Any, config: TextConfig | None = None) -> None:
        self._catalog = catalog
        self.config = TextConfig() if config is None else config

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.load(self.config.lexicon)

    @cached_property
    def _matcher(self) -> WordmarkMatcher:
        return WordmarkMatcher(self._catalog.brands, self._lexicon.everyday)

    @cached_property
    def _names(self) -> NameFinder:
        return NameFinder(self._catalog.brands, self._lexicon.everyday, self._lexicon.nicknames)

    def warm_up(self) -> None:
        """Load the models that find and read lines, where the extra is installed."""
        self._matcher, self._names  # noqa: B018 - makes them
        if ocr.available():
            ocr.warm_up()

    def fingerprint(self) -> str:
        own = [] if self.config.lexicon is None else [self.config.lexicon]
        return fingerprint_of(self, files=own, packages=("rapidocr", "onnxruntime", "opencv-python-headless"))

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        return [self._examine(query) for query in queries]

    def _examine(self, query: Query) -> list[Finding]:
        likely = {c.brand for c in query.candidates[:3]}
        findings = [*self._in_photos(query.photos, likely)]
        listing = query.listing
        texts = listing.texts
        mentions = {where: self._names.find(text) for where, text in texts.items()}
        findings += self._claims(mentions, listing.brand_claim, likely)
        findings += self._wording(texts, mentions)
        of_texts = ("claim", "wording")
        return [replace(f, reason=read_in_part(f.reason, texts)) if f.signal in of_texts else f for f in findings]

    # The listing's own words

    def _claims(self, mentions: dict[str, list[Mention]], column: str | None, likely: set[str]) -> Iterator[Finding]:
        best: dict[str, tuple[float, str, Mention]] = {}
        # In the brand column a name is a name, ordinary word or not.
        named: list[tuple[float, str, Mention]] = [(1.0, Message("brand column"), m) for m in self._names.find(column or "")]
        for where, found in mentions.items():
            for m in found:
                value = EVERYDAY if m.everyday and m.brand not in likely else 0.95 if where == "title" else 0.9
                named.append((value, where, m))
        for value, where, m in named:
            if m.brand not in best or value > best[m.brand][0]:
                best[m.brand] = (value, where, m)
        for brand, (value, where, m) in best.items():
            reason = Message("The {where} names {brand}: “{text}”.", where=where, brand=self._called(brand), text=m.raw)
            if value == EVERYDAY:
                reason = Message(
                    "The {where} has “{text}”, which may be {brand} or the ordinary word.",
                    where=where,
                    text=m.raw,
                    brand=self._called(brand),
                )
            yield Finding("claim", FindingStatus.OK, value, reason, brand=brand, evidence={"readings": [_said(m)]})
        if not best:
            nothing = Message("The listing's words name no brand of the catalog.")
            yield Finding.abstained("claim", nothing if mentions or column else Message("The listing has no text."))

    def _wording(self, texts: dict[str, str], mentions: dict[str, list[Mention]]) -> Iterator[Finding]:
        found = False
        for where, text in texts.items():
            for m in (m for m in mentions[where] if m.disguise):
                found = True
                reason = Message(
                    "The {where} disguises the name {brand} as “{text}”: {how}.",
                    where=where,
                    brand=self._called(m.brand),
                    text=m.raw,
                    how=m.disguise,
                )
                yield Finding(
                    "wording",
                    FindingStatus.OK,
                    0.85,
                    reason,
                    brand=m.brand,
                    evidence={"readings": [_said(m)]},
                    labels=(Label.COUNTERFEIT_SUSPECTED,),
                )
            phrases = self._lexicon.find(text)
            if phrases:
                found = True
                yield _worded(where, phrases)
        if not found:
            nothing = Message("No replica wording was found.")
            yield Finding.abstained("wording", nothing if texts else Message("The listing has no text."))

    # The photos

    def _in_photos(self, photos: Sequence[PhotoContext], likely: set[str]) -> Iterator[Finding]:
        if not photos:
            yield Finding.abstained("text", Message("There is no readable photo."))
            return
        if not ocr.available():
            needs = Message("Reading the text in photos needs an extra: pip install 'imgmatch[ocr]'.")
            yield Finding.abstained("text", needs)
            return
        best: dict[str, Finding] = {}
        read, lines = 0, 0
        skipped: dict[str, tuple[Message, ...]] = {}
        for photo in photos:
            try:
                readings = ocr.read(photo, self.config.effort.reading)
            except ImageError as error:
                failed = Message("The photo could not be read: {error}", error=error.said)
                yield Finding.failed("text", failed, photo_id=photo.photo_id)
                continue
            read, lines = read + 1, lines + len(readings)
            if note := ocr.passed_over(photo, self.config.effort.reading):
                skipped[photo.photo_id] = note
            # Only what says so openly: photos show shop signs and newspapers too.
            printed = self._lexicon.find("\n".join(r.text for r in readings if r.confidence >= WELL_READ))
            if strong := [p for p in printed if p.strength == "strong"]:
                best.setdefault("wording", replace(_worded(Message("photo"), strong), photo_id=photo.photo_id))
            matches = self._matcher.match(readings)
            # A line near a mark that the same photo also shows rightly spelled is, as a rule, that mark misread.
            right = {m.brand for m in matches if rightly_spelled(m, self._catalog.brands[m.brand])}
            for match in matches:
                misspelt = None if match.brand in right else self._misspelt(photo, match, readings)
                finding = misspelt or self._claim(photo, match, readings, likely)
                if finding is not None:
                    _keep(best, finding)
            claimed = any(f.signal in ("text", "logo_tamper") and (f.value or 0.0) >= 0.5 for f in best.values())
            if not claimed:  # what else may the unsure lines say?
                for finding in self._rescored(photo, readings):
                    _keep(best, finding)
        for f in best.values():
            some = skipped.get(f.photo_id or "")
            yield replace(f, reason=_partly(f.reason, some)) if some else f
        if not any(f.signal == "text" for f in best.values()) and read:
            why = Message("No brand of the catalog can be read in the photos (lines of text: {count}).", count=lines)
            notes = tuple(
                Message("{photo}: {notes}", photo=photo_id, notes=note) for photo_id, note in sorted(skipped.items())
            )
            yield Finding.abstained("text", _partly(why, notes) if notes else why)

    def _claim(self, photo: PhotoContext, match: Match, readings: Sequence[ocr.Reading], likely: set[str]) -> Finding | None:
        # Compared with the few marks of a brand that the photo's looks suggest, fewer matches are due to chance.
        chance = match.chance / len(self._matcher) if match.brand in likely else match.chance
        # An ordinary word is a mark only where it is written as the mark is (where nobody listed how that is, as the brand
        # is called, or in capitals), and claims by itself only where it stands alone.
        wordmarks, mark = self._catalog.brands[match.brand].wordmarks, letters(match.mark)
        forms = (mark,) if wordmarks else (mark, mark.upper())
        if chance > CHANCE or (match.everyday and letters(match.reading) not in forms):
            return None
        similarity = 1.0 - match.distance / max(len(fold(match.mark)), 1)
        value = match.line.confidence * similarity / (1.0 + chance)
        is_mark = (match.mark in wordmarks or not wordmarks) and match.whole
        if match.everyday and match.brand not in likely and not (is_mark and alone(match.line.parts, readings)):
            value = min(value, EVERYDAY)
        beside_it = match.brand not in likely and aside(photo, match.line.parts)
        other = another_word(photo, match, self._catalog.brands[match.brand])
        if beside_it or other:
            value = min(value, EVERYDAY)
        reason = Message(_READS[match.kind], mark=match.mark, text=match.reading)
        if other:
            surely = Message("Its letters are surely these: it may be another word.")
            reason = Message("{sentence} {next}", sentence=reason, next=surely)
        if beside_it:
            beside = Message("It is small and in a corner, perhaps on something beside the product.")
            reason = Message("{sentence} {next}", sentence=reason, next=beside)
        return Finding(
            "text",
            FindingStatus.OK,
            min(max(value, 0.0), 1.0),
            reason,
            photo_id=photo.photo_id,
            brand=match.brand,
            evidence={
                "readings": _readings(match),
                "facts": {Message("matches expected by chance"): float(f"{chance:.2g}")},
            },
        )

    def _rescored(self, photo: PhotoContext, readings: Sequence[ocr.Reading]) -> Iterator[Finding]:
        """Score marks on the pixels of lines that were read unsurely: small, blurred or ornate print."""
        for reading in readings:
            akin = self._matcher.akin(reading.text) if reading.confidence < SURE else []
            if not akin:
                continue
            forms = [(brand, mark, form) for brand, mark in akin for form in spellings(mark)]
            [scores] = ocr.log_likelihoods(photo, reading, [reading.text, *(f for _, _, f in forms)], ocr.VIEWS[:1])
            ratios = scores[1:] - scores[0]
            top = int(ratios.argmax())
            brand, mark, _ = forms[top]
            others = [r for r, (b, _, _) in zip(ratios, forms, strict=True) if b != brand]
            value = 0.9 / (1.0 + math.exp(-(float(ratios[top]) - RATIO_CENTRE) / RATIO_SLOPE))
            if value < 0.45 or ratios[top] - max(others, default=-math.inf) < RATIO_APART:
                continue
            match = Match(
                brand,
                mark,
                line=Line((reading,)),
                reading=reading.text,
                kind="near",
                distance=0,
                chance=0.0,
                whole=True,
                everyday=False,
            )
            yield Finding(
                "text",
                FindingStatus.OK,
                value,
                Message("A barely readable line in the photo is most like {mark}: “{text}”.", mark=mark, text=reading.text),
                photo_id=photo.photo_id,
                brand=brand,
                evidence={
                    "readings": _readings(match),
                    "facts": {Message("log likelihood ratio of the mark to the reading"): round(float(ratios[top]), 1)},
                },
            )

    def _misspelt(self, photo: PhotoContext, match: Match, readings: Sequence[ocr.Reading]) -> Finding | None:
        ratio = misspelt_ratio(photo, match, self._catalog.brands[match.brand], readings)
        value = 0.0 if ratio is None else 1.0 / (1.0 + math.exp(-(ratio - MISSPELT_CENTRE) / MISSPELT_SLOPE))
        if ratio is None or value < 0.5:
            return None
        return Finding(
            "logo_tamper",
            FindingStatus.OK,
            value,
            Message(
                "The photo reads “{text}” where {mark} is expected: close to the mark, but misspelt.",
                text=match.reading,
                mark=match.mark,
            ),
            photo_id=photo.photo_id,
            brand=match.brand,
            labels=(Label.COUNTERFEIT_SUSPECTED, Label.LOOKALIKE),
            evidence={
                "readings": _readings(match),
                "facts": {Message("log likelihood ratio of the two spellings"): round(ratio, 1)},
            },
        )

    def _called(self, brand: str) -> str:
        return self._catalog.brands[brand].name or brand


def _keep(best: dict[str, Finding], finding: Finding) -> None:
    key = f"{finding.signal} {finding.brand}"
    if key not in best or (finding.value or 0) > (best[key].value or 0):
        best[key] = finding


def _readings(match: Match) -> list[dict[str, Any]]:
    pairs = _aligned(match.reading, match.mark)
    return [
        {
            "reading": part.text,
            "reference": match.mark,
            "alignment": pairs if len(match.line.parts) == 1 else [],
            "confidence": round(part.confidence, 3),
            "polygon": [[round(x, 1), round(y, 1)] for x, y in part.polygon],
        }
        for part in match.line.parts
    ]


def _partly(reason: str, notes: Sequence[Message]) -> Message:
    """Add to a sentence what of the photos was not read."""
    unread = Message("Not everything was read: {notes}.", notes=tuple(notes))
    return Message("{sentence} {next}", sentence=reason, next=unread)


def _worded(where: str, phrases: Sequence[Phrase]) -> Finding:
    strong = [p for p in phrases if p.strength == "strong"]
    said = tuple(f"“{p.text}”" for p in (strong or phrases)[:4])
    openly = Message("The {where} openly offers a replica: {phrases}.", where=where, phrases=said)
    hinted = Message("The {where} uses words that are common for replicas: {phrases}.", where=where, phrases=said)
    return Finding(
        "wording",
        FindingStatus.OK,
        0.9 if strong else 0.55,
        openly if strong else hinted,
        evidence={"facts": {f"“{p.text}” ({p.language})": p.strength for p in phrases[:8]}},
        labels=(Label.COUNTERFEIT_SUSPECTED,) if strong else (),
    )


def _said(mention: Mention) -> dict[str, Any]:
    return {
        "reading": mention.raw,
        "reference": mention.mark,
        "alignment": _aligned(mention.raw, mention.mark),
    }


def _aligned(reading: str, mark: str) -> list[list[str]]:
    """Set a reading under the rightful spelling that is nearest to it: GUCCI and Gucci do not differ, GuCCI does."""
    rows = [align(reading, form) for form in spellings(mark)]
    return [list(pair) for pair in min(rows, key=lambda row: sum(a != b for a, b in row))]
