"""DISC21, the image similarity challenge: edited copies among a million references."""

import csv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, Photo, Published

_SSCD = "Pizzi et al., A self-supervised descriptor for image copy detection, CVPR 2022, table 2"

CARD = Card(
    title="DISC21 (Image Similarity Challenge)",
    licence="CC BY-NC 4.0 and its owners' terms, which must be accepted",
    cite="Douze et al., The 2021 image similarity dataset and challenge, arXiv:2106.09672",
    protocol="µAP of the development queries, without and with score normalisation on the training photos",
    url="https://ai.meta.com/datasets/disc21-dataset/",
    task="copies",
    published=(
        Published("SSCD adv.+mixup", "µAP", 0.615, _SSCD),
        Published("SSCD adv.+mixup", "µAP, normalised", 0.725, _SSCD),
    ),
    by_request="accept the terms on its page; 350 GB in all",
)


def read(root: Path) -> Iterator[Photo]:
    """``references``, ``queries`` and ``training`` photos; ``public_ground_truth.csv``: query_id, reference_id or empty.

    Only queries that the table names take part. References the table does not name are distractors in the catalog.
    """
    with open(root / "public_ground_truth.csv", encoding="utf-8", newline="") as f:
        truth = [(row[0], row[1] if len(row) > 1 else "") for row in csv.reader(f) if row and row[0] != "query_id"]
    for path in sorted((root / "references").glob("R*.jpg")):
        yield Photo(path, path.stem, "disc", "catalog")
    for query, reference in truth:
        path = root / "queries" / f"{query}.jpg"
        yield Photo(
            path, reference, "disc" if reference else "", "query" if reference else "distractor", unit=reference or query
        )
    for path in sorted((root / "training").glob("T*.jpg")):
        yield Photo(path, role="background")
