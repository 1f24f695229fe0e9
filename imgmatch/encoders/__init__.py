"""Encoders: photos in, unit vectors of one embedding space out. ``load_encoder`` is the way in."""

from __future__ import annotations

from pathlib import Path

from imgmatch.encoders.base import Encoder
from imgmatch.errors import WeightsError

__all__ = ["Encoder", "load_encoder"]


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
          the tag, where open_clip knows it, decides preprocessing and activation (QuickGELU).

        The last two take ``#sha256=HEX`` at the end, which is obligatory for pickled files (.pt, .pth, .bin).
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
    ValueError
        If the name is none of the above.

    Notes
    -----
    Never downloads: ``imgmatch weights pull NAME`` (:func:`imgmatch.encoders.store.pull`) does.
    """
    from imgmatch.encoders import store
    from imgmatch.encoders.registry import known_models

    model = known_models().get(name)
    if model is not None and model.runtime == "mobilenet":
        from imgmatch.encoders import mobilenet

        encoder: Encoder = mobilenet.load(name, store.require(name, cache), device=device)
    elif model is not None or name.startswith(("hf-hub:", "local-dir:", "open_clip:")):
        from imgmatch.encoders import openclip

        encoder = openclip.load(name, device=device, cache=cache)
    else:
        raise ValueError(
            f"no encoder {name!r}; expected one of {', '.join(known_models())}, or hf-hub:OWNER/MODEL, local-dir:/path, "
            "open_clip:ARCHITECTURE@/path/model.safetensors"
        )
    if model is not None and model.tensors and encoder.space.weights != model.tensors:
        raise WeightsError(
            f"{store.require(name, cache)}: its tensors are not those published as {name} "
            f"(hash {encoder.space.weights[:16]}, expected {model.tensors[:16]}); "
            f"delete it and run `imgmatch weights pull {name}`"
        )
    return encoder
