"""What does a photo cost with the default signals, signal by signal, beside an earlier commit on the same photos?

A catalog of some 300 photos (shoes, watches of seven brands) and the marks of seven brands; asked are other photos of these
goods, sellers' photos, and everyday photos in which there is nothing to find. Each contender, this code and that of the
commit `BEFORE`, runs in a process of its own with an empty cache; clocks start when models and the catalog's parts are
loaded, and its photos described as `imgmatch catalog build` does it. Photos are examined as a scan does it, a batch at a
time, of one set each. Processor time, of all threads, is what is compared: it is what a busy machine disturbs least.
*rules*: the same photos once more in a new process, with other settings of the verdict. *catalog*: once more, against
another catalog. *large*: against a catalog of edited copies, each photo of the first many times, and again with nothing
remembered of the photos, but of the catalog's own photos what that pass found in them: as in the middle of a long scan.
"""

from __future__ import annotations

import inspect
import itertools
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frame import machine, scorer
from benchmarks.frame.data import OUT, REPO, SHARED, Photo, by_hash, catalog_of, load
from benchmarks.frame.job import Job, link, write_source

QUESTION = "What does a photo cost with the default signals, in processor seconds, and by signal?"
DATA = ("adidas_products",)
BEFORE = "6ddb518"
BATCH = 16
BESIDE = ("eval_bags_watches", "seller_reposts", "distractors")
EACH, CATALOG, MARKED = 25, 150, 7
"""Photos asked of each set, photos of each catalog set, brands with marks."""
MARKS = ("adidas", "nike", "puma", "reebok", "gucci", "chanel", "dior", "rolex", "hermes", "lacoste", "newbalance", "fila")
"""The first of them that are open have marks."""
PASSES = {"cold": 0, "rules": 0, "catalog": 1, "large": 2, "large again": 2}
"""What is measured, and with which catalog; of the earlier commit the first alone."""


def run(job: Job) -> Iterator[dict[str, Any]]:
    asked, halves = _drawn(job)
    large = _enlarged(job.work / "large", halves[0], job.size(2, 3000, 20_000))
    marks = _marks()
    sources = [
        str(write_source(job.work / f"source{n}", photos, marks)) for n, photos in enumerate((*halves, halves[0] + large))
    ]
    folder = job.work / "asked"
    folder.mkdir(exist_ok=True)
    task = {"folder": str(folder), "photos": [(name, link(p.path, folder)) for name, p in asked], "sources": sources}
    for contender, code in (("now", REPO), (BEFORE, None if job.smoke else _before())):
        cache = job.work / f"cache-{contender}"
        _emptied(cache)
        for what in () if code is None else PASSES if code is REPO else ("cold",):
            if what.startswith("large"):
                _emptied(cache, "*" if what == "large" else "photos*")
            one = task | {"catalog": PASSES[what], "what": what, "work": str(job.work / contender)}
            done = machine.call(examined, one, machine.own_cache(cache) | machine.ONE_THREAD, code or REPO)
            for (name, photo), row in zip(asked, done.pop("photos"), strict=True):
                yield {"set": name, "query": photo.path.name, "contender": contender, "what": what, **row}
            yield {"contender": contender, "what": what, **done}


def _drawn(job: Job) -> tuple[list[tuple[str, Photo]], tuple[list[Photo], list[Photo]]]:
    """Return what is asked, by set, and the photos of two catalogs."""
    asked: list[tuple[str, Photo]] = []
    halves: tuple[list[Photo], list[Photo]] = ([], [])
    for data in (job.data, *(load(name, smoke=job.smoke) for name in BESIDE if not job.data.card.rendered)):
        photos = [p for p in data.photos if data.name == "distractors" or p.role != "distractor"]
        known, queries = catalog_of(job.known(photos))
        if data.name in ("seller_reposts", "distractors"):
            known, queries = [], photos
        named = [replace(p, item=f"{p.brand or 'unbranded'}-{p.item}") for p in known]
        ranked = sorted(named, key=lambda p: by_hash(p, "full scan "))
        for half, part in zip(halves, (ranked[::2], ranked[1::2]), strict=True):
            half.extend(part[: 6 if job.smoke else CATALOG])
        queries = [p for p in queries if (p.split == "locked") is job.locked]
        open_ones = sorted(queries, key=lambda p: by_hash(p, "full scan "))
        asked += [(data.name, p) for p in open_ones[: 4 if job.smoke else job.limit or EACH]]
    return asked, halves


