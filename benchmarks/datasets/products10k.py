"""Products-10K: ten thousand products of a Chinese shop, studio and buyers' photos."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, Photo
from benchmarks.frame.raw import table

CARD = Card(
    title="Products-10K",
    licence="academic research only",
    cite="Bai, Chen, Yu, Wang and Zhang, Products-10K: a large-scale product recognition dataset, arXiv:2008.10545",
    protocol="no retrieval protocol of its own: test photos ask the training photos, recall@k of the class (SKU)",
    url="https://products-10k.github.io/",
    task="articles",
    by_request="train.zip, test.zip and two tables from the page, or from the Kaggle competition products-10k",
)


def read(root: Path) -> Iterator[Photo]:
    """``train.csv`` (name, class, group) is the catalog, ``test_kaggletest.csv`` the queries."""
    for name, folder, role in (("train.csv", "train", "catalog"), ("test_kaggletest.csv", "test", "query")):
        for row in table(root / name):
            yield Photo(root / folder / row["name"], row["class"], f"group-{row['group']}", role)
