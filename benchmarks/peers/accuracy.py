"""The peers on the copy suite's own queries, catalog and test half, and on adidas_products; raw matches first.

At its published threshold each peer stands where its users stand; beside it the curve, where the threshold is the one that
gives the stated false positives on these very negatives. Ours is read from the raw results of `benchmarks.copy_detection`
and `benchmarks.retrieval`. Right means: the photo that was edited is the nearest reference.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from benchmarks import copy_detection
from benchmarks.common import RAW, environment, read_raw, write_raw
from benchmarks.peers.environments import HOME, PeerError, call, versions
from imgmatch.metrics import bootstrap_interval, split_of, wilson_interval

THRESHOLDS = {
    # https://github.com/facebook/ThreatExchange/tree/main/pdq: confident match at a distance of 31, quality 50 or more
    "pdq": ("PDQ, distance <= 31, quality >= 50", -31),
    # ImageHash names none; imagededup.methods.PHash.find_duplicates(max_distance_threshold=10)
    "phash": ("pHash (ImageHash), distance <= 10", -10),
    # imagededup.methods.CNN.find_duplicates(min_similarity_threshold=0.9)
    "imagededup_cnn": ("imagededup CNN, cosine >= 0.9, with mobilenet_v2", 0.9),
    # Lin et al., Phishpedia, USENIX Security 2021: one similarity threshold for all brands; 0.87 in its configuration
    "cosine": ("plain cosine of mobilenet-v2 >= 0.87", 0.87),
}
UNABLE = {
    "rclip": "its weights (ViT-B-32-256 datacomp_s34b_b86k) come from a model hub; speed only, with random weights",
    "clip_retrieval": "its weights come from a model hub; speed only, with random weights",
}
RATES = (0.01, 0.05, 0.1)


def run(data: Path, only: list[str] | None = None) -> None:
    """Ask every peer, write raw matches to peers_copy.jsonl and peers_retrieval.jsonl."""
    with tempfile.TemporaryDirectory(prefix="imgmatch-peers-") as temporary:
        work = Path(temporary)
        catalog, queries = _copy_job(data, work)
        adidas, labels = _adidas(data)
        paths = [q["file"] for q in queries]
        asked = [p for p in adidas if split_of(labels[p]) == "test"]
        copies: list[dict[str, Any]] = []
        views: list[dict[str, Any]] = []
        failed = dict(UNABLE)
        for peer in only or THRESHOLDS:
            try:
                found = _matches(peer, catalog, paths, work)
                near = _matches(peer, adidas, asked, work)
            except PeerError as error:
                failed[peer] = str(error)
                print(f"{peer} cannot run here: {error}", flush=True)
                continue
            copies += [{"peer": peer, **q, "matches": found[q["file"]]} for q in queries]
            for path in asked:
                others = [m for m, _ in near[path] if m != path]
                views.append({"peer": peer, "query": path, "label": labels[path], "labels": [labels[m] for m in others]})
            print(f"{peer}: {len(queries)} queries of the copy suite, {len(asked)} of adidas_products", flush=True)
        sizes = {label: sum(x == label for x in labels.values()) for label in set(labels.values())}
        facts = {"environment": environment(), "failed": failed, "versions": {p: versions(p) for p in THRESHOLDS}}
        print(write_raw("peers_copy", [{**facts, "catalog": len(catalog)}, *copies]))
        print(write_raw("peers_retrieval", [facts, *(v for v in views if sizes[v["label"]] > 1)]))


def _copy_job(data: Path, work: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the copy suite's catalog photos and its queries of the test half, drawn and written as PNG."""
    items, *_ = copy_detection._photos(data, "test")
    queries = []
    for number, (row, pixels) in enumerate(copy_detection.queries(data, "test")):
        file = work / f"query-{number:05d}.png"
        PIL.Image.fromarray(pixels).save(file, compress_level=1)
        queries.append({**row, "file": str(file)})
    return [p for paths in items.values() for p in paths], queries


def _adidas(data: Path) -> tuple[list[str], dict[str, str]]:
    with open(data / "adidas_products" / "labels.csv", encoding="utf-8") as f:
        labels = {str(data / "adidas_products" / row["path"]): row["sku"] for row in csv.DictReader(f)}
    return list(labels), labels


def _matches(peer: str, catalog: list[str], queries: list[str], work: Path) -> dict[str, list[tuple[str, float]]]:
    if peer == "cosine":
        return dict(_cosine(catalog, queries))
    job = {"catalog": catalog, "queries": queries, "mobilenet_v2": str(mobilenet_v2())}
    return {row["query"]: row["matches"] for row in call(peer, "match", job, work)}


def mobilenet_v2() -> Path:
    """Return torchvision's tensors of our mobilenet-v2 as a file that any torch reads."""
    import torch

    from imgmatch.encoders import store

    file = HOME / "weights" / "mobilenet_v2.pt"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(store.read_tensors(store.require("mobilenet-v2", None)), file)
    return file


