"""The `wyckoffkit` command: puts the command families together and turns named errors into one sentence."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from wyckoffkit import __version__
from wyckoffkit.errors import WyckoffkitError

from . import crystals, datasets, discovery, groups, labels, questions, structures

app = typer.Typer(
    name="wyckoffkit",
    help="Crystals as occupied Wyckoff positions: labels, tensors, datasets.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
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


for family in (labels, groups, questions, structures, datasets, crystals, discovery):
    family.register(app)


def run() -> None:
    """The console script: exit 0, 1 for a named error (its sentence on stderr), 2 for usage."""
    try:
        app()
    except WyckoffkitError as error:
        _stop(str(error))
    except BrokenPipeError:
        # The reader went away (`… | head`): nobody is left to tell, and the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _stop(f"{name}{(error.strerror or str(error)).lower()}")


def _stop(message: str) -> None:
    typer.echo(f"wyckoffkit: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    run()
