"""Settings: what the documentation shows is what is built in, and the fingerprint sees every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgmatch.config import Config
from imgmatch.errors import ConfigError

DOCS = Path(__file__).parents[1] / "docs" / "config.md"


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    assert block is not None
    path = tmp_path / "c.toml"
    path.write_text(block[1], "utf-8")
    assert Config.load(path) == Config()
    sections = {f"[{k}]" for k, v in Config().to_dict().items() if isinstance(v, dict)}
    assert {line for line in block[1].splitlines() if line.startswith("[")} == sections


def test_every_setting_but_how_to_run_is_in_the_fingerprint() -> None:
    def varied(table: dict, path: tuple[str, ...] = ()):
        for key, value in table.items():
            if isinstance(value, dict) and value:
                yield from varied(value, (*path, key))
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                yield (*path, key), value + 1

    base = Config()
    seen = 0
    for path, value in varied(base.to_dict()):
        table: dict = {path[-1]: value}
        for key in reversed(path[:-1]):
            table = {key: table}
        changed = Config.from_dict(table).fingerprint()
        assert (changed == base.fingerprint()) == (path[0] in ("scan", "service")), path
        seen += 1
    assert seen > 10


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        Config.load(tmp_path / "nothing.toml")
