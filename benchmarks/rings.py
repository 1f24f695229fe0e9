"""Are sellers who work together found in a synthetic market, and are honest ones left alone?

Markets are drawn from a seed: gangs whose sellers share their own photos (the same bytes, light edits, heavier edits) and
sometimes a contact, honest resellers who use official photos (some unknown to the catalog), honest sellers with photos of
their own, stock photos that everybody uses, supplier packs that many unrelated sellers use, thieves who take single photos
from others, and a help-desk address that a tenth of all sellers name. Everything is synthetic, and so are the figures: no
photo of the data set is looked at. Pairs are counted from the truth by code of its own. "week" is the time of a run that
adds a twentieth of the listings to a state that has the rest.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

if TYPE_CHECKING:
    from imgmatch.investigate.rings import RingSettings
    from imgmatch.records import ScanRecord

QUESTION = "Are sellers who work together found in a synthetic market?"
DATA = ("rendered",)
SEEDS = {"dev": (1, 2, 3), "test": (101, 102, 103)}
SIZES = (5_000, 20_000)
PLATFORMS = ("shopnow", "vinta", "bazaar")


class Market:
    """A market drawn from a seed.

    Parameters
    ----------
    listings : int
        About how many.
    seed : int

    Attributes
    ----------
    truth : dict of (platform, seller_id) to int
        The gang of each seller who is in one.
    """

    def __init__(self, listings: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = listings
        self.truth: dict[tuple[str, str], int] = {}
        self._photos = 0

    def records(self) -> Iterator[ScanRecord]:
        """Yield the records, gangs first; `find_rings` must not mind the order."""
        rng = self.rng
        official = [[self.photo() for _ in range(3)] for _ in range(max(self.size // 50, 20))]
        in_catalog = rng.random(len(official)) < 0.9
        popularity = 1.0 / np.arange(1, len(official) + 1)
        popularity /= popularity.sum()
        stock = [self.photo() for _ in range(12)]
        packs = [[self.photo() for _ in range(6)] for _ in range(max(self.size // 20_000, 1))]
        lifted = [self.photo() for _ in range(max(self.size // 100, 10))]  # honest photos that others take
        made = seller = 0
        gang = 0
        while made < 0.06 * self.size:
            gang += 1
            contact = f"wechat:gang{gang}" if rng.random() < 0.5 else None
            pool = [self.photo() for _ in range(int(rng.integers(12, 40)))]
            for _ in range(int(rng.integers(3, 11))):
                seller += 1
                key = (PLATFORMS[int(rng.integers(3))], f"s{seller}")
                self.truth[key] = gang
                mine = [p for p in pool if rng.random() < 0.6] or pool[:3]
                for n in range(int(rng.integers(6, 30))):
                    shown = [self.edited(mine[int(i)]) for i in rng.integers(0, len(mine), int(rng.integers(1, 4)))]
                    if rng.random() < 0.15:
                        shown.append(self.edited(lifted[int(rng.integers(len(lifted)))]))
                    known = contact if contact and rng.random() < 0.6 else None
                    yield self.record(key, n, shown, contacts=[known] if known else [])
                    made += 1
        while made < self.size:
            seller += 1
            key = (PLATFORMS[int(rng.integers(3))], f"s{seller}")
            count = int(np.clip(rng.lognormal(2.3, 1.1), 1, 600))
            kind = rng.choice(["own", "official", "mixed"], p=[0.5, 0.25, 0.25])
            pack = packs[int(rng.integers(len(packs)))] if rng.random() < 0.05 else None
            desk = rng.random() < 0.1
            for n in range(count):
                shown, copies = [], []
                if kind == "official" or (kind == "mixed" and rng.random() < 0.4):
                    item = int(rng.choice(len(official), p=popularity))
                    views = official[item][: int(rng.integers(1, 4))]
                    shown = [self.edited(p) for p in views]
                    # The catalog knows nine items of ten, and the scan recognises nineteen of twenty copies.
                    copies = [i for i in range(len(shown)) if in_catalog[item] and rng.random() < 0.95]
                else:
                    shown = [self.photo() for _ in range(int(rng.integers(1, 5)))]
                if rng.random() < 0.05:
                    shown.append(self.edited(stock[int(rng.integers(len(stock)))]))
                if pack and rng.random() < 0.5:
                    shown.append(self.edited(pack[int(rng.integers(len(pack)))]))
                if rng.random() < 0.01:
                    shown.append(self.edited(lifted[int(rng.integers(len(lifted)))]))
                yield self.record(key, n, shown, copies, ["email:help@desk.example"] if desk else [])
                made += 1

    def photo(self) -> tuple[str, bytes]:
        """Return a photo nobody has seen: (sha256, PDQ hash); PDQ sets half of its bits."""
        self._photos += 1
        bits = np.zeros(256, np.uint8)
        bits[self.rng.permutation(256)[:128]] = 1
        return f"{self._photos:064x}", np.packbits(bits).tobytes()

    def edited(self, photo: tuple[str, bytes]) -> tuple[str, bytes]:
        """Return the same bytes (six of ten), a light edit within 10 bits, or a heavier one of 14 to 40."""
        kind = self.rng.random()
        if kind < 0.6:
            return photo
        flips = int(self.rng.integers(0, 11) if kind < 0.85 else self.rng.integers(14, 41))
        bits = np.unpackbits(np.frombuffer(photo[1], np.uint8))
        bits[self.rng.permutation(256)[:flips]] ^= 1
        self._photos += 1
        return f"{self._photos:064x}", np.packbits(bits).tobytes()

    def record(
        self,
        key: tuple[str, str],
        n: int,
        photos: list[tuple[str, bytes]],
        copies: list[int] = (),  # type: ignore[assignment]
        contacts: list[str] = (),  # type: ignore[assignment]
    ) -> ScanRecord:
        from imgmatch.records import Listing, PhotoRecord, ScanRecord
        from imgmatch.types import Basis, Decision, Finding, FindingStatus, Verdict

        rows = tuple(
            PhotoRecord(f"photo-{i}", "listing", f"{sha}.jpg", sha, phash.hex(), 800, 800)
            for i, (sha, phash) in enumerate(photos, 1)
        )
        findings = tuple(Finding("copy", FindingStatus.OK, 0.9, "synthetic", photo_id=f"photo-{i + 1}") for i in copies)
        return ScanRecord(
            Listing(
                f"{key[1]}-{n}", seller_id=key[1], platform=key[0], price="100", currency="EUR", contacts=tuple(contacts)
            ),
            verdict=Verdict(Decision.REVIEW, Basis.NO_CONTRADICTION, findings=findings),
            photos=rows,
        )


def measure(listings: int, seed: int, settings: RingSettings, *, growth: bool = False) -> dict[str, float | int]:
    """Draw a market, find its rings, count pairs of sellers."""
    from imgmatch.investigate.rings import State, find_rings

    market = Market(listings, seed)
    records = list(market.records())
    start = time.perf_counter()
    rings = find_rings(records, contact_key=b"benchmark", settings=settings)
    seconds = time.perf_counter() - start
    week_seconds = 0.0
    if growth:
        state, last = State(contact_key=b"benchmark"), len(records) // 20
        find_rings(records[last:], contact_key=b"benchmark", settings=settings, state=state)
        start = time.perf_counter()
        if find_rings(records[:last], contact_key=b"benchmark", settings=settings, state=state) != rings:
            raise AssertionError("a run that goes on found something else than one run over all")
        week_seconds = time.perf_counter() - start
    found = {
        frozenset(pair) for ring in rings for pair in combinations([(s.platform, s.seller_id) for s in ring.sellers], 2)
    }
    gangs: dict[int, list[tuple[str, str]]] = {}
    for key, gang in market.truth.items():
        gangs.setdefault(gang, []).append(key)
    true = {frozenset(pair) for members in gangs.values() for pair in combinations(members, 2)}
    return {
        "listings": len(records),
        "photos": sum(len(r.photos) for r in records),
        "seed": seed,
        "gangs": len(gangs),
        "rings": len(rings),
        "true_pairs": len(true),
        "found_pairs": len(found),
        "right_pairs": len(true & found),
        "seconds": round(seconds, 2),
        "week_seconds": round(week_seconds, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def run(job: Job) -> Iterator[dict[str, Any]]:
    from imgmatch.investigate.rings import RingSettings

    for part, seeds in SEEDS.items():
        for size in job.size((400,), SIZES[:1], SIZES):
            for seed in seeds[:1] if job.smoke else seeds:
                yield {"split": part, "size": size, **measure(size, seed, RingSettings(), growth=True)}


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    """Precision and recall of pairs of sellers, market by market: a market is what repeats."""
    for size in dict.fromkeys(r["size"] for r in rows):
        mine = [r for r in rows if r["split"] == "test" and r["size"] == size]
        table = [[r["right_pairs"], r["found_pairs"], r["true_pairs"]] for r in mine]
        seconds = np.median([r["seconds"] for r in mine])
        more = f"{len(mine)} markets, {seconds:.1f} s each, a week's more {mine[0]['week_seconds']:.1f} s"
        for name, at in (("precision", 1), ("recall", 2)):
            value = _rate(table, at)
            low, high = scorer.interval(table, range(len(table)), lambda t, at=at: _rate(t, at))
            what = f"pairs of sellers in one ring, market of {size:,} listings: {name}"
            target = ">= 0.99" if at == 1 else ""
            yield scorer.Figure(what, value, low, high, int(sum(r[at] for r in table)), against=more, target=target)


def _rate(table: Any, at: int) -> float:
    sums = np.asarray(table, float).sum(0)
    return float(sums[0] / sums[at]) if sums[at] else float("nan")
