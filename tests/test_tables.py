"""Tables in every dialect give the same rows, or say why not; typed cells mean what they say."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgmatch.cells import as_id, as_json, as_price, as_text, as_texts, is_missing, utc_time
from imgmatch.errors import ConfigError, InputError
from imgmatch.io.sources import read_listings
from imgmatch.io.tables import Layout, delimited, parse_map, read_table
from imgmatch.records import Listing

HEADER = ["listing_id", "photos", "title", "price"]
ROWS = [
    ["1", "a.jpg", 'Sac «neuf», 12" wide', "1.299,00"],
    ["2", "b.jpg", "Charellé;\nnoir", ""],
    ["3", "c.jpg", "plain", "59"],
]


def read(path: Path, layout: Layout | None = None) -> list[tuple[Listing, str | None]]:
    return list(read_listings(path, layout))


def titles(path: Path) -> list[str | None]:
    rows = read(path)
    assert [problem for _, problem in rows] == [None] * len(rows)
    return [listing.title for listing, _ in rows]


def write(path: Path, delimiter: str, encoding: str, *, header: str = "", end: str = "\r\n") -> Path:
    text = io.StringIO()
    out = csv.writer(text, delimiter=delimiter, lineterminator=end)
    out.writerows([HEADER, *ROWS])
    path.write_bytes((header + text.getvalue()).encode(encoding))
    return path


DIALECTS = [
    *[(d, e, "") for d in ",;\t|" for e in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252")],
    (";", "utf-8", "sep=;\r\n"),
    ("\t", "utf-16", "sep=\t\r\n"),
    ("^", "utf-8", "sep=^\r\n"),
]


@pytest.mark.parametrize(("delimiter", "encoding", "header"), DIALECTS)
def test_every_dialect_gives_the_same_rows(tmp_path: Path, delimiter: str, encoding: str, header: str) -> None:
    rows = [x for x, _ in read(write(tmp_path / "t.csv", delimiter, encoding, header=header))]
    assert [[x.listing_id, *x.photos, x.title, x.price or ""] for x in rows] == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(end.join(["listing_id;title", "", "1;a", ";", "2;b"]).encode())
    assert titles(path) == ["a", "b"]


LEGACY = [
    ("cp1252", ["Sac à main Charellé état neuf", "Étui façon Éloraé très chic"]),
    ("gb18030", ["夏蕾尔 手提包 全新 正品 专柜", "真皮 女士 单肩包 包邮"]),
    ("big5", ["精品 手提包 全新 正品 專櫃 購入", "真皮 女士 單肩包 免運費"]),
    ("cp932", ["ハンドバッグ 新品 未使用 送料無料", "レディース 本革 ショルダーバッグ"]),
    ("cp949", ["핸드백 새상품 정품 백화점 구매", "가죽 숄더백 무료배송"]),
    ("cp1250", ["Torebka skórzana żółta", "Płaszcz męski święty"]),
    ("cp1254", ["Çanta gerçek deri şık", "ığdır ürünü"]),
    ("cp1252", ["Väska i läder från Kärlek", "Schöne Tasche für Größe"]),
    ("cp1253", ["Τσάντα δερμάτινη καινούρια", "Γνήσια τσάντα ώμου"]),
    ("gb18030", ["夏蕾尔包"]),
    ("cp1251", ["Новая сумка с биркой и чеком", "Кожаная сумка через плечо"]),
    # of few rows, in code pages that are alike
    *[(e, ["Сумка кожаная", "Новая женская сумка с биркой"]) for e in ("cp1251", "koi8_r", "cp866", "iso8859_5")],
    *[(e, ["Płaszcz męski święty"]) for e in ("cp1250", "iso8859_2", "cp852")],
    *[(e, ["Nová nepoužitá příjemná"]) for e in ("cp1250", "iso8859_2", "cp852")],
    *[(e, ["Férfi karóra kitűnő állapot"]) for e in ("cp1250", "iso8859_2")],
    *[(e, ["Größe 38 ungeöffnet für Männer"]) for e in ("cp1252", "cp850", "mac_roman")],
    *[(e, ["Ρολόι ανδρικό καινούργιο"]) for e in ("cp1253", "iso8859_7")],
    *[(e, ["תיק עור חדש"]) for e in ("cp1255", "iso8859_8")],
    *[(e, ["ساعة رجالية بحالة ممتازة"]) for e in ("cp1256", "iso8859_6")],
    ("koi8_u", ["Годинник чоловічий її"]),
    ("cp874", ["กระเป๋าหนังแท้"]),
    ("cp1257", ["Vyriškas laikrodis puikios būklės žalias"]),
    ("euc_jp", ["新品 未使用 財布"]),
    ("gb18030", ["真皮 女士 单肩包 包邮"]),
]


@pytest.mark.parametrize(("encoding", "texts"), LEGACY, ids=[f"{x[0]}-{x[1][0]}" for x in LEGACY])
def test_letters_of_legacy_encodings_are_kept(tmp_path: Path, encoding: str, texts: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(["listing_id,title", *(f"{n},{t}" for n, t in enumerate(texts))]).encode(encoding))
    listings = read_listings(path)
    assert [x.title for x, _ in listings] == texts
    assert any("guessed" in note for note in listings.notes())


def test_a_damaged_utf8_table_fails_its_damaged_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("listing_id,title\n1,Charellé à la carte\n2,él".encode() + b"\xe9,\n" + "3,Éloraé ñandú".encode())
    rows = read(path)
    assert [x.title for x, p in rows if p is None] == ["Charellé à la carte", "Éloraé ñandú"]
    assert "cannot be decoded" in str(rows[1][1])


QUOTES = [
    ('1,a\n2,"open,x\n3,b\n4,c\n', ["1"], 3),
    ('1,a\n2,b\n3,"open\n', ["1", "2"], 4),
    ('1,a\n2,"Tote 12 inch,80\n3,Bag 9"" wide,1\n', ["1"], 3),
    ('1,"Aurello\n2,"Vantelli",8\n', [], 2),
    ('1,a,"open\n2,b,12"\n3,c,d\n', [], 2),
    ('1,"Aurello Tote,59\n2,Tote 12",59\n3,Bag,1\n', [], 2),
]


@pytest.mark.parametrize(("body", "kept", "line"), QUOTES)
def test_a_quote_left_open_ends_the_reading_and_names_its_line(
    tmp_path: Path, body: str, kept: list[str], line: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("listing_id,title,price\n" + body)
    got: list[str] = []
    with pytest.raises(InputError, match=rf"quote that opens in line {line} "):
        got.extend(listing.listing_id for listing, _ in read_listings(path))
    assert got == kept


@pytest.mark.parametrize("text", ["Size:\n30, 20, 10\nas new", "with\n18, strap, card", "a\n18,b,c\n19,d,e."])
def test_a_text_with_lines_like_rows_is_no_quote_left_open(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(f'listing_id,title,description\n17,a,"{text}"\n18,b,c\n')
    assert [(x.listing_id, x.description) for x, _ in read(tmp_path / "t.csv")] == [("17", text), ("18", "c")]


def test_quotes_within_a_cell_are_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('listing_id,title\n1,12" wide\n2,"19" monitor"\n3,"two\nlines, one cell"\n4,"say ""hi"""\n')
    assert titles(path) == ['12" wide', '19" monitor', "two\nlines, one cell", 'say "hi"']


