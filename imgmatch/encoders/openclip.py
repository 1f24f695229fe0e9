"""Everything that open_clip can build: CLIP, SigLIP, MobileCLIP and their kin, from weights on this machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from imgmatch.encoders import store
from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.encoders.torch_encoder import TorchEncoder
from imgmatch.errors import WeightsError
from imgmatch.types import FloatArray

__all__ = ["OpenClipEncoder", "load"]

_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")
_FIT = {"shortest": "crop", "longest": "pad", "squash": "squash"}
_CHECKPOINT = re.compile(
    r"open_clip:(?P<arch>[^/@]+)(/(?P<tag>[^@]+))?@(?P<path>[^#]+)(#sha256=(?P<sha256>[0-9a-fA-F]{64}))?"
)
_FOLDER = re.compile(r"local-dir:(?P<path>[^#]+)(#sha256=(?P<sha256>[0-9a-fA-F]{64}))?")
_LAST_MAP = {"indices": 1, "normalize_intermediates": True}


class OpenClipEncoder(TorchEncoder):
    """The image tower of an open_clip model; the text tower is read when it is first asked for.

    Parameters
    ----------
    model : torch.nn.Module
        The image tower.
    whole : callable
        Returns the whole model, from the same weights.
    tokenizer : callable
        Returns what turns texts into tokens; never asks a network.
    **common
        See :class:`imgmatch.encoders.torch_encoder.TorchEncoder`.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        whole: Callable[[], torch.nn.Module],
        tokenizer: Callable[[], Any],
        **common: Any,
    ) -> None:
        super().__init__(model, **common)
        self._whole, self._make_tokenizer = whole, tokenizer

    @functools.cached_property
    def _text(self) -> Any:
        model: Any = self._whole()
        model.visual = torch.nn.Identity()
        return model.eval().requires_grad_(False).to(self.device, self._weights)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        try:
            return self._make_tokenizer()
        except Exception as error:  # transformers is missing, or its files are
            raise WeightsError(
                f"{self.space.encoder}: its tokenizer cannot be loaded ({str(error).strip().splitlines()[0]}); SigLIP-like "
                "models need pip install 'imgmatch[siglip]' and the tokenizer files beside the weights; photos need neither"
            ) from error

    @torch.inference_mode()
    def encode_text(self, prompts: Sequence[str]) -> FloatArray:
        """Embed texts into the same space: (n, d) float32, unit norm."""
        tokens = self._tokenizer(list(prompts) or [""]).to(self.device)
        with self.precision():
            y = self._text.encode_text(tokens)
        vectors: FloatArray = torch.nn.functional.normalize(y.float(), dim=-1)[: len(prompts)].cpu().numpy()
        return vectors

    def tower(self) -> torch.nn.Module:
        return _Tower(self.model)

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.model(x)
        return y


