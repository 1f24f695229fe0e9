"""Verdicts on synthetic markets: how many bad listings become a lead, how many honest ones are bothered.

    python -m benchmarks.verdicts run      # make the four worlds and scan them, one process a core; raw records
    python -m benchmarks.verdicts fit      # weights/calibration-mobilenet-v2.json from the fit worlds
    python -m benchmarks.verdicts score    # the tables, on the test worlds

Everything is rendered and invented, and so are the figures. Fit and test worlds differ in seed, brands, design forgeries and
copy edits (half of each exists in a fit world, the other half in a test world). Worlds have far more bad listings than a
market, for the sake of numbers; probabilities and scores are corrected to a base rate of 3 % by weighting.
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

from benchmarks.common import OUT, RAW, REPO, environment, write_raw
from imgmatch.metrics import auroc, bootstrap_interval, wilson_interval

BASE_RATE = 0.03
RESELLERS = ("reseller_official", "grey_market", "stock_user")
"""Honest sellers who show photos that are not their own."""
WORK = OUT / "verdicts"
SIGNALS = ("design", "copy", "text", "logo", "discrepancy", "listing", "mismatch")
WEIGHTS = REPO / "weights" / "calibration-mobilenet-v2.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is made of."""

    seed: int
    brands: tuple[int, ...]
    listings: int
    base_rate: float
    half: int


