"""The part of an encoder that every PyTorch model shares: batches in, unit vectors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imgmatch.encoders.base import Prepared
from imgmatch.encoders.preprocess import Preprocess
from imgmatch.errors import ConfigError
from imgmatch.types import EmbeddingSpace, FloatArray, Image

__all__ = ["TorchEncoder"]


class TorchEncoder:
    """A frozen PyTorch model as an :class:`imgmatch.encoders.base.Encoder`; subclasses say how it embeds.

    Parameters
    ----------
    model : torch.nn.Module
        In float32 on the CPU; moved to `device` here.
    name, architecture : str
        See :class:`imgmatch.types.EmbeddingSpace`.
    weights : str
        Canonical hash, see :func:`imgmatch.encoders.store.tensors_sha256`.
    preprocess : Preprocess
    dim : int
    device : str or None
        None takes CUDA where there is one. CUDA computes in fp32 without TF32 as the CPU does, so that a catalog built on
        one is read by the other; :meth:`in_bfloat16` is a numeric class, and so a space, of its own on either.

    Notes
    -----
    Thread-safe. Runs in chunks, so that memory does not grow with the batch. On the CPU the batch is channels-last,
    which is how a stack of photos lies in memory anyway.

    A batch normalisation that follows a convolution is folded into it: the same function up to rounding (cosine >= 0.9999
    to the plain model is held by a test), so the same space. With MobileNetV2 on one core of an AMD EPYC (AVX-512), CPU
    time: 35 photos/s plain in chunks of 32, 51 plain in chunks of 4, 76 fused in chunks of 4.
    """

    # Photos per forward pass: bounds memory. On a CPU what a layer writes should still be in the cache when the next
    # layer reads it: ViT-B/32 runs at 8.0, 8.7, 9.5 and 9.4 photos/s in chunks of 2, 4, 8 and 16 (one core of the same).
    CHUNK: ClassVar[Mapping[str, int]] = {"cpu": 8, "cuda": 256}

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        name: str,
        architecture: str,
        weights: str,
        preprocess: Preprocess,
        dim: int,
        device: str | None = None,
    ) -> None:
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # the latter where torch was built without CUDA
            raise ConfigError(f"device: expected cpu, or cuda or cuda:1 where there is one, got {device!r:.40}") from error
        self.space = EmbeddingSpace(name, weights, architecture, preprocess.text, "fp32", dim)
        self.preprocess = preprocess
        self.input_size = preprocess.size
        _fuse(model.eval())
        self.model: Any = model.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weights = torch.float32
        self._mean = torch.tensor(preprocess.mean, device=self.device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(preprocess.std, device=self.device).view(1, 3, 1, 1) * 255

    def in_bfloat16(self, name: str) -> TorchEncoder:
        """Return this encoder with everything in bfloat16, weights and what flows between layers: a space of its own.

        Parameters
        ----------
        name : str
            What :func:`imgmatch.load_encoder` knows the result by.

        Notes
        -----
        For processors with instructions for it (AVX512-BF16, AMX, Arm's BF16), where a ViT takes a little over half the
        time; others compute it by detours, slower than fp32. ``python -m benchmarks encoders`` prints both on a machine.
        """
        self.model.to(torch.bfloat16)
        self._weights = torch.bfloat16
        self.space = replace(self.space, encoder=name, numeric="bf16 throughout")
        return self

    def prepare(self, image: Image) -> Prepared:
        """Fit one photo: (size, size, 3) uint8. Values are scaled on the device, so that batches stay small."""
        return self.preprocess(image.pixels)

    def encode(self, batch: Sequence[Image | Prepared]) -> FloatArray:
        """Embed photos or what `prepare` made of them: (n, d) float32, unit norm, in input order."""
        return self._run(batch, lambda x: (self._embed(x),), [(self.space.dim,)])[0]

    def encode_dense(self, batch: Sequence[Image | Prepared]) -> tuple[FloatArray, npt.NDArray[np.float32]]:
        """Embed photos and describe their parts: (n, d) as `encode` does, and (n, h, w, c), of mean squared norm 1."""
        vectors, cells = self._run(batch, self._tower, [(self.space.dim,), (0, 0, 0)])
        return vectors, cells

    def encode_text(self, prompts: Sequence[str]) -> FloatArray:
        """Embed texts into the same space."""
        raise NotImplementedError(f"{self.space.encoder} has no text tower")

    def tower(self) -> torch.nn.Module:
        """Return a module that maps (n, 3, S, S) normalised pixels to (n, d) and (n, h, w, c) in one pass."""
        raise NotImplementedError

    @cached_property
    def _tower(self) -> torch.nn.Module:
        return self.tower()

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Keep CUDA from rounding fp32 products to TF32: that would be another numeric class."""
        if self.device.type != "cuda":
            yield
            return
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, S, S) normalised pixels to (n, d)."""
        raise NotImplementedError

    def _run(
        self, batch: Sequence[Image | Prepared], forward: Any, empty: Sequence[tuple[int, ...]]
    ) -> list[npt.NDArray[np.float32]]:
        if not len(batch):
            return [np.zeros((0, *shape), np.float32) for shape in empty]
        prepared = self.preprocess.batch(batch)
        chunk = self.CHUNK.get(self.device.type, 32)
        parts = [self._forward(prepared[i : i + chunk], forward) for i in range(0, len(prepared), chunk)]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    @torch.inference_mode()
    def _forward(self, prepared: Sequence[Prepared], forward: Any) -> list[npt.NDArray[np.float32]]:
        # A photo alone takes other kernels than one among several: in MobileNetV2 its vector differs by 4e-8 then, while two
        # or more give the same bits. A lone one goes in twice, so that no record depends on what shared its forward pass.
        pair = [*prepared, *prepared][: max(len(prepared), 2)]
        pixels = torch.from_numpy(np.stack(pair)).to(self.device, non_blocking=True)
        x = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._std
        with self.precision():
            outputs = forward(x.to(self._weights))
        return [_scaled(y.float()).cpu().numpy()[: len(prepared)] for y in outputs]


def _scaled(y: torch.Tensor) -> torch.Tensor:
    """Scale vectors (n, d) to norm 1, cells (n, h, w, c) to a mean squared norm of 1: one scale for the whole photo."""
    power = y.square().sum(-1, keepdim=True)
    if y.ndim == 4:
        power = power.mean((1, 2), keepdim=True)
    return y / power.sqrt().clamp_min(1e-12)


def _fuse(model: torch.nn.Module) -> None:
    """Fold every batch normalisation that follows a convolution in a sequence into that convolution."""
    for sequence in [m for m in model.modules() if isinstance(m, torch.nn.Sequential)]:
        for i in range(len(sequence) - 1):
            first, second = sequence[i], sequence[i + 1]
            if isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d):
                sequence[i] = fuse_conv_bn_eval(first, second)
                sequence[i + 1] = torch.nn.Identity()
