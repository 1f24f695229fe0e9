"""Plain words for reports: what decisions and labels are called, and hostile text made safe to read.

All are messages (:mod:`imgmatch.messages`): the page they are printed on says them in its language.

Escaping for HTML is the templates' business (autoescape). Here text is made *readable*: shortened, and with the
characters that lie about themselves (controls, bidirectional overrides, zero-width letters) shown for what they are.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from imgmatch.messages import Message, Money, listed
from imgmatch.types import FINDING_NAMES, Basis, Decision, Label

__all__ = [
    "BASIS_WORDS",
    "DECISION_HELP",
    "DECISION_WORDS",
    "DISCLAIMER",
    "LABEL_WORDS",
    "encoder_words",
    "fact_words",
    "number_words",
    "plain",
    "price_words",
    "safe_url",
    "signal_words",
    "term",
    "time_words",
]

DISCLAIMER = Message("A lead for human review, not proof.")

DECISION_WORDS: Mapping[str, Message] = {
    Decision.LEAD: Message("Lead"),
    Decision.REVIEW: Message("Review"),
    Decision.UNJUDGED: Message("Unjudged"),
    Decision.CLEAR: Message("Clear"),
    "failed": Message("Not examined"),
}

DECISION_HELP: Mapping[str, Message] = {
    Decision.LEAD: Message("The listing claims a brand and something in it contradicts that claim. Look at these first."),
    Decision.REVIEW: Message("Something needs a look, but is not enough for a lead."),
    Decision.UNJUDGED: Message("A brand is shown, but nothing known about the offer supports or contradicts it."),
    Decision.CLEAR: Message("No contradiction was found. This does not say that the goods are authentic."),
    "failed": Message("The listing could not be examined; the reason is given."),
}

BASIS_WORDS: Mapping[str, Message] = {
    Basis.AUTHORISED: Message("The seller is on the brand's list of authorised sellers."),
    Basis.NO_CLAIM: Message("The listing does not present itself as a brand of the catalog."),
    Basis.UNKNOWN_BRAND: Message("Nothing in the catalog is near enough to say which brand this is."),
    Basis.NO_CONTRADICTION: Message("A brand is claimed and nothing found contradicts it."),
    Basis.CONTRADICTION: Message("A brand is claimed and something contradicts the claim."),
    Basis.NOTHING_KNOWN: Message("A brand is shown, but nothing known about the offer supports or contradicts it."),
    Basis.UNREADABLE: Message("Not everything could be read."),
}

LABEL_WORDS: Mapping[str, Message] = {
    Label.COUNTERFEIT_SUSPECTED: Message("counterfeit suspected"),
    Label.LOOKALIKE: Message("lookalike design"),
    Label.PHOTO_THEFT: Message("photo taken from elsewhere"),
    Label.UNAUTHORISED_SELLER: Message("seller not authorised"),
    Label.BAIT_AND_SWITCH: Message("promo and destination disagree"),
    Label.RING_MEMBER: Message("tied to other sellers"),
}

# What readers must know about an encoder before they read a similarity; others are called by their names.
_ENCODER_WORDS: Mapping[str, Message] = {"mobilenet-v2": Message("ImageNet CNN, weaker than CLIP")}

# Values of facts that are words of ours; anything else is shown as it is.
_FACT_VALUES: Mapping[str, Message] = {
    "yes": Message("yes"),
    "no": Message("no"),
    "new": Message("new"),
    "used": Message("used"),
    "strong": Message("strong"),
    "weak": Message("weak"),
    "reference": Message("reference"),
    "known_offender": Message("known offender"),
    "negative": Message("negative"),
}

_SHOWN_AS_CODE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SPACE = re.compile(r"[ \t\r\n\f\v]+")


def plain(text: Any, limit: int = 200) -> str:
    """Return text that shows what it is, on one line, at most about `limit` characters long.

    Parameters
    ----------
    text : object
        None becomes an empty string; anything else is made a string. A message stays one: its parameters are made plain.
    limit : int
        Characters kept; ``…`` says that something was cut.

    Returns
    -------
    str
        Encodable as UTF-8. Control, format and unassigned characters and lone surrogates are shown as ``‹U+202E›``: an
        investigator should see that a title hides a reversed word or a zero-width letter, and must not be led by it.

    Examples
    --------
    >>> plain("GU\\u200bCCI \\u202ebag")
    'GU‹U+200B›CCI ‹U+202E›bag'
    """
    if text is None:
        return ""
    if isinstance(text, Message):
        return text.map(lambda part: plain(part, limit))
    text = str(text)
    short = _SPACE.sub(" ", text[: 4 * limit]).strip()
    shown = "".join(f"‹U+{ord(c):04X}›" if unicodedata.category(c) in _SHOWN_AS_CODE else c for c in short[:limit])
    return f"{shown}…" if len(short) > limit or len(text) > 4 * limit else shown


def safe_url(url: str | None) -> str | None:
    """Return the address if it is plain http(s), else None: only such addresses become links."""
    if not url or len(url) > 2000 or plain(url, 2000) != url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def signal_words(signal: str) -> str:
    """Return what a signal or named finding is called in a report."""
    return FINDING_NAMES.get(signal) or plain(signal.replace("_", " ").capitalize(), 60)


def term(text: Any, limit: int = 80) -> Message:
    """Return a name of ours that a record holds as plain text (of a fact, of a region) as the message that it was."""
    return Message(plain(text, limit))


def encoder_words(name: str) -> str:
    """Return an encoder's name with what a reader must know about it."""
    words = _ENCODER_WORDS.get(name)
    return Message("{encoder} ({note})", encoder=plain(name, 80), note=words) if words else plain(name, 80)


def price_words(price: str | float | None, currency: str | None) -> str:
    """Return a price: a number as people write amounts, a text as it was captured."""
    if isinstance(price, (int, float)) and currency and math.isfinite(price):
        return listed(Money(price, plain(currency, 20)))
    return " ".join(str(x) for x in (price, currency) if x is not None)


def number_words(value: Any) -> str:
    """Return a number as people write it: four significant digits below a thousand, whole numbers above."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _FACT_VALUES.get(value) or plain(value) if isinstance(value, str) else plain(value)
    if not math.isfinite(value):
        return Message("not a number")
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def time_words(time: str | None) -> str:
    """Return an ISO 8601 time as people read it; what is not one comes back as it is.

    >>> time_words("2026-04-09T18:50:00+00:00"), time_words("2026-04-09")
    ('2026-04-09 18:50 UTC', '2026-04-09')
    """
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|\+00:00|[+-]\d\d:\d\d)?", time or "")
    if match is None:
        return time or ""
    zone = {"Z": " UTC", "+00:00": " UTC", None: ""}.get(match[3], f" {match[3]}")
    return f"{match[1]} {match[2]}{zone}"


def fact_words(facts: Any) -> list[tuple[str, str]]:
    """Return the measured facts of a finding as (name, value) in plain words."""
    if not isinstance(facts, Mapping):
        return []
    return [(term(str(name).replace("_", " ")), number_words(value)) for name, value in facts.items()]
