"""How fast does an accelerator embed, as a share of the bare forward pass, and where should photos be decoded?

    python -m benchmarks.gpu_encode [--models ViT-B-32 ViT-L-14] [--batch 256] [--photos ../shared/data/distractors]

For each model, with random weights (speed does not depend on them), in bfloat16:

- the bare forward pass over a batch that lies on the device already, in each memory format, plain and compiled;
- encode: from fitted uint8 photos in host memory to unit vectors in host memory, as our encoder does it (in bfloat16 on a
  GPU, in float32 on a CPU);
- from JPEG bytes to vectors with the decoder on the CPU (ours, reduced decode, in threads) and on the GPU
  (`torchvision.io.decode_jpeg`, nvJPEG; full decode, resized there).

Rates are medians over repeats; each row says its share of the best bare forward pass of its model. Without a GPU everything
but nvJPEG runs on the CPU, which shows that the script works and nothing else.
"""

from __future__ import annotations

import argparse
import copy
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import PIL.Image
import torch
from safetensors.torch import save_file

from benchmarks.common import environment, read_raw, write_raw
from imgmatch.encoders import load_encoder
from imgmatch.encoders._torchvision import ensure_torchvision
from imgmatch.images import load_image
from imgmatch.parallel import ordered_map, worker_count

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def rate(work: Callable[[], object], photos: int, seconds: float, device: torch.device) -> float:
    """Return photos per second of `work`, the median over repeats that fill `seconds` (at least 3)."""

    def once() -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for _ in range(2):  # warm up: compile, choose kernels
        once()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        times.append(once())
    return photos / median(times)


def jpegs(folder: Path | None, count: int) -> list[bytes]:
    """Return `count` JPEG files: the real ones of a folder over and over, or drawn ones of 1,000 px."""
    found = [] if folder is None else sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if found:
        return [found[i % len(found)].read_bytes() for i in range(count)]
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(noise).resize((1000, 1000), PIL.Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return [out.getvalue()] * count


def measure(name: str, options: argparse.Namespace, device: torch.device) -> list[dict]:
    """Return one row per way of embedding."""
    seconds, batch = options.seconds, options.batch
    rows = []

    def record(what: str, work: Callable[[], object], **more: object) -> None:
        rows.append({"model": name, "what": what, "images_per_s": rate(work, batch, seconds, device), **more})

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.safetensors"
        ensure_torchvision()
        import open_clip

        torch.manual_seed(0)
        save_file(open_clip.create_model(name, pretrained=None).state_dict(), weights)
        encoder = load_encoder(f"open_clip:{name}@{weights}", device=device.type)
    side = encoder.input_size
    visual = copy.deepcopy(encoder.model.visual).to(device, torch.bfloat16)
    rng = np.random.default_rng(1)
    for memory, format in FORMATS.items():
        pixels = torch.rand(batch, 3, side, side, device=device, dtype=torch.bfloat16).to(memory_format=format)
        visual = visual.to(memory_format=format)
        for compiled in (False, True) if options.compile else (False,):
            forward = torch.compile(visual) if compiled else visual
            with torch.inference_mode():
                record("bare", lambda f=forward, x=pixels: f(x), memory=memory, compiled=compiled)
    prepared = [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(batch)]
    record("encode", lambda: encoder.encode(prepared), numeric=encoder.space.numeric)

    files = jpegs(options.photos, batch)
    workers = worker_count(0)

    def read(data: bytes) -> np.ndarray:
        return encoder.prepare(load_image(data, target_side=2 * encoder.input_size))

    def on_cpu() -> object:
        return encoder.encode(list(ordered_map(read, files, workers=workers, ahead=2 * batch)))

    record("decode on the CPU + encode", on_cpu, workers=workers)
    if device.type == "cuda":
        from torchvision.io import decode_jpeg
        from torchvision.transforms.v2 import functional as transforms

        tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]

        def on_gpu() -> object:
            photos = decode_jpeg(tensors, device=device)
            fitted = [transforms.center_crop(transforms.resize(p, [side], antialias=True), [side, side]) for p in photos]
            pixels = torch.stack([p.expand(3, side, side) for p in fitted]).to(torch.bfloat16) / 255
            with torch.inference_mode():
                return visual(pixels).float().cpu()

        record("decode on the GPU + forward", on_gpu)
    return rows


def score() -> str:
    """Return the raw results as a table: photos per second, and the share of the model's best bare forward pass."""
    rows = read_raw("gpu_encode")
    lines = [f"{rows[0]['device']}, bfloat16, {rows[0]['batch']} photos a batch"]
    for row in rows:
        best = max(r["images_per_s"] for r in rows if r["model"] == row["model"] and r["what"] == "bare")
        how = ", ".join(filter(None, [row.get("memory"), "compiled" if row.get("compiled") else None]))
        what = f"{row['what']}{f' ({how})' if how else ''}"
        lines.append(f"{row['model']:10} {what:40} {row['images_per_s']:10,.1f}/s {row['images_per_s'] / best:6.2f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-L-14"], help="open_clip architectures")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--photos", type=Path, help="folder of JPEG files to decode; drawn ones by default")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    about = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "batch": options.batch,
        **environment(),
    }
    write_raw("gpu_encode", [row | about for name in options.models for row in measure(name, options, device)])
    print(score())


if __name__ == "__main__":
    main()