def _marks() -> list[dict[str, Any]]:
    """Rows of ``brands.jsonl`` with the open drawings of marks."""
    logos: dict[str, list[dict[str, str]]] = defaultdict(list)
    for p in load("reference_logos").photos if (SHARED / "reference_logos").is_dir() else ():
        if p.split != "locked":
            logos[p.item].append({"path": str(p.path), "kind": "figure"})
    known = [b for b in MARKS if b in logos][:MARKED]
    return [{"brand": b, "name": b, "wordmarks": [b], "logos": logos[b]} for b in known]


def _enlarged(folder: Path, photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return `count` edited copies of some photos, each an item of its own, drawn where they are not there yet."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for number in range(count):
        of = photos[number % len(photos)]
        path = folder / f"{number}.jpg"
        if not path.exists():
            rng = np.random.default_rng(number)
            pixels = cv2.imdecode(np.frombuffer(of.path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            height, width = pixels.shape[:2]
            turn = cv2.getRotationMatrix2D(
                (width / 2, height / 2), float(rng.uniform(-12, 12)), float(rng.uniform(1.1, 1.6))
            )
            turn[:, 2] += rng.uniform(-0.1, 0.1, 2) * (width, height)
            drawn = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
            drawn = np.clip(drawn * rng.uniform(0.7, 1.2, 3) + rng.normal(0, 3, drawn.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])
        copies.append(replace(of, path=path, item=f"{of.item}-{number}"))
    return copies


def _before() -> Path | None:
    """Unpack the earlier commit's code; None, and said so, where this checkout has no history."""
    folder = OUT / "before" / BEFORE
    if not (folder / "imgmatch").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["git", "archive", BEFORE, "imgmatch", "weights"], cwd=REPO, check=False, capture_output=True
        )
        if packed.returncode:
            print(f"full_scan: nothing to compare with: {packed.stderr.decode(errors='replace').strip()}", file=sys.stderr)
            return None
        subprocess.run(["tar", "-x"], cwd=folder, input=packed.stdout, check=True)
        (folder / "weights").rename(folder / "imgmatch" / "weights")  # as it is installed
    return folder


def _emptied(cache: Path, what: str = "*") -> None:
    for old in (*cache.glob(f"{what}.sqlite*"), *cache.glob(f"{what}.db*"), *cache.glob(f"derived/{what}")):
        old.unlink()


def examined(task: dict[str, Any]) -> dict[str, Any]:
    """Examine batch by batch; what is imported here is whatever stands first in the path."""
    from imgmatch import Catalog, Config, Listing, Matcher
    from imgmatch.encoders.store import cache_dir

    try:
        from imgmatch.loading.cache import PhotoCache
    except ImportError:  # the earlier commit
        from imgmatch.cache import PhotoCache  # type: ignore[no-redef]

    folder = Path(f"{task['work']}-catalog{task['catalog']}")
    source = Path(task["sources"][task["catalog"]])
    if not (folder / "manifest.json").is_file():
        Catalog.build(source, folder, encoder="mobilenet-v2")
    try:
        from imgmatch.signals.copy.details import describe
    except ImportError:  # the earlier commit describes photos when it meets them
        pass
    else:
        describe(Catalog.load(folder))
    fusion = {"calibration": "none" if task["what"] == "rules" else "auto"}
    settings = {"fusion": fusion, "scan": {"workers": 1, "batch": 16}}
    cache = PhotoCache(cache_dir() / "photos.sqlite")
    matcher = Matcher(Catalog.load(folder), Config.from_dict(settings), cache=cache)
    spent: defaultdict[str, float] = defaultdict(float)
    for signal in matcher.signals:
        for verb in ("propose", "examine"):
            setattr(signal, verb, _timed(getattr(signal, verb), f"{signal.name}", spent))
    warm = next(p for p in sorted(source.parent.iterdir()) if p.suffix == ".jpg")
    where = "photos" if "photos" in inspect.signature(matcher.examine).parameters else "root"  # as it was called
    if hasattr(matcher, "warm_up"):  # the earlier commit has none: its parts are loaded by the photo alone
        matcher.warm_up()
    matcher.examine(Listing("warm", (warm.name,)), **{where: warm.parent})
    rows, start, clock = [], time.process_time(), time.perf_counter()
    for _, group in itertools.groupby(task["photos"], lambda photo: photo[0]):
        names = [name for _, name in group]
        for part in (names[at : at + BATCH] for at in range(0, len(names), BATCH)):
            spent.clear()
            before = time.process_time()
            records = matcher.examine_batch([Listing(name, (name,)) for name in part], **{where: Path(task["folder"])})
            cpu = round((time.process_time() - before) / len(part), 4)
            by = {name: round(value / len(part), 4) for name, value in sorted(spent.items())}
            for record in records:
                said = [] if record.verdict is None else record.verdict.findings
                told = [[f.signal, f.item_id, f.brand, round(f.value, 3)] for f in said if f.value]
                rows.append({"cpu": cpu, "by": by, "found": told, "status": str(record.status)})
    return {
        "photos": rows,
        "total": time.process_time() - start,
        "seconds": time.perf_counter() - clock,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "catalog_photos": len(matcher.catalog.photos),
    }


def _timed(ask: Any, name: str, spent: defaultdict[str, float]) -> Any:
    def timed(queries: Any) -> Any:
        before = time.process_time()
        try:
            return ask(queries)
        finally:
            spent[name] += time.process_time() - before

    return timed


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    photos = [r for r in rows if "cpu" in r]
    totals = {r["what"]: r for r in rows if r["contender"] == "now" and "total" in r}

    def mean(what: str, contender: str = "now", *sets: str) -> float:
        mine = [r["cpu"] for r in photos if (r["what"], r["contender"]) == (what, contender)
                and r["set"] in (sets or r["set"])]  # fmt: skip
        return float(np.mean(mine)) if mine else float("nan")

    def figure(what: str, value: float, target: str = "", **more: Any) -> scorer.Figure:
        return scorer.Figure(what, value, target=target, form="n", **more)

    cold = [r["by"] for r in photos if (r["what"], r["contender"]) == ("cold", "now")]
    names = sorted({name for by in cold for name in by})
    told = ", ".join(f"{name} {np.mean([by.get(name, 0) for by in cold]):.3f}" for name in names)
    n = len({(r["set"], r["query"]) for r in photos})
    yield figure("default signals, processor seconds a photo", mean("cold"), "<= 0.2", n=n, against=told)
    if any(r["set"] == "distractors" for r in photos):
        yield figure("… of photos with nothing to find", mean("cold", "now", "distractors"), "<= 0.08")
    if any(r["contender"] == BEFORE for r in photos):
        yield figure(f"times less than at {BEFORE}, same photos", mean("cold", BEFORE) / mean("cold"), ">= 4")
    if "large" in totals:
        against = f"of {totals['large']['catalog_photos']:,} photos; known {mean('large again'):.3f}"
        yield figure("… against a large catalog", mean("large"), against=against)
        yield figure("… GiB of memory there", totals["large"]["memory"] / 2**30, "<= 4")
    for what, named, target in (("rules", "other settings of the verdict", ">= 50"), ("catalog", "another catalog", ">= 8")):
        yield figure(f"same photos again, {named}, times as fast", mean("cold") / mean(what), target)
