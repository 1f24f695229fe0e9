"""Catalogs: what is built is found, laws of merging and copying, every file guarded, errors that say what to do."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from imgmatch.catalog import Catalog, manifest
from imgmatch.catalog.catalog import Catalog as CatalogClass
from imgmatch.catalog.manifest import Manifest, Part, Segment, SpaceParts, photo_path
from imgmatch.errors import (
    CatalogCorruptError,
    CatalogError,
    CatalogVersionError,
    InputError,
    LockedError,
    SpaceMismatchError,
)
from imgmatch.io.files import lock
from imgmatch.types import Embeddings, EmbeddingSpace, PhotoRole
from tests.fakes import GridEncoder, picture, write_tree


def source(root: Path, items: range = range(4), **more: bytes) -> Path:
    layout = {f"brand{i % 2}/item{i}/{v}.png": picture(10 * i + v) for i in items for v in range(2)}
    return write_tree(root, {**layout, **{k.replace("__", "/"): v for k, v in more.items()}})


@pytest.fixture
def built(tmp_path: Path) -> Catalog:
    return Catalog.build(source(tmp_path / "src"), tmp_path / "cat", encoder=GridEncoder())


def same_answers(a: Catalog, b: Catalog) -> None:
    queries = GridEncoder().encode([np.asarray(x) for x in np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3))])
    for left, right in zip(a.nearest(queries, 6).rows(), b.nearest(queries, 6).rows(), strict=True):
        assert [round(s, 5) for _, s in left] == [round(s, 5) for _, s in right]
        assert {a.photo_ids[i] for i, _ in left} == {b.photo_ids[i] for i, _ in right}


# What is built


def test_build_finds_itself_first(built: Catalog, tmp_path: Path) -> None:
    assert sorted(built.items) == ["brand0/item0", "brand0/item2", "brand1/item1", "brand1/item3"]
    for i in range(4):
        found = built.search(tmp_path / f"src/brand{i % 2}/item{i}/1.png", k=2)
        assert found[0].item_id == f"brand{i % 2}/item{i}"
        assert found[0].similarity == pytest.approx(1, abs=1e-5)
        assert len({c.item_id for c in found}) == 2


def test_roles_and_logos(tmp_path: Path) -> None:
    src = source(tmp_path / "src", background__x=b"", brand0__logo__mark=b"")
    write_tree(
        src, {"background/a.png": picture(900), "known_offender/b.png": picture(901), "brand0/logo/m.png": picture(902)}
    )
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert [p.name for p in c.of_role(PhotoRole.BACKGROUND)] == ["background/a.png"]
    assert [g.photo for g in c.brands["brand0"].logos] == [p.sha256 for p in c.of_role(PhotoRole.LOGO)]
    query = c.embedding(c.of_role(PhotoRole.BACKGROUND)[0].sha256)[None]
    assert all(c.photos[c.photo_ids[i]].role is PhotoRole.REFERENCE for i, _ in next(c.nearest(query, 20).rows()))
    background = c.nearest(query, 20, roles=frozenset({PhotoRole.BACKGROUND}))
    assert [round(s, 4) for _, s in next(background.rows())] == [1.0]


def test_manifest_source(tmp_path: Path) -> None:
    src = source(tmp_path / "src")
    (src / "m.csv").write_text(
        "item_id,brand,model,variant,photos,price,currency,condition_prices,official_sellers,colour\n"
        'a,Acme,Tote,red,"[""brand0/item0/0.png"",""brand0/item0/1.png""]",100,EUR,"{""used"": 60}",'
        '"[[""shop"",""7""]]",red\n'
        "b,acme,Tote,blue,brand1/item1/0.png,,,,,\n"
        "c,acme,,,../../etc/passwd,,,,,\n"
        "d,acme,,,,1,EUR,,,\n",
        encoding="utf-8",
    )
    (src / "m.csv").with_name("brands.jsonl").write_text('{"brand": "ACME", "name": "Acme", "wordmarks": ["ACME"]}\n')
    with pytest.raises(CatalogError, match=r"no photo is left for 1 item.*: c\. .*below the table's folder"):
        Catalog.build(src / "m.csv", tmp_path / "cat", encoder=GridEncoder())
    (src / "m.csv").write_text("\n".join((src / "m.csv").read_text().splitlines()[:3]) + "\nd,acme,,,,1,EUR,,,\n")
    c = Catalog.build(src / "m.csv", tmp_path / "cat", encoder=GridEncoder())
    a = c.items["a"]
    assert (a.brand, a.variant, a.price, a.condition_prices, dict(a.extra)) == (
        "acme",
        "red",
        100.0,
        {"used": 60.0},
        {"colour": "red"},
    )
    assert len(a.photos) == 2
    assert c.brands["acme"].authorised_sellers == (("shop", "7"),)
    assert c.brands["acme"].wordmarks == ("ACME",)
    assert [x.problem for x in c.issues] == ["photos: expected at least one path"]


def test_two_spellings_of_a_brand_are_one_brand(tmp_path: Path) -> None:
    spellings = ["\u00c9lora\u00e9 Cie", "E\u0301lorae\u0301-cie", "\u00e9lora\u00e9 CIE\u00ae"]
    trees = [write_tree(tmp_path / str(i), {f"{s}/item{i}/0.png": picture(i)}) for i, s in enumerate(spellings)]
    write_tree(trees[0], {f"{spellings[1]}/other/0.png": picture(7)})
    (trees[0] / "brands.jsonl").write_text(
        json.dumps({"brand": "elorae cie", "name": "\u00c9lora\u00e9 & Cie", "aliases": ["EC"]}), encoding="utf-8"
    )
    write_tree(trees[1], {"ec/by-alias/0.png": picture(8)})
    c = Catalog.build(trees[0], tmp_path / "c", encoder=GridEncoder()).add(trees[1])
    c = c.merge(Catalog.build(trees[2], tmp_path / "d", encoder=GridEncoder()))
    assert {b.brand: b.name for b in c.brands.values()} == {"elorae cie": "\u00c9lora\u00e9 & Cie"}
    assert {i.brand for i in c.items.values()} == {p.brand for p in c.photos.values()} == {"elorae cie"}
    assert len(c.items) == 5


def test_a_bad_photo_fails_alone(tmp_path: Path) -> None:
    src = write_tree(source(tmp_path / "src"), {"brand0/item0/broken.png": picture(3)[:60]})
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert [x.place for x in c.issues] == ["brand0/item0/broken.png"]
    assert len(c.items["brand0/item0"].photos) == 2


def test_the_same_photo_under_two_items_is_reported(tmp_path: Path) -> None:
    src = write_tree(source(tmp_path / "src"), {"brand1/item1/again.png": picture(0)})
    c = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    assert [x.problem for x in c.issues] == [
        "left out: the same photo is there already as brand0/item0/0.png (reference of brand0)"
    ]


# Laws


def test_load_gives_what_was_built(built: Catalog) -> None:
    again = Catalog.load(built.path, encoder=GridEncoder())
    assert again.version == built.version
    assert again.items == built.items
    np.testing.assert_array_equal(again.vectors, built.vectors)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8"])
def test_merge_searches_like_one_built_of_both(tmp_path: Path, factory: str) -> None:
    both = Catalog.build(source(tmp_path / "ab", range(6)), tmp_path / "both", encoder=GridEncoder(), factory=factory)
    a = Catalog.build(source(tmp_path / "a", range(4)), tmp_path / "ca", encoder=GridEncoder(), factory=factory)
    b = Catalog.build(source(tmp_path / "b", range(3, 6)), tmp_path / "cb", encoder=GridEncoder(), factory=factory)
    same_answers(a.merge(b), both)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8"])
def test_add_and_remove_search_like_built_anew(tmp_path: Path, factory: str) -> None:
    c = Catalog.build(source(tmp_path / "a", range(4)), tmp_path / "c", encoder=GridEncoder(), factory=factory)
    c = c.add(source(tmp_path / "b", range(4, 8)))
    assert c.manifest.spaces[c.space.id].factory == factory
    same_answers(c, Catalog.build(source(tmp_path / "ab", range(8)), tmp_path / "ref", encoder=GridEncoder()))
    c = c.remove(["brand0/item0"])
    assert not c.verify()
    rest = Catalog.build(source(tmp_path / "rest", range(1, 8)), tmp_path / "ref2", encoder=GridEncoder())
    same_answers(c, rest)


def test_many_changes_are_compacted(built: Catalog, tmp_path: Path) -> None:
    c = built
    for i in range(4, 16):
        c = c.add(source(tmp_path / f"s{i}", range(i, i + 1)))
    assert len(c.manifest.spaces[c.space.id].segments) <= 8
    c = c.remove([i for i in c.items if i != "brand0/item0"])
    assert len(c.photo_ids) == 2
    c = c.add(source(tmp_path / "known", range(1)))  # nothing new, but it sweeps what the change before left to its readers
    assert not c.verify()
    assert len(list((c.path / "photos").rglob("*"))) <= 4


def test_adding_what_is_there_changes_nothing(built: Catalog, tmp_path: Path) -> None:
    assert built.add(tmp_path / "src").version == built.version


def test_save_copies(built: Catalog, tmp_path: Path) -> None:
    copy = built.save(tmp_path / "copy")
    assert copy.version == built.version
    assert not copy.verify()
    with pytest.raises(CatalogError, match="exists already"):
        built.save(tmp_path / "copy")


def test_embed_adds_a_space_and_makes_it_active(built: Catalog) -> None:
    other = built.embed(GridEncoder("other weights"))
    assert len(other.manifest.spaces) == 2
    assert other.space.id != built.space.id
    assert Catalog.load(built.path, space=built.space.id, encoder=GridEncoder()).version == built.version


def test_an_old_view_goes_on_answering(built: Catalog) -> None:
    before = built.nearest(built.vectors[:1], 3).ids.tolist()
    built.remove(["brand0/item0"])
    assert built.nearest(built.vectors[:1], 3).ids.tolist() == before


def test_an_old_view_reads_its_photos_until_the_change_after_the_next(built: Catalog) -> None:
    gone = built.items["brand0/item0"].photos[0]
    smaller = built.remove(["brand0/item0"])
    assert built.photo(gone).image.sha256 == gone
    fresh = Catalog(built.path, built.manifest, GridEncoder())  # every part of the version before can still be opened
    assert fresh.nearest(fresh.vectors[:1], 3).ids.tolist() == built.nearest(built.vectors[:1], 3).ids.tolist()
    smaller.remove(["brand1/item1"])
    assert not photo_path(built.path, gone).exists()
    with pytest.raises(CatalogCorruptError):
        Catalog(built.path, built.manifest, GridEncoder())


# Guarded


def test_any_flipped_byte_is_noticed(built: Catalog) -> None:
    files = sorted(p for p in built.path.rglob("*") if p.is_file() and p.name != ".lock")
    rng = random.Random(0)
    flips = 0
    for path in files:
        data = path.read_bytes()
        for at in {0, len(data) - 1, *(rng.randrange(len(data)) for _ in range(25))} if data else ():
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
            flips += 1
            try:
                problems = Catalog.load(built.path, encoder=GridEncoder()).verify()
            except CatalogError:
                continue
            assert problems, f"{path.name} byte {at}"
        path.write_bytes(data)
    assert flips > 200
    assert not Catalog.load(built.path, encoder=GridEncoder()).verify()


def test_a_faiss_file_is_checked_before_faiss_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c = Catalog.build(source(tmp_path / "src"), tmp_path / "cat", encoder=GridEncoder(), factory="HNSW8")
    part = c.manifest.spaces[c.space.id].index
    assert part is not None
    path = c.path / part.path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    monkeypatch.setattr("faiss.read_index", lambda *_: pytest.fail("FAISS was given an unchecked file"))
    with pytest.raises(CatalogCorruptError, match="checksum"):
        Catalog.load(c.path, encoder=GridEncoder()).nearest(c.vectors[:1], 1)


KILLED = """
    import sys
    from pathlib import Path
    import imgmatch.catalog.manifest as m
    from imgmatch.catalog import Catalog
    from tests.fakes import GridEncoder
    src, cat, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    import os, imgmatch.catalog.ingest as ingest
    if when == "before":
        m.Manifest.save = lambda self, root: os._exit(9)
    else:
        ingest.sweep = lambda *a: os._exit(9)
    c = Catalog.load(cat, encoder=GridEncoder())
    c.add(src)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_writer_leaves_old_or_new(built: Catalog, tmp_path: Path, when: str) -> None:
    src = source(tmp_path / "more", range(4, 6))
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), src, built.path, when], cwd=Path(__file__).parents[1], check=False
    )
    assert run.returncode == 9
    after = Catalog.load(built.path, encoder=GridEncoder())
    assert not after.verify()
    assert len(after.items) == (4 if when == "before" else 6)
    # What the dead writer left behind is swept by the next; what the version before consists of stays for its readers.
    whole = after.add(src)
    assert len(whole.items) == 6
    named = {p.path for c in (after, whole) for p in c.manifest.parts()}
    assert {p.name for p in whole.path.glob("*.jsonl")} == {n for n in named if "/" not in n}


