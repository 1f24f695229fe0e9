"""Exported encoders: parity with their source, spaces, conformance, and files that are not what was exported."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from imgmatch import encoders
from imgmatch.apps import commands_weights
from imgmatch.apps.cli import app
from imgmatch.encoders import load_encoder, onnx, store
from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.encoders.base import Encoder
from imgmatch.encoders.onnx_export import export
from imgmatch.encoders.onnx_int8 import LEAST_PHOTOS
from imgmatch.encoders.registry import known_models
from imgmatch.errors import MissingExtraError, WeightsError
from imgmatch.testing import check_encoder
from imgmatch.types import Image

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

CONFIG = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {
        "mean": (0.5, 0.4, 0.3),
        "std": (0.3, 0.25, 0.2),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


def pictures(n: int, side: int = 90) -> list[Image]:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (n, 9, 9, 3), dtype=np.uint8)
    return [
        Image(np.kron(c, np.ones((side // 9, side // 9, 1), np.uint8)), str(i), "", side, side, "RAW")
        for i, c in enumerate(coarse)
    ]


def clip_folder(folder: Path, seed: int = 7) -> Path:
    """Write a small CLIP with random weights in open_clip's own format."""
    ensure_torchvision()
    import open_clip

    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(f"local-dir:{clip_folder(tmp_path_factory.mktemp('clip') / 'model')}", device="cpu")


