"""Questions about labels, compositions and structures: collapse, enumerate, parents, same."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckoffkit.commandhelp import CommandApp

from .options import Column, Engine, Json, LabelWords, Profile, Rejections, Symprec, label_words, protostructures

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure
    from wyckoffkit.symmetry import Crystal

_TERM = re.compile(r"([A-Z][a-z]?)([0-9]*)")


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    for command in (collapse, enumerate_, parents, same):
        app.command(command.__name__.rstrip("_"))(command)


def collapse(labels: LabelWords, profile: Profile = "pymatgen", as_json: Json = False) -> None:
    """Write the label that a label's crystals really have: another where it collapses into a supergroup.

    Example: wyckoffkit collapse A_aP1_1_a:Fe
    """
    from wyckoffkit.collapse import collapses
    from wyckoffkit.errors import SymmetryError
    from wyckoffkit.label import format_label
    from wyckoffkit.supergroup import supergroup_of

    rejections = Rejections()
    for where, text in label_words(labels, rejections):
        protostructure = rejections.parse(text, where)
        if protostructure is None:
            continue
        try:
            found = format_label(supergroup_of(protostructure, profile=profile))
        except SymmetryError as error:
            rejections.take_back(where, error)
            continue
        if as_json:
            import json

            typer.echo(json.dumps({"label": text, "collapses": collapses(protostructure), "crystals_have": found}))
        else:
            typer.echo(found)
    rejections.finish("answered")


def enumerate_(
    formula: Annotated[str, typer.Argument(help="Atoms in the conventional cell, as Ti2O4.")],
    number: Annotated[
        int | None, typer.Option("--space-group", min=1, max=230, help="One group.", show_default="all")
    ] = None,
    profile: Profile = "affine",
    formula_units: Annotated[int, typer.Option("-z", "--formula-units", min=1, help="Times the formula.")] = 1,
    count: Annotated[bool, typer.Option("--count", help="Only how many: settings, and canonical ones.")] = False,
    realisable: Annotated[bool, typer.Option("--realisable", help="Only those that do not collapse.")] = False,
    as_json: Json = False,
) -> None:
    """Write every label that a composition can have.

    Example: wyckoffkit enumerate TiO2 -z 2 --space-group 136
    """
    from wyckoffkit.collapse import collapses
    from wyckoffkit.enumeration import count_protostructures, enumerate_protostructures
    from wyckoffkit.label import format_label

    composition = {element: n * formula_units for element, n in _composition(formula).items()}
    for group in range(1, 231) if number is None else (number,):
        if not count:
            for protostructure in enumerate_protostructures(composition, group, profile=profile):
                if not (realisable and collapses(protostructure)):
                    typer.echo(format_label(protostructure))
            continue
        found = {
            "space_group": group,
            "settings": count_protostructures(composition, group),
            "canonical": count_protostructures(composition, group, profile=profile),
        }
        if realisable:
            everything = enumerate_protostructures(composition, group, profile=profile)
            found["realisable"] = sum(not collapses(protostructure) for protostructure in everything)
        if as_json:
            import json

            typer.echo(json.dumps(found))
        elif found["settings"]:
            typer.echo("  ".join(f"{name} {n}" for name, n in found.items()))


def _composition(formula: str) -> dict[str, int]:
    from wyckoffkit.errors import ProtostructureError

    terms = _TERM.findall(formula)
    if not terms or "".join(element + n for element, n in terms) != formula:
        raise ProtostructureError(f"a formula is element symbols with whole numbers, as Ti2O4, got {formula!r}")
    composition: dict[str, int] = {}
    for element, n in terms:
        composition[element] = composition.get(element, 0) + int(n or 1)
    return composition


def parents(
    label: Annotated[str, typer.Argument(metavar="LABEL", show_default=False)],
    among: Annotated[Path, typer.Option("--among", metavar="FILE", help="Labels, one a line; '-' is stdin.")],
    column: Column = None,
) -> None:
    """Write those labels of a file of which a label can be a distortion: its group is a subgroup of theirs.

    Example: wyckoffkit parents AB3C_tP5_99_a_bc_b:Ba-O-Ti --among perovskites.txt
    """
    from wyckoffkit.errors import SymmetryError
    from wyckoffkit.label import parse_label
    from wyckoffkit.subgroups import is_distortion_of

    child = parse_label(label)
    rejections = Rejections()
    for where, text, candidate in protostructures(among, rejections, column):
        try:
            if is_distortion_of(child, candidate):
                typer.echo(text)
        except SymmetryError as error:
            rejections.take_back(where, error)
    rejections.finish("compared")


def same(
    one: Annotated[str, typer.Argument(metavar="LABEL|FILE", show_default=False)],
    other: Annotated[str, typer.Argument(metavar="LABEL|FILE", show_default=False)],
    profile: Profile = "affine",
    engine: Engine = "moyopy",
    symprec: Symprec = 0.1,
    structure: Annotated[str, typer.Option(help="Where a file has both: org (before relaxation) or opt.")] = "org",
    as_json: Json = False,
) -> None:
    """Tell whether two labels or structures are one protostructure: exit code 0 same, 1 different, 2 no answer.

    Each is a label, or a file with one structure or label. Beside a label without elements, the other's are dropped.

    Example: wyckoffkit same a.cif AB_cF8_225_a_b:Cl-Na
    """
    from wyckoffkit.commandline import system_message
    from wyckoffkit.comparison import compare
    from wyckoffkit.errors import WyckoffkitError

    try:
        pair = [_material(word, structure) for word in (one, other)]
        found = compare(*pair, profile=profile, engine=engine, symprec=symprec)
    except (WyckoffkitError, OSError) as error:
        typer.echo(f"wyckoffkit: {system_message(error) if isinstance(error, OSError) else error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        import json

        record = {"same": found.same, "profile": profile, "labels": found.labels, "reason": found.reason}
        typer.echo(json.dumps(record, ensure_ascii=False))
    else:
        typer.echo("same" if found.same else f"different: {found.reason}")
    raise typer.Exit(0 if found.same else 1)


def _material(word: str, structure: str) -> str | Protostructure | Crystal:
    """What a word stands for: the one material in the file of that name, else a label."""
    if not os.path.exists(word):
        if ":" not in word and ("." in word or "_" not in word):
            from wyckoffkit.errors import LabelError

            raise LabelError(f"{word}: neither a file nor a label")
        return word
    from wyckoffkit.errors import DatasetError
    from wyckoffkit.sources import Source, read_entry

    entries = list(islice(Source(Path(word), structure).entries(), 2))
    if len(entries) != 1:
        raise DatasetError(f"{word}: {'several materials' if entries else 'no material'}, one is compared at a time")
    record = read_entry(entries[0], structure)
    if record.protostructure is not None:
        return record.protostructure
    assert record.crystal is not None  # a record holds one of the two
    for note in record.crystal.notes:
        typer.echo(f"{word}: {note}", err=True)
    return record.crystal
