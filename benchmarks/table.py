"""The rows of the README's table, computed from raw results alone: what, result with a 95 % interval, against what, command.

Each function reads the raw files of one suite and yields rows; the runner (``python -m benchmarks``) prints them. Where a
threshold is needed it is the one that 1 % of the dev half's negatives reach, and the figure is of the test half.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.common import RAW, read_raw, wilson
from imgmatch.metrics import auroc, bootstrap_interval

__all__ = ["ROWS", "Row"]

Row = tuple[str, str, str]
"""What, result, held against; the runner adds the command."""


def retrieval() -> Iterator[Row]:
    from benchmarks.retrieval import score

    names = {
        "adidas_products": "other views of the article, recall@1",
        "eval_bags_watches": "brand of a watch, seven brands, class-balanced accuracy",
        "grocery_iconic_vs_photo": "catalog photo from a shop photo, recall@1",
    }
    for line in score(read_raw("retrieval")[1:]):
        if line["half"] == "test":
            low, high = line["interval"]
            ours, plain = line["recall@1 metric or local"], line["recall@1 plain"]
            gain = f"{line['gain']:+.1%} [{low:+.1%}, {high:+.1%}]"
            what = f"{names[line['set']]} ({line['set']}, {line['queries']} queries)"
            yield what, f"{ours:.1%}, gain {gain}", f"plain cosine of the same encoder {plain:.1%}"


def open_set() -> Iterator[Row]:
    rows = [r for r in read_raw("open_set") if r.get("half") == "test"]
    table = np.array([[r["similarity"], r["known"]] for r in rows], float)
    area = _interval(table, lambda t: auroc(t[:, 0], t[:, 1] == 1), [str(i) for i in range(len(table))])
    yield f"known brand or not ({len(rows)} photos), AUROC", area, "0.5, chance"
    known, unknown = ([r for r in rows if r["known"] is k] for k in (True, False))
    right = wilson(sum(r["claimed"] == r["brand"] for r in known), len(known))
    yield "right brand claimed from the photo alone, known brands", right, "1: every known photo"
    wrong = wilson(sum(r["claimed"] is not None for r in unknown), len(unknown))
    yield "a brand claimed from the photo alone, unknown brands and everyday photos", wrong, "0.01, the target"


def copies() -> Iterator[Row]:
    dev, test = (read_raw(f"copy_detection-{s}")[1:] for s in ("dev", "test"))
    positive, negative = ([r for r in test if (r["kind"] == "positive") is p] for p in (True, False))
    groups = [r["path"] for r in positive]

    def recall(flags: list[bool]) -> str:
        return f"{_interval(np.array(flags, float), None, groups)} of {len(flags)}"

    limit = _limit([r["value"] for r in dev if r["kind"] != "positive"])
    pdq = recall([r["pdq"] <= 31 and r["truth"] == r["pdq_best"] for r in positive])
    against = f"PDQ at its authors' 31: {pdq}"
    yield (
        "catalog photo found in an edited one, 16 edits, threshold for 1 % on dev",
        recall([r["value"] > limit and r["truth"] == r["best"] for r in positive]),
        against,
    )
    at_half = recall([r["value"] >= 0.5 and r["truth"] in r["found"] for r in positive])
    yield "the same where the copy signal claims one (value >= 0.5)", at_half, against
    false = wilson(sum(r["value"] >= 0.5 for r in negative), len(negative))
    theirs = wilson(sum(r["pdq"] <= 31 for r in negative), len(negative))
    yield "a copy claimed where there is none", false, f"PDQ at its authors' 31: {theirs}"


def marks() -> Iterator[Row]:
    from benchmarks import marks as suite
    from imgmatch.signals.text.signal import TAMPER_CENTRE

    truth = {r["path"]: r for r in suite.labels()}
    nothing = {"brands": set(), "word": False}
    readable, wrong = [], []
    for path, findings in suite.claims(read_raw("marks_read")).items():
        label = truth.get(path, nothing)
        said = {brand for signal, value, brand, _ in findings if signal == "text" and value >= suite.CLAIM}
        wrong.append(bool(said - label["brands"]))
        if label["word"] and label["brands"] & set(suite.brands()):
            readable.append(bool(said & label["brands"]))
    yield "brand named where a person can read its word in the photo", wilson(sum(readable), len(readable)), "a person, 1"
    yield "a wrong brand named from words in the photo", wilson(sum(wrong), len(wrong)), "0.01, the target"
    rows = [r for r in read_raw("marks_letters") if r["split"] == "test"]
    told = [r["ratio"] is not None and r["ratio"] > TAMPER_CENTRE for r in rows]
    edited = [t for t, r in zip(told, rows, strict=True) if r["edit"] != "genuine"]
    genuine = [t for t, r in zip(told, rows, strict=True) if r["edit"] == "genuine"]
    yield "altered wordmarks told (rendered)", wilson(sum(edited), len(edited)), "0.85, the target"
    yield "genuine wordmarks called altered (rendered)", wilson(sum(genuine), len(genuine)), "0.01, the target"


def figures() -> Iterator[Row]:
    from benchmarks.figures import DIFFERENCE_CENTRE, _alarm, claimed

    rows = [r for r in read_raw("marks_icons") if r["split"] == "test"]
    own = [[p for p in claimed(r["placed"]) if p["brand"] == r["icon"]] for r in rows]
    for edits, what in ((("genuine",), "figurative marks named (icons in scenes)"), (("unknown",), "unknown ones named")):
        mine = [(r, o) for r, o in zip(rows, own, strict=True) if r["edit"] in edits]
        hits = sum(bool(claimed(r["placed"])) if "unknown" in edits else bool(o) for r, o in mine)
        yield what, wilson(hits, len(mine)), "1" if "genuine" in edits else "0"
    altered = [o for r, o in zip(rows, own, strict=True) if r["edit"] not in ("genuine", "unknown")]
    told = sum(any(_alarm(p) >= DIFFERENCE_CENTRE for p in o) for o in altered)
    genuine = [o for r, o in zip(rows, own, strict=True) if r["edit"] == "genuine"]
    false = sum(any(_alarm(p) >= DIFFERENCE_CENTRE for p in o) for o in genuine)
    against = f"genuine ones called altered: {wilson(false, len(genuine))}"
    yield "altered figurative marks told", wilson(told, len(altered)), against


def discrepancy() -> Iterator[Row]:
    dev, test = ([r for r in read_raw(f"discrepancy-{s}")[1:] if r["value"] is not None] for s in ("dev", "test"))
    limit = _limit([r["value"] for r in dev if r["kind"] == "benign"])
    benign = [r for r in test if r["kind"] == "benign"]
    for strength, word in ((0.9, "strong"), (0.3, "slight")):
        forged = [r for r in test if r["kind"] == "forged" and r["visible"] >= 64 and r["strength"] == strength]
        both, truth = forged + benign, [True] * len(forged) + [False] * len(benign)
        trivial = {k: auroc([r[k] for r in both], truth) for k in ("bytes", "pixels", "saturation")}
        name, area = max(((k, max(a, 1 - a)) for k, a in trivial.items()), key=lambda pair: pair[1])
        found = np.array([r["value"] > limit for r in forged], float)
        said = f"{_interval(found, None, [r['path'] for r in forged])} of {len(forged)}"
        ours = auroc([r["value"] for r in both], truth)
        against = f"benign changes called altered: {wilson(sum(r['value'] > limit for r in benign), len(benign))}"
        yield f"parts altered ({word}) told at 1 % on dev", f"{said}; AUROC {ours:.3f}", f"{against}; {name} {area:.3f}"


def mismatch() -> Iterator[Row]:
    every = [r for r in read_raw("mismatch") if "kind" in r]
    for name in dict.fromkeys(r.get("set", "real") for r in every):
        rows = [r for r in every if r.get("set", "real") == name]
        cells = []
        for score in (lambda r: 0.0 if r["value"] is None else r["value"], lambda r: 1.0 - r["cosine"]):
            limit = _limit([score(r) for r in rows if r["split"] == "dev" and r["kind"].startswith("honest")])
            test = [r for r in rows if r["split"] == "test" and r["kind"].startswith("switched")]
            hits = np.array([score(r) > limit for r in test], float)
            cells.append(f"{_interval(hits, None, [r['key'] for r in test])} of {len(test)}")
        yield f"bait and switch told at 1 % on dev ({name} photos, no words)", cells[0], f"plain cosine {cells[1]}"


def rings() -> Iterator[Row]:
    rows = json.loads((RAW / "rings.json").read_text("utf-8"))["rows"]
    largest = max(r["listings"] for r in rows)
    mine = [r for r in rows if r["listings"] > largest / 2]
    right, found, true = (sum(r[k] for r in mine) for k in ("right_pairs", "found_pairs", "true_pairs"))
    seconds = float(np.median([r["seconds"] for r in mine]))
    what = f"pairs of sellers in one ring, {largest:,} listings, {len(mine)} synthetic markets"
    yield f"{what}: precision", wilson(right, found), f"{seconds:.0f} s a market"
    yield f"{what}: recall", wilson(right, true), "the drawn gangs"


def verdicts() -> Iterator[Row]:
    from benchmarks import verdicts as suite
    from imgmatch.verdicts.calibration import Calibration

    names = [n for n in suite.PLANS if n.startswith("test") and (RAW / f"verdicts-{n}.jsonl").is_file()]
    rows, space = suite.stored(names)
    bad = np.array([r["truth"]["bad"] == "true" for r in rows])
    points = Calibration.load(suite.WEIGHTS).points
    point = "fpr_1e-2" if "fpr_1e-2" in points else "balanced"
    sellers = suite._sellers(rows)
    decided = suite.decide(rows, point, space)
    rank = np.array([-1 if v is None else v.decision.rank for v in decided])
    kind = np.array([r["truth"]["kind"] for r in rows])
    resellers, strangers = np.isin(kind, suite.RESELLERS), np.isin(kind, ("unknown_brand", "unrelated"))
    claimed = np.array([v is not None and v.brand is not None for v in decided])
    who = f"synthetic markets, {len(rows)} listings, operating point {point}"
    yield f"bad listings that become a lead ({who})", _rate(rank[bad] == 2, sellers[bad]), "0.8, the target"
    for what, flags, of, target in (
        ("honest listings that become a lead", rank == 2, ~bad, "0.01"),
        ("honest listings sent to review", rank == 1, ~bad, "0.1"),
        ("honest resellers that become a lead", rank == 2, resellers, "0.01"),
        ("unknown brands and unrelated goods given a brand", claimed, strangers, "0.01"),
    ):
        yield f"{what} ({who})", _rate(flags[of], sellers[of]), f"{target}, the target"
    given = suite.decide(rows, "balanced", space)
    p = np.array([0.0 if v is None or v.probability is None else v.probability for v in given])
    weight = np.where(bad, suite.BASE_RATE / bad.mean(), (1 - suite.BASE_RATE) / (1 - bad.mean()))
    table = np.stack([p, bad.astype(float), weight], axis=1)
    skill = _interval(table, suite._skill, sellers, 500)
    yield f"Brier skill over a base rate of {suite.BASE_RATE:.0%} (synthetic)", skill, "0.5, the target"
    error = _interval(table, suite._ece, sellers, 500)
    yield "calibration error among p > 0.1 (synthetic)", error, "0.05, the target"


def peers() -> Iterator[Row]:
    from benchmarks.peers import accuracy

    tables = accuracy.copy_tables()
    ours = tables.pop("ours", None)
    if ours is not None:
        yield "copies found at 1 % false positives on the test half itself", _at_one(ours[2]), "the peers below"
    for name, threshold, table in tables.values():
        recall, (low, high), false, n = accuracy.fixed(table, threshold)
        said = f"{recall:.3f} [{low:.3f}, {high:.3f}], false positives {wilson(false, n)}"
        yield f"copies found by {name}", said, f"at 1 % false positives: {_at_one(table)}"
    hits = accuracy.view_hits()
    for name, found in hits.values():
        values = np.array(list(found.values()), float)
        groups = [q.split("/")[1] for q in found]  # official/<product>/<view>
        against = "plain cosine of the same encoder" if name.startswith("imgmatch") else "imgmatch design, above"
        yield f"other views, recall@1, by {name}", f"{_interval(values, None, groups)} of {len(values)}", against


def speed() -> Iterator[Row]:
    from benchmarks.peers.speed import ratios

    facts, *rows = read_raw("peers_speed")
    cores = facts["environment"]["cores"]
    for architecture, name, per_second, _, ratio in ratios(facts, rows):
        said = f"{np.median(per_second):.1f} images/s ({min(per_second):.1f} to {max(per_second):.1f})"
        against = f"{ratio:.2f} times the best peer" if name.startswith("imgmatch") else "-"
        yield f"{name}, {architecture}, random weights, {cores} cores", said, against


def throughput() -> Iterator[Row]:
    for file in ("throughput", "throughput_clip"):
        [raw] = read_raw(file)
        pairs, model = raw["pairs"], raw["model"]

        def middle(values: list[float]) -> str:
            return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

        def speed_of(kind: str, pairs: Any = pairs) -> list[float]:
            return [p[kind]["photos"] / p[kind]["seconds"] for p in pairs]

        scan, bare = speed_of("scan"), speed_of("bare")
        ratio = middle([s / b for s, b in zip(scan, bare, strict=True)])
        against = f"bare decode + prepare + encode at its best: {middle(bare)} images/s; 0.95, the target"
        yield f"scan, design only, {model}, cold cache", f"{middle(scan)} images/s, ratio {ratio}", against
        again = middle([p["scan"]["seconds"] / p["unchanged"]["seconds"] for p in pairs])
        yield f"the same scan again, nothing changed, {model}", f"{again} times as fast", "50, the target"
        first = middle([p["first"]["seconds"] for p in pairs])
        yield f"start-up to the first record, warm cache, {model}", f"{first} s", "2 s, the target"
        if raw["memory"]:
            peaks = "; ".join(f"{int(n):,} listings {row['peak_mib']:.0f} MiB" for n, row in raw["memory"].items())
            yield f"peak memory of a scan, {model}", peaks, "flat, the target"


def runtimes() -> Iterator[Row]:
    [raw] = read_raw("runtimes")
    slow = raw["runtimes"]["torch"]
    for name, row in raw["runtimes"].items():
        said = f"{row['photos_per_cpu_s']:.1f} images/s of one core, recall@1 {wilson(row['recall_at_1'], row['queries'])}"
        against = (
            f"{row['photos_per_cpu_s'] / slow['photos_per_cpu_s']:.2f} times PyTorch; cosine {row['cosine_min']:.5f} or more"
        )
        yield f"{raw['model']} by {name}, adidas dev half", said, against


def index_scale() -> Iterator[Row]:
    from benchmarks.index_scale import recall

    [raw] = read_raw("index_scale")
    found = recall(raw["found"], [[i for i in t if i < raw["rows"]] for t in raw["truth"]])
    what = f"{raw['rows']:,} x 512 vectors, {raw['index']}"
    yield f"{what}: recall@10", f"{found:.4f} ({raw['queries']:,} queries)", "exact search; 0.99, the target"
    yield f"{what}: one query, p95", f"{np.quantile(raw['latency_ms'], 0.95):.2f} ms", "5 ms, the target"
    yield f"{what}: batched", f"{raw['queries'] / raw['batched_s']:,.0f} queries/s", "2,000, the target"
    yield f"{what}: peak memory", f"{raw['peak_mib']:,.0f} MiB", "4,096, the target"


def service() -> Iterator[Row]:
    [raw] = read_raw("service_load")
    rows, bare = raw["rows"], float(np.mean(raw["bare"]))
    rate, wrong = len(rows) / raw["seconds"], sum(not r["right"] for r in rows)
    slow = np.quantile([r["seconds"] for r in rows], 0.95)
    share = f"{rate:.1f} requests/s, {rate / bare:.2f} of the bare loop"
    said = f"{share}; p95 {slow:.2f} s; {wrong} of {len(rows)} wrong or refused"
    yield f"service, design only, {raw['clients']} clients, one photo each", said, f"bare loop {bare:.1f} images/s"


def adversarial() -> Iterator[Row]:
    from benchmarks.adversarial import disagree

    rows = read_raw("adversarial")[1:]
    apart = [r for r in rows if r["attack"] != "none" and disagree(r["claims"])]
    clear = sum(r["decision"] == "clear" for r in apart)
    yield (
        "attacked listings whose photo claims two brands, and a verdict clear",
        wilson(clear, len(apart)),
        "0, the target",
    )
    worded = [r for r in rows if r["listing"] == "worded"]
    before = [r for r in worded if r["attack"] == "none"]
    flagged = {r["query"] for r in before if r["decision"] != "clear"}
    for attack in dict.fromkeys(r["attack"] for r in worded if r["attack"] != "none"):
        mine = [r for r in worded if r["attack"] == attack and r["query"] in flagged]
        lost = wilson(sum(r["decision"] == "clear" for r in mine), len(mine))
        yield f"flagged listings cleared by the attack: {attack}", lost, f"{len(flagged)} of {len(before)} flagged without"


def _at_one(table: Any) -> str:
    from benchmarks.peers.accuracy import at_rate

    return _interval(table, lambda t: at_rate(t, 0.01), table[:, 3], 500)


def _rate(flags: Any, groups: Any) -> str:
    """Return a share with its interval: whole groups drawn, or by Wilson where none or all are flagged."""
    count, n = int(np.sum(flags)), len(flags)
    return wilson(count, n) if count in (0, n) else f"{_interval(np.asarray(flags, float), None, groups)} of {n}"


def _limit(negatives: Sequence[float]) -> float:
    """Return the value that at most 1 % of the negatives exceed."""
    return sorted(negatives, reverse=True)[int(0.01 * len(negatives))]


def _interval(values: Any, statistic: Callable[[Any], float] | None, groups: Any, rounds: int = 2000) -> str:
    """Return a statistic (the mean for None) with its bootstrap interval; whole groups are drawn."""
    low, high = bootstrap_interval(values, statistic, groups=np.asarray(groups), rounds=rounds)
    return f"{(np.mean if statistic is None else statistic)(values):.3f} [{low:.3f}, {high:.3f}]"


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "retrieval": retrieval,
    "open_set": open_set,
    "copy": copies,
    "marks": marks,
    "figures": figures,
    "discrepancy": discrepancy,
    "mismatch": mismatch,
    "rings": rings,
    "verdicts": verdicts,
    "peers": peers,
    "speed": speed,
    "throughput": throughput,
    "runtimes": runtimes,
    "index_scale": index_scale,
    "service": service,
    "adversarial": adversarial,
}
