"""Catalogs, banks and calibrations made by somebody who means harm: nothing outside is read or written, and all that is
wrong is one error of ours. Every part carries the right checksums: a checksum says who wrote, not what for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgmatch import Catalog, Config, Listing, Matcher
from imgmatch.catalog import reading
from imgmatch.catalog.manifest import Manifest, _checksum
from imgmatch.errors import CalibrationError, CatalogCorruptError, CatalogError, ImgmatchError, InputError
from imgmatch.indexes import faiss as faiss_module
from imgmatch.indexes import load_index
from imgmatch.indexes.faiss import FaissIndex
from imgmatch.io.files import open_foreign
from imgmatch.types import EmbeddingSpace
from imgmatch.verdicts.negatives import NegativeBank, NegativeRow
from tests.fakes import GridEncoder, picture, write_tree

SECRET = b"what only its owner may see"
NAMES = (
    "../../.bashrc",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "nul\0",
    "A" * 64,
    "a" * 63,
    "a" * 65,
    "é" * 64,
    None,
    7,
)
CONFIG = Config.from_dict({"signals": ["design", "listing"]})


def source(root: Path, items: range = range(4)) -> Path:
    layout = {f"brand{i % 2}/item{i}/{v}.png": picture(10 * i + v) for i in items for v in range(2)}
    return write_tree(root, {**layout, "brand0/logo/m.png": picture(902)})


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two honest catalogs side by side: `mine` and `theirs`."""
    root = tmp_path_factory.mktemp("hostile")
    Catalog.build(source(root / "src"), root / "mine", encoder=GridEncoder())
    Catalog.build(source(root / "more", range(3, 7)), root / "theirs", encoder=GridEncoder())
    return root


@pytest.fixture
def world(given: Path, tmp_path: Path) -> Path:
    for name in ("mine", "theirs"):
        shutil.copytree(given / name, tmp_path / name)
    shutil.copytree(given / "src", tmp_path / "src")
    write_tree(tmp_path, {".bashrc": SECRET, "secret/photo": SECRET, "secret/keep.f32": SECRET})
    return tmp_path


