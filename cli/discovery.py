"""The command that goes from labels to candidates."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.interrupts import how_to_go_on, starting_workers

from .crystals import Batch, Jobs, OutputFolder, Scheduler, progress_bar, rest_of, tell
from .hulls import Against, Elements, Scale, hull_of
from .options import Rejections, protostructures

if TYPE_CHECKING:
    from wyckoffkit.discover import Judge
    from wyckoffkit.protostructure import Protostructure


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command()(discover)


def discover(
    output: OutputFolder,
    labels: Annotated[
        Path | None,
        typer.Argument(metavar="LABELS", help="Labels, one a line; '-' is stdin.", show_default="sampled by the model"),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Labels to sample, where none are given.")] = 1000,
    conditions: Annotated[
        str, typer.Option("--sample", help="More options for the sampler, as '--chemical-system Li-Mn-O'.")
    ] = "",
    against: Against = None,
    scale: Scale = None,
    elements: Elements = None,
    known: Annotated[
        Path | None,
        typer.Option(
            help="Labels that are not novel, or a dataset (HDF5).", show_default="of samples, the model's training set"
        ),
    ] = None,
    allow: Annotated[
        str | None, typer.Option(help="Elements that may occur: symbols, s-block … f-block, with commas.")
    ] = None,
    without: Annotated[str, typer.Option(help="Elements that must not occur.")] = "noble-gases",
    most_atoms: Annotated[int | None, typer.Option(min=1, help="Atoms in the primitive cell, at most.")] = None,
    charge_neutral: Annotated[bool, typer.Option("--charge-neutral", help="By smact.")] = False,
    calculator: Annotated[str, typer.Option(help="As for the command relax.")] = "chgnet",
    attempts: Annotated[int, typer.Option(min=1, help="Starting crystals of a label, at most.")] = 10,
    ranked: Annotated[
        bool, typer.Option("--rank/--no-rank", help="Take up first what is likely and predicted to be stable.")
    ] = True,
    budget: Annotated[float | None, typer.Option(help="Minutes after which no candidate is begun.")] = None,
    best: Annotated[int, typer.Option(min=0, help="Candidates in the report, and with VASP inputs.")] = 20,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    jobs: Jobs = 1,
    batch: Batch = 8,
    scheduler: Scheduler = None,
) -> None:
    """Sample labels, choose the new ones, rank, realize and relax them, place them above the hull, report the best.

    An interrupted run goes on where it was.

    Example: wyckoffkit discover -n 1000 -o found/ --against entries.json.gz --budget 60
    """
    how_to_go_on(lambda: rest_of(output / "relaxed.jsonl"))
    from wyckoffkit.discover import DiscoverOptions, Wanted, elements_of, write_report, write_vasp_inputs
    from wyckoffkit.discover import discover as run
    from wyckoffkit.hull import known_labels
    from wyckoffkit.realize import RealizeOptions
    from wyckoffkit.relax import RelaxOptions, loaded_calculator

    hull = hull_of(against, scale, elements, loaded_calculator(calculator).name)
    wanted = Wanted(
        allowed=elements_of(_words(allow)) if allow else Wanted().allowed,
        without=elements_of(_words(without)),
        most_atoms=most_atoms,
        charge_neutral=charge_neutral,
        known=known_labels(known) if known else _training_set(labels),
    )
    sampler = ["-n", str(n), "--seed", str(seed), *shlex.split(conditions)]
    options = DiscoverOptions(
        wanted=wanted,
        relax=RelaxOptions(realize=RealizeOptions(seed=seed), attempts=attempts),
        calculator=calculator,
        source=f"labels of {labels}" if labels else f"sampled with {' '.join(sampler)}",
        budget=budget,
        jobs=jobs,
        batch=batch,
        scheduler=scheduler,
    )
    rejections = Rejections()
    failed: list[dict[str, Any]] = []
    with progress_bar("relaxing", None) as advance:

        def on_row(row: dict[str, Any], total: int) -> None:
            if row["outcome"] != "relaxed":
                failed.append(row)
            advance(f"{row['outcome']}: {row['label']}", total)

        found = run(_parsed(labels, sampler, rejections), output, hull, options, judge=_judge(ranked), on_row=on_row)
    tell(failed, output / "relaxed.jsonl")
    report = write_report(output, found, hull, best=best)
    written = write_vasp_inputs(output, found, best=best)
    for row in [row for row in found.rows if row["outcome"] == "placed"][:best]:
        typer.echo(f"{row['energy_above_hull']:+9.4f}  {row['formation_energy']:+9.4f}  {row['label']}")
    typer.echo(
        f"{report}: {len(found.candidates)} candidates, {found.relaxed} relaxed, {found.failed} failed; "
        f"{found.places}; VASP inputs for {written}",
        err=True,
    )


def _judge(ranked: bool) -> Judge | None:
    if not ranked:
        return None
    from .judging import judge

    return judge


def _training_set(labels: Path | None) -> Collection[str]:
    if labels is not None:
        return frozenset()
    from .judging import TrainingSet

    return TrainingSet()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parsed(labels: Path | None, sampler: list[str], rejections: Rejections) -> Iterator[Protostructure]:
    if labels is not None:
        yield from (protostructure for *_, protostructure in protostructures(labels, rejections))
        return
    # The model is a program of its own; its labels come through a pipe, as a person would have them.
    command = [sys.executable, "-m", "reference_model.sample", *sampler]
    with starting_workers():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                protostructure = rejections.parse(line.strip(), "sampled")
                if protostructure is not None:
                    yield protostructure
        except BaseException:
            process.kill()  # or it would be waited for
            raise
    if process.returncode:
        typer.echo("wyckoffkit: sampling failed", err=True)
        raise typer.Exit(1)
