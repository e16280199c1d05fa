"""The command that goes from labels to candidates."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .crystals import Jobs, OutputFolder, progress_bar
from .options import Rejections, label_lines

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command()(discover)


def discover(
    output: OutputFolder,
    against: Annotated[Path, typer.Option("--against", help="Known materials; as for the command hull.")],
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LABELS]", help="Labels, one a line; '-' is stdin.", show_default="sampled by the model"
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Labels to sample, where none are given.")] = 1000,
    scale: Annotated[str | None, typer.Option(help="The energy scale of --against, where it does not name it.")] = None,
    elements: Annotated[Path | None, typer.Option(help="Elemental energies; as for the command hull.")] = None,
    known: Annotated[Path | None, typer.Option(help="Labels that are not novel, or a dataset (HDF5).")] = None,
    allow: Annotated[
        str | None, typer.Option(help="Elements that may occur: symbols, s-block … f-block, with commas.")
    ] = None,
    without: Annotated[str, typer.Option(help="Elements that must not occur.")] = "noble-gases",
    most_atoms: Annotated[int | None, typer.Option(min=1, help="Atoms in the primitive cell, at most.")] = None,
    charge_neutral: Annotated[bool, typer.Option("--charge-neutral", help="By smact.")] = False,
    calculator: Annotated[str, typer.Option(help="As for the command relax.")] = "chgnet",
    attempts: Annotated[int, typer.Option(min=1, help="Starting crystals of a label, at most.")] = 10,
    budget: Annotated[float | None, typer.Option(help="Minutes after which no candidate is begun.")] = None,
    best: Annotated[int, typer.Option(min=0, help="Candidates in the report, and with VASP inputs.")] = 20,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    jobs: Jobs = 1,
) -> None:
    """Sample labels, choose the new ones, realize, relax and place them above the hull, and report the best.

    An interrupted run goes on where it was. Example: wyckoffkit discover -n 1000 -o found/ --against entries.json.gz
    --known train.h5 --budget 60
    """
    from wyckoffkit.discover import DiscoverOptions, Wanted, elements_of, write_report, write_vasp_inputs
    from wyckoffkit.discover import discover as run
    from wyckoffkit.hull import Hull, known_labels, read_references
    from wyckoffkit.realize import RealizeOptions
    from wyckoffkit.relax import RelaxOptions

    wanted = Wanted(
        allowed=elements_of(_words(allow)) if allow else Wanted().allowed,
        without=elements_of(_words(without)),
        most_atoms=most_atoms,
        charge_neutral=charge_neutral,
        known=known_labels(known) if known else frozenset(),
    )
    options = DiscoverOptions(
        wanted=wanted,
        relax=RelaxOptions(realize=RealizeOptions(seed=seed), attempts=attempts),
        calculator=calculator,
        budget=budget,
        jobs=jobs,
    )
    zero = read_references(elements, scale=scale).elemental() if elements else None
    hull = Hull(read_references(against, scale=scale), zero)
    rejections = Rejections()
    with progress_bar("relaxing", None) as advance:
        found = run(
            _parsed(labels, n, seed, rejections),
            output,
            hull,
            options,
            on_row=lambda row, total: advance(f"{row['outcome']}: {row['label']}", total),
        )
    report = write_report(output, found, best=best)
    written = write_vasp_inputs(output, found, best=best)
    for row in [row for row in found.rows if row["outcome"] == "placed"][:best]:
        typer.echo(f"{row['energy_above_hull']:+9.4f}  {row['formation_energy']:+9.4f}  {row['label']}")
    typer.echo(
        f"{report}: {found.candidates} candidates, {found.relaxed} relaxed, {found.failed} failed; stable "
        f"{found.rates.stable}, metastable {found.rates.metastable}; VASP inputs for {written}",
        err=True,
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parsed(labels: Path | None, n: int, seed: int, rejections: Rejections) -> Iterator[Protostructure]:
    if labels is not None:
        for number, text in label_lines(labels):
            protostructure = rejections.parse(text, f"{labels}:{number}")
            if protostructure is not None:
                yield protostructure
        return
    # The model is a program of its own; its labels come through a pipe, as a person would have them.
    command = [sys.executable, "-m", "reference_model.sample", "-n", str(n), "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            protostructure = rejections.parse(line.strip(), "sampled")
            if protostructure is not None:
                yield protostructure
    if process.returncode:
        typer.echo("wyckoffkit: sampling failed", err=True)
        raise typer.Exit(1)