PLANS = {
    "fit-1": Plan(11, (2101, 2102, 2103), 240, 0.25, 0),
    "test-1": Plan(21, (3101, 3102, 3103), 240, 0.2, 1),
    "fit-2": Plan(12, (2201, 2202, 2203), 240, 0.25, 0),
    "test-2": Plan(22, (3201, 3202, 3203), 240, 0.2, 1),
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
    for source in sorted((REPO / "imgmatch" / "world").glob("*.py")):
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
        brands=[make_brand(s) for s in plan.brands],
        bags=4,
        watches=3,
        forgeries=list(ITEM_FORGERIES)[plan.half :: 2],
        copy_edits=list(EDITS)[plan.half :: 2],
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

    start, out = time.perf_counter(), make(name, limit)
    config = replace(
        Config(), signals=SIGNALS, fusion=FusionConfig(calibration="none"), sections={"listing": {"rates": DEMO_RATES}}
    )
    config = replace(config, scan=replace(config.scan, workers=1, shard=24))

    def progress(done: int, total: int, counts: Counter[str]) -> None:
        if done % 24 == 0:
            print(f"{name} {done}/{total} {dict(counts)} {time.perf_counter() - start:.0f} s", flush=True)

    run_scan(out / "listings.csv", Catalog.load(out / "catalog"), out / "scan", config=config, progress=progress)
    with open(out / "truth.csv", encoding="utf-8") as t:
        truth = {r["listing_id"]: r for r in csv.DictReader(t)}
    records = map(json.loads, (out / "scan" / "records.jsonl").read_text("utf-8").split("\n")[:-1])
    head = {"environment": environment(), "run": json.loads((out / "scan" / "run.json").read_text())}
    rows = [{"truth": truth[r["listing_id"]], "looks": looks(out, r), "record": r} for r in records]
    write_raw(f"verdicts-{name}", [head, *rows])
    return name, time.perf_counter() - start


def looks(world: Path, record: dict[str, Any]) -> dict[str, float]:
    """Return what needs no understanding of a photo: its size and its mean saturation, of the listing's first one."""
    photo = next((p for p in record["photos"] if p["status"] == "ok"), None)
    if photo is None:
        return {"pixels": 0.0, "saturation": 0.0}
    with PIL.Image.open(world / photo["path"]) as image:
        saturation = np.asarray(image.convert("HSV").resize((64, 64)))[..., 1]
    return {"pixels": float(photo["width"] * photo["height"]), "saturation": float(saturation.mean())}


def scanned() -> list[str]:
    """Return the worlds that there are raw records of."""
    return [n for n in PLANS if (RAW / f"verdicts-{n}.jsonl").is_file()]


def stored(names: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the raw rows of some worlds, each with its world's name, and the embedding space."""
    rows, space = [], {}
    for name in names:
        lines = [json.loads(line) for line in (RAW / f"verdicts-{name}.jsonl").read_text("utf-8").split("\n")[:-1]]
        space = lines[0]["run"]["catalog"]["space"]
        rows += [{**row, "world": name} for row in lines[1:]]
    return rows, space


def examples(rows: list[dict[str, Any]]) -> list[Any]:
    from imgmatch.fit.examples import examples_from
    from imgmatch.records import ScanRecord
    from imgmatch.verdicts.labels import RANDOM, LabelRow
    from imgmatch.verdicts.rules import Rules

    rules, out = Rules.load(), []
    for row in rows:
        record = ScanRecord.from_dict(row["record"])
        label = "confirm" if row["truth"]["bad"] == "true" else "reject"
        made = examples_from([record], {record.listing_id: LabelRow(record.listing_id, label, "", "", RANDOM)}, rules)
        out += [replace(e, group=f"{row['world']}/{e.group}") for e in made]
    return out


def fit_default(names: list[str]) -> None:
    """Fit what ships."""
    from imgmatch.apps.commands_verdicts import show_calibration
    from imgmatch.fit.fitting import fit
    from imgmatch.types import EmbeddingSpace
    from imgmatch.verdicts.rules import Rules

    rows, space = stored(names)
    made = fit(
        examples(rows),
        space=EmbeddingSpace(**{k: v for k, v in space.items() if k != "id"}),
        gating=Rules.load().gating,
        fitted_on="rendered",
        name="mobilenet-v2 default",
        source="rendered fictional markets",
        created=datetime.now(timezone.utc).date().isoformat(),
        prevalence=BASE_RATE,
    )
    made.save(WEIGHTS)
    show_calibration(made)


def decide(rows: list[dict[str, Any]], point: str, space: dict[str, Any], provisional: bool = False) -> list[Any]:
    """Return the verdict on each stored record, by the calibration in the package, from its findings alone."""
    from types import SimpleNamespace

    from imgmatch.catalog import Catalog
    from imgmatch.config import Config
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.records import ScanRecord
    from imgmatch.types import EmbeddingSpace
    from imgmatch.verdicts import Fusion
    from imgmatch.verdicts.calibration import Calibration
    from imgmatch.verdicts.decide import DERIVED

    out: list[Any] = []
    fusions: dict[str, Fusion] = {}
    calibration = None if provisional else Calibration.load(WEIGHTS)
    for row in rows:
        if row["world"] not in fusions:
            catalog: Any = SimpleNamespace(
                brands=Catalog.load(WORK / row["world"] / "catalog").brands,
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
        query = Query(record.listing, photos, record.verdict.candidates)
        asked = [f for f in record.verdict.findings if f.signal not in DERIVED]
        out.append(fusions[row["world"]].decide(query, asked))
    return out


def _no_pixels() -> Any:
    raise LookupError("verdicts are made of findings alone")


def _sellers(rows: list[dict[str, Any]]) -> Any:
    """Return who offers each row: listings of one seller are drawn together, so that intervals do not take them for many."""
    return np.array([f"{r['world']}/{r['record']['listing'].get('seller_id') or r['record']['listing_id']}" for r in rows])


def _share(flags: Any, sellers: Any = None) -> str:
    """Return a share with its interval: by bootstrap over sellers, by Wilson where none or all are flagged."""
    flags = np.asarray(flags, float)
    if not len(flags):
        return "-"
    if sellers is None or flags.min() == flags.max():
        low, high = wilson_interval(int(flags.sum()), len(flags))
    else:
        low, high = bootstrap_interval(flags, groups=sellers, rounds=1000)
    return f"{flags.mean():.1%} ({low:.1%} to {high:.1%})"


def _precision(recall: float, honest: Any, base: float) -> str:
    """Return the share of leads that are right, and what it is at the upper end of the false-positive rate's interval."""
    rates = float(honest.mean()), wilson_interval(int(honest.sum()), len(honest))[1]
    likely, least = (base * recall / (base * recall + (1 - base) * fpr) if recall else 0.0 for fpr in rates)
    return f"{likely:.0%} (at least {least:.0%})" if recall else "-"


def score(names: list[str]) -> None:
    """Print the tables; figures are computed here from the decisions, weighted to the base rate."""
    from imgmatch.verdicts.calibration import Calibration

    rows, space = stored(names)
    bad = np.array([r["truth"]["bad"] == "true" for r in rows])
    sellers, made = _sellers(rows), Calibration.load(WEIGHTS)
    reseller = np.array([r["truth"]["kind"] in RESELLERS for r in rows])
    print("# Verdicts on synthetic markets (python -m benchmarks.verdicts score)\n")
    print(
        f"Synthetic: {len(rows)} listings of {len(set(sellers))} sellers in {len(names)} test worlds, {bad.sum()} bad. "
        "Brands, design forgeries and copy edits are not those of the fit worlds. 95 % intervals by bootstrap over sellers "
        "(Wilson where none or all are flagged).\n"
    )
    rates = (0.01, 0.03, 0.05)
    print(
        "| operating point | bad: lead | bad: lead or review | honest: lead | honest: review | honest resellers: lead | "
        + " | ".join(f"precision at {r:.0%} bad" for r in rates)
        + " |"
    )
    print("| --- |" + " ---: |" * (5 + len(rates)))
    for point in ["rules alone", *sorted(made.points)]:
        verdicts = decide(rows, "balanced" if point == "rules alone" else point, space, point == "rules alone")
        rank = np.array([-1 if v is None else v.decision.rank for v in verdicts])
        cells = [
            _share(rank[of] >= least if up else rank[of] == least, sellers[of])
            for of, least, up in ((bad, 3, 0), (bad, 2, 1), (~bad, 3, 0), (~bad, 2, 0), (reseller, 3, 0))
        ]
        print(
            f"| {point} | "
            + " | ".join([*cells, *(_precision(float((rank[bad] == 3).mean()), rank[~bad] == 3, r) for r in rates)])
            + " |"
        )
    for point, why in sorted(made.refused.items()):
        print(f"| {point} | refused: {why} |" + " |" * 7)
    baselines(rows, bad, sellers)
    quality(decide(rows, "balanced", space), bad, sellers)
    point = "fpr_1e-2" if "fpr_1e-2" in made.points else "balanced"
    verdicts = decide(rows, point, space)
    by_kind(rows, verdicts, point)
    open_set(rows, verdicts, sellers)
    by_label(rows, verdicts, sellers)


def quality(verdicts: list[Any], bad: Any, sellers: Any) -> None:
    """Print what the probabilities are worth, listings weighted to the base rate."""
    p = np.array([0.0 if v is None or v.rank is None else v.rank for v in verdicts])
    weight = np.where(bad, BASE_RATE / bad.mean(), (1 - BASE_RATE) / (1 - bad.mean()))
    table = np.stack([p, bad.astype(float), weight], axis=1)
    print(f"\n| the probability, weighted to {BASE_RATE:.0%} bad | value |\n| --- | ---: |")
    for title, statistic in (("Brier skill over the base rate", _skill), ("calibration error among p > 0.1", _ece)):
        low, high = bootstrap_interval(table, statistic, groups=sellers, rounds=500)
        print(f"| {title} | {statistic(table):.3f} ({low:.3f} to {high:.3f}) |")
    print(f"| AUROC | {_auroc(p, bad)} |")
    sure = p > 0.1
    print(f"| listings with p > 0.1 | {int((sure & bad).sum())} bad, {int((sure & ~bad).sum())} honest |")


def trivial(rows: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Return what needs no understanding: its name, what it flags and how it ranks.

    Each ranks alone; which way, and where it flags 1 % of the honest listings, is taken from the fit worlds.
    """
    fit_rows = stored([n for n in scanned() if n.startswith("fit")])[0]
    fit_bad = np.array([r["truth"]["bad"] == "true" for r in fit_rows])
    out = []
    for name, value in (("picture size", "pixels"), ("saturation", "saturation"), ("price alone", "price")):
        if len(set(fit_bad.tolist())) < 2:
            continue
        known, asked = (np.array([_simple(r, value) for r in some]) for some in (fit_rows, rows))
        sign = 1.0 if auroc(known, fit_bad) >= 0.5 else -1.0
        out.append((name, sign * asked > np.quantile(sign * known[~fit_bad], 0.99), sign * asked))
    return out


def baselines(rows: list[dict[str, Any]], bad: Any, sellers: Any) -> None:
    print("\n| trivial baseline | bad: flagged | honest: flagged | AUROC |\n| --- | ---: | ---: | ---: |")
    for name, flagged, rank in trivial(rows):
        cells = [_share(flagged[of], sellers[of]) for of in (bad, ~bad)]
        print(f"| {name} | " + " | ".join(cells) + f" | {_auroc(rank, bad)} |")


def _auroc(rank: Any, bad: Any) -> str:
    return f"{auroc(rank, bad):.3f}" if 0 < bad.sum() < len(bad) else "-"


def _simple(row: dict[str, Any], name: str) -> float:
    if name != "price":
        return float(row["looks"][name])
    findings = (row["record"]["verdict"] or {}).get("findings", ())
    return max((f["value"] for f in findings if f["signal"] == "price" and f["value"] is not None), default=0.0)


def by_kind(rows: list[dict[str, Any]], verdicts: list[Any], point: str) -> None:
    print(f"\n| kind of listing, at {point} | n | lead | review | clear | claims a wrong brand |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    kinds = sorted({(r["truth"]["bad"] != "true", r["truth"]["kind"]) for r in rows})
    for honest, kind in kinds:
        some = [(v, r) for v, r in zip(verdicts, rows, strict=True) if r["truth"]["kind"] == kind and v is not None]
        counts = Counter(str(v.decision) for v, _ in some)
        wrong = sum(v.brand is not None and v.brand != r["truth"]["brand"] for v, r in some)
        print(
            f"| {'honest' if honest else 'bad'}: {kind.replace('_', ' ')} | {len(some)} | {counts['lead']} | "
            f"{counts['review']} | {counts['clear']} | {wrong} |"
        )


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
        print(f"| {title} | {_share(said[of], sellers[of])} |")
    claimed = ~said & strangers
    print(f"| false claims on unknown brands and unrelated goods | {_share(claimed[strangers], sellers[strangers])} |")


def by_label(rows: list[dict[str, Any]], verdicts: list[Any], sellers: Any) -> None:
    """Print how often each label is found where it holds, and given where it does not."""
    print("\n| label | found where it holds | given where it does not |")
    print("| --- | ---: | ---: |")
    for label in ("counterfeit_suspected", "lookalike", "photo_theft", "bait_and_switch", "unauthorised_seller"):
        holds = np.array([label in json.loads(r["truth"]["labels"] or "[]") for r in rows])
        given = np.array([v is not None and label in v.labels for v in verdicts])
        print(f"| {label} | {_share(given[holds], sellers[holds])} | {_share(given[~holds], sellers[~holds])} |")


def _skill(table: Any) -> float:
    p, y, w = table.T
    base = (w * y).sum() / w.sum()
    return float(1 - (w * (p - y) ** 2).sum() / (w * (base - y) ** 2).sum())


def _ece(table: Any) -> float:
    p, y, w = table[table[:, 0] > 0.1].T
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs((w * (p - y))[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / w.sum())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "fit", "score"])
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=", ".join(PLANS))
    parser.add_argument("--limit", type=int, help="listings per world, to try it out")
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.worlds or list(PLANS), arguments.limit)
    elif arguments.what == "fit":
        fit_default(arguments.worlds or [n for n in scanned() if n.startswith("fit")])
    else:
        score(arguments.worlds or [n for n in scanned() if n.startswith("test")])