def forge(cat: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of a catalog and put its checksum right."""
    path = cat / "manifest.json"
    row = json.loads(path.read_text())
    change(row)
    row["checksum"] = _checksum(row)
    path.write_text(json.dumps(row))


def forge_part(cat: Path, part: Callable[[dict[str, Any]], dict[str, Any]], change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a part, and put its name and its checksums right."""

    def put(row: dict[str, Any]) -> None:
        told = part(row)
        data = change((cat / told["path"]).read_bytes())
        sha = hashlib.sha256(data).hexdigest()
        path = told["path"].replace(told["sha256"][:16], sha[:16])
        (cat / path).write_bytes(data)
        told.update(path=path, sha256=sha, bytes=len(data))

    forge(cat, put)


def forge_rows(cat: Path, name: str, change: Callable[[list[Any]], Any]) -> None:
    def put(data: bytes) -> bytes:
        rows = [json.loads(line) for line in data.splitlines()]
        changed = change(rows)
        return "".join(json.dumps(row) + "\n" for row in (rows if changed is None else changed)).encode()

    forge_part(cat, lambda row: row[name], put)


def segment(row: dict[str, Any]) -> dict[str, Any]:
    return next(iter(row["spaces"].values()))["segments"][0]


def everything(cat: Path, world: Path) -> list[str]:
    """Do all that can be done with a catalog that came from outside; return the names of exceptions that are ours.

    Whatever else is raised fails the test, and so does a change of anything outside of the two catalogs.
    """
    before = outside(world)
    work = world / "work"
    steps: list[Callable[[], Any]] = [
        lambda: Catalog.load(cat, encoder=GridEncoder()).search(picture(0), 3),
        lambda: Catalog.load(cat, encoder=GridEncoder()).verify(),
        lambda: Catalog.load(cat, encoder=GridEncoder()).issues,
        lambda: [Catalog.load(cat, encoder=GridEncoder()).photo(sha).image for sha in Catalog.load(cat).photos],
        lambda: Matcher(Catalog.load(cat, encoder=GridEncoder()), CONFIG).examine(
            Listing("1", ("0.png",), title="brand0 bag", price="10", currency="EUR"), photos=world / "src/brand0/item0"
        ),
        lambda: Catalog.load(cat, encoder=GridEncoder()).save(work / "copy"),
        lambda: Catalog.load(world / "mine", encoder=GridEncoder()).merge(Catalog.load(cat, encoder=GridEncoder())),
        lambda: Catalog.load(cat, encoder=GridEncoder()).add(world / "src"),
        lambda: Catalog.load(cat, encoder=GridEncoder()).remove(["brand1/item5"]),
        lambda: Catalog.load(cat, encoder=GridEncoder()).embed(GridEncoder("others")),
    ]
    raised = []
    for step in steps:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            step()
        except ImgmatchError as error:
            raised.append(type(error).__name__)
        leaked = [p for p in [*work.rglob("*"), *(world / "mine").rglob("*")] if p.is_file() and p.read_bytes() == SECRET]
        assert not leaked
    shutil.rmtree(work)
    assert outside(world) == before
    return raised


def outside(world: Path) -> dict[str, bytes]:
    skipped = ("mine", "theirs", "work")
    return {
        str(p.relative_to(world)): p.read_bytes()
        for p in sorted(world.rglob("*"))
        if p.is_file() and p.relative_to(world).parts[0] not in skipped
    }


# Names


def test_an_honest_catalog_passes(world: Path) -> None:
    assert everything(world / "theirs", world) == []


def test_a_photo_row_cannot_write_above_the_catalog(world: Path) -> None:
    # The file that a merge would have read, and the one that it would have overwritten.
    name = "../../.bashrc"
    write_tree(world / "theirs", {"photos/../../.bashrc": SECRET})
    forge_rows(world / "theirs", "photos", lambda rows: rows[0].update(sha256=name))
    with pytest.raises(CatalogCorruptError, match="64 hex digits"):
        Catalog.load(world / "mine", encoder=GridEncoder()).merge(Catalog.load(world / "theirs", encoder=GridEncoder()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["photo", "item", "logo", "row", "phash"])
def test_names_in_rows(world: Path, where: str, name: Any) -> None:
    cat = world / "theirs"
    if where == "photo":
        forge_rows(cat, "photos", lambda rows: rows[0].update(sha256=name))
    elif where == "phash":
        forge_rows(cat, "photos", lambda rows: rows[0].update(phash=name))
    elif where == "item":
        forge_rows(cat, "items", lambda rows: rows[0].update(photos=[name]))
    elif where == "logo":
        forge_rows(cat, "brands", lambda rows: rows[0].update(logos=[{"photo": name}]))
    else:
        line = f"{name}".encode()
        forge_part(cat, lambda row: segment(row)["photos"], lambda data: b"\n".join([line, *data.split()[1:]]) + b"\n")
    assert set(everything(cat, world)) == {"CatalogCorruptError"}


@pytest.mark.parametrize("lead", ["../", "./", "/", "vectors/../", "../theirs/"])
def test_a_part_under_its_own_name_elsewhere_is_refused_where_the_manifest_is_read(world: Path, lead: str) -> None:
    for part in (lambda r: r["items"], lambda r: segment(r)["vectors"]):
        whole = (world / "theirs/manifest.json").read_bytes()
        forge(world / "theirs", lambda row, part=part: part(row).update(path=lead + part(row)["path"]))
        with pytest.raises(CatalogCorruptError, match="not the name of a part"):
            Manifest.load(world / "theirs")
        (world / "theirs/manifest.json").write_bytes(whole)


@pytest.mark.parametrize(
    "name", ["../mine/manifest.json", "/etc/passwd", "manifest.json", "photos/aa/" + "a" * 64, "", 5, None]
)
def test_names_of_parts(world: Path, name: Any) -> None:
    whole = (world / "theirs/manifest.json").read_bytes()
    for part in (
        lambda r: r["items"],
        lambda r: r["issues"],
        lambda r: segment(r)["vectors"],
        lambda r: segment(r)["photos"],
    ):
        (world / "theirs/manifest.json").write_bytes(whole)
        forge(world / "theirs", lambda row, part=part: part(row).update(path=name))
        assert set(everything(world / "theirs", world)) == {"CatalogCorruptError"}


@pytest.mark.parametrize("key", ["../../../escaped", "0" * 16, "z" * 16, "/etc/x"])
def test_names_of_spaces(world: Path, key: str) -> None:
    def rename(row: dict[str, Any]) -> None:
        row["spaces"] = {key: next(iter(row["spaces"].values()))}
        row["active_space"] = key

    forge(world / "theirs", rename)
    assert set(everything(world / "theirs", world)) == {"CatalogCorruptError"}


# Links, pipes, devices


@pytest.mark.parametrize(
    "name",
    ["photos", "vectors", "vectors/*", "photos/??", "photos/??/*", "manifest.json", "items-*", "vectors/*/*.f32", ".lock"],
)
def test_links_are_not_followed(world: Path, name: str) -> None:
    path = sorted((world / "theirs").glob(name))[0]
    moved = world / "secret/moved"
    shutil.move(path, moved)
    path.symlink_to(moved)
    assert everything(world / "theirs", world)


def test_links_beside_what_is_named_are_neither_followed_nor_copied(world: Path) -> None:
    cat = world / "theirs"
    space = next((cat / "vectors").iterdir())
    (cat / "photos/zz").symlink_to(world / "secret")
    (cat / "photos/note").symlink_to(world / "secret/photo")
    (space / "x.f32").symlink_to(world / "secret/photo")
    (space / f".staging-{os.getpid()}.f32").symlink_to(world / ".bashrc")
    everything(cat, world)
    assert (world / "secret/keep.f32").read_bytes() == SECRET


@pytest.mark.parametrize(
    "name", ["manifest.json", "items-*", "photos/??/*", "vectors/*/*.photos", "calibration.json", "negatives.csv"]
)
def test_pipes_are_not_waited_for(world: Path, name: str) -> None:
    cat = world / "theirs"
    path = next(cat.glob(name), cat / name)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert everything(cat, world)


@pytest.mark.parametrize("name", ["calibration.json", "negatives.csv"])
def test_what_lies_beside_the_parts_is_no_link(world: Path, name: str) -> None:
    (world / "theirs" / name).symlink_to(world / ".bashrc")
    assert everything(world / "theirs", world)
    if name == "negatives.csv":
        with pytest.raises(InputError, match="symbolic link"):
            NegativeBank.append(world / "theirs", [NegativeRow("1", "copy", "b", "a" * 64, "", "", "", "")])


def test_files_with_holes_are_not_read_whole(world: Path) -> None:
    """Forty gigabytes of nothing take no space where they were made; reading them would take all memory there is."""
    for name, error in (("calibration.json", InputError), ("negatives.csv", InputError)):
        with open(world / "theirs" / name, "wb") as f:
            f.truncate(40 << 30)
        with pytest.raises(error, match=f"{name}: is larger than"):
            Matcher(Catalog.load(world / "theirs", encoder=GridEncoder()), CONFIG)
        (world / "theirs" / name).unlink()


def test_a_row_without_end_is_read_in_part(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_LINE", 10_000)
    forge_rows(world / "theirs", "items", lambda rows: rows[0].update(more="x" * 20_000))
    with pytest.raises(CatalogCorruptError, match="not a row of a catalog"):
        Catalog.load(world / "theirs", encoder=GridEncoder())
    forge_part(world / "mine", lambda row: segment(row)["photos"], lambda data: b"\0" * 20_000 + data)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(CatalogCorruptError, match="64 hex digits"):
        Catalog.load(world / "mine", encoder=GridEncoder()).search(picture(0), 3)


@pytest.mark.parametrize("name", NAMES[:-2])
def test_names_in_a_negative_bank(world: Path, name: str) -> None:
    if name.isprintable():
        text = f'listing_id,signal,brand,photo,phash,mark,reviewer,time\n1,copy,b,"{name}",,,,\n'
        (world / "theirs/negatives.csv").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="64 hex digits"):
            NegativeBank.of_catalog(world / "theirs")


def test_open_foreign(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/b": b"x", "c": b"y"})
    (tmp_path / "root").symlink_to(tmp_path / "a")
    assert open_foreign(tmp_path / "root", "b").read() == b"x"  # the user named that link
    for name in ("../c", "a/../c", "/etc/passwd", "a//b", "a\\b", "", "a/", "./c"):
        with pytest.raises(ValueError, match="name of a file"):
            open_foreign(tmp_path, name)
    for name in ("root", "root/b", "a"):
        with pytest.raises(OSError, match=r"is a symbolic link|is not a file"):
            open_foreign(tmp_path, name)


def test_a_link_put_there_at_the_last_moment_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"secret": SECRET})
    (tmp_path / "a").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)  # it looked before
    with pytest.raises(OSError, match="symbolic link"):
        open_foreign(tmp_path, "a")


