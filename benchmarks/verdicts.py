"""How many bad listings of rendered markets become a lead, how many honest ones are bothered, what pixels add.

    python -m benchmarks worlds              # the markets and their raw records: `benchmarks.worlds`
    python -m benchmarks fit                 # weights/calibration-mobilenet-v2.json, from the records of the fit worlds
    python -m benchmarks verdicts            # decisions on the records of the test worlds, as rules and calibration are now

What counts is what pixels add: the same listings were scanned without their photos, and are ranked by a model fitted on the
fit worlds from each part alone (*arms*); picture size and saturation stand beside. What is said of a market is corrected to
a base rate of 3 % by weighting. Intervals draw sellers; worlds, of which there are two or three, are not drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks import worlds
from benchmarks.frame import scorer
from benchmarks.frame.data import REPO
from benchmarks.frame.job import Job

QUESTION = "How many bad listings of a rendered market become a lead, how many honest ones are bothered, what do pixels add?"
DATA = ("rendered",)
WEIGHTS = REPO / "weights" / "calibration-mobilenet-v2.json"
BASE_RATE = 0.03
ALONE = "rules alone"
ARMS = ("everything", "no pixel", "photos alone", "price alone")
_SEEN = frozenset({"design", "local", "copy", "text", "logo", "logo_tamper", "known_offender"})
Rows = list[dict[str, Any]]


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Decide on the stored records of the test worlds; a smoke run makes and scans a tiny world of its own."""
    from imgmatch.verdicts.calibration import Calibration

    known, space, commits = worlds.stored("fit")
    if job.smoke:
        head, own = worlds.scan("smoke", worlds.SMOKE)
        asked = [{**row, "world": "smoke", "brands": head["brands"]} for row in own]
    else:
        asked, _, more = worlds.stored("test")
        commits |= more
    calibration = Calibration.load(WEIGHTS)
    job.facts |= {"worlds": commits, "points": list(calibration.points), "refused": calibration.refused}
    models = {arm: fitted(known, space, arm) for arm in ARMS}
    ranked = {arm: examples(known, arm) for arm in ARMS}
    for n, row in enumerate(known):
        yield _row(row, "dev", {arm: models[arm].rank(ranked[arm][n].values)[0] for arm in ARMS})
    ranked = {arm: examples(asked, arm) for arm in ARMS}
    points = {ALONE: ("balanced", None), **{point: (point, calibration) for point in calibration.points}}
    verdicts = {name: decide(asked, space, point, made) for name, (point, made) in points.items()}
    for n, row in enumerate(asked):
        said = verdicts["balanced"][n]
        yield {
            **_row(row, "test", {arm: models[arm].rank(ranked[arm][n].values)[0] for arm in ARMS}),
            "said": {name: str(v[n].decision) if v[n] else "failed" for name, v in verdicts.items()},
            "named": said.brand if said else None,
            "given": sorted(map(str, said.labels)) if said else [],
            "loud": {arm: not ranked[arm][n].quiet for arm in ARMS},
            "looks": row["looks"],
        }


def _row(row: dict[str, Any], split: str, ranks: dict[str, float]) -> dict[str, Any]:
    truth, seller = row["truth"], row["record"]["listing"].get("seller_id") or row["record"]["listing_id"]
    kept = {name: truth[name] for name in ("kind", "priced", "brand")}
    labels = json.loads(truth["labels"] or "[]")
    return {"unit": f"{row['world']}/{seller}", "split": split, "bad": truth["bad"] == "true", **kept, "labels": labels,
            "ranks": ranks}  # fmt: skip


def examples(rows: Rows, arm: str) -> list[Any]:
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
            kept = tuple(f for f in verdict.findings if f.signal in _SEEN)
            verdict = replace(verdict, basis=Basis.NO_CLAIM, findings=kept)
            record = replace(record, listing=Listing(record.listing_id, title="a photo", seller_id=record.listing.seller_id))
        elif arm == "price alone":
            kept = tuple(f for f in verdict.findings if f.signal in ("claim", "price"))
            verdict = replace(verdict, basis=Basis.NO_CLAIM, findings=kept)
        label = "confirm" if row["truth"]["bad"] == "true" else "reject"
        labels = LabelRow(record.listing_id, label, "", "", RANDOM)
        [made] = examples_from([(replace(record, verdict=verdict), labels)], rules)
        out.append(replace(made, group=f"{row['world']}/{made.group}"))
    return out