HEADERS = [
    ("listing_id, photos , Title,PRICE", "1, x.jpg, a bag, 59", {"photos": ("x.jpg",), "title": "a bag", "price": "59"}),
    ("Listing ID,Photos,Seller-Id", "1,x.jpg,s9", {"photos": ("x.jpg",), "seller_id": "s9"}),
    ("listing_id,title", "1,a,,", {"title": "a"}),
    ("listing_id,title,,", "1,a,,", {"title": "a"}),
    (",listing_id,title", "0,1,a", {"title": "a"}),
    ("listing_id,photos,photos", "1,x.jpg,y.jpg", {"photos": ("x.jpg", "y.jpg")}),
    ("\ufefflisting_id,title", "1,a", {"title": "a"}),
    ("listing_id,title,price", "1,a", {"title": "a", "price": None}),
    ("Export of 2025-03-01\n\nlisting_id;title", "1;a", {"title": "a"}),
    ("“listing_id”,“title”", "1,a", {"title": "a"}),
    ("listing_id;title:;price;", '1;="0042";59;', {"title": "0042", "price": "59"}),
]


@pytest.mark.parametrize(("header", "row", "want"), HEADERS)
def test_slips_of_a_header_are_harmless(tmp_path: Path, header: str, row: str, want: dict[str, Any]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{row}\n", encoding="utf-8")
    ((listing, problem),) = read(path)
    assert (problem, listing.listing_id) == (None, "1")
    assert {name: getattr(listing, name) for name in want} == want


@pytest.mark.parametrize(
    ("name", "data", "want"),
    [
        ("two tables joined", b"listing_id,title\n1,a\nlisting_id,title\n2,b\n", [("1", "a"), ("2", "b")]),
        ("one sign of another encoding", "listing_id;title\n1;\u20ac\n".encode("cp1252"), [("1", "€")]),
        ("one row of many commas", b'listing_id;title\n1;"a,b,c,d,e,f,g"\n', [("1", "a,b,c,d,e,f,g")]),
        ("of ISO 8859-15", "listing_id;title\n1;sac été, 59 €\n".encode("iso8859_15"), [("1", "sac été, 59 €")]),
        ("from DOS", "listing_id;title\n1;für Größe\n".encode("cp850"), [("1", "für Größe")]),
    ],
)
def test_other_ways_that_tables_come(tmp_path: Path, name: str, data: bytes, want: list[tuple[str, str]]) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    assert [(x.listing_id, x.title) for x, _ in read(tmp_path / "t.csv")] == want, name


def test_cells_of_columns_without_a_name_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",listing_id,,mine\n0,1,b,-\n,2,,\n")
    assert [x.extra for x, _ in read(tmp_path / "t.csv")] == [
        {"column 1": "0", "column 3": "b", "mine": "-"},
        {"mine": None},
    ]


