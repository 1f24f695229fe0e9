"""``imgmatch weights``: list, pull, verify and path of the models' weights."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the ``weights`` commands to the command line."""
    weights = typer.Typer(help="List, fetch and check the weights of the models.", no_args_is_help=True)
    app.add_typer(weights, name="weights")

    @weights.command("list")
    def list_() -> None:
        """Show the models known by name, their licences, and which are on this machine."""
        from rich.console import Console
        from rich.table import Table

        from imgmatch.encoders.registry import known_models
        from imgmatch.encoders.store import locate

        table = Table("name", "here", "dim", "input", "licence", "good for", "source")
        for model in known_models().values():
            here = "yes" if locate(model.name) else "no"
            table.add_row(model.name, here, str(model.dim), str(model.input), model.licence, model.good_for, model.source)
        Console().print(table)

    @weights.command()
    def pull(
        name: Annotated[str, typer.Argument(help="A name from `imgmatch weights list`, or hf-hub:OWNER/MODEL.")],
        accept_licence: Annotated[
            bool, typer.Option("--accept-licence", help="Accept a licence that is not a free one.")
        ] = False,
    ) -> None:
        """Fetch weights into the cache, checked; says their licence first."""
        from imgmatch.encoders import store

        store.pull(name, accept_licence=accept_licence, say=typer.echo)

    @weights.command()
    def verify(name: Annotated[str, typer.Argument(help="One model; default: all that are here.")] = "") -> None:
        """Load the weights that are here and hold their tensors against the registry's hash."""
        from imgmatch.encoders import load_encoder
        from imgmatch.encoders.registry import known_models
        from imgmatch.encoders.store import locate

        names = [name] if name else [n for n in known_models() if locate(n)]
        if not names:
            typer.echo("no weights are on this machine; `imgmatch weights pull mobilenet-v2` fetches the smallest")
        for each in names:
            encoder = load_encoder(each, device="cpu")
            known = known_models().get(each)
            held = "as published" if known and known.tensors else "readable; the registry has no hash to hold it against"
            typer.echo(f"{each}: {held}; tensors {encoder.space.weights}; space {encoder.space.id}")

    @weights.command()
    def path(
        name: Annotated[str, typer.Argument(help="A name from `imgmatch weights list`, or hf-hub:OWNER/MODEL.")],
    ) -> None:
        """Print where the weights lie; fails where they are missing, saying where they were looked for."""
        from imgmatch.encoders.store import require

        typer.echo(require(name))