def fitted(rows: Rows, space: dict[str, Any], arm: str = "everything") -> Any:
    """Fit a calibration on what one arm sees of some worlds."""
    from imgmatch.fit.fitting import fit
    from imgmatch.verdicts.rules import Rules

    return fit(
        examples(rows, arm), space=_space(space), gating=Rules.load().gating, prevalence=BASE_RATE, fitted_on="rendered",
        name="mobilenet-v2 default", source="rendered fictional markets",
        created=datetime.now(timezone.utc).date().isoformat(),
    )  # fmt: skip


def fit_default() -> int:
    """Fit what ships."""
    from imgmatch.apps.commands_verdicts import show_calibration

    rows, space, _ = worlds.stored("fit")
    made = fitted(rows, space)
    made.save(WEIGHTS)
    show_calibration(made)
    return 0


def decide(rows: Rows, space: dict[str, Any], point: str, calibration: Any) -> list[Any]:
    """Return the verdict on each record from its findings, None where the scan failed."""
    from imgmatch.catalog.items import Brand
    from imgmatch.config import Config
    from imgmatch.loading.photo import PhotoContext, Query
    from imgmatch.records import ScanRecord
    from imgmatch.verdicts import Fusion

    out: list[Any] = []
    fusions: dict[str, Fusion] = {}
    for row in rows:
        if row["world"] not in fusions:
            brands = {
                name: Brand(name, official_domains=tuple(domains), authorised_sellers=tuple(map(tuple, sellers)))
                for name, (domains, sellers) in row["brands"].items()
            }
            catalog: Any = SimpleNamespace(brands=brands, space=_space(space))
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


def _space(space: dict[str, Any]) -> Any:
    from imgmatch.types import EmbeddingSpace

    return EmbeddingSpace(**{k: v for k, v in space.items() if k != "id"})


Test = Callable[[dict[str, Any]], bool]
HARD: dict[str, Test] = {
    "bad, at the usual price": lambda r: r["bad"] and r["priced"] == "usual",
    "bad, nothing wrong in the photos": lambda r: r["kind"] == "unaltered",
    "bad, stolen photos": lambda r: r["kind"] == "photo_thief",
    "bad, altered marks": lambda r: r["kind"] == "altered_logo",
    "bad, altered parts": lambda r: r["kind"] == "altered_parts",
    "honest, under the usual price": lambda r: not r["bad"] and r["priced"] != "usual",
    "honest, grey market": lambda r: r["kind"] == "grey_market",
    "honest, photos not their own": lambda r: r["kind"] in ("reseller_official", "grey_market", "stock_user"),
    "honest, unknown brands": lambda r: r["kind"] == "unknown_brand",
    "honest, a post in which the brand is worn": lambda r: r["kind"] == "styled_post",
}
OPEN: dict[str, Test] = {
    "said to be of no brand of the catalog: unknown brands": lambda r: r["kind"] == "unknown_brand",
    "said to be of no brand of the catalog: unrelated goods": lambda r: r["kind"] == "unrelated",
    "said to be of no brand of the catalog, wrongly: its brands": lambda r: bool(r["brand"]),
}
LABELS = ("counterfeit_suspected", "lookalike", "photo_theft", "bait_and_switch", "unauthorised_seller")


