"""What the wheel holds is what the tree holds, and the drawing of the rooms names every room."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_every_package_is_in_the_wheel() -> None:
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "imgmatch").rglob("__init__.py")}
    assert set(lines(config()["options"]["packages"])) == found | {"imgmatch.weights"}


def test_every_data_file_is_in_the_wheel() -> None:
    data = {name: set(lines(globs)) for name, globs in config()["options.package_data"].items()}
    for path in (ROOT / "imgmatch").rglob("*"):
        if path.suffix in (".py", ".pyc") or not path.is_file() or "__pycache__" in path.parts:
            continue
        named = [
            pattern
            for folder in path.relative_to(ROOT).parents
            for pattern in data.get(".".join(folder.parts), ())
            if path in (ROOT / folder).glob(pattern)
        ]
        assert named, f"{path} is in no package_data"


def test_the_import_contract_names_every_room() -> None:
    layers = lines(config()["importlinter:contract:layers"]["layers"])
    named = {room.strip() for layer in layers for room in layer.replace(":", "|").split("|")}
    rooms = {p.stem for p in (ROOT / "imgmatch").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert named >= rooms - {"__init__", "schemas"}
