"""Same product, brand and catalog → user photo: what the catalog's metric and the part-by-part look add to the plain cosine.

    python -m benchmarks.retrieval run      # the ranks of every query to benchmarks/results/raw/retrieval.jsonl
    python -m benchmarks.retrieval score    # the figures

Settings were chosen on the dev half (``split_of`` of the product); the test half is what to quote. The metric is
never fitted on photos of the query's article: for adidas it comes from the other half of the split, elsewhere from the
catalog photos alone.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment, read_raw, shared_data, write_raw
from imgmatch import load_encoder, load_image
from imgmatch.catalog.metric import Metric
from imgmatch.metrics import split_of
from imgmatch.signals.design.local import local_similarity
from imgmatch.signals.design.settings import DesignConfig

SETS = {  # folder: (label column, column the split is made by, column of the role or "")
    "adidas_products": ("sku", "sku", ""),
    "eval_bags_watches": ("brand", "product_id", "role"),
    "grocery_iconic_vs_photo": ("class_id", "class_id", "role"),
}


def run(data: Path, encoder_name: str) -> Iterator[dict[str, Any]]:
    encoder, config = load_encoder(encoder_name), DesignConfig()
    for name, (label_column, split_column, role_column) in SETS.items():
        with open(data / name / "labels.csv", encoding="utf-8") as f:
            table = list(csv.DictReader(f))
        labels = np.array([row[label_column] for row in table])
        split = np.array([split_of(row[split_column]) for row in table])
        catalog = np.array([not role_column or row[role_column] == "catalog" for row in table])
        images = [load_image(data / name / row["path"]) for row in table]
        if name == "eval_bags_watches":  # 20 of 60 Rolex catalog photos are larger than all else: same size first
            images = [i if i.width == 210 else load_image(_resized(i.pixels, 210)) for i in images]
        prepared = [encoder.prepare(image) for image in images]
        vectors = encoder.encode(prepared)
        for half in ("dev", "test"):
            queries = np.flatnonzero((split == half) & (~catalog if role_column else np.ones(len(table), bool)))
            fit_on = np.flatnonzero(catalog & ((split != half) if not role_column else True))
            metric = Metric.fit(vectors[fit_on], labels[fit_on], shrinkage=config.shrinkage)
            mapped = vectors if metric is None else metric(vectors)
            if metric is None:
                _, cells = encoder.encode_dense(prepared)
                centre = cells[fit_on].mean((0, 1, 2))
            for q in queries:
                references = np.flatnonzero(catalog)
                references = references[references != q]
                if not (labels[references] == labels[q]).any():
                    continue  # an article of one photo
                plain = vectors[references] @ vectors[q]
                learnt = mapped[references] @ mapped[q]
                top = np.argsort(-learnt)[: config.candidates]
                ours = np.full(len(learnt), -np.inf)
                ours[top] = learnt[top]
                if metric is None:
                    ours[top] += config.local_weight * local_similarity(cells[q], cells[references[top]], centre)
                for variant, scores in (("plain", plain), ("metric or local", ours)):
                    ranks = labels[references[np.argsort(-scores, kind="stable")[:5]]] == labels[q]
                    yield {
                        "set": name,
                        "half": half,
                        "variant": variant,
                        "query": table[q]["path"],
                        "label": str(labels[q]),
                        "rank": int(ranks.argmax()) + 1 if ranks.any() else None,
                        "uses_metric": metric is not None,
                    }


def score(rows: list[dict[str, Any]], seed: int = 0, draws: int = 2000) -> Iterator[dict[str, Any]]:
    """Return recall@1 and @5 (watches: mean over brands) and the paired bootstrap interval of the gain over plain."""
    rng = np.random.default_rng(seed)
    for name in SETS:
        for half in ("dev", "test"):
            by = {
                v: {r["query"]: r for r in rows if (r["set"], r["half"], r["variant"]) == (name, half, v)}
                for v in ("plain", "metric or local")
            }
            queries = sorted(by["plain"])
            label = np.array([by["plain"][q]["label"] for q in queries])
            hit = {v: np.array([by[v][q]["rank"] == 1 for q in queries], float) for v in by}
            five = {v: np.array([by[v][q]["rank"] is not None for q in queries], float) for v in by}
            weight = np.ones(len(queries))
            if name == "eval_bags_watches":
                weight = 1 / np.array([(label == x).sum() for x in label])
            gain = hit["metric or local"] - hit["plain"]
            samples = rng.integers(0, len(queries), (draws, len(queries)))
            gains = [np.average(gain[s], weights=weight[s]) for s in samples]
            low, high = np.percentile(gains, [2.5, 97.5])
            yield {
                "set": name,
                "half": half,
                "queries": len(queries),
                **{f"recall@1 {v}": round(float(np.average(hit[v], weights=weight)), 3) for v in by},
                **{f"recall@5 {v}": round(float(np.average(five[v], weights=weight)), 3) for v in by},
                "gain": round(float(np.average(gain, weights=weight)), 3),
                "interval": [round(float(low), 3), round(float(high), 3)],
            }


def speed(photos: int = 32) -> Iterator[str]:
    """Time the part-by-part look: mobilenet-v2, and a CLIP ViT-B/32 with random weights, whose ranks would say nothing."""
    from imgmatch.encoders._torchvision import ensure_torchvision
    from imgmatch.encoders.openclip import OpenClipEncoder
    from imgmatch.encoders.preprocess import Preprocess

    ensure_torchvision()
    import open_clip

    vit = OpenClipEncoder(
        open_clip.create_model("ViT-B-32", pretrained=None, load_weights=False),
        tokenizer_name="ViT-B-32",
        name="vit-b-32 with random weights",
        architecture="open_clip:ViT-B-32",
        weights="random",
        preprocess=Preprocess(224, "squash", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        dim=512,
        device="cpu",
    )
    rng = np.random.default_rng(0)
    for encoder in (load_encoder("mobilenet-v2"), vit):
        batch = [rng.integers(0, 256, (encoder.input_size, encoder.input_size, 3), dtype=np.uint8) for _ in range(photos)]
        encoder.encode_dense(batch[:1])
        start = time.process_time()
        cells = np.concatenate([encoder.encode_dense([photo])[1] for photo in batch])
        encoded = time.process_time() - start
        start = time.process_time()
        local_similarity(cells[0], cells, cells.mean((0, 1, 2)))
        compared = time.process_time() - start
        yield (
            f"{encoder.space.encoder}: cells {cells.shape[1:]}, {1000 * encoded / photos:.0f} ms of CPU per photo, "
            f"{1000 * compared / photos:.1f} ms per candidate"
        )


def _resized(pixels: np.ndarray, side: int) -> Any:
    import PIL.Image

    return PIL.Image.fromarray(pixels).resize((side, side), PIL.Image.Resampling.BICUBIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "score"))
    parser.add_argument("--data")
    parser.add_argument("--encoder", default="mobilenet-v2")
    arguments = parser.parse_args()
    if arguments.what == "run":
        environment_row = {"environment": environment(), "encoder": arguments.encoder, "speed": list(speed())}
        print(write_raw("retrieval", [environment_row, *run(shared_data(arguments.data), arguments.encoder)]))
        return
    first, *rows = read_raw("retrieval")
    for line in (*score(rows), *first.get("speed", ())):  # older runs did not time it
        print(line)


if __name__ == "__main__":
    main()
