"""report.html: one self-contained page for a scan, the strongest listings with their evidence drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgmatch.investigate.report import figures, words
from imgmatch.investigate.report.pages import environment
from imgmatch.investigate.report.pictures import Gallery, Picture
from imgmatch.investigate.report.rings_page import show_rings
from imgmatch.investigate.report.summary import read_strongest
from imgmatch.investigate.rings import Ring
from imgmatch.investigate.rings.market import photo_opener
from imgmatch.io.files import atomic_write
from imgmatch.market.contacts import mask_contact
from imgmatch.messages import Message, listed
from imgmatch.records import PhotoRecord, ScanRecord
from imgmatch.types import Finding, FindingStatus, Label

__all__ = ["Entry", "EntryMaker", "write_report"]

_STRIP = 6
_OVERLAYS = 2
_UNCALIBRATED = Message("none: the rules alone decide, without ranks or probabilities")

_Query = Callable[["str | None"], "Picture | None"]  # opens a photo of the listing at hand by its id


def write_report(
    records: Iterable[ScanRecord],
    *,
    photo_root: Path,
    catalog: Any,
    run: Mapping[str, Any],
    out: Path,
    limit: int = 500,
    rings: Sequence[Ring] = (),
    lang: str = "en",
) -> None:
    """Write the report of a scan.

    Parameters
    ----------
    records : iterable of ScanRecord
        Read once; may be long. Memory holds the strongest `limit` rows and one row's pictures.
    photo_root : Path
        Folder that the photo paths of the records are relative to. A photo that has changed since the scan is not shown.
    catalog : Catalog
        The references.
    run : mapping
        What ``run.json`` holds; shown are ``source``, ``started``, ``imgmatch``, ``calibration``, ``config_fingerprint`` and
        the operating point of ``config``.
    out : Path
        The HTML file: self-contained, without scripts, opens no connection.
    limit : int
        Listings shown with pictures, strongest first, unjudged ones by brand and surest first, at most 50 of them clear; the
        rest is counted.
    rings : sequence of Ring
        Sellers tied by shared photos, drawn above the listings.
    lang : str
        Language of the page, one of :func:`imgmatch.messages.languages`; what was captured stays as it is.

    Notes
    -----
    Strength: decision, then rank (without one, the strongest finding that points to something; of an unjudged listing how
    sure its brand is), then similarity, then input order.
    """
    summary, strongest = read_strongest(records, limit)
    summary.called = {brand_id: brand.name or brand_id for brand_id, brand in catalog.brands.items()}
    maker = EntryMaker(Gallery([photo_root], catalog), catalog)
    template = environment(lang).get_template("report.html")
    page = template.stream(
        run=_run_words(run, catalog),
        heading=summary.heading,
        next=list(summary.next_steps(len(rings))),
        tallies=summary.tallies,
        summary=summary,
        entries=(maker.entry(record, rank) for rank, record in enumerate(strongest, 1)),
        rings=list(show_rings(rings, photo_opener([photo_root]), summary.called)),
    )
    with atomic_write(out) as f:
        f.writelines(page)


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding as the page shows it."""

    name: str
    status: str
    value: float | None
    reason: str
    about: str
    labels: tuple[str, ...]
    drawing: figures.Drawing


@dataclass(frozen=True, slots=True)
class Entry:
    """A listing as the page shows it: text ready to read, and drawings."""

    rank: int
    record: ScanRecord
    decision: str
    title: str
    details: tuple[tuple[str, str], ...]
    url: str
    link: str | None
    claim: str
    item: str
    basis: str
    reasons: tuple[str, ...]
    labels: tuple[str, ...]
    score: float | None
    probability: float | None
    calibration: str
    shown_by: str
    certainty: float | None
    similarity: float | None
    main: figures.Pair | None
    promo: figures.Pair | None
    """What the post shows beside what its link leads to, where there is a promo photo."""
    strip: tuple[figures.Place, ...]
    more_photos: int
    findings: tuple[Shown, ...]
    silent: tuple[Shown, ...]
    pictures: tuple[tuple[str, str, int, int], ...]
    """(key, address, width, height) of the pictures that no earlier entry has brought."""

    @property
    def telling(self) -> Shown | None:
        """The surest finding that points to something and can be shown: a lead opens with it."""
        return next((f for f in self.findings if f.labels and not f.drawing.empty), None)


