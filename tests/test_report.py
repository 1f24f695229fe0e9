"""The report of a scan: what it draws, and that hostile rows stay harmless."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageDraw

import imgmatch.investigate.report
from imgmatch.catalog.items import Brand, Item
from imgmatch.images import load_image
from imgmatch.investigate.report import figures, listings, words, write_report
from imgmatch.investigate.report.pictures import Picture
from imgmatch.loading.photo import PhotoContext
from imgmatch.messages import Message
from imgmatch.records import Listing, PhotoRecord, ScanRecord
from imgmatch.types import (
    EVIDENCE_KEYS,
    Basis,
    Candidate,
    Decision,
    EmbeddingSpace,
    Finding,
    FindingStatus,
    Image,
    Label,
    Verdict,
)

RUN = {"source": "table.csv", "started": "2026-01-02T03:04:05+00:00", "imgmatch": "0.1.0", "config_fingerprint": "abc"}


class FakeCatalog:
    """The part of a catalog that reports use, over files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.version = "v1"
        self.space = EmbeddingSpace("mobilenet-v2", "w", "a", "p", "fp32", 4)
        self.items = {"tote": Item("tote", "valmore", name="Valmore Tote")}
        self.brands = {"valmore": Brand("valmore", "Valmore")}
        self.photos = {sha(p): p for p in sorted(folder.glob("ref*.png"))}

    def photo(self, sha256: str) -> PhotoContext:
        return PhotoContext(sha256, load_image(self.photos[sha256]), "reference")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def draw_photo(path: Path, seed: int, size: tuple[int, int] = (160, 120)) -> Path:
    rng = np.random.default_rng(seed)
    image = PillowImage.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        pen.rectangle([x, y, x + 20, y + 12], fill=tuple(int(c) for c in rng.integers(0, 255, 3)))
    image.save(path)
    return path


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, FakeCatalog]:
    draw_photo(tmp_path / "ref.png", 1)
    draw_photo(tmp_path / "photo.png", 2)
    return tmp_path, FakeCatalog(tmp_path)


@pytest.fixture
def record(world: tuple[Path, FakeCatalog]) -> Callable[..., ScanRecord]:
    folder, catalog = world
    reference = next(iter(catalog.photos))

    def make(
        decision: Decision = Decision.LEAD, probability: float | None = 0.9, evidence: Any = None, **listing: Any
    ) -> ScanRecord:
        photo = PhotoRecord("photo-1", "listing", "photo.png", sha(folder / "photo.png"), "0" * 64, 160, 120)
        finding = Finding(
            "logo_tamper",
            FindingStatus.OK,
            0.8,
            "The lettering differs.",
            photo_id="photo-1",
            labels=(Label.COUNTERFEIT_SUSPECTED,),
            evidence={"reference_photo": reference, **(evidence or {})},
        )
        verdict = Verdict(
            decision,
            Basis.CONTRADICTION,
            probability,
            probability,
            labels=(Label.COUNTERFEIT_SUSPECTED,),
            brand="valmore",
            item_id="tote",
            similarity=0.8,
            candidates=(Candidate("tote", "valmore", 0.8, reference, "photo-1", 0.8),),
            findings=(finding, Finding.abstained("copy", "Nothing to compare.")),
            reasons=("The lettering differs.",),
        )
        return ScanRecord(
            Listing(**{"listing_id": "L1", "photos": ("photo.png",), **listing}), verdict=verdict, photos=(photo,)
        )

    return make


@pytest.fixture
def render(world: tuple[Path, FakeCatalog]) -> Callable[..., str]:
    folder, catalog = world

    def make(records: Any, **more: Any) -> str:
        out = folder / "report.html"
        write_report(records, photo_root=folder, catalog=catalog, run=RUN, out=out, **more)
        return out.read_text(encoding="utf-8")

    return make