def test_reading_while_another_writes(built: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A writer commits between our reading the manifest and its parts: the reader starts over.
    real, raced = CatalogClass.__init__, []

    def init(self, *args):
        if not raced:
            raced.append(1)
            built.remove(["brand0/item0"]).remove(["brand1/item1"])
        real(self, *args)

    monkeypatch.setattr(CatalogClass, "__init__", init)
    assert len(Catalog.load(built.path, encoder=GridEncoder()).items) == 2


# Errors


def test_errors(built: Catalog, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for call, kind, message in [
        (lambda: Catalog.load(tmp_path / "nowhere"), CatalogError, "no catalog here"),
        (lambda: Catalog.build(tmp_path / "nowhere", tmp_path / "x", encoder=GridEncoder()), InputError, "no such source"),
        (lambda: Catalog.build(empty, tmp_path / "x", encoder=GridEncoder()), InputError, "no item found"),
        (
            lambda: Catalog.build(tmp_path / "src", tmp_path / "src", encoder=GridEncoder()),
            CatalogError,
            "holds other files",
        ),
        (lambda: built.remove(["nope"]), CatalogError, "no such item: nope"),
        (lambda: built.remove(list(built.items)), CatalogError, "every item"),
        (lambda: built.merge(built), CatalogError, "itself"),
        (lambda: Catalog.load(built.path, encoder=GridEncoder("other")), SpaceMismatchError, "grid .*; got grid"),
        (lambda: Catalog.load(built.path, space="0" * 16), CatalogError, "has no space"),
    ]:
        with pytest.raises(kind, match=message):
            call()
    other = EmbeddingSpace("e", "w", "a", "p", "fp32", 49)
    with pytest.raises(SpaceMismatchError):
        built.nearest(Embeddings(np.array(built.vectors[:1]), other), 1)
    assert not built.verify()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"format_version": 2}, CatalogVersionError, r"format 2 is newer than this version reads \(1\)"),
        ({"format_version": 0}, CatalogCorruptError, "changed since it was written"),  # whatever it is, it is not newer
        ({"byte_order": "big"}, CatalogVersionError, "vectors are big-endian"),
        ({"byte_order": "pdp"}, CatalogVersionError, "vectors are pdp-endian"),
        ({"format": "a"}, CatalogCorruptError, "not an imgmatch catalog"),
        ({"format": "other"}, CatalogCorruptError, "not an imgmatch catalog"),
        ({"active_space": "f" * 16}, CatalogCorruptError, "changed since it was written"),
        ({"checksum": "0"}, CatalogCorruptError, "changed since it was written"),
        ({"checksum": "g"}, CatalogCorruptError, "changed since it was written"),
    ],
)
def test_manifests_we_do_not_read(built: Catalog, change: dict, kind: type, message: str) -> None:
    path = built.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(kind, match=message):
        Catalog.load(built.path)


