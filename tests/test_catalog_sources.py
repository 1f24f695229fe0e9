"""What people bring for a catalog: photos that items share, updates, fields of another type, leftovers of systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgmatch.catalog import Catalog
from imgmatch.catalog.source import read_source
from imgmatch.errors import CatalogError, InputError
from imgmatch.types import PhotoRole
from tests.fakes import GridEncoder, picture, write_tree

SIZES = (
    "item_id,brand,photos,price,currency\nS,acme,tote.png,100,EUR\nM,acme,tote.png,110,EUR\nL,acme,tote.png|l.png,120,EUR\n"
)


def build(root: Path, manifest: str, brands: list[Any] | None = None, name: str = "cat") -> Catalog:
    write_tree(root, {f"{n}.png": picture(i) for i, n in enumerate(("tote", "l", "belt"))})
    (root / "m.csv").write_text(manifest, encoding="utf-8")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in brands or []]
    (root / "brands.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Catalog.build(root / "m.csv", root.with_name(f"{root.name}-{name}"), encoder=GridEncoder())


def owners(catalog: Catalog) -> dict[str, set[str]]:
    """Names of each item's photos."""
    return {i.item_id: {catalog.photos[sha].name for sha in i.photos} for i in catalog.items.values()}


def test_variants_share_a_photo(tmp_path: Path) -> None:
    c = build(tmp_path / "a", SIZES)
    assert owners(c) == {"S": {"tote.png"}, "M": {"tote.png"}, "L": {"tote.png", "l.png"}}
    assert list(c.shared.values()) == [("S", "M", "L")]
    assert (len(c.photos), len(c.issues), c.verify()) == (2, 0, [])
    assert [x.item_id for x in c.search(tmp_path / "a/tote.png", k=2)] == ["S", "L"]


def test_sharing_survives_removal_addition_and_merging(tmp_path: Path) -> None:
    c = build(tmp_path / "a", SIZES)
    less = c.remove(["S"])
    assert owners(less) == {"M": {"tote.png"}, "L": {"tote.png", "l.png"}}
    assert less.search(tmp_path / "a/tote.png", k=1)[0].item_id == "M"
    again = less.add(tmp_path / "a/m.csv")
    assert owners(again) == owners(build(tmp_path / "b", SIZES))
    other = build(tmp_path / "c", "item_id,brand,photos\nXL,acme,tote.png\nB,acme,belt.png\n")
    merged = again.merge(other)
    assert owners(merged) | {"S": set()} == {**owners(again), "XL": {"tote.png"}, "B": {"belt.png"}, "S": set()}
    assert set(next(iter(merged.shared.values()))) == {"S", "M", "L", "XL"}
    assert not merged.verify()


def test_brands_never_share_a_photo(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"1 item\(s\): b.*there already as tote.png \(reference of acme\)"):
        build(tmp_path / "a", "item_id,brand,photos\na,acme,tote.png\nb,other,tote.png\n")


def test_adding_a_known_item_updates_it_and_says_what_changed(tmp_path: Path) -> None:
    c = build(tmp_path / "a", "item_id,brand,photos,name,price,colour\nS,acme,tote.png,Tote,100,red\n")
    (tmp_path / "a/n.csv").write_text(
        "item_id,brand,photos,name,price,official_sellers\n"
        'S,acme,tote.png,,120,"[[""shop"", ""7""]]"\nB,acme,belt.png,Belt,9,\n'
    )
    changes = c.preview(tmp_path / "a/n.csv")
    assert changes == [
        "item S: price 100.0 → 120.0",
        "item B: new",
        "brand acme: authorised_sellers unknown → [['shop', '7']]",
    ]
    assert Catalog.load(c.path, encoder=GridEncoder()).version == c.version
    after = c.add(tmp_path / "a/n.csv")
    s = after.items["S"]
    assert (s.name, s.price, dict(s.extra)) == ("Tote", 120.0, {"colour": "red"})
    assert after.brands["acme"].authorised_sellers == (("shop", "7"),)
    assert after.preview(tmp_path / "a/n.csv") == []


