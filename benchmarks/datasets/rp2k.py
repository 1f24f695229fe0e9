"""RP2K: retail products cut from shelf photos."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, Photo

CARD = Card(
    title="RP2K",
    licence="CC BY-NC 4.0",
    cite="Peng, Xiao and Li, RP2K: a large-scale retail product dataset, arXiv:2006.12634",
    protocol="no retrieval protocol of its own: test photos ask the training photos, recall@k of the class",
    url="https://www.pinlandata.com/rp2k_dataset",
    task="articles",
    by_request="from its page",
)


def read(root: Path) -> Iterator[Photo]:
    """``all/train/CLASS/*.jpg`` is the catalog, ``all/test/CLASS/*.jpg`` the queries."""
    for part, role in (("train", "catalog"), ("test", "query")):
        folder = root / "all" / part
        if not folder.is_dir():
            raise FileNotFoundError(2, "missing", str(folder))
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
            yield Photo(path, path.parent.name, path.parent.name.split("_")[0], role)
