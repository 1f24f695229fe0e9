"""Sellers, rings, cases and notices at the desk."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi", reason="extra service")
pytest.importorskip("httpx2", reason="extra dev")
pytest.importorskip("reportlab", reason="extra case")

from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.jobs import Jobs
from imgmatch.apps.desk.views_act import summed
from imgmatch.investigate.case.seal import verify_package
from imgmatch.results import Results
from tests.desk_browser import Browser, slug
from tests.desk_market import market, record, write_ring, write_scan

RING = "ring-0123456789ab"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    catalog, scan = market(tmp_path)
    rings = write_ring(tmp_path / "rings.jsonl", scan)
    return Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv", rings=rings)


@pytest.fixture
def ann(desk: Desk) -> Browser:
    return Browser(desk)


def finished(ann: Browser, address: str) -> str:
    for _ in range(600):
        if ann.client.get(f"{address}/state").json()["finished"]:
            return ann.get(address)
        time.sleep(0.05)
    raise TimeoutError(address)


def test_a_seller_shows_all_that_is_known_contacts_masked(ann: Browser) -> None:
    html = ann.get("/seller?platform=bazaar&seller=seller0")
    for text in ("8 listings", "brand0", "+86…00", RING, "26-03", "Leather tote number 21", "Make a case"):
        assert text in html, text
    assert "13800138000" not in html


@pytest.mark.parametrize(
    ("currency", "expected"),
    [("", {"EUR": 30.0, "CHF": 5.0, "unknown currency": 7.0}), ("EUR", {"EUR": 36.0})],
)
def test_prices_of_different_currencies_are_never_added(currency: str, expected: dict[str, float]) -> None:
    rows = [{"price": p, "value": v} for p, v in (("10 EUR", 10), ("€20", 20), ("CHF 5", 6), ("7", None), ("ask", None))]
    assert summed(SimpleNamespace(index=SimpleNamespace(currency=currency)), rows) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/seller",
        "/seller?seller=nobody",
        "/seller?platform=other&seller=seller0",
        "/ring/none",
        "/job/none",
        "/job/none/case.zip",
    ],
)
def test_what_is_not_there_is_404(ann: Browser, path: str) -> None:
    assert ann.client.get(path).status_code == 404


def test_a_ring_shows_its_graph_and_its_sellers(ann: Browser, desk: Desk) -> None:
    assert RING in ann.get("/rings")
    html = ann.get(f"/ring/{RING}")
    for text in ("Graph of 2 sellers", "seller=seller1", "the same file", "data:image/jpeg"):
        assert text in html, text
    assert RING in ann.get(f"/listing/{slug(desk, 'L000000')}")
    assert RING not in ann.get(f"/listing/{slug(desk, 'L000002')}")


@pytest.mark.parametrize("subject", [{"platform": "bazaar", "seller": "seller0"}, {"ring": RING}])
def test_a_case_is_written_checked_and_downloaded(ann: Browser, tmp_path: Path, subject: dict[str, str]) -> None:
    answer = ann.post("/case", **subject)
    assert answer.status_code == 303
    html = finished(ann, answer.headers["location"])
    assert "Checked after writing" in html, html
    back = f"/ring/{RING}" if "ring" in subject else "/seller?platform=bazaar&amp;seller=seller0"
    assert f'href="{back}"' in html
    download = ann.client.get(f"{answer.headers['location']}/case.zip")
    assert download.headers["content-type"] == "application/zip"
    (tmp_path / "copy.zip").write_bytes(download.content)
    assert verify_package(tmp_path / "copy.zip").problems == ()
    assert b"13800138000" not in download.content


def test_a_template_is_downloaded_changed_and_used(ann: Browser, tmp_path: Path, desk: Desk) -> None:
    lead = slug(desk, "L000000")
    ann.post(f"/listing/{lead}/decide", label="confirm")
    assert "/template/letter.txt" in ann.post("/notice", listing=lead, kind="letter").text
    (tmp_path / "notices").mkdir()
    mine = tmp_path / "notices" / "letter.txt"
    mine.write_text(ann.get("/template/letter.txt").replace("Dear Sir or Madam", "Dear friends"), encoding="utf-8")
    assert "Dear friends" in ann.post("/notice", listing=lead, kind="letter").text
    assert "Dear friends" in ann.post("/notice", listing=lead, kind="letter", form="txt").text
    mine.write_text("{{ 1 / 0 }}", encoding="utf-8")
    broken = ann.post("/notice", listing=lead, kind="letter")
    assert (broken.status_code, "template cannot be used" in broken.text) == (422, True)
    assert [ann.client.get(f"/template/{name}.txt").status_code for name in ("none", "..%2Fdsa", "letter")] == [
        404,
        404,
        200,
    ]


def test_ebays_reason_code_is_asked_for(ann: Browser, desk: Desk) -> None:
    lead = slug(desk, "L000000")
    ann.post(f"/listing/{lead}/decide", label="confirm")
    assert 'name="reason_code" value="9052"' in ann.post("/notice", listing=lead, kind="vero").text
    assert "reason code 9048" in ann.post("/notice", listing=lead, kind="vero", reason_code="9048", form="txt").text
    assert ann.post("/notice", listing=lead, kind="vero", reason_code="<b>").status_code == 422


def test_a_case_of_what_nobody_knows_is_refused(ann: Browser, desk: Desk) -> None:
    for fields in ({}, {"seller": "../../etc"}, {"ring": "x"}, {"listing": "0" * 16}):
        assert ann.post("/case", **fields).status_code == 404
    assert ann.post("/case", listing=slug(desk, "L000000")).status_code == 422


def test_a_job_that_breaks_says_so_without_a_traceback() -> None:
    jobs = Jobs()
    job = jobs.start("work", "ann", lambda job, say: 1 / 0, back=("Progress", "/progress"))
    jobs._pool.shutdown()
    assert (job.finished, job.error) == (True, "an unexpected error, written to the desk's log")


def test_a_notice_is_about_what_a_person_found_right(ann: Browser, desk: Desk) -> None:
    lead = slug(desk, "L000000")
    empty = ann.post("/notice", listing=lead, kind="dsa").text
    assert "no person has reviewed it" in empty
    assert "Download" not in empty
    assert f'href="/listing/{lead}"' in empty
    refused = ann.post("/notice", listing=lead, kind="dsa", form="txt")
    assert refused.status_code == 422
    ann.post(f"/listing/{lead}/decide", label="confirm")
    ann.post(f"/listing/{slug(desk, 'L000009')}/decide", label="confirm")  # unauthorised_seller alone
    shown = ann.post(
        "/notice", platform="bazaar", seller="seller0", kind="dsa", name="Ann Example", email="ann@brand.example"
    ).text
    for text in ("Article 16", "https://bazaar.example/item/0", "Ann Example", "ann on 20", "no ground for a notice"):
        assert text in shown, text
    assert "item/9" not in shown
    for form, start in (("txt", "NOTICE"), ("csv", "url,"), ("json", "{")):
        file = ann.post("/notice", ring=RING, kind="dsa", form=form)
        assert file.text.startswith(start)
        assert file.headers["content-disposition"] == f'attachment; filename="notice-dsa.{form}"'
    assert [e.text for e in desk.decisions.events(what="notice")] == [
        f"dsa about ring {RING}, {f}" for f in ("txt", "csv", "json")
    ]


def test_sellers_of_a_ring_may_use_the_same_listing_id(tmp_path: Path) -> None:
    catalog, scan = market(tmp_path)
    pair = [record(tmp_path, 4 * n, catalog, seller_id=f"seller{n}") for n in range(2)]
    same = [replace(r, listing=replace(r.listing, listing_id="L1")) for r in pair]
    write_scan(scan, same, tmp_path / "listings.csv", catalog)
    rings = write_ring(tmp_path / "rings.jsonl", scan)
    desk = Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv", rings=rings)
    ann = Browser(desk)
    for row in desk.index.rows("SELECT slug FROM listings"):
        ann.post(f"/listing/{row['slug']}/decide", label="confirm")
    drafted = ann.post("/notice", ring=RING, kind="dsa", form="json").json()["items"]
    assert [item["seller"] for item in drafted] == ["seller0", "seller1"]
    ann.post(f"/listing/{desk.index.rows('SELECT slug FROM listings')[0]['slug']}/wrong", signal="logo_tamper")
    left = ann.post("/notice", ring=RING, kind="dsa").text
    assert "called one of its findings wrong" in left
