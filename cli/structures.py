"""Commands about structures: from crystals to labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckoffkit.commandhelp import CommandApp

from .options import Engine, Json, Profile, Rejections, Symprec

if TYPE_CHECKING:
    from wyckoffkit.sources import Entry


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command()(label)


def label(
    structures: Annotated[
        list[Path],
        typer.Argument(metavar="STRUCTURE…", help="CIF, POSCAR, extended XYZ, JSON; files, folders, zip archives."),
    ],
    engine: Engine = "moyopy",
    symprec: Symprec = 0.1,
    angle_tolerance: Annotated[
        float | None, typer.Option(help="Degrees.", show_default="from symprec (moyopy), 5 (spglib)")
    ] = None,
    profile: Profile = "pymatgen",
    structure: Annotated[str, typer.Option(help="Where a source has both: org (before relaxation) or opt.")] = "org",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Tell at which symprec from 0.0001 to 0.5 Å the label flips.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the label of each structure, one a line.

    Structures without a label are listed on stderr, with the reason.

    Example: wyckoffkit label crystals/*.cif
    """
    from wyckoffkit.errors import DatasetError
    from wyckoffkit.sources import Source, check_structure
    from wyckoffkit.symmetry import check_search

    check_structure(structure)
    check_search(symprec, angle_tolerance, engine)
    search = _Search(engine, symprec, angle_tolerance, profile, structure, sweep, as_json)
    rejections = Rejections()
    for path in structures:
        try:
            for entry in Source(path, structure).entries():
                search.tell(entry, rejections)
        except DatasetError as error:
            rejections.reject("", error)
    rejections.finish("labelled")


class _Search:
    """What to look for, and how to say it."""

    def __init__(
        self,
        engine: str,
        symprec: float,
        angle_tolerance: float | None,
        profile: str,
        structure: str,
        sweep: bool,
        as_json: bool,
    ) -> None:
        self._options = {"engine": engine, "angle_tolerance": angle_tolerance, "profile": profile}
        self._symprec = symprec
        self._structure = structure
        self._sweep = sweep
        self._as_json = as_json

    def tell(self, entry: Entry, rejections: Rejections) -> None:
        """Write what is found for one entry, or report why nothing is."""
        from wyckoffkit.errors import SymmetryError
        from wyckoffkit.sources import EntryError, read_entry
        from wyckoffkit.symmetry import protostructure_of, sweep_symprec

        try:
            record = read_entry(entry, self._structure)
            if record.crystal is None:
                raise EntryError("a label, not a structure", record.material_id)
            for note in record.crystal.notes:
                typer.echo(f"{entry.place}: {note}", err=True)
            if self._sweep:
                flips = sweep_symprec(record.crystal, _TOLERANCES, **self._options)  # type: ignore[arg-type]
                facts = [{"symprec": flip.symprec, "label": flip.label, "error": flip.error} for flip in flips]
                self._write(
                    {"material_id": record.material_id, "place": entry.place, "flips": facts},
                    "\n".join(f"{flip.symprec:g}\t{flip.label or '-'}\t{record.material_id}" for flip in flips),
                )
            else:
                found = protostructure_of(record.crystal, symprec=self._symprec, **self._options)  # type: ignore[arg-type]
                self._write({"material_id": record.material_id, "place": entry.place, "label": str(found)}, str(found))
        except (EntryError, SymmetryError) as error:
            rejections.reject(entry.place, error)
            return
        rejections.accepted += 1

    def _write(self, facts: dict[str, object], line: str) -> None:
        typer.echo(json.dumps(facts, ensure_ascii=False) if self._as_json else line)


_TOLERANCES = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1),
    *(0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.18, 0.2, 0.22, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
)