def score(rows: Rows, head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """Leads and reviews at each operating point, what each part of a listing adds, the hard ones, labels."""
    test = [r for r in rows if r["split"] == "test"]
    bad, honest = ([r for r in test if r["bad"] is kind] for kind in (True, False))

    def said(of: Rows, point: str, *decisions: str) -> list[bool]:
        return [r["said"][point] in decisions for r in of]

    def share(what: str, flags: Sequence[bool], of: Rows, **more: Any) -> scorer.Figure:
        return scorer.share(what, flags, [r["unit"] for r in of], **more)

    for point in dict.fromkeys((ALONE, "balanced", *head["points"])):
        at = f"{point}, the default" if point == "balanced" else point
        found, false = said(bad, point, "lead"), said(honest, point, "lead")
        more = f"{_mean(said(bad, point, 'lead', 'review'))} lead or review; of all leads right, at {BASE_RATE:.0%} bad: "
        yield share(f"bad listings flagged as leads ({at})", found, bad, against=more + _precision(found, false))
        more = f"{_mean(said(honest, point, 'review'))} sent to review"
        yield share(f"honest listings flagged as leads ({at})", false, honest, against=more)
    yield from _arms(test, [r for r in rows if r["split"] == "dev"], share)
    for name, test_of in HARD.items():
        mine = [r for r in test if test_of(r)]
        review, alone = _mean(said(mine, "balanced", "review")), _mean(said(mine, ALONE, "lead"))
        more = f"{review} sent to review; {alone} by the rules alone"
        yield share(f"{name}: flagged as leads", said(mine, "balanced", "lead"), mine, against=more)
    for name, test_of in OPEN.items():
        mine = [r for r in test if test_of(r)]
        yield share(name, [r["named"] is None for r in mine], mine)
    wrong = [r["named"] not in (None, r["brand"]) for r in test]
    yield share("listings given a brand that they do not show", wrong, test)
    for label in LABELS:
        holds, others = ([r for r in test if (label in r["labels"]) is kind] for kind in (True, False))
        false = [label in r["given"] for r in others]
        more = f"{_mean(false)} of {len(false)} where it does not hold"
        yield share(f"label {label} given where it holds", [label in r["given"] for r in holds], holds, against=more)


def _arms(test: Rows, dev: Rows, share: Callable[..., scorer.Figure]) -> Iterator[scorer.Figure]:
    """Rank the listings by each part of them, and say what pixels add."""
    truth, units = np.array([r["bad"] for r in test], float), [r["unit"] for r in test]
    if not 0 < truth.sum() < len(truth):
        return
    ranks = {arm: np.array([r["ranks"][arm] for r in test]) for arm in ARMS}
    looks = {name: np.array([r["looks"][name] for r in test]) for name in ("pixels", "saturation")}
    plain = {name: max(_auroc(of, truth), _auroc(-of, truth)) for name, of in looks.items()}
    for arm, of in ranks.items():
        limit = scorer.threshold_at([r["ranks"][arm] for r in dev if not r["bad"]], 0.01)
        caught, bothered = (_mean([r["ranks"][arm] > limit for r in test if r["bad"] is kind]) for kind in (True, False))
        loud = [_mean([r["loud"][arm] for r in test if r["bad"] is kind]) for kind in (True, False)]
        more = f"at 1 % of the fit worlds' honest ones: bad {caught}, honest {bothered} flagged; by the rules "
        more += f"{loud[0]}, {loud[1]} at least review"
        if arm == "everything":
            more += f"; picture size {plain['pixels']:.3f}, saturation {plain['saturation']:.3f}, whichever way"
        low, high = scorer.interval(np.stack([of, truth], 1), units, lambda t: _auroc(t[:, 0], t[:, 1]))
        yield scorer.Figure(f"AUROC of bad listings: {arm}", _auroc(of, truth), low, high, len(of), against=more, form="n")
    both = np.stack([ranks["everything"], ranks["no pixel"], truth], 1)
    low, high = scorer.interval(both, units, _gain)
    yield scorer.Figure("what pixels add to AUROC", _gain(both), low, high, len(truth), form="n")


def _gain(table: Any) -> float:
    return _auroc(table[:, 0], table[:, 2]) - _auroc(table[:, 1], table[:, 2])


def _auroc(rank: Any, bad: Any) -> float:
    return scorer.auroc(rank[bad > 0.5], rank[bad <= 0.5])


def _precision(found: Sequence[bool], false: Sequence[bool]) -> str:
    """The share of leads that are right at the base rate, and at the upper end of the false ones' interval."""
    if not any(found):
        return "–"
    recall = float(np.mean(found))
    rates = float(np.mean(false)), scorer.wilson(sum(false), len(false))[1]
    likely, least = (BASE_RATE * recall / (BASE_RATE * recall + (1 - BASE_RATE) * rate) for rate in rates)
    return f"{likely:.0%} (at least {least:.0%})"


def _mean(flags: Sequence[bool]) -> str:
    return f"{sum(flags) / len(flags):.1%}" if len(flags) else "–"
