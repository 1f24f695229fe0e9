"""Settings: what the documentation shows is what is built in, every setting is checked, and the fingerprint sees it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from imgmatch.config import EFFORTS, Config
from imgmatch.errors import ConfigError
from imgmatch.signals import SIGNALS, default_signals, settings_of

DOCS = Path(__file__).parents[1] / "docs" / "config.md"


def documented(tmp_path: Path) -> Config:
    block = re.search(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    assert block is not None
    path = tmp_path / "c.toml"
    path.write_text(block[1], "utf-8")
    return Config.load(path)


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    config = documented(tmp_path)
    assert {**config.to_dict(), **dict.fromkeys(SIGNALS)} == {**Config().to_dict(), **dict.fromkeys(SIGNALS)}
    settings = {name: settings_of(name, Config()) for name in SIGNALS}
    configurable = [name for name, own in settings.items() if own is not None and set(asdict(own)) - {"effort"}]
    assert set(config.sections) == set(configurable)
    for name in configurable:
        assert settings_of(name, config) == settings_of(name, Config()), name
        shown = asdict(settings_of(name, Config()))
        unset = {key for key, value in shown.items() if value is None} | {"phone_regions", "effort"}
        assert set(config.sections[name]) == set(shown) - unset, name


def numbers(table: dict, path: tuple[str, ...] = ()):
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from numbers(value, (*path, key))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*path, key), value


def test_every_setting_but_how_to_run_is_in_the_fingerprint() -> None:
    base = Config()
    seen = 0
    for path, value in numbers(base.to_dict()):
        table: dict = {path[-1]: value + 1}
        for key in reversed(path[:-1]):
            table = {key: table}
        changed = Config.from_dict(table).fingerprint()
        assert (changed == base.fingerprint()) == (path[0] in ("scan", "service")), path
        seen += 1
    assert seen > 10


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"candidates": 0}, "candidates: expected at least 1, got 0"),
        ({"candidates": "ten"}, "candidates: expected int, got 'ten'"),
        ({"nonsense": 1}, "unknown key nonsense"),
        ({"scan": {"batch": 0}}, r"scan\.batch: expected at least 1"),
        ({"images": {"min_side": True}}, r"images\.min_side: expected int"),
        ({"scan": 3}, "scan: expected a table"),
        ({"desing": {"neighbors": 3}}, "called 'desing'"),
        ({"design": {"neighbours": 3}}, r"unknown key design\.neighbours"),
        ({"effort": "half"}, "effort: expected one of fast, full, thorough, got 'half'"),
        ({"text": {"effort": "fast"}}, r"unknown key text\.effort"),
        ({"listing": {"phone_regions": ["CN"]}}, r"unknown key listing\.phone_regions"),
        ({"logo": {"windows": 3}}, r"unknown key logo\.windows"),
        ({"design": {"neighbors": 0}}, r"design\.neighbors: expected at least 1"),
        ({"listing": {"rates": {"USD": -1.0}}}, r"listing\.rates\.USD: expected"),
        ({"listing": {"rates": {"EURO": 1.0}}}, r"'EURO' is no ISO 4217 code"),
        ({"signals": ["design", "designs"]}, "called 'designs'"),
    ],
)
def test_what_is_wrong_is_named(table: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        default_signals(Config.from_dict(table))


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[text]\nlexicon = "own.toml"\n')
    assert settings_of("text", Config.load(tmp_path / "c.toml")).lexicon == tmp_path / "own.toml"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        Config.load(tmp_path / "nothing.toml")


@pytest.mark.parametrize("name", ["copy", "text", "logo"])
def test_one_effort_is_that_of_every_signal_that_looks_closely(name: str) -> None:
    fast, full = (settings_of(name, Config(effort=effort)).effort for effort in ("fast", "full"))
    assert (fast, full) == (EFFORTS["fast"], EFFORTS["full"])
    for field in ("reading", "keypoints", "proposals"):  # text at 1024 pixels named one more and one falsely
        assert getattr(fast, field) < getattr(full, field) <= getattr(EFFORTS["thorough"], field), field
    assert fast.votes > full.votes > EFFORTS["thorough"].votes