class EntryMaker:
    """Makes entries and remembers which pictures the page already holds.

    Parameters
    ----------
    gallery : Gallery
    catalog : Catalog or None
    """

    def __init__(self, gallery: Gallery, catalog: Any) -> None:
        self._gallery = gallery
        self._catalog = catalog
        self._embedded: set[str] = set()

    def entry(self, record: ScanRecord, rank: int = 0) -> Entry:
        """Return what the page shows of one examined listing."""
        verdict, listing = record.verdict, record.listing
        if verdict is None:
            raise ValueError("expected a record with a verdict")
        photos = {p.photo_id: p for p in record.photos}
        opened: dict[str, Picture | None] = {}

        def query(photo_id: str | None) -> Picture | None:
            if photo_id not in photos:
                return None
            if photo_id not in opened:
                opened[photo_id] = self._gallery.query(photos[photo_id])
            return opened[photo_id]

        best = verdict.candidates[0] if verdict.candidates else None
        first = next((p.photo_id for p in record.photos if p.status == "ok"), None)
        main_id = best.photo_id if best and best.photo_id in photos else first
        main_reference = self._gallery.reference(best.photo if best else None)
        used = [query(main_id), main_reference]

        shown = self._findings(record, query, main_id, used)
        promo = self._promo(record, query, used)
        strip_ids = [p.photo_id for p in record.photos if p.photo_id != main_id and p.status == "ok"]
        strip = self._strip(strip_ids[:_STRIP], query, used)
        return Entry(
            rank=rank,
            record=record,
            decision=str(verdict.decision),
            title=words.plain(listing.title, 300) or Message("(no title)"),
            details=tuple(_details(record)),
            url=words.plain(listing.url, 300),
            link=words.safe_url(listing.url),
            claim=self._brand(verdict.brand),
            item=self._item(verdict.item_id),
            basis=words.BASIS_WORDS[verdict.basis],
            reasons=tuple(words.plain(r, 500) for r in verdict.reasons),
            labels=tuple(words.LABEL_WORDS[label] for label in verdict.labels),
            score=verdict.rank,
            probability=verdict.probability,
            calibration=words.plain(verdict.calibration, 200),
            shown_by=listed(*(words.signal_words(name) for name in verdict.shown_by)),
            certainty=verdict.certainty,
            similarity=verdict.similarity,
            main=figures.pair(used[0], main_reference, photo_id=main_id or ""),
            promo=promo,
            strip=tuple(strip),
            more_photos=len(strip_ids) - len(strip),
            findings=tuple(s for s in shown if s.value),
            silent=tuple(s for s in shown if not s.value),
            pictures=tuple(self._new(used)),
        )

    def _findings(self, record: ScanRecord, query: _Query, main_id: str | None, used: list[Picture | None]) -> list[Shown]:
        """Draw the findings, strongest first; the pictures that they stand on are added to `used`."""
        photos = {p.photo_id: p for p in record.photos}
        shown: list[Shown] = []
        findings = record.verdict.findings if record.verdict else ()
        for finding in sorted((f for f in findings if f.signal != "rank"), key=lambda f: -(f.value or 0.0)):
            reference = self._gallery.reference(_text_or_none(finding.evidence.get("reference_photo")))
            picture = query(finding.photo_id or (main_id if finding.evidence else None))
            overlays = sum(s.drawing.overlay is not None for s in shown) < _OVERLAYS
            drawing = figures.draw(finding, picture, reference, overlays=overlays)
            if drawing.pair:
                used += [picture, reference]
            shown.append(_shown(finding, drawing, photos))
        return shown

    def _strip(self, photo_ids: list[str], query: _Query, used: list[Picture | None]) -> list[figures.Place]:
        """Return the listing's other photos, each alone."""
        strip: list[figures.Place] = []
        for photo_id in photo_ids:
            if (picture := query(photo_id)) is not None:
                alone = figures.pair(picture, None)
                strip += [replace(place, caption=photo_id) for place in alone.places] if alone else []
                used.append(picture)
        return strip

    def _promo(self, record: ScanRecord, query: _Query, used: list[Picture | None]) -> figures.Pair | None:
        """Put the promo photo that makes the claim beside the first photo of the listing that it leads to."""
        findings = record.verdict.findings if record.verdict else ()
        claims = {f.photo_id for f in findings if Label.BAIT_AND_SWITCH in f.labels}
        promo = sorted((p for p in record.photos if p.role == "promo"), key=lambda p: p.photo_id not in claims)
        offer = [p for p in record.photos if p.role == "listing"]
        left, right = (next(filter(None, (query(p.photo_id) for p in side)), None) for side in (promo, offer))
        drawn = figures.pair(left, right) if left is not None and right is not None else None
        if drawn is None:
            return None
        used += [left, right]
        captions = (Message("what the post shows"), Message("what its link leads to"))
        return replace(drawn, places=tuple(replace(p, caption=c) for p, c in zip(drawn.places, captions, strict=True)))

    def _new(self, pictures: Iterable[Picture | None]) -> Iterator[tuple[str, str, int, int]]:
        for picture in pictures:
            if picture is not None and picture.key not in self._embedded:
                self._embedded.add(picture.key)
                yield picture.key, picture.uri(), picture.width, picture.height

    def _brand(self, brand: str | None) -> str:
        known = self._catalog.brands.get(brand) if brand and self._catalog is not None else None
        return words.plain((known.name if known else "") or brand, 80)

    def _item(self, item_id: str | None) -> str:
        if not item_id:
            return ""
        item = self._catalog.items.get(item_id) if self._catalog is not None else None
        named = (item.name or " ".join(filter(None, (item.model, item.variant)))) if item else ""
        return words.plain(named or item_id, 120)


