"""The matcher: one row per listing in order, bad photos and broken signals cost themselves, batches change nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from imgmatch import Catalog, Config, Listing, Matcher, load_image
from imgmatch.config import FusionConfig, ImageConfig
from imgmatch.images import perceptual_hash
from imgmatch.loading.cache import CachedPhoto, PartCache, PhotoCache
from imgmatch.loading.loader import PhotoLoader
from imgmatch.loading.photo import PIXEL_SIDE, PhotoContext, Query, WorkingSet
from imgmatch.matcher import _is_dense
from imgmatch.parallel import one_blas_thread
from imgmatch.records import ScanRecord
from imgmatch.signals.design.local import CloserLook
from imgmatch.types import Candidate, Finding, FindingStatus, Image
from tests.fakes import GridEncoder, picture, write_tree

DESIGN = Config(signals=("design",))
# Without the closer look at near photos, for which references are encoded as well.
ONE_LOOK = Config.from_dict({"signals": ["design"], "design": {"local_weight": 0.0}})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Path]:
    root = tmp_path_factory.mktemp("matcher")
    src = write_tree(
        root / "src", {f"brand{i % 3}/item{i}/{v}.png": picture(10 * i + v) for i in range(6) for v in range(2)}
    )
    photos = {f"own{i}.png": picture(10 * i) for i in range(6)} | {"bad.png": b"\x89PNG\r\n\x1a\n", "new.png": picture(999)}
    return Catalog.build(src, root / "cat", encoder=GridEncoder()), write_tree(root / "listings", photos)


class Probe:
    """A signal that says what it saw, and breaks where it is told to."""

    name = "probe"

    @property
    def dense(self) -> bool:
        raise RuntimeError("no idea")

    def propose(self, queries: list[Query]) -> list[list[Candidate]]:
        return [[] for _ in queries]

    def examine(self, queries: list[Query]) -> list[list[Finding]]:
        for q in queries:
            if q.listing.title == "break":
                raise RuntimeError("out of cheese")
        return [[Finding("probe", FindingStatus.OK, 0.0, q.listing.listing_id)] for q in queries]


def test_rows_come_in_order_with_broken_ones_in_the_middle(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    listings = [
        Listing("a", ("own0.png", "bad.png", "own1.png")),
        Listing("b", ("bad.png",)),
        Listing("c", ("../escape.png", "http://x.example/y.png")),
        Listing("d"),
        Listing("e", ("own2.png",), promo_photos=("own3.png",)),
    ]
    records = Matcher(catalog, DESIGN).examine_batch(listings, photos=root)
    assert [r.listing_id for r in records] == ["a", "b", "c", "d", "e"]
    assert [r.status for r in records] == ["ok", "failed", "failed", "failed", "ok"]
    assert [(p.photo_id, p.status) for p in records[0].photos] == [
        ("photo-1", "ok"),
        ("photo-2", "failed"),
        ("photo-3", "ok"),
    ]
    assert [(p.error or "").split(":")[0] for p in records[2].photos] == ["outside_root", "url"]
    assert [(p.photo_id, p.role) for p in records[4].photos] == [("photo-1", "listing"), ("promo-1", "promo")]
    assert records[3].error == "nothing could be examined: the listing has no photo"
    assert str(records[2].error).startswith("nothing could be examined: outside_root: ")  # what the first photo failed for
    seen = load_image(root / "own0.png")
    assert (records[0].photos[0].phash, records[0].photos[0].sha256) == (perceptual_hash(seen)[0], seen.sha256)
    verdict = records[4].verdict
    assert verdict is not None
    assert verdict.candidates[0].item_id == "brand2/item2"
    assert verdict.candidates[0].similarity == pytest.approx(1, abs=1e-5)


def test_a_batch_gives_what_each_gives_alone(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    matcher = Matcher(catalog, DESIGN)
    listings = [Listing(str(i), (f"own{i}.png", "new.png")) for i in range(6)]
    together = matcher.examine_batch(listings, photos=root)
    assert [matcher.examine(x, photos=root).to_dict() for x in listings] == [r.to_dict() for r in together]


def test_a_signal_that_breaks_fails_its_finding(world: tuple[Catalog, Path], caplog: pytest.LogCaptureFixture) -> None:
    catalog, root = world
    matcher = Matcher(catalog, DESIGN)
    matcher.signals.append(Probe())
    listings = [Listing("a", ("own0.png",)), Listing("b", ("own1.png",), title="break"), Listing("c", ("own2.png",))]
    findings = [{f.signal: f for f in r.verdict.findings} for r in matcher.examine_batch(listings, photos=root) if r.verdict]
    assert [f["probe"].status for f in findings] == ["ok", "failed", "ok"]
    assert "unexpected RuntimeError, see the log" in findings[1]["probe"].reason
    assert "out of cheese" in caplog.text
    assert not _is_dense(Probe())  # type: ignore[arg-type]
    assert all(f["design"].status is not FindingStatus.FAILED for f in findings)


class Answers:
    """A signal that proposes what it is given and keeps what it was asked about."""

    dense = False

    def __init__(self, name: str, *proposed: tuple[str, float], rows: int | None = None, state: str = "1") -> None:
        self.name, self.proposed, self.rows, self.state, self.warm = name, proposed, rows, state, 0

    def fingerprint(self) -> str:
        return self.state

    def warm_up(self) -> None:
        self.warm += 1

    def propose(self, queries: list[Query]) -> list[list[Candidate]]:
        mine = [Candidate(i, "b", 0.0, i, "photo-1", score, (self.name,)) for i, score in self.proposed]
        return [mine for _ in queries]

    def examine(self, queries: list[Query]) -> list[list[Finding]]:
        seen = [[(c.item_id, c.score, c.proposed_by) for c in q.candidates] for q in queries]
        self.seen = seen[0]
        self.failed = [q.unreadable for q in queries]
        return [[Finding(self.name, FindingStatus.OK, 0.0, "asked")] for _ in queries[: self.rows]]


def test_an_item_proposed_twice_is_one_candidate_with_its_best_score(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    one, two = Answers("one", ("x", 0.4), ("y", 0.8), ("z", 0.1)), Answers("two", ("x", 0.9), ("w", 0.8), ("y", 0.2))
    matcher = Matcher(catalog, dataclasses.replace(DESIGN, candidates=3), signals=[one, two])
    matcher.examine(Listing("a", ("own0.png", "bad.png"), promo_photos=("bad.png",)), photos=root)
    assert matcher.seconds.keys() == {"decode", "prepare", "encode", "one", "two", "decide"}
    assert one.seen == two.seen == [("x", 0.9, ("one", "two")), ("w", 0.8, ("two",)), ("y", 0.8, ("one", "two"))]
    assert one.failed == [("photo-2", "promo-1")]


def test_a_listing_without_photos_is_judged_by_what_is_found_all_the_same(world: tuple[Catalog, Path]) -> None:
    record = Matcher(world[0], DESIGN, signals=[Answers("text")]).examine(Listing("a", title="a bag"))
    assert record.verdict is not None
    assert [f.signal for f in record.verdict.findings] == ["text"]


def test_a_signal_with_a_row_too_many_answers_nothing(world: tuple[Catalog, Path], caplog: pytest.LogCaptureFixture) -> None:
    catalog, root = world
    more = Answers("more")
    more.propose = lambda queries: [[] for _ in (*queries, None)]  # type: ignore[method-assign]
    for record in Matcher(catalog, DESIGN, signals=[more]).examine_batch([Listing("a", ("own0.png",))] * 2, photos=root):
        assert record.verdict is not None
        assert [f.status for f in record.verdict.findings] == [FindingStatus.FAILED, FindingStatus.OK]
    assert "expected 1 rows, got 2" in caplog.text


def test_a_signal_that_loses_rows_is_asked_one_by_one(world: tuple[Catalog, Path], caplog: pytest.LogCaptureFixture) -> None:
    catalog, root = world
    matcher = Matcher(catalog, DESIGN, signals=[Answers("short", rows=1), Answers("good")])
    listings = [Listing(n, ("own0.png",)) for n in "abc"]
    found = [
        {f.signal: f.status for f in r.verdict.findings} for r in matcher.examine_batch(listings, photos=root) if r.verdict
    ]
    assert found == [{"short": "ok", "good": "ok"}] * 3
    none = Matcher(catalog, DESIGN, signals=[Answers("none", rows=0)]).examine(listings[0], photos=root)
    assert none.verdict is not None
    assert none.verdict.findings[0].reason == "This check failed: unexpected RuntimeError, see the log"
    assert "signal none could not examine" in [r.getMessage() for r in caplog.records]
    assert "expected 1 rows, got 0" in caplog.text
    silent = Answers("silent")
    silent.propose = lambda queries: []  # type: ignore[method-assign]
    record = Matcher(catalog, DESIGN, signals=[silent]).examine(listings[0], photos=root)
    assert record.verdict is not None
    assert record.verdict.findings[0].reason == "This check failed: unexpected RuntimeError, see the log"


def test_of_equal_proposals_the_first_is_kept_and_photos_are_found_here(
    world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, root = world
    one, two = Answers("one", ("x", 0.4)), Answers("two", ("x", 0.4))
    two.propose = lambda queries: [[Candidate("x", "b", 0.0, "another", "photo-1", 0.4, ("two",))]]  # type: ignore[method-assign]
    monkeypatch.chdir(root)
    record = Matcher(catalog, DESIGN, signals=[one, two]).examine(Listing("a", ("own0.png",)))
    assert record.verdict is not None
    assert [p.status for p in record.photos] == ["ok"]
    assert [(c.photo, c.proposed_by) for c in record.verdict.candidates] == [("x", ("one", "two"))]


def test_memory_that_runs_out_costs_the_photo(world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, root = world
    matcher, load = Matcher(catalog, DESIGN), PhotoLoader.load

    def some(self: PhotoLoader, photo_id: str, *rest: object) -> object:
        if photo_id == "photo-1":
            raise MemoryError
        return load(self, photo_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PhotoLoader, "load", some)
    record = matcher.examine(Listing("a", ("own0.png", "own1.png"), promo_photos=("own2.png",)), photos=root)
    assert [(p.photo_id, p.role, p.path, p.status) for p in record.photos] == [
        ("photo-1", "listing", "own0.png", "failed"),
        ("photo-2", "listing", "own1.png", "ok"),
        ("promo-1", "promo", "own2.png", "ok"),
    ]
    assert record.photos[0].error == "too_many_pixels: not enough memory to examine it"
    assert (record.photos[1].width, record.photos[1].height) == (96, 96)
    assert record.photos[1].phash == perceptual_hash(load_image(root / "own1.png"))[0]
    assert record.photos[1].sha256 == hashlib.sha256((root / "own1.png").read_bytes()).hexdigest()
    assert (record.catalog_version, record.config_fingerprint) == (catalog.version, matcher.fingerprint)


def test_photos_that_a_mapping_lacks_are_named(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    given = {"a.png": (root / "own0.png").read_bytes(), **{f"{n}.png": b"" for n in "gfedcb"}}
    record = Matcher(catalog, DESIGN).examine(Listing("a", ("a.png", "x.png")), photos=given)
    assert [p.status for p in record.photos] == ["ok", "failed"]
    assert str(record.photos[1].error).endswith("is not among the photos given: a.png, b.png, c.png, d.png, e.png")
    nothing = Matcher(catalog, DESIGN).examine(Listing("a", ("x.png",)), photos={})
    assert str(nothing.error).startswith("nothing could be examined: missing: ")
    assert str(nothing.error).endswith("is not among the photos given: none")


def test_a_verdict_that_breaks_costs_the_row(world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, root = world
    matcher = Matcher(catalog, DESIGN, signals=[Answers("one")])
    monkeypatch.setattr(type(matcher.fusion), "decide", lambda *a: 1 / 0)
    record = matcher.examine(Listing("a", ("own0.png",)), photos=root)
    assert (record.status, record.error) == ("failed", "no verdict: unexpected ZeroDivisionError, see the log")
    assert [p.status for p in record.photos] == ["ok"]


def test_what_a_signal_states_is_in_the_fingerprint_and_each_is_warmed_up_once(
    world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, _ = world

    def made(*signals: Answers) -> str:
        return Matcher(catalog, DESIGN, signals=signals).fingerprint

    base = made(Answers("one"))
    assert base == made(Answers("one"))
    assert len({base, made(Answers("one", state="2")), made(Answers("two")), made(Answers("one"), Answers("two"))}) == 4
    monkeypatch.setattr("imgmatch.matcher.package_sha256", lambda: "another release")
    assert made(Answers("one")) != base
    signals = [Answers("one"), Answers("two")]
    Matcher(catalog, DESIGN, signals=signals).warm_up()
    assert [s.warm for s in signals] == [1, 1]


def test_the_same_photo_is_encoded_once(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    encoder = catalog.encoder
    before = encoder.photos_encoded  # type: ignore[attr-defined]
    Matcher(catalog, ONE_LOOK).examine_batch([Listing(str(i), ("new.png",)) for i in range(5)], photos=root)
    assert encoder.photos_encoded - before == 1  # type: ignore[attr-defined]


def test_a_cached_photo_is_neither_decoded_nor_encoded_again(
    world: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloserLook, "helps", True)
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "of its own"))
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listing = Listing("a", ("own0.png", "new.png"))
    first = Matcher(catalog, DESIGN, cache=cache).examine(listing, photos=root)
    assert any("part-by-part similarity" in f.evidence.get("facts", {}) for f in first.verdict.findings)  # type: ignore[union-attr]
    before = catalog.encoder.photos_encoded  # type: ignore[attr-defined]
    monkeypatch.setattr("imgmatch.loading.loader.load_image", lambda *a, **k: pytest.fail("decoded again"))
    assert Matcher(catalog, DESIGN, cache=cache).examine(listing, photos=root).to_dict() == first.to_dict()
    assert catalog.encoder.photos_encoded == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("limits", [ImageConfig(max_pixels=100), ImageConfig(max_side=20), ImageConfig(min_side=500)])
def test_limits_hold_for_remembered_photos_as_for_new_ones(
    world: tuple[Catalog, Path], tmp_path: Path, limits: ImageConfig
) -> None:
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listing = Listing("a", ("own0.png",))
    assert Matcher(catalog, DESIGN, cache=cache).examine(listing, photos=root).photos[0].status == "ok"
    [warm], [cold] = (
        Matcher(catalog, dataclasses.replace(DESIGN, images=limits), cache=c).examine(listing, photos=root).photos
        for c in (cache, None)
    )
    assert warm == cold
    assert warm.status != "ok"


def test_cells_that_were_forgotten_are_computed_again(
    world: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloserLook, "helps", True)
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "of its own"))
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listing = Listing("a", ("own0.png",))
    first = Matcher(catalog, DESIGN, cache=cache).examine(listing, photos=root)
    with sqlite3.connect(tmp_path / "cache-parts.sqlite") as db:
        assert db.execute("DELETE FROM parts_1").rowcount == 2  # the cells, and what was said of the listing
    assert Matcher(catalog, DESIGN, cache=cache).examine(listing, photos=root).to_dict() == first.to_dict()


def test_known_photos_need_no_encoder(world: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "of its own"))
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listings = [Listing(str(i), (f"own{i}.png",)) for i in range(3)]
    first = Matcher(catalog, DESIGN, cache=cache).examine_batch(listings, photos=root)
    bare = Catalog.load(catalog.path)
    monkeypatch.setattr("imgmatch.catalog.catalog.load_encoder", lambda *a, **k: pytest.fail("loaded an encoder"))
    again = Matcher(bare, DESIGN, cache=cache).examine_batch(listings, photos=root)
    assert [r.to_dict() for r in again] == [r.to_dict() for r in first]


def test_a_photo_swapped_while_it_is_examined_is_not_examined(world: tuple[Catalog, Path], tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.png": picture(10)})

    class Late(Probe):
        def examine(self, queries: list[Query]) -> list[list[Finding]]:
            (tmp_path / "a.png").write_bytes(picture(20))
            return [[Finding("probe", FindingStatus.OK, 0.0, q.photos[0].image.sha256)] for q in queries]

    matcher = Matcher(world[0], DESIGN)
    matcher.signals.append(Late())
    record = matcher.examine(Listing("1", ("a.png",)), photos=tmp_path)
    (finding,) = (f for f in record.verdict.findings if f.signal == "probe")
    assert finding.status is FindingStatus.FAILED
    assert "was changed while it was being examined" in finding.reason


def test_a_photo_swapped_between_its_hash_and_its_pixels_is_not_embedded(
    world: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {"a.png": picture(10)})

    def swapped(path: Path, **options: object) -> bytes:
        data = path.read_bytes()
        path.write_bytes(picture(20))
        return data

    monkeypatch.setattr("imgmatch.loading.loader.read_file", swapped)
    record = Matcher(world[0], DESIGN).examine(Listing("1", ("a.png",)), photos=tmp_path)
    assert record.status == "failed"
    assert "was changed while it was being examined" in str(record.photos[0].error)


def test_sixteen_threads_give_what_one_gives(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    matcher = Matcher(catalog, DESIGN)
    listings = [Listing(str(i), (f"own{i % 6}.png",)) for i in range(16)]
    serial = [matcher.examine(x, photos=root).to_dict() for x in listings]
    answers: list[dict | None] = [None] * 16

    def work(i: int) -> None:
        answers[i] = matcher.examine(listings[i], photos=root).to_dict()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == serial


def test_a_matcher_goes_on_with_its_catalog_while_items_are_removed_from_it(tmp_path: Path) -> None:
    layout = {f"brand{i}/item{i}/{v}.png": picture(10 * i + v, (200, 200)) for i in range(6) for v in range(2)}
    src = write_tree(tmp_path / "src", layout)
    catalog = Catalog.build(src, tmp_path / "cat", encoder=GridEncoder())
    config = Config.from_dict({"signals": ["design", "copy"]})
    listings = [Listing(str(i), (f"brand{i % 6}/item{i % 6}/{i % 2}.png",)) for i in range(48)]
    serial = [r.to_dict() for r in Matcher(catalog, config).examine_batch(listings, photos=src)]
    # Nothing of the view that the threads share has been looked at when the items go.
    matcher = Matcher(Catalog.load(catalog.path, encoder=GridEncoder()), config)
    together = threading.Barrier(17)

    def examine(listing: Listing) -> dict:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(5)
        return matcher.examine(listing, photos=src).to_dict()

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(examine, listing) for listing in listings]
        together.wait(5)
        smaller = catalog.remove([f"brand{i}/item{i}" for i in range(4)])
        together.abort()
        assert [answer.result() for answer in answers] == serial
    assert smaller.version != matcher.catalog.version
    assert not any(f["status"] == "failed" for r in serial for f in r["verdict"]["findings"])


def test_a_record_survives_json_with_fields_of_the_future(world: tuple[Catalog, Path]) -> None:
    catalog, root = world
    listing = Listing.from_dict({"listing_id": "a", "photos": ["own0.png"], "price": 12.5, "shade": {"of": "blue"}})
    row = Matcher(catalog, DESIGN).examine(listing, photos=root).to_dict()
    row["added_in_2_0"] = [1, 2]
    assert ScanRecord.from_dict(row).to_dict() == row
    assert row["listing"]["price"] == 12.5
    assert row["listing"]["shade"] == {"of": "blue"}


def test_the_fingerprint_covers_what_can_change_a_verdict(world: tuple[Catalog, Path]) -> None:
    catalog, _ = world
    base = Matcher(catalog, DESIGN).fingerprint
    assert Matcher(catalog, dataclasses.replace(DESIGN, candidates=3)).fingerprint != base
    assert Matcher(catalog, Config.from_dict({"signals": ["design"], "design": {"neighbors": 7}})).fingerprint != base
    scan = dataclasses.replace(DESIGN.scan, batch=7)
    assert Matcher(catalog, dataclasses.replace(DESIGN, scan=scan)).fingerprint == base
    assert len(base) == 16


def test_a_cache_that_is_no_database_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"this is not a database file, not at all" * 200)
    cache = PhotoCache(path)
    photo = CachedPhoto(np.ones(3, np.float32), "ab", 90, 5, 6)
    cache.put({"s": photo}, "space")
    again = PhotoCache(path).get("s", "space")
    assert again is not None
    assert again.embedding.tolist() == [1, 1, 1]  # type: ignore[union-attr]
    assert (again.phash, again.quality, again.width, again.height) == ("ab", 90, 5, 6)
    assert cache.get("s", "another space") is None


def test_a_closer_look_costs_a_photo_no_second_pass(
    world: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two photos per item are too few for a metric, so that near photos may be looked at part by part."""
    monkeypatch.setattr(CloserLook, "helps", True)
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "of its own"))
    catalog, root = world
    encoder, listings = catalog.encoder, [Listing(str(i), (f"own{i}.png",)) for i in range(6)]
    first = Matcher(catalog, DESIGN).examine_batch(listings, photos=root)
    looked = [f for r in first if r.verdict for f in r.verdict.findings if "part-by-part similarity" in f.evidence["facts"]]
    assert len(looked) == 6
    before = encoder.photos_encoded  # type: ignore[attr-defined]
    again = Matcher(catalog, DESIGN).examine_batch(listings, photos=root)
    assert encoder.photos_encoded - before == 6, "references and the catalog's centre are remembered"  # type: ignore[attr-defined]
    assert [r.to_dict() for r in again] == [r.to_dict() for r in first]


