"""Commands about datasets: making one from structures or labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckoffkit.commandhelp import CommandApp
from wyckoffkit.interrupts import how_to_go_on

from . import dataset_group
from .options import Engine, Profile, Symprec

if TYPE_CHECKING:
    from wyckoffkit.build import Outcome, Progress, Split

_SHOWN = 20  # rejected rows told one by one
DEFAULT_SPLIT = "0.9,0.05,0.05"


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command("build-dataset")(build_dataset)
    app.add_typer(dataset_group.group, name="dataset")


def build_dataset(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE…", help="JSON, CSV or labels, plain or compressed, told apart by content."),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The dataset; SOURCE.h5 if not given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="all cores")] = None,
    symprec: Symprec = 0.1,
    angle_tolerance: Annotated[
        float | None, typer.Option(help="Degrees.", show_default="from symprec (moyopy), 5 (spglib)")
    ] = None,
    engine: Engine = "moyopy",
    profile: Profile = "pymatgen",
    structure: Annotated[str, typer.Option(help="Where a source has both: org (before relaxation) or opt.")] = "org",
    clean: Annotated[
        str | None, typer.Option(metavar="RULES", help="Reject by misaligned, extreme-energy, or wbm for both.")
    ] = None,
    properties: Annotated[
        Path | None, typer.Option(metavar="CSV", help="More properties, by material_id (WBM's summary, say).")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="TRAIN,VAL,TEST", help="Fractions; 1,0,0 is all train.", show_default=DEFAULT_SPLIT),
    ] = None,
    split_counts: Annotated[
        str | None, typer.Option(metavar="VAL,TEST", help="Rows instead of fractions, as 10000,10000.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option(help="CSV with the columns material_id and split (train, validation, test).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    timeout: Annotated[float, typer.Option(help="Seconds that one structure may take.")] = 60.0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on this dask cluster instead, as tcp://host:8786.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the data, written into the file.")] = "",
) -> None:
    """Make a dataset from structures or labels.

    Rejected entries are kept in it with their reason; interrupted builds go on where they were.

    Example: wyckoffkit build-dataset wbm.json.bz2 -o wbm.h5 --split 0.8,0.1,0.1
    """
    from wyckoffkit.build import BuildOptions
    from wyckoffkit.build import build_dataset as build

    options = BuildOptions(
        symprec=symprec,
        angle_tolerance=angle_tolerance,
        engine=engine,
        profile=profile,
        structure=structure,
        clean=_rules(clean),
    )
    output = output or Path(sources[0].resolve().name.partition(".")[0] + ".h5")
    _say_when_interrupted(output)
    with _progress_bar(f"building {output.name}") as show:
        outcome = build(
            sources,
            output,
            options=options,
            split=_split(split, split_counts, split_file, seed),
            workers=workers or _cores(),
            timeout=timeout,
            scheduler=scheduler,
            properties=properties,
            licence=licence,
            progress=show,
        )
    _tell(outcome)


def _say_when_interrupted(output: Path) -> None:
    def written() -> int | None:
        return output.stat().st_mtime_ns if output.exists() else None

    def advice() -> str:
        partial = output.with_name(f"{output.name}.partial")
        if partial.exists():
            return f"the same command goes on from {partial}"
        return "nothing had been written, give the same command again" if written() == before else f"{output} is whole"

    before = written()
    how_to_go_on(advice)


def _cores() -> int:
    """Those that this process may use: a batch system, or `taskset`, may have given it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rules(text: str | None) -> tuple[str, ...]:
    from wyckoffkit.sources import RULES

    return tuple(RULES) if text == "wbm" else tuple(filter(None, (text or "").split(",")))


def _split(fractions: str | None, counts: str | None, file: Path | None, seed: int) -> Split:
    from wyckoffkit.build import Split
    from wyckoffkit.dataset import parse_counts, parse_split, read_split

    if sum(option is not None for option in (fractions, counts, file)) > 1:
        raise typer.BadParameter("--split, --split-counts and --split-file exclude each other")
    return Split(
        fractions=parse_split(fractions or DEFAULT_SPLIT) if not (counts or file) else None,
        counts=parse_counts(counts) if counts else None,
        seed=seed,
        by_id=read_split(file) if file else {},
    )


@contextmanager
def _progress_bar(title: str) -> Iterator[Callable[[Progress], None]]:
    """A bar on stderr with rate and time left; it follows the bytes read, which is all that is known beforehand."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]:,} materials, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, done=0, rate=0.0, visible=False)

        def show(progress: Progress) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = (progress.done - progress.resumed) / elapsed if elapsed else 0.0
            # Bytes are read some chunks ahead of the work.
            worked = progress.bytes_read * progress.done / max(1, progress.read)
            bar.update(task, total=progress.bytes_total, completed=worked, done=progress.done, rate=rate, visible=True)

        yield show


def _tell(outcome: Outcome) -> None:
    """Sum up on stderr; exit 1 where anything was rejected or could not be read."""
    rows = zip(outcome.rejected.material_id, outcome.rejected.place, outcome.rejected.reason, strict=True)
    for i, (name, place, reason) in enumerate(rows):
        if i == _SHOWN:
            typer.echo(f"… and {len(outcome.rejected) - _SHOWN} more rejected, listed in {outcome.output}", err=True)
            break
        typer.echo(f"{place}: {name}: {reason}", err=True)
    for problem in outcome.problems:
        typer.echo(problem, err=True)
    if outcome.n_repeated:
        typer.echo(f"{outcome.n_repeated:,} rows have a name that has come before; all are written", err=True)
    noted = f", {outcome.n_noted} with a note" if outcome.n_noted else ""
    typer.echo(f"{outcome.output}: {outcome.n_written:,} materials{noted}, {outcome.n_rejected:,} rejected", err=True)
    if outcome.n_rejected or outcome.problems:
        raise typer.Exit(1)
