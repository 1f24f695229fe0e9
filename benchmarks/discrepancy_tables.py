"""Tables of the discrepancy suite, from its raw values alone; see `benchmarks.discrepancy`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import read_raw, wilson
from imgmatch.metrics import auroc

__all__ = ["print_angles", "print_photos", "print_tolerances", "print_world"]

KINDS = ("benign", "forged")
TRIVIAL = ("bytes", "pixels", "saturation")
ASKED = {
    "move": "moved logo",
    "resize": "resized logo",
    "stretch": "stretched part",
    "recolour": "colour shift of a part",
    "erase": "missing part",
    "moved_logo": "moved logo",
    "resized_logo": "resized logo",
    "misspelt_wordmark": "altered lettering",
    "altered_figure": "altered mark",
    "part_colour": "colour shift of a part",
    "different_hands": "different hand",
    "different_bezel": "different bezel",
    "swapped_digits": "altered dial digit",
    "missing_index": "altered dial index",
    "swapped_clasp": "clasp swapped",
    "pattern_period": "wrong pattern period",
    "stretched_outline": "stretched outline",
}
"""What each edit stands for."""

_FACTS = (
    "dominant colours, CIEDE2000 apart",
    "pattern period, reference pixels",
    "width of the outline to its height",
    "width of the logo to its height",
    "logo from the left, share of the width",
    "logo from the top, share of the height",
)
_NO_STRENGTH = frozenset({"different_hands", "different_bezel", "swapped_digits", "swapped_clasp"})  # one thing or the other
_UNITS = np.array([0.2, 10.0, 10.0, 10.0, 20.0, 20.0])  # brings deviations of the facts to one size
_LEAST_SEEN = 64  # altered pixels: fewer do not show
_ROUNDS = 500  # of the bootstrap

Rows = list[dict[str, Any]]


def print_photos() -> None:
    """Print the tables of edits of real photos."""
    dev, test = read_raw("discrepancy-dev"), read_raw("discrepancy-test")
    _print_table("edits of real photos", dev, test)


def print_world() -> None:
    """Print the tables of rendered phone photos, and what it brings to count only what differs from every view."""
    dev, test = read_raw("discrepancy-world-dev"), read_raw("discrepancy-world-test")
    _print_table("rendered phone photos against studio photos", dev, test)
    told = [r for r in test[1:] if r.get("value") is not None]
    print(f"several views corresponded for {sum(r['views'] > 1 for r in told)} of {len(told)}")
    honest = [r for r in told if r["kind"] == "benign"]
    forged = [r for r in told if r["kind"] == "forged"]
    for key, words in (
        ("quietest", "the quietest view alone"),
        ("value", "places that differ from every view, as the signal"),
    ):
        alarms = ", ".join(f"above {x:g}: {wilson(sum(r[key] > x for r in honest), len(honest))}" for x in (8.0, 32.0))
        print(f"{words}: AUROC {_area(forged + honest, key)}; honest ones {alarms}")
    for key, words in (
        ("seconds_mark", "finding the mark on a reference photo, once each"),
        ("seconds_plate", "measuring it"),
    ):
        print(f"seconds of {words}, median and 90 %: {_quantiles([r[key] for r in test[1:] if key in r], (50, 90))}")


def print_angles() -> None:
    """Print how often authentic photos from another angle are called different."""
    rows = read_raw("discrepancy-angles")
    for name in dict.fromkeys(r["set"] for r in rows[1:]):
        some = [r for r in rows[1:] if r["set"] == name]
        told = [r for r in some if r["value"] is not None]
        alarms = ", ".join(f"above {x:g}: {wilson(sum(r['value'] > x for r in told), len(some))}" for x in (8.0, 32.0))
        print(f"other angles, {name}: abstained on {len(some) - len(told)} of {len(some)}; false alarms {alarms}")


def print_tolerances() -> None:
    """Print the 95 % quantile of each fact's deviation on honest photos of dev, and the tolerance that follows from it.

    The greater of real and rendered photos, rounded up to a half for colours and to a hundredth for the rest.
    """
    sets = {"real": "discrepancy-dev", "rendered": "discrepancy-world-dev"}
    rows = {k: [r for r in read_raw(n)[1:] if r["kind"] == "benign"] for k, n in sets.items()}
    print(f"{'95 % quantile of the deviation, dev':40s}" + "".join(f"{k:>18s}" for k in rows) + "   tolerance")
    for fact in _FACTS:
        line, highest = f"{fact:40s}", 0.0
        for some in rows.values():
            seen = [r["facts"][fact] for r in some if fact in r["facts"]]
            highest = max(highest, float(np.quantile(seen, 0.95)) if seen else 0.0)
            line += f"{np.quantile(seen, 0.95):8.4f} (n={len(seen):3d})" if seen else f"{'not told':>16s}"
        step = 0.5 if fact.endswith("apart") else 0.01
        print(f"{line} {np.ceil(highest / step) * step:9.2f}")


def _print_table(title: str, dev: Rows, test: Rows) -> None:
    print(f"\n## {title}\nenvironment: {test[0]['environment']}")
    fit, told = ([r for r in rows[1:] if r.get("value") is not None] for rows in (dev, test))
    fit = [r for r in fit if r["kind"] == "benign" or r["visible"] >= _LEAST_SEEN]
    honest = [r for r in told if r["kind"] == "benign"]
    forged = [r for r in told if r["kind"] == "forged" and r["visible"] >= _LEAST_SEEN]
    quiet = [r["value"] for r in fit if r["kind"] == "benign"]
    limit = float(np.quantile(quiet, 0.95))
    print(f"strength of benign ones on dev, 50, 90, 95, 99 %: {_quantiles(quiet, (50, 90, 95, 99))} of {len(quiet)}")
    _print_edits(fit, forged, honest, limit)
    _print_benign(fit, honest, limit)
    left = Counter(r["kind"] for r in test[1:] if r["kind"] not in KINDS)
    print("left out: " + (", ".join(f"{n} where the edit {kind}" for kind, n in left.items()) or "none"))
    asked = [r for r in test[1:] if r["kind"] in KINDS]
    for kind in KINDS:
        some = [r for r in asked if r["kind"] == kind]
        print(f"abstained, {kind}: {wilson(sum(r['value'] is None for r in some), len(some))}")
    print(f"seconds per candidate, one core, median and 90 %: {_quantiles([r['seconds'] for r in asked], (50, 90))}")


def _print_edits(fit: Rows, forged: Rows, honest: Rows, limit: float) -> None:
    print(
        "AUROC [95 %, bootstrap over photos or items]. without it: a logistic model of strengths, colours and facts,\n"
        "fitted on dev with this edit left out; trivial: the same of bytes, pixels and saturation, which follow alone, in\n"
        "dev's better direction. found: above the 95 % of benign ones of dev. hits: the strongest place touches the edit;\n"
        "chance: a box of that size anywhere in what was compared does. how far any: all, or an edit that knows no degree.\n"
        f"{'edit':40s} {'how far':>8s}   n {'strength':>18s} {'without it':>18s} {'trivial':>18s}"
        " bytes pixel  sat. found  hits chance"
    )
    signs = {k: 1.0 if _fair([r[k] for r in fit], [r["kind"] == "forged" for r in fit]) >= 0.5 else -1.0 for k in TRIVIAL}
    means = []
    for name in [*sorted({r["name"] for r in forged}), "all"]:
        without = [r for r in fit if r["kind"] == "benign" or r["name"] != name]
        models = {"fitted": _fitted(without, _features), "trivial": _fitted(without, _simple)} if name != "all" else {}
        for strength in (None,) if name in _NO_STRENGTH else (0.3, 0.9, None):
            some = [r for r in forged if name in ("all", r["name"]) and strength in (None, r["strength"])]
            if not some:
                continue
            rows = [r | {k: m(r) for k, m in models.items()} | {k: signs[k] * r[k] for k in TRIVIAL} for r in some + honest]
            areas = [_area(rows, "value"), *(_area(rows, k) for k in models)] + ["-"] * (2 - len(models))
            if models and strength is None:
                means.append([float(a.split()[0]) for a in areas])
            print(
                f"{f'{name} ({ASKED[name]})' if name in ASKED else name:40s} "
                f"{'any' if strength is None else strength:>8} {len(some):3d} "
                + " ".join(f"{a:>18s}" for a in areas)
                + "".join(f" {_fair([r[k] for r in rows], [r['kind'] == 'forged' for r in rows]):5.2f}" for k in TRIVIAL)
                + f" {np.mean([r['value'] > limit for r in some]):5.2f} {np.mean([bool(r['hit']) for r in some]):5.2f}"
                + f" {np.mean([r['chance'] for r in some]):6.2f}"
            )
    print(
        "mean over edits, AUROC of strength, without it, trivial: " + ", ".join(f"{m:.3f}" for m in np.mean(means, axis=0))
    )


def _print_benign(fit: Rows, honest: Rows, limit: float) -> None:
    print(f"benign ones above {limit:.1f}; then above the 95 % of dev without that condition")
    for name in [*sorted({r["name"] for r in honest}), "all"]:
        some = [r for r in honest if name in ("all", r["name"])]
        line = f"  {name:14s} {wilson(sum(r['value'] > limit for r in some), len(some))}"
        others = [r["value"] for r in fit if r["kind"] == "benign" and r["name"] != name]
        if others and name != "all":
            line += (
                f"; {np.quantile(others, 0.95):.1f}: {np.mean([r['value'] > np.quantile(others, 0.95) for r in some]):.2f}"
            )
        print(line)


def _fitted(rows: Rows, features: Any) -> Any:
    """Return a logistic model with a ridge penalty of 1, by Newton's method (Hastie et al., ESL, 4.4.1)."""
    x = np.array([features(r) for r in rows])
    y = np.array([r["kind"] == "forged" for r in rows], float)
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    design = np.c_[(x - mean) / spread, np.ones(len(x))]
    penalty = np.diag([1.0] * x.shape[1] + [1e-6])
    beta = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ beta))
        slope = design.T @ (y - p) - penalty @ beta
        beta += np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + penalty, slope)
    return lambda r: float(np.append((np.array(features(r)) - mean) / spread, 1.0) @ beta)


