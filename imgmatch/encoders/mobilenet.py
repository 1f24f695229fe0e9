"""MobileNetV2 trained on ImageNet: the encoder for machines without a model hub. Weaker than CLIP; say so in results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.encoders.store import read_tensors, tensors_sha256
from imgmatch.encoders.torch_encoder import TorchEncoder

__all__ = ["MobileNetEncoder", "load"]

# What torchvision documents for these weights: MobileNet_V2_Weights.IMAGENET1K_V1.transforms().
PREPROCESS = Preprocess(
    size=224,
    fit="crop",
    short_side=256,
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


class MobileNetEncoder(TorchEncoder):
    """Average-pooled last feature map of MobileNetV2, 1280-d (Sandler et al. 2018, arXiv:1801.04381)."""

    # Its first maps are large: 72 to 78 photos/s in chunks of 2 to 4, 63 to 74 of 8, 54 of 32 (one core, AMD EPYC).
    CHUNK: ClassVar[Mapping[str, int]] = {**TorchEncoder.CHUNK, "cpu": 4}

    def tower(self) -> torch.nn.Module:
        return _Tower(self.model)

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x).mean((2, 3))  # type: ignore[no-any-return]


def _maps(layers: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the last map, (n, 1280, 7, 7), and cells of two earlier ones side by side, (n, 14, 14, 96 + 320).

    The ends of the blocks at stride 16 (layer 13: small print, textures) and stride 32 (layer 17: parts), each of unit
    norm per cell, tell packages apart better than the last map does: recall@1 0.81 against 0.67 on the dev half of
    ``python -m benchmarks retrieval``, groceries; either alone 0.46 and 0.71.
    """
    fine = layers[:14](x)
    coarse = layers[14:18](fine)
    normal = torch.nn.functional.normalize
    wide = torch.nn.functional.interpolate(normal(coarse, dim=1), size=fine.shape[2:], mode="nearest")
    return layers[18:](coarse), torch.cat([normal(fine, dim=1), wide], dim=1).permute(0, 2, 3, 1)


class _Tower(torch.nn.Module):
    def __init__(self, features: torch.nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        last, cells = _maps(self.features, x)
        return last.mean((2, 3)), cells


def load(name: str, weights: Path, *, device: str | None, preprocess: Preprocess = PREPROCESS) -> MobileNetEncoder:
    """Build the encoder from torchvision's tensors in a safetensors file."""
    ensure_torchvision()
    import torchvision

    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(read_tensors(weights))
    return MobileNetEncoder(
        model.features,
        name=name,
        architecture="torchvision:mobilenet_v2",
        weights=tensors_sha256(model.state_dict()),
        preprocess=preprocess,
        dim=1280,
        device=device,
    )
