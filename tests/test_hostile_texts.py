"""Texts made to cost: whatever fills 100 KB of a field, every reader of words ends in a time that grows with the text.

Processor time is bounded at twenty times what `docs/security.md` states: a machine's load does not matter, and what is
quadratic takes seconds.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgmatch import Catalog, Config
from imgmatch.apps.console import LogFormatter
from imgmatch.catalog.items import Brand
from imgmatch.cells import as_id, as_json, as_object, as_price, as_text, as_texts, utc_time
from imgmatch.errors import ImgmatchError, printable
from imgmatch.investigate.case.privacy import Masks, contacts_in
from imgmatch.investigate.report import words
from imgmatch.market.conditions import condition_of
from imgmatch.market.contacts import extract_contacts
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder
from imgmatch.market.prices import parse_price
from imgmatch.market.sellers import registrable_domain
from imgmatch.matcher import Matcher
from imgmatch.records import Listing
from tests.fakes import GridEncoder, picture, write_tree

SIZE = 100_000
MOST = 1.0  # seconds of processor time: 0.05 are aimed at
SLOW = pytest.mark.slow

LEXICON = Lexicon.load()
FINDER = NameFinder(
    {b: Brand(b, b.title(), (b.upper(),)) for b in ("arvelle", "montroux", "kalva corin", "eee", "H&M", "aaaaaaaa")},
    LEXICON.everyday,
    LEXICON.nicknames,
)
# What stands in a text over and over.
PARTS = (
    *"a1+@.,;|'\"\\/-_*&#<[{($€½Ａ驴가𝓰Ⓐ👜×·⁹é\0\n\t\x9b\xa0",
    *(
        "\u0301",
        "\u0315\u0300\u0321",
        "a\u0301",
        "\u20dd",
        "\u200d",
        "a\u200b",
        "\u202e",
        "\u2067a\u2069",
        "\ufe0f",
        "\u0378",
    ),
    *("ﷺ", "ב\u05b0\u05bc", "\u0e34\u0e48", "\u0f71\u0f72", "\u1100\u1161\u11a8", "ｶﾞ", "\ud800", "\U000e0041", "\u3000"),
    *("👩\u200d👩\u200d👧\u200d👦", "1\ufe0f\u20e3", "👍🏽", "🇫🇷"),
    *("1 ", "1.", "1,", "1/", "1-", "1'", "(1) ", "1 000", "1.000,", "1e9", "1 to ", "2 x ", "$1 ", "1 EUR ", "1%", "-"),
    *("a.", "a@", "a-", "a*", "@a.", "a@a ", "a.a@a-", "ab@cd.ef ", "+86 138 0013 8000 ", "079 555 12 34 ", "+1"),
    *("http://", "https://a,", "wa.me/1", "t.me/a", "wx", "wechat ", "line: ", "www.", "xn--a.", "ß.", "ü"),
    *("&amp;", "&#x41;", "(tm)", "'s ", "l'", "['a' ", '["a",', '{"a":', "<a ", " ;", "\r\n", "\x1b[2J", " ", "rn"),
    *(
        "arvelle ",
        "arvelle",
        "a r v e l l e ",
        "a*e ",
        "H&",
        "1:1",
        "1 : ",
        "not replica ",
        "高仿",
        "非高仿",
        "used ",
        "new",
    ),
)
HEADS = ("", "http://", "https://a.b/", "[", "['", '["', "{", "$", "wechat", "a@", "a*", "(", "&#", "=", "new ", "+")


def _logged(text: str) -> str:
    return LogFormatter("%(message)s").format(logging.LogRecord("x", logging.INFO, "x", 1, text, (), None))


KNOWN = Masks(
    ["phone:+41795551234", "email:ab@cd.ef", "wechat:aaaaa", "qq:11111", *(f"wechat:{'a' * n}" for n in range(5, 70))]
)
READERS: dict[str, Callable[[str], object]] = {
    "a list": lambda text: as_texts("photos", text),
    "an object": lambda text: as_object("extra", text),
    "an id": lambda text: as_id("listing_id", text),
    "a text": lambda text: as_text("title", text),
    "a price's cell": lambda text: as_price("price", text),
    "any cell": as_json,
    "a time": utc_time,
    "contacts": lambda text: extract_contacts([text]),
    "contacts of countries": lambda text: extract_contacts([text], regions=("DE", "CN", "US")),
    "wording": LEXICON.find,
    "names": FINDER.find,
    "a price": parse_price,
    "a currency": lambda text: parse_price("1", text),
    "a condition": condition_of,
    "an address": registrable_domain,
    "a link": words.safe_url,
    "words of a report": words.plain,
    "printable": printable,
    "the log": _logged,
    "masks": KNOWN,
}


def seconds(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    with contextlib.suppress(ImgmatchError):  # one that says no has read it as well
        read(text)
    return time.process_time() - start


@pytest.mark.parametrize("heads", [HEADS[:2], pytest.param(HEADS[2:], marks=SLOW)], ids=["plain", "headed"])
@pytest.mark.parametrize("name", READERS)
def test_no_text_costs_a_reader_more_than_its_length(name: str, heads: tuple[str, ...]) -> None:
    pytest.importorskip("phonenumbers")
    read = READERS[name]
    seconds(read, "1 EUR +41 79 555 12 34")  # what is made at the first call is no matter of the text
    slow = {}
    for head in heads:
        for part in PARTS:
            text = head + part * (SIZE // len(part.encode("utf-8", "surrogatepass")))
            if (spent := seconds(read, text)) > MOST:
                slow[head, part] = spent
    assert not slow


def test_a_seller_with_thousands_of_contacts_costs_no_more() -> None:
    many = [f"email:name{i}@shop{i}.example" for i in range(20_000)]
    mask = Masks(many)
    text = " ".join(f"name{i}@shop{i}.example" for i in range(3000))
    assert seconds(mask, text) < MOST
    assert "name1234@" not in mask(text)


def test_a_contact_of_any_length_is_masked_whole() -> None:
    for length in (5, 63, 64, 65, 130, 500):
        contact = "".join(f"{i:03x}z" for i in range(length))[:length]
        shown = KNOWN(contact), Masks([contact])(f"to {contact}, now")
        assert shown == (contact, f"to {contact[0]}…{contact[-1]}, now")


def test_contacts_that_share_letters_are_both_masked() -> None:
    assert Masks(["wechat:abcdefg", "wechat:efghijk"])("<abcdefghijk>") == "<a…g>"


def test_phone_numbers_are_found_behind_a_table_of_sizes() -> None:
    pytest.importorskip("phonenumbers")
    text = "size 12.5 x 30.2 cm\n" * 200 + "+41 79 555 12 34"
    assert [c.value for c in extract_contacts([text])] == ["+41795551234"]


FIELDS = (
    "title",
    "description",
    "promo_text",
    "brand_claim",
    "seller_id",
    "price",
    "currency",
    "condition",
    "url",
    "platform",
)


@pytest.mark.parametrize("parts", [PARTS[::6], pytest.param(PARTS, marks=SLOW)], ids=["some", "all"])
def test_a_listing_of_nothing_but_such_texts_is_examined(tmp_path: Path, parts: tuple[str, ...]) -> None:
    pytest.importorskip("phonenumbers")
    layout = {f"{b}/item{i}/{v}.png": picture(10 * i + v) for i, b in enumerate(("arvelle", "montroux")) for v in range(2)}
    catalog = Catalog.build(write_tree(tmp_path / "src", layout), tmp_path / "cat", encoder=GridEncoder())
    matcher = Matcher(catalog, Config.from_dict({"signals": ["text", "listing", "mismatch"]}))

    def examine(text: str) -> None:
        listing = Listing.from_dict({"listing_id": "1", "contacts": [text], **dict.fromkeys(FIELDS, text)})
        record = matcher.examine(listing, photos={})
        assert record.verdict is not None
        assert all(f.status != "failed" for f in record.verdict.findings)
        contacts_in([record.to_dict()])

    examine("arvelle bag")
    slow = {part: spent for part in parts if (spent := seconds(examine, (part * SIZE)[:SIZE])) > 5 * MOST}
    assert not slow
