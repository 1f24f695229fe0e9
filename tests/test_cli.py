"""The command line: what it prints, what it writes, how it fails; and what the front door may cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgmatch.apps.cli import app, main
from imgmatch.apps.commands_scan import show_summary
from imgmatch.errors import ConfigError
from imgmatch.scan import ScanSummary
from tests.fakes import GridEncoder, picture, write_tree

REPO = Path(__file__).parents[1]
runner = CliRunner()


@pytest.fixture(autouse=True)
def fast_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("imgmatch.catalog.catalog.load_encoder", lambda name, **_: GridEncoder())
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))


def run(*arguments: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def built(tmp_path: Path) -> Path:
    photos = {f"brand{i % 2}/item{i}/{v}.png": picture(10 * i + v) for i in range(4) for v in range(2)}
    src = write_tree(tmp_path / "src", {**photos, "brand0/item0/broken.jpg": b"x"})
    text = run("catalog", "build", src, "--out", tmp_path / "cat")
    assert "4 items of 2 brands, 8 photos" in text
    assert "1 left out" in text
    assert "brand0/item0/broken.jpg" in text
    return tmp_path / "cat"


def test_a_catalog_that_can_be_calibrated_on_its_own_photos_says_how(tmp_path: Path) -> None:
    src = write_tree(tmp_path / "src", {f"brand/item{n // 2}/{n % 2}.png": picture(n) for n in range(20)})
    said = run("catalog", "build", src, "--out", tmp_path / "cat")
    assert f"imgmatch calibrate --self {tmp_path / 'cat'} --out {tmp_path / 'cat' / 'calibration.json'}" in said


def test_catalog_commands(built: Path, tmp_path: Path) -> None:
    assert "brand1" in run("catalog", "info", built)
    assert "broken.jpg" in run("catalog", "issues", built)
    assert "every file matches its checksum" in run("catalog", "verify", built)
    found = run("catalog", "search", built, tmp_path / "src/brand1/item3/1.png", "-k", 2)
    assert found.index("brand1/item3") < found.index("not a percentage")
    more = write_tree(tmp_path / "more", {"brand9/new/1.png": picture(77)})
    assert "5 items of 3 brands" in run("catalog", "add", built, more)
    other = write_tree(tmp_path / "other", {"brand8/x/1.png": picture(78)})
    assert "calibrate" not in run("catalog", "build", other, "--out", tmp_path / "cat2")
    assert "6 items of 4 brands" in run("catalog", "merge", built, tmp_path / "cat2")
    assert "5 items of 3 brands" in run("catalog", "remove", built, "brand8/x")


def test_verify_fails_on_a_changed_photo(built: Path) -> None:
    photo = next(p for p in (built / "photos").rglob("*") if p.is_file())
    photo.write_bytes(b"other")
    assert "was changed; restore it or build again" in run("catalog", "verify", built, code=1)


def test_scan_writes_everything_and_fail_on_has_its_own_code(built: Path, tmp_path: Path) -> None:
    listings = write_tree(tmp_path / "listings", {"a.png": picture(0), "b.png": picture(500)})
    common = ("scan", listings, "--catalog", built, "--out", tmp_path / "out", "--signals", "design")
    text = run(*common)
    assert "2 listings" in text
    assert "never authentic" in text
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        "records.jsonl",
        "records.csv",
        "report.html",
        "run.json",
        "shards",
    }
    assert "2 from an earlier run" in run(*common)
    counts = json.loads((tmp_path / "out/run.json").read_text())["counts"]
    flagged = counts.get("review", 0) + counts.get("lead", 0)
    run(*common, "--fail-on", "review", code=10 if flagged else 0)
    run(*common, "--fail-on", "lead", code=10 if counts.get("lead") else 0)


def test_fail_on_is_reached(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import Counter

    from imgmatch.scan import ScanSummary

    monkeypatch.setattr("imgmatch.scan.run_scan", lambda *a, **k: ScanSummary(tmp_path, 1, counts=Counter(review=1)))
    common = ("scan", tmp_path, "--catalog", built, "--out", tmp_path / "out")
    run(*common, "--fail-on", "review", code=10)
    run(*common, "--fail-on", "lead", code=0)
    run(*common, "--fail-on", "brand", code=10)
    monkeypatch.setattr(
        "imgmatch.scan.run_scan", lambda *a, **k: ScanSummary(tmp_path, 1, counts=Counter(unjudged=1, clear=1))
    )
    run(*common, "--fail-on", "brand", code=10)
    run(*common, "--fail-on", "review", code=0)
    monkeypatch.setattr("imgmatch.scan.run_scan", lambda *a, **k: ScanSummary(tmp_path, 1, counts=Counter(clear=1)))
    run(*common, "--fail-on", "brand", code=0)


def test_notes_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(ScanSummary(tmp_path, notes=["no records.parquet: pip install 'imgmatch[parquet]'"]))
    assert "imgmatch[parquet]" in capsys.readouterr().out


def test_usage_errors_are_code_2(built: Path, tmp_path: Path) -> None:
    run("scan", tmp_path, code=2)
    run("scan", tmp_path, "--catalog", built, "--out", tmp_path / "o", "--fail-on", "maybe", code=2)
    run("scan", tmp_path, "--catalog", built, "--out", tmp_path / "o", "--set", "url", code=2)


def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["imgmatch", "catalog", "info", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    text = capsys.readouterr().err
    assert "no catalog here" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("signal = ['design']", "unknown key signal"),
        ("signals = 'design'", "signals: expected tuple"),
        ("[scan]\nbatch = 'many'", "scan.batch: expected int"),
        ("signals = ['dessign']", "is called 'dessign'"),
        ("not toml", "not valid TOML"),
    ],
)
def test_config_errors_name_the_key(built: Path, tmp_path: Path, config: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(config)
    result = runner.invoke(
        app, ["scan", str(built), "--catalog", str(built), "--out", str(tmp_path / "o"), "--config", str(path)]
    )
    assert result.exit_code == 1
    assert message in str(result.exception)


def test_the_front_door_is_light() -> None:
    code = (
        "import sys, imgmatch; print(sorted(set(sys.modules) & {'torch', 'faiss', 'numpy', 'PIL', 'cv2', 'typer', 'scipy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_at_the_front_door_opens() -> None:
    import imgmatch

    for name in imgmatch.__all__:
        assert getattr(imgmatch, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        imgmatch.nothing  # noqa: B018


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from imgmatch.apps.cli import app\n"
        "print(sorted(set(sys.modules) & {'torch', 'faiss', 'cv2', 'scipy', 'networkx', 'onnxruntime', 'jinja2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("rings", "records.jsonl", "--out", "r", "--currency", "QQQ"),
        ("case", "s1", "--records", "records.jsonl", "--out", "c.zip", "--currency", "EURO"),
    ],
)
def test_a_currency_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    assert "ISO 4217" in run(*arguments, code=2)


def test_settings_that_no_one_reads_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").touch()
    (tmp_path / "c.toml").write_text("[rates]\nUSD = 0.9\n")  # it is [listing.rates]
    command = ["rings", tmp_path / "r.jsonl", "--out", tmp_path / "r", "--config", tmp_path / "c.toml"]
    with pytest.raises(ConfigError, match="is called 'rates'"):
        runner.invoke(app, [str(a) for a in command], catch_exceptions=False)


def test_a_currency_of_all_listings_is_one(built: Path, tmp_path: Path) -> None:
    assert "ISO 4217" in run("scan", tmp_path, "--catalog", built, "--out", tmp_path / "o", "--set", "currency=RMB", code=2)


def test_the_report_of_a_scan_is_written_again_in_another_language(built: Path, tmp_path: Path) -> None:
    listings = write_tree(tmp_path / "again", {"a.png": picture(3)})
    run("scan", listings, "--catalog", built, "--out", tmp_path / "out", "--signals", "design", "--lang", "zh")
    page = tmp_path / "out" / "report.html"
    assert '<html lang="zh-CN">' in page.read_text("utf-8")
    records = (tmp_path / "out" / "records.jsonl").read_bytes()
    assert str(page) in run("report", tmp_path / "out").replace("\n", "")
    assert '<html lang="en">' in page.read_text("utf-8")
    run("report", tmp_path / "out", "--out", tmp_path / "zh.html", "--lang", "zh")
    assert "扫描报告" in (tmp_path / "zh.html").read_text("utf-8")
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == records
    assert "one of the languages en, zh" in run("report", tmp_path / "out", "--lang", "xx", code=2)
    assert "no records here" in str(runner.invoke(app, ["report", str(tmp_path / "again")]).exception)