def test_half_a_letter_of_utf_16_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("listing_id,title\n1,ab\n".encode("utf-16-le") + b"\n")
    with pytest.raises(InputError, match="cannot be decoded"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "data",
    ['{"id": 7, "title": "a", "price": 5, "brand": "x"}\n' * 2, '[{"id": 7, "title": "a", "price": 5, "brand": "x"}]'],
)
def test_the_columns_of_json_are_named(tmp_path: Path, data: str) -> None:
    (tmp_path / "t.json").write_text(data)
    listings = read_listings(tmp_path / "t.json")
    assert list(listings)
    assert "columns id, title, price, brand; no column is listing_id, try --preset generic" in listings.how


def test_texts_that_parquet_holds_as_bytes(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(
        pa.table({"listing_id": [b"a", b"b"], "title": ["Gürtel".encode(), None], "mine": [b"\0", b"x"]}),
        tmp_path / "t.parquet",
    )
    rows = [x for x, _ in read(tmp_path / "t.parquet")]
    assert [(x.listing_id, x.title, x.extra) for x in rows] == [("a", "Gürtel", {"mine": "00"}), ("b", None, {"mine": "78"})]


def test_the_fullest_sheet_is_read_where_none_has_the_columns(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(["How to fill in"])
    sheet = book.create_sheet("Data")
    sheet.append(["Item", "Name"])
    sheet.append([7, "a"])
    book.save(tmp_path / "t.xlsx")
    assert "sheet 'Data'" in read_table(tmp_path / "t.xlsx", known=["listing_id"]).how


def test_a_doubled_column_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("listing_id,title,Title\n1,a,b\n")
    with pytest.raises(InputError, match="duplicate column: 'title' and 'Title'"):
        read(path)


def test_a_row_with_more_cells_than_the_header_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("listing_id,title\n1,a,b,c\n2,ok\n")
    first, second = read(path)
    assert (first[0].listing_id, first[1]) == ("t.csv:2", "t.csv:2: more cells than the header has: 2")
    assert second == (Listing("2", title="ok"), None)


def test_json_in_its_three_forms(tmp_path: Path) -> None:
    rows = [{"listing_id": "1", "title": "a"}, {"listing_id": "2", "title": "b"}]
    forms = {
        "a.json": json.dumps(rows, indent=1),
        "b.jsonl": "\n".join(map(json.dumps, rows)),
        "c.json": json.dumps({"total": 2, "items": rows}),
        "d.json": json.dumps(rows[0]) + "\n" + json.dumps(rows[1]),
        "e.txt": json.dumps(rows),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert titles(tmp_path / name) == ["a", "b"], name
    (tmp_path / "f.jsonl").write_text('{"listing_id": "1", "title": "a", "title": "b"}\n')
    assert "duplicate field 'title'" in str(read(tmp_path / "f.jsonl")[0][1])


def test_parquet_keeps_types_until_text_is_meant(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    time = dt.datetime(2025, 3, 1, 10, tzinfo=dt.timezone.utc)
    table = pa.table(
        {
            "listing_id": pa.array([364512345678.0, 36451234567891234.0]),
            "price": pa.array([Decimal("59.00"), Decimal("59.987")]),
            "listed_at": pa.array([time, None]),
            "seen": pa.array([time, time]),
            "raw": pa.array([b"\x00\xff", None]),
            "tags": pa.array([["a"], None]),
            "far": pa.array([2**62, 0], pa.timestamp("ns")),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    (first, none), (_, refused) = read(tmp_path / "t.parquet")
    assert none is None
    assert (first.listing_id, first.price, first.listed_at) == ("364512345678", 59, "2025-03-01T10:00:00+00:00")
    assert json.loads(json.dumps(first.to_dict()))["raw"] == "00ff"
    assert "listing_id" in str(refused)
    assert "lost digits" in str(refused)


def test_ids_that_passed_through_float32_are_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table(
        {"listing_id": pa.array([16777215.0, 364512345678.0], pa.float32()), "price": pa.array([59.5, 2e7], pa.float32())}
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    (first, none), (_, refused) = read(tmp_path / "t.parquet")
    assert (first.listing_id, first.price, none) == ("16777215", 59.5, None)
    assert "lost digits" in str(refused)


def test_a_spreadsheet(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    book = pytest.importorskip("openpyxl").Workbook()
    sheet = book.active
    sheet.append(["How to fill in this template"])
    sheet = book.create_sheet("Listings")
    sheet.append([])
    sheet.append(["Listing ID", "title", "price", "listed_at"])
    sheet.append([12345678, "Sac à main", 1250.5, dt.datetime(2025, 3, 1)])
    sheet.append([2, None, 59])
    book.save(tmp_path / "t.xlsx")
    rows = [x for x, _ in read(tmp_path / "t.xlsx")]
    assert [(x.listing_id, x.title, x.price) for x in rows] == [("12345678", "Sac à main", 1250.5), ("2", None, 59)]
    assert rows[0].listed_at == "2025-03-01"


COLUMNS = ["listing_id", "title", "price", "mine"]


def as_csv(path: Path, rows: list[list[str]], **dialect: Any) -> None:
    encoding = dialect.pop("encoding", "utf-8")
    first = dialect.pop("first", "")
    with open(path, "w", newline="", encoding=encoding) as f:
        f.write(first)
        csv.writer(f, **dialect).writerows([COLUMNS, *rows])


def as_objects(path: Path, rows: list[list[str]], *, array: bool) -> None:
    made = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    path.write_text(json.dumps(made) if array else "".join(json.dumps(row) + "\n" for row in made))


def as_parquet(path: Path, rows: list[list[str]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    pyarrow.parquet.write_table(pyarrow.table([*zip(*rows, strict=True)], names=COLUMNS), path)


def as_sheet(path: Path, rows: list[list[str]]) -> None:
    book = pytest.importorskip("openpyxl").Workbook()
    for line in [COLUMNS, *rows]:
        book.active.append(line)
    for cell in (cell for line in book.active.iter_rows() for cell in line if cell.data_type == "f"):
        cell.data_type = "s"  # a text that begins with =
    book.save(path)


WAYS: list[Callable[[Path, list[list[str]]], None]] = [
    *(
        partial(as_csv, delimiter=delimiter, quoting=quoting, lineterminator=end, encoding=encoding, first=first)
        for delimiter, first in ((",", ""), (";", ""), ("\t", ""), ("|", ""), ("^", "sep=^\r\n"), (";", "sep=;\r\n"))
        for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL)
        for end in ("\n", "\r\n")
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")
    ),
    partial(as_objects, array=True),
    partial(as_objects, array=False),
    as_parquet,
    as_sheet,
]
CELL = st.text("aé漢ß \"';,\t|^=-\n.0’€", max_size=12)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=6), st.sampled_from(WAYS))
@settings(max_examples=150, deadline=None)
def test_round_trip_of_any_table(
    tmp_path_factory: Any, cells: list[tuple[str, str, str]], way: Callable[[Path, list[list[str]]], None]
) -> None:
    path = tmp_path_factory.mktemp("t") / "t"
    way(path, [[f"id_{n}", *row] for n, row in enumerate(cells)])
    rows = read(path)
    assert [(x.listing_id, problem) for x, problem in rows] == [(f"id_{n}", None) for n in range(len(cells))]
    for (title, price, mine), (x, _) in zip(cells, rows, strict=True):
        # Blanks before a cell that is not in quotes belong to the delimiter.
        want = {"title": title, "price": price, "mine": mine}
        got = {"title": x.title, "price": x.price, **x.extra}
        for name, cell in want.items():
            missing = is_missing(cell) if name != "mine" else not cell.strip()
            assert got[name] is None if missing else got[name].lstrip(" ") == cell.lstrip(" ")


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        "",
        "  ",
        "nan",
        "NaN",
        "NaT",
        "None",
        "null",
        "<NA>",
        "#N/A",
        Decimal("NaN"),
        "\\N",
        "NA",
        "n.a.",
        "(null)",
        "undefined",
        "Unknown",
        "-",
        "—",
    ],
)
def test_missing(value: Any) -> None:
    assert is_missing(value)
    assert as_text("title", value) is None
    assert as_price("price", value) is None
    assert as_texts("photos", value) == ()
    assert Listing.from_dict({"listing_id": "1", "seller_id": value, "title": value}) == Listing("1")


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (17, "17"),
        (17.0, "17"),
        ("17.0", "17"),
        ("007", "007"),
        (2.0**52, str(2**52)),
        (Decimal("36451234567891234"), "36451234567891234"),
        (" a ", "a"),
        ("1.5", "1.5"),
    ],
)
def test_ids_keep_their_digits(value: Any, want: str) -> None:
    assert as_id("listing_id", value) == want


@pytest.mark.parametrize("value", [2.0**53, 3.64e16, 1.5, "3.64512E+11", "3,64512E+11"])
def test_ids_that_lost_digits_are_refused_by_name(value: Any) -> None:
    with pytest.raises(InputError, match=r"seller_id.*lost"):
        as_id("seller_id", value)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("a.jpg", ["a.jpg"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg;b.png", ["a.jpg", "b.png"]),
        ("a.jpg b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg\nb.jpg", ["a.jpg", "b.jpg"]),
        ("bag, front.jpg", ["bag, front.jpg"]),
        ("my bag.jpg", ["my bag.jpg"]),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("['a.jpg', 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("['a.jpg'\n 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("https://x.example/a,b.jpg, https://x.example/c.jpg", ["https://x.example/a,b.jpg", "https://x.example/c.jpg"]),
        ([{"src": "a.jpg"}, {"url": "b.jpg"}, None], ["a.jpg", "b.jpg"]),
    ],
)
def test_lists_in_a_cell(value: Any, want: list[str]) -> None:
    assert list(as_texts("photos", value)) == want


@pytest.mark.parametrize("value", [7, [1], "[1, 2", '[{"x": 1}]'])
def test_what_is_no_list_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="photos"):
        as_texts("photos", value)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("2025-03-01", "2025-03-01T00:00:00+00:00"),
        ("2025-03-01T10:00:00+02:00", "2025-03-01T08:00:00+00:00"),
        ("2025-03-01 10:00:00 UTC", "2025-03-01T10:00:00+00:00"),
        ("Sat, 01 Mar 2025 10:00:00 GMT", "2025-03-01T10:00:00+00:00"),
        ("1740823200", "2025-03-01T10:00:00+00:00"),
        ("1740823200000", "2025-03-01T10:00:00+00:00"),
        *(
            (x, None)
            for x in ("0001-01-01", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "1970-01-01", "", None)
        ),
        *((x, None) for x in ("soon", "03/04/2025", "2025-13-01", "0", "99999999999999")),
    ],
)
def test_dates(value: str | None, want: str | None) -> None:
    assert utc_time(value) == want


CELLS = st.none() | st.floats() | st.text(max_size=3) | st.binary(max_size=3) | st.dates() | st.timedeltas() | st.decimals()


@given(st.recursive(CELLS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=2), x, max_size=3)))
def test_any_cell_survives_as_json(value: Any) -> None:
    once = as_json(value)
    assert json.loads(json.dumps(once, allow_nan=False).encode()) == once
    assert as_json(once) == once


