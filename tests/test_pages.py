"""Captured pages as listings: made by the test with a kept writer, scanned, cased, verified."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import resource
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from imgmatch.catalog import Catalog
from imgmatch.config import Config
from imgmatch.errors import InputError
from imgmatch.investigate.case.case import write_case
from imgmatch.investigate.case.seal import verify_package
from imgmatch.investigate.case.subject import find_subject
from imgmatch.io.pages import is_capture, reader, unpack
from imgmatch.io.pages.product import read_product
from imgmatch.io.sources import read_listings
from imgmatch.scan import run_scan
from tests.fakes import GridEncoder, picture, write_tree

warcio = pytest.importorskip("warcio")
pytest.importorskip("extruct")

SHOP = "https://shop.example/item/7"
SCHEMA = {
    "@context": "https://schema.org",
    "@graph": [
        {"@type": "BreadcrumbList"},
        {
            "@type": "Product",
            "name": "Acme Tote",
            "image": ["https://cdn.example/a.png?w=640", {"@type": "ImageObject", "url": "/b.png"}],
            "brand": {"@type": "Brand", "name": "Acme"},
            "offers": [
                {
                    "@type": "Offer",
                    "price": "59.98",
                    "priceCurrency": "EUR",
                    "itemCondition": "https://schema.org/NewCondition",
                    "seller": {"@type": "Person", "name": "Ann", "identifier": "u-17"},
                }
            ],
        },
    ],
}
PAGE = f'<html><head><title>x</title><script type="application/ld+json">{json.dumps(SCHEMA)}</script></head></html>'
MICRODATA = """<div itemscope itemtype="https://schema.org/Product"><h1 itemprop="name">Acme Tote</h1>
<img itemprop="image" src="/b.png"><div itemprop="offers" itemscope itemtype="https://schema.org/Offer">
<span itemprop="price" content="59.00">59,00</span><meta itemprop="priceCurrency" content="EUR"></div></div>"""
GRAPH = """<meta property="og:title" content="Acme Tote"><meta property="og:type" content="product">
<meta property="product:price:amount" content="59,00"><meta property="product:price:currency" content="EUR">
<meta property="og:image" content="/b.png">"""
PLAIN = """<title>Acme Tote</title><div class="price-box">59,00 EUR</div><img src="b.png">"""


@pytest.mark.parametrize(
    ("html", "source", "price", "currency"),
    [
        (PAGE, "schema.org", 59.98, "EUR"),
        (MICRODATA, "schema.org", 59.0, "EUR"),
        (GRAPH, "Open Graph", "59,00", "EUR"),
        (PLAIN, "plain page", "59,00 EUR", None),
    ],
)
def test_what_a_page_offers(html: str, source: str, price: Any, currency: str | None) -> None:
    product = read_product(html.encode(), SHOP)
    assert (product.source, product.fields["title"]) == (source, "Acme Tote")
    assert (product.fields["price"], product.fields.get("currency")) == (price, currency)
    assert product.photos[-1] in ("https://shop.example/b.png", "https://shop.example/item/b.png")
    assert product.fields["platform"] == "shop.example"


EUR = {"priceCurrency": "EUR"}
TOTE = {"@type": "Product", "name": "Acme Tote", "image": "/b.png"}
OTHER = {"@type": "ListItem", "item": {"@type": "Product", "name": "Other", "offers": {"price": "9", **EUR}}}


@pytest.mark.parametrize(
    ("stated", "price"),
    [
        ({**TOTE, "offers": [{"price": "59.00", **EUR}, {"price": "1250.00", **EUR}]}, "59.00 – 1250.00"),
        ({**TOTE, "offers": [{"price": 1250, **EUR}, {"price": 1350, "priceCurrency": "USD"}]}, 1250.0),
        ({**TOTE, "offers": {"@type": "AggregateOffer", "lowPrice": 59, "highPrice": "1250", **EUR}}, "59.00 – 1250.00"),
        (
            {**TOTE, "offers": {"@type": "AggregateOffer", **EUR, "offers": [{"price": 59, **EUR}, {"price": 60}]}},
            "59.00 – 60.00",
        ),
        ({**TOTE, "hasVariant": [{"offers": {"price": 59, **EUR}}, {"offers": {"price": 1250, **EUR}}]}, "59.00 – 1250.00"),
        (
            {
                **TOTE,
                "offers": {
                    "priceSpecification": [
                        {"priceType": "https://schema.org/StrikethroughPrice", "price": 1500, **EUR},
                        {"price": 1250, **EUR},
                    ]
                },
            },
            1250.0,
        ),
        ({"@graph": [{"@id": "#o", "price": 1250, **EUR}, {**TOTE, "offers": {"@id": "#o"}}]}, 1250.0),
        ([{"@type": "BreadcrumbList", "itemListElement": [OTHER]}, {**TOTE, "offers": {"price": 1250, **EUR}}], 1250.0),
        ({**TOTE, "offers": {"price": "1.250", **EUR}}, "1.250"),  # may be thousands: the reader of prices decides
        ({**TOTE, "offers": {"price": "1.250,00", **EUR}}, "1.250,00"),
        (  # a product at another address before the page's own
            [
                {**TOTE, "name": "Other", "url": "https://shop.example/item/8", "offers": {"price": 9, **EUR}},
                {**TOTE, "url": "/item/7/", "offers": {"price": 1250, **EUR}},
            ],
            1250.0,
        ),
        (
            {
                **TOTE,
                "offers": {
                    "price": 1250,
                    **EUR,
                    "priceSpecification": [{"price": 104, "billingDuration": 12, "unitCode": "MON", **EUR}],
                },
            },
            1250.0,
        ),
    ],
)
@pytest.mark.parametrize("wrap", ["{}", "//<![CDATA[\n{}\n//]]>", "<!-- {} -->"])
def test_what_the_offers_of_a_page_ask(stated: Any, price: Any, wrap: str) -> None:
    script = wrap.replace("{}", json.dumps(stated))
    product = read_product(f'<script type="application/ld+json">{script}</script>'.encode(), SHOP)
    assert (product.source, product.fields["title"]) == ("schema.org", "Acme Tote")
    assert (product.fields["price"], product.fields["currency"]) == (price, "EUR")
    assert product.photos == ["https://shop.example/b.png"]


@pytest.mark.parametrize(
    ("html", "price"),
    [
        ("<del class=price>1.500 €</del><b class=price>1.250 €</b>", "1.250 €"),
        ("<p class=old-price>1.500 €</p><p class=price><b class=price-now>1.250 €</b></p>", "1.250 €"),
        ("<p class=price>1.250 €</p><p class=sticky-price>1.250 €</p>", "1.250 €"),
        ("<p class=price-rate>ab 41 €</p><p class=price>1.250 €</p>", None),  # nobody knows which of them it is
        ("<p class=shipping-price>5,99 €</p><p class=price>1.250 €</p>", None),
    ],
)
def test_a_plain_page_has_the_one_price_that_it_shows(html: str, price: str | None) -> None:
    assert read_product(f"<h1>Acme Tote</h1>{html}".encode(), SHOP).fields.get("price") == price


def test_a_page_that_lists_products_is_about_none_of_them() -> None:
    listed = {"@type": "ItemList", "itemListElement": [OTHER, OTHER]}
    product = read_product(f'<h1>Bags</h1><script type="application/ld+json">{json.dumps(listed)}</script>'.encode(), SHOP)
    assert (product.source, product.fields["title"], product.fields.get("price")) == ("plain page", "Bags", None)


@pytest.mark.parametrize(
    "html",
    [
        "",
        "\0",
        "<",
        "<script type='application/ld+json'>{</script>",
        "<html>" * 3000,
        "plain",
        "<base href='http://['><title>x</title><img src='http://[bad'>",
        "<link rel=canonical href='http://[x'>",
    ],
)
def test_no_page_raises(html: str) -> None:
    read_product(html.encode(), SHOP)


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "gb18030"])
def test_letters_of_a_page_are_kept(charset: str) -> None:
    html = "<title>Sac 夏蕾尔 ’é</title>" if charset != "cp1252" else "<title>Sac ’é</title>"
    for content_type, head in ((f"text/html; charset={charset}", ""), ("", f'<meta charset="{charset}">')):
        product = read_product((head + html).encode(charset), SHOP, content_type)
        assert product.fields["title"] == html[7:-8]


def test_a_page_that_names_no_charset_is_utf_8_if_it_can_be() -> None:
    assert read_product("<title>1’250 é</title>".encode(), SHOP).fields["title"] == "1’250 é"
    assert read_product("<title>é</title>".encode("cp1252"), SHOP).fields["title"] == "é"


def test_an_offer_of_a_product_is_read_from_its_own_side() -> None:
    offer = {"@type": "Offer", "price": "59", "priceCurrency": "EUR", "itemOffered": {"@type": "Product", "name": "T"}}
    fields = read_product(f'<script type="application/ld+json">{json.dumps(offer)}</script>'.encode(), SHOP).fields
    assert (fields["title"], fields["price"], fields["currency"]) == ("T", 59.0, "EUR")


def test_what_schema_org_says_of_seller_brand_and_condition() -> None:
    fields = read_product(PAGE.encode(), SHOP).fields
    assert (fields["seller_id"], fields["seller_name"], fields["brand_claim"]) == ("u-17", "Ann", "Acme")
    assert fields["condition"] == "https://schema.org/NewCondition"


def warc(*records: tuple[str, str, bytes], packed: bool = True) -> bytes:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    out = io.BytesIO()
    writer = WARCWriter(out, gzip=packed)
    for url, kind, data in records:
        headers = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
        time = {"WARC-Date": "2025-03-01T10:00:00Z"}
        writer.write_record(
            writer.create_warc_record(url, "response", io.BytesIO(data), http_headers=headers, warc_headers_dict=time)
        )
    return out.getvalue()


RECORDS = [
    ("https://shop.example/", "text/html", b"<title>all our bags</title>"),
    (SHOP, "text/html; charset=utf-8", PAGE.encode()),
    ("https://cdn.example/a.png?w=640", "image/png", picture(1)),
    ("https://shop.example/b.png", "image/png", picture(2)),
    ("https://shop.example/logo.png", "image/png", picture(3)),
]


def wacz(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as f:
        f.writestr("datapackage.json", "{}")
        f.writestr("archive/data.warc.gz", data)
    return path


@pytest.mark.parametrize("kind", ["warc", "warc.gz", "wacz"])
def test_an_archive_is_a_source_of_listings(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"site.{kind}"
    if kind == "wacz":
        wacz(path, warc(*RECORDS))
    else:
        path.write_bytes(warc(*RECORDS, packed=kind.endswith("gz")))
    assert is_capture(path)
    table, notes = unpack(path, tmp_path / "pages")
    ((listing, problem),) = read_listings(table)
    assert problem is None
    assert (listing.listing_id, listing.url, listing.captured_at) == (SHOP, SHOP, "2025-03-01T10:00:00Z")
    assert listing.price == 59.98
    shas = [hashlib.sha256(picture(i)).hexdigest() for i in (1, 2)]
    assert listing.photos == tuple(f"photos/{sha}" for sha in shas)
    capture = listing.extra["capture"]
    assert capture["sha256"] == hashlib.sha256(PAGE.encode()).hexdigest()
    assert capture["archive_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(p["url"], p["sha256"]) for p in capture["photos"]] == [(RECORDS[2][0], shas[0]), (RECORDS[3][0], shas[1])]
    assert notes == ["skipped 1 pages that offer nothing"]
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "pages/photos").iterdir()}
    unpack(path, tmp_path / "pages")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "pages/photos").iterdir()} == before


@pytest.mark.parametrize("packed", [True, False])
def test_a_photo_that_an_archive_is_cut_off_in_is_none(tmp_path: Path, packed: bool) -> None:
    photos = [
        ("https://cdn.example/a.png?w=640", "image/png", picture(0)),
        ("https://shop.example/b.png", "image/png", picture(1)),
    ]
    data = warc((SHOP, "text/html", PAGE.encode()), *photos, packed=packed)
    (tmp_path / "a.warc").write_bytes(data[:-200])
    table, notes = unpack(tmp_path / "a.warc", tmp_path / "out")
    assert len(json.loads(table.read_text())["photos"]) == 1
    assert "1 photo that pages name was not captured" in notes


def test_a_folder_of_saved_pages(tmp_path: Path) -> None:
    (tmp_path / "Tote_files").mkdir()
    (tmp_path / "Tote_files/a.png").write_bytes(picture(1))
    (tmp_path / "Tote_files/b.png").write_bytes(picture(2))
    (tmp_path / "Tote.html").write_text(f"<!-- saved from url=(0027){SHOP} -->{PAGE}")
    (tmp_path / "notes.txt").write_text("x")
    assert is_capture(tmp_path)
    table, notes = unpack(tmp_path, tmp_path.with_name("pages"))
    ((listing, _),) = read_listings(table)
    assert (listing.url, len(listing.photos)) == (SHOP, 2)
    assert listing.extra["capture"]["file"] == "Tote.html"
    assert notes == ["skipped 1: not a saved page (notes.txt)"]


def test_a_folder_of_photos_is_none_of_saved_pages(tmp_path: Path) -> None:
    write_tree(tmp_path, {"index.html": b"<title>x</title>", "bag/1.png": picture(1)})
    assert not is_capture(tmp_path)
    write_tree(tmp_path / "b", {"index.html": b"<title>x</title>", "1.png": picture(1)})
    assert not is_capture(tmp_path / "b")


def test_a_page_in_one_file_brings_its_photos(tmp_path: Path) -> None:
    import base64

    uri = "data:image/png;base64," + base64.b64encode(picture(1)).decode()
    (tmp_path / "p.html").write_text(f'<title>Acme Tote</title><img src="{uri}"><img src="../../etc/passwd">')
    table, _ = unpack(tmp_path, tmp_path.with_name("pages"))
    ((listing, _),) = read_listings(table)
    assert listing.photos == (f"photos/{hashlib.sha256(picture(1)).hexdigest()}",)


def test_an_archive_is_scanned_cased_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    layout = {f"acme/item{i}/{v}.png": picture(10 * i + v) for i in range(4) for v in range(2)}
    catalog = Catalog.build(write_tree(tmp_path / "src", layout), tmp_path / "cat", encoder=GridEncoder())
    config = Config.from_dict({"signals": ["design"]})
    source = wacz(tmp_path / "site.wacz", warc(*RECORDS))
    summary = run_scan(source, catalog, tmp_path / "out", config=config)
    assert (summary.rows, summary.counts["failed"]) == (1, 0)
    assert run_scan(source, catalog, tmp_path / "out", config=config).reused == 1
    records = tmp_path / "out/records.jsonl"
    root = Path(json.loads((tmp_path / "out/run.json").read_text())["source"]).parent
    write_case(find_subject("shop.example/u-17", [records]), [records], tmp_path / "case.zip", photo_roots=[root])
    assert not verify_package(tmp_path / "case.zip").problems
    with zipfile.ZipFile(tmp_path / "case.zip") as case:
        capture = json.loads(case.read("listings.jsonl"))["facts"]["listing"]["capture"]
        assert f"sha256 {capture['sha256']}" in case.read("case.html").decode()
        packed = {name for name in case.namelist() if name.startswith("photos/")}
    assert {p["sha256"] for p in capture["photos"]} == {Path(name).stem for name in packed}
    assert capture["url"] == SHOP


def mhtml() -> bytes:
    """Write a page as Chromium saves it: quoted-printable HTML, a frame, pictures in base64."""
    import base64
    import quopri

    parts = [
        ("text/html", SHOP, "quoted-printable", quopri.encodestring(PAGE.encode())),
        ("text/html", "cid:frame-1@mhtml.blink", "quoted-printable", b"<title>a frame</title>"),
        ("image/png", "https://cdn.example/a.png?w=640", "base64", base64.encodebytes(picture(1))),
        ("image/png", "https://shop.example/b.png", "base64", base64.encodebytes(picture(2))),
    ]
    lines = [
        b"From: <Saved by Blink>",
        f"Snapshot-Content-Location: {SHOP}".encode(),
        b"Date: Sat, 1 Mar 2025 10:00:00 -0000",
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/related; type="text/html"; boundary="----MultipartBoundary--x----"',
        b"",
    ]
    for kind, where, coding, body in parts:
        head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\nContent-Location: {where}\r\n"
        lines += [b"------MultipartBoundary--x----", head.encode(), body]
    return b"\r\n".join([*lines, b"------MultipartBoundary--x------", b""])


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_page_that_a_browser_saved_as_mhtml(tmp_path: Path, in_folder: bool) -> None:
    file = tmp_path / "saved/Tote.mhtml"
    write_tree(tmp_path / "saved", {"Tote.mhtml": mhtml(), "broken.mht": b"<p>x</p>"})
    source = file.parent if in_folder else file
    assert is_capture(source)
    table, notes = unpack(source, tmp_path / "pages")
    ((listing, problem),) = read_listings(table)
    assert (problem, listing.listing_id, listing.price, listing.title) == (None, SHOP, 59.98, "Acme Tote")
    assert listing.photos == tuple(f"photos/{hashlib.sha256(picture(i)).hexdigest()}" for i in (1, 2))
    capture = listing.extra["capture"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (capture["sha256"] if in_folder else capture["archive_sha256"]) == sha256
    assert capture["time"].startswith("2025-03-01T10:00:00")
    assert notes == (["skipped 1: not a readable MHTML file (broken.mht)"] if in_folder else [])


@pytest.mark.parametrize(
    "data",
    [b"", b"no header", b"Content-Type: multipart/related; boundary=x\n\n--x\n" * 20, mhtml()[:300], b"\0\xff" * 500],
)
def test_what_is_no_mhtml(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.mhtml").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.mhtml"):
        unpack(tmp_path / "x.mhtml", tmp_path / "pages")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not an archive", "not a readable web archive"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 999\r\n\r\nshort", "not a readable web archive"),
        (warc(*RECORDS)[:300], r"not a readable web archive|no page found"),
        (warc(("https://x.example/", "text/html", b"<p>nothing</p>")), "no page found"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.warc.gz").write_bytes(data)
    with pytest.raises(InputError, match=message):
        unpack(tmp_path / "x.warc.gz", tmp_path / "pages")


HOSTILE = (
    "../../out.warc.gz",
    "ROOT/out.warc.gz",  # an absolute path, into the folder that is looked at afterwards
    "a\\..\\out.warc.gz",
    "C:\\out.warc.gz",
    "a\x1b[2J.warc.gz",
    "." * 300 + ".warc.gz",
    "a\0/../../out.warc.gz",
    "a.warc.gz\0../../out",
    "DATA/A.warc.gz",
    "data/a.warc.gz",
    "caf\u0065\u0301.warc.gz",
    "\u202egab.warc.gz",
)


@pytest.mark.parametrize("mode", [0, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o666, stat.S_IFDIR | 0o777], ids=oct)
@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_an_archive_lead_nowhere(tmp_path: Path, name: str, mode: int) -> None:
    name = name.replace("ROOT", str(tmp_path))
    pages = warc(
        (SHOP, "text/html", PAGE.encode()),
        *((f"https://shop.example/{n}/../../../{name}", "image/png", picture(n)) for n in range(3)),
        *((f"https://cdn.example/{n}.png?w=640", "image/png", picture(n)) for n in range(3)),
    )
    with zipfile.ZipFile(tmp_path / "x.wacz", "w") as f:
        for member in (name.replace("\0", "\1"), "data/a.warc.gz"):
            info = zipfile.ZipInfo(member)
            info.external_attr = mode << 16
            f.writestr(info, pages)
    data = (tmp_path / "x.wacz").read_bytes()
    (tmp_path / "x.wacz").write_bytes(data.replace(name.replace("\0", "\1").encode(), name.encode()))
    before = set(tmp_path.rglob("*"))
    unpack(tmp_path / "x.wacz", tmp_path / "pages")
    made = set(tmp_path.rglob("*")) - before
    assert made
    assert all(p == tmp_path / "pages" or p.is_relative_to(tmp_path / "pages") for p in made)
    assert not any(p.is_symlink() for p in made)


@pytest.mark.parametrize("place", [0, 6, 8, 30, -22, -40, -60])
def test_a_package_whose_headers_lie_is_one_sentence(tmp_path: Path, place: int) -> None:
    data = bytearray(wacz(tmp_path / "x.wacz", warc(*RECORDS)).read_bytes())
    second = data.index(b"PK\x03\x04", 10)
    middle = data.rindex(b"PK\x01\x02")
    for at in (second + place, middle + place + 2) if place >= 0 else (len(data) + place,):
        data[at : at + 2] = b"\xff\xff"
    (tmp_path / "x.wacz").write_bytes(data)
    with contextlib.suppress(InputError):
        unpack(tmp_path / "x.wacz", tmp_path / "pages")


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgmatch.io.pages.archives._SPARE", 1 << 20)
    (tmp_path / "y.warc.gz").write_bytes(
        warc(*[(f"https://x.example/{n}", "text/html", b" " * (1 << 21)) for n in range(9)])
    )
    with pytest.raises(InputError, match="holds more than an archive"):
        unpack(tmp_path / "y.warc.gz", tmp_path / "pages")


SCOPES = '<div itemscope itemprop="a" itemtype="http://schema.org/Product">'


@pytest.mark.parametrize(
    "page",
    [
        "<a " + " ".join(f"a{i}=1" for i in range(60_000)) + ">",
        '<div id="a" itemscope itemref="' + "a " * 400_000 + '"></div>',
        SCOPES * 20_000,
        '<base href="http://a/' + "a/" * 50_000 + '">' + "".join(f'<img src="../{i}">' for i in range(20_000)),
        '<script type="application/ld+json">' + '{"@graph":[' * 100_000 + "</script>",
    ],
    ids=["attributes", "references", "scopes", "addresses", "graphs"],
)
def test_an_expensive_page_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr(reader, "SECONDS", 1.0)
    bad = f"<title>t</title><img src='x.png'>{page}".encode()
    data = warc(*((f"https://a.example/{n}", "text/html", bad) for n in range(2)), *RECORDS)
    (tmp_path / "x.warc.gz").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    table, _ = unpack(tmp_path / "x.warc.gz", tmp_path / "pages")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert [json.loads(line)["url"] for line in table.read_text().splitlines()] == [SHOP]
    assert after.ru_utime - before.ru_utime < 10


LONG = b"X: " + b"a" * 13 + b"\r\n"
HEADER = b"WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: http://a/\r\nContent-Length: %d\r\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEADER % (b"response", 0) + LONG * 200_000 + b"\r\n", "bytes of headers"),
        (HEADER % (b"response", 0) + b"X: " + b"a" * (2 << 20) + b"\r\n\r\n", "bytes of headers"),
        (HEADER % (b"response", 4 << 20) + b"\r\nHTTP/1.1 200 OK\r\n" + LONG * 200_000, "bytes of headers"),
        (b"a" * (3 << 20), "not a readable web archive"),
        (HEADER % (b"metadata", 9 << 20) + b"\r\n" + bytes(9 << 20) + b"\r\n\r\n", "holds more than an archive"),
        (b"PK\x05\x06" + bytes(18), "not a readable web archive|holds no WARC"),
    ],
    ids=["header lines", "one header line", "http headers", "one line", "what is skipped", "a zip in a zip"],
)
@pytest.mark.parametrize("kind", ["warc.gz", "wacz"])
def test_what_an_archive_unpacks_to_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str, kind: str
) -> None:
    monkeypatch.setattr("imgmatch.io.pages.archives._SPARE", 5 << 20)
    monkeypatch.setattr("imgmatch.io.pages.archives._RATIO", 1)
    path = tmp_path / f"x.{kind}"
    packed = data if data.startswith(b"PK") else gzip.compress(data)
    path.write_bytes(packed) if kind == "warc.gz" else wacz(path, packed)
    with pytest.raises(InputError, match=message):
        unpack(path, tmp_path / "pages")
