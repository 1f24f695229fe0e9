"""Fill the templates of notices with what was found about listings, and with who has reviewed them.

A notice is drafted only about listings that a person has judged, and never from ``unauthorised_seller``, ``lookalike`` or
``ring_member`` alone: selling without the brand's blessing, and looking alike, are no ground by themselves.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgmatch.errors import InputError
from imgmatch.investigate.case.privacy import Masks, contacts_in
from imgmatch.investigate.report.words import LABEL_WORDS, plain, safe_url
from imgmatch.io.sinks import spreadsheet_cell
from imgmatch.records import ScanRecord
from imgmatch.types import Label
from imgmatch.verdicts.labels import LabelRow
from imgmatch.verdicts.negatives import NegativeBank

if TYPE_CHECKING:
    import jinja2

__all__ = [
    "FORMATS",
    "NOTICES",
    "OTHER_REASON",
    "Draft",
    "NoticeItem",
    "Sender",
    "notice_items",
    "render_notice",
    "template_text",
]

NOTICES: Mapping[str, str] = {
    "dsa": "notice to a platform under the Digital Services Act, Article 16",
    "vero": "report items for VeRO, the programme of eBay",
    "letter": "letter",
}
"""Kinds of notices. Regulation (EU) 2022/2065, Article 16(2): explanation, exact location, name and e-mail, good faith."""

FORMATS = ("txt", "csv", "json")

_BETWEEN = f"\n\n{'-' * 30} the next platform {'-' * 30}\n\n"
_STRENGTH = re.compile(r"^(?:Strong contradiction|Weak contradiction|Note): ")  # the rules' own word, of no use in a notice
_OF_US = ("Kept at review: ", "A lead by the rules alone: ")  # how far the software went, not what it found
_GOOD_FAITH = "I have a good-faith belief that the information and allegations in this notice are accurate and complete."
GROUNDS = frozenset({Label.COUNTERFEIT_SUSPECTED, Label.PHOTO_THEFT, Label.BAIT_AND_SWITCH})

_BRAND, _MESSAGE = 50, 1000
"""Most characters of eBay's ``brand`` and ``detailedMessage``.
https://developer.ebay.com/api-docs/commerce/vero/types/ReportItemDetails"""

