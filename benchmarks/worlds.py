"""Synthetic markets, scanned with their photos and without: the records that verdicts are fitted and measured on.

    python -m benchmarks worlds [fit-1 test-1 ...]    # render, build the catalog, scan twice: one process a core

Everything is rendered and invented. Fit and test worlds differ in seed, brands, fonts, phrases, price laws, design forgeries
and copy edits (half of each exists in a fit world, the other half in a test world). The two sides overlap at the rates of
:mod:`imgmatch.augment.rates`. Worlds have far more bad listings than a market, for the sake of numbers. Scans are made
without a calibration; an interrupted one goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from benchmarks.frame import raw
from benchmarks.frame.data import OUT, REPO

SIGNALS = ("design", "copy", "text", "logo", "listing", "mismatch")
FACES = {"fit": ("",), "test": ("DejaVuSerif", "STIXGeneral", "DejaVuSans-Bold")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is made of."""

    seed: int
    brands: tuple[int, ...]
    listings: int
    base_rate: float
    market: str


PLANS = {
    "fit-1": Plan(11, (2101, 2102, 2103), 100, 0.25, "fit"),
    "test-1": Plan(21, (3101, 3102, 3103), 60, 0.3, "test"),
    "fit-2": Plan(12, (2201, 2202, 2203), 100, 0.25, "fit"),
    "test-2": Plan(22, (3201, 3202, 3203), 60, 0.3, "test"),
    "fit-3": Plan(13, (2301, 2302, 2303), 100, 0.25, "fit"),
    "test-3": Plan(23, (3301, 3302, 3303), 60, 0.3, "test"),
}
SMOKE = Plan(31, (3401,), 8, 0.5, "test")


def make(name: str, plan: Plan) -> Path:
    """Render a world and the source of its catalog, and build the catalog; what an earlier run made so is kept."""
    from imgmatch.augment.edits import EDITS
    from imgmatch.catalog import Catalog
    from imgmatch.world.brands import make_brand
    from imgmatch.world.catalog_source import write_catalog_source
    from imgmatch.world.forge import ITEM_FORGERIES
    from imgmatch.world.market import make_market

    out = OUT / "worlds" / name
    key = hashlib.sha256(repr(plan).encode())
    for source in sorted(f for room in ("augment", "world") for f in (REPO / "imgmatch" / room).glob("*.py")):
        key.update(source.read_bytes())
    mark = out / "made-by"
    if mark.is_file() and mark.read_text() == key.hexdigest():
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    other_half = plan.market == "test"
    market = make_market(
        out, seed=plan.seed, listings=plan.listings, base_rate=plan.base_rate, bags=3, watches=2, market=plan.market,
        brands=[make_brand(s, FACES[plan.market]) for s in plan.brands],
        forgeries=list(ITEM_FORGERIES)[other_half::2], copy_edits=list(EDITS)[other_half::2],
    )  # fmt: skip
    write_catalog_source(out / "catalog_source", market.products)
    Catalog.build(out / "catalog_source" / "manifest.jsonl", out / "catalog", encoder="mobilenet-v2")
    mark.write_text(key.hexdigest())
    return out


def scan(name: str, plan: Plan) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the head and the raw rows of a world: truth, looks, and the records with photos and without."""
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config, FusionConfig
    from imgmatch.scan import run_scan
    from imgmatch.world.demo import DEMO_RATES
    from imgmatch.world.market import LISTING_COLUMNS, write_table

    out = make(name, plan)
    config = replace(
        Config(), signals=SIGNALS, fusion=FusionConfig(calibration="none"), sections={"listing": {"rates": DEMO_RATES}}
    )
    config = replace(config, scan=replace(config.scan, workers=1, shard=24))
    listings = [{**row, "photos": [], "promo_photos": []} for row in raw.table(out / "listings.csv")]
    write_table(out / "blind.csv", listings, LISTING_COLUMNS)
    catalog = Catalog.load(out / "catalog")
    run_scan(out / "listings.csv", catalog, out / "scan", config=config)
    run_scan(out / "blind.csv", catalog, out / "blind", config=config)
    truth = {r["listing_id"]: r for r in raw.table(out / "truth.csv")}
    seen, blind = (
        [json.loads(line) for line in (out / folder / "records.jsonl").read_text("utf-8").split("\n")[:-1]]
        for folder in ("scan", "blind")
    )
    run = json.loads((out / "scan" / "run.json").read_text())
    head = {
        "suite": "worlds",
        "data": name,
        "encoder": "mobilenet-v2",
        "space": run["catalog"]["space"],
        "config_fingerprint": run["config_fingerprint"],
        "brands": {b.brand: [list(b.official_domains), list(b.authorised_sellers)] for b in catalog.brands.values()},
    }
    rows = [
        {"truth": truth[r["listing_id"]], "looks": _looks(out, r), "record": _bare(r), "blind": _bare(b)}
        for r, b in zip(seen, blind, strict=True)
    ]
    return head, rows


def _looks(world: Path, record: dict[str, Any]) -> dict[str, float]:
    """Return what needs no understanding of a photo: its size and its mean saturation, of the listing's first one."""
    photo = next((p for p in record["photos"] if p["status"] == "ok"), None)
    if photo is None:
        return {"pixels": 0.0, "saturation": 0.0}
    with PIL.Image.open(world / photo["path"]) as image:
        saturation = np.asarray(image.convert("HSV").resize((64, 64)))[..., 1]
    return {"pixels": float(photo["width"] * photo["height"]), "saturation": float(saturation.mean())}


def _bare(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what no verdict and no figure is made of: evidence and reasons of findings."""
    verdict = record["verdict"]
    if verdict is None:
        return record
    kept = {k: v for k, v in verdict.items() if k != "messages"}
    findings = [
        {k: v for k, v in f.items() if k != "messages"} | {"evidence": {}, "reason": ""}
        for f in verdict["findings"]
        if f["signal"] not in ("rank", "disagreement")
    ]
    return {**record, "verdict": {**kept, "findings": findings, "reasons": []}}


def run(names: Sequence[str]) -> int:
    """Make and scan worlds, one process a core: reading text gains little from more threads."""
    unknown = set(names) - set(PLANS)
    if unknown:
        print(f"no world {', '.join(sorted(unknown))}; there are {', '.join(PLANS)}", file=sys.stderr)
        return 2
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the workers, which are started afresh
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), _single_thread) as pool:
        for name, seconds in pool.map(_stored, names or list(PLANS)):
            print(f"{name}: {seconds:.0f} s of CPU", flush=True)
    return 0


def _single_thread() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _stored(name: str) -> tuple[str, float]:
    start = time.process_time()
    head, rows = scan(name, PLANS[name])
    raw.write(raw.RESULTS / "worlds" / f"{name}.jsonl.xz", head, rows)
    return name, time.process_time() - start


def stored(kind: str) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, str]]:
    """Return the raw rows of the ``fit`` or ``test`` worlds that were scanned, the embedding space, and the commit of each.

    Each row has its world's name and brands beside what was written.
    """
    rows: list[dict[str, Any]] = []
    space: dict[str, Any] = {}
    commits = {}
    for name in (n for n in PLANS if n.startswith(kind)):
        file = raw.RESULTS / "worlds" / f"{name}.jsonl.xz"
        if file.is_file():
            head, own = raw.read(file)
            space, commits[name] = head["space"], head["commit"] + ("" if head["clean"] else ", changed")
            rows += [{**row, "world": name, "brands": head["brands"]} for row in own]
    return rows, space, commits
