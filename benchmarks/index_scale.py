"""A million vectors on one machine: recall against exact search, latency, throughput, memory, growing and shrinking.

Vectors are seeded perturbations of the embeddings of the set's photos (recall on Gaussian noise means nothing): a row is a
random one, moved towards a second one by up to half and jittered, then brought to 512 dimensions by a seeded orthogonal
projection and normalised again. Queries are made alike from another seed. Truth is exhaustive search over the same rows,
made again from their seeds after memory has been read off.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

QUESTION = (
    "Does a search of a million vectors find the nearest ten, fast, in little memory, while the index grows and shrinks?"
)
DATA = ("rendered",)
ROWS, QUERIES, DIM, BLOCK, K = 1_000_000, 1_000, 512, 50_000, 10


class Rows:
    """Vectors made of a set's embeddings, block by block, the same whenever they are asked for."""

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
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def blocks(self, n: int, seed: int) -> Iterator[np.ndarray]:
        for number, first in enumerate(range(0, n, BLOCK)):
            yield self.make(min(BLOCK, n - first), seed + number)


def nearest(blocks: Iterator[np.ndarray], queries: np.ndarray, k: int) -> np.ndarray:
    """Return the `k` nearest rows of each query by exhaustive search, best first."""
    best, ids, first = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1), 0
    for block in blocks:
        near = queries @ block.T
        top = np.argpartition(-near, min(k, len(block) - 1), axis=1)[:, :k]
        both, names = (
            np.concatenate([best, np.take_along_axis(near, top, 1)], axis=1),
            np.concatenate([ids, first + top], axis=1),
        )
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        best, ids = np.take_along_axis(both, order, 1), np.take_along_axis(names, order, 1)
        first += len(block)
    return ids


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch.indexes.faiss import FaissIndex, default_factory

    n, count = job.size((20_000, 100), (100_000, 500), (ROWS, QUERIES))
    rows = Rows(job.embed([p for p in job.known(job.data.photos) if p.item]))
    index = FaissIndex(DIM, default_factory(n))
    job.facts |= {"index": index.spec, "vectors": n}
    _, job.facts["trained_s"] = _timed(lambda: index.train(rows.make(min(n, 160_000), 1)))
    _, job.facts["built_s"] = _timed(lambda: [index.add(block) for block in rows.blocks(n, 1000)])
    queries, block = rows.make(count, 2), rows.make(n // 100, 3)
    index.search(queries[:10], K)
    one = [1000 * _timed(lambda q=q: index.search(q[None], K))[1] for q in queries[:500]]
    found, job.facts["batched_s"] = _timed(lambda: index.search(queries, K))
    _, job.facts["added_s"] = _timed(lambda: index.add(block))
    grown = index.search(queries, K)
    keep = np.random.default_rng(4).random(len(index)) >= 0.01
    shrunk = index.search(queries, K, keep=keep)
    job.facts |= {"queries": count, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}

    def all_rows() -> Iterator[np.ndarray]:
        yield from rows.blocks(n, 1000)
        yield block

    # Three times as many as are asked for: what is new or removed can then be left out of the truth.
    truth = nearest(all_rows(), queries, 3 * K)
    for i, near in enumerate(truth.tolist()):
        first, less = [x for x in near if x < n][:K], [x for x in near if keep[x]][:K]
        answers = {"found": (found, first), "grown": (grown, near[:K]), "shrunk": (shrunk, less)}
        hits = {name: len(set(f.ids[i].tolist()) & set(t)) for name, (f, t) in answers.items()}
        removed = int((~keep[shrunk.ids[i]]).sum())
        yield {"query": i, "ms": one[i] if i < len(one) else None, **hits, "removed_answered": removed}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    what, n = f"{head['vectors']:,} vectors", len(rows)
    recall = {k: [r[k] / K for r in rows] for k in ("found", "grown", "shrunk")}
    low, high = scorer.interval(recall["found"], range(n))
    more = f"1 % added {np.mean(recall['grown']):.1%}, 1 % removed {np.mean(recall['shrunk']):.1%}"
    more += f", {sum(r['removed_answered'] for r in rows)} removed ones answered; {head['index']}"
    yield scorer.Figure(f"{what}: recall@{K}", float(np.mean(recall["found"])), low, high, n, against=more, target=">= 0.99")
    p95 = float(np.quantile([r["ms"] for r in rows if r["ms"] is not None], 0.95))
    yield scorer.Figure(f"{what}: one query, p95, ms", p95, target="<= 5", form="n")
    yield scorer.Figure(
        f"{what}: batched, queries a second", head["queries"] / head["batched_s"], target=">= 2000", form="n"
    )
    yield scorer.Figure(f"{what}: peak memory, MiB", head["peak_mib"], target="<= 4096", form="n")
