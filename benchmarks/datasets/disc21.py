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


_TRUTH = ("dev_queries_groundtruth.csv", "public_ground_truth.csv", "dev_ground_truth.csv")
"""As Meta's page, the challenge's repository and a mirror call it."""


def read(root: Path) -> Iterator[Photo]:
    """Photos by their names, wherever an archive put them: ``R*.jpg`` references, ``Q*.jpg`` queries, ``T*.jpg`` training.

    The table of truth has query_id and reference_id or nothing, with a head or without. Only queries that it names take
    part; references that it does not name are distractors in the catalog.
    """
    truth = next((root / name for name in _TRUTH if (root / name).is_file()), root / _TRUTH[0])
    with open(truth, encoding="utf-8", newline="") as f:
        rows = [(row[0], row[1] if len(row) > 1 else "") for row in csv.reader(f) if row and row[0] != "query_id"]
    photos = {path.stem: path for path in sorted(root.rglob("[QRT]*.jpg"))}
    for name, path in photos.items():
        if name[0] != "Q":
            yield Photo(path, name, "disc", "catalog") if name[0] == "R" else Photo(path, role="background")
    for query, reference in rows:
        if query not in photos:
            raise FileNotFoundError(2, "missing", f"{query}.jpg")
        role, brand = ("query", "disc") if reference else ("distractor", "")
        yield Photo(photos[query], reference, brand, role, unit=reference or query)
