"""A case's summary and listings as rows of plain words: (name, value), for its page and its PDF alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgmatch.investigate.report import words
from imgmatch.messages import Message, Money, listed

__all__ = ["fact_rows", "inference_rows", "key_rows", "line", "next_steps", "provenance_rows"]

_Rows = list[tuple[Message, str]]


def line(listing: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of the table of all listings."""
    facts, verdict = listing["facts"]["listing"], listing["inference"]["verdict"]
    return {
        "id": words.plain(listing["listing_id"], 60),
        "title": words.plain(facts.get("title"), 90),
        "price": words.plain(words.price_words(facts.get("price"), facts.get("currency")), 40),
        "time": words.plain(words.time_words(facts.get("captured_at") or facts.get("listed_at")), 30),
        "url": words.plain(facts.get("url"), 160),
        "decision": words.DECISION_WORDS[verdict["decision"] if verdict else "failed"],
        "photos": [p["file"] for p in listing["facts"]["photos"] if p["file"]],
    }


def key_rows(summary: Mapping[str, Any], called: Mapping[str, str]) -> _Rows:
    """Return the few figures that a reader wants first."""
    facts, decisions = summary["facts"], summary["inference"]["decisions"]
    rows = [
        (Message("Listings"), f"{facts['listings']:,}"),
        (Message("Leads"), f"{decisions.get('lead', 0):,}"),
        (Message("To review"), f"{decisions.get('review', 0):,}"),
        (Message("Asking prices"), _prices(facts)),
        (Message("Seen"), _period(facts)),
        (
            Message("Presents itself as"),
            listed(*(words.plain(called.get(b, b), 40) for b in summary["inference"]["brands_presented"])),
        ),
    ]
    return [row for row in rows if row[1]]


def next_steps(summary: Mapping[str, Any], *, ring: bool) -> list[Message]:
    """Return what the reader of a case does next, in order."""
    facts, decisions = summary["facts"], summary["inference"]["decisions"]
    steps = []
    if decisions.get("lead"):
        steps.append(Message("Read the leads below, strongest first: {count:,}.", count=decisions["lead"]))
    if decisions.get("review"):
        steps.append(Message("Then read those to review: {count:,}.", count=decisions["review"]))
    if ring:
        steps.append(Message("See what ties the sellers. A tie is not guilt: their photos may have been taken by others."))
    if facts["photos_missing"]:
        missing = len(facts["photos_missing"])
        steps.append(Message("Capture the missing photos again while they are online: {count:,}.", count=missing))
    steps.append(
        Message("Have a person confirm each listing before anybody acts on it; a test purchase settles what photos cannot.")
    )
    steps.append(Message("Check that nothing was changed since packaging: imgmatch case verify."))
    return steps


def _prices(facts: Mapping[str, Any]) -> str:
    prices = tuple(Money(amount, words.plain(code, 20)) for code, amount in facts["asking_prices"].items())
    if facts["unpriced"]:
        unpriced = Message("{count:,} without a price", count=facts["unpriced"])
        return listed(*(prices or (Message("none readable"),)), unpriced)
    return listed(*prices) if prices else Message("none readable")


def _period(facts: Mapping[str, Any]) -> str:
    first, last = ((facts[name] or "")[:10] for name in ("first_seen", "last_seen"))
    return Message("{first} to {last}", first=first, last=last) if first != last else first


def fact_rows(summary: Mapping[str, Any]) -> _Rows:
    """Return what was captured."""
    facts = summary["facts"]
    sellers = tuple(
        Message(
            "{seller} on {platform} ({count})",
            seller=words.plain(s["seller_id"], 60),
            platform=words.plain(s["platform"], 40) or Message("no platform named"),
            count=s["listings"],
        )
        for s in facts["sellers"][:40]
    )
    no_time = Message("no time in the records")
    rows: _Rows = [
        (Message("Sellers (listings)"), listed(*sellers)),
        (Message("Listings"), f"{facts['listings']:,}"),
        (Message("Asking prices, one unit each"), _prices(facts)),
        (Message("Threshold"), _floor(facts["floor"])),
        (Message("First seen"), words.time_words(facts["first_seen"]) or no_time),
        (Message("Last seen"), words.time_words(facts["last_seen"]) or no_time),
        (Message("Photos packed"), _photos(facts)),
    ]
    return [row for row in rows if row[1]]


def _floor(floor: Mapping[str, Any] | None) -> str:
    if floor is None:
        return ""
    amount = Money(floor["amount"], words.plain(floor["currency"], 10))
    return Message("{amount} reached", amount=amount) if floor["reached"] else Message("{amount} not reached", amount=amount)


def _photos(facts: Mapping[str, Any]) -> Message:
    packed, missing = facts["photos_packed"], len(facts["photos_missing"])
    if missing:
        return Message("{count:,}, and {missing:,} missing", count=packed, missing=missing)
    return Message("{count:,}", count=packed)


def inference_rows(summary: Mapping[str, Any], called: Mapping[str, str]) -> _Rows:
    """Return what was computed from it; `called` names brands by their ids."""
    inference = summary["inference"]

    def tally(counts: Mapping[str, int], names: Mapping[str, str]) -> Message:
        named = (
            Message("{name} {count}", name=words.plain(names.get(name, name), 60), count=count)
            for name, count in counts.items()
        )
        return listed(*named) if counts else Message("none")

    return [
        (Message("Decisions"), tally(inference["decisions"], words.DECISION_WORDS)),
        (Message("Presents itself as"), tally(inference["brands_presented"], called)),
        (Message("Points to"), tally(inference["labels"], words.LABEL_WORDS)),
    ]


def provenance_rows(summary: Mapping[str, Any]) -> _Rows:
    """Return what it was computed with."""
    made = summary["provenance"]
    calibrations = [words.plain(c, 300) for c in made["calibrations"]]
    records = "; ".join(f"{words.plain(r['name'], 60)} sha256 {r['sha256']}" for r in made["records"])
    rows: _Rows = [
        (Message("Packed by"), made["software"]),
        (Message("Scanned by"), words.plain(made["scan_software"], 60)),
        (Message("Model"), words.plain(made["model"], 300)),
        (Message("Catalog"), words.plain(", ".join(made["catalog_versions"]), 200)),
        (Message("Settings fingerprint"), words.plain(", ".join(made["config_fingerprints"]), 200)),
        (Message("Calibration"), listed(*calibrations) if calibrations else Message("none")),
        (Message("Records"), records),
    ]
    return [row for row in rows if row[1]]