def test_a_preview_says_what_would_be_left_out(tmp_path: Path) -> None:
    c = build(tmp_path / "a", "item_id,brand,photos,price\nS,acme,tote.png,100\n")
    (tmp_path / "a/broken.png").write_bytes(b"no photo")
    (tmp_path / "a/n.csv").write_text(
        "item_id;brand;photos;price\nS;acme;tote.png;1.250\nB;acme;belt.png|none.png|broken.png;9\n"
    )
    changes = c.preview(tmp_path / "a/n.csv")
    assert changes[0] == "item B: new"
    assert "left out: n.csv:2: price: " in changes[1]
    assert changes[2] == "left out: none.png: no such file"
    assert changes[3].startswith("left out: broken.png: ")
    assert len(changes) == 4
    assert "B" not in Catalog.load(c.path, encoder=GridEncoder()).items


@pytest.mark.parametrize("row", ["B,acme,none.png", "B,acme,broken.png", "B,other,tote.png"])
def test_a_preview_refuses_what_would_be_refused(tmp_path: Path, row: str) -> None:
    c = build(tmp_path / "a", "item_id,brand,photos\nS,acme,tote.png|gone.png\n")
    (tmp_path / "a/broken.png").write_bytes(b"no photo")
    (tmp_path / "a/n.csv").write_text(f"item_id,brand,photos\n{row}\n")
    refusals = []
    for act in (c.preview, c.add):
        with pytest.raises(CatalogError, match=r"no photo is left for 1 item\(s\): B\. Nothing was changed") as refused:
            act(tmp_path / "a/n.csv")
        refusals.append(str(refused.value))
    assert refusals[0] == refusals[1]
    assert Catalog.load(c.path, encoder=GridEncoder()).version == c.version


MANIFEST = "item_id,brand,photos\na,acme,tote.png\n"


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ({"wordmarks": "ACME", "aliases": "艾克米"}, {"wordmarks": ("ACME",), "aliases": ("艾克米",)}),
        ({"wordmarks": None, "name": None}, {"wordmarks": (), "name": "acme"}),
        ({"name": float("nan"), "aliases": ["a", None]}, {"name": "acme", "aliases": ("a",)}),
        ({"authorised_sellers": ["shop", "7"]}, {"authorised_sellers": (("shop", "7"),)}),
        ({"authorised_sellers": [["shop", 7]]}, {"authorised_sellers": (("shop", "7"),)}),
        ({"official_domains": "acme.com"}, {"official_domains": ("acme.com",)}),
    ],
)
def test_a_text_where_a_list_belongs_is_a_list_of_one(tmp_path: Path, row: dict[str, Any], want: dict[str, Any]) -> None:
    brand = build(tmp_path / "a", MANIFEST, [{"brand": "acme", **row}]).brands["acme"]
    assert {name: getattr(brand, name) for name in want} == want


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"brand": "acme", "wordmarks": 7}, "wordmarks: expected a list"),
        ({"brand": None}, "brand: missing"),
        ({"brand": "acme", "authorised_sellers": "shop 7"}, "authorised_sellers: expected"),
        ({"brand": "acme", "logos": 7}, "logos: expected"),
        ({"brand": "acme", "logos": [7]}, "logos, 1: expected"),
        ({"brand": "acme", "logos": [{"path": "tote.png", "kind": "crest"}]}, "logos, 1, kind: expected one of"),
        ({"brand": "acme", "logos": [{"path": "tote.png", "box": [1, 2, 3]}]}, "logos, 1, box: expected four"),
        ({"brand": "acme", "logos": [{"path": "../x.png"}]}, "below the table's folder"),
        ("{not json", "not valid JSON"),
        ("[1]", "expected a JSON object"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"brands.jsonl:2: .*{message}"):
        build(tmp_path / "a", MANIFEST, [{"brand": "other"}, row])


@pytest.mark.parametrize(
    ("header", "row", "problem"),
    [
        ("price", "inf", "price: expected a plain number such as 1299.00, got 'inf'"),
        ("price", "1e400", "price: expected a plain number"),
        ("price", "-5", "price: expected a plain number"),
        ("price", "1.299", "price: expected a plain number"),
        ("price", '"1.299,00"', "price: expected a plain number such as 1299.00, got '1.299,00'"),
        ("condition_prices", "[1]", "condition_prices: expected a JSON object"),
        ("official_sellers", "shop", "official_sellers: expected"),
    ],
)
def test_a_wrong_field_of_a_manifest_fails_its_row(tmp_path: Path, header: str, row: str, problem: str) -> None:
    c = build(tmp_path / "a", f"item_id,brand,photos,{header}\na,acme,tote.png,\nb,acme,belt.png,{row}\n")
    assert list(c.items) == ["a"]
    ((place, said),) = [(x.place, x.problem) for x in c.issues]
    assert place == "m.csv:3"
    assert problem in said


