"""``imgmatch weights``: list, pull, verify, path and export of the models' weights."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock

if TYPE_CHECKING:
    from imgmatch.encoders.base import Encoder
    from imgmatch.types import Image

__all__ = ["register"]

_PARITY_PHOTOS = 256


weights = typer.Typer(help="List, fetch and check the weights of the models.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the ``weights`` commands to the command line."""
    app.add_typer(weights, name="weights")


@weights.command("list")
def list_() -> None:
    """Show the models known by name, their licences, and which are on this machine."""
    from imgmatch.encoders.registry import known_models
    from imgmatch.encoders.store import locate

    for model in known_models().values():
        here = ("here" if locate(model.name) else "not here") + ("" if model.verified else ", unverified")
        size = f"{model.megabytes} MB" if model.megabytes < 1000 else f"{model.megabytes / 1000:.1f} GB"
        about = f"{here:<21}{size:>7}  {model.dim:>4} numbers from {model.input} px  {model.licence}"
        typer.echo(f"{model.name:<19}{about}\n    {model.good_for}\n    {model.source}")
    typer.echo("unverified: we have not loaded these weights, only built their architecture; tell us where one fails")


@weights.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name from `imgmatch weights list`, or hf-hub:OWNER/MODEL.")],
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept a non-free licence.")] = False,
) -> None:
    """Fetch weights into the cache, checked; prints their licence first. Exports `mobilenet-v2` as well, see `export`."""
    from imgmatch.encoders import store
    from imgmatch.encoders.registry import known_models

    store.pull(name, accept_licence=accept_licence, say=typer.echo)
    model = known_models().get(name)
    if model is not None and model.runtime == "mobilenet" and not _loads(name):
        _export_once(name)


@weights.command()
def verify(name: Annotated[str, typer.Argument(help="Model to check; default: all that are installed.")] = "") -> None:
    """Load the weights that are here and compare the hash of their tensors with the registry's."""
    from imgmatch.encoders import load_encoder
    from imgmatch.encoders.registry import known_models
    from imgmatch.encoders.store import locate

    names = [name] if name else [n for n in known_models() if locate(n)]
    if not names:
        typer.echo("no weights are on this machine; `imgmatch weights pull mobilenet-v2` fetches the smallest")
    for each in names:
        encoder = load_encoder(f"torch:{each}", device="cpu")
        known = known_models().get(each)
        state = "as published" if known and known.tensors else "readable; the registry has no hash to compare it with"
        typer.echo(f"{each}: {state}; tensors {encoder.space.weights}; space {encoder.space.id}")


@weights.command()
def path(
    name: Annotated[str, typer.Argument(help="A name from `imgmatch weights list`, or hf-hub:OWNER/MODEL.")],
) -> None:
    """Print where the weights are; where they are missing, fail and list the places searched."""
    from imgmatch.encoders.store import require

    typer.echo(require(name))


@weights.command()
def export(
    name: Annotated[str, typer.Argument(help="Any encoder name: from `imgmatch weights list`, local-dir:, open_clip:, …")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Photos, or a catalog, to measure parity and speed on; default: generated pictures."),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="In int8, calibrated on --photos; a space of its own, [b]onnx-int8:NAME[/]."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: the cache, where `onnx:NAME` finds it.")] = None,
) -> None:
    """Write a model as ONNX, measured against its source; `onnx:NAME` loads it."""
    from imgmatch.encoders import load_encoder, onnx
    from imgmatch.encoders.onnx_int8 import LEAST_PHOTOS
    from imgmatch.encoders.registry import known_models
    from imgmatch.errors import ImageError
    from imgmatch.images import load_image

    def opened(folder: Path) -> Iterator[Image]:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        for file in files[:: max(len(files) // _PARITY_PHOTOS, 1)][:_PARITY_PHOTOS]:
            with contextlib.suppress(ImageError):
                yield load_image(file)

    chosen = list(opened(photos)) if photos else []
    if photos and not chosen:
        raise typer.BadParameter(f"no photo can be read in {photos}", param_hint="--photos")
    if int8 and len(chosen) < LEAST_PHOTOS:
        problem = f"expected {LEAST_PHOTOS} photos or more to calibrate int8 on, got {len(chosen)}"
        raise typer.BadParameter(problem, param_hint="--photos")
    source, folder = load_encoder(f"torch:{name}", device="cpu"), out or onnx.export_folder(name, int8=int8)
    with _alone(folder):
        faster = _exported(source, folder, photos=chosen, int8=int8)
    if not out and not int8 and name in known_models():
        typer.echo(f"{name} loads {'its export' if faster else 'PyTorch'} on a CPU from now on: measured faster here")


def _loads(name: str) -> bool:
    """Return whether an export of this name is here, whole, and can be run."""
    from imgmatch.encoders import load_encoder
    from imgmatch.errors import MissingExtraError, WeightsError

    try:
        load_encoder(f"onnx:{name}")
    except (MissingExtraError, WeightsError, OSError):
        return False
    return True


def _export_once(name: str) -> None:
    """Export a model unless another process is doing so; where that fails, say that it runs on PyTorch, and why."""
    from imgmatch.encoders import load_encoder, onnx
    from imgmatch.errors import MissingExtraError, WeightsError

    source, folder = load_encoder(f"torch:{name}", device="cpu"), onnx.export_folder(name)
    try:
        with _alone(folder):
            if _loads(name):  # exported by another process meanwhile
                return
            if onnx.preferred(name):
                shutil.rmtree(folder)  # damaged: were it left, it and not PyTorch would be loaded where the export fails
            _exported(source, folder)
    except MissingExtraError as error:
        install = f"pip install 'imgmatch[{error.extra}]'"
        typer.echo(f"{name} will run on PyTorch. To make it faster: {install}, then `imgmatch weights pull {name}` again.")
    except (WeightsError, OSError, RuntimeError) as error:
        typer.echo(f"{name} will run on PyTorch, more slowly: it could not be exported: {error}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process exports into a folder, and keep others out."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield


def _exported(source: Encoder, folder: Path, *, photos: Sequence[Image] = (), int8: bool = False) -> bool:
    """Export a model, print what was measured, and return whether the plain name loads the export from now on."""
    from imgmatch.encoders import onnx
    from imgmatch.encoders.onnx_export import export
    from imgmatch.encoders.store import sha256_of

    exported = export(source, folder, photos=photos, int8=int8, say=typer.echo)
    for kind in ("torch", "onnx"):
        row = exported["parity"][kind]
        near = f", cosine at least {row['cosine_min']:.6f}, mean {row['cosine_mean']:.6f}" if "cosine_min" in row else ""
        found = f", {row['recall']:.1%} found by their middles" if "recall" in row else ""
        typer.echo(f"{kind:10} {row['photos_per_s']:8.1f} photos/s{near}{found}")
    typer.echo(f"{folder}: ready; sha256 of its {onnx.MANIFEST}: {sha256_of(folder / onnx.MANIFEST)}")
    return bool(exported["faster"])
