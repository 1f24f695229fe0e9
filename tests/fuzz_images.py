"""Damage photos at random and read them: nothing may come out but a picture or an ImageError.

Run as a command for many cases, ``python -m tests.fuzz_images --cases 10000 --seed 0``. Every case is decoded in a child
process, where a native crash, a hang and memory beyond 1 GB are seen; the worker processes of the library are not used.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import random
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

FORMATS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "JPEG": [("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {})],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("L", {}), ("1", {}), ("I;16", {})],
    "GIF": [("P", {}), ("L", {"save_all": True})],
    "BMP": [("RGB", {}), ("P", {}), ("1", {})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True})],
    "TIFF": [(m, {"compression": c}) for m, c in (("RGB", "tiff_lzw"), ("RGB", "jpeg"), ("1", "group4"), ("RGBA", "raw"))]
    + [("L", {"compression": "packbits"}), ("I;16", {"compression": "tiff_adobe_deflate"}), ("CMYK", {})],
    "AVIF": [("RGB", {"speed": 10}), ("RGBA", {"speed": 10})],
}


def _peak_mb() -> float:
    """Return the greatest resident size of this program so far.

    ``ru_maxrss`` would do, but Linux hands it on from the parent through fork and exec.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seeds(side: int = 48) -> list[bytes]:
    """Return one intact photo per format and mode, with EXIF and an ICC profile where the format has a place for them."""
    from PIL import ImageCms

    grid = np.add.outer(np.arange(side) * 5, np.arange(side) * 3) % 256
    picture = PIL.Image.fromarray(np.stack([grid, grid.T, 255 - grid], axis=2).astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    formats = dict(FORMATS)
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats["HEIF"] = [("RGB", {}), ("RGBA", {})]
    out = []
    for name, variants in formats.items():
        for mode, options in variants:
            im = PIL.Image.fromarray((grid * 257).astype(np.uint16)) if mode == "I;16" else picture.convert(mode)
            more = dict(options)
            if name in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
                more |= {"exif": exif, "icc_profile": icc}
            if more.get("save_all"):
                more["append_images"] = [im.rotate(90)]
            buffer = io.BytesIO()
            im.save(buffer, name, **more)
            out.append(buffer.getvalue())
    return out


def damage(intact: list[bytes], rng: random.Random) -> bytes:
    """Return one photo with flipped bits, a cut, foreign pieces, a repeated piece or absurd numbers in it."""
    data = bytearray(rng.choice(intact))
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(6)
        # Headers decide sizes and paths through the decoder: half of the damage goes there.
        at = rng.randrange(min(len(data), 400) if rng.random() < 0.5 else len(data))
        if kind == 0:
            for _ in range(rng.choice((1, 3, 30))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[max(at, 16) :]
        elif kind == 3:
            other = rng.choice(intact)
            start = rng.randrange(len(other))
            data[at : at + rng.choice((0, 64))] = other[start : start + rng.choice((16, 256, len(other)))]
        elif kind == 4:
            data[at:at] = data[at : at + rng.choice((4, 64, 1024))] * rng.choice((1, 3, 50))
        else:
            number = rng.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff")
            )
            width = rng.choice((1, 2, 4))
            data[at : at + width] = number[:width]
    return _with_true_checksums(bytes(data)) if rng.random() < 0.7 else bytes(data)


def _with_true_checksums(data: bytes) -> bytes:
    """Return a PNG with true checksums, so that damage gets past the door; other bytes as they are."""
    out, at = bytearray(data[:8]), 8
    while data.startswith(b"\x89PNG") and at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : end]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at = end + 4
    return bytes(out) + data[max(at, 8) :] if at > 8 else data


def cases(count: int, seed: int) -> Iterator[bytes]:
    intact = seeds()
    for number in range(count):
        yield damage(intact, random.Random(f"{seed}:{number}"))


def _child() -> None:
    """Decode length-prefixed photos from stdin; answer with a JSON line each."""
    from imgmatch.config import ImageConfig
    from imgmatch.errors import ImageError
    from imgmatch.images.decoding import decode_bytes, format_of

    while head := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        signal.alarm(20)  # ends this process, even inside a native call
        start = time.perf_counter()
        try:
            pixels = decode_bytes(data, config=ImageConfig(), target_side=None, source="case").pixels
            outcome = "ok" if pixels.ndim == 3 and pixels.dtype == np.uint8 else "not a picture"
        except ImageError as error:
            outcome = error.reason
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        peak = _peak_mb()
        answer = {"outcome": outcome, "seconds": time.perf_counter() - start, "peak_mb": peak, "format": format_of(data)}
        print(json.dumps(answer), flush=True)


def run(count: int, seed: int) -> list[dict[str, object]]:
    """Return an answer per case: ``died`` with the exit code where the child did, -14 after 20 s."""
    from imgmatch.images.decoding import format_of

    answers: list[dict[str, object]] = []
    child: subprocess.Popen[bytes] | None = None
    for data in cases(count, seed):
        if child is None:
            command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz_images", "--child"]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdin is not None
        assert child.stdout is not None
        line = b""
        try:
            child.stdin.write(len(data).to_bytes(8, "big") + data)
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            pass
        if line:
            answers.append(json.loads(line))
        else:
            failed = {"seconds": 0.0, "peak_mb": 0.0, "format": format_of(data)}
            answers.append({"outcome": f"died ({child.wait()})", **failed})
            child = None
    if child is not None:
        child.communicate()
    return answers


def main() -> int:
    from imgmatch.errors import ImageError

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child()
        return 0
    answers = run(arguments.cases, arguments.seed)
    known = {word.strip("`., \n") for word in (ImageError.__doc__ or "").split()} | {"ok"}
    bad = [(number, a) for number, a in enumerate(answers) if a["outcome"] not in known]
    bad += [(n, a) for n, a in enumerate(answers) if float(str(a["seconds"])) > 10 or float(str(a["peak_mb"])) > 1024]
    table = Counter((a["format"], a["outcome"]) for a in answers)
    for (name, outcome), n in sorted(table.items(), key=lambda item: (str(item[0]), item[1])):
        print(f"{n:7d}  {name!s:5}  {outcome}")
    slowest, peak = (max(float(str(a[key])) for a in answers) for key in ("seconds", "peak_mb"))
    print(f"slowest {slowest:.2f} s, peak {peak:.0f} MB")
    for number, answer in bad:
        print(f"case {number} of seed {arguments.seed}: {answer}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
