"""DeepFashion In-Shop Clothes Retrieval."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, Photo, Published

_ANCHOR = "Kim et al., Proxy anchor loss, CVPR 2020, table 3"
_ROLES = {"train": ("both", "dev"), "query": ("query", "test"), "gallery": ("catalog", "test")}

CARD = Card(
    title="DeepFashion In-Shop Clothes Retrieval",
    licence="non-commercial research, by agreement with MMLAB, CUHK",
    cite="Liu, Luo, Qiu, Wang and Tang, DeepFashion, CVPR 2016",
    protocol="recall@1, 10, 20, 30: 14,218 query photos ask 12,612 of the gallery",
    url="https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
    task="articles",
    published=(
        Published("FashionNet", "recall@1", 0.530, f"as tabled by {_ANCHOR}"),
        Published("Proxy-Anchor", "recall@1", 0.915, _ANCHOR),
        Published("Proxy-Anchor", "recall@10", 0.981, _ANCHOR),
    ),
    by_request="sign the agreement on its page; the password of the archives comes by mail",
)


def read(root: Path) -> Iterator[Photo]:
    """Rows of ``Eval/list_eval_partition.txt``, after a count and a head: image_name item_id evaluation_status."""
    with open(root / "Eval" / "list_eval_partition.txt", encoding="utf-8") as f:
        for line in list(f)[2:]:
            path, item, status = line.split()
            role, split = _ROLES[status]
            place = root / path if (root / path).is_file() else root / "Img" / path  # img.zip unpacks beside Eval or in Img
            yield Photo(place, item, path.split("/")[2], role, split)