def test_remembered_cells_come_back_and_the_oldest_go(tmp_path: Path) -> None:
    cells = {name: np.full((20, 30, 50), value, np.float16) for value, name in enumerate("abcd")}
    cache = PartCache(tmp_path / "cells.sqlite", limit=5 * cells["a"].nbytes // 2)  # with what the file itself takes
    for name in "abc":
        cache.put({name: (cells[name],)}, "space")
    found = PartCache(tmp_path / "cells.sqlite").get(["c", "b", "a", "d"], "space")
    assert set(found) == {"b", "c"}
    assert all(np.array_equal(found[name][0], cells[name]) for name in found)
    assert cache.get(["c"], "another space") == {}
    with sqlite3.connect(tmp_path / "cells.sqlite") as db:
        db.execute("UPDATE parts_1 SET arrays = x'00' WHERE sha256 = 'c'")
    assert cache.get(["c"], "space") == {}


def test_encoders_share_the_room_for_cells(tmp_path: Path) -> None:
    """Cells of one are many times as large as those of another, so rows are no measure."""
    cache = PartCache(tmp_path / "cells.sqlite", limit=1 << 20)
    for n in range(14):
        cache.put({f"large {n}": (np.ones((16, 16, 128), np.float16),)}, "large")
    for n in range(60):
        cache.put({f"small {n}": (np.ones((16, 16, 16), np.float16),)}, "small")
    with contextlib.closing(sqlite3.connect(tmp_path / "cells.sqlite")) as db:
        [[pages]] = db.execute("PRAGMA page_count").fetchall()
        [[size]] = db.execute("PRAGMA page_size").fetchall()
    assert pages * size <= 1 << 20
    assert set(cache.get(["large 13", "large 0"], "large")) == {"large 13"}
    assert len(cache.get([f"small {n}" for n in range(60)], "small")) == 60


def test_a_cache_that_is_locked_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cache.sqlite"
    PhotoCache(path).put({"s": CachedPhoto(np.ones(3, np.float32), "ab", 90, 5, 6)}, "space")
    gc.collect()  # closes the connection
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda where, **kw: connect(where, **{**kw, "timeout": 0.05}))
    with contextlib.closing(connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        assert PhotoCache(path).get("s", "space") is None
        other.execute("ROLLBACK")
    assert not list(tmp_path.glob("*.unreadable"))
    assert PhotoCache(path).get("s", "space") is not None


@pytest.mark.parametrize("where", ["/proc/nowhere/cache.sqlite", "/dev/null/cache.sqlite"])
def test_a_cache_without_a_folder_lives_in_memory(where: str) -> None:
    photos, cells = PhotoCache(where), PartCache(where)
    photos.put({"s": CachedPhoto(np.ones(3, np.float32), "ab", 90, 5, 6)}, "space")
    cells.put({"s": (np.ones((2, 2, 3), np.float16),)}, "space")
    known = photos.get("s", "space")
    assert known is not None
    assert known.phash == "ab"
    assert cells.get(["s"], "space")["s"][0].shape == (2, 2, 3)


def test_contacts_are_kept_on_request_only(world: tuple[Catalog, Path]) -> None:
    pytest.importorskip("phonenumbers")
    catalog, root = world
    listing = Listing("a", ("own0.png",), title="Bag", description="Ask Anna.B@mail.example or +49 1512 3456789")
    assert Matcher(catalog, DESIGN).examine(listing, photos=root).contacts == ()
    asked = dataclasses.replace(DESIGN, contacts=dataclasses.replace(DESIGN.contacts, extract=True))
    assert Matcher(catalog, asked).examine(listing, photos=root).contacts == (
        "email:anna.b@mail.example",
        "phone:+4915123456789",
    )


def test_a_listing_of_many_photos_keeps_few_of_them_in_memory(
    world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, _ = world
    photos = {f"{n}.png": picture(100 + n) for n in range(50)}
    listing = Listing("many", tuple(photos), title="Acme bag")
    whole = Matcher(catalog, Config(signals=("design", "copy"))).examine(listing, photos=photos)
    held: list[int] = []
    asked: set[PhotoContext] = set()
    decode = PhotoContext.image.fget
    assert decode is not None

    def counted(photo: PhotoContext) -> Image:
        image = decode(photo)
        asked.add(photo)
        held.append(sum(p.decoded_bytes for p in asked))
        return image

    size = load_image(photos["0.png"]).pixels.nbytes
    monkeypatch.setattr("imgmatch.loading.loader.WorkingSet", lambda: WorkingSet(3 * size))
    monkeypatch.setattr(PhotoContext, "image", property(counted))
    matcher = Matcher(catalog, Config(signals=("design", "copy")))
    with monkeypatch.context() as patch:
        patch.setattr(catalog.encoder, "encode_dense", lambda batch: pytest.fail("kept cells while reading"))
        loaded = matcher.load(listing, photos)
    waiting = [photo for photo, _ in loaded.photos if not photo.embedded]
    assert len(waiting) == 50 % 16, "most are embedded while the rest are read, sixteen at a time"
    [bounded] = matcher.examine_loaded([loaded])
    assert bounded.to_dict() == whole.to_dict()
    assert max(held) <= 3 * size


def test_what_depends_on_a_photo_alone_is_computed_once(tmp_path: Path) -> None:
    cache, asked = PartCache(tmp_path / "parts.sqlite"), []

    def photo(
        name: str, role: str = "listing", known: PartCache | None = cache, side: int | None = PIXEL_SIDE
    ) -> PhotoContext:
        context = PhotoContext("photo-1", lambda: asked.append(name), role, sha256=name, side=side)  # type: ignore[arg-type, return-value]
        context.parts = known
        return context

    def measured(photo: PhotoContext, side: int) -> tuple[np.ndarray, ...]:
        asked.append(photo.sha256)
        return np.arange(side, dtype=np.float32), np.zeros((0, 4), np.uint8), np.array(b"text")

    first = photo("a").lasting(measured, 3)
    again = photo("a", known=PartCache(tmp_path / "parts.sqlite")).lasting(measured, 3)
    assert asked == ["a"]
    for one, other in zip(first, again, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    photo("a").lasting(measured, 4)  # another setting
    photo("a", "promo").lasting(measured, 4)  # seen at the same size
    photo("b").lasting(measured, 4)
    photo("b", known=None).lasting(measured, 4)
    photo("a", side=None).lasting(measured, 4)  # decoded in full
    assert asked == ["a", "a", "b", "b", "a"]


def test_other_rules_ask_no_signal_again(world: tuple[Catalog, Path], tmp_path: Path) -> None:
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listings = [Listing(f"own{n}", (f"own{n}.png",), title="a bag") for n in range(3)]
    first = Matcher(catalog, DESIGN, cache=cache).examine_batch(listings, photos=root)
    other = dataclasses.replace(DESIGN, fusion=FusionConfig(calibration="none"))
    again = Matcher(catalog, other, cache=cache)
    for signal in again.signals:
        signal.examine = None  # type: ignore[assignment, method-assign]
    for before, after in zip(first, again.examine_batch(listings, photos=root), strict=True):
        assert before.verdict is not None
        assert after.verdict is not None
        assert after.verdict.findings == before.verdict.findings
        assert after.verdict.candidates == before.verdict.candidates
    fresh = Matcher(catalog, other).examine_batch(listings, photos=root)
    assert [r.to_dict() for r in fresh] == [r.to_dict() for r in again.examine_batch(listings, photos=root)]
    assert "This check failed" in str(
        again.examine(dataclasses.replace(listings[0], title="another bag"), photos=root).to_dict()
    )


def test_the_photos_of_a_scan_remember(world: tuple[Catalog, Path], tmp_path: Path) -> None:
    catalog, root = world
    cache = PhotoCache(tmp_path / "cache.sqlite")
    listing, asked = Listing("a", ("own0.png",)), []

    def looked(photo: PhotoContext) -> tuple[np.ndarray, ...]:
        asked.append(photo.sha256)
        return (np.asarray(photo.image.pixels.mean()),)

    for matcher in (Matcher(catalog, DESIGN, cache=cache), Matcher(catalog, DESIGN, cache=cache)):
        for photo, _ in matcher.load(listing, root).photos:
            photo.lasting(looked)
    assert len(asked) == 1


def threads() -> set[int]:
    """Return how many threads the BLAS libraries that `one_blas_thread` limits may use."""
    return {x["num_threads"] for x in ThreadpoolController().select(threading_layer="pthreads").info()}


def test_products_take_one_thread_until_the_last_of_overlapping_uses_ends() -> None:
    with ThreadpoolController().select(threading_layer="pthreads").limit(limits=3):
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(one_blas_thread())
        second.enter_context(one_blas_thread())
        first.close()
        assert threads() <= {1}
        second.close()
        assert threads() <= {3}


def test_products_take_one_thread_while_listings_are_examined(
    world: tuple[Catalog, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, photos = world
    seen: list[set[int]] = []
    matcher = Matcher(catalog, DESIGN)
    monkeypatch.setattr(matcher, "_asked", lambda queries: seen.append(threads()) or [((), []) for _ in queries])
    with ThreadpoolController().select(threading_layer="pthreads").limit(limits=3):
        matcher.examine(Listing("1", ("own0.png",)), photos=photos)
        assert threads() <= {3}
    assert seen[0] <= {1}
