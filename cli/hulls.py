"""Commands that place crystals among the known materials: references, hull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wyckoffkit.commandhelp import CommandApp

from .crystals import progress_bar, tell

if TYPE_CHECKING:
    from wyckoffkit.hull import Hull

Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        help="Known materials: entries or a phase diagram of pymatgen or elemental energies (JSON), a dataset "
        "(HDF5) or CSV with formation energies.",
        show_default="the elements alone, by the calculator",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option("--scale", help="The energy scale of --against, where it does not name it; mp2020 and pbe are short."),
]
Elements = Annotated[
    Path | None,
    typer.Option(
        "--elements",
        help="Elemental energies on the crystals' scale, where --against has none (JSON).",
        show_default="those that come with wyckoffkit",
    ),
]


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command()(references)
    app.command()(hull)


def references(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for references.json and the record.")],
    calculator: Annotated[str, typer.Option(help="As for the command relax.")] = "chgnet",
    elements: Annotated[str | None, typer.Option(help="Symbols, with commas.", show_default="all 89")] = None,
) -> None:
    """Compute reference energies of the elements with a calculator, for hull and discover.

    Each element is relaxed in the structure it has at low temperature. An interrupted run goes on where it was.

    Example: wyckoffkit references -o refs/ --calculator sevennet
    """
    from wyckoffkit.hull import elemental_crystals, relax_elements
    from wyckoffkit.relax import loaded_calculator

    wanted = [symbol.strip() for symbol in elements.split(",") if symbol.strip()] if elements else None
    failed: list[dict[str, Any]] = []
    done: set[str] = set()
    with progress_bar("elements", None if wanted else len(elemental_crystals())) as advance:
        for row in relax_elements(loaded_calculator(calculator), output, wanted):
            if row["outcome"] == "relaxed":
                done.add(row["element"])
            else:
                failed.append(row)
            advance(row["label"])
    tell(failed, output / "elements.jsonl")
    typer.echo(f"{output / 'references.json'}: {len(done)} elements; {len(failed)} relaxations failed", err=True)
    if failed:
        raise typer.Exit(1)


def hull_of(against: Path | None, scale: str | None, elements: Path | None, calculator: str) -> Hull:
    """The hull that the options name, for crystals of a calculator (its full name)."""
    from wyckoffkit.hull import FORMATION, Hull, embedded_references, read_references

    if against is None:
        return Hull(read_references(elements, scale=scale) if elements else embedded_references(calculator))
    known = read_references(against, scale=scale)
    if elements is None and known.kind != FORMATION:
        return Hull(known)
    return Hull(known, read_references(elements, scale=scale) if elements else embedded_references(calculator))


def hull(
    relaxed: Annotated[
        Path, typer.Argument(metavar="RELAXED", help="A folder that relax wrote, or its relaxed.jsonl.")
    ],
    against: Against = None,
    scale: Scale = None,
    elements: Elements = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="Give uncorrected PBE energies the MP2020 corrections.")
    ] = False,
    known: Annotated[
        Path | None, typer.Option(help="Labels that are not novel, one a line, or a dataset (HDF5).")
    ] = None,
    metastable: Annotated[float, typer.Option(help="eV/atom above the hull that count as metastable.")] = 0.1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="JSON lines; hull.jsonl beside the input.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for phase diagrams of two and three elements.")] = None,
) -> None:
    """Give relaxed crystals their formation energy and their energy above the hull of known materials.

    Without --against the elements alone are known. Energies of two scales are never compared.

    Example: wyckoffkit hull relaxed/ --against mp_entries.json.gz
    """
    import json

    from wyckoffkit.files import replacing
    from wyckoffkit.hull import hull_rows, known_labels, rates
    from wyckoffkit.relax import read_relaxed

    found_rows = list(read_relaxed(relaxed))
    above = hull_of(against, scale, elements, next((row.get("calculator", "") for row in found_rows), ""))
    rows = list(
        hull_rows(
            found_rows,
            above,
            known=known_labels(known) if known else frozenset(),
            metastable_up_to=metastable,
            correct=correct,
        )
    )
    output = output or (relaxed if relaxed.is_dir() else relaxed.parent) / "hull.jsonl"
    with replacing(output) as temporary:
        temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    placed = sorted((row for row in rows if row["outcome"] == "placed"), key=lambda row: row["energy_above_hull"])
    for row in placed:
        typer.echo(f"{row['energy_above_hull']:+9.4f}  {row['formation_energy']:+9.4f}  {row['label']}")
    tell([row for row in rows if row["outcome"] != "placed"], output)
    found = rates(rows)
    typer.echo(
        f"{output}: {len(placed)} of {found.n} placed (columns: eV/atom above the hull, formation energy; "
        f"{above.references.scale}); stable {found.stable}, within {metastable:g} eV/atom {found.metastable}; "
        f"of the unique {'and novel ' if known else ''}ones, stable {found.sun} and within it {found.msun}"
        f"{'' if known else ' (whether they are novel is not known without --known)'}",
        err=True,
    )
    if plots:
        _plot_systems(above, rows, plots)
    if len(placed) < found.n:
        raise typer.Exit(1)


def _plot_systems(above: Hull, rows: list[dict[str, Any]], folder: Path) -> None:
    from wyckoffkit.hull import plot_system
    from wyckoffkit.label import parse_label

    placed = [row for row in rows if row["outcome"] == "placed"]
    for system in sorted({tuple(parse_label(row["label"]).composition) for row in placed}):
        if len(system) in (2, 3):
            plot_system(above, system, placed, folder / f"{'-'.join(system)}.png")
