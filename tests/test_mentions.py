"""Brand names in a listing's own text, and the lexicon of replica wording."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.catalog.items import Brand
from imgmatch.errors import ConfigError
from imgmatch.market.lexicon import Lexicon
from imgmatch.market.mentions import NameFinder, _plain, _spans

BRANDS = {
    b.brand: b
    for b in (
        Brand("gucci", "Gucci", ("GUCCI",), ("古驰", "구찌")),
        Brand("lv", "Louis Vuitton", ("LOUIS VUITTON",), ("LV", "路易威登")),
        Brand("rolex", "Rolex", ("ROLEX",)),
        Brand("chanel", "Chanel", ("CHANEL",)),
        Brand("dg", "Dolce & Gabbana", ("DOLCE & GABBANA",), ("D&G",)),
        Brand("ysl", "Saint Laurent", ("SAINT LAURENT",), ("YSL",)),
        Brand("coach", "Coach", ("COACH",)),
        Brand("cp", "C.P. Company", ("C.P. COMPANY",)),
        Brand("dior", "Dior", ("DIOR", "CHRISTIAN DIOR")),
        Brand("tagheuer", "TAG Heuer", ("TAGHEUER",)),
        Brand("montblanc", "Montblanc", ("MONTBLANC",)),
        Brand("lacoste", "Lacoste", ("LACOSTE",)),
        Brand("londara", "londara"),  # from folders: nobody listed how they are written
        Brand("newbalance", "newbalance"),
    )
}
LEXICON = Lexicon.load()
NAMES = NameFinder(BRANDS, LEXICON.everyday, LEXICON.nicknames)


@pytest.mark.parametrize(
    ("text", "brand"),
    [
        ("Gucci bag", "gucci"),
        ("new ＧＵＣＣＩ バッグ", "gucci"),
        ("LV bag", "lv"),
        ("louis-vuitton neverfull", "lv"),
        ("D&G shirt", "dg"),
        ("Dolce & Gabbana dress", "dg"),
        ("Y.S.L. bag", "ysl"),
        ("C.P. Company jacket", "cp"),
        ("古驰包包 全新", "gucci"),
        ("구찌가방", "gucci"),
        ("Gucci's belt", "gucci"),
        ("GUCCI's包", "gucci"),
        ("GUCCI&trade; belt", "gucci"),
        ("Dolce &amp; Gabbana dress", "dg"),
        ("GUCCI包包", "gucci"),
        ("【ROLEX】時計", "rolex"),
        ("L'Ondara tote", "londara"),
        ("l&rsquo;ondara tote", "londara"),
        ("New Balance 574", "newbalance"),
        ("new-balance 574", "newbalance"),
        ("NEWBALANCE 574", "newbalance"),
        ("Mont Blanc pen", "montblanc"),
        ("Tag Heuer Carrera", "tagheuer"),
        ("TAGHeuer", "tagheuer"),
        ("Dolce e Gabbana dress", "dg"),
        ("gucci.com", "gucci"),
        ("Gucci_bag", "gucci"),
        ("GUCCI-BAG", "gucci"),
        ("Gucci·belt", "gucci"),
        ("La Coste polo", "lacoste"),
    ],
)
def test_named_openly(text: str, brand: str) -> None:
    assert [(m.brand, m.disguise, m.everyday) for m in NAMES.find(text)] == [(brand, None, False)]


@pytest.mark.parametrize(
    ("text", "brand", "how"),
    [
        ("g u c c i marmont", "gucci", "apart"),
        ("a G.U.C.C.I bag", "gucci", "apart"),
        ("a Gu-c.ci bag", "gucci", "apart"),
        ("Louis vuit ton", "lv", "apart"),
        ("Cha nel bag", "chanel", "apart"),
        ("gucc1 belt", "gucci", "signs"),
        ("R0LEX submariner", "rolex", "signs"),
        ("$aint Laurent", "ysl", "signs"),
        ("L*V neverfull", "lv", "apart"),
        ("Gυссi", "gucci", "script"),
        ("Ⓖⓤⓒⓒⓘ", "gucci", "styled"),
        ("Ch*nel bag", "chanel", "masked"),
        ("Ch**el bag", "chanel", "masked"),
        ("gu\u200bcci", "gucci", "invisible"),
        ("驴牌 包", "lv", "nickname"),
    ],
)
def test_named_in_disguise(text: str, brand: str, how: str) -> None:
    [mention] = NAMES.find(text)
    assert mention.brand == brand
    assert how in (mention.disguise or "")


@pytest.mark.parametrize(
    "text", ["lv 3 wizard", "I like to go at noon", "DI OR", "leather bag", "", "***", "succiding", "cucci"]
)
def test_names_nothing(text: str) -> None:
    assert NAMES.find(text) == []


def test_an_ordinary_word_is_marked_as_such() -> None:
    assert [m.everyday for m in NAMES.find("coach tickets to London")] == [True]
    on = NameFinder({"on": Brand("on", "On")}, LEXICON.everyday)
    assert [m.everyday for m in on.find("On sale: a leather bag")] == [True]


@pytest.mark.parametrize(
    ("text", "phrases"), [("不是高仿 … 顶级高仿", 1), ("no replica, no replica", 0), ("no replica at all; a replica", 1)]
)
def test_each_place_of_a_phrase_is_asked_whether_it_is_denied(text: str, phrases: int) -> None:
    assert len(LEXICON.find(text)) == phrases


@given(st.sampled_from(["Gucci", "Rolex", "Chanel"]), st.text("abc xyz.,", max_size=20), st.text(" xyz.,", max_size=20))
def test_a_name_between_words_is_found(name: str, before: str, after: str) -> None:
    assert name.lower() in {m.brand for m in NAMES.find(f"{before} {name} {after}")}


@pytest.mark.parametrize(
    ("text", "strengths"),
    [
        ("1:1 mirror quality", {"strong", "weak"}),
        ("Réplique parfaite", {"strong"}),
        ("a 1 : 1 copy", {"strong"}),
        ("AAA batteries", {"weak"}),
        ("고퀄 미러급", {"strong", "weak"}),
        ("顶级高仿", {"strong"}),
        ("スーパーコピー", {"strong"}),
        ("comes with box and receipt", set()),
        ("No replica! 100% authentic", set()),
        ("非高仿", set()),
        ("keine Fälschung", set()),
        ("fakery is a word of its own", set()),
        ("", set()),
    ],
)
def test_wording(text: str, strengths: set[str]) -> None:
    assert {p.strength for p in LEXICON.find(text)} == strengths


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[wording.en]\nstrong = ["zig zag"]\n', encoding="utf-8")
    assert [p.text for p in Lexicon.load(path).find("a Zig-Zag bag")] == ["zig zag"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[wordings.en]\n", "unknown table"),
        ("[wording.en]\nstrong = 'one'\n", "wording.en.strong: expected a list"),
        ("[wording.en]\nmedium = []\n", "expected strong and weak"),
        ("[wording.en\n", "mine.toml"),
        ("wording = 3\n", "mine.toml"),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        Lexicon.load(path)
    assert "mine.toml" in str(caught.value)


def test_a_missing_lexicon_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        Lexicon.load(tmp_path / "none.toml")


HONEST = {
    b.brand: b
    for b in (
        Brand("heloise", "Héloïse & Fils", ("HÉLOÏSE & FILS",)),
        Brand("l'ondara", "L'Ondara", ("L'ONDARA",)),
        Brand("jarno-levert", "Jarno-Levert", ("JARNO-LEVERT",)),
        Brand("montvale", "Montvale"),
        Brand("the west ridge", "The West Ridge", ("THE WEST RIDGE",)),
    )
}
WRITTEN: list[Callable[[str], str]] = [
    str.upper,
    str.lower,
    str.title,
    lambda s: unicodedata.normalize("NFD", s),
    lambda s: s.replace("'", "’"),
    lambda s: s.replace("'", "&#39;"),
    lambda s: s.replace(" & ", " &amp; "),
    lambda s: s.replace(" & ", " &amp ").replace("é", "&eacute"),
    lambda s: s.replace(" & ", " and "),
    lambda s: s.replace(" & ", " et "),
    lambda s: s.replace("-", " "),
    lambda s: s.replace("-", "‑"),
    lambda s: s.replace(" ", "\u00a0"),
    lambda s: s.replace("é", "e").replace("ï", "i").replace("É", "E").replace("Ï", "I"),
    lambda s: f"{s}™",
    lambda s: f"{s}&reg;",
    lambda s: f"{s}'s",
    lambda s: f"#{s}",
    lambda s: f"【{s}】",
    lambda s: f"{s}包",
]


@given(st.sampled_from(sorted(HONEST)), st.lists(st.sampled_from(range(len(WRITTEN))), max_size=4, unique=True))
def test_no_honest_spelling_is_missed_or_called_a_disguise(brand: str, ways: list[int]) -> None:
    text = HONEST[brand].name
    for way in sorted(ways):
        text = WRITTEN[way](text)
    mentions = NameFinder(HONEST).find(f"new {text} bag")
    assert [(m.brand, m.disguise) for m in mentions] == [(brand, None)]


@pytest.mark.parametrize(
    ("text", "brands"),
    [
        ("Max Mara bag", ["mara"]),
        ("#MaxMara bag", ["mara"]),
        ("“@Max Mara”, not Max", ["mara", "max"]),
        ("Max bag, like Max Mara's", ["max", "mara"]),
        ("Hugo B0ss shirt", ["hugo"]),
        ("BLOSS shirt", ["bloss"]),
        ("马克斯玛拉大衣", ["mara"]),
    ],
)
def test_a_name_inside_a_longer_one_is_not_named(text: str, brands: list[str]) -> None:
    called = {
        "max": ("Max", "马克斯"),
        "mara": ("Max Mara", "马克斯玛拉"),
        "bloss": ("Bloss",),
        "hugo": ("Hugo Bloss", "Hugo Boss"),
    }
    finder = NameFinder({key: Brand(key, name, (name,), tuple(more)) for key, (name, *more) in called.items()})
    assert [m.brand for m in finder.find(text)] == brands


def test_names_without_end_are_left_out() -> None:
    endless = NameFinder({b: Brand(b, b * 200_000) for b in ("ab", "阿", "a ")})
    assert endless.find("ab " * 100) == []


@pytest.mark.parametrize("before", ["ﾊﾞｯｸﾞ ﾌﾞﾗﾝﾄﾞ", "……", "㍿"])
def test_names_are_compared_by_where_they_stand_in_the_text_itself(before: str) -> None:
    """Also where NFKC makes more or fewer characters of what comes before a name without spaces."""
    assert [m.brand for m in NAMES.find(f"{before} Rolex 古驰 Chanel 驴牌")] == ["rolex", "gucci", "chanel", "lv"]


@given(st.text("a\u0301\u0316\u0345\uff8a\uff9e…ß\u1100\u1161\u11a8\uffa1α㍿İ"))
def test_each_character_of_the_plain_form_has_its_place_in_the_text(text: str) -> None:
    spans = _spans(text)
    assert len(spans) == len(_plain(text))
    assert "".join(_plain(text[start:end]) for start, end in dict.fromkeys(spans)) == _plain(text)
