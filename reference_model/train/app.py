"""`python -m reference_model.train`: options to settings, errors to one line on stderr."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors
from wyckoffkit.interrupts import how_to_go_on


class ObjectiveName(StrEnum):
    d3pm = "d3pm"
    jump = "jump"


class Clock(StrEnum):
    wall = "wall"
    cpu = "cpu"


class PriorName(StrEnum):
    zeros = "zeros"
    marginal = "marginal"
    uniform = "uniform"


app = CommandApp()


@app.command()
def main(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Dataset (HDF5) as written by `wyckoffkit build-dataset`.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Run folder; continued if a run is in it.")],
    config: Annotated[
        str | None,
        typer.Option(help="paper, released, compact (default), or a TOML file with [model] and [train]."),
    ] = None,
    initialise: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Checkpoint or run of the same model, or 'shipped', to start from, its model too without --config.",
        ),
    ] = None,
    objective: Annotated[ObjectiveName | None, typer.Option(help="What the network learns.")] = None,
    prior: Annotated[PriorName | None, typer.Option(help="What noise turns materials into.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="Property of the data to steer samples by, as e_form_per_atom (compact).")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of time.")] = None,
    clock: Annotated[Clock | None, typer.Option(help="What minutes are: wall or CPU time.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget in passes over the data.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in optimiser steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Materials a pass (default 256).")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Passes a step (default 1).")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate (default 0.001).")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of the weight average (default 0.999).")] = None,
    loss: Annotated[str | None, typer.Option(help="Of D3PM: cross-entropy (default), bound or hybrid.")] = None,
    weighting: Annotated[str | None, typer.Option(help="Loss weights: material or variable.")] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="Random equivalent settings: none, profile, or a profile's name.")
    ] = None,
    validations: Annotated[int | None, typer.Option(help="Looks at the validation split (default 20).")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many looks without a better one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and noise (default 0).")] = None,
    bf16: Annotated[
        bool | None, typer.Option("--bf16/--no-bf16", help="bfloat16 autocast (default: if fast here).")
    ] = None,
    compile: Annotated[bool | None, typer.Option("--compile", help="torch.compile the loss (GPUs).")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting: model.hidden_size=192, train.clip=0.5 …"),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads (default: all).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")] = False,
) -> None:
    """Train a model on the training split of DATA, or continue the run in the folder.

    Without a budget it is one hour. Under torchrun the processes share each step's batch.

    Example: python -m reference_model.train wbm.h5 -o run/ --minutes 60
    """
    given: dict[str, Any] = {
        "minutes": minutes, "clock": clock and clock.value, "epochs": epochs, "steps": steps,
        "batch_size": batch_size, "accumulate": accumulate, "lr": lr, "ema": ema, "loss": loss, "weighting": weighting,
        "augmentation": augmentation, "validations": validations, "patience": patience, "seed": seed,
        "bf16": bf16, "compile": compile,
    }  # fmt: skip
    model_given = {"objective": objective and objective.value, "prior": prior and prior.value, "condition": condition}
    import torch
    from rich.console import Console

    from .choices import choose
    from .runlog import live_progress
    from .start import train

    if threads:
        torch.set_num_threads(threads)
    how_to_go_on(lambda: f"what {out} holds is kept, and the same command goes on from there")
    console = Console(stderr=True)
    with named_errors("train"):
        model, settings = choose(config, model_given, given, set_ or [], initialise)
        with live_progress(console) as (log, tick):
            progress = train(
                data,
                out,
                model,
                settings,
                initialise=initialise,
                device=device,
                tensorboard=tensorboard,
                log=log,
                tick=tick,
            )
    if os.environ.get("RANK", "0") != "0":
        return
    best = "" if progress.best is None else f", best validation {progress.best:.4g} at step {progress.best_step}"
    console.print(f"{out}: step {progress.step}, {progress.seconds / 60:.1f} minutes{best}", highlight=False)
