"""Verdicts on synthetic markets: how many bad listings become a lead, how many honest ones are bothered, what pixels add.

    python -m benchmarks.verdicts run      # make the worlds and scan them, with photos and without; raw records
    python -m benchmarks.verdicts fit      # weights/calibration-mobilenet-v2.json from the fit worlds
    python -m benchmarks.verdicts score    # the tables, on the test worlds

    python -m benchmarks.verdicts refit    # all three, one after the other

Everything is rendered and invented, and so are the figures. Fit and test worlds differ in seed, brands, fonts, phrases,
price laws, design forgeries and copy edits (half of each exists in a fit world, the other half in a test world). The two
sides overlap at the rates of :mod:`imgmatch.augment.rates`. What counts is what pixels add: the same listings are scanned
without their photos, and ranked by price alone and by photos alone. Worlds have far more bad listings than a market, for the
sake of numbers; what is said of a market is corrected to a base rate of 3 % by weighting. Intervals are by bootstrap over
worlds, and sellers in them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from benchmarks.common import OUT, REPO
from benchmarks.frame import raw
from benchmarks.frame.scorer import auroc
from imgmatch.metrics import wilson_interval

BASE_RATE = 0.03
RESELLERS = ("reseller_official", "grey_market", "stock_user")
"""Honest sellers who show photos that are not their own."""
WORK = OUT / "verdicts"
SIGNALS = ("design", "copy", "text", "logo", "listing", "mismatch")
WEIGHTS = REPO / "weights" / "calibration-mobilenet-v2.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is made of."""

    seed: int
    brands: tuple[int, ...]
    listings: int
    base_rate: float
    market: str


FACES = {"fit": ("",), "test": ("DejaVuSerif", "STIXGeneral", "DejaVuSans-Bold")}
PLANS = {
    "fit-1": Plan(11, (2101, 2102, 2103), 100, 0.25, "fit"),
    "test-1": Plan(21, (3101, 3102, 3103), 60, 0.3, "test"),
    "fit-2": Plan(12, (2201, 2202, 2203), 100, 0.25, "fit"),
    "test-2": Plan(22, (3201, 3202, 3203), 60, 0.3, "test"),
    "fit-3": Plan(13, (2301, 2302, 2303), 100, 0.25, "fit"),
    "test-3": Plan(23, (3301, 3302, 3303), 60, 0.3, "test"),
}


def make(name: str, limit: int | None) -> Path:
    """Render a world and the source of its catalog, and build the catalog; what an earlier run made so is kept."""
    from imgmatch.augment.edits import EDITS
    from imgmatch.catalog import Catalog
    from imgmatch.world.brands import make_brand
    from imgmatch.world.catalog_source import write_catalog_source
    from imgmatch.world.forge import ITEM_FORGERIES
    from imgmatch.world.market import make_market

    plan, out = PLANS[name], WORK / name
    plan = replace(plan, listings=limit or plan.listings)
    key = hashlib.sha256(repr(plan).encode())
    for source in sorted(f for room in ("augment", "world") for f in (REPO / "imgmatch" / room).glob("*.py")):
        key.update(source.read_bytes())
    mark = out / "made-by"
    if mark.is_file() and mark.read_text() == key.hexdigest():
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    market = make_market(
        out,
        seed=plan.seed,
        listings=plan.listings,
        base_rate=plan.base_rate,
        brands=[make_brand(s, FACES[plan.market]) for s in plan.brands],
        bags=3,
        watches=2,
        forgeries=list(ITEM_FORGERIES)[plan.market == "test" :: 2],
        copy_edits=list(EDITS)[plan.market == "test" :: 2],
        market=plan.market,
    )
    write_catalog_source(out / "catalog_source", market.products)
    Catalog.build(out / "catalog_source" / "manifest.jsonl", out / "catalog", encoder="mobilenet-v2")
    mark.write_text(key.hexdigest())
    return out


