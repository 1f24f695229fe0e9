"""What does an encoder cost on one core, and what does its plain cosine find?

    python -m benchmarks encoders --encoder torch:mobilenet-v2 --encoder torch-bf16:mobilenet-v2 --encoder onnx:mobilenet-v2

Every photo asks all others of the set (of sets with roles, queries ask the catalog). Processor time of one thread, so that
it holds on a busy machine; decoding and preparing are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

QUESTION = "What does an encoder cost, and what does it find?"
DATA = ("adidas_products", "rendered")


def run(job: Job) -> Iterator[dict[str, Any]]:
    import numpy as np
    import torch

    from imgmatch import load_image

    torch.set_num_threads(1)
    encoder = job.encoder
    photos = [p for p in job.known(job.data.photos) if p.item]
    prepared = [encoder.prepare(load_image(p.path, target_side=2 * encoder.input_size)) for p in photos]
    encoder.encode(prepared[:8])
    start = time.process_time()
    vectors = np.concatenate([encoder.encode(prepared[i : i + 32]) for i in range(0, len(prepared), 32)])
    job.facts |= {"photos_per_cpu_second": len(photos) / (time.process_time() - start), "space": encoder.space.id}
    items = np.array([p.item for p in photos])
    known = np.array([p.role != "query" for p in photos])
    for i, photo in enumerate(photos):
        if photo.role == "catalog":
            continue
        near = np.where(known & (np.arange(len(photos)) != i), vectors @ vectors[i], -np.inf)
        right = (items == photo.item) & np.isfinite(near)
        if right.any():
            ahead = int(((near >= near[right].max()) & ~right).sum())
            yield {"query": job.name(photo), "unit": photo.group, "split": photo.split, "rank": ahead + 1}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    units = [r["unit"] for r in rows]
    found = scorer.recall_at([r["rank"] for r in rows], 1)
    speed = f"{head['photos_per_cpu_second']:.0f} photos a second of one core"
    yield scorer.share("plain cosine of an encoder, recall@1, and its speed", found, units, against=speed)