def test_somebody_elses_columns_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Code,Name,Image 2,Image 10,Image 1,Cost,price\n7,Tote,b.jpg,c.jpg,a.jpg,59,old\n")
    layout = Layout().with_columns(parse_map("listing_id=Code,title=Name,photos=image*,price=Cost,currency==EUR"))
    ((listing, problem),) = read(path, layout)
    assert problem is None
    assert listing == Listing(
        "7", ("a.jpg", "b.jpg", "c.jpg"), title="Tote", price="59", currency="EUR", extra={"price (column)": "old"}
    )


@pytest.mark.parametrize("text", ["price", "=x", "price="])
def test_a_map_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--map"):
        parse_map(text)


def test_a_column_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("listing_id,cost\n1,59\n")
    for text, rows in (("price=Cost", 1), ("price==59,title=cost", 1), ("price=Cots", 0), ("price=Price|Cost", 1)):
        layout = Layout().with_columns(parse_map(text))
        if rows:
            assert read(tmp_path / "t.csv", layout)[0][0].price == "59"
        else:
            with pytest.raises(InputError, match=r"no column is called Cots \(price\); there are listing_id, cost"):
                read(tmp_path / "t.csv", layout)


def test_a_field_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="colour is no field"):
        read(tmp_path / "t.csv", Layout(columns={"colour": ("a",)}))
    with pytest.raises(ConfigError, match="no preset 'amazon'"):
        Layout.load("amazon")