# Numbers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 0.0])
def test_vectors_that_are_none(world: Path, value: float) -> None:
    def put(data: bytes) -> bytes:
        vectors = np.frombuffer(data, "<f4").copy()
        vectors[:49] = value
        return vectors.tobytes()

    forge_part(world / "theirs", lambda row: segment(row)["vectors"], put)
    assert set(everything(world / "theirs", world)) == {"CatalogCorruptError"}


@pytest.mark.parametrize(
    "change",
    [
        lambda row: segment(row).update(rows=10**12),
        lambda row: segment(row).update(rows=-1),
        lambda row: next(iter(row["spaces"].values()))["space"].update(dim=10**9),
        lambda row: next(iter(row["spaces"].values()))["space"].update(dim="49"),
        lambda row: next(iter(row["spaces"].values())).update(factory=["Flat"]),
        lambda row: row.update(counts=5),
        lambda row: row.update(format_version="1"),
        lambda row: row.update(spaces=[]),
        lambda row: row.update(active_space=[]),
        lambda row: row["items"].update(bytes=1e400),
    ],
)
def test_manifests_that_lie(world: Path, change: Callable[[dict[str, Any]], None]) -> None:
    forge(world / "theirs", change)
    assert set(everything(world / "theirs", world)) == {"CatalogCorruptError"}


