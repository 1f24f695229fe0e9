"""The progress page: agreement by hand, what operating points need, and a calibration fitted and adopted at the desk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="extra desk")

from imgmatch.apps.desk.progress import progress_of
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.labels import LabelRow


def standing(*rows: tuple[str, str, str]) -> dict[tuple[str, str, str], list[LabelRow]]:
    found: dict[tuple[str, str, str], list[LabelRow]] = {}
    for listing, reviewer, label in rows:
        row = LabelRow(listing, label, reviewer, "2026-01-01", "random" if listing.startswith("r") else "flagged")
        found.setdefault(row.key, []).append(row)
    return found


def shared(n: int, a: str, b: str, start: int = 0) -> list[tuple[str, str, str]]:
    return [(f"{start + i}", who, label) for i in range(n) for who, label in (("ann", a), ("bob", b))]


def test_kappa_by_hand() -> None:
    # 20 both right, 5 and 10 apart, 15 both wrong: observed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    rows = [
        *shared(20, "confirm", "confirm"),
        *shared(5, "confirm", "reject", 20),
        *shared(10, "reject", "confirm", 25),
        *shared(15, "reject", "reject", 35),
    ]
    [agreement] = progress_of(standing(*rows)).agreements
    assert (agreement.first, agreement.second, agreement.shared) == ("ann", "bob", 50)
    assert agreement.same == pytest.approx(0.7)
    assert agreement.kappa == pytest.approx(0.4)


@pytest.mark.parametrize("rows", [shared(9, "confirm", "reject"), shared(30, "reject", "reject")])
def test_too_little_to_say(rows: list[tuple[str, str, str]]) -> None:
    [agreement] = progress_of(standing(*rows)).agreements
    assert agreement.kappa is None


def test_what_operating_points_need() -> None:
    rows = [(f"r{i}", "ann", "reject") for i in range(40)] + [("r99", "ann", "confirm"), ("x", "bob", "reject")]
    progress = progress_of(standing(*rows))
    assert (progress.listings, progress.honest_random, progress.bad_random) == (42, 40, 1)
    assert progress.sampled == {"random": 41, "flagged": 1}
    needs = {name: (needed, missing) for name, _, needed, missing in progress.needs}
    assert needs["fpr_1e-1"] == (30, 0)
    assert needs["fpr_1e-2"] == (300, 260)
    assert needs["fpr_1e-3"] == (3000, 2960)
    assert progress_of({}).agreements == ()


def test_recalibrate_shows_before_and_after_and_adopts_on_a_click(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="extra service")
    pytest.importorskip("httpx2", reason="extra dev")
    from imgmatch.apps.desk.desk import Desk
    from imgmatch.results import Results
    from tests.desk_browser import Browser
    from tests.desk_market import market

    catalog, scan = market(tmp_path, 80)
    ann = Browser(Desk([Results(scan)], catalog=catalog, labels=tmp_path / "labels.csv"))

    def outcome(address: str) -> str:
        for _ in range(400):
            if ann.client.get(f"{address}/state").json()["finished"]:
                return ann.get(address)
            time.sleep(0.05)
        raise TimeoutError(address)

    assert "nobody has decided anything yet" in outcome(ann.post("/recalibrate").headers["location"])
    desk: Desk = ann.client.app.state.desk
    for row in desk.index.rows("SELECT slug, decision FROM listings"):
        label = "confirm" if row["decision"] == "lead" else "reject"
        ann.post(f"/listing/{row['slug']}/decide", label=label, view="?sort=audit&seed=1")
    html = ann.get("/progress")
    assert "80 of 80 listings reviewed" in html
    assert "60 honest, 20 bad" in html
    address = ann.post("/recalibrate").headers["location"]
    shown = outcome(address)
    for text in ("Before", "After", "balanced", "Adopt it"):
        assert text in shown, text
    adopted = catalog.path / "calibration.json"
    assert not adopted.exists()
    assert ann.post("/adopt", job=address.rpartition("/")[2]).headers["location"] == "/progress?said=adopted"
    assert Calibration.load(adopted).fitted_on == "reviews"
    assert desk.decisions.events(what="calibration")[0].reviewer == "ann"
    assert ann.post("/adopt", job="nothing").status_code == 404
