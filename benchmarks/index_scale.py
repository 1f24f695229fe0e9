"""One million vectors on one machine: recall against exact search, latency, throughput, memory, growing and shrinking.

    python -m benchmarks.index_scale --catalog CATALOG [--rows 1000000] [--index HNSW32]

Vectors are seeded perturbations of the real embeddings of a catalog (recall on Gaussian noise means nothing): a row is a
random real vector, moved towards a second one by up to half and jittered, then cut or padded to 512 dimensions by a seeded
orthogonal projection and normalised again. Queries are made the same way from another seed. Truth is exhaustive search.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from benchmarks.common import environment, write_raw
from imgmatch.indexes.faiss import FaissIndex, default_factory

DIM, BLOCK, K = 512, 50_000, 10


def perturbed(real: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Return `rows` unit vectors (rows, 512) float32 made of the real ones (n, d)."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(max(real.shape[1], DIM), DIM)))
    base = (np.pad(real, ((0, 0), (0, basis.shape[0] - real.shape[1]))) @ basis).astype(np.float32)
    out = np.empty((rows, DIM), np.float32)
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        share = rng.uniform(0, 0.5, (n, 1)).astype(np.float32)
        block = base[rng.integers(len(base), size=n)] * (1 - share) + base[rng.integers(len(base), size=n)] * share
        block += rng.normal(scale=0.25 / np.sqrt(DIM), size=block.shape).astype(np.float32)
        out[start : start + n] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--index", default=None)
    parser.add_argument("--queries", type=int, default=1_000)
    options = parser.parse_args()
    from imgmatch import Catalog

    real = np.array(Catalog.load(options.catalog).vectors)
    spec = options.index or default_factory(options.rows)
    index = FaissIndex(DIM, spec)
    start = time.perf_counter()
    index.train(perturbed(real, min(options.rows, 100_000), 1))
    for number, first in enumerate(range(0, options.rows, BLOCK)):
        index.add(perturbed(real, min(BLOCK, options.rows - first), 100 + number))
    built = time.perf_counter() - start
    queries = perturbed(real, options.queries, 2)
    # Truth by exhaustive search over the same blocks, made again from their seeds, so that memory stays the index's own.
    peak_index = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best = np.full((options.queries, K), -np.inf, np.float32)
    ids = np.full((options.queries, K), -1, np.int64)
    for number, first in enumerate(range(0, options.rows, BLOCK)):
        sims = queries @ perturbed(real, min(BLOCK, options.rows - first), 100 + number).T
        both = np.concatenate([best, sims], axis=1)
        names = np.concatenate([ids, np.broadcast_to(np.arange(first, first + sims.shape[1]), sims.shape)], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :K]
        best, ids = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
    latencies = []
    for query in queries[:300]:
        start = time.perf_counter()
        index.search(query[None], K)
        latencies.append(time.perf_counter() - start)
    start = time.perf_counter()
    found = index.search(queries, K)
    batched = len(queries) / (time.perf_counter() - start)
    recall = float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found.ids, ids, strict=True)]))
    keep = np.random.default_rng(3).random(len(index)) > 0.01
    start = time.perf_counter()
    index.search(queries[:1], K, keep=keep)
    removed = time.perf_counter() - start
    start = time.perf_counter()
    index.add(perturbed(real, options.rows // 100, 4))
    added = time.perf_counter() - start
    raw = {
        "index": spec,
        "rows": options.rows,
        "recall_at_10": recall,
        "latency_ms": [1000 * x for x in latencies],
        "batched_queries_per_s": batched,
        "build_s": built,
        "peak_mib": peak_index,
        "add_1_percent_s": added,
        "first_search_without_1_percent_ms": 1000 * removed,
        **environment(),
    }
    write_raw("index_scale", [raw])
    print(f"{spec}, {options.rows:,} x {DIM}: recall@10 {recall:.4f} against exact")
    print(f"one query p50 {1000 * np.median(latencies):.2f} ms, p95 {1000 * np.quantile(latencies, 0.95):.2f} ms")
    print(f"batched {batched:,.0f} queries/s; built in {built:.0f} s; peak memory {peak_index:,.0f} MiB")
    print(f"adding 1 % took {added:.1f} s; the first search without a removed 1 % took {1000 * removed:.1f} ms")


if __name__ == "__main__":
    main()
