"""Encoders: photos in, unit vectors of one embedding space out. ``load_encoder`` is the way in."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imgmatch.encoders.base import Encoder
from imgmatch.encoders.registry import known_models
from imgmatch.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from imgmatch.encoders.torch_encoder import TorchEncoder

__all__ = ["Encoder", "load_encoder"]

E = TypeVar("E", bound=Encoder)


def load_encoder(name: str, *, device: str | None = None, cache: str | Path | None = None) -> Encoder:
    """Load an encoder by name, from weights that are on this machine.

    Parameters
    ----------
    name : str
        One of

        - a registry name: ``clip-vit-b32``, ``mobilenet-v2``, … (``imgmatch weights list`` shows them);
        - ``hf-hub:OWNER/MODEL``: any open_clip model of the hub that ``imgmatch weights pull`` fetched;
        - ``local-dir:/path``: a folder with ``open_clip_config.json`` and a weights file;
        - ``open_clip:ARCHITECTURE@/path/model.safetensors`` or ``open_clip:ARCHITECTURE/TAG@/path/…``: any checkpoint;
          the tag, where open_clip knows it, decides preprocessing and activation (QuickGELU);
        - ``onnx:NAME``: what ``imgmatch weights export NAME`` made of one of these, see
          :mod:`imgmatch.encoders.onnx`; always on the CPU;
        - ``onnx-int8:NAME``: likewise, of ``imgmatch weights export NAME --int8``: a space of its own;
        - ``torch:`` and one of these: PyTorch, also where an export would be taken;
        - ``torch-bf16:`` and one of these: PyTorch in bfloat16, a space of its own, see
          :meth:`imgmatch.encoders.torch_encoder.TorchEncoder.in_bfloat16`.

        Another package adds names by an entry point of the group ``imgmatch.encoders``, which loads what makes the encoder.
        ``open_clip:`` and ``local-dir:`` take ``#sha256=HEX`` at the end, obligatory for pickled files (.pt, .pth, .bin).
    device : str, optional
        ``cpu``, ``cuda`` or ``cuda:1``; None takes CUDA where there is one.
    cache : path, optional
        Where weights are kept, see :func:`imgmatch.encoders.store.cache_dir`.

    Returns
    -------
    Encoder

    Raises
    ------
    WeightsError
        If the weights are not here, damaged or not what they should be; says where they were looked for and how to
        provide them.
    ConfigError
        If the name is none of the above.

    Notes
    -----
    On a CPU the plain name loads its fp32 export where there is one in the cache that measured faster than PyTorch on this
    machine (docs/decisions/encoder-runtimes.md): the same space, proved when it was written.

    Never downloads: ``imgmatch weights pull NAME`` (:func:`imgmatch.encoders.store.pull`) does.
    """
    from imgmatch.encoders import onnx

    if name.startswith(("onnx:", "onnx-int8:")):
        return _as_published(onnx.load(name, cache=cache), name.partition(":")[2])
    if name.startswith("torch-bf16:"):
        whole = name.removeprefix("torch-bf16:")
        return _as_published(_torch(whole, device, cache), whole).in_bfloat16(name)
    if name.startswith("torch:"):
        name = name.removeprefix("torch:")
    elif (
        name in known_models()
        and device in (None, "cpu")
        and onnx.preferred(name, cache)
        and (device == "cpu" or not _cuda())
    ):
        return _as_published(onnx.load(f"onnx:{name}", cache=cache, source=lambda: _torch(name, device, cache)), name)
    return _as_published(_torch(name, device, cache), name)


def _cuda() -> bool:
    if sys.platform == "linux" and not any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")):
        return False  # no driver of NVIDIA's, AMD's or WSL's: known without loading PyTorch, which takes a second or two
    import torch

    return torch.cuda.is_available()


def _torch(name: str, device: str | None, cache: str | Path | None) -> TorchEncoder:
    from imgmatch.encoders import store

    model = known_models().get(name)
    if model is not None and model.runtime == "mobilenet":
        from imgmatch.encoders import mobilenet

        encoder: TorchEncoder = mobilenet.load(name, store.require(name, cache), device=device)
    elif added := metadata.entry_points(group="imgmatch.encoders", name=name):
        return next(iter(added)).load()()  # type: ignore[no-any-return]
    elif model is not None or name.startswith(("hf-hub:", "local-dir:", "open_clip:")):
        from imgmatch.encoders import openclip

        encoder = openclip.load(name, device=device, cache=cache)
    else:
        raise ConfigError(
            f"no encoder {name!r}; expected one of {', '.join(known_models())}, or hf-hub:OWNER/MODEL, local-dir:/path, "
            "open_clip:ARCHITECTURE@/path/model.safetensors"
        )
    return encoder


def _as_published(encoder: E, name: str) -> E:
    """Return the encoder, provided its tensors are those that the registry has under this name."""
    model = known_models().get(name)
    if model is not None and model.tensors and encoder.space.weights != model.tensors:
        raise WeightsError(
            f"the tensors of {name} here are not those published under that name "
            f"(hash {encoder.space.weights[:16]}, expected {model.tensors[:16]}); delete the file that "
            f"`imgmatch weights path {name}` names and run `imgmatch weights pull {name}`"
        )
    return encoder