def _cosine(catalog: list[str], queries: list[str]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    from imgmatch import load_encoder, load_image

    encoder = load_encoder("mobilenet-v2")

    def embedded(paths: list[str]) -> Any:
        parts = [encoder.encode([load_image(p) for p in paths[i : i + 32]]) for i in range(0, len(paths), 32)]
        return np.concatenate(parts)

    references = embedded(catalog)
    for path, vector in zip(queries, embedded(queries), strict=True):
        similarity = references @ vector
        order = np.argsort(-similarity, kind="stable")[:6]
        yield path, [(catalog[i], float(similarity[i])) for i in order]


def copy_tables() -> dict[str, tuple[str, float, Any]]:
    """Return per contender its name, its fixed threshold, and rows (score, positive, right, group) of the test half."""
    rows = read_raw("peers_copy")[1:]
    out: dict[str, tuple[str, float, Any]] = {}
    keys = {(r["path"], r.get("edit")) for r in rows}
    if (RAW / "copy_detection-test.jsonl").is_file():
        own = [r for r in read_raw("copy_detection-test")[1:] if (r["path"], r.get("edit")) in keys]
        if len(own) == len(keys):
            ours = [(r["value"], r["kind"] == "positive", r["kind"] == "positive" and r["truth"] == r["best"]) for r in own]
            out["ours"] = ("imgmatch copy, value >= 0.5", 0.5, _table(ours, [r["path"] for r in own]))
    for peer, (name, threshold) in THRESHOLDS.items():
        mine = [r for r in rows if r["peer"] == peer]
        if mine:
            values = [_scored(r) for r in mine]
            out[peer] = (name, float(threshold), _table(values, [r["path"] for r in mine]))
    return out


def _scored(row: dict[str, Any]) -> tuple[float, bool, bool]:
    best, score = row["matches"][0] if row["matches"] else (None, -np.inf)
    return float(score), row["kind"] == "positive", row["kind"] == "positive" and best == row["path"]


def _table(values: list[tuple[float, bool, bool]], paths: list[str]) -> Any:
    _, group = np.unique(paths, return_inverse=True)
    return np.column_stack([np.array(values, float), group])


def fixed(table: Any, threshold: float) -> tuple[float, tuple[float, float], int, int]:
    """Return recall at a fixed threshold with its interval (whole photos drawn), false positives and negatives."""
    positive = table[table[:, 1] == 1]
    hits = (positive[:, 0] >= threshold) & (positive[:, 2] == 1)
    negative = table[table[:, 1] == 0]
    interval = bootstrap_interval(hits.astype(float), groups=positive[:, 3])
    return float(hits.mean()), interval, int((negative[:, 0] >= threshold).sum()), len(negative)


def at_rate(table: Any, rate: float) -> float:
    """Return recall where at most that share of the negatives scores as high; ties count against."""
    negative = np.sort(table[table[:, 1] == 0][:, 0])[::-1]
    limit = negative[int(rate * len(negative))]
    positive = table[table[:, 1] == 1]
    if not len(positive):  # a resample of a smoke run
        return float("nan")
    return float(((positive[:, 0] > limit) & (positive[:, 2] == 1)).mean())


def view_hits() -> dict[str, tuple[str, dict[str, bool]]]:
    """Return per contender its name and, per query of adidas_products' test half, whether the nearest photo is right."""
    out: dict[str, tuple[str, dict[str, bool]]] = {}
    rows = read_raw("peers_retrieval")[1:]
    if (RAW / "retrieval.jsonl").is_file():
        own = [r for r in read_raw("retrieval")[1:] if r["set"] == "adidas_products" and r["half"] == "test"]
        mine = {r["query"]: r["rank"] == 1 for r in own if r["variant"] != "plain"}
        out["ours"] = ("imgmatch design", mine)
    for peer, (name, _) in THRESHOLDS.items():
        found = {r["query"].split("adidas_products/")[1]: r["labels"][:1] == [r["label"]] for r in rows if r["peer"] == peer}
        if found:
            out[peer] = (name.split(",")[0].split(" >=")[0], found)
    return out


def score() -> None:
    """Print both tables, and who could not run and why."""
    facts = read_raw("peers_copy")[0]
    tables = copy_tables()
    some = next(iter(tables.values()))[2]
    print(f"environment: {facts['environment']}")
    print(f"copies, test half: {int(some[:, 1].sum())} edited photos, {int((some[:, 1] == 0).sum())} others, ", end="")
    print(f"{facts['catalog']} catalog photos\n")
    rates = "".join(f" recall at {r:.0%} |" for r in RATES)
    print(f"| contender, as published | recall | false positives |{rates}")
    print("| --- | ---: | ---: |" + " ---: |" * len(RATES))
    for name, threshold, table in tables.values():
        recall, (low, high), false, n = fixed(table, threshold)
        f_low, f_high = wilson_interval(false, n)
        cells = []
        for rate in RATES:
            c_low, c_high = bootstrap_interval(table, lambda t, rate=rate: at_rate(t, rate), groups=table[:, 3], rounds=500)
            cells.append(f"{at_rate(table, rate):.3f} [{c_low:.3f}, {c_high:.3f}]")
        print(f"| {name} | {recall:.3f} [{low:.3f}, {high:.3f}] | {false / n:.3f} [{f_low:.3f}, {f_high:.3f}] | ", end="")
        print(" | ".join(cells) + " |")
    print("\n| other views of the article, adidas_products, test half | recall@1 | n |")
    print("| --- | ---: | ---: |")
    hits = view_hits()
    for name, found in hits.values():
        n, right = len(found), sum(found.values())
        products = np.array([q.split("/")[1] for q in found])  # official/<product>/<view>
        low, high = bootstrap_interval(np.array(list(found.values()), float), groups=products)
        print(f"| {name} | {right / n:.3f} [{low:.3f}, {high:.3f}] | {n} |")
    for peer, reason in facts["failed"].items():
        print(f"\nnot measured: {peer}: {reason}", end="")
    print()
