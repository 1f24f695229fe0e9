"""What people bring in, from the table to the record: exports of shops, twins of one photo, prices in every form."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL.Image
import pytest

from imgmatch.catalog import Catalog
from imgmatch.catalog.items import Brand, Item
from imgmatch.config import Config
from imgmatch.io.tables import Layout
from imgmatch.loading.photo import Query
from imgmatch.records import Listing, ScanRecord
from imgmatch.results import read_records
from imgmatch.scan import run_scan
from imgmatch.signals.listing.signal import ListingSignal
from imgmatch.types import Candidate
from tests.fakes import GridEncoder, picture, write_tree
from tests.test_prices import CURRENCIES, forms
from tests.test_tables import EXPORTS

CONFIG = Config.from_dict({"signals": ["design", "listing"]})


def seen_again(seed: int) -> bytes:
    """Return another photo of what `picture` shows: near to it, and no copy."""
    first, other = (PIL.Image.open(io.BytesIO(picture(n))) for n in (seed, 100 + seed))
    out = io.BytesIO()
    PIL.Image.blend(first, other, 0.3).save(out, "JPEG")
    return out.getvalue()


def catalog(root: Path, rows: list[tuple[str, str, str]]) -> Catalog:
    """Build a catalog of (item, brand, photos); photo ``7.png`` is `picture(7)`, and ``7.jpg`` another photo of the same."""
    write_tree(root, {f"{n}.png": picture(n) for n in range(12)})
    write_tree(root, {f"{n}.jpg": seen_again(n) for n in range(12)})
    table = "".join(f"{item},{brand},{photos},1000,EUR\n" for item, brand, photos in rows)
    (root / "items.csv").write_text(f"item_id,brand,photos,price,currency\n{table}")
    return Catalog.build(root / "items.csv", root / "catalog", encoder=GridEncoder())


def scan(table: Path, references: Catalog, layout: Layout | None = None) -> list[ScanRecord]:
    run_scan(table, references, table.parent / "out", config=CONFIG, layout=layout)
    return list(read_records(table.parent / "out/records.jsonl"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))


OTHERS = [(f"other{n}", f"brand{n}", f"{n}.png|{n + 1}.png") for n in (2, 4, 6, 8)]


def test_twins_do_not_change_what_the_design_says(tmp_path: Path) -> None:
    table = tmp_path / "listings/l.csv"
    write_tree(table.parent, {"a.png": picture(0), "b.png": picture(11), "c.png": picture(4)})
    table.write_text(
        "listing_id,photos,price,currency,condition\n1,a.png,59,EUR,new\n2,b.png,59,EUR,new\n3,c.png,59,EUR,new\n"
    )
    sizes = [(f"tote-{size}", "acme", "0.png|1.png") for size in ("xs", "s", "m", "l", "xl")]
    alone, twins = (
        scan(table, catalog(tmp_path / name, [*OTHERS, *rows])) for name, rows in (("alone", sizes[:1]), ("twins", sizes))
    )
    for one, many in zip(alone, twins, strict=True):
        assert one.verdict is not None
        assert many.verdict is not None
        for name in ("decision", "basis", "rank", "brand", "shows_brand", "similarity", "certainty", "labels"):
            assert getattr(many.verdict, name) == getattr(one.verdict, name), name
    assert twins[0].verdict is not None
    assert twins[0].verdict.brand == "acme"


@pytest.mark.parametrize("preset", EXPORTS)
def test_a_table_in_each_presets_layout_is_scanned(tmp_path: Path, preset: str) -> None:
    text, want = EXPORTS[preset]
    table = tmp_path / "export/t.csv"
    write_tree(table.parent, {"a.jpg": picture(0, format="JPEG"), "b.jpg": picture(1, format="JPEG")})
    write_tree(table.parent, {"c.jpg": picture(0, format="JPEG")})
    table.write_text(text)
    layout = Layout.load(preset)
    if preset in ("shopify", "woocommerce"):  # whose exports name no currency
        layout = layout.with_columns({"currency": ("=EUR",)})
    # Held-out photos must show that one of the same thing is near: where all are unlike, any brand would do as a rival.
    others = [(item, brand, f"{photos}|{photos.replace('png', 'jpg')}") for item, brand, photos in OTHERS]
    records = scan(table, catalog(tmp_path / "src", [*others, ("tote", "acme", "0.png|1.png")]), layout)
    assert [(r.listing_id, r.listing.title, len(r.photos)) for r in records] == [(i, t, len(p)) for i, t, _, p in want]
    first = records[0]
    assert (first.status, {photo.status for photo in first.photos}) == ("ok", {"ok"})
    assert first.verdict is not None
    assert first.verdict.shows_brand == "acme"
    (price,) = [f for f in first.verdict.findings if f.signal == "price" and f.brand == "acme"]
    assert ("USD cannot be compared" if preset == "ebay" else "of the reference price €1,000") in price.reason


@pytest.mark.parametrize("code", CURRENCIES.split())
def test_no_form_of_an_honest_full_price_speaks_against_a_listing(code: str) -> None:
    stated: Any = SimpleNamespace(
        items={"tote": Item("tote", "acme", price=1250.0, currency=code)}, brands={"acme": Brand("acme")}, shared={}
    )
    signal = ListingSignal(stated)
    shown = [Candidate("tote", "acme", 0.9, "e" * 64, "photo", 0.9, ("design",))]
    for text, column in forms(1250, code):
        listing = Listing("1", price=text, currency=column, condition="new")
        (finding,) = [f for f in signal.examine([Query(listing, [], shown)])[0] if f.signal == "price"]
        assert not finding.value or finding.value <= 0.02, (text, finding.reason)
