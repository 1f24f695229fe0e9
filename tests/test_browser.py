"""Pages made of hostile listings in a real browser: nothing that a seller wrote may run or become part of the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from imgmatch import Catalog, Config
from imgmatch.investigate.report import write_report
from imgmatch.scan import run_scan
from tests.fakes import GridEncoder, picture, write_tree

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; nothing was shown of a real browser")

HARM = "document.title='HARMED';document.body.id='harmed'"
PAYLOADS = (
    f"<script>{HARM}</script>",
    f"</style></title></textarea></script><script>{HARM}</script>",
    f'"><img src=x onerror="{HARM}">',
    f"' autofocus onfocus='{HARM}' x='",
    f"<svg/onload={HARM}>",
    f'<iframe srcdoc="<script>parent.{HARM.replace(";", ";parent.")}</script>"></iframe>',
    f"<details open ontoggle={HARM}>x</details>",
    f"{{{{ {HARM} }}}}{{% raw %}}",
    f"--><script>{HARM}</script><!--",
    "<base href='http://127.0.0.1:1/'><link rel=stylesheet href=//127.0.0.1:1/x.css><meta http-equiv=refresh content=0>",
)


class Elements(HTMLParser):
    """What elements and attributes a document has."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs


def opened(page: Path) -> str:
    """Return the page's document after its scripts had two seconds, as chromium serialises it."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command += ["--disable-component-update", "--disable-sync", "--disable-default-apps", f"--user-data-dir={page}.profile"]
    command += ["--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_report_of_hostile_listings_is_only_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    source = write_tree(
        tmp_path / "src", {f"brand{i}/item/{v}.png": picture(10 * i + v) for i in range(3) for v in range(2)}
    )
    catalog = Catalog.build(source, tmp_path / "catalog", encoder=GridEncoder())
    root = write_tree(tmp_path / "listings", {"ok.png": picture(0)})
    fields = (
        "listing_id",
        "title",
        "description",
        "seller_id",
        "seller_name",
        "platform",
        "brand_claim",
        "condition",
        "price",
    )
    rows = [
        {**dict.fromkeys(fields, f"replica 1:1 {p}"), "url": "javascript:" + HARM, "photos": ["ok.png"]} for p in PAYLOADS
    ]
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = Config.from_dict({"signals": ["design", "text", "listing"]})
    run_scan(root / "t.jsonl", catalog, tmp_path / "out", config=config, report=write_report)

    report = tmp_path / "out" / "report.html"
    html = report.read_text(encoding="utf-8")
    assert "HARMED" in html  # what the sellers wrote is shown
    unguarded = tmp_path / "unguarded.html"  # escaping alone must do: a policy is the second lock, not the first
    unguarded.write_text(re.sub(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", html), encoding="utf-8")
    assert "Content-Security-Policy" in html
    for page in (report, unguarded):
        document = opened(page)
        assert "<title>HARMED" not in document
        assert 'id="harmed"' not in document
        elements = Elements()
        elements.feed(document)
        harmful = {"script", "iframe", "base", "link", "object", "embed"}
        assert sorted(elements.names & harmful) == []
        assert not [name for name, _ in elements.attributes if name.startswith("on") or name == "autofocus"]
        assert not [
            value for name, value in elements.attributes if name in ("href", "src") and "javascript:" in (value or "")
        ]


def test_the_same_words_unescaped_would_harm(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    for number in (0, 1, 2, 4, 5):
        page = tmp_path / f"{number}.html"
        page.write_text(f"<!doctype html><title>x</title><body>{PAYLOADS[number]}</body>", encoding="utf-8")
        assert "<title>HARMED</title>" in opened(page)
