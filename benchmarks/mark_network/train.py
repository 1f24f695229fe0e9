"""Train the network that describes windows, on random scenes of the bank.

    python -m benchmarks.mark_network.train --bank FILE --seconds N --out DIR [--begin FILE]

Two scenes of each of 768 marks a step: the descriptions of one mark attract each other, those of other marks and of other
windows of all scenes repel (van den Oord et al. 2018, arXiv:1807.03748). Written are ``network.onnx`` and
``window.safetensors``, as the library reads them, and ``begin.safetensors``, from which training goes on. Learning rates,
shares and limits are guesses. What the two runs that made the shipped weights were given is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from benchmarks.mark_network.bank import Bank, read
from benchmarks.mark_network.marks import Marks
from benchmarks.mark_network.network import MarkNetwork, export
from benchmarks.mark_network.scenes import View, elsewhere, jittered, scenes
from imgmatch.encoders.store import read_tensors, require

__all__ = ["Contrast", "Settings", "begin_anew", "go_on", "held_out", "train", "write"]

FILES, PHOTOS = View(plain=0.25), View(plain=0.04)
"""The two scenes of a mark: more often as a file of it, and mostly as a photo."""

OVERLAP = 0.25
"""Windows elsewhere that share more with a mark than this (intersection over union) do not count."""

SIZES = ((24.0, 40.0), (40.0, 64.0), (64.0, 130.0))
"""Longer sides in pixels of the marks in photos that :func:`held_out` asks about."""


@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    seconds : float
        How long; the learning rates fall along half a cosine to a fiftieth.
    rates : tuple of float
        Highest learning rates of the first blocks, the layers after them, and the sharpness of the softmax.
    marks : int
        A step; scenes are twice as many.
    windows : int
        Windows beside the mark's, a scene.
    bent : float
        See `View`.
    steps : int or None
        Ends the training earlier.
    """

    seconds: float
    rates: tuple[float, float, float] = (4e-4, 1.5e-3, 2e-3)
    marks: int = 768
    windows: int = 4
    bent: float = 0.35
    steps: int | None = None


