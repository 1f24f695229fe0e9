"""Which brand does a photo show? Logo and text against whole-image embedding, SIFT alone and OCR alone, in one table.

Called through ``python -m benchmarks.marks compare | times | score``. The plain methods are given what ours has: the same
reference logos, the same readings. Their thresholds are the lowest at which at most 1 % of the dev half's photos that show
no brand, or another, are claimed wrongly; the test half is what is reported. Ours has no threshold to choose: it claims
where the shipped rules take a claim, at value 0.5.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.common import read_raw, shared_data, wilson
from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.market.wordmarks import names_of
from imgmatch.metrics import split_of
from imgmatch.names import letters
from imgmatch.records import Listing
from imgmatch.signals.logo.settings import LogoConfig
from imgmatch.signals.logo.signal import shows
from imgmatch.signals.text.settings import TextConfig
from imgmatch.signals.text.signal import TextSignal
from imgmatch.vision import ocr
from imgmatch.vision.geometry import keypoints
from imgmatch.vision.marks import MarkIndex, MarkReference, WindowIndex, difference, make_reference, views

DATA = shared_data()
ENCODER = "mobilenet-v2"


def same(brand: str) -> str:
    return brand.lower().replace("-", "").replace("_", "")


def references() -> list[MarkReference]:
    """The reference logos of the shared data; a brand's picture without a mark is left out."""
    with (DATA / "reference_logos" / "labels.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    out = []
    for r in rows:
        try:
            image = load_image(DATA / "reference_logos" / r["path"])
            out.append(make_reference(same(r["brand"]), r["path"], "figure", image, None))
        except ValueError:
            continue
    return out


def compare(paths: list[str]) -> Iterator[dict[str, Any]]:
    """Per photo: each brand's best score by embedding and by SIFT, and the brands whose mark lies over it."""
    from imgmatch.encoders import load_encoder

    encoder = load_encoder(ENCODER)
    known = references()
    index = MarkIndex(known)
    pictures = [(r.brand, view) for r in known for view in views(r)]
    rows = encoder.encode([view for _, view in pictures])
    owners = np.array([brand for brand, _ in pictures])
    for path in paths:
        photo = PhotoContext(path, load_image(DATA / path))
        [vector] = encoder.encode([photo.image])
        cosine = rows @ vector
        best = int(cosine.argmax())
        others = cosine[owners != owners[best]]
        # SIFT alone: keypoints that agree on one placement, no look at the pixels.
        agreed: dict[str, int] = {}
        for i, _, _, support in index._by_keypoints(photo, LogoConfig().proposals):
            agreed[known[i].brand] = max(agreed.get(known[i].brand, 0), support)
        placed = index.find(photo, LogoConfig().proposals)
        yield {
            "path": path,
            "embedding": {str(owners[best]): float(cosine[best] - others.max())},
            "sift": agreed,
            "marks": sorted({p.reference.brand for p in placed if shows(p, difference(p))}),
        }


def read_plainly(readings: list[dict[str, Any]], wordmarks: dict[str, str]) -> dict[str, float]:
    """OCR alone: a word or line that is a brand's name to the letter, with the confidence of the line."""
    found: dict[str, float] = {}
    for r in readings:
        for words in (r["text"], *r["text"].split()):
            brand = wordmarks.get(letters(words).lower())
            if brand:
                found[brand] = max(found.get(brand, 0.0), r["confidence"])
    return found


def score(
    brands: dict[str, Any], labels: list[dict[str, Any]], claims: Callable[[Any], dict[str, Any]], least: float
) -> None:
    """Print the table: brands named on photos with a mark that a person can make out, and false claims, on the test half."""
    readings = {r["path"]: r for r in read_raw("marks_read")}
    rows = [r for r in read_raw("marks_compare") if r["path"] in readings]
    found = claims([readings[r["path"]] for r in rows])
    wordmarks = {letters(n).lower(): same(b.brand) for b in brands.values() for n in names_of(b) if len(letters(n)) >= 4}
    truth = {r["path"]: r for r in labels}
    known = {same(b) for b in brands}
    table: dict[str, list[dict[str, float]]] = {k: [] for k in ("logo and text", "embedding", "SIFT alone", "OCR alone")}
    shown: list[tuple[set[str], bool, bool, str]] = []
    strangers = [r["path"].startswith(("distractors", "grocery")) for r in rows]
    for r in rows:
        label = truth.get(r["path"], {"brands": set(), "word": False, "figure": False})
        mine = {same(b) for b in label["brands"]}
        shown.append((mine, label["word"] and bool(mine & known), bool(label["figure"] and mine), split_of(r["path"])))
        ours = {same(b): v for s, v, b, _ in found[r["path"]] if s == "text" and v >= least}
        table["logo and text"].append({**ours, **dict.fromkeys(r["marks"], 1.0)})
        table["embedding"].append(r["embedding"])
        table["SIFT alone"].append(r["sift"])
        table["OCR alone"].append(read_plainly(readings[r["path"]]["readings"], wordmarks))
    print(f"brand by method, test half of {len(rows)} photos; encoder of the embedding: {ENCODER}")
    for name, scores in table.items():
        dev = [s for s, (*_, half) in zip(scores, shown, strict=True) if half == "dev"]
        dev_truth = [mine for mine, *_, half in shown if half == "dev"]
        at = -1.0 if name == "logo and text" else _threshold(dev, dev_truth)
        said = [{b for b, v in s.items() if v > at} for s in scores]
        test = [(s, mine, word, figure) for s, (mine, word, figure, half) in zip(said, shown, strict=True) if half == "test"]
        foreign = [
            bool(s - mine) for s, (mine, *_, half), far in zip(said, shown, strangers, strict=True) if half == "test" and far
        ]
        word = [bool(s & mine) for s, mine, readable, _ in test if readable]
        either = [bool(s & mine) for s, mine, readable, figure in test if readable or figure]
        wrong = [bool(s - mine) for s, mine, _, _ in test]
        print(f"  {name:14} readable word {wilson(sum(word), len(word))}")
        print(f"  {'':14} word or figure {wilson(sum(either), len(either))}; false claims {wilson(sum(wrong), len(wrong))}")
        print(f"  {'':14} false claims on distractors and groceries {wilson(sum(foreign), len(foreign))}")


def _threshold(scores: list[dict[str, float]], truth: list[set[str]]) -> float:
    """Return the lowest score above which at most 1 % of the photos are given a brand that they do not show."""
    wrong = sorted(
        (max((v for b, v in s.items() if b not in mine), default=-1.0) for s, mine in zip(scores, truth, strict=True))
    )
    return wrong[-1 - len(wrong) // 100] if wrong else -1.0


def times(brands: dict[str, Any], paths: list[str]) -> None:
    """Print milliseconds per photo and stage, warm, median and 90th percentile: run it on a quiet machine."""
    from imgmatch.encoders import load_encoder

    encoder = load_encoder(ENCODER)
    known = references()
    index, windows = MarkIndex(known), WindowIndex(known, encoder)
    text = TextSignal(SimpleNamespace(brands=brands), TextConfig())
    spent: dict[str, list[float]] = {}
    for n, path in enumerate(paths):
        photo = PhotoContext(path, lambda p=path: load_image(DATA / p))
        query = Query(Listing("1"), [photo])
        fast = PhotoContext(path, photo.image)
        stages: dict[str, Callable[[], Any]] = {
            "decode": lambda p=path: load_image(DATA / p),
            "read, fast mode (side 480)": lambda f=fast: ocr.read(f, 480),
            "read (side 736)": lambda p=photo: ocr.read(p),
            "match and re-read lines": lambda q=query: text.examine([q]),
            "keypoints (shared with copy)": lambda p=photo: keypoints(p),
            "marks: propose and verify": lambda p=photo: index.find(p),
            "marks: windows (off by default)": lambda p=photo: windows.rank(p, 8),
        }
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if n >= 2:  # the first two bring models and caches up
                spent.setdefault(name, []).append(1000 * (time.perf_counter() - start))
    print(f"{len(paths) - 2} photos, {len(known)} reference logos, {len(brands)} brands; milliseconds per photo")
    for name, ms in spent.items():
        print(f"  {name:34} median {np.median(ms):6.0f}  p90 {np.percentile(ms, 90):6.0f}")


def sample(paths: list[str], every: int) -> list[str]:
    """Return each photo whose position in the hashed order is a multiple of `every`: the same ones each time."""
    import hashlib

    return sorted(paths, key=lambda p: hashlib.sha256(p.encode()).hexdigest())[::every]
