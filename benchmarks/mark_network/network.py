"""The network as it is trained, in PyTorch; as it runs, see :mod:`imgmatch.vision.marks.network`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional

from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.vision.marks.network import CELL, DEVIATION, DIM, GRID, MEAN, WIDTH

__all__ = ["MarkNetwork", "export"]


class MarkNetwork(nn.Module):
    """The map of a picture, and descriptions of windows of it."""

    def __init__(self) -> None:
        super().__init__()
        ensure_torchvision()
        from torchvision.models import mobilenet_v2

        blocks = mobilenet_v2().features
        self.low, self.high = blocks[:7], blocks[7:14]
        self.lat_low, self.lat_high = nn.Conv2d(32, WIDTH, 1), nn.Conv2d(96, WIDTH, 1)
        self.mix = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU6(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
        self.out = nn.Linear(WIDTH * GRID * GRID, DIM)

    def forward(self, normal: torch.Tensor) -> torch.Tensor:
        """Return the maps (n, `WIDTH`, h / 8, w / 8) of normalised pictures (n, 3, h, w); h and w are multiples of 16."""
        fine = self.low(normal)
        coarse = functional.interpolate(self.lat_high(self.high(fine)), scale_factor=2, mode="bilinear")
        mixed: torch.Tensor = self.mix(self.lat_low(fine) + coarse)
        return mixed

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the maps of pictures in [0, 1]."""
        mean, deviation = (pictures.new_tensor(v)[None, :, None, None] for v in (MEAN, DEVIATION))
        found: torch.Tensor = self((pictures - mean) / deviation)
        return found

    def describe(self, maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (k, `DIM`) of boxes (k, 5): number of the picture, and x0, y0, x1, y1 in its pixels.

        Each of the 5 x 5 cells of a box is the average of 2 x 2 samples of the map (He et al. 2017, arXiv:1703.06870).
        """
        height, width = maps.shape[-2:]
        at = (torch.arange(2 * GRID, device=maps.device) + 0.5) / (2 * GRID)
        x, y = (boxes[:, i, None] + (boxes[:, i + 2] - boxes[:, i])[:, None] * at for i in (1, 2))
        x, y = ((v / CELL - 0.5).clamp(0, most - 1) for v, most in ((x, width), (y, height)))
        left, top = x.floor().long(), y.floor().long()
        right, below = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
        across, down = (x - left)[:, None, :, None], (y - top)[:, :, None, None]
        cells = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
        first = boxes[:, 0].long()[:, None, None] * height * width

        def values(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            return cells[first + rows[:, :, None] * width + columns[:, None, :]]

        above = values(top, left) * (1 - across) + values(top, right) * across
        under = values(below, left) * (1 - across) + values(below, right) * across
        samples = (above * (1 - down) + under * down).view(len(boxes), GRID, 2, GRID, 2, -1)
        return functional.normalize(self.out(samples.mean((2, 4)).permute(0, 3, 1, 2).flatten(1)), dim=1)


def export(network: MarkNetwork, folder: Path) -> None:
    """Write ``network.onnx``, which makes maps, and ``window.safetensors``, which makes vectors, into a folder."""
    network = network.to("cpu").eval()
    axes = {"picture": {2: "height", 3: "width"}, "map": {2: "rows", 3: "columns"}}
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 64, 96),),
        str(folder / "network.onnx"),
        input_names=["picture"],
        output_names=["map"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    weights = {"weight": network.out.weight, "bias": network.out.bias}
    kept = {name: tensor.detach().numpy().astype(np.float16) for name, tensor in weights.items()}
    save_file(kept, folder / "window.safetensors")
