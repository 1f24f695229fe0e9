"""A case's summary and listings as rows of plain words: (name, value), for its page and its PDF alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgmatch.investigate.report import words

__all__ = ["fact_rows", "inference_rows", "line", "provenance_rows"]


def line(listing: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of the table of all listings."""
    facts, verdict = listing["facts"]["listing"], listing["inference"]["verdict"]
    return {
        "id": words.plain(listing["listing_id"], 60),
        "title": words.plain(facts.get("title"), 90),
        "price": words.plain(" ".join(str(x) for x in (facts.get("price"), facts.get("currency")) if x is not None), 40),
        "time": words.plain(words.time_words(facts.get("captured_at") or facts.get("listed_at")), 30),
        "url": words.plain(facts.get("url"), 160),
        "decision": words.DECISION_WORDS[verdict["decision"] if verdict else "failed"],
        "photos": [p["file"] for p in listing["facts"]["photos"] if p["file"]],
    }


def fact_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was captured."""
    facts = summary["facts"]
    floor = facts["floor"]
    sellers = "; ".join(
        f"{words.plain(s['seller_id'], 60)} on {words.plain(s['platform'], 40) or 'no platform named'} ({s['listings']})"
        for s in facts["sellers"][:40]
    )
    prices = " + ".join(f"{words.plain(code, 20)} {amount:,.2f}" for code, amount in facts["asking_prices"].items())
    rows = [
        ("Sellers (listings)", sellers),
        ("Listings", f"{facts['listings']:,}"),
        (
            "Asking prices, one unit each",
            (prices or "none readable") + (f"; {facts['unpriced']} unpriced" if facts["unpriced"] else ""),
        ),
        (
            "Threshold",
            ""
            if floor is None
            else f"{words.plain(floor['currency'], 10)} {floor['amount']:,.2f} "
            + ("reached" if floor["reached"] else "not reached"),
        ),
        ("First seen", words.time_words(facts["first_seen"]) or "no time in the records"),
        ("Last seen", words.time_words(facts["last_seen"]) or "no time in the records"),
        (
            "Photos packed",
            f"{facts['photos_packed']:,}" + (f"; {len(facts['photos_missing'])} missing" if facts["photos_missing"] else ""),
        ),
    ]
    return [row for row in rows if row[1]]


def inference_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was computed from it."""
    inference = summary["inference"]

    def tally(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
        return ", ".join(f"{words.plain(names.get(name, name), 60)} {count}" for name, count in counts.items()) or "none"

    return [
        ("Decisions", tally(inference["decisions"], words.DECISION_WORDS)),
        ("Present themselves as", tally(inference["brands_presented"], {})),
        ("Points to", tally(inference["labels"], words.LABEL_WORDS)),
    ]


def provenance_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what it was computed with."""
    made = summary["provenance"]
    records = "; ".join(f"{words.plain(r['name'], 60)} sha256 {r['sha256']}" for r in made["records"])
    rows = [
        ("Packed by", made["software"]),
        ("Scanned by", words.plain(made["scan_software"], 60)),
        ("Model", words.plain(made["model"], 300)),
        ("Catalog", words.plain(", ".join(made["catalog_versions"]), 200)),
        ("Settings fingerprint", words.plain(", ".join(made["config_fingerprints"]), 200)),
        ("Calibration", words.plain("; ".join(made["calibrations"]), 300) or "none"),
        ("Records", records),
    ]
    return [row for row in rows if row[1]]