EXPORTS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "shopify": (
        "Handle,Title,Body (HTML),Vendor,Variant Price,Image Src\n"
        "tote,Tote,<p>x</p>,Aurello,59.00,https://cdn.example/a.jpg?v=1\ntote,,,,100.00,https://cdn.example/b.jpg\n"
        "tote,,,,79.00,\nbelt,Belt,,,20,\n",
        [("tote", "Tote", "59.00 – 100.00", ("a.jpg", "b.jpg")), ("belt", "Belt", "20", ())],
    ),
    "woocommerce": (
        "ID,Type,SKU,Name,Sale price,Regular price,Images,Parent\n"
        '9,variable,TOTE,Tote,,,"https://s.example/w/a.jpg, https://s.example/w/c.jpg",\n10,simple,,Belt,20,25,,\n'
        "11,variation,TOTE-S,Tote - S,,59,https://s.example/w/b.jpg,TOTE\n"
        "12,variation,TOTE-M,Tote - M,79,120,,id:9\n13,variation,X-S,Cap - S,,15,,X\n",
        [("9", "Tote", "59 – 79", ("a.jpg", "c.jpg", "b.jpg")), ("10", "Belt", "20", ()), ("13", "Cap - S", "15", ())],
    ),
    "ebay": (
        "Item number,Title,Current price,Currency,PicURL,Format\n"
        "364512345678,Tote,,USD,https://i.example/a.jpg|https://i.example/b.jpg,FIXED_PRICE\n"
        "364512345678,,59.00,USD,,\n364512345679,Belt,1.00,USD,,AUCTION\n",
        [("364512345678", "Tote", "59.00", ("a.jpg", "b.jpg")), ("364512345679", "Belt", "1.00 (current bid)", ())],
    ),
    "etsy": (
        "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,IMAGE1,IMAGE2,IMAGE3\n"
        "Tote,x,59,EUR,1,https://e.example/a.jpg,https://e.example/b.jpg,\n",
        [("t.csv:2", "Tote", "59", ("a.jpg", "b.jpg"))],
    ),
    "generic": (
        '{"id": 7, "title": "Tote", "price": {"amount": "59", "currency_code": "EUR"}, '
        '"photos": [{"url": "https://v.example/a.jpg"}, {"url": "https://v.example/b.jpg"}]}\n',
        [("7", "Tote", "59", ("a.jpg", "b.jpg"))],
    ),
}