@pytest.mark.parametrize("rows", [10**12, -1, 1])
def test_rows_that_a_part_cannot_hold_are_noticed_before_it_is_read(world: Path, rows: int) -> None:
    forge(world / "theirs", lambda row: segment(row).update(rows=rows))
    with pytest.raises(CatalogCorruptError, match="bytes are not"):
        Catalog.load(world / "theirs")


@pytest.mark.parametrize(
    ("dim", "read"), [(-1, False), (0, False), (1, True), (1 << 16, True), (1 + (1 << 16), False), (True, False)]
)
def test_how_many_numbers_a_vector_may_have(world: Path, dim: int, read: bool) -> None:
    def of_dim(row: dict[str, Any]) -> None:
        [(_, parts)] = row["spaces"].items()
        space = EmbeddingSpace(**{**parts["space"], "dim": dim})
        parts.update(space=asdict(space), segments=[], index=None)
        row.update(spaces={space.id: parts}, active_space=space.id)

    forge(world / "theirs", of_dim)
    refused = contextlib.nullcontext() if read else pytest.raises(CatalogCorruptError, match="a number of dimensions")
    with refused:
        Catalog.load(world / "theirs")


@pytest.mark.parametrize(
    "name", [lambda sha256: sha256[:62] + "zz", lambda _: "0" * 64, lambda _: "f" * 64], ids=["no hash", "lower", "higher"]
)
def test_a_part_is_called_by_its_hash(world: Path, name: Callable[[str], str]) -> None:
    forge(world / "theirs", lambda row: row["items"].update(sha256=name(row["items"]["sha256"])))
    with pytest.raises(CatalogCorruptError, match="not the name of a part"):
        Catalog.load(world / "theirs")


@pytest.mark.parametrize("more", [-1, 1])
def test_a_part_is_as_long_as_the_manifest_says(world: Path, more: int) -> None:
    forge(world / "theirs", lambda row: row["items"].update(bytes=row["items"]["bytes"] + more))
    with pytest.raises(CatalogCorruptError, match="does not have the checksum in the manifest"):
        Catalog.load(world / "theirs")


def test_a_manifest_of_another_kind(world: Path) -> None:
    path = world / "theirs/manifest.json"
    for text in ("[]", "null", "7", '"x"', "[" * 100_000, '{"format": "imgmatch-catalog"}', "\0", "", "{" * 5000):
        path.write_text(text)
        with pytest.raises(CatalogCorruptError):
            Catalog.load(world / "theirs")
    path.write_bytes(b" " * (65 << 20))
    with pytest.raises(CatalogCorruptError, match="larger"):
        Catalog.load(world / "theirs")
    path.write_bytes(b'{"format": "\xff"}')
    with pytest.raises(CatalogCorruptError, match="cannot be read"):
        Catalog.load(world / "theirs")
    path.unlink()
    path.mkdir()
    with pytest.raises(CatalogCorruptError, match="cannot be read"):
        Catalog.load(world / "theirs")


