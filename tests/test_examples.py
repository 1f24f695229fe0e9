"""The examples do what they say."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_signal", "100% of the rim of photo-1"),
        ("own_encoder", "bag-3"),
        ("own_index", "bag-2"),
        ("batch_in_a_pipeline", "broken\treview"),
    ],
)
def test_an_example_prints_what_it_promises(
    name: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load(name).main()
    assert says in capsys.readouterr().out


def test_the_client_asks_a_service_and_shows_its_refusal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fastapi")
    from imgmatch import Config, sample
    from tests.test_service_attack import served

    goods = sample()
    (tmp_path / "bag.jpg").write_bytes(goods.photos["copied.jpg"])
    client = load("service_client")
    monkeypatch.setattr("tests.test_service_attack.settings", lambda **_: Config())
    with served(goods.catalog) as (port, _):
        client.main(str(tmp_path / "bag.jpg"), "Halvenne tote, as new", "150 EUR", f"http://127.0.0.1:{port}")
        assert capsys.readouterr().out.startswith("lead\n  Weak contradiction: The photo shows a catalog photo of Halvenne")
        with pytest.raises(RuntimeError, match=r"422: .*listing_id"):
            client.examine([], {"no": "id"}, url=f"http://127.0.0.1:{port}")


def test_the_notebook_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads((EXAMPLES / "first_look.ipynb").read_text("utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert "HALVVENE" in capsys.readouterr().out
    assert (255, 0, 0) in {colour for _, colour in names["shown"].getcolors(1 << 20)}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_an_investigators_day_ends_with_a_case_that_verifies(tmp_path: Path) -> None:
    beside = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [shutil.which("bash") or "bash", str(EXAMPLES / "investigator_day.sh"), str(tmp_path / "day")]
    done = subprocess.run(command, env=beside, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "day" / "case.zip").is_file()