class Page(HTMLParser):
    """What a browser would see of a page that matters for safety."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


# -- golden -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        ("  a \n\t b ", "a b"),
        ("abc‮def", "abc‹U+202E›def"),
        ("GU​CCI", "GU‹U+200B›CCI"),
        ("\0\ud800", "‹U+0000›‹U+D800›"),
        ("驴牌 é", "驴牌 é"),
        ("x" * 300, "x" * 200 + "…"),
        ("x" * 10_000_000, "x" * 200 + "…"),
    ],
)
def test_plain_shows_what_text_is(text: str | None, expected: str) -> None:
    assert words.plain(text) == expected


def test_contacts_are_masked(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    text = render([record(contacts=("wechat:luxbag888", "phone:+8613800138000"))])
    assert "wechat:l…8" in text
    assert "luxbag888" not in text
    assert "13800138000" not in text


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://shop.example/1?a=b", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:///x", False),
        ("https://a\u202eb/", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_only_plain_web_addresses_become_links(url: str | None, link: bool) -> None:
    assert words.safe_url(url) == (url if link else None)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (3.14159, "3.142"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (float("nan"), "not a number"),
        ("x", "x"),
        (True, "True"),
    ],
)
def test_numbers(value: object, shown: str) -> None:
    assert words.number_words(value) == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-04-09T18:50:00+00:00", "2026-04-09 18:50 UTC"),
        ("2026-04-09T18:50:00.5Z", "2026-04-09 18:50 UTC"),
        ("2026-04-09T18:50:00+02:00", "2026-04-09 18:50 +02:00"),
        ("2026-04-09 18:50", "2026-04-09 18:50"),
        ("last week", "last week"),
        (None, ""),
    ],
)
def test_times(time: str | None, shown: str) -> None:
    assert words.time_words(time) == shown


def test_letters_are_aligned() -> None:
    assert figures.align("PUMBA", "PUMA") == [
        ("P", "P", True),
        ("U", "U", True),
        ("M", "M", True),
        ("B", "", False),
        ("A", "A", True),
    ]


def picture(width: int, height: int, key: str = "q1") -> Picture:
    return Picture(key, Image(np.zeros((height, width, 3), np.uint8), key, "<test>", width, height, "RAW"))


def test_pair_places_pictures_and_marks() -> None:
    # 200x100 beside 100x200, each in 400 units: scales 2 and 2; the second starts after 400 and a gap of 28.
    drawing = figures.draw(
        Finding(
            "x",
            FindingStatus.OK,
            1.0,
            "",
            evidence={
                "matches": [[10, 20, 50, 100]],
                "regions": [{"on": "reference", "polygon": [[0, 50], [10, 50], [10, 60]], "label": "clasp"}],
            },
        ),
        picture(200, 100),
        picture(100, 200, "r1"),
    )
    assert drawing.pair is not None
    assert (drawing.pair.width, drawing.pair.height) == (628.0, 400.0)
    assert drawing.pair.lines == ((20.0, 40.0, 528.0, 200.0),)
    assert drawing.pair.marks[0].points == "428.0,100.0 448.0,100.0 448.0,120.0"


# -- the page -----------------------------------------------------------------------------------------------------------


def test_page_is_self_contained_and_without_scripts(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=https://evil.example/x onerror=alert(2)></title></style>"
    rows = [
        record(title=hostile, seller_id=hostile, platform=hostile, url="javascript:alert(1)", contacts=(hostile,)),
        record(title=hostile, url='https://a.example/"onmouseover="alert(1)'),
        record(
            evidence={
                "regions": [{"on": "query", "polygon": [[1, 1], [50, 1], [50, 50]], "label": hostile}],
                "readings": [{"reading": hostile, "reference": hostile, "confidence": 0.9, "polygon": None}],
                "facts": {hostile: hostile},
            }
        ),
        ScanRecord(Listing(hostile), status="failed", error=hostile),
    ]
    text = render(rows)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    attributes = [(name, value or "") for _, attrs in page.tags for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    addresses = {value for name, value in attributes if name in ("src", "href", "xlink:href", "action")}
    assert all(a.startswith(("data:image/jpeg;base64,", "#", "https://a.example/")) for a in addresses)
    assert hostile in page.text


def test_policy_allows_nothing_but_inline_pictures_and_the_one_stylesheet(
    record: Callable[..., ScanRecord], render: Callable[..., str]
) -> None:
    text = render([record()])
    policy = next(a["content"] for t, a in Page(text).tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy
    assert " style=" not in text


def test_evidence_is_drawn(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    text = render(
        [
            record(
                evidence={
                    "regions": [
                        {"on": "query", "polygon": [[10, 10], [40, 10], [40, 40], [10, 40]], "label": "clasp"},
                        {"on": "reference", "polygon": [[12, 10], [40, 10], [40, 40], [12, 40]], "label": "clasp"},
                    ],
                    "matches": [[10, 10, 12, 12]] * 90,
                    "transform": [[1, 0, 3], [0, 1, 0], [0, 0, 1]],
                    "readings": [{"reading": "PUMBA", "reference": "PUMA", "confidence": 0.97}],
                    "heatmap": {"polygon": [[0, 0], [160, 0], [160, 120], [0, 120]], "values": [[0, 1], [0.5, 0]]},
                    "facts": {"aspect_ratio": 1.25},
                }
            )
        ]
    )
    assert "matched points: 90, 30 of them" in text
    assert text.count('<polygon class="mark') == 2
    assert '<td class="differs">B</td>' in text
    assert "half transparent" in text
    assert "The redder" in text
    assert "aspect ratio" in text
    assert "1.25" in text


def test_strongest_first_and_the_rest_by_count(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    rows = [record(Decision.CLEAR, 0.01, title=f"clear {i}") for i in range(3)]
    rows += [record(Decision.REVIEW, 0.3, title="second"), record(Decision.LEAD, 0.2, title="first")]
    text = render(rows, limit=2)
    assert text.index("first") < text.index("second")
    assert "clear 0" not in text
    assert "not drawn here: 3." in text
    assert "1 lead in 5 listings" in text


def test_rows_stream_and_only_the_shown_are_opened(
    record: Callable[..., ScanRecord], render: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = listings.Gallery.query
    monkeypatch.setattr(
        listings.Gallery,
        "query",
        lambda self, photo: opened.append(photo) or original(self, photo),
    )

    def rows() -> Iterator[ScanRecord]:
        for i in range(2000):
            yield record(Decision.CLEAR, i / 2000, title=f"row {i}")

    text = render(rows(), limit=3)
    assert len(opened) == 3
    assert re.findall(r"row (\d+)", text) == ["1999", "1998", "1997"]


def test_a_picture_is_held_once(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    text = render([record(listing_id=f"L{i}") for i in range(10)])
    ids = re.findall(r'<image id="(\w+)"', text)
    assert len(ids) == len(set(ids)) == 2


def test_unjudged_listings_have_a_view_by_brand_surest_first(
    record: Callable[..., ScanRecord], render: Callable[..., str]
) -> None:
    def unjudged(name: str, brand: str, certainty: float) -> ScanRecord:
        row = record(Decision.UNJUDGED, None, title=f"row {name}")
        assert row.verdict is not None
        verdict = replace(row.verdict, brand=brand, shows_brand=brand, shown_by=("text", "logo"), certainty=certainty)
        return replace(row, verdict=verdict)

    text = render([unjudged("a", "zeta", 0.9), unjudged("b", "valmore", 0.6), record(), unjudged("c", "valmore", 0.8)])
    assert re.findall(r"row (\w+)", text) == ["c", "b", "a"]
    assert "Brands shown, unjudged" in text
    assert 'id="show-unjudged"' in text
    assert "based on: Lettering in the photo, Brand mark" in text


def test_a_rank_is_no_probability(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    row = record()
    assert row.verdict is not None
    ranked = replace(row, verdict=replace(row.verdict, probability=None, calibration="c (ranks, not probabilities)"))
    text = render([ranked])
    assert "<dt>rank</dt><dd>0.900" in text
    assert "<dt>probability</dt>" not in text
    assert "<dt>probability</dt>" in render([row])


def test_what_the_run_used_is_said(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    text = render([record(probability=None)])
    assert "ImageNet CNN, weaker than CLIP" in text
    assert "not calibrated" in text
    assert "the rules alone decide" in text
    assert words.DISCLAIMER in text


def test_a_photo_that_changed_since_the_scan_is_not_shown(
    world: tuple[Path, FakeCatalog], record: Callable[..., ScanRecord], render: Callable[..., str]
) -> None:
    row = record()
    draw_photo(world[0] / "photo.png", 3)
    text = render([row])
    assert 'id="q' not in text
    assert 'id="r' in text


def test_no_photo_at_all(record: Callable[..., ScanRecord], render: Callable[..., str]) -> None:
    text = render([ScanRecord(Listing("L1"), verdict=Verdict(Decision.REVIEW, Basis.UNREADABLE))])
    assert "No photo can be shown" in text
    assert "Not everything could be read" in text


def test_an_empty_scan(render: Callable[..., str]) -> None:
    assert "0 leads in 0 listings" in render([])


# -- properties ---------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(10**6), 10**6)
    | st.text(max_size=5)
    | st.sampled_from(["query"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["on", "polygon", "label", "reading", "reference", "values", "confidence"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(EVIDENCE_KEYS)), JSON))
def test_no_evidence_breaks_the_drawing(evidence: dict[str, Any]) -> None:
    figures.draw(Finding("x", FindingStatus.OK, 1.0, "", evidence=evidence), picture(40, 30), picture(30, 40, "r1"))


@given(st.text())
def test_plain_text_can_be_written(text: str) -> None:
    shown = words.plain(text)
    shown.encode("utf-8")
    assert "\n" not in shown


# -- what reports may say -----------------------------------------------------------------------------------------------


def test_no_report_says_fake_confirmed_or_admissible() -> None:
    files = [p for p in Path(imgmatch.investigate.report.__file__).parent.iterdir() if p.suffix in (".html", ".py", ".css")]
    assert len(files) > 5
    for path in files:
        assert not re.search(r"\b(fakes?|confirmed|admissible)\b", path.read_text(encoding="utf-8"), re.IGNORECASE), path


# -- languages ----------------------------------------------------------------------------------------------------------


def test_a_report_in_chinese(render: Callable[..., str], record: Callable[..., ScanRecord]) -> None:
    reason = Message("Strong contradiction: {reason}", reason=Message("The price is 0."))
    lead = record(title="Lead")
    verdict = replace(lead.verdict, reasons=(reason, "a signal of somebody else"))
    text = render([replace(lead, verdict=verdict)], lang="zh")
    assert '<html lang="zh-CN">' in text
    assert "1 个商品链接中有 1 条线索" in text
    assert "明显矛盾：价格为 0。" in text
    assert "a signal of somebody else" in text
    assert "<bdi>Lead</bdi>" in text  # a title is no word of ours
    bare = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert [w for w in ("Look at", "Presents itself", "Skip to", "listing’s", "human review") if w in bare] == []


def test_a_message_in_a_record_cannot_reach_into_the_program(
    render: Callable[..., str], record: Callable[..., ScanRecord]
) -> None:
    hostile = Message.from_dict("said", {"id": "{x.__class__.__mro__}", "params": {"x": "<script>alert(1)</script>"}})
    known = Message.from_dict("said", {"id": "Seller {name}", "params": {"name": "<script>alert(1)</script>\u202e"}})
    lead = record()
    text = render([replace(lead, verdict=replace(lead.verdict, reasons=(hostile, known)))], lang="zh")
    assert "<script" not in text
    assert "卖家 &lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›" in text
    assert "<bdi>said</bdi>" in text
