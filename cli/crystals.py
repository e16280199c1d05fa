"""Commands from labels to crystals: realize, relax."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.interrupts import how_to_go_on

from .options import LabelFile, Rejections, protostructures

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure

_SHOWN = 20  # failures told one by one

OutputFolder = Annotated[Path, typer.Option("-o", "--output", help="Folder for the crystals and the record.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Labels that a process relaxes side by side.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Work on this dask cluster instead, as tcp://host:8786."),
]


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command()(realize)
    app.command()(relax)


def realize(
    file: LabelFile,
    output: OutputFolder,
    formats: Annotated[
        str, typer.Option("--format", help="Files a crystal: cif, extxyz, poscar, json; several with commas.")
    ] = "cif",
    copies: Annotated[int, typer.Option(min=1, help="Crystals of each label.")] = 1,
    engine: Annotated[
        str, typer.Option(help="wyckoffkit, pyxtal, or both: PyXtal where the first finds none.")
    ] = "wyckoffkit",
    trials: Annotated[
        int | None, typer.Option(min=1, help="At most.", show_default="by the number of free parameters")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives a label the same crystal.")] = 0,
    symprec: Annotated[float, typer.Option(help="Å, at which the group must be found again.")] = 1e-4,
    timeout: Annotated[float, typer.Option(help="Seconds for a trial of PyXtal's.")] = 20.0,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
) -> None:
    """Turn labels into crystals.

    Each crystal's own label is the one asked for; labels that collapse or have no room are listed. An interrupted run
    goes on where it was.

    Example: wyckoffkit realize labels.txt -o out/
    """
    _one_thread_a_process(jobs)
    how_to_go_on(lambda: rest_of(output / "trials.jsonl"))
    from wyckoffkit.realize import RealizeOptions, realize_many

    options = RealizeOptions(seed, copies, engine, trials, symprec, timeout)
    rejections = Rejections()
    wanted = [protostructure for *_, protostructure in protostructures(file, rejections)]
    failed: list[dict[str, Any]] = []
    realized = 0
    with progress_bar("realizing", len(dict.fromkeys(wanted)) * copies) as advance:
        chosen = [name.strip() for name in formats.split(",") if name.strip()]
        for rows in realize_many(wanted, output, options, formats=chosen, jobs=jobs, scheduler=scheduler):
            if rows[-1]["outcome"] == "accepted":
                realized += 1
            else:
                failed.append(rows[-1])
            advance(f"{len(failed)} failed")
    tell(failed, output / "trials.jsonl")
    typer.echo(
        f"{output}: {realized} crystals realized, {len(failed)} failed, {rejections.rejected} no labels", err=True
    )
    if failed or rejections.rejected:
        raise typer.Exit(1)


def relax(
    source: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Labels, one a line; '-' is stdin; or a folder that realize wrote.")
    ],
    output: OutputFolder,
    calculator: Annotated[
        str,
        typer.Option(
            help="chgnet, sevennet, mace:FILE, torchsim:mace:FILE, emt, lj, or "
            "package.module:Class of any ASE calculator."
        ),
    ] = "chgnet",
    attempts: Annotated[int, typer.Option(min=1, help="Starting crystals of a label, at most.")] = 10,
    agreement: Annotated[
        float, typer.Option(help="eV/atom: a label is done when its two lowest energies agree within this.")
    ] = 0.01,
    fmax: Annotated[float, typer.Option(help="eV/Å: the largest force that is left.")] = 0.05,
    steps: Annotated[int, typer.Option(min=1, help="Of one relaxation, at most.")] = 300,
    optimizer: Annotated[
        str, typer.Option(help="modes (ours), or ASE's BFGS, FIRE or LBFGS with FixSymmetry, one label at a time.")
    ] = "modes",
    timeout: Annotated[
        float, typer.Option(help="Seconds for one relaxation; one that says nothing for ten more is killed.")
    ] = 600.0,
    symprec: Annotated[float, typer.Option(help="Å, at which the label is found again.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the starting crystals.")] = 0,
    jobs: Jobs = 1,
    batch: Batch = 8,
    scheduler: Scheduler = None,
) -> None:
    """Relax the crystals of labels, first with their symmetry held and then free.

    New starting crystals are tried until the two lowest energies agree. Failures are rows; an interrupted run goes on
    where it was.

    Example: wyckoffkit relax labels.txt -o relaxed/
    """
    _one_thread_a_process(jobs)
    how_to_go_on(lambda: rest_of(output / "relaxed.jsonl"))
    from wyckoffkit.realize import RealizeOptions
    from wyckoffkit.relax import RelaxOptions, StageOptions, relax_many

    options = RelaxOptions(
        realize=RealizeOptions(seed=seed),
        stage=StageOptions(fmax=fmax, steps=steps, optimizer=optimizer, timeout=timeout),
        agreement=agreement,
        attempts=attempts,
        symprec=symprec,
    )
    rejections = Rejections()
    wanted = list(dict.fromkeys(_labels_of(source, rejections)))
    failed: list[dict[str, Any]] = []
    kept = relaxed = 0
    with progress_bar("relaxing", len(wanted)) as advance:
        for row in relax_many(
            wanted,
            output,
            options,
            calculator=calculator,
            jobs=jobs,
            batch=batch,
            scheduler=scheduler,
        ):
            if row["outcome"] == "relaxed":
                relaxed, kept = relaxed + 1, kept + row["kept"]
            else:
                failed.append(row)
            advance(f"{kept} kept their label, {len(failed)} failed")
    tell(failed, output / "relaxed.jsonl")
    typer.echo(
        f"{output}: {relaxed} relaxed, of which {kept} kept their label; {len(failed)} failed, "
        f"{rejections.rejected} no labels",
        err=True,
    )
    if failed or rejections.rejected:
        raise typer.Exit(1)


def _one_thread_a_process(jobs: int) -> None:
    """Where processes fill the machine, threads of BLAS are in the way. Read when numpy is first imported."""
    if jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def rest_of(record: Path) -> str:
    """How to go on where an interrupted run left this record."""
    return f"the same command does what is not in {record}" if record.exists() else "give the same command again"


def _labels_of(source: Path, rejections: Rejections) -> Iterator[Protostructure]:
    if source.is_dir():
        from wyckoffkit.realize import read_realized

        for _, _, realization in read_realized(source):
            rejections.accepted += 1
            yield realization.protostructure
    else:
        yield from (protostructure for *_, protostructure in protostructures(source, rejections))


def tell(failed: list[dict[str, Any]], record: Path) -> None:
    for row in failed[:_SHOWN]:
        typer.echo(f"{row['label']}: {row['outcome']}: {row['reason']}", err=True)
    if len(failed) > _SHOWN:
        typer.echo(f"… and {len(failed) - _SHOWN} more, with their reasons in {record}", err=True)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A bar with what is done, the time left and a remark, if stderr is a terminal; gives what advances it by one.

    That function takes the remark, and the total where that becomes known on the way.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[remark]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, remark="")

        def advance(remark: str, total: int | None = None) -> None:
            if total is not None:
                bar.update(task, total=total)
            bar.update(task, advance=1, remark=remark)

        yield advance
