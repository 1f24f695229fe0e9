"""Where does the thing in this photo differ from the reference, beyond light, focus, compression and viewpoint?

The comparison itself is `differences.py`, the measured facts beside it `measures.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import ImageError
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.signals.base import Signal
from imgmatch.signals.discrepancy.differences import Comparison, agreed, compare
from imgmatch.signals.discrepancy.measures import plate
from imgmatch.signals.discrepancy.settings import DiscrepancyConfig
from imgmatch.types import Candidate, Finding, FindingStatus
from imgmatch.vision.geometry import Points
from imgmatch.vision.marks import MarkIndex, make_reference

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["DiscrepancySignal"]

_VIEWS = 3  # reference photos of an item that are tried
_PHOTOS = 3  # photos of a listing that are examined
_MOST = 0.45  # see DiscrepancySignal
_LOGO = 4.0  # least evidence of a mark whose place on a reference photo is measured: a guess, well above a claim


class DiscrepancySignal(Signal):
    """Compare listing photos with the best reference view of the likeliest items. Finding ``discrepancy``.

    Parameters
    ----------
    catalog : Catalog
    config : DiscrepancyConfig

    Notes
    -----
    ``value = 0.45 * clip((strength - quiet) / (loud - quiet), 0, 1)``: below what the rules count, on purpose. It points a
    person to where to look, and does not speak against a listing: dirt, a tag or hands at another hour differ too.

    ``benchmarks/results/discrepancy.txt``, test: parts altered on real photos, against benign changes of the same photos,
    AUROC 0.889 [0.85, 0.93]; the strongest place hits the altered part in 0.85, a box of its size by chance in 0.11.
    Rendered phone photos of bags and watches against studio photos (23 honest, 54 altered): 0.806 [0.73, 0.88], one honest
    photo above ``quiet``; against the quietest view alone, 0.771 and three. Another angle of the same article: abstained on
    85 of 87 pairs, no alarm. About 0.4 s of one core per item of three reference photos.
    """

    name = "discrepancy"
    Config = DiscrepancyConfig

    def __init__(self, catalog: Catalog, config: DiscrepancyConfig | None = None) -> None:
        self._catalog = catalog
        self.config = DiscrepancyConfig() if config is None else config
        self._lock = threading.Lock()
        self._marks: dict[str, MarkIndex] = {}

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Report, per listing, the photo and item that correspond best and how they differ."""
        return [[self._examine(query)] for query in queries]

    def _examine(self, query: Query) -> Finding:
        seen: list[tuple[Comparison, PhotoContext, Candidate, str]] = []
        for candidate in query.candidates[: self.config.candidates]:
            for photo in query.photos[:_PHOTOS]:
                for sha in self._views(candidate, photo):
                    found = compare(photo, self._catalog.photo(sha))
                    if found is not None:
                        seen.append((found, photo, candidate, sha))
        if not seen:
            reason = "no photo shows a likely item from the same side as one of its reference photos"
            return Finding.abstained(self.name, reason if query.candidates else "no item of the catalog is likely")
        _, photo, candidate, _ = max(seen, key=lambda row: len(row[0].match))
        views = [(row[0], row[3]) for row in seen if row[1:3] == (photo, candidate)]
        found = agreed([c for c, _ in views])
        sha = next(sha for c, sha in views if c.match is found.match)
        return self._finding(photo, candidate, sha, found)

    def _views(self, candidate: Candidate, photo: PhotoContext) -> list[str]:
        """Return the item's reference photos nearest to a photo."""
        item = self._catalog.items[candidate.item_id]
        shas = [s for s in dict.fromkeys((candidate.photo, *item.photos)) if s in self._catalog.photos]
        near = sorted(shas, key=lambda s: -float(photo.embedding @ self._catalog.embedding(s)))
        return [s for s in near if s != photo.sha256][:_VIEWS] if photo.sha256 not in shas else []

    def _logo(self, sha: str, brand: str) -> Points | None:
        """Return where the brand's mark is on a reference photo, original pixels; None where none is seen for sure."""
        with self._lock:
            if brand not in self._marks:
                references = []
                for logo in self._catalog.brands[brand].logos:
                    try:
                        image = self._catalog.photo(logo.photo).image
                        references.append(make_reference(brand, logo.photo, logo.kind, image, logo.box))
                    except (ImageError, ValueError):
                        continue  # a picture without a mark costs this fact alone
                self._marks[brand] = MarkIndex([r for r in references if r.kind != "monogram"])
            index = self._marks[brand]
        photo = self._catalog.photo(sha)
        found = photo.once(index.find) if index.references else []
        return np.array(found[0].polygon()) if found and found[0].evidence >= _LOGO else None

    def _finding(self, photo: PhotoContext, candidate: Candidate, sha: str, found: Comparison) -> Finding:
        quiet, loud = self.config.quiet, self.config.loud
        value = _MOST * float(np.clip((found.strength - quiet) / (loud - quiet), 0.0, 1.0))
        shown = [d for d in found.differences if d.strength > quiet]
        regions = []
        for number, d in enumerate(shown, 1):
            for on, polygon in (("query", d.query_polygon), ("reference", d.reference_polygon)):
                regions.append({"on": on, "polygon": _rounded(polygon), "label": f"difference {number}"})
        step = -(-len(found.match) // 60)
        facts: dict[str, Any] = {
            "points matched in both photos": len(found.match),
            "strongest difference in standard deviations of the rest": round(found.strength, 1),
        }
        if shown:
            facts["colour difference there in CIEDE2000"] = round(shown[0].color, 1)
        logo = self._logo(sha, candidate.brand) if candidate.brand in self._catalog.brands else None
        beside = plate(photo.image, self._catalog.photo(sha).image, found.match.transform, logo) if logo is not None else ()
        places = "one place" if len(shown) == 1 else f"{len(shown)} places"
        reason = (
            f"laid on the reference photo, it differs in {places} more than light and viewpoint explain"
            if shown
            else "laid on the reference photo, nothing differs more than light and viewpoint explain"
        )
        return Finding(
            self.name,
            FindingStatus.OK,
            round(value, 4),
            reason,
            photo_id=photo.photo_id,
            item_id=candidate.item_id,
            brand=candidate.brand,
            evidence={
                "reference_photo": sha,
                "regions": regions,
                "matches": _rounded(np.c_[found.match.query_xy, found.match.reference_xy][::step]),
                "transform": [[float(f"{x:.8g}") for x in row] for row in found.match.transform],
                "heatmap": {
                    "polygon": _rounded(found.query_polygon),
                    "values": [[round(float(v), 3) for v in row] for row in found.heatmap],
                },
                "measures": [m.words() for m in (*found.measures, *beside)],
                "facts": facts,
            },
        )


def _rounded(points: npt.ArrayLike) -> list[list[float]]:
    return [[round(float(v), 1) for v in row] for row in np.asarray(points)]
