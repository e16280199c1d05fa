"""`python -m reference_model.score`: options to a call, errors to one line on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors

from ..threads import set_threads

app = CommandApp()


@app.command()
def main(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="Labels, one a line, in a column 'label' or in JSON lines, or a dataset (.h5: its test split); "
            "'-' is stdin.",
        ),
    ],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint or run folder; the shipped weights by default.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="JSON lines, with the parts of each score.")] = False,
    sort: Annotated[bool, typer.Option("--sort", help="The likeliest first; all scores are then held.")] = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="Strata of noise levels, two draws in each; errors fall at least as its root.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="A score is a function of it and the material.")] = 0,
    exact: Annotated[
        int | None,
        typer.Option(
            min=0, max=12, help="Sum all orders for up to so many occupied slots: -log2 p, no bound (jump models: 4)."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="No scores, but how often things happen against what the model says: .html (a picture) or .json.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Materials at once; scores do not depend on it.")] = 512,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: the idle cores).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
) -> None:
    """Bits a material: an upper bound on -log2 p of each label. Lines are bits, their standard error, and the label.

    Invalid lines are named on stderr and the rest is scored; the exit code is then 1.

    Example: python -m reference_model.score labels.txt --sort
    """
    set_threads(threads)
    from rich.console import Console

    from .command import run

    console = Console(stderr=True, soft_wrap=True)
    with named_errors("score"):
        n_invalid = run(
            labels,
            checkpoint,
            json_lines=json_lines,
            sort=sort,
            repeats=repeats,
            seed=seed,
            exact=exact,
            batch_size=batch_size,
            calibration_file=calibration,
            device=device,
            console=console,
        )
    if n_invalid:
        raise typer.Exit(1)
