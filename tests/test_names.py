"""One way to compare names, and that reading takes time linear in the text."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.catalog.items import Brand, brand_ids
from imgmatch.market.contacts import extract_contacts
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder
from imgmatch.names import READ_LIMIT, Stretches, fold, letters, name_key, read_in_part, skeleton, spelled, written


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("L&#39;Ondara", "L'Ondara"),
        ("L&#x27;Ondara", "L'Ondara"),
        ("L&rsquo;Ondara", "L’Ondara"),
        ("L&amp;rsquo;Ondara", "L’Ondara"),
        ("D&G", "D&G"),
        ("H&M &copyright &during", "H&M &copyright &during"),
        ("Charell&eacute bag, H&eacutelo&iumlse &amp Fils, L&#39Ondara", "Charellé bag, Héloïse & Fils, L'Ondara"),
        ("?a=1&times=2&reg=1&amplitude=3", "?a=1&times=2&reg=1&amplitude=3"),
        ("&nosuch;", "&nosuch;"),
        ("Gucci&reg;", "Gucci "),
        ("", ""),
    ],
)
def test_written(text: str, right: str) -> None:
    assert written(text) == right


@pytest.mark.parametrize(
    ("text", "folded", "skeletal"),
    [
        ("GUCCI", "gucci", "guccl"),
        ("R0LEX", "r0lex", "rolex"),
        ("Hermès", "hermes", "hermes"),
        ("ＰＲＡＤＡ", "prada", "prada"),
        ("Рrаdа", "prada", "prada"),  # Cyrillic Р and а
        ("D&G", "dg", "dg"),
        ("BURNBERRY", "burnberry", "bumberry"),
        ("", "", ""),
    ],
)
def test_views(text: str, folded: str, skeletal: str) -> None:
    assert fold(text) == folded
    assert skeleton(text) == skeletal


SPELLINGS = {
    "londara": ["L'Ondara", "L’Ondara", "L`ONDARA", "Lʼondara™", "L&apos;Ondara", " l´ondara ", "L'Ondara(R)", "L＇Ondara"],
    "eloraecie": [
        "Éloraé & Cie",
        "ÉLORAÉ&CIE",
        "E\u0301lorae\u0301 &amp; Cie",
        "elorae-cie",
        "Éloraé\u00a0‑\u2009Cie®",
        "Elorae\u200b cie",
    ],
    "strasse": ["Straße", "STRASSE", "strasse℠"],
    "가방": ["가방", unicodedata.normalize("NFD", "가방"), "가방™"],
}


@pytest.mark.parametrize(("key", "spelling"), [(k, s) for k, many in SPELLINGS.items() for s in many])
def test_spellings_of_one_name_have_one_key(key: str, spelling: str) -> None:
    assert name_key(spelling) == key


@pytest.mark.parametrize(("one", "other"), [("ガス", "カス"), ("กา", "กี"), ("!!", "!?"), ("Levi", "Levis"), ("1+1", "12")])
def test_other_names_have_other_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_a_name_is_shown_as_it_is_spelled() -> None:
    assert spelled(" E\u0301lorae\u0301&reg;  Paris ") == "Éloraé Paris"


def test_an_alias_leads_to_its_brand_unless_it_is_another_brands_name() -> None:
    ids = brand_ids([Brand("kc", "Kalva Corin", ("KALVA CORIN",), ("Corin",)), Brand("corin", "Corin")])
    assert (ids["kalvacorin"], ids["kc"], ids["corin"]) == ("kc", "kc", "corin")


ANY = st.text(st.sampled_from("aAé'’ -&;#39amp®™0lIrnvv$ЖГガกี語\u0301\u200b*"), max_size=30)


@given(ANY)
def test_views_settle_at_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert skeleton(skeleton(text)) == skeleton(text)
    assert letters(letters(text)) == letters(text)


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", ""]), max_size=12), st.sets(st.text("ab", min_size=1, max_size=4)))
def test_stretches_are_those_that_trying_all_finds(parts: list[str], keys: set[str]) -> None:
    every = {
        (i, j, "".join(parts[i:j]))
        for i, j in itertools.combinations(range(len(parts) + 1), 2)
        if "".join(parts[i:j]) in keys and parts[i]
    }
    assert {hit for hit in Stretches(keys).find(parts) if parts[hit[0]]} == every


# Linear in the text: what is counted are the interpreter's line events, so the machine's load does not matter

LEXICON = Lexicon.load()
FINDER = NameFinder(
    {b: Brand(b, b.title(), (b.upper(),)) for b in ("arvelle", "montroux", "kalva corin", "eee", "aaaaaaaa")},
    LEXICON.everyday,
    {"arvelle": ["驴牌"]},
)
HOSTILE = (
    *("a r v e l l e ", "a ", "http://", "arvelle ", "kalva ", "a*", "a*e ", "驴", "高仿非", "ﷺ", "\u0315\u0300", "&amp;"),
    *(
        "wx",
        "wechat  ",
        "telegram :",
        " ",
        "\n",
        "1:",
        "123-4567 ",
        "+1 202 555 0143 ",
        "a@a.",
        "'s ",
        "l'",
        "no fake ",
        "Ⓐ",
    ),
)
HEADS = ["", "wechat", "a@", "a*", "http://"]


def steps(read: object, text: str) -> int:
    count = 0

    def trace(*_: object) -> object:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        read(text)  # type: ignore[operator]
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.parametrize("read", [FINDER.find, LEXICON.find], ids=["names", "wording"])
def test_reading_is_linear(read: object, part: str) -> None:
    for head in HEADS:
        few, many = (steps(read, (head + part * READ_LIMIT)[: READ_LIMIT // n]) for n in (8, 2))
        assert many < 5 * few + 2000


@pytest.mark.parametrize("head", HEADS)
def test_what_regular_expressions_try_is_linear(head: str) -> None:
    # They run inside one line, so what is held is that none of these takes the minutes that it took.
    pytest.importorskip("phonenumbers")
    for part in HOSTILE:
        extract_contacts([(head + part * 100_000)[:100_000]])


def test_a_text_is_read_as_far_as_it_says() -> None:
    within, beyond = "x " * (READ_LIMIT // 2 - 4), "x " * (READ_LIMIT // 2)
    assert [m.brand for m in FINDER.find(f"{within}arvelle")] == ["arvelle"]
    assert FINDER.find(f"{beyond}arvelle") == []
    assert read_in_part("So.", {"title": within}) == "So."
    note = "So. Only the first 10,000 characters were read of: title (10,001 characters)."
    assert read_in_part("So.", {"title": beyond + "x"}) == note