class Contrast(nn.Module):
    """The network, and how sharply its similarities are told apart.

    Parameters
    ----------
    network : MarkNetwork
    """

    def __init__(self, network: MarkNetwork) -> None:
        super().__init__()
        self.network = network
        self.logit = nn.Parameter(torch.tensor(2.7))

    def describe(self, pictures: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (k * n, 128) of windows (k, n, 4) of pictures (n, 3, h, w)."""
        on_gpu = pictures.device.type == "cuda"  # few processors compute in bfloat16; the others take ten times as long
        with torch.autocast(pictures.device.type, dtype=torch.bfloat16, enabled=on_gpu):
            maps = self.network.maps(pictures.contiguous(memory_format=torch.channels_last))
        number = torch.arange(len(pictures), device=pictures.device).float()[:, None]
        return self.network.describe(maps.float(), torch.cat([torch.cat([number, w], dim=1) for w in windows]))

    def loss(self, asked: torch.Tensor, shown: torch.Tensor, apart: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return how badly marks are told from each other (n, both) and from windows elsewhere (k) that count."""
        similar = torch.cat([asked @ shown.T, (asked @ apart.T).masked_fill(~counts, -100.0)], dim=1)
        right = torch.arange(len(asked), device=asked.device)
        return functional.cross_entropy(similar * self.logit.exp().clamp(max=100), right)


def begin_anew() -> Contrast:
    """Return a network whose first blocks have learnt ImageNet: MobileNetV2, as `imgmatch weights pull` fetches it."""
    network = MarkNetwork()
    tensors = read_tensors(require("mobilenet-v2"))
    for blocks in (network.low, network.high):  # parts of a sequence keep the numbers that they had there
        blocks.load_state_dict({name: tensors[f"features.{name}"] for name in blocks.state_dict()})
    return Contrast(network)


def go_on(path: Path) -> Contrast:
    """Return what an earlier training has left to begin with."""
    learner = Contrast(MarkNetwork())
    learner.load_state_dict(load_file(path))
    return learner


def train(bank: Bank, learner: Contrast, settings: Settings) -> Iterator[float]:
    """Train in place, and yield the loss of each step; at the end the learner has the running average of its weights.

    Parameters
    ----------
    bank : Bank
    learner : Contrast
        On the device of the bank.
    settings : Settings
    """
    averages = deepcopy(learner.state_dict())
    network = learner.network
    slow = [*network.low.parameters(), *network.high.parameters()]
    fast = [p for layer in (network.lat_low, network.lat_high, network.mix, network.out) for p in layer.parameters()]
    groups: list[dict[str, Any]] = [{"params": slow}, {"params": fast}, {"params": [learner.logit], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    learner.eval()  # batch normalisations keep the means and deviations that they have
    others, began, step = Marks(bank, settings.marks), time.monotonic(), 0
    while (done := (time.monotonic() - began) / settings.seconds) < 1 and step != settings.steps:
        factor = min(1, step / 150) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        for group, rate in zip(optimiser.param_groups, settings.rates, strict=True):
            group["lr"] = rate * factor
        marks = Marks(bank, settings.marks)
        loss = _loss(learner, bank, marks, others, settings)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimiser.step()
        _follow(averages, learner, min(0.998, (1 + step) / (10 + step)))
        others, step = marks, step + 1
        yield loss.item()
    learner.load_state_dict(averages)


def _loss(learner: Contrast, bank: Bank, marks: Marks, others: Marks, settings: Settings) -> torch.Tensor:
    found, apart, counts = [], [], []
    for view in (FILES, PHOTOS):
        with torch.no_grad():
            pictures, boxes = scenes(bank, marks, others, replace(view, bent=settings.bent))
            beside, overlaps = zip(*(elsewhere(boxes) for _ in range(settings.windows)), strict=True)
            windows = torch.stack([jittered(boxes), *beside])
        vectors = learner.describe(pictures, windows)
        found.append(vectors[: len(marks)])
        apart.append(vectors[len(marks) :])
        counts.append(torch.cat(overlaps) <= OVERLAP)
    away, count = torch.cat(apart), torch.cat(counts)
    as_file, as_photo = found
    return (learner.loss(as_file, as_photo, away, count) + learner.loss(as_photo, as_file, away, count)) / 2


@torch.no_grad()
def _follow(averages: dict[str, torch.Tensor], learner: nn.Module, keep: float) -> None:
    for name, tensor in learner.state_dict().items():
        if tensor.dtype.is_floating_point:
            averages[name].lerp_(tensor, 1 - keep)


@torch.no_grad()
def held_out(bank: Bank, learner: Contrast, count: int) -> Iterator[tuple[float, float, float, float]]:
    """Ask files of marks, whose icons and words training never saw, where photos show them.

    Grounds and stamps are those of the training, and the same company's icon may be in another set under another number.

    Parameters
    ----------
    bank : Bank
    learner : Contrast
    count : int
        Marks.

    Yields
    ------
    tuple of float
        Smallest and largest side of the marks in the photos; share of files whose nearest mark is their own; share of
        marks that are nearer to their file than all but one in 10,000 pairs of a file and a window without a mark.
    """
    learner.eval()
    others = Marks(bank, count)
    for smallest, largest in SIZES:
        marks = Marks(bank, count, held_out=True)
        pictures, boxes = scenes(bank, marks, others, View(plain=0.5, smallest=64.0))
        files = learner.describe(pictures, boxes[None])
        pictures, boxes = scenes(bank, marks, others, View(plain=0.0, smallest=smallest, largest=largest))
        similar = files @ learner.describe(pictures, jittered(boxes)[None]).T
        windows, overlaps = zip(*(elsewhere(boxes) for _ in range(2)), strict=True)
        away = learner.describe(pictures, torch.stack(windows))[torch.cat(overlaps) < 0.2]
        wrong = (files @ away.T).flatten()
        limit = wrong.topk(max(len(wrong) // 10_000, 1)).values[-1]
        nearest = similar.argmax(1) == torch.arange(count, device=bank.device)
        yield smallest, largest, float(nearest.float().mean()), float((similar.diag() > limit).float().mean())


def write(learner: Contrast, folder: Path) -> None:
    """Write what the library reads, and ``begin.safetensors``, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    learner = deepcopy(learner).to("cpu").eval()
    save_file({name: tensor.contiguous() for name, tensor in learner.state_dict().items()}, folder / "begin.safetensors")
    export(learner.network, folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mark_network.train", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin", type=Path, help="begin.safetensors of an earlier training; else ImageNet's weights")
    parser.add_argument("--rates", type=float, nargs=3, default=Settings.rates, metavar="RATE")
    parser.add_argument("--marks", type=int, default=Settings.marks)
    parser.add_argument("--windows", type=int, default=Settings.windows)
    parser.add_argument("--bent", type=float, default=Settings.bent)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    bank = read(asked.bank).to(asked.device)
    learner = go_on(asked.begin) if asked.begin else begin_anew()
    learner = learner.to(asked.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = Settings(asked.seconds, tuple(asked.rates), asked.marks, asked.windows, asked.bent)
    for step, loss in enumerate(train(bank, learner, settings), start=1):
        if step < 3 or step % 50 == 0:
            print(f"step {step}: loss {loss:.3f}", flush=True)
    write(learner, asked.out)
    for smallest, largest, nearest, found in held_out(bank, learner, asked.marks):
        print(f"{smallest:.0f} to {largest:.0f} px: nearest right {nearest:.1%}, found {found:.1%}")


if __name__ == "__main__":
    main()
