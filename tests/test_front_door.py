"""The front door: what is exported, typed, light, and what it says to misuse."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import imgmatch
from imgmatch import Catalog, Config, Decision, Finding, Listing, Matcher, ScanRecord, Signal, default_signals
from imgmatch.errors import ImageError, InputError
from imgmatch.testing import check_signal
from imgmatch.types import FindingStatus
from tests.fakes import GridEncoder, picture

ROOT = Path(imgmatch.__file__).parent


def array(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    items = [
        {"item_id": f"{brand}-{n}", "brand": brand, "photos": [array(10 * b + n), picture(100 * b + n)], "price": 900.0}
        for b, brand in enumerate(("acme", "bolt"), 1)
        for n in range(3)
    ]
    marks = [{"brand": "acme", "name": "Acme", "wordmarks": ["ACME"], "logos": [{"photo": array(77)}]}]
    return Catalog.from_items(items, brands=marks, encoder=GridEncoder())


def test_every_name_is_there_and_none_is_a_module() -> None:
    modules = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    for name in imgmatch.__all__:
        assert getattr(imgmatch, name) is not None
        assert name not in modules
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        imgmatch.nonsense  # noqa: B018


def test_the_stub_names_what_the_module_exports_from_where_it_exports_it() -> None:
    stub = ast.parse((ROOT / "__init__.pyi").read_text("utf-8"))
    typed = {a.asname: (node.module, a.name) for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert typed == {name: (module, name) for name, module in imgmatch._EXPORTS.items()}
    for name, (module, _) in typed.items():
        assert getattr(import_module(str(module)), str(name)) is getattr(imgmatch, str(name))


def test_importing_is_light() -> None:
    code = "import sys, imgmatch; print([m for m in ('numpy', 'torch', 'faiss', 'cv2', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_catalog_of_what_is_in_memory_finds_its_own(catalog: Catalog, tmp_path: Path) -> None:
    assert sorted(catalog.items) == ["acme-0", "acme-1", "acme-2", "bolt-0", "bolt-1", "bolt-2"]
    assert catalog.items["acme-0"].price == 900.0
    assert len(catalog.brands["acme"].logos) == 1
    assert "6 items of 2 brands" in repr(catalog)
    for photo in (array(11), PIL.Image.fromarray(array(11)), imgmatch.load_image(array(11))):
        best = catalog.search(photo)[0]
        assert (best.item_id, round(best.similarity, 4)) == ("acme-1", 1.0)
    assert [c.brand for c in catalog.search(array(11), k=2, brand="bolt")] == ["bolt", "bolt"]
    more = tmp_path / "more" / "acme" / "acme-9"
    more.mkdir(parents=True)
    (more / "a.png").write_bytes(picture(5))
    grown = Catalog.from_items([{"item_id": "a", "brand": "acme", "photos": [array(1)]}], encoder=GridEncoder())
    path = grown.path
    grown = grown.add(tmp_path / "more")
    assert len(grown.items) == 2
    assert path.exists()
    del grown
    assert not path.exists()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda c: c.search(array(1), k=0), ValueError, "k: expected at least 1"),
        (lambda c: c.search(array(1), brand="none"), ValueError, "no brand 'none'; it has acme, bolt"),
        (lambda c: c.search(b"no picture"), ImageError, "bytes"),
        (lambda c: Catalog.from_items(["bag.jpg"], encoder=GridEncoder()), InputError, "item 1: expected a mapping"),
        (
            lambda c: Catalog.from_items([{"item_id": "a", "brand": "b", "photos": "bag.jpg"}], encoder=GridEncoder()),
            InputError,
            "photos: expected a list of pictures",
        ),
        (
            lambda c: Catalog.from_items([{"item_id": "a", "brand": "b", "photos": ["none.jpg"]}], encoder=GridEncoder()),
            InputError,
            "none.jpg",
        ),
        (lambda c: Listing("1", photos="bag.jpg"), TypeError, r"photos: expected a list of texts.*photos=\['bag.jpg'\]"),
        (lambda c: Listing("1", title=120.0), TypeError, "title: expected text as written, such as '120.0'"),
        (lambda c: Listing(1), TypeError, "listing_id: expected text"),
        (lambda c: Matcher("catalog"), TypeError, r"expected a Catalog, got 'catalog'; open one with Catalog.load"),
        (lambda c: Matcher(c, signals=()).examine("bag.jpg"), TypeError, "expected a Listing, got 'bag.jpg'"),
        (lambda c: Matcher(c, signals=()).examine_batch(Listing("1")), TypeError, r"got one; ask examine\(\)"),
        (lambda c: Matcher(c, signals=["design"]), TypeError, "expected a Signal"),
        (lambda c: Matcher(c, signals=[object()]), TypeError, "expected a Signal"),
        (lambda c: Matcher(c, signals=[Loud(), Loud()]), ValueError, "two are called 'loud'"),
    ],
)
def test_misuse_is_refused_with_a_sentence(catalog: Catalog, call, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(catalog)


class Loud(Signal):
    """A signal in one file: titles in capitals."""

    name = "loud"

    def examine(self, queries):
        return [
            [Finding(self.name, FindingStatus.OK, float((q.listing.title or "").isupper()), "capitals")] for q in queries
        ]


class Counting(Signal):
    """A signal that needs the catalog."""

    name = "counting"

    def __init__(self, catalog: Catalog) -> None:
        self.items = len(catalog.items)

    def examine(self, queries):
        return [[Finding.abstained(self.name, f"{self.items} items")] for _ in queries]


def test_a_signal_of_ones_own_is_one_argument(catalog: Catalog) -> None:
    config = Config(signals=("design",))
    matcher = Matcher(catalog, config, signals=[*default_signals(config), Loud(), Counting])
    record = matcher.examine(Listing("1", ("a.png",), title="BAG"), photos={"a.png": array(11)})
    findings = {f.signal: f for f in record.verdict.findings}
    assert findings["loud"].value == 1.0
    assert findings["counting"].reason == "6 items"
    assert matcher.fingerprint != Matcher(catalog, config).fingerprint
    assert "loud" in repr(matcher)
    matcher.warm_up()


def test_photos_may_be_bytes_pictures_or_arrays(catalog: Catalog) -> None:
    matcher = Matcher(catalog, Config(signals=("design",)))
    buffer = picture(101)
    photos = {"a": array(11), "b": PIL.Image.fromarray(array(11)), "c": buffer}
    record = matcher.examine(Listing("1", ("a", "b", "c", "d"), title="Acme"), photos=photos)
    assert [p.status for p in record.photos] == ["ok", "ok", "ok", "failed"]
    assert "is not among the photos given: a, b, c" in str(record.photos[3].error)
    assert (record.photos[0].width, record.photos[0].height) == (64, 64)
    assert record.decision in Decision


def test_what_a_notebook_shows_is_short_and_says_something(catalog: Catalog) -> None:
    listing = Listing("1", ("a",), title="Acme", price=12)
    assert repr(listing) == "Listing(listing_id='1', photos=('a',), title='Acme', price=12)"
    record = Matcher(catalog, Config(signals=("design",))).examine(listing, photos={"a": array(11)})
    assert repr(record) == f"ScanRecord('1', '{record.decision}', reasons={record.reasons!r})"
    assert repr(record.verdict).startswith(f"Verdict('{record.decision}', brand=")
    assert "1 findings, " in repr(record.verdict) or "2 findings, " in repr(record.verdict)
    mine = Finding.abstained("mine", "nothing")
    assert repr(mine) == "Finding(signal='mine', status='abstained', value=None, reason='nothing')"
    assert len(repr(ScanRecord(listing, status="failed", error="no photo"))) < 60


def test_a_failed_row_has_no_decision(catalog: Catalog) -> None:
    record = Matcher(catalog, Config(signals=("design",))).examine(Listing("1"))
    assert (record.status, record.decision) == ("failed", None)
    assert ScanRecord(Listing("x"), status="failed").decision is None


def test_editors_and_type_checkers_see_real_types(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(
        "from imgmatch import Catalog, Listing, Matcher, Results\n"
        "matcher = Matcher(Catalog.load('catalog'))\n"
        "record = matcher.examine(Listing('1', photos=('bag.jpg',)))\n"
        "reveal_type(record.decision)\n"
        "reveal_type([r.listing_id for r in Results('out')])\n"
        "Matcher(3)\n"
    )
    (tmp_path / "mypy.ini").write_text(  # what other packages say takes half a minute to read, and nothing here asks for it
        "[mypy]\nstrict = True\nignore_missing_imports = True\nfollow_imports = skip\n"
        "[mypy-imgmatch.*]\nfollow_imports = silent\n"
    )
    mypy = pytest.importorskip("mypy.api")
    said, _, _ = mypy.run(["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path), str(snippet)])
    assert 'Revealed type is "imgmatch.types.verdicts.Decision | None"' in said
    assert 'Revealed type is "list[str]"' in said
    assert 'Argument 1 to "Matcher" has incompatible type "int"' in said


@pytest.mark.parametrize("name", ["design", "copy", "listing", "mismatch"])
def test_signals_of_imgmatch_pass_its_conformance_suite(catalog: Catalog, name: str) -> None:
    [source] = default_signals(Config(signals=(name,)))
    check_signal(source, catalog)


@pytest.mark.parametrize(
    ("examine", "says"),
    [
        (lambda self, queries: [], "expected 5 rows, got 0"),
        (lambda self, queries: [[] for _ in queries], "a query without a finding"),
        (lambda self, queries: [[Finding.abstained("x", " ")] for _ in queries], "a finding without a reason"),
        (lambda self, queries: [[Finding.abstained("x", str(len(queries)))] for _ in queries], "alone than in a batch"),
        (lambda self, queries: [[Finding.abstained("x", queries[0].listing.listing_id)] for _ in queries], "another order"),
    ],
)
def test_the_conformance_suite_finds_what_is_wrong(catalog: Catalog, examine, says: str) -> None:
    signal = type("Wrong", (Signal,), {"name": "wrong", "examine": examine, "__module__": __name__})()
    with pytest.raises(AssertionError, match=says):
        check_signal(signal, catalog)
