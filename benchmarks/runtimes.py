"""PyTorch, ONNX Runtime in fp32 or int8: what each costs in recall and processor time.

    python -m benchmarks.runtimes

Needs `imgmatch weights export mobilenet-v2`. Same product, adidas, dev half: every photo asks all others of that half.
Processor time, one thread each, so that it holds on a busy machine.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment, shared_data, wilson, write_raw
from imgmatch import load_encoder, load_image
from imgmatch.encoders import onnx
from imgmatch.metrics import split_of


def run(data: Path, model: str) -> dict[str, Any]:
    """Embed the dev half with every runtime."""
    import torch

    torch.set_num_threads(1)
    encoders = {
        "torch": load_encoder(f"torch:{model}", device="cpu"),
        "torch-bf16": load_encoder(f"torch-bf16:{model}"),
        "onnx": onnx.load(f"onnx:{model}", threads=1),
        "onnx-int8": onnx.load(f"onnx-int8:{model}", threads=1),
    }
    with open(data / "adidas_products" / "labels.csv", encoding="utf-8") as f:
        rows = [row for row in csv.DictReader(f) if split_of(row["sku"]) == "dev"]
    skus = np.array([row["sku"] for row in rows])
    squares = [encoders["torch"].prepare(load_image(data / "adidas_products" / row["path"])) for row in rows]
    raw: dict[str, Any] = {"model": model, "photos": len(rows), "runtimes": {}, **environment()}
    truth = None
    for name, encoder in encoders.items():
        encoder.encode(squares[:8])
        start = time.process_time()
        vectors = encoder.encode(squares)
        seconds = time.process_time() - start
        truth = vectors if truth is None else truth
        similarities = vectors @ vectors.T
        np.fill_diagonal(similarities, -np.inf)
        relevant = (skus[:, None] == skus) & ~np.eye(len(skus), dtype=bool)
        asked = relevant.any(1)
        hit = relevant[np.arange(len(skus)), similarities.argmax(1)]
        cosine = (vectors * truth).sum(1)
        raw["runtimes"][name] = {
            "photos_per_cpu_s": len(rows) / seconds,
            "queries": int(asked.sum()),
            "recall_at_1": int(hit[asked].sum()),
            "cosine_min": float(cosine.min()),
            "cosine_mean": float(cosine.mean()),
        }
    return raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the real photos")
    parser.add_argument("--model", default="mobilenet-v2")
    options = parser.parse_args()
    raw = run(shared_data(options.data), options.model)
    print(f"raw: {write_raw('runtimes', [raw])}")
    for name, row in raw["runtimes"].items():
        print(
            f"{name:10} {row['photos_per_cpu_s']:6.1f} images per processor second, recall@1 "
            f"{wilson(row['recall_at_1'], row['queries'])}, cosine to torch min {row['cosine_min']:.5f} "
            f"mean {row['cosine_mean']:.5f}"
        )


if __name__ == "__main__":
    main()