class _Tower(torch.nn.Module):
    """Cells are the patch tokens after the last block (CNN towers: the last map), without class and register tokens."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.visual.forward_intermediates(x, **_LAST_MAP)
        return out["image_features"], out["image_intermediates"][-1].permute(0, 2, 3, 1)


def load(name: str, *, device: str | None, cache: str | Path | None) -> OpenClipEncoder:
    """Build an encoder from a registry, ``hf-hub:``, ``local-dir:`` or ``open_clip:`` name; see ``load_encoder``."""
    ensure_torchvision()
    import open_clip
    from timm.utils.model import reparameterize_model

    if name.startswith("open_clip:"):
        match = _CHECKPOINT.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r}: expected open_clip:ARCHITECTURE[/TAG]@/path/to/model.safetensors[#sha256=HEX]")
        arch, file = match["arch"], Path(match["path"]).expanduser()
        if open_clip.get_model_config(arch) is None:
            raise ValueError(f"{name!r}: open_clip has no architecture {arch!r}; see open_clip.list_models()")
        options = _options_of_tag(arch, match["tag"])
        sha256, built_from, config = match["sha256"] or "", arch, open_clip.get_model_config(arch)
        config = {**config, **({"quick_gelu": True} if options.get("force_quick_gelu") else {})}
    else:
        match = _FOLDER.fullmatch(name)
        if name.startswith("local-dir:") and match is None:
            raise ValueError(f"{name!r}: expected local-dir:/path/to/folder[#sha256=HEX]")
        folder = Path(match["path"]).expanduser() if match else store.require(name, cache)
        config, file = _config_of_folder(folder), _weights_of_folder(folder)
        sha256, built_from, options = (match["sha256"] or "") if match else "", f"local-dir:{folder}", {}
    store.check_file(file, sha256)

    def whole() -> Any:
        try:
            with _quiet():
                model = open_clip.create_model(built_from, load_weights=False, pretrained_text=False, **options)
            open_clip.load_checkpoint(model, str(file), strict=True, weights_only=True)
        except Exception as error:  # open_clip and torch raise whatever they like on weights that do not fit
            raise WeightsError(f"{file}: cannot be loaded as {built_from}: {str(error).strip().splitlines()[0]}") from error
        return model

    model = whole()
    weights = store.tensors_sha256(model.state_dict())
    reparameterize_model(model.visual, inplace=True)  # MobileCLIP: branches become one convolution, the same function
    return OpenClipEncoder(
        model.visual,
        whole=whole,
        tokenizer=functools.partial(_tokenizer, built_from, config),
        name=name,
        architecture=f"open_clip:{_name_of(config)}",
        weights=weights,
        preprocess=_preprocess(model.visual.preprocess_cfg),
        dim=int(config["embed_dim"]),
        device=device,
    )


def _tokenizer(name: str, config: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a model, from files on this machine alone."""
    import open_clip

    offline = {"local_files_only": True} if config.get("text_cfg", {}).get("hf_tokenizer_name") else {}
    return open_clip.get_tokenizer(name, **offline)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Mute open_clip's warnings that weights are random (for one moment, until ours are loaded), or one of several."""
    root = logging.getLogger()
    root.addFilter(_not_random)
    try:
        yield
    finally:
        root.removeFilter(_not_random)


def _not_random(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("No pretrained weights loaded", "Multiple checkpoints found"))


def _options_of_tag(arch: str, tag: str | None) -> dict[str, Any]:
    """Return what a pretrained tag asks of ``create_model``: its preprocessing and, for OpenAI's weights, QuickGELU."""
    import open_clip

    if not tag:
        return {}
    known = open_clip.get_pretrained_cfg(arch, tag)
    if not known:
        raise ValueError(
            f"open_clip knows no tag {tag!r} of {arch}; it knows {', '.join(open_clip.list_pretrained_tags_by_model(arch))}"
        )
    return {
        "force_quick_gelu": bool(known.get("quick_gelu")),
        "force_preprocess_cfg": {key: known[key] for key in _PREPROCESS_KEYS if known.get(key) is not None},
    }


def _config_of_folder(folder: Path) -> dict[str, Any]:
    file = folder / "open_clip_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))["model_cfg"]
        if not isinstance(config["embed_dim"], int):
            raise KeyError("embed_dim")
    except OSError as error:
        raise WeightsError(
            f"{file}: {error.strerror}; expected a folder with open_clip_config.json and a weights file"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{file}: not an open_clip configuration ({error!r})") from error
    return dict(config)


def _weights_of_folder(folder: Path) -> Path:
    """Return the weights file that open_clip chooses of a folder, by its own function."""
    from open_clip.factory import _find_checkpoint_in_dir

    with _quiet():
        chosen = _find_checkpoint_in_dir(folder)
    if chosen is None:
        raise WeightsError(
            f"{folder}: no weights file; expected open_clip_model.safetensors or another .safetensors, .bin or .pth"
        )
    return Path(chosen)


def _name_of(config: dict[str, Any]) -> str:
    """Return open_clip's name of a configuration, so that one model is one space however it is loaded."""
    import open_clip

    for name in open_clip.list_models():
        if open_clip.get_model_config(name) == config:
            return str(name)
    return "custom-" + hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def _preprocess(config: dict[str, Any]) -> Preprocess:
    size = config["size"]
    if not isinstance(size, int):
        if size[0] != size[1]:
            raise WeightsError(f"expected a model with a square input, got {size}")
        size = int(size[0])
    return Preprocess(
        size=size,
        fit=_FIT[config["resize_mode"]],
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fill=int(config.get("fill_color") or 0),
    )
