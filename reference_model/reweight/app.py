"""`python -m reference_model.reweight`: options to a call, errors to one line on stderr."""

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
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint, or run folder of `reference_model.train`.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The dataset it was trained on, with a validation and a test split.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Checkpoint to write; the same file if not given.")
    ] = None,
    held_out: Annotated[
        int, typer.Option(min=100, help="Validation materials to fit to, at most; a fourth as many test materials.")
    ] = 10_000,
    samples: Annotated[int, typer.Option("-n", "--samples", min=100, help="Samples of the model to fit to.")] = 20_000,
    bins: Annotated[int, typer.Option(min=1, help="Ranges of bits for each novelty, at most.")] = 12,
    exact: Annotated[
        int, typer.Option(min=0, help="Sum the bits of a jump model exactly up to so many occupied slots.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Of the samples and of the choice of materials.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: the idle cores).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
) -> None:
    """Fit weights under which samples are as often new, at each likelihood, as held-out materials, for `sample
    --reweight`, and write them into the checkpoint.

    Example: python -m reference_model.reweight run/ wbm.h5
    """
    set_threads(threads)
    from rich.console import Console

    from .command import run

    with named_errors("reweight"):
        run(
            checkpoint,
            data,
            out,
            held_out=held_out,
            n_samples=samples,
            bins=bins,
            exact=exact,
            seed=seed,
            device=device,
            console=Console(stderr=True, soft_wrap=True),
        )