def run(names: list[str], limit: int | None) -> None:
    """Scan worlds, one process per core, each on a core of its own: OCR and keypoints gain little from more threads."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the workers, which are started afresh
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for core in cores:
        free.put(core)
    with context.Pool(min(len(cores), len(names)), _pinned, (free,)) as pool:
        for name, seconds in pool.imap_unordered(partial(run_world, limit=limit), names):
            print(f"{name}: {seconds:.0f} s", flush=True)


def _pinned(free: Any) -> None:
    """Keep a worker, and every thread that its libraries start, on one core."""
    core = free.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def run_world(name: str, limit: int | None = None) -> tuple[str, float]:
    """Make and scan one world; shards that an earlier, interrupted run finished are taken as they are."""
    from imgmatch.catalog import Catalog
    from imgmatch.config import Config, FusionConfig
    from imgmatch.scan import run_scan
    from imgmatch.world.demo import DEMO_RATES
    from imgmatch.world.market import LISTING_COLUMNS, write_table

    start, out = time.perf_counter(), make(name, limit)
    config = replace(
        Config(), signals=SIGNALS, fusion=FusionConfig(calibration="none"), sections={"listing": {"rates": DEMO_RATES}}
    )
    config = replace(config, scan=replace(config.scan, workers=1, shard=24))

    def progress(done: int, total: int, counts: Counter[str]) -> None:
        if done % 24 == 0:
            print(f"{name} {done}/{total} {dict(counts)} {time.perf_counter() - start:.0f} s", flush=True)

    with open(out / "listings.csv", encoding="utf-8") as t:
        listings = [{**row, "photos": [], "promo_photos": []} for row in csv.DictReader(t)]
    write_table(out / "blind.csv", listings, LISTING_COLUMNS)
    catalog = Catalog.load(out / "catalog")
    run_scan(out / "listings.csv", catalog, out / "scan", config=config, progress=progress)
    run_scan(out / "blind.csv", catalog, out / "blind", config=config)
    with open(out / "truth.csv", encoding="utf-8") as t:
        truth = {r["listing_id"]: r for r in csv.DictReader(t)}
    seen, blind = (
        [json.loads(line) for line in (out / folder / "records.jsonl").read_text("utf-8").split("\n")[:-1]]
        for folder in ("scan", "blind")
    )
    run = json.loads((out / "scan" / "run.json").read_text())
    head = {
        "suite": "verdicts",
        "data": "rendered",
        "world": name,
        "space": run["catalog"]["space"],
        "config_fingerprint": run["config_fingerprint"],
        "brands": {b.brand: [list(b.official_domains), list(b.authorised_sellers)] for b in catalog.brands.values()},
    }
    rows = [
        {"truth": truth[r["listing_id"]], "looks": looks(out, r), "record": bare(r), "blind": bare(b)}
        for r, b in zip(seen, blind, strict=True)
    ]
    raw.write(stored_at(name), head, rows)
    return name, time.perf_counter() - start


def looks(world: Path, record: dict[str, Any]) -> dict[str, float]:
    """Return what needs no understanding of a photo: its size and its mean saturation, of the listing's first one."""
    photo = next((p for p in record["photos"] if p["status"] == "ok"), None)
    if photo is None:
        return {"pixels": 0.0, "saturation": 0.0}
    with PIL.Image.open(world / photo["path"]) as image:
        saturation = np.asarray(image.convert("HSV").resize((64, 64)))[..., 1]
    return {"pixels": float(photo["width"] * photo["height"]), "saturation": float(saturation.mean())}


