"""The desk, asked as a browser asks: queue, listing, decisions, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="extra service")
pytest.importorskip("httpx2", reason="extra dev")
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from imgmatch.apps.cli import app as cli
from imgmatch.apps.desk.app import create_desk
from imgmatch.apps.desk.desk import Desk
from imgmatch.apps.desk.index import ScanIndex
from imgmatch.apps.desk.queue import SORTS, Filters
from imgmatch.apps.service import LOOPBACK
from imgmatch.results import Results
from imgmatch.verdicts.labels import LabelRow, append_labels, read_decisions, read_labels
from imgmatch.verdicts.negatives import NegativeBank
from tests.desk_browser import LOCAL, Browser, slug
from tests.desk_market import market, record, write_scan


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    catalog, scan = market(tmp_path)
    return Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv")


@pytest.fixture
def ann(desk: Desk) -> Browser:
    return Browser(desk)


def listed(html: str) -> list[str]:
    return re.findall(r"Leather tote number (\d+)", html)


# The queue


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("?decision=lead", {0, 4, 8, 12, 16, 20}),
        ("?label=unauthorised_seller&seller=seller1", {1, 13}),
        ("?low=120&high=121.5", {20, 21}),
        ("?q=number+1+bazaar", {1, 21, *range(10, 20)}),
        ("?q=000007", {7}),
        ("?q=TOTE+NUMBER+2+-3", set()),
        ("?q=%22+OR+%22", set()),
        ("?q=%25", set()),
        ("?brand=brand0&decision=review&until=2026-03-06", {1, 5}),
        ("?brand_shown=1&decision=unjudged", {2, 6, 10, 14, 18, 22}),
        ("?decision=nonsense&low=x&page=zz", set(range(24))),
    ],
)
def test_filters(ann: Browser, address: str, expected: set[int]) -> None:
    assert set(map(int, listed(ann.get(f"/queue{address}")))) == expected


def test_sorts(desk: Desk) -> None:
    def order(**filters: object) -> list[str]:
        return [r["listing_id"] for r in desk.queue.rows(desk.queue.ids(Filters(**filters)))]  # type: ignore[arg-type]

    strength = order()
    assert [int(x[1:]) % 4 for x in strength] == sorted(int(x[1:]) % 4 for x in strength)
    assert order(sort="value")[:2] == ["L000023", "L000022"]
    assert order(sort="newest")[0] == "L000023"
    ranks = {f"L{i:06d}": (i * 37 % 101) / 101 for i in range(24)}
    assert order(sort="uncertainty") == sorted(ranks, key=lambda k: (abs(ranks[k] - 0.5), k))
    assert sorted(order(sort="audit", seed="1")) == sorted(ranks)
    assert order(sort="audit", seed="1") == order(sort="audit", seed="1") != order(sort="audit", seed="2")


def test_an_audit_is_of_all_listings() -> None:
    assert Filters.read({"sort": "audit", "decision": "lead", "seed": "7", "q": "x"}) == Filters(sort="audit", seed="7")


def test_the_index_is_made_anew_when_the_scan_changes(desk: Desk, tmp_path: Path) -> None:
    made = (tmp_path / "scan" / "desk.sqlite").stat().st_mtime_ns
    assert not desk.index.changed
    assert ScanIndex(desk.scans).state == desk.index.state
    assert (tmp_path / "scan" / "desk.sqlite").stat().st_mtime_ns == made
    before = {r["listing_id"]: r["slug"] for r in desk.index.rows("SELECT * FROM listings")}
    rows = [record(tmp_path, i, desk.catalog) for i in (30, 3)]
    write_scan(tmp_path / "scan", rows, tmp_path / "listings.csv", desk.catalog)
    assert desk.index.changed
    again = ScanIndex(desk.scans)
    assert [r["listing_id"] for r in again.rows("SELECT * FROM listings")] == ["L000030", "L000003"]
    assert again.row("SELECT slug FROM listings WHERE listing_id = 'L000003'")["slug"] == before["L000003"]
    desk.refresh()
    if (thread := desk._indexing) is not None:
        thread.join()
    assert len(desk.queue.ids(Filters())) == 2


def test_a_damaged_index_is_replaced(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "scan" / "desk.sqlite").write_bytes(b"SQLite format 3\0 and nonsense")
    assert len(ScanIndex(desk.scans).rows("SELECT id FROM listings")) == 24


def test_values_are_in_one_currency_where_the_rates_of_the_scan_allow(tmp_path: Path) -> None:
    catalog, _ = market(tmp_path, 1)
    rows = [
        record(tmp_path, i, catalog, price=p, currency=c)
        for i, (p, c) in enumerate([("100", "EUR"), ("90", "EUR"), ("99", "USD")])
    ]
    scan = write_scan(tmp_path / "two", rows, tmp_path / "listings.csv", catalog)
    bare = ScanIndex([Results(scan)])
    assert (bare.currency, [r["value"] for r in bare.rows("SELECT value FROM listings ORDER BY id")]) == ("", [100, 90, 99])
    run = json.loads((scan / "run.json").read_text()) | {"config": {"listing": {"rates": {"EUR": 1.0, "USD": 2.0}}}}
    (scan / "run.json").write_text(json.dumps(run))
    (scan / "desk.sqlite").unlink()
    rated = ScanIndex([Results(scan)])
    assert rated.currency == "EUR"
    assert [r["value"] for r in rated.rows("SELECT value FROM listings ORDER BY id")] == [100, 90, 198]


# One listing


def test_a_listing_shows_its_reasons_its_reference_and_its_seller(ann: Browser, desk: Desk) -> None:
    html = ann.get(f"/listing/{slug(desk, 'L000004')}?decision=lead")
    for text in (
        "BRANO stands where BRAND would",
        "strong",
        "+3.00",
        "brand0",
        "Leather tote number 16",
        "of 6",
        "Nearest misses",
        "item1",
    ):
        assert text in html, text
    assert "<script" not in html.replace('<script src="/static/desk.js" defer></script>', "")
    drawn = ann.get(f"/listing/{slug(desk, 'L000004')}/evidence")
    assert 'class="match"' in drawn
    assert "/photo/" in drawn


def test_contacts_are_masked_until_asked_for_and_asking_is_logged(ann: Browser, desk: Desk) -> None:
    path = f"/listing/{slug(desk, 'L000000')}"
    for page in (ann.get("/queue"), ann.get(path), ann.get(f"{path}/evidence")):
        assert "138 0013 8000" not in page
        assert "8613800138000" not in page
    assert "+86…00" in ann.get(path)
    assert desk.decisions.events() == []
    shown = ann.post(f"{path}/contacts").text
    assert "8613800138000" in shown
    [event] = desk.decisions.events()
    assert (event.what, event.reviewer, event.listing_id) == ("contacts", "ann", "L000000")


def test_photos_come_by_sha256_alone_and_encoded_anew(ann: Browser, desk: Desk, tmp_path: Path) -> None:
    row = desk.index.row("SELECT * FROM photos WHERE path = 'photos/7.png'")
    answer = ann.client.get(f"/photo/{row['sha256']}/thumb")
    assert answer.content[:2] == b"\xff\xd8"
    assert answer.headers["content-type"] == "image/jpeg"
    reference = next(iter(desk.catalog.photos))
    assert ann.client.get(f"/photo/{reference}/large").status_code == 200
    for path in (
        f"/photo/{'0' * 64}/thumb",
        "/photo/..%2Fscan%2Frun.json/thumb",
        f"/photo/{row['sha256']}/huge",
        "/static/app.py",
    ):
        assert ann.client.get(path).status_code == 404, path
    (tmp_path / row["path"]).write_bytes((tmp_path / "photos/5.png").read_bytes())
    assert ann.client.get(f"/photo/{row['sha256']}/large").status_code == 404  # no longer what was scanned


def test_rows_that_failed_have_no_photo_or_come_twice_have_a_page(tmp_path: Path) -> None:
    catalog, _ = market(tmp_path, 1)
    whole = record(tmp_path, 0, catalog)
    gone = replace(
        whole.photos[0], sha256=None, phash=None, width=None, height=None, status="failed", error="missing: not there"
    )
    rows = [
        replace(whole, verdict=None, status="failed", error="nothing could be examined <b>", photos=(gone,)),
        replace(record(tmp_path, 1, catalog), photos=()),
        record(tmp_path, 2, catalog),
        record(tmp_path, 2, catalog),
    ]
    scan = write_scan(tmp_path / "odd", rows, tmp_path / "listings.csv", catalog)
    ann = Browser(Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv"))
    slugs = list(dict.fromkeys(re.findall(r"/listing/(\w{16})", ann.get("/queue"))))
    assert len(slugs) == 4
    pages = [ann.get(f"/listing/{s}") for s in slugs]
    assert sum("nothing could be examined &lt;b&gt;" in page and "data-load" not in page for page in pages) == 1
    assert len(listed(ann.get("/queue?decision=failed"))) == 1
    for s in slugs:
        assert ann.client.get(f"/listing/{s}/evidence").status_code in (200, 404)
        assert ann.post(f"/listing/{s}/decide", label="reject").status_code == 303
    assert "4 of 4 listings reviewed" not in ann.get("/progress")  # two rows are one listing: three were decided


def test_an_empty_scan_has_its_pages(tmp_path: Path) -> None:
    catalog, _ = market(tmp_path, 1)
    scan = write_scan(tmp_path / "empty", [], tmp_path / "listings.csv", catalog)
    ann = Browser(Desk([Results(scan)], catalog=None, labels=tmp_path / "labels.csv"))
    for sort in SORTS:
        assert "0 listings" in ann.get(f"/queue?sort={sort}&state=unreviewed")
    for path in ("/look", "/rings", "/progress"):
        ann.get(path)
    assert ann.post("/look", photo_sha256="0" * 64).status_code == 422


# Decisions


def test_decide_and_go_on(ann: Browser, desk: Desk, tmp_path: Path) -> None:
    view = "?decision=lead&state=unreviewed"
    first = re.search(r'id="start" href="/listing/(\w+)', ann.get(f"/queue{view}"))[1]
    before = desk.queue.ids(Filters.read({"decision": "lead", "state": "unreviewed"}))
    answer = ann.post(f"/listing/{first}/decide", label="confirm", view=view)
    second = desk.queue.rows([before[1]])[0]["slug"]
    assert answer.headers["location"] == f"/listing/{second}?decision=lead&state=unreviewed"
    ann.post(f"/listing/{second}/decide", label="reject", view="?sort=audit&seed=3")
    ann.post(f"/listing/{second}/decide", label="skip", view=view)
    rows = (tmp_path / "labels.csv").read_text().splitlines()
    assert [r.split(",")[1:3] + r.split(",")[4:6] for r in rows[1:]] == [
        ["confirm", "ann", "flagged", "bazaar"], ["reject", "ann", "random", "bazaar"]
    ]  # fmt: skip
    assert first not in ann.get(f"/queue{view}")
    assert "a lead: <bdi>ann" in ann.get(f"/listing/{first}")


def test_an_audit_shows_what_was_flagged_and_reviewed_before(ann: Browser, desk: Desk) -> None:
    one = slug(desk, "L000000")
    ann.post(f"/listing/{one}/decide", label="confirm")
    audit = Filters(sort="audit", seed="1", state="unreviewed")
    assert len(desk.queue.ids(audit)) == 24
    ann.post(f"/listing/{one}/decide", label="confirm", view="?sort=audit&seed=1")
    assert len(desk.queue.ids(audit)) == 23
    ann.post(f"/listing/{one}/decide", label="reject", view="?decision=lead")  # drawn at random once, for good
    [row] = desk.decisions.of(("bazaar", "seller0", "L000000"))
    assert (row.label, row.sampled_by) == ("reject", "random")


def test_undo_is_a_new_row(ann: Browser, desk: Desk, tmp_path: Path) -> None:
    a, b = slug(desk, "L000000"), slug(desk, "L000004")
    assert ann.post(f"/listing/{a}/undo").headers["location"].endswith("said=nothing")
    ann.post(f"/listing/{a}/decide", label="confirm")
    answer = ann.post(f"/listing/{b}/undo")  # from the next listing: the last decision
    assert answer.headers["location"] == f"/listing/{a}?said=undone"
    assert read_labels(tmp_path / "labels.csv") == ({}, [])
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 3


def test_two_reviewers_lose_nothing(desk: Desk, tmp_path: Path) -> None:
    ann, bob = Browser(desk), Browser(replace_desk(desk), "bob")
    one = slug(desk, "L000008")
    ann.post(f"/listing/{one}/decide", label="confirm")
    bob.post(f"/listing/{one}/decide", label="reject")
    decisions, problems = read_decisions(tmp_path / "labels.csv")
    assert problems == []
    assert [(r.reviewer, r.label) for [*rows] in decisions.values() for r in rows] == [("ann", "confirm"), ("bob", "reject")]
    assert listed(ann.get("/queue?state=split")) == ["8"]
    ann.post(f"/listing/{one}/undo")
    assert [r.reviewer for r in desk.decisions.of(("bazaar", "seller2", "L000008"))] == ["bob"]


def replace_desk(desk: Desk) -> Desk:
    return Desk(desk.scans, catalog=desk.catalog, labels=desk.decisions.path)


def test_a_second_opinion_does_not_show_the_first(desk: Desk) -> None:
    ann, bob = Browser(desk), Browser(desk, "bob")
    for row in desk.index.rows("SELECT slug FROM listings"):
        ann.post(f"/listing/{row['slug']}/decide", label="reject")
    ids = desk.queue.ids(Filters(sort="second"), "bob")
    assert 0 < len(ids) < 24
    assert desk.queue.ids(Filters(sort="second"), "ann") == []
    page = bob.get(f"/listing/{desk.queue.rows(ids[:1])[0]['slug']}?sort=second")
    assert 'class="decided' not in page


def test_a_wrong_finding_goes_to_the_negative_bank(ann: Browser, desk: Desk) -> None:
    one = slug(desk, "L000000")
    assert "is wrong here" in ann.get(f"/listing/{one}")
    assert ann.post(f"/listing/{one}/wrong", signal="logo_tamper").status_code == 303
    [row] = NegativeBank.of_catalog(desk.catalog.path).rows
    assert (row.signal, row.brand, row.reviewer, row.listing_id) == ("logo_tamper", "brand0", "ann", "L000000")
    refused = ann.post(f"/listing/{one}/wrong", signal="nonsense")
    assert refused.status_code == 422
    assert "no finding" in refused.text


def test_notes_stay(ann: Browser, desk: Desk) -> None:
    one = slug(desk, "L000000")
    ann.post(f"/listing/{one}/note", text="<b>ask</b> the brand")
    assert "&lt;b&gt;ask&lt;/b&gt; the brand" in ann.get(f"/listing/{one}")


def test_undo_rows(tmp_path: Path) -> None:
    def row(label: str, reviewer: str = "ann") -> LabelRow:
        return LabelRow("a", label, reviewer, "2026-01-01", "flagged", "p", "s")

    path = tmp_path / "labels.csv"
    append_labels(path, [row("confirm"), row("reject", "bob"), row("reject"), row("undo"), row("undo", "eve")])
    decisions, problems = read_decisions(path)
    assert problems == []
    assert [(r.reviewer, r.label) for r in decisions["p", "s", "a"]] == [("ann", "confirm"), ("bob", "reject")]
    assert read_labels(path)[0]["p", "s", "a"].reviewer == "bob"
    append_labels(path, [row("undo"), row("undo"), row("undo", "bob")])
    assert read_decisions(path) == ({}, [])


# Who may do what


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/listing/{one}/decide", {}, 403),
        ("POST", "/listing/{one}/decide", {"x-csrf": "0" * 64}, 403),
        ("POST", "/listing/{one}/decide", {"x-csrf": "{token}", "origin": "https://evil.example"}, 403),
        ("GET", "/queue", {"sec-fetch-site": "cross-site"}, 403),
        ("GET", "/queue", {"host": "evil.example"}, 421),
        ("GET", "/listing/0000", {}, 404),
        ("GET", "/docs", {}, 404),
        ("GET", "/openapi.json", {}, 404),
        ("POST", "/listing/{one}/decide", {"x-csrf": "{token}"}, 422),
    ],
)
def test_refusals(ann: Browser, desk: Desk, method: str, path: str, headers: dict[str, str], status: int) -> None:
    fill = {"one": slug(desk, "L000000"), "token": ann.token()}
    headers = {k: v.format(**fill) for k, v in headers.items()}
    answer = ann.client.request(method, path.format(**fill), headers=headers, follow_redirects=False)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert not desk.decisions.path.exists()


def test_pages_need_an_entrance_and_say_what_may_run(desk: Desk) -> None:
    stranger = TestClient(create_desk(desk, hosts=LOOPBACK), base_url=LOCAL)
    for path in ("/queue", f"/listing/{slug(desk, 'L000000')}", f"/photo/{'0' * 64}/thumb", "/"):
        answer = stranger.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/enter")
    assert stranger.post("/enter", data={"reviewer": " \n"}).status_code == 422
    policy = stranger.get("/enter").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_desk_with_a_token_opens_to_those_who_know_it(desk: Desk) -> None:
    client = TestClient(create_desk(desk, token="a long enough secret"), base_url="http://desk.example")
    assert client.post("/enter", data={"reviewer": "ann", "token": "guess"}, follow_redirects=False).status_code == 401
    assert client.get("/queue", follow_redirects=False).status_code == 303
    entered = client.post("/enter", data={"reviewer": "ann", "token": "a long enough secret"}, follow_redirects=False)
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/queue").status_code == 200
    client.cookies.set(create_desk(desk).state.door.cookie, "forged.e30=.00")
    assert client.get("/queue").status_code == 200


def test_a_form_in_another_charset_is_refused(ann: Browser, desk: Desk) -> None:
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n\\ud800\r\n' for n in ("csrf", "token", "reviewer")
    )
    kind = {"content-type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    client = TestClient(create_desk(desk, token="0123456789abcdef", hosts=LOOPBACK), base_url=LOCAL)
    assert client.post("/enter", content=body + "--x--", headers=kind).status_code == 415
    assert ann.client.post("/recalibrate", content=body + "--x--", headers=kind).status_code == 415


def test_hostile_listings_are_only_text(tmp_path: Path) -> None:
    catalog, _ = market(tmp_path, 1)
    harm = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\ud800\u202e'
    fields = dict.fromkeys(("title", "description", "seller_id", "platform", "brand_claim", "promo_text", "condition"), harm)
    row = record(tmp_path, 0, catalog, **fields, url="javascript:alert(1)", price=harm, contacts=(f"wechat:{harm}",))
    row = replace(row, listing=replace(row.listing, listing_id=harm))
    scan = write_scan(tmp_path / "hostile", [row], tmp_path / "listings.csv", catalog)
    ann = Browser(Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv"))
    [one] = set(re.findall(r"/listing/(\w{16})", ann.get("/queue?q=alert")))
    ann.post(f"/listing/{one}/decide", label="confirm")
    for html in (ann.get("/queue"), ann.get(f"/listing/{one}"), ann.get(f"/listing/{one}/evidence")):
        assert "<script>" not in html
        assert "<img src=x" not in html
        assert 'href="javascript' not in html
        assert "49" not in re.findall(r"alert\(1\)&gt;(\d+)", html)
    assert "a lead: <bdi>ann" in ann.get(f"/listing/{one}")


# The command


def test_the_command_opens_a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, scan = market(tmp_path, 4)
    started: dict[str, object] = {}
    monkeypatch.setattr("imgmatch.catalog.Catalog.load", lambda *_, **__: catalog)
    monkeypatch.setattr("imgmatch.apps.commands_serve.log_to_stderr", lambda: None)
    monkeypatch.setattr("uvicorn.run", lambda app, **more: started.update(more, app=app))
    command = ["desk", str(scan), "--no-browser", "--labels", str(tmp_path / "labels.csv")]
    found = CliRunner().invoke(cli, [*command, "--port", "8123"])
    assert found.exit_code == 0, found.output
    assert "http://127.0.0.1:8123" in found.output
    assert (started["host"], started["port"]) == ("127.0.0.1", 8123)
    client = TestClient(started["app"], base_url="http://localhost:8123")  # type: ignore[arg-type]
    assert client.get("/enter").status_code == 200
    assert TestClient(started["app"], base_url="http://evil.example").get("/enter").status_code == 421  # type: ignore[arg-type]

    refused = CliRunner().invoke(cli, [*command, "--host", "0.0.0.0"])
    assert refused.exit_code == 2
    assert "--token-file" in refused.output
    missing = CliRunner().invoke(cli, ["desk", str(tmp_path / "nothing"), "--no-browser"])
    assert missing.exit_code == 1
    assert "no records here" in str(missing.exception)
