"""Questions about labels and compositions: collapse, enumerate, same."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from .options import Json, LabelWords, Profile, Rejections, label_words

_TERM = re.compile(r"([A-Z][a-z]?)([0-9]*)")


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    for command in (collapse, enumerate_, same):
        app.command(command.__name__.rstrip("_"))(command)


def collapse(labels: LabelWords, profile: Profile = "pymatgen", as_json: Json = False) -> None:
    """Write the label that a label's crystals really have: another where it collapses into a supergroup.

    Example: wyckoffkit collapse A_aP1_1_a:Fe
    """
    from wyckoffkit.collapse import collapses
    from wyckoffkit.label import format_label
    from wyckoffkit.supergroup import supergroup_of

    rejections = Rejections()
    for where, text in label_words(labels):
        protostructure = rejections.parse(text, where)
        if protostructure is None:
            continue
        found = format_label(supergroup_of(protostructure, profile=profile))
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


def same(
    one: Annotated[str, typer.Argument(metavar="LABEL")],
    other: Annotated[str, typer.Argument(metavar="LABEL")],
    profile: Profile = "affine",
) -> None:
    """Tell whether two labels are settings of one protostructure.

    Example: wyckoffkit same LABEL LABEL
    """
    from wyckoffkit.canonical import are_equivalent
    from wyckoffkit.label import parse_label

    typer.echo("same" if are_equivalent(parse_label(one), parse_label(other), profile) else "different")