def test_a_manifest_in_another_dialect(tmp_path: Path) -> None:
    c = build(tmp_path / "a", "Item ID; Brand ;PHOTOS;price\n4711;Acme;tote.png;100.0\n4712;Acme;belt.png;nan\n")
    assert {i.item_id: i.price for i in c.items.values()} == {"4711": 100.0, "4712": None}


def test_what_systems_leave_is_no_brand_item_or_photo(tmp_path: Path) -> None:
    src = write_tree(
        tmp_path / "src",
        {
            "ACME/tote/front.png": picture(0),
            "ACME/belt/s-l1600": picture(1),
            "ACME/tote/@eaDir/front.png/THUMB.jpg": picture(2),
            "__MACOSX/ACME/tote/._front.png": b"\0\5\026\7",
            "ACME/belt/notes.txt": b"x",
            "background/.thumbnails/a.png": picture(3),
            "background/b": picture(4),
        },
    )
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert sorted(c.items) == ["acme/belt", "acme/tote"]
    assert (len(c.of_role(PhotoRole.REFERENCE)), len(c.of_role(PhotoRole.BACKGROUND))) == (2, 1)
    assert sorted(x.problem.split(" (")[0] for x in c.issues) == [
        "skipped 1: not a photo",
        "skipped 3: left by a system",
    ]


@pytest.mark.parametrize("logos", ["crest.png", {"path": "crest.png"}, [{"path": "crest.png"}]])
def test_one_mark_is_a_list_of_one(tmp_path: Path, logos: Any) -> None:
    write_tree(tmp_path / "a", {"crest.png": picture(9)})
    assert len(build(tmp_path / "a", MANIFEST, [{"brand": "acme", "logos": logos}]).brands["acme"].logos) == 1


@pytest.mark.parametrize("goods", [{}, {"ACME/tote/front.png": picture(0)}])
def test_a_folder_of_marks_is_no_brand(tmp_path: Path, goods: dict[str, Any]) -> None:
    marks = {"logos/crest.png": None, "logos/boxed.png": [4, 4, 60, 60], "logos/acme/seal.png": None}
    src = write_tree(tmp_path / "src", {**goods, **{name: picture(i) for i, name in enumerate(marks, 8)}})
    row = {"brand": "acme", "logos": [{"path": name, "box": box} for name, box in marks.items()]}
    (src / "brands.jsonl").write_text(json.dumps(row), encoding="utf-8")
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert (list(c.brands), len(c.brands["acme"].logos), c.issues) == (["acme"], 3, [])
    assert list(c.items) == ["acme/tote"] * bool(goods)


@pytest.mark.parametrize("box", [None, [4, 4, 60, 60]])
def test_a_picture_beside_the_marks_is_named_and_is_no_item(tmp_path: Path, box: list[int] | None) -> None:
    marks = ("logos/crest.png", "logos/stray.png", "logos/old/seal.png")
    src = write_tree(tmp_path / "src", {name: picture(i) for i, name in enumerate(marks)})
    row = {"brand": "acme", "logos": [{"path": marks[0], "box": box}]}
    (src / "brands.jsonl").write_text(json.dumps(row), encoding="utf-8")
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert (list(c.brands), list(c.items), len(c.brands["acme"].logos)) == (["acme"], [], 1)
    assert [x.problem for x in c.issues] == [
        "skipped 2: among marks, but not in brands.jsonl (logos/old/seal.png, logos/stray.png)"
    ]


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([60, 60, 4, 4], ""),  # opposite corners, in any order
        ([900, 900, 950, 950], "holds nothing of its picture"),
        ([4, 4, 4, 60], "holds nothing of its picture"),
        ([4, 4, 9, 9], "below"),
    ],
)
def test_a_box_that_holds_no_mark_costs_the_mark(tmp_path: Path, box: list[int], problem: str) -> None:
    src = write_tree(tmp_path / "src", {"logos/crest.png": picture(8), "acme/tote/1.png": picture(0)})
    row = {"brand": "acme", "logos": [{"path": "logos/crest.png", "box": box}]}
    (src / "brands.jsonl").write_text(json.dumps(row), encoding="utf-8")
    Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    c = Catalog.load(tmp_path / "cat", encoder=GridEncoder())
    assert (len(c.brands["acme"].logos), [problem in x.problem for x in c.issues]) == (not problem, [True] * bool(problem))


