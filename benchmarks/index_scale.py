"""One million vectors on one machine: recall against exact search, latency, throughput, memory, growing and shrinking.

    python -m benchmarks.index_scale [--rows 1000000] [--index IVF4096,SQfp16] [--data ../shared/data]

Vectors are seeded perturbations of the embeddings of real photos (recall on Gaussian noise means nothing): a row is a
random real vector, moved towards a second one by up to half and jittered, then brought to 512 dimensions by a seeded
orthogonal projection and normalised again. Queries are made the same way from another seed. Truth is exhaustive search over
the same rows, made again from their seeds after memory has been read off.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import SETS, environment, read_raw, shared_data, write_raw
from imgmatch.encoders import load_encoder
from imgmatch.errors import ImageError
from imgmatch.images import load_image
from imgmatch.indexes.faiss import FaissIndex, default_factory
from imgmatch.parallel import ordered_map, worker_count

DIM, BLOCK, K = 512, 50_000, 10


def real_vectors(data: Path, encoder_name: str) -> np.ndarray:
    """Embed every photo of the real sets, (n, d) float32."""
    encoder = load_encoder(encoder_name)
    paths = sorted(p for f in SETS for p in (data / f).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))

    def prepare(path: Path) -> np.ndarray | None:
        try:
            return encoder.prepare(load_image(path, target_side=2 * encoder.input_size))
        except ImageError:
            return None

    batch, out = [], []
    for number, prepared in enumerate(ordered_map(prepare, paths, workers=worker_count(0), ahead=64), 1):
        if prepared is not None:
            batch.append(prepared)
        if len(batch) == 32 or number == len(paths):
            out.append(encoder.encode(batch))
            batch = []
    return np.concatenate(out)


class Rows:
    """Vectors made of the real ones, block by block, the same whenever they are asked for."""

    def __init__(self, real: np.ndarray) -> None:
        width = max(real.shape[1], DIM)
        basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(width, DIM)))
        self._base = (np.pad(real, ((0, 0), (0, width - real.shape[1]))) @ basis).astype(np.float32)

    def make(self, n: int, seed: int) -> np.ndarray:
        rng, base = np.random.default_rng(seed), self._base
        share = rng.uniform(0, 0.5, (n, 1)).astype(np.float32)
        rows = base[rng.integers(len(base), size=n)] * (1 - share)
        rows += base[rng.integers(len(base), size=n)] * share
        rows += rng.standard_normal(rows.shape, np.float32) * np.float32(0.25 / np.sqrt(DIM))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def blocks(self, n: int, seed: int) -> Iterator[np.ndarray]:
        for number, first in enumerate(range(0, n, BLOCK)):
            yield self.make(min(BLOCK, n - first), seed + number)


def nearest(rows: Iterator[np.ndarray], queries: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` nearest rows of each query by exhaustive search, best first."""
    best, ids = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1)
    first = 0
    for block in rows:
        sims = queries @ block.T
        top = np.argpartition(-sims, k, axis=1)[:, :k]
        both = np.concatenate([best, np.take_along_axis(sims, top, 1)], axis=1)
        names = np.concatenate([ids, first + top], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        best, ids = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
        first += len(block)
    return ids


def recall(found: list[list[int]], truth: list[list[int]]) -> float:
    return float(np.mean([len(set(f) & set(t[:K])) / K for f, t in zip(found, truth, strict=True)]))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(options: argparse.Namespace) -> None:
    rows = Rows(real_vectors(shared_data(options.data), options.encoder))
    n, more = options.rows, options.rows // 100
    index = FaissIndex(DIM, options.index or default_factory(n))
    clock = time.perf_counter
    start = clock()
    index.train(rows.make(min(n, options.training), 1))
    trained = clock() - start
    for block in rows.blocks(n, 1000):
        index.add(block)
    built = clock() - start
    queries = rows.make(options.queries, 2)
    index.search(queries[:10], K)
    latencies = []
    for query in queries[:500]:
        start = clock()
        index.search(query[None], K)
        latencies.append(clock() - start)
    start = clock()
    found = index.search(queries, K)
    batched = clock() - start
    block = rows.make(more, 3)
    start = clock()
    index.add(block)
    added = clock() - start
    grown = index.search(queries, K)
    keep = np.random.default_rng(4).random(len(index)) >= 0.01
    removed = []
    for query in queries[:500]:
        start = clock()
        index.search(query[None], K, keep=keep)
        removed.append(clock() - start)
    shrunk = index.search(queries, K, keep=keep)
    peak = peak_mib()

    def all_rows() -> Iterator[np.ndarray]:
        yield from rows.blocks(n, 1000)
        yield block

    # Three times as many as are asked for: what is new or removed can then be left out of the truth.
    truth = nearest(all_rows(), queries, 3 * K)
    raw = {
        "index": index.spec,
        "rows": n,
        "latency_ms": [1000 * x for x in latencies],
        "latency_with_removed_ms": [1000 * x for x in removed],
        "queries": len(queries),
        "batched_s": batched,
        "trained_s": trained,
        "built_s": built,
        "added_s": added,
        "peak_mib": peak,
        "truth": truth.tolist(),
        "found": found.ids.tolist(),
        "found_grown": grown.ids.tolist(),
        "found_shrunk": shrunk.ids.tolist(),
        "removed": np.flatnonzero(~keep).tolist(),
        **environment(),
    }
    write_raw("index_scale", [raw])


def score() -> str:
    """Return the figures of the raw results as text."""
    (raw,) = read_raw("index_scale")
    n, removed = raw["rows"], set(raw["removed"])
    first = recall(raw["found"], [[i for i in t if i < n] for t in raw["truth"]])
    grown = recall(raw["found_grown"], raw["truth"])
    shrunk = recall(raw["found_shrunk"], [[i for i in t if i not in removed] for t in raw["truth"]])
    answered = sum(i in removed for row in raw["found_shrunk"] for i in row)
    one, less = np.array(raw["latency_ms"]), np.array(raw["latency_with_removed_ms"])
    return "\n".join(
        [
            f"{raw['index']}, {n:,} x {DIM}, {raw['cores']} cores of {raw['cpu']}, {raw['git'][:7]}",
            f"recall@{K} against exact search {first:.4f} ({raw['queries']:,} queries)",
            f"one query p50 {np.median(one):.2f} ms, p95 {np.quantile(one, 0.95):.2f} ms ({len(one)} queries)",
            f"batched {raw['queries'] / raw['batched_s']:,.0f} queries/s",
            f"built in {raw['built_s']:.0f} s (training {raw['trained_s']:.0f} s); peak memory {raw['peak_mib']:,.0f} MiB",
            f"1 % added in {raw['added_s']:.1f} s: recall@{K} {grown:.4f}",
            f"1 % removed: recall@{K} {shrunk:.4f}, {answered} removed rows answered, p95 {np.quantile(less, 0.95):.2f} ms",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the real photos")
    parser.add_argument("--encoder", default="mobilenet-v2")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--training", type=int, default=160_000, help="rows that an index is trained on")
    parser.add_argument("--index", help="FAISS factory string; the catalog's own choice by default")
    run(parser.parse_args())
    print(score())


if __name__ == "__main__":
    main()