def _features(row: dict[str, Any]) -> list[float]:
    strengths = [s for s, _ in row["places"]] + [0.0] * 3
    colours = [c for _, c in row["places"]] + [0.0] * 3
    told = [row["facts"].get(f, 0.0) for f in _FACTS]
    return [
        *np.log1p(strengths[:3]),
        colours[0],
        np.log(row["inliers"]),
        *np.log1p(np.minimum(np.array(told) * _UNITS, 9.0)),
    ]


def _simple(row: dict[str, Any]) -> list[float]:
    return [float(np.log(row["bytes"])), float(np.log(row["pixels"])), row["saturation"]]


def _fair(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the Mann-Whitney statistic, ties counted half; `imgmatch.metrics.auroc` counts them as lost."""
    s, y = np.asarray(scores, float), np.asarray(positive, bool)
    return (auroc(s, y) + 1.0 - auroc(s, ~y)) / 2 if y.any() and not y.all() else float("nan")


def _area(rows: Rows, key: str) -> str:
    """Return the AUROC of forged against benign rows with its interval as text."""
    values = np.array([(r[key], r["kind"] == "forged") for r in rows], float)
    _, group = np.unique([r["group"] for r in rows], return_inverse=True)
    members = [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_ROUNDS):
        some = values[np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])]
        if 0 < some[:, 1].sum() < len(some):  # a draw of few items can lack a class
            drawn.append(_fair(some[:, 0], some[:, 1]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{_fair(values[:, 0], values[:, 1]):.3f} [{low:.2f}, {high:.2f}]"


def _quantiles(values: Sequence[float], at: tuple[int, ...]) -> list[float]:
    return np.percentile(values, at).round(3).tolist() if len(values) else []
