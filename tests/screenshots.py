"""The pictures of the documentation, anew: ``make screenshots`` scans the rendered demo market and photographs its pages.

Only rendered goods are shown. Each picture is written with as many colours as keep it under 150 kB.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from imgmatch.apps.desk.desk import Desk
from imgmatch.catalog import Catalog
from imgmatch.investigate.report import write_report
from imgmatch.investigate.report.rings_page import read_rings
from imgmatch.results import Results
from tests.test_browser import CHROMIUM
from tests.test_desk_browser import Tab, served

DOCS = Path(__file__).parents[1] / "docs"
MOST = 150_000
TALLEST = 1130
WIDE = {"width": 1240, "height": 800}


def save(png: bytes, name: str) -> None:
    """Write a picture with at most 256 colours, fewer where it is too large."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32):
        small = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        if small.tell() <= MOST:
            break
    (DOCS / name).write_bytes(small.getvalue())
    print(f"docs/{name}: {small.tell() / 1000:.0f} kB, {colours} colours")


def of_report(browser: Any, demo: Path, lang: str, name: str) -> None:
    """Photograph the first lead whose photo and words contradict its claim."""
    results = Results(demo / "scan")
    page_file = demo / f"screenshot.{lang}.html"
    catalog = Catalog.load(demo / "catalog")
    write_report(results, photo_root=demo, catalog=catalog, run=results.run, out=page_file, limit=3, lang=lang)
    page = browser.new_page(viewport=WIDE)
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelector('.filter').remove()")  # it would stick to the top of what is photographed
    box = page.locator(".card.lead").first.bounding_box()
    assert box is not None
    save(page.screenshot(full_page=True, clip={**box, "height": min(box["height"], TALLEST)}), name)
    page.close()


def of_desk(browser: Any, demo: Path) -> None:
    """Photograph the queue, a lead's page and the ring's."""
    rings = demo / "rings" / "rings.jsonl"
    labels = demo / "screenshots.csv"
    desk = Desk([Results(demo / "scan")], catalog=Catalog.load(demo / "catalog"), labels=labels, rings=rings)
    with served(desk) as base:
        tab = Tab(browser, base, "ann", WIDE)
        tab.go("/queue?decision=lead")
        tab.page.wait_for_load_state("networkidle")
        save(tab.page.screenshot(), "desk_queue.png")
        tab.click("#start")
        tab.page.wait_for_load_state("networkidle")
        save(tab.page.screenshot(), "desk_listing.png")
        tab.go(f"/ring/{read_rings(rings)[0].ring_id}")
        tab.page.wait_for_load_state("networkidle")
        save(tab.page.screenshot(), "desk_ring.png")
        tab.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="what `imgmatch demo --out` wrote")
    demo = parser.parse_args().demo.resolve()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which(CHROMIUM or ""), args=["--no-sandbox"])
        of_report(browser, demo, "en", "report.png")
        of_report(browser, demo, "zh", "report.zh.png")
        of_desk(browser, demo)
        browser.close()


if __name__ == "__main__":
    main()
