"""`python -m reference_model.sample`: options to a call, errors to one line on stderr."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.commandline import named_errors
from wyckoffkit.interrupts import how_to_go_on

from ..threads import set_threads


class SamplerName(StrEnum):
    auto = "auto"
    ancestral = "ancestral"
    strided = "strided"
    first_hitting = "first-hitting"
    jump = "jump"
    count_head = "count-head"


ASK = "Conditions: they hold in every sample, which follow the model's own law inside them"

app = CommandApp()


@app.command()
def main(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="CHECKPOINT", help="Checkpoint or run folder; the shipped weights by default."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many samples.")] = 1000,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File: .txt, .csv, .jsonl or .h5; labels to stdout without.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The samples are a function of it.")] = 0,
    sampler: Annotated[
        SamplerName, typer.Option(help="auto takes the one with the fewest network calls.")
    ] = SamplerName.auto,
    steps: Annotated[int, typer.Option(min=1, help="Network calls of the strided sampler.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Materials at once; the samples do not depend on it.")] = 512,
    space_group: Annotated[
        list[int] | None, typer.Option(min=1, max=230, help="Only this space group; may be repeated.")
    ] = None,
    novel_only: Annotated[
        bool, typer.Option("--novel-only", "--exclude-training", help="Only labels that the training set lacks.")
    ] = False,
    reweight: Annotated[
        bool | None,
        typer.Option(
            "--reweight/--own-law",
            help="As often new, at each likelihood, as held-out data; or by the model's own law, which is faster. "
            "Default: reweighted where the model has weights for it and no condition below is asked for.",
        ),
    ] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="No label twice.")] = False,
    elements: Annotated[str | None, typer.Option(help="Only these elements, as Li,O,Fe.", rich_help_panel=ASK)] = None,
    require: Annotated[str | None, typer.Option(help="All of these elements.", rich_help_panel=ASK)] = None,
    forbid: Annotated[str | None, typer.Option(help="None of these elements.", rich_help_panel=ASK)] = None,
    chemical_system: Annotated[
        str | None, typer.Option(help="Exactly these elements, as Li-Mn-O.", rich_help_panel=ASK)
    ] = None,
    composition: Annotated[str | None, typer.Option(help="Formula, as LiMn2O4.", rich_help_panel=ASK)] = None,
    anonymous: Annotated[
        str | None, typer.Option(help="Formula of any elements, as AB2C4.", rich_help_panel=ASK)
    ] = None,
    max_atoms: Annotated[
        int | None, typer.Option(min=1, help="Most atoms in the conventional cell.", rich_help_panel=ASK)
    ] = None,
    sites: Annotated[
        str | None, typer.Option(help="Occupied positions, as a=Ca,c=O; the rest is the model's.", rich_help_panel=ASK)
    ] = None,
    prototype: Annotated[
        str | None, typer.Option(help="Elements only, on ABC3_cP5_221_a_b_c.", rich_help_panel=ASK)
    ] = None,
    no_collapse: Annotated[
        bool, typer.Option("--no-collapse", help="No label that collapses into a supergroup.", rich_help_panel=ASK)
    ] = False,
    charge_neutral: Annotated[
        bool, typer.Option("--charge-neutral", help="Only what SMACT takes for neutral.", rich_help_panel=ASK)
    ] = False,
    e_form: Annotated[
        str | None,
        typer.Option(
            metavar="RANGE|NUMBER",
            help="Formation energy in eV/atom: '< -1' or '-2..-1' as the shipped regressor predicts it, or a number to "
            "steer towards by a model trained with --condition.",
            rich_help_panel=ASK,
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(min=0, help="How far to go: 1 is the law at --e-form, more goes beyond.", rich_help_panel=ASK),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: the idle cores).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
) -> None:
    """Draw new protostructures, one label a line; figures and progress go to stderr.

    An interrupted command with -o continues where it was when it is given again. Under torchrun the processes share the
    work, and the first one writes the same samples in the same order.

    Example: python -m reference_model.sample -n 20 --chemical-system Li-Mn-O --max-atoms 40 -o samples.txt
    """
    set_threads(threads)
    from rich.console import Console

    from .command import run

    if out is not None:
        how_to_go_on(lambda: f"the same command goes on where {out} was")
    console = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), quiet=os.environ.get("RANK", "0") != "0")
    with named_errors("sample"):
        run(
            checkpoint,
            n,
            out,
            seed=seed,
            sampler=sampler.value,
            n_steps=steps,
            batch_size=batch_size,
            space_groups=space_group,
            novel_only=novel_only,
            reweight=reweight,
            distinct=distinct,
            conditions={
                "elements": elements,
                "require": require,
                "forbid": forbid,
                "chemical_system": chemical_system,
                "composition": composition,
                "anonymous": anonymous,
                "max_atoms": max_atoms,
                "sites": sites,
                "prototype": prototype,
                "no_collapse": no_collapse or None,
                "charge_neutral": charge_neutral or None,
                "e_form": e_form,
                "guidance": guidance,
            },
            device=device,
            force=force,
            console=console,
        )