_STATUSES = {
    FindingStatus.OK: Message("nothing found"),  # said of findings with value 0 alone
    FindingStatus.ABSTAINED: Message("could not tell"),
    FindingStatus.FAILED: Message("failed"),
}


def _shown(finding: Finding, drawing: figures.Drawing, photos: Mapping[str, PhotoRecord]) -> Shown:
    return Shown(
        name=words.signal_words(finding.signal),
        status=_STATUSES[finding.status],
        value=finding.value,
        reason=words.plain(finding.reason, 500),
        about=finding.photo_id if finding.photo_id in photos and finding.photo_id else "",
        labels=tuple(words.LABEL_WORDS[label] for label in finding.labels),
        drawing=drawing,
    )


def _capture_hash(capture: Any) -> str:
    """Say what the bytes of a captured page hash to."""
    return f"sha256 {capture.get('sha256')}" if isinstance(capture, Mapping) else ""


def _details(record: ScanRecord) -> Iterator[tuple[str, str]]:
    """The facts of a listing as it was captured, those that are there."""
    listing = record.listing
    price = words.price_words(listing.price, listing.currency)
    for name, value in (
        (Message("price"), price),
        (Message("condition"), listing.condition),
        (Message("quantity"), listing.quantity),
        (Message("seller"), listing.seller_id),
        (Message("platform"), listing.platform),
        (Message("brand claimed"), listing.brand_claim),
        (Message("listed"), words.time_words(listing.listed_at)),
        (Message("captured"), words.time_words(listing.captured_at)),
        (Message("page as captured"), _capture_hash(listing.extra.get("capture"))),
        (Message("contacts"), ", ".join(mask_contact(c) for c in (*listing.contacts, *record.contacts)[:5])),
        (Message("listing id"), listing.listing_id),
    ):
        if value:
            yield name, words.plain(value, 120)


def _run_words(run: Mapping[str, Any], catalog: Any) -> list[tuple[str, str]]:
    """What the run used, in plain words."""
    settings = run.get("config")
    point = settings.get("operating_point") if isinstance(settings, Mapping) else None
    rows = [
        (Message("Encoder"), words.encoder_words(catalog.space.encoder)),
        (
            Message("Calibration"),
            words.plain(_calibration(run), 200) or _UNCALIBRATED,
        ),
        (Message("Operating point"), words.plain(point, 80)),
        (
            Message("Catalog"),
            Message("{count:,} items, version {id}", count=len(catalog.items), id=words.plain(catalog.version, 80)),
        ),
        (Message("Settings fingerprint"), words.plain(run.get("config_fingerprint"), 80)),
        (Message("Listings from"), words.plain(run.get("source"), 120)),
        (Message("Started"), words.plain(words.time_words(run.get("started")), 40)),
        (Message("Software"), f"imgmatch {words.plain(run.get('imgmatch'), 40)}"),
    ]
    return [(name, value) for name, value in rows if value]


def _calibration(run: Mapping[str, Any]) -> Any:
    """Return the calibration of a run; a finished scan's ``run.json`` holds the message as id and parameters."""
    text, messages = run.get("calibration"), run.get("messages")
    said = messages.get("calibration") if isinstance(messages, Mapping) else None
    if not isinstance(text, str) or not isinstance(said, Mapping):
        return text
    try:
        return Message.from_dict(text, said)
    except ValueError:
        return text


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
