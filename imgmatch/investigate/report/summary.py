"""What all rows of a scan amount to: counts, the strongest rows, and what to do next."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgmatch.investigate.report import words
from imgmatch.messages import Message
from imgmatch.records import ScanRecord
from imgmatch.types import Decision, Verdict

__all__ = ["Summary", "listing_count", "read_strongest", "strength"]

_FAILURES_SHOWN = 50
_BRANDS_SHOWN = 12
_QUIET_DRAWN = 50  # nothing was found about them: some to see what was cleared; opening more is most of a page's cost
_TITLE_KEPT = 2000


_NO_BRAND = Message("no brand named")


def listing_count(count: int) -> Message:
    """Say how many listings there are."""
    return Message("1 listing") if count == 1 else Message("{count:,} listings", count=count)


@dataclass(slots=True)
class Summary:
    """What all rows of a scan amount to."""

    total: int = 0
    shown: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    shown_decisions: Counter[str] = field(default_factory=Counter)
    labels: Counter[Message] = field(default_factory=Counter)
    brands: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    uncalibrated: int = 0
    called: Mapping[str, str] = field(default_factory=dict)
    """What people call a brand, by its id."""

    def add(self, record: ScanRecord) -> None:
        self.total += 1
        verdict = record.verdict
        if verdict is None:
            self.decisions["failed"] += 1
            if len(self.failures) < _FAILURES_SHOWN:
                self.failures.append((words.plain(record.listing_id, 80), words.plain(record.error, 300)))
            return
        self.decisions[verdict.decision] += 1
        self.uncalibrated += verdict.probability is None
        if verdict.decision is Decision.UNJUDGED:
            self.unjudged[verdict.brand or ""] += 1
        elif verdict.decision is not Decision.CLEAR:
            self.labels.update(words.LABEL_WORDS[label] for label in verdict.labels)
            self.brands[verdict.brand or _NO_BRAND] += 1

    def _most(self, brands: Counter[str]) -> list[tuple[str, int]]:
        ordered = sorted(brands.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(words.plain(self.called.get(brand, brand), 60), count) for brand, count in ordered[:_BRANDS_SHOWN]]

    @property
    def heading(self) -> Message:
        leads = self.decisions["lead"]
        counted = Message("1 lead") if leads == 1 else Message("{count:,} leads", count=leads)
        return Message("{leads} in {listings}", leads=counted, listings=listing_count(self.total))

    @property
    def tallies(self) -> list[tuple[Message, Sequence[tuple[str, int]]]]:
        """What is counted beside the decisions, each most frequent first."""
        return [
            (Message("Points to"), self.labels.most_common()),
            (Message("Brands in leads and reviews"), self._most(self.brands)),
            (Message("Brands shown, unjudged"), self._most(self.unjudged)),
        ]

    def next_steps(self, rings: int) -> Iterator[tuple[Message, Message]]:
        """Yield what a reader does next, in order: in a few words, and how."""
        count = self.decisions
        if count["lead"]:
            how = Message("Strongest first: the reasons are beside the photos, and what was compared opens below them.")
            yield Message("Look at the leads: {count:,}.", count=count["lead"]), how
        if rings:
            how = Message("These sellers share photos, contacts or places; imgmatch case packs one group as a case file.")
            yield Message("See which sellers belong together: {count:,} groups.", count=rings), how
        if count["review"]:
            how = Message("Something contradicts the claim but is not enough for a lead, or photos could not be read.")
            yield Message("Then review: {count:,}.", count=count["review"]), how
        if count["unjudged"]:
            how = Message(
                "They show a brand, and nothing else is known. Scan again with a price, a seller or an address (--set)."
            )
            yield Message("Find out more about the unjudged ones: {count:,}.", count=count["unjudged"]), how
        if count["failed"]:
            how = Message("The reasons are at the end of this page.")
            yield Message("Scan again what could not be examined: {count:,}.", count=count["failed"]), how
        if count["lead"] or count["review"]:
            how = Message("Use imgmatch label or the desk: later scans learn from it.")
            yield (
                Message(
                    "Record what you decide.",
                ),
                how,
            )
        else:
            how = Message("That does not say that the goods are authentic.")
            yield Message("Nothing here contradicts a claim."), how


def read_strongest(records: Iterable[ScanRecord], limit: int) -> tuple[Summary, list[ScanRecord]]:
    """Count all rows and keep the strongest, as few bytes of each as the page needs."""
    summary = Summary()
    heap: list[tuple[tuple[float, ...], ScanRecord]] = []
    for order, record in enumerate(records):
        summary.add(record)
        if record.verdict is None or limit < 1:
            continue
        key = (*strength(record.verdict), -order)
        if len(heap) < limit:
            heapq.heappush(heap, (key, _light(record)))
        elif key > heap[0][0]:
            heapq.heapreplace(heap, (key, _light(record)))
    strongest = [record for _, record in sorted(heap, key=lambda pair: pair[0], reverse=True)]
    of = {d: [r for r in strongest if r.verdict and r.verdict.decision is d] for d in Decision}
    unjudged = sorted(
        of[Decision.UNJUDGED], key=lambda r: r.verdict.brand or "" if r.verdict else ""
    )  # stable: surest first
    strongest = of[Decision.LEAD] + of[Decision.REVIEW] + unjudged + of[Decision.CLEAR][:_QUIET_DRAWN]
    summary.shown = len(strongest)
    summary.shown_decisions.update(str(r.verdict.decision) for r in strongest if r.verdict)
    return summary, strongest


def strength(verdict: Verdict) -> tuple[float, float, float]:
    """Return what listings are ordered by; greater is stronger."""
    if verdict.decision is Decision.UNJUDGED:
        return float(verdict.decision.rank), verdict.certainty or 0.0, verdict.similarity or 0.0
    pointing = [f.value for f in verdict.findings if f.value is not None and f.labels]
    second = verdict.rank if verdict.rank is not None else max(pointing, default=0.0)
    return float(verdict.decision.rank), second, verdict.similarity or 0.0


def _light(record: ScanRecord) -> ScanRecord:
    """Return the record without the long texts that the page does not show: a title may be megabytes."""
    title = record.listing.title and record.listing.title[:_TITLE_KEPT]
    listing = replace(record.listing, title=title, description=None, promo_text=None, extra={})
    return replace(record, listing=listing, extra={})