# Index files


def other_file(path: Path, kind: str) -> None:
    """Write another index than an HNSW8 of these rows."""
    faiss = pytest.importorskip("faiss")
    vectors = np.eye(49, dtype=np.float32)[:9]
    if kind == "flat":
        index: Any = faiss.index_factory(49, "Flat", faiss.METRIC_INNER_PRODUCT)
    elif kind == "another metric":
        index = faiss.index_factory(49, "HNSW8", faiss.METRIC_L2)
    elif kind == "another length":
        index, vectors = faiss.index_factory(8, "HNSW8", faiss.METRIC_INNER_PRODUCT), vectors[:, :8].copy()
    elif kind == "more rows":
        index, vectors = faiss.index_factory(49, "HNSW8", faiss.METRIC_INNER_PRODUCT), np.eye(49, dtype=np.float32)
    elif kind == "ids of its own":
        index = faiss.IndexIDMap(faiss.index_factory(49, "HNSW8", faiss.METRIC_INNER_PRODUCT))
        index.add_with_ids(vectors, np.arange(9) + 10**9)
        faiss.write_index(index, str(path))
        return
    else:
        binary = faiss.IndexBinaryFlat(64)
        binary.add(np.zeros((9, 8), np.uint8))
        faiss.write_index_binary(binary, str(path))
        return
    index.add(vectors)
    faiss.write_index(index, str(path))


@pytest.mark.parametrize("kind", ["flat", "another metric", "another length", "more rows", "ids of its own", "binary"])
def test_an_index_file_of_another_kind(world: Path, kind: str) -> None:
    cat = world / "hnsw"
    Catalog.build(world / "src", cat, encoder=GridEncoder(), factory="HNSW8")
    other_file(world / "other", kind)
    forge_part(cat, lambda row: next(iter(row["spaces"].values()))["index"], lambda _: (world / "other").read_bytes())
    with pytest.raises(CatalogCorruptError):
        Catalog.load(cat, encoder=GridEncoder()).search(picture(0), 3)
    with pytest.raises(CatalogCorruptError):
        Catalog.load(cat, encoder=GridEncoder()).add(source(world / "new", range(8, 9)))