@pytest.mark.parametrize("preset", EXPORTS)
def test_each_preset_reads_its_layout(tmp_path: Path, preset: str) -> None:
    text, want = EXPORTS[preset]
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    (tmp_path / "t.csv").write_text(text)
    rows = read(tmp_path / "t.csv", Layout.load(preset))
    assert [problem for _, problem in rows] == [None] * len(want)
    assert [(x.listing_id, x.title, x.price, x.photos) for x, _ in rows] == want


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\0\0", b"<!DOCTYPE html><p>log in</p>", b"%PDF-1.7", b"\x1f\x8b\x08\0packed"]
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=r"not a table|packed with gzip"):
        list(read_listings(tmp_path / "t.csv"))


def test_how_a_table_was_read_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ";", "utf-16")
    assert read_table(path, known=HEADER).how == "CSV, semicolon, utf-16, columns listing_id, photos, title, price"


def test_a_spreadsheet_whose_zip_lies_is_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as f:
        f.writestr("[Content_Types].xml", "<Types/>")
    data = bytearray((tmp_path / "t.xlsx").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 1] = 0
    (tmp_path / "t.xlsx").write_bytes(data)
    with pytest.raises(InputError, match=r"t\.xlsx: not a readable spreadsheet"):
        list(read_listings(tmp_path / "t.xlsx"))


def test_a_long_cell_among_the_first_is_read_in_a_new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv.field_size_limit(131_072)  # as Python begins: the delimiter is looked for first
    (tmp_path / "t.csv").write_text(f"listing_id,title\n1,{'x' * 200_000}\n2,y\n")
    assert [len(title or "") for title in titles(tmp_path / "t.csv")] == [200_000, 1]
    monkeypatch.setattr(delimited, "_CELL_LIMIT", 1000)
    (tmp_path / "t.csv").write_text(f'listing_id,title\n1,"{"x" * 2000}"\n2,y\n')
    assert [listing.listing_id for listing, _ in read(tmp_path / "t.csv")] == ["1", "2"]
    csv.field_size_limit(131_072)
