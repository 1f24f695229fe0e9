"""INRIA Copydays: holiday photos, printed, cropped, recompressed and strongly changed."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame.data import Card, File, Photo, Published

CARD = Card(
    title="INRIA Copydays",
    licence="none stated; for research, photos of the authors",
    cite="Douze, Jégou, Sandhawalia, Amsaleg and Schmid, Evaluation of GIST descriptors, CIVR 2009",
    protocol="edited photos ask the 157 originals: mAP of the strong ones; papers add 10,000 distractors of YFCC100M",
    url="https://lear.inrialpes.fr/~jegou/data.php#copydays",
    task="copies",
    published=(
        Published("DINO ViT-B/8", "mAP, strong", 0.855, "Caron et al., ICCV 2021, table 4, with 10,000 distractors"),
        Published("SSCD", "mAP, strong", 0.866, "Pizzi et al., CVPR 2022, table 3, with 10,000 distractors"),
    ),
    files=(
        File("https://dl.fbaipublicfiles.com/vissl/datasets/copydays_original.tar.gz"),
        File("https://dl.fbaipublicfiles.com/vissl/datasets/copydays_strong.tar.gz"),
    ),
)


def read(root: Path) -> Iterator[Photo]:
    """``original``, ``strong``, ``crops/N``, ``jpegqual/N``: names of six digits, the first four name the block.

    Photos in other folders are distractors as papers add them: in the catalog.
    """
    (root / "original").stat()  # the one folder that must be there
    for path in sorted(root.rglob("*.jpg")):
        part = path.relative_to(root).parts[0]
        block = path.stem[:4]
        if part == "original":
            yield Photo(path, block, "copydays", "catalog", unit=block)
        elif part in ("strong", "crops", "jpegqual"):
            yield Photo(path, block, "copydays", "query", unit=block)
        else:
            yield Photo(path, path.stem, "distractor", "catalog")