@pytest.fixture(scope="module")
def cache(source: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the export of the small CLIP as ``small``."""
    cache = tmp_path_factory.mktemp("cache")
    export(source, onnx.export_folder("small", cache), photos=pictures(4))
    return cache


@pytest.fixture
def own(cache: Path, tmp_path: Path) -> Path:
    """A copy of that cache that a test may damage."""
    shutil.copytree(cache, tmp_path / "cache")
    return tmp_path / "cache"


# Parity and spaces


def test_fp32_is_its_sources_space_and_gives_its_vectors(source: Encoder, cache: Path) -> None:
    exported = load_encoder("onnx:small", cache=cache)
    assert exported.space == source.space
    photos = pictures(7)
    assert (exported.encode(photos) * source.encode(photos)).sum(1).min() >= onnx.PARITY
    assert np.abs(exported.encode_dense(photos)[1] - source.encode_dense(photos)[1]).max() < 1e-3


def test_exports_conform(cache: Path) -> None:
    check_encoder(load_encoder("onnx:small", cache=cache))


def test_the_manifest_says_what_was_measured(cache: Path) -> None:
    told = json.loads((onnx.export_folder("small", cache) / onnx.MANIFEST).read_text())
    parity = told["parity"]
    assert parity["photos"] == 4
    assert parity["onnx"]["cosine_min"] >= onnx.PARITY
    assert parity["onnx"]["cells_cosine_min"] >= onnx.PARITY
    assert min(parity[k]["photos_per_s"] for k in ("torch", "onnx")) > 0
    assert told["faster"] == (parity["onnx"]["photos_per_cpu_s"] >= 1.1 * parity["torch"]["photos_per_cpu_s"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-v2", "ViT-B-32"])
def test_the_models_of_the_registry_export(name: str, tmp_path: Path) -> None:
    ensure_torchvision()
    import open_clip
    import torchvision

    torch.manual_seed(3)
    model = torchvision.models.mobilenet_v2() if name == "mobilenet-v2" else open_clip.create_model(name)
    file = tmp_path / "model.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
    if name == "mobilenet-v2":
        from imgmatch.encoders import mobilenet

        encoder: Encoder = mobilenet.load(name, file, device="cpu")
    else:
        encoder = load_encoder(f"open_clip:{name}@{file}", device="cpu")
    told = export(encoder, tmp_path / "export", photos=pictures(4, 270))
    assert told["parity"]["onnx"]["cosine_min"] >= onnx.PARITY
    exported = load_encoder(f"onnx:{tmp_path / 'export'}#sha256={store.sha256_of(tmp_path / 'export' / onnx.MANIFEST)}")
    check_encoder(exported, tolerance=1e-3)


# int8


@pytest.fixture(scope="module")
def small(source: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the int8 export of the small CLIP."""
    cache = tmp_path_factory.mktemp("int8")
    export(source, onnx.export_folder("small", cache, int8=True), photos=pictures(LEAST_PHOTOS), int8=True)
    return cache


def test_int8_is_near_its_source_in_a_space_of_its_own(source: Encoder, small: Path) -> None:
    import onnx as onnx_format

    exported = load_encoder("onnx-int8:small", cache=small)
    assert (exported.space.encoder, exported.space.weights) == (f"onnx-int8:{source.space.encoder}", source.space.weights)
    assert exported.space.numeric.startswith("static int8, ")
    assert exported.space.id != source.space.id
    photos = pictures(7)
    assert onnx.ALIKE <= (exported.encode(photos) * source.encode(photos)).sum(1).mean() < 1.0 - 1e-6
    check_encoder(exported)
    nodes = onnx_format.load(str(onnx.export_folder("small", small, int8=True) / onnx.MODEL)).graph.node
    rounded = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    products = [any(name in rounded for name in node.input) for node in nodes if node.op_type in ("Conv", "MatMul", "Gemm")]
    first = next(node for node in nodes if node.op_type == "Conv")
    assert sum(products) >= 8  # four for each of two layers
    assert not set(first.input) & rounded


def test_two_calibrations_are_two_spaces(source: Encoder, small: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "other", photos=pictures(LEAST_PHOTOS + 1)[1:], int8=True)
    told = [
        json.loads((f / onnx.MANIFEST).read_text())
        for f in (onnx.export_folder("small", small, int8=True), tmp_path / "other")
    ]
    assert told[0]["space"]["numeric"] != told[1]["space"]["numeric"]
    assert [each["parity"]["photos"] for each in told] == [64, 64]  # of 100 and of 101


@pytest.mark.parametrize(
    ("photos", "limits", "error", "says"),
    [
        (LEAST_PHOTOS - 1, {}, ValueError, "expected at least 100 photos to calibrate"),
        (LEAST_PHOTOS, {"ALIKE": 1.1}, WeightsError, "mean cosine"),
        (LEAST_PHOTOS, {"FALL": -1.0}, WeightsError, "less is allowed"),
    ],
)
def test_int8_that_is_another_model_is_not_written(
    photos: int, limits: dict[str, float], error: type[Exception], says: str, source: Encoder, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in limits.items():
        monkeypatch.setattr(onnx, name, value)
    with pytest.raises(error, match=says):
        export(source, tmp_path / "export", photos=pictures(photos), int8=True)
    assert not list(tmp_path.iterdir())


def test_an_int8_export_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="imgmatch weights export mobilenet-v2 --int8 --photos FOLDER"):
        load_encoder("onnx-int8:mobilenet-v2", cache=tmp_path)
    done = CliRunner().invoke(app, ["weights", "export", "mobilenet-v2", "--int8"])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("parity", "says"),
    [
        ({"onnx": {"cosine_mean": 0.995, "recall": 0.91}, "torch": {"recall": 0.92}}, ""),
        ({"onnx": {"cosine_mean": 0.98, "recall": 0.92}, "torch": {"recall": 0.92}}, "mean cosine 0.98"),
        ({"onnx": {"cosine_mean": float("nan"), "recall": 0.92}, "torch": {"recall": 0.92}}, "mean cosine nan"),
        ({"onnx": {"cosine_mean": 0.995, "recall": 0.90}, "torch": {"recall": 0.92}}, "recall 0.900, 0.920 before"),
        ({"onnx": {"cosine_mean": 0.995, "recall": float("nan")}, "torch": {"recall": 0.92}}, "recall nan"),
    ],
)
def test_what_int8_lacks_is_said(parity: dict[str, dict[str, float]], says: str, source: Encoder) -> None:
    space = replace(source.space, numeric="static int8, 0")
    assert onnx.lacking(space, parity).startswith(says)
    assert bool(onnx.lacking(space, parity)) == bool(says)


# Which runtime a plain name means


