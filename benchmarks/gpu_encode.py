"""How fast does an accelerator embed, as a share of the bare forward pass, and where should photos be decoded?

For each model, with random weights (speed does not depend on them), in bfloat16:

- *bare*: the forward pass over a batch that lies on the device already, in each memory format, plain and compiled;
- *encode*: from fitted uint8 photos in host memory to unit vectors in host memory, as our encoder does it;

Rates are medians over repeats. Without a GPU all but nvJPEG runs on the CPU: it works, no more is said.
"""

from __future__ import annotations

import copy
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import PIL.Image

from benchmarks.frame import scorer
from benchmarks.frame.job import Job

QUESTION = "How fast does an accelerator embed, as a share of the bare forward pass?"
DATA = ("rendered",)
MODELS, BATCH, SECONDS = ("ViT-B-32", "ViT-L-14"), 256, 10.0


def run(job: Job) -> Iterator[dict[str, Any]]:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cuda = device.type == "cuda"
    job.facts |= {"device": torch.cuda.get_device_name() if cuda else "CPU"}
    found = [p.path.read_bytes() for p in job.known(job.data.photos)]
    batch, seconds = (BATCH, SECONDS) if cuda and not job.smoke else (2, 0.0)
    models = MODELS if cuda and not job.smoke else ("ViT-S-32-alt",)
    for model in models:
        for what, work, more in _ways(model, [found[i % len(found)] for i in range(batch)], device, compiled=cuda):
            yield {"model": model, "what": what, **more, "images_per_s": batch / _seconds(work, seconds, cuda)}


def _seconds(work: Callable[[], object], fill: float, cuda: bool) -> float:
    """Return the median over repeats that fill `fill` seconds (at least 3), after two that warm up."""
    import torch

    times: list[float] = []
    while len(times) < 5 or sum(times[2:]) < fill:
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[2:])


def _ways(
    model: str, files: list[bytes], device: Any, *, compiled: bool
) -> Iterator[tuple[str, Callable[[], object], dict[str, Any]]]:
    import torch
    from safetensors.torch import save_file

    from imgmatch import load_encoder, load_image
    from imgmatch.encoders._torchvision import ensure_torchvision
    from imgmatch.parallel import ordered_map, worker_count

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        ensure_torchvision()
        import open_clip

        torch.manual_seed(0)
        save_file(open_clip.create_model(model, pretrained=None).state_dict(), weights)
        encoder: Any = load_encoder(f"open_clip:{model}@{weights}", device=device.type)
    side, batch = encoder.input_size, len(files)
    visual = copy.deepcopy(encoder.model).to(device, torch.bfloat16)
    for name, memory in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
        pixels = torch.rand(batch, 3, side, side, device=device, dtype=torch.bfloat16).to(memory_format=memory)
        visual = visual.to(memory_format=memory)
        for by_compiler in (False, True) if compiled else (False,):
            forward = torch.compile(visual) if by_compiler else visual
            with torch.inference_mode():
                yield "bare", lambda f=forward, x=pixels: f(x), {"memory": name, "compiled": by_compiler}
    prepared = [np.random.default_rng(i).integers(0, 256, (side, side, 3), np.uint8) for i in range(batch)]
    yield "encode", lambda: encoder.encode(prepared), {}
    jpegs = [_jpeg(data) for data in files]

    def read(data: bytes) -> Any:
        return encoder.prepare(load_image(data, target_side=2 * side))

    workers = worker_count(0)
    yield (
        "decode on the CPU + encode",
        lambda: encoder.encode(list(ordered_map(read, jpegs, workers=workers, ahead=2 * batch))),
        {"workers": workers},
    )
    if device.type == "cuda":
        from torchvision.io import decode_jpeg
        from torchvision.transforms.v2 import functional as transforms

        tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in jpegs]

        def on_gpu() -> object:
            photos = decode_jpeg(tensors, device=device)
            fitted = [transforms.center_crop(transforms.resize(p, [side], antialias=True), [side, side]) for p in photos]
            pixels = torch.stack([p.expand(3, side, side) for p in fitted]).to(torch.bfloat16) / 255
            with torch.inference_mode():
                return visual(pixels).float().cpu()

        yield "decode on the GPU + forward", on_gpu, {}


def _jpeg(data: bytes) -> bytes:
    out = io.BytesIO()
    PIL.Image.open(io.BytesIO(data)).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def score(rows: list[dict[str, Any]], head: dict[str, Any]) -> Iterator[scorer.Figure]:
    for model in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == model]
        best = max(r["images_per_s"] for r in mine if r["what"] == "bare")
        for row in (r for r in mine if r["what"] != "bare"):
            more = f"{row['images_per_s']:,.0f} images a second on {head['device']}"
            what = f"{model}, {row['what']}: share of the bare pass"
            yield scorer.Figure(what, row["images_per_s"] / best, against=more, form="n")