OTHER_REASON = "9052"
"""eBay's reason code for "other" (7052 on some of its sites), which needs the message; two more are public: 9048, a patent,
which needs its number, and 9037, import, which needs countries (same page). The others it shows to members alone
(https://developer.ebay.com/api-docs/commerce/vero/resources/vero_reason_code/methods/getVeroReasonCodes)."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who will send a notice; a template shows a place to fill in for what is empty."""

    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class NoticeItem:
    """A listing in a notice, in plain words, contacts masked.

    Parameters
    ----------
    decided_by : tuple of (reviewer, day)
        Who judged the indication to be right.
    """

    listing_id: str
    platform: str
    seller: str
    url: str
    title: str
    brand: str
    grounds: tuple[str, ...]
    reasons: tuple[str, ...]
    decided_by: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a notice is about, and what it leaves out: (listing id, why)."""

    items: tuple[NoticeItem, ...]
    left_out: tuple[tuple[str, str], ...]


def notice_items(
    records: Iterable[ScanRecord],
    decisions: Callable[[tuple[str, str, str]], Sequence[LabelRow]],
    *,
    bank: NegativeBank,
    brand_name: Callable[[str], str] = str,
) -> Draft:
    """Choose the listings that a notice may be about.

    Parameters
    ----------
    records : iterable of ScanRecord
    decisions : callable
        Returns the decisions about a listing that stand, by its key.
    bank : NegativeBank
        The catalog's: what rests on a finding that a reviewer called wrong is left out.
    brand_name : callable
        Returns a brand's name by its id.
    """
    items: list[NoticeItem] = []
    left_out: list[tuple[str, str]] = []
    for record in records:
        rows = decisions(record.listing.key)
        why = _not_in(record, rows, bank)
        if why:
            left_out.append((plain(record.listing_id, 80), why))
        else:
            items.append(_item(record, rows, brand_name))
    return Draft(tuple(items), tuple(left_out))


def render_notice(
    kind: str,
    items: Sequence[NoticeItem],
    form: str = "txt",
    *,
    sender: Sender | None = None,
    template: Path | None = None,
    reason_code: str = OTHER_REASON,
) -> str:
    """Write a notice.

    Parameters
    ----------
    kind : str
        One of `NOTICES`.
    items : sequence of NoticeItem
    form : str
        ``txt``, ``csv`` or ``json``.
    sender : Sender, optional
    template : Path, optional
        A Jinja template in place of ours: copy one of ``imgmatch/investigate/notices/*.txt`` and change it.
    reason_code : str
        eBay's, for ``vero``.

    Raises
    ------
    InputError
        Where there is nothing to write about, or a listing lacks what this kind of notice needs, or the template fails.
    """
    if kind not in NOTICES or form not in FORMATS:
        raise ValueError(f"expected one of {', '.join(NOTICES)} and of {', '.join(FORMATS)}, got {kind!r} and {form!r}")
    if not items:
        raise InputError(
            "no listing that a notice could be about: a person has to judge the lead to be right first, and "
            "`unauthorised_seller` or `lookalike` alone are no ground"
        )
    if kind == "dsa" and (missing := [i.listing_id for i in items if not i.url]):
        raise InputError(f"a DSA notice needs the exact address of each listing; there is none for {', '.join(missing[:5])}")
    if not re.fullmatch(r"[0-9]{1,9}", reason_code):
        raise InputError(f"expected a reason code of eBay, a number such as {OTHER_REASON}, got {reason_code[:40]!r}")
    sender = Sender() if sender is None else sender
    if kind == "vero":
        rows = [_report_item(item, reason_code, template) for item in items]
    else:
        rows = [_row(item, sender) for item in items]
    if form == "json":
        return json.dumps({"notice": kind, "items": rows}, indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        out = io.StringIO()
        table = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(
            {k: spreadsheet_cell(v if isinstance(v, str) else "; ".join(v)) for k, v in row.items()} for row in rows
        )
        return out.getvalue()
    if kind == "vero":
        return "\n".join(f"Item {r['itemId']}, reason code {r['veroReasonCodeId']}\n{r['detailedMessage']}\n" for r in rows)
    return _BETWEEN.join(_to_platform(kind, template, group, sender) for group in _by_platform(items))


def _by_platform(items: Sequence[NoticeItem]) -> list[list[NoticeItem]]:
    """Return the items of each platform: a notice goes to one."""
    groups: dict[str, list[NoticeItem]] = {}
    for item in items:
        groups.setdefault(item.platform, []).append(item)
    return list(groups.values())


def _to_platform(kind: str, template: Path | None, items: Sequence[NoticeItem], sender: Sender) -> str:
    brands = sorted({i.brand for i in items if i.brand})
    return _rendered(kind, template, items=items, sender=sender, brands=brands)


def _not_in(record: ScanRecord, rows: Sequence[LabelRow], bank: NegativeBank) -> str:
    """Return why a listing cannot be in a notice; empty where it can."""
    if record.verdict is None:
        return "it was not examined"
    if not rows:
        return "no person has reviewed it"
    against = [r.reviewer or "somebody" for r in rows if r.label != "confirm"]
    if against:
        return f"{' and '.join(plain(name, 60) for name in against)} judged the lead to be wrong"
    if bank.silenced_record(record) != list(record.verdict.findings):
        return "a reviewer called one of its findings wrong: scan it again, so that it says what still holds"
    if not GROUNDS & set(record.verdict.labels):
        said = ", ".join(LABEL_WORDS[label] for label in record.verdict.labels) or "nothing"
        return f"it points to {said}, which is no ground for a notice by itself"
    return ""


def _item(record: ScanRecord, rows: Sequence[LabelRow], brand_name: Callable[[str], str]) -> NoticeItem:
    listing, verdict = record.listing, record.verdict
    assert verdict is not None  # noqa: S101 - see _not_in
    mask = Masks({*listing.contacts, *record.contacts} | contacts_in([record.to_dict()]))
    return NoticeItem(
        listing_id=plain(listing.listing_id, 80),
        platform=plain(listing.platform, 80),
        seller=plain(mask(listing.seller_id or ""), 80),
        url=safe_url(listing.url) or "",
        title=plain(mask(listing.title or ""), 200),
        brand=plain(brand_name(verdict.brand) if verdict.brand else "", 80),
        grounds=tuple(LABEL_WORDS[label] for label in verdict.labels if label in GROUNDS),
        reasons=tuple(plain(mask(_STRENGTH.sub("", r)), 400) for r in verdict.reasons if not r.startswith(_OF_US)),
        decided_by=tuple((plain(r.reviewer, 60) or "a reviewer without a name", r.time[:10]) for r in rows),
    )


def template_text(kind: str, template: Path | None = None) -> str:
    """Return the template of a kind of notice: ours, or the file `template`.

    Raises
    ------
    InputError
        Where it cannot be read.
    """
    try:
        return (files("imgmatch.investigate.notices") / f"{kind}.txt" if template is None else template).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the template cannot be read: {error}", source=str(template or kind)) from error


def _report_item(item: NoticeItem, reason_code: str, template: Path | None) -> dict[str, Any]:
    return {
        "itemId": item.listing_id,
        "veroReasonCodeId": reason_code,
        "brand": item.brand[:_BRAND],
        "detailedMessage": _message(item, template),
    }


def _row(item: NoticeItem, sender: Sender) -> dict[str, Any]:
    return {
        "url": item.url,
        "listing_id": item.listing_id,
        "platform": item.platform,
        "seller": item.seller,
        "title": item.title,
        "brand": item.brand,
        "points_to": list(item.grounds),
        "explanation": list(item.reasons),
        "reviewed_by": [f"{who} {when}" for who, when in item.decided_by],
        "sender_name": sender.name,
        "sender_email": sender.email,
        "statement": _GOOD_FAITH,
    }


def _message(item: NoticeItem, template: Path | None) -> str:
    """Fill the template with as many reasons as there is room for: who has reviewed it is never cut off."""
    for most in range(len(item.reasons), -1, -1):
        text = _rendered("vero", template, item=replace(item, reasons=item.reasons[:most])).strip()
        if len(text) <= _MESSAGE:
            return text
    raise InputError(
        f"the template alone is longer than the {_MESSAGE} characters that eBay takes", source=str(template or "")
    )


def _rendered(kind: str, template: Path | None, **values: Any) -> str:
    text = template_text(kind, template)
    try:
        return _environment().from_string(text).render(**values)
    except Exception as error:  # what somebody changed may raise anything: TypeError, ZeroDivisionError
        raise InputError(f"the template cannot be used: {error}", source=str(template or kind)) from error


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    # Plain text, so nothing is escaped; a template that somebody copied and changed can fill in and do nothing else.
    return SandboxedEnvironment(
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