def test_the_plain_name_loads_what_measured_faster(
    source: Encoder, cache: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = onnx.export_folder("clip-vit-b32", own)
    shutil.copytree(onnx.export_folder("small", own), folder)
    monkeypatch.setattr(encoders, "_torch", lambda name, device, cache: source)
    told = json.loads((folder / onnx.MANIFEST).read_text())
    for faster, kind in ((True, onnx.OnnxEncoder), (False, type(source))):
        (folder / onnx.MANIFEST).write_text(json.dumps({**told, "faster": faster}))
        assert type(load_encoder("clip-vit-b32", device="cpu", cache=own)) is kind
        assert load_encoder("torch:clip-vit-b32", device="cpu", cache=own) is source
    (folder / onnx.MANIFEST).write_text(json.dumps({**told, "faster": True}))
    whole = load_encoder("clip-vit-b32", device="cpu", cache=own)
    assert np.array_equal(whole.encode_text(["a bag"]), source.encode_text(["a bag"]))


@pytest.fixture
def exported(source: Encoder, own: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders exported to by `weights pull`, for which the small CLIP goes by any name."""
    monkeypatch.setenv("IMGMATCH_CACHE", str(own))
    monkeypatch.setattr(store, "pull", lambda name, **_: store.places(name)[0])
    monkeypatch.setattr(encoders, "_torch", lambda name, device, cache: source)
    monkeypatch.setattr(encoders, "_as_published", lambda encoder, name: encoder)
    folders: list[Path] = []

    def export_small(_: Encoder, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(onnx.export_folder("small"), folder)
        folders.append(folder)

    monkeypatch.setattr(commands_weights, "_exported", export_small)
    return folders


def declare(name: str, **change: object) -> None:
    """Change the manifest of an export."""
    manifest = onnx.export_folder(name) / onnx.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))


def pulled(name: str) -> str:
    done = CliRunner().invoke(app, ["weights", "pull", name])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_pulling_exports_the_model_that_onnx_runs_faster(exported: list[Path]) -> None:
    for name in ("mobilenet-v2", "clip-vit-b32", "hf-hub:owner/model"):
        pulled(name)
    assert exported == [onnx.export_folder("mobilenet-v2")]
    for faster in (True, False):
        declare("mobilenet-v2", faster=faster)
        pulled("mobilenet-v2")
        assert len(exported) == 1, "it is there already, whatever it measured"


@pytest.mark.parametrize("damage", ["model", "manifest"])
def test_pulling_again_mends_a_damaged_export(damage: str, exported: list[Path]) -> None:
    pulled("mobilenet-v2")
    declare("mobilenet-v2", faster=True, **({"space": None} if damage == "manifest" else {}))
    if damage == "model":
        (exported[0] / onnx.MODEL).write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="run `imgmatch weights export mobilenet-v2` again"):
        load_encoder("mobilenet-v2", device="cpu")
    pulled("mobilenet-v2")
    assert load_encoder("onnx:mobilenet-v2").space.dim == 24


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MissingExtraError("exporting models", "onnx"), "pip install 'imgmatch[onnx]', then `imgmatch weights pull mobilen"),
        (WeightsError("least cosine 0.99"), "least cosine 0.99"),
        (OSError(28, "No space left on device"), "No space left"),
        (RuntimeError("an operator is not supported"), "an operator is not supported"),
    ],
)
def test_weights_are_pulled_though_the_export_fails(
    error: Exception, says: str, exported: list[Path], source: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    pulled("mobilenet-v2")
    declare("mobilenet-v2", faster=True)
    (exported[0] / onnx.MODEL).write_bytes(b"cut short")
    monkeypatch.setattr(commands_weights, "_exported", fail)
    answer = pulled("mobilenet-v2")
    assert "mobilenet-v2 will run on PyTorch" in answer
    assert says in answer
    assert load_encoder("mobilenet-v2", device="cpu") is source


def test_of_two_pulls_at_once_one_exports(exported: list[Path], source: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=20)  # both load their source: neither has found an export

    def load_torch(*_: object) -> Encoder:
        both.wait()
        return source

    monkeypatch.setattr(encoders, "_torch", load_torch)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(commands_weights.pull, ["mobilenet-v2"] * 2))
    assert len(exported) == 1


def test_other_tensors_under_a_published_name_are_refused(own: Path) -> None:
    assert known_models()["mobilenet-v2"].tensors
    shutil.copytree(onnx.export_folder("small", own), onnx.export_folder("mobilenet-v2", own))
    with pytest.raises(WeightsError, match="not those published"):
        load_encoder("onnx:mobilenet-v2", cache=own)


@pytest.mark.slow
def test_the_command_exports_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", str(tmp_path / "cache"))
    name = f"local-dir:{clip_folder(tmp_path / 'model')}"
    done = CliRunner().invoke(app, ["weights", "export", name])
    assert done.exit_code == 0, done.output
    assert "cosine at least" in done.output
    assert load_encoder(f"onnx:{name}").encode(pictures(1)).shape == (1, 24)
    missing = CliRunner().invoke(app, ["weights", "export", name, "--photos", str(tmp_path / "cache")])
    assert missing.exit_code == 2


# What is refused


@pytest.mark.slow
def test_a_source_without_parity_is_not_written(source: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "PARITY", 1.1)
    with pytest.raises(WeightsError, match="not its source's"):
        export(source, tmp_path / "export", photos=pictures(2))
    assert not list(tmp_path.iterdir())


def test_only_pytorch_encoders_are_exported(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a PyTorch encoder"):
        export(load_encoder("onnx:small", cache=cache), tmp_path / "again")


@pytest.mark.parametrize(("at", "says"), [(100, "damaged"), (-1, "damaged")])
def test_a_flipped_byte_is_noticed_before_parsing(at: int, says: str, own: Path) -> None:
    file = onnx.export_folder("small", own) / "model.onnx"
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=says):
        load_encoder("onnx:small", cache=own)


def test_data_in_other_files_is_refused_though_the_checksum_is_right(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx as onnx_format

    folder = onnx.export_folder("small", own)
    model = onnx_format.load_model(str(folder / "model.onnx"))
    secret = own / "secret"
    secret.write_bytes(bytes(64))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx_format.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../secret")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    told = json.loads((folder / onnx.MANIFEST).read_text())
    told["sha256"] = store.sha256_of(folder / "model.onnx")
    (folder / onnx.MANIFEST).write_text(json.dumps(told))
    parsed = []
    monkeypatch.setattr(onnx, "session", lambda *args: parsed.append(args))
    with pytest.raises(WeightsError, match="other files"):
        load_encoder("onnx:small", cache=own)
    assert not parsed


def test_a_folder_from_elsewhere_needs_a_checksum(own: Path) -> None:
    folder = onnx.export_folder("small", own)
    with pytest.raises(WeightsError, match="add #sha256"):
        load_encoder(f"onnx:{folder}")
    with pytest.raises(WeightsError, match="not the export that was meant"):
        load_encoder(f"onnx:{folder}#sha256={'0' * 64}")
    assert load_encoder(f"onnx:{folder}#sha256={store.sha256_of(folder / onnx.MANIFEST)}").space.dim == 24


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"space": None}, "not the manifest"),
        ({"format": 0}, "another version"),
        ({"sha256": {}}, "not the manifest"),
        ({"parity": {"onnx": {"cosine_min": 0.99}}}, "no parity"),
        ({"parity": {"onnx": {"cosine_min": float("nan")}}}, "no parity"),
        ({"preprocess": {"size": 64, "fit": "pad", "interpolation": "bicubic", "mean": [0], "std": [1]}}, "preprocessing"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(change: dict[str, object], says: str, own: Path) -> None:
    manifest = onnx.export_folder("small", own) / onnx.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(WeightsError, match=says):
        load_encoder("onnx:small", cache=own)


def test_a_missing_export_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="imgmatch weights export mobilenet-v2"):
        load_encoder("onnx:mobilenet-v2", cache=tmp_path)
    with pytest.raises(ValueError, match="expected onnx:NAME"):
        load_encoder("onnx:")


def test_arrays_of_another_shape_are_refused(cache: Path) -> None:
    with pytest.raises(ValueError, match="as prepare"):
        load_encoder("onnx:small", cache=cache).encode([np.zeros((3, 3, 3), np.uint8)])


def test_idle_threads_of_the_runtime_sleep_and_memory_for_any_size_is_given_back(own: Path) -> None:
    model = onnx.export_folder("small", own) / "model.onnx"
    for any_size in (False, True):
        options = onnx.session(model, any_size=any_size).get_session_options()
        assert (options.enable_cpu_mem_arena, options.intra_op_num_threads) == (not any_size, 1)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