def test_a_manifest_says_what_it_is(built: Catalog) -> None:
    text = (built.path / "manifest.json").read_text()
    row = json.loads(text)
    assert text.startswith('{\n "')  # a line a field, for people
    assert len(built.version) == 16
    assert (row["format"], row["format_version"], row["byte_order"]) == ("imgmatch-catalog", 1, "little")
    assert photo_path(built.path, "ab" * 32) == built.path / "photos" / "ab" / ("ab" * 32)  # where those of any version lie
    assert manifest._MOST_BYTES == 67_108_864  # and not more of a foreign one is read


def test_a_manifest_is_read_up_to_its_limit(built: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (built.path / "manifest.json").stat().st_size
    monkeypatch.setattr(manifest, "_MOST_BYTES", size)
    assert Manifest.load(built.path) == built.manifest
    monkeypatch.setattr(manifest, "_MOST_BYTES", size - 1)
    with pytest.raises(CatalogCorruptError, match="larger than any manifest"):
        Manifest.load(built.path)


def test_one_writer_at_a_time(built: Catalog) -> None:
    with lock(built.path), pytest.raises(LockedError, match="another process is writing"):
        built.remove(["brand0/item0"])


def test_an_item_left_without_photos_fails_and_changes_nothing(built: Catalog, tmp_path: Path) -> None:
    src = write_tree(tmp_path / "bad", {"brand0/new/x.png": b"not a photo", "brand0/ok/y.png": picture(77)})
    with pytest.raises(CatalogError, match=r"no photo is left for 1 item.*brand0/new.*Nothing was changed"):
        built.add(src)
    assert Catalog.load(built.path).version == built.version


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(built: Catalog) -> None:
    built.path.chmod(0o500)
    with pytest.raises(CatalogError, match="Permission"):
        built.remove(["brand0/item0"])
    built.path.chmod(0o700)


def test_photos_survive_their_source(built: Catalog, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "src")
    sha = next(iter(built.photos))
    photo = built.photo(sha)
    assert photo.image.sha256 == sha
    assert photo is built.photo(sha)
    np.testing.assert_array_equal(photo.embedding, built.embedding(sha))


def test_a_large_reference_is_decoded_as_a_listing_photo_is_and_a_logo_in_full(tmp_path: Path) -> None:
    tree = {"brand/item/1.jpg": picture(1, (2100, 2200), "JPEG"), "brand/logo/1.png": picture(2, (2100, 2200))}
    catalog = Catalog.build(write_tree(tmp_path / "src", tree), tmp_path / "cat", encoder=GridEncoder())
    shown = {photo.role: catalog.photo(sha).image for sha, photo in catalog.photos.items()}
    reference, logo = shown[PhotoRole.REFERENCE], shown[PhotoRole.LOGO]
    assert (reference.pixels.shape, reference.width, reference.scale) == ((1100, 1050, 3), 2100, 2.0)
    assert (logo.pixels.shape, logo.scale) == ((2200, 2100, 3), 1.0)


@pytest.mark.parametrize("kind", [Manifest, Part, Segment, SpaceParts])
def test_what_was_read_of_a_manifest_cannot_be_changed(kind: type) -> None:
    blank = object.__new__(kind)
    for name in kind.__slots__:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(blank, name, None)