def bare(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what no verdict and no figure is made of: evidence and reasons of findings."""
    verdict = record["verdict"]
    if verdict is None:
        return record
    findings = [
        {**f, "evidence": {}, "reason": ""} for f in verdict["findings"] if f["signal"] not in ("rank", "disagreement")
    ]
    return {**record, "verdict": {**verdict, "findings": findings, "reasons": []}}


def stored_at(name: str) -> Path:
    return raw.RESULTS / "verdicts" / f"{name}.jsonl.xz"


def scanned() -> list[str]:
    """Return the worlds that there are raw records of."""
    return [n for n in PLANS if stored_at(n).is_file()]


def stored(names: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the raw rows of some worlds, each with its world's name and brands, and the embedding space."""
    rows, space = [], {}
    for name in names:
        head, own = raw.read(stored_at(name))
        space = head["space"]
        rows += [{**row, "world": name, "brands": head["brands"]} for row in own]
    return rows, space


ARMS = ("everything", "no pixel", "photos alone", "price alone")
_SEEN = frozenset({"design", "local", "copy", "text", "logo", "logo_tamper", "known_offender"})


def examples(rows: list[dict[str, Any]], arm: str = "everything") -> list[Any]:
    """Return what a calibration is fitted on, from what one arm of the comparison may see; one per row."""
    from imgmatch.fit.examples import examples_from
    from imgmatch.records import Listing, ScanRecord
    from imgmatch.types import Basis, Decision, Verdict
    from imgmatch.verdicts.labels import RANDOM, LabelRow
    from imgmatch.verdicts.rules import Rules

    rules, out = Rules.load(), []
    for row in rows:
        record = ScanRecord.from_dict(row["blind" if arm in ("no pixel", "price alone") else "record"])
        verdict = record.verdict or Verdict(Decision.CLEAR, Basis.NO_CLAIM)
        if arm == "photos alone":
            # As if offered by nobody in particular: what the seller's list says would be a fact that no photo shows.
            verdict = replace(
                verdict, basis=Basis.NO_CLAIM, findings=tuple(f for f in verdict.findings if f.signal in _SEEN)
            )
            record = replace(record, listing=Listing(record.listing_id, title="a photo", seller_id=record.listing.seller_id))
        elif arm == "price alone":
            kept = tuple(f for f in verdict.findings if f.signal in ("claim", "price"))
            verdict = replace(verdict, basis=Basis.NO_CLAIM, findings=kept)
        label = "confirm" if row["truth"]["bad"] == "true" else "reject"
        labels = LabelRow(record.listing_id, label, "", "", RANDOM)
        [made] = examples_from([(replace(record, verdict=verdict), labels)], rules)
        out.append(replace(made, group=f"{row['world']}/{made.group}"))
    return out


def fitted(rows: list[dict[str, Any]], space: dict[str, Any], arm: str = "everything") -> Any:
    """Fit a calibration on what one arm sees of some worlds."""
    from imgmatch.fit.fitting import fit
    from imgmatch.types import EmbeddingSpace
    from imgmatch.verdicts.rules import Rules

    return fit(
        examples(rows, arm),
        space=EmbeddingSpace(**{k: v for k, v in space.items() if k != "id"}),
        gating=Rules.load().gating,
        fitted_on="rendered",
        name="mobilenet-v2 default",
        source="rendered fictional markets",
        created=datetime.now(timezone.utc).date().isoformat(),
        prevalence=BASE_RATE,
    )


def fit_default(names: list[str]) -> None:
    """Fit what ships."""
    from imgmatch.apps.commands_verdicts import show_calibration

    made = fitted(*stored(names))
    made.save(WEIGHTS)
    show_calibration(made)


def decide(rows: list[dict[str, Any]], point: str, space: dict[str, Any], alone: bool = False) -> list[Any]:
    """Return the verdict on each stored record, from its findings: by the calibration in the package or the rules alone."""
    from types import SimpleNamespace

    from imgmatch.catalog.items import Brand
    from imgmatch.config import Config
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.records import ScanRecord
    from imgmatch.types import EmbeddingSpace
    from imgmatch.verdicts import Fusion
    from imgmatch.verdicts.calibration import Calibration

    out: list[Any] = []
    fusions: dict[str, Fusion] = {}
    calibration = None if alone else Calibration.load(WEIGHTS)
    for row in rows:
        if row["world"] not in fusions:
            catalog: Any = SimpleNamespace(
                brands={
                    name: Brand(name, official_domains=tuple(domains), authorised_sellers=tuple(map(tuple, sellers)))
                    for name, (domains, sellers) in row["brands"].items()
                },
                space=EmbeddingSpace(**{k: v for k, v in space.items() if k != "id"}),
            )
            fusions[row["world"]] = Fusion(catalog, Config(operating_point=point), calibration)
        record = ScanRecord.from_dict(row["record"])
        if record.verdict is None:
            out.append(None)
            continue
        photos = [
            PhotoContext(p.photo_id, _no_pixels, p.role, sha256=p.sha256 or "") for p in record.photos if p.status == "ok"
        ]
        lost = tuple(p.photo_id for p in record.photos if p.status != "ok")
        query = Query(record.listing, photos, record.verdict.candidates, lost)
        out.append(fusions[row["world"]].decide(query, record.verdict.findings))
    return out


def _no_pixels() -> Any:
    raise LookupError("verdicts are made of findings alone")


def sellers_of(rows: list[dict[str, Any]]) -> Any:
    """Return world and seller of each row: what is drawn together, so that intervals do not take them for many."""
    return np.array([(r["world"], r["record"]["listing"].get("seller_id") or r["record"]["listing_id"]) for r in rows])


def interval(values: Any, sellers: Any, statistic: Any = np.mean, rounds: int = 1000) -> tuple[float, float]:
    """Return a 95 % percentile bootstrap interval: worlds are drawn, then sellers of each."""
    rng, values = np.random.default_rng(0), np.asarray(values)
    members: dict[str, dict[str, list[int]]] = {}
    for i, (world, seller) in enumerate(sellers):
        members.setdefault(world, {}).setdefault(seller, []).append(i)
    pools = [[np.array(rows) for rows in of.values()] for of in members.values()]
    drawn = []
    for _ in range(rounds):
        worlds = [pools[i] for i in rng.integers(len(pools), size=len(pools))]
        rows = np.concatenate([of[i] for of in worlds for i in rng.integers(len(of), size=len(of))])
        drawn.append(float(statistic(values[rows])))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def share(flags: Any, sellers: Any) -> str:
    """Return a share with its interval: by bootstrap, by Wilson where none or all are flagged."""
    flags = np.asarray(flags, float)
    if not len(flags):
        return "-"
    same = flags.min() == flags.max()
    low, high = wilson_interval(int(flags.sum()), len(flags)) if same else interval(flags, sellers)
    return f"{flags.mean():.1%} ({low:.1%} to {high:.1%})"


def _precision(recall: float, honest: Any, base: float) -> str:
    """Return the share of leads that are right, and what it is at the upper end of the false-positive rate's interval."""
    rates = float(honest.mean()), wilson_interval(int(honest.sum()), len(honest))[1]
    likely, least = (base * recall / (base * recall + (1 - base) * fpr) if recall else 0.0 for fpr in rates)
    return f"{likely:.0%} (at least {least:.0%})" if recall else "-"


def levels(verdicts: list[Any]) -> Any:
    """Return each decision as a word; ``failed`` where there is no verdict."""
    return np.array(["failed" if v is None else str(v.decision) for v in verdicts])


def score(names: list[str]) -> None:
    """Print the tables; figures are computed here from the decisions, weighted to the base rate."""
    from imgmatch.verdicts.calibration import Calibration

    rows, space = stored(names)
    bad = np.array([r["truth"]["bad"] == "true" for r in rows])
    sellers, made = sellers_of(rows), Calibration.load(WEIGHTS)
    print("# Verdicts on synthetic markets: python -m benchmarks.verdicts score\n")
    print(
        f"Synthetic: {len(rows)} listings of {len(set(map(tuple, sellers)))} sellers in {len(names)} test worlds, "
        f"{bad.sum()} bad. Brands, fonts, phrases, price laws, forgeries and copy edits are not those of the fit worlds. "
        "95 % intervals by bootstrap over worlds and sellers (Wilson where none or all are flagged).\n"
    )
    by_point(rows, bad, sellers, made, space)
    arms(rows, bad, sellers, space)
    alone = levels(decide(rows, "balanced", space, True))
    said = levels(decide(rows, "balanced", space))
    subgroups(rows, alone, said, sellers)
    verdicts = decide(rows, "balanced", space)
    by_kind(rows, verdicts)
    open_set(rows, verdicts, sellers)
    by_label(rows, verdicts, sellers)


def by_point(rows: list[dict[str, Any]], bad: Any, sellers: Any, made: Any, space: dict[str, Any]) -> None:
    reseller = np.array([r["truth"]["kind"] in RESELLERS for r in rows])
    rates = (0.01, 0.03, 0.05)
    columns = ("bad: lead", "bad: lead or review", "honest: lead", "honest: review", "honest resellers: lead")
    precisions = [f"precision at {r:.0%} bad" for r in rates]
    print("| operating point | " + " | ".join([*columns, *precisions]) + " |")
    print("| --- |" + " ---: |" * (len(columns) + len(rates)))
    for point in ["rules alone", *made.points]:
        said = levels(decide(rows, "balanced" if point == "rules alone" else point, space, point == "rules alone"))
        lead, review = said == "lead", said == "review"
        cells = [
            share(flags[of], sellers[of])
            for flags, of in ((lead, bad), (lead | review, bad), (lead, ~bad), (review, ~bad), (lead, reseller))
        ]
        precision = [_precision(float(lead[bad].mean()), lead[~bad], r) for r in rates]
        default = " (the default)" if point == "balanced" else ""
        print(f"| {point}{default} | " + " | ".join([*cells, *precision]) + " |")
    for point, why in sorted(made.refused.items()):
        print(f"| {point} | refused: {why} |" + " |" * 7)


def arms(rows: list[dict[str, Any]], bad: Any, sellers: Any, space: dict[str, Any]) -> None:
    """Print what each part of a listing is worth: a model fitted on the fit worlds from that part alone, on these worlds."""
    fit_rows = stored([n for n in scanned() if n.startswith("fit")])[0]
    fit_bad = np.array([r["truth"]["bad"] == "true" for r in fit_rows])
    print(
        "\n| what is looked at | AUROC | bad: flagged at 1 % of fit | honest: flagged | rules: bad, at least review "
        "| honest |"
    )
    print("| --- |" + " ---: |" * 5)
    ranks: dict[str, Any] = {}
    for arm in ARMS:
        made, asked = fitted(fit_rows, space, arm), examples(rows, arm)
        known = np.array([made.rank(e.values)[0] for e in examples(fit_rows, arm)])
        ranks[arm] = np.array([made.rank(e.values)[0] for e in asked])
        flagged = ranks[arm] > np.quantile(known[~fit_bad], 0.99)
        loud = np.array([not e.quiet for e in asked])
        cells = [share(x[of], sellers[of]) for x, of in ((flagged, bad), (flagged, ~bad), (loud, bad), (loud, ~bad))]
        print(f"| {arm} | {_auroc(ranks[arm], bad, sellers)} | " + " | ".join(cells) + " |")
    for name in ("pixels", "saturation"):
        rank = np.array([r["looks"][name] for r in rows])
        rank = rank if _both(rank, bad) >= 0.5 else -rank
        print(f"| {'picture size' if name == 'pixels' else name}, whichever way | {_auroc(rank, bad, sellers)} | | | | |")
    table = np.stack([ranks["everything"], ranks["no pixel"], bad.astype(float)], axis=1)
    gain = _both(ranks["everything"], bad) - _both(ranks["no pixel"], bad)
    low, high = interval(table, sellers, lambda t: _both(t[:, 0], t[:, 2]) - _both(t[:, 1], t[:, 2]))
    print(f"\nPixels add {gain:+.3f} ({low:+.3f} to {high:+.3f}) of AUROC to what is known without them.")


def _both(rank: Any, bad: Any) -> float:
    """AUROC, not a number where a resample holds one kind alone."""
    return auroc(rank[bad > 0.5], rank[bad <= 0.5])


def _auroc(rank: Any, bad: Any, sellers: Any) -> str:
    table = np.stack([rank, bad.astype(float)], axis=1)
    low, high = interval(table, sellers, lambda t: _both(t[:, 0], t[:, 1]))
    return f"{_both(rank, bad):.3f} ({low:.3f} to {high:.3f})"


def subgroups(rows: list[dict[str, Any]], alone: Any, said: Any, sellers: Any) -> None:
    """Print what becomes of the hard ones, by the rules alone and at the default point."""
    truth = [r["truth"] for r in rows]
    bad = np.array([t["bad"] == "true" for t in truth])
    kind, priced = (np.array([t[name] for t in truth]) for name in ("kind", "priced"))
    groups = {
        "honest: under the usual price": ~bad & (priced != "usual"),
        "honest: grey market": kind == "grey_market",
        "honest: resellers with official photos": np.isin(kind, RESELLERS),
        "honest: unknown brands": kind == "unknown_brand",
        "honest: a post in which the brand is worn": kind == "styled_post",
        "bad: at the usual price": bad & (priced == "usual"),
        "bad: nothing wrong in the photos": kind == "unaltered",
        "bad: stolen photos": kind == "photo_thief",
        "bad: altered marks": kind == "altered_logo",
        "bad: altered parts": kind == "altered_parts",
    }
    print("\n| hard subgroup | n | rules alone: lead | lead | review |\n| --- | ---: | ---: | ---: | ---: |")
    for name, of in groups.items():
        flags = (alone == "lead", said == "lead", said == "review")
        print(f"| {name} | {of.sum()} | " + " | ".join(share(f[of], sellers[of]) for f in flags) + " |")


def by_kind(rows: list[dict[str, Any]], verdicts: list[Any]) -> None:
    print("\n| kind of listing, at the default point | n | lead | review | unjudged | clear | claims a wrong brand |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    kinds = sorted({(r["truth"]["bad"] != "true", r["truth"]["kind"]) for r in rows})
    for honest, kind in kinds:
        some = [(v, r) for v, r in zip(verdicts, rows, strict=True) if r["truth"]["kind"] == kind and v is not None]
        counts = Counter(str(v.decision) for v, _ in some)
        wrong = sum(v.brand is not None and v.brand != r["truth"]["brand"] for v, r in some)
        numbers = [counts[d] for d in ("lead", "review", "unjudged", "clear")]
        name = f"{'honest' if honest else 'bad'}: {kind.replace('_', ' ')}"
        print(f"| {name} | {len(some)} | " + " | ".join(map(str, [*numbers, wrong])) + " |")


def open_set(rows: list[dict[str, Any]], verdicts: list[Any], sellers: Any) -> None:
    """Print how often a listing is said to be of no brand of the catalog, where that is so and where it is not."""
    said = np.array([v is not None and v.brand is None for v in verdicts])
    kind = np.array([r["truth"]["kind"] for r in rows])
    known = np.array([bool(r["truth"]["brand"]) for r in rows])
    strangers = np.isin(kind, ("unknown_brand", "unrelated"))
    print("\n| open set: of an unknown brand, or of none | rate |\n| --- | ---: |")
    for title, of in (
        ("said so of unknown brands", kind == "unknown_brand"),
        ("said so of unrelated goods", kind == "unrelated"),
        ("said so, wrongly, of brands of the catalog", known),
    ):
        print(f"| {title} | {share(said[of], sellers[of])} |")
    claimed = ~said & strangers
    print(f"| false claims on unknown brands and unrelated goods | {share(claimed[strangers], sellers[strangers])} |")


def by_label(rows: list[dict[str, Any]], verdicts: list[Any], sellers: Any) -> None:
    """Print how often each label is found where it holds, and given where it does not."""
    print("\n| label | found where it holds | given where it does not |")
    print("| --- | ---: | ---: |")
    for label in ("counterfeit_suspected", "lookalike", "photo_theft", "bait_and_switch", "unauthorised_seller"):
        holds = np.array([label in json.loads(r["truth"]["labels"] or "[]") for r in rows])
        given = np.array([v is not None and label in v.labels for v in verdicts])
        print(f"| {label} | {share(given[holds], sellers[holds])} | {share(given[~holds], sellers[~holds])} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "fit", "score", "refit"])
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=", ".join(PLANS))
    parser.add_argument("--limit", type=int, help="listings per world, to try it out")
    arguments = parser.parse_args()
    if arguments.what in ("run", "refit"):
        run(arguments.worlds or list(PLANS), arguments.limit)
    if arguments.what in ("fit", "refit"):
        fit_default(arguments.worlds or [n for n in scanned() if n.startswith("fit")])
    if arguments.what in ("score", "refit"):
        score(arguments.worlds or [n for n in scanned() if n.startswith("test")])
