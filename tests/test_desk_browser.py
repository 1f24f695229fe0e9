"""The desk in a real Chromium: a reviewer's morning, two reviewers, hostile texts, a phone, keys alone, axe-core."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="extra dev")
pytest.importorskip("fastapi", reason="extra service")
uvicorn = pytest.importorskip("uvicorn", reason="extra service")
pytest.importorskip("reportlab", reason="extra case")

from imgmatch import Config  # noqa: E402
from imgmatch.apps.desk.app import create_desk  # noqa: E402
from imgmatch.apps.desk.desk import Desk  # noqa: E402
from imgmatch.apps.service import LOOPBACK  # noqa: E402
from imgmatch.investigate.case.seal import verify_package  # noqa: E402
from imgmatch.results import Results  # noqa: E402
from imgmatch.verdicts.labels import read_decisions  # noqa: E402
from imgmatch.verdicts.negatives import NegativeBank  # noqa: E402
from tests.desk_market import market, record, write_ring, write_scan  # noqa: E402
from tests.test_browser import CHROMIUM, PAYLOADS  # noqa: E402

AXE = Path(os.environ.get("AXE", Path(__file__).parents[1] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
VIEW = "?decision=lead&state=unreviewed"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; nothing was shown of the desk in a browser"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which(CHROMIUM or ""), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve a desk on a port of loopback that is free."""
    server = uvicorn.Server(uvicorn.Config(create_desk(desk, hosts=LOOPBACK), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    catalog, scan = market(tmp_path)
    rings = write_ring(tmp_path / "rings.jsonl", scan)
    config = Config.from_dict({"signals": ["design", "copy"]})
    return Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv", rings=rings, config=config)


class Tab:
    """A page of a reviewer who has entered; what its console says is kept."""

    def __init__(self, chromium: Any, base: str, name: str, size: dict[str, int] = DESKTOP) -> None:
        self.context = chromium.new_context(viewport=size, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.base, self.said = base, []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda d: (self.said.append(f"dialog {d.message}"), d.dismiss()))
        self.go("/")
        self.page.fill("[name=reviewer]", name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**/queue**")

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def press(self, key: str) -> None:
        """Press a key that leads to another page."""
        with self.page.expect_navigation():
            self.page.keyboard.press(key)

    def click(self, selector: str) -> None:
        with self.page.expect_navigation():
            self.page.click(selector)

    def close(self) -> None:
        self.context.close()
        assert self.said == []


def test_a_reviewers_morning(chromium: Any, desk: Desk, tmp_path: Path) -> None:
    with served(desk) as base:
        ann = Tab(chromium, base, "ann")
        page = ann.page
        ann.go(f"/queue{VIEW}")
        assert page.locator(".row").count() == 6
        ann.press("j")  # the first listing
        first = page.url
        page.wait_for_selector("#drawn")
        page.click("[data-tab=t1]")
        assert page.locator("#t1 .match").first.is_visible()
        page.uncheck("[data-hide=no-match]")
        assert not page.locator("#t1 .match").first.is_visible()
        page.keyboard.press("b")
        page.locator(".blink img").nth(1).wait_for(state="visible")
        ann.press("c")
        assert page.url != first
        ann.press("r")
        ann.press("s")
        ann.press("u")  # takes back the rejection
        assert "taken back" in page.inner_text(".said")
        page.keyboard.press("n")
        page.keyboard.type("ask the brand about the letters")
        ann.click("text=Write it down")
        page.click("text=A finding is wrong")
        ann.click("text=is wrong here")
        assert "negative bank" in page.inner_text(".said")
        decided = read_decisions(tmp_path / "labels.csv")[0]
        assert [[r.label for r in rows] for rows in decided.values()] == [["confirm"]]
        assert len(NegativeBank.of_catalog(desk.catalog.path).rows) == 1

        ann.go("/look")
        page.set_input_files("[name=photo]", tmp_path / "photos/6.png")
        ann.click("text=Search")
        assert "the same file" in page.inner_text(".results")
        page.set_input_files("[name=first]", tmp_path / "photos/6.png")
        page.set_input_files("[name=second]", tmp_path / "photos/7.png")
        ann.click("form[action='/compare'] button")
        assert "Neither is a copy" in page.inner_text("main")

        page.goto(first)
        ann.click("dd a[href^='/seller']")
        ann.click("text=Make a case")
        page.wait_for_selector("#download", timeout=60_000)
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(tmp_path / "case.zip")
        assert verify_package(tmp_path / "case.zip").problems == ()

        page.goto(first)
        ann.click("text=Draft it")
        page.fill("[name=name]", "Ann Example")
        ann.click("text=Fill in")
        assert "Ann Example" in page.inner_text(".draft")
        with page.expect_download() as download:
            page.click("text=Download csv")
        assert download.value.suggested_filename == "notice-dsa.csv"
        ann.close()


def test_two_reviewers_at_once(chromium: Any, desk: Desk, tmp_path: Path) -> None:
    with served(desk) as base:
        ann, bob = Tab(chromium, base, "ann"), Tab(chromium, base, "bob")
        for tab in (ann, bob):
            tab.go("/queue?decision=review")
            tab.press("j")
        for _ in range(3):
            ann.press("c")
            bob.press("r")
        decided, problems = read_decisions(tmp_path / "labels.csv")
        assert problems == []
        assert [[(r.reviewer, r.label) for r in rows] for rows in decided.values()] == [
            [("ann", "confirm"), ("bob", "reject")]
        ] * 3
        ann.go("/queue?state=split")
        assert ann.page.locator(".row").count() == 3
        ann.go("/progress")
        assert "3 listings in common, 0 % alike" in ann.page.inner_text("main")
        ann.close()
        bob.close()


def test_hostile_texts_are_only_text(chromium: Any, tmp_path: Path) -> None:
    catalog, _ = market(tmp_path, 1)
    names = ("title", "description", "seller_id", "platform", "brand_claim", "condition", "promo_text", "price")
    rows = []
    for i, payload in enumerate(PAYLOADS):
        row = record(tmp_path, 4 * i, catalog, **dict.fromkeys(names, payload), url=f"javascript:{payload}")
        findings = tuple(replace(f, reason=payload) for f in row.verdict.findings)
        rows.append(replace(row, verdict=replace(row.verdict, findings=findings, reasons=(payload,))))
    scan = write_scan(tmp_path / "hostile", rows, tmp_path / "listings.csv", catalog)
    desk = Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv")
    with served(desk) as base:
        ann = Tab(chromium, base, "<script>document.title='HARMED'</script>")
        slugs = [row["slug"] for row in desk.index.rows("SELECT slug FROM listings ORDER BY id")]
        for path in ("/queue", *(f"/listing/{slug}" for slug in slugs)):
            ann.go(path)
            if path != "/queue":
                ann.page.wait_for_selector("#drawn")
                assert ann.page.locator(".findings").count() == 1
            shown = ann.page.inner_text("main")
            assert "HARMED" in shown or "<base href" in shown  # what the sellers wrote is shown
            assert "HARMED" not in ann.page.title().split(" · ")[-1]
            assert ann.page.get_attribute("body", "id") is None
            assert ann.page.locator("script").count() == 1
            assert ann.page.locator("iframe, base, object, embed, [onerror], [onload], a[href^='javascript']").count() == 0
        ann.click("dd a[href^='/seller']")
        assert ann.page.get_attribute("body", "id") is None
        ann.close()


@pytest.mark.parametrize(
    "path", ["/queue", "/listing", "/look", "/rings", "/ring/ring-0123456789ab", "/progress", "/seller"]
)
def test_a_phone_is_wide_enough_and_axe_finds_nothing_serious(chromium: Any, desk: Desk, path: str) -> None:
    if path == "/listing":
        path = f"/listing/{desk.index.row('SELECT slug FROM listings')['slug']}{VIEW}"
    elif path == "/seller":
        path = "/seller?platform=bazaar&seller=seller0"
    with served(desk) as base:
        for size in (PHONE, DESKTOP):
            ann = Tab(chromium, base, "ann", size)
            ann.go(path)
            if "/listing" in path:
                ann.page.wait_for_selector("#drawn")
            wide = ann.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 1, f"{path} is {wide} pixels too wide at {size}"
            if AXE.is_file():
                ann.page.evaluate(AXE.read_text("utf-8"))
                result = ann.page.evaluate("axe.run()")
                found = [
                    (v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3])
                    for v in result["violations"]
                    if v["impact"] in ("serious", "critical")
                ]
                assert found == []
            ann.close()
    if not AXE.is_file():
        pytest.skip(f"axe-core is not at {AXE}: `make test-browser` fetches it; nothing was shown of accessibility")


def test_keys_alone(chromium: Any, desk: Desk, tmp_path: Path) -> None:
    with served(desk) as base:
        ann = Tab(chromium, base, "ann")
        page = ann.page
        ann.go("/queue")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("/")
        page.keyboard.type("number 16")
        ann.press("Enter")
        assert page.locator(".row").count() == 1
        page.focus(".row a")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        ann.press("Enter")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("c")  # a key of the page below decides nothing while the help is open
        page.keyboard.press("Escape")
        page.wait_for_selector("#drawn")
        page.focus(".zoom")
        page.keyboard.press("Enter")
        page.wait_for_selector("#zoom img", state="visible")
        page.keyboard.press("Escape")
        page.focus("#note")
        page.keyboard.type("crusc")  # typing decides nothing
        assert not (tmp_path / "labels.csv").exists()
        page.evaluate("document.activeElement.blur()")
        ann.press("c")
        assert len(read_decisions(tmp_path / "labels.csv")[0]) == 1
        ann.go("/queue?state=unreviewed")
        ann.press("j")
        with page.expect_navigation():
            page.keyboard.down("r")
        page.keyboard.down("r")  # held: the page that comes is no longer meant
        page.wait_for_timeout(300)
        page.keyboard.up("r")
        assert len(read_decisions(tmp_path / "labels.csv")[0]) == 2
        ann.close()


def test_the_first_page_of_a_long_scan(chromium: Any, tmp_path: Path) -> None:
    catalog, scan = market(tmp_path, 1)
    rows = [replace(record(tmp_path, i % 8, catalog), extra={}) for i in range(8)]
    many = (replace(rows[i % 8], listing=replace(rows[i % 8].listing, listing_id=f"N{i}")) for i in range(3000))
    write_scan(scan, many, tmp_path / "listings.csv", catalog)
    with served(Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv")) as base:
        ann = Tab(chromium, base, "ann")
        ann.go("/queue")
        assert "3,000 listings" in ann.page.inner_text("h1")
        assert ann.page.locator(".row").count() == 50
        ann.click("a[rel=next]")
        assert "page 2 of 60" in ann.page.inner_text(".pages")
        ann.close()