def test_lists_of_another_number_or_in_another_file(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    index = faiss.index_factory(8, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(tmp_path / "four"))
    assert len(FaissIndex.load(tmp_path / "four", "IVF4,Flat")) == 200
    with pytest.raises(CatalogCorruptError, match="IVF2"):
        FaissIndex.load(tmp_path / "four", "IVF2,Flat")
    beside = faiss.OnDiskInvertedLists(4, index.code_size, str(tmp_path / "lists"))
    index.replace_invlists(beside)
    faiss.write_index(index, str(tmp_path / "beside"))
    with pytest.raises(CatalogCorruptError, match=r"IVF4|not a FAISS index"):
        FaissIndex.load(tmp_path / "beside", "IVF4,Flat")


def test_lists_with_rows_that_are_not_there(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    rows = np.eye(8, dtype=np.float32).repeat(10, 0)
    index = faiss.index_factory(8, "IVF2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add_with_ids(rows, np.arange(80) + 10**9)
    faiss.write_index(index, str(tmp_path / "x"))
    with pytest.raises(CatalogCorruptError, match="row that it does not have"):
        load_index(tmp_path / "x", "IVF2,Flat", dim=8, rows=80).search(rows[:1], 3)


@pytest.mark.parametrize(("limit", "most"), [("_BYTE_LIMIT", 100), ("_LOOP_LIMIT", 3)])
def test_an_index_file_may_ask_for_no_more_than_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    rows = np.eye(8, dtype=np.float32).repeat(20, 0)
    index = FaissIndex(8, "IVF4,Flat")
    index.add(rows)
    index.save(tmp_path / "x")
    assert len(FaissIndex.load(tmp_path / "x", "IVF4,Flat")) == 160
    monkeypatch.setattr(faiss_module, limit, most)
    with pytest.raises(CatalogCorruptError, match="not a FAISS index"):
        FaissIndex.load(tmp_path / "x", "IVF4,Flat")
    monkeypatch.undo()
    assert len(FaissIndex.load(tmp_path / "x", "IVF4,Flat")) == 160  # FAISS has them for the whole process


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "IVF2,SQfp16"])
def test_lying_headers_of_index_files(tmp_path: Path, factory: str) -> None:
    """Whatever number is changed in an index file, it is refused or it answers; nothing crashes or asks for the moon."""
    rows = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = FaissIndex(8, factory)
    index.add(rows)
    index.save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for seed in range(60):
        rng = random.Random(seed)
        at = rng.randrange(min(len(whole), 200) if seed % 2 else len(whole) - 8)
        width, value = rng.choice((1, 4, 8)), rng.choice((0, 0xFF, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, 1 << 62))
        number = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        (tmp_path / "x").write_bytes(whole[:at] + number + whole[at + width :])
        with contextlib.suppress(CatalogCorruptError):
            load_index(tmp_path / "x", factory, dim=8, rows=100).search(rows[:3], 5)


@pytest.mark.parametrize(
    "factory", ["IVF99999999,Flat", "HNSW100000", "PCA99999,Flat", "IDMap," * 50 + "Flat", "nonsense", "IVF2"]
)
def test_factory_strings_that_ask_for_too_much(world: Path, factory: str) -> None:
    with pytest.raises(CatalogError, match="not a FAISS factory string"):
        Catalog.build(world / "src", world / "new", encoder=GridEncoder(), factory=factory)
    assert not (world / "new").exists()


@pytest.mark.parametrize("factory", ["IVF256,Flat", "IDMap,Flat"])
def test_indexes_that_cannot_be_filled(world: Path, factory: str) -> None:
    with pytest.raises(CatalogError, match="use Flat"):
        Catalog.build(world / "src", world / "new", encoder=GridEncoder(), factory=factory)


@pytest.mark.parametrize("data", [b"\xff\xfe{}", b"{" * 100_000, b"", b"[]", b"\0", b'{"format": 5}'])
def test_a_calibration_of_another_kind(world: Path, data: bytes) -> None:
    (world / "theirs/calibration.json").write_bytes(data)
    with pytest.raises(CalibrationError):
        Matcher(Catalog.load(world / "theirs", encoder=GridEncoder()), CONFIG)


def test_a_row_that_is_nested_too_deeply(world: Path) -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    forge_rows(world / "theirs", "items", lambda rows: rows[0].update(deep=deep))
    assert set(everything(world / "theirs", world)) == {"CatalogCorruptError"}


# Anything anywhere

WRONG = (
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "x",
    "../x",
    "\0",
    "\ud800",
    [],
    [[]],
    {},
    {"x": 1},
    "a" * 64,
)


@pytest.mark.parametrize("seed", range(40))
def test_any_field_may_hold_anything(world: Path, seed: int) -> None:
    """Fields of random rows are replaced, dropped or doubled; what comes of it is an answer or an error of ours."""
    rng = random.Random(seed)
    cat = world / "theirs"

    def spoil(rows: list[Any]) -> None:
        for _ in range(rng.randint(1, 2)):
            row = rng.choice(rows)
            key = rng.choice(list(row)) if row else "x"
            how = rng.randrange(4)
            if how == 0:
                row.pop(key, None)
            elif how == 1:
                rows.append(dict(row))
            else:
                row[key] = rng.choice(WRONG)

    for name in rng.sample(["items", "brands", "photos"], rng.randint(1, 2)):
        forge_rows(cat, name, spoil)
    forge_rows(cat, "issues", lambda rows: [rng.choice([{"place": "a", "problem": "b"}, {"place": 5}, [], 7])])
    everything(cat, world)


def test_build_into_somebody_elses_folder(world: Path) -> None:
    (world / "theirs/photos").rename(world / "secret/photos")
    (world / "theirs/photos").symlink_to(world / "secret/photos")
    with pytest.raises(CatalogError, match="symbolic link"):
        Catalog.build(world / "src", world / "theirs", encoder=GridEncoder())
