"""The `wyckoffkit` command: the command families put together."""

from __future__ import annotations

from typing import Annotated

import typer

from wyckoffkit import __version__
from wyckoffkit.commandhelp import CommandApp

from . import crystals, datasets, discovery, groups, hulls, labels, questions, structures

app = CommandApp(
    name="wyckoffkit",
    help="Crystals as occupied Wyckoff positions: labels, tensors, datasets.",
    epilog="Example: wyckoffkit show AB6C_hR24_166_a_h_b:Cs-F-Sn",
    no_args_is_help=True,
    add_completion=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wyckoffkit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


for family in (labels, groups, questions, structures, datasets, crystals, hulls, discovery):
    family.register(app)
