"""Calibrating on a catalog's own photos: what is held out, what is made of it, what is refused, what records say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from imgmatch.apps.cli import app
from imgmatch.catalog import Catalog
from imgmatch.config import Config, FusionConfig
from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.errors import CalibrationError
from imgmatch.fit.self_calibration import _forged, _without, held_out, self_examples
from imgmatch.matcher import Matcher
from imgmatch.records import Listing
from imgmatch.verdicts.calibration import Calibration
from tests.fakes import GridEncoder, picture, write_tree

QUICK = Config(signals=("design", "listing"))


def source(root: Path, items: int, photos: int = 2, background: int = 12) -> Path:
    """Write a catalog's source: items of three brands whose views are alike, priced, and unrelated pictures."""
    rows = []
    for i in range(items):
        names = [f"p/{i}-{k}.png" for k in range(photos)]
        write_tree(root, {n: picture(i, (96 + 8 * k, 96)) for k, n in enumerate(names)})
        prices = {"price": 1000 + i, "currency": "EUR", "condition_prices": {"used": 600 + i}}
        rows.append({"item_id": f"item-{i}", "brand": f"brand{i % 3}", "name": f"Item {i}", "photos": names, **prices})
    write_tree(root, {f"background/{i}.png": picture(500 + i) for i in range(background)})
    path = root / "manifest.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("self")
    return Catalog.build(source(root / "source", 12), root / "catalog", encoder=GridEncoder())


def test_half_of_the_views_areheld_out_and_nothing_is_written(catalog: Catalog) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in catalog.path.rglob("*"))
    held = held_out(catalog)
    assert {len(views) for views in held.values()} == {1}
    reduced = _without(catalog, {s for views in held.values() for s in views})
    assert len(reduced.photos) == len(catalog.photos) - 12
    for item_id, (sha,) in held.items():
        assert sha not in reduced.photos
        near = [reduced.photo_ids[i] for i, _ in next(reduced.nearest(catalog.embedding(sha)[None], 50).rows())]
        assert not set(near) & {s for views in held.values() for s in views}
        assert reduced.photos[near[0]].item_id == item_id
    assert sorted((p, p.stat().st_mtime_ns) for p in catalog.path.rglob("*")) == before


def test_examples(catalog: Catalog) -> None:
    examples = self_examples(catalog, QUICK)
    assert len(examples) == 12 + 6 + 12 + 6 + 12  # own, forged, shops, thieves, unrelated
    assert sum(e.positive for e in examples) == 12
    assert all(e.random for e in examples)
    assert len({e.group for e in examples}) == 12 + 12
    priced = [(e.values["price"], e.positive) for e in examples if e.values["price"] is not None and e.brand]
    assert min(v for v, bad in priced if bad) < 0.3  # some of the bad ask what is usual
    assert self_examples(catalog, QUICK, listings=8) == examples[:8]


def test_a_photo_with_nothing_to_alter_is_offered_as_it_is() -> None:
    flat = np.full((120, 160, 3), 250, np.uint8)
    offer = _forged(np.random.default_rng(0), "x", None, flat, "brand")
    assert offer.bad
    assert offer.photo[:2] == b"\xff\xd8"


def test_end_to_end(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgmatch.catalog.catalog.load_encoder", lambda name, **_: GridEncoder())
    settings, out = tmp_path / "quick.toml", tmp_path / "calibration.json"
    settings.write_text('signals = ["design", "listing"]\n')
    asked = ["calibrate", "--self", str(catalog.path), "--out", str(out), "--config", str(settings)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "refused fpr_1e-2" in done.output
    made = Calibration.load(out)
    assert made.fitted_on == "self"
    assert made.prevalence == 0.03
    assert made.space["id"] == catalog.space.id
    matcher = Matcher(catalog, Config(signals=QUICK.signals, fusion=FusionConfig(calibration=str(out))))
    photo = catalog.path.parent / "source" / "p" / "3-1.png"
    record = matcher.examine(Listing("L", photos=(photo.name,), title="brand0 Item 3", price="150 EUR"), photos=photo.parent)
    assert record.verdict is not None
    assert record.verdict.probability is not None
    assert "fitted on the catalog's own photos, forged and not" in (record.verdict.calibration or "")


@pytest.mark.parametrize(("items", "photos"), [(9, 2), (20, 1)], ids=["few items", "one view each"])
def test_a_catalog_that_is_too_small_is_refused(tmp_path: Path, items: int, photos: int) -> None:
    small = Catalog.build(source(tmp_path / "source", items, photos), tmp_path / "catalog", encoder=GridEncoder())
    with pytest.raises(CalibrationError, match="expected at least 10"):
        self_examples(small, QUICK)


def test_self_goes_without_labels(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "--self", str(tmp_path), "--labels", "labels.csv"])
    assert done.exit_code != 0


@pytest.mark.slow
def test_on_a_clip_checkpoint(tmp_path: Path) -> None:
    ensure_torchvision()
    import open_clip
    from safetensors.torch import save_file

    vit = tmp_path / "vit"
    vit.mkdir()
    tower = {"layers": 1, "width": 64, "patch_size": 32}
    text = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    config = {"embed_dim": 32, "vision_cfg": {"image_size": 64, **tower}, "text_cfg": text}
    model = open_clip.CLIP(**config)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, vit / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (vit / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    path, out = tmp_path / "catalog", tmp_path / "catalog" / "calibration.json"
    Catalog.build(source(tmp_path / "source", 12, 3), path, encoder=f"local-dir:{vit}")
    done = CliRunner().invoke(app, ["calibrate", "--self", str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    made = Matcher(Catalog.load(path)).fusion.calibration  # taken by itself
    assert made is not None
    assert "self-calibration" in made.describe()