@pytest.mark.parametrize("box", ["[4, 4, 60]", '["4", 4, 60, 60]', "[NaN, 4, 60, 60]", "[4, 4, 1e400, 60]", "7"])
def test_a_box_that_is_none_is_told_with_its_row(tmp_path: Path, box: str) -> None:
    src = write_tree(tmp_path, {"logos/crest.png": picture(8), "acme/tote/1.png": picture(0)})
    (src / "brands.jsonl").write_text(f'{{"brand": "acme", "logos": [{{"path": "logos/crest.png", "box": {box}}}]}}')
    with pytest.raises(InputError, match=r"brands.jsonl:1.*logos, 1, box: expected four numbers"):
        read_source(src)


ZETA = ["zeta/bag/1.png", "zeta/bag/2.png"]


@pytest.mark.parametrize(
    ("marks", "brands", "photos"),
    [
        ({name: [4, 4, 60, 60] for name in ZETA}, ["acme", "zeta"], ZETA),
        ({ZETA[0]: None}, ["acme", "zeta"], ZETA[1:]),
        (dict.fromkeys(ZETA), ["acme"], []),
    ],
)
def test_a_listed_mark_is_no_item_photo_unless_it_is_boxed_there(
    tmp_path: Path, marks: dict[str, Any], brands: list[str], photos: list[str]
) -> None:
    src = write_tree(tmp_path, {name: picture(i) for i, name in enumerate(ZETA)})
    row = {"brand": "acme", "logos": [{"path": name, "box": box} for name, box in marks.items()]}
    (src / "brands.jsonl").write_text(json.dumps(row), encoding="utf-8")
    source = read_source(src)
    assert (sorted(source.brands), list(source.items), source.issues) == (brands, ["zeta/bag"] * bool(photos), [])
    assert [photo.name for photo in source.photos if photo.role is PhotoRole.REFERENCE] == photos


@pytest.mark.parametrize("logos", [[], ["logos/crest.png"]])
def test_an_empty_folder_is_named_and_makes_no_brand(tmp_path: Path, logos: list[str]) -> None:
    write_tree(tmp_path, {"logos/crest.png": picture(8), "acme/tote/1.png": picture(0)})
    (tmp_path / "zeta/bag").mkdir(parents=True)
    (tmp_path / "brands.jsonl").write_text(json.dumps({"brand": "acme", "logos": logos}), encoding="utf-8")
    source = read_source(tmp_path)
    assert (list(source.brands), list(source.items)) == (["acme"], ["acme/tote"])
    assert source.issues[-1].problem == "skipped 1: no photo in it (zeta/bag)"


def test_a_photo_in_the_folder_of_its_brand_stays_its_item_though_it_is_a_mark(tmp_path: Path) -> None:
    src = write_tree(tmp_path / "src", {"ACME/tote/front.png": picture(0)})
    logos = [{"path": "ACME/tote/front.png", "box": [4, 4, 60, 60]}]
    (src / "brands.jsonl").write_text(json.dumps({"brand": "acme", "logos": logos}), encoding="utf-8")
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert (owners(c), len(c.brands["acme"].logos)) == ({"acme/tote": {"ACME/tote/front.png"}}, 1)


def test_a_picture_that_is_the_mark_of_two_brands_is_kept_for_both_and_named(tmp_path: Path) -> None:
    src = write_tree(tmp_path / "src", {"logos/crest.png": picture(8)})
    rows = [{"brand": brand, "logos": "logos/crest.png"} for brand in ("acme", "brume")]
    (src / "brands.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert [len(brand.logos) for brand in c.brands.values()] == [1, 1]
    assert [x.problem for x in c.issues] == ["this picture is also a mark of acme; it cannot tell the two brands apart"]
