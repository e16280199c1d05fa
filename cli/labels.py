"""Commands about labels: between text and tensors, and a look at one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckoffkit.commandhelp import CommandApp

from .options import Column, Json, LabelFile, LabelWords, Profile, Rejections, label_words, protostructures

if TYPE_CHECKING:
    from wyckoffkit.protostructure import Protostructure, Prototype


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    for command in (encode, decode, show, canonicalize, validate, repair):
        app.command()(command)


def encode(
    file: LabelFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write .h5 (a dataset), .npz (columns) or .jsonl; stdout gets JSON lines."),
    ] = None,
    n_elements: Annotated[int, typer.Option(min=1, max=118, help="E, the elements that z∞ has columns for.")] = 100,
    column: Column = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Write the canonical setting under pymatgen, aviary-1.1.1 or affine.", show_default="as is"),
    ] = None,
) -> None:
    """Turn labels into tensors (s, z0, z∞).

    Lines with an error are listed and the rest is encoded; memory does not grow with their number. Text may be packed
    (gzip, bzip2, xz, zstd), on stdin too.

    Example: wyckoffkit encode labels.txt -o x.h5
    """
    from wyckoffkit.canonical import AS_GIVEN, check_profile
    from wyckoffkit.tensorfile import write_tensors

    if profile is not None:
        check_profile(profile)
    rejections = Rejections()
    materials = _accepted(file, column, rejections, n_elements)
    recorded = write_tensors(materials, output, n_elements=n_elements, profile=profile)
    if recorded == AS_GIVEN and output is not None and output.suffix != ".jsonl":
        typer.echo(
            f"{output}: not all labels are canonical, so it records no profile; --profile pymatgen makes them so",
            err=True,
        )
    rejections.finish("encoded")
    if output is not None:
        typer.echo(f"{output}: {rejections.accepted:,} labels encoded", err=True)


def _accepted(
    file: Path, column: str | None, rejections: Rejections, n_elements: int
) -> Iterator[tuple[str, Protostructure]]:
    from wyckoffkit.encoding import check_encodable
    from wyckoffkit.errors import ProtostructureError

    for where, text, protostructure in protostructures(file, rejections, column):
        try:
            check_encodable(protostructure, n_elements)
        except ProtostructureError as error:
            rejections.take_back(where, error)
            continue
        yield text, protostructure


def decode(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A file that `encode` or `build-dataset` wrote; '-' is stdin, with JSON lines."
        ),
    ],
) -> None:
    """Turn tensors back into labels.

    Example: wyckoffkit decode x.h5
    """
    from wyckoffkit.errors import ProtostructureError
    from wyckoffkit.label import format_label
    from wyckoffkit.tensorfile import read_tensors

    rejections = Rejections()
    for where, make in read_tensors(file):
        try:
            typer.echo(format_label(make()))
            rejections.accepted += 1
        except ProtostructureError as error:
            rejections.reject(where, error)
    rejections.finish("decoded")


def show(labels: LabelWords, as_json: Json = False) -> None:
    """Show what a label says, with or without elements.

    Example: wyckoffkit show AB6C_hR24_166_a_h_b:Cs-F-Sn
    """
    import json

    rejections = Rejections()
    for where, text in label_words(labels, rejections):
        found = rejections.parse_any(text, where)
        if found is not None:
            record = _facts(text, found)
            typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _as_text(record))
    rejections.finish("showed")


def _facts(label: str, found: Protostructure | Prototype) -> dict[str, object]:
    from wyckoffkit.canonical import canonical_prototype
    from wyckoffkit.protostructure import FORMULA_LETTERS, Protostructure

    group = found.space_group
    prototype = canonical = str(canonical_prototype(found))
    if isinstance(found, Protostructure):
        fields = found.occupations
        canonical = str(found.canonical())
    else:  # the letters of its formula stand for the elements
        fields = dict(zip(FORMULA_LETTERS, found.fields, strict=False))
    composition = {
        element: sum(group.position(letter).multiplicity for letter in letters) for element, letters in fields.items()
    }
    orbits = [(element, group.position(letter)) for element, letters in fields.items() for letter in letters]
    return {
        "label": label,
        "canonical": canonical,
        "prototype": prototype,
        "space_group": f"{group.symbol} ({group.number})",
        "pearson_symbol": found.pearson_symbol,
        "atoms": sum(composition.values()),
        "composition": composition,
        "dof": sum(position.dof for _, position in orbits),
        "orbits": [
            {
                "element": element,
                "position": f"{position.multiplicity}{position.letter}",
                "site_symmetry": position.site_symmetry,
                "dof": position.dof,
                "coordinates": position.coordinates,
            }
            for element, position in orbits
        ],
    }


def _as_text(record: dict[str, object]) -> str:
    composition = record["composition"]
    orbits = record["orbits"]
    assert isinstance(composition, dict)
    assert isinstance(orbits, list)
    rows = [
        ("label", record["label"]),
        ("canonical", record["canonical"]),
        ("prototype", record["prototype"]),
        ("space group", record["space_group"]),
        ("cell", " ".join(f"{e}{n}" for e, n in composition.items()) + f", {record['atoms']} atoms"),
        ("free coordinates", record["dof"]),
    ]
    lines = [f"{name:<17} {value}" for name, value in rows]
    lines += [
        f"{o['element']:>4} on {o['position']:<5} {o['site_symmetry']:<8} {o['dof']} free  {o['coordinates']}"
        for o in orbits
    ]
    return "\n".join(lines)


def canonicalize(labels: LabelWords, profile: Profile = "pymatgen") -> None:
    """Write the canonical setting of each label, with or without elements.

    Example: wyckoffkit canonicalize - < labels.txt
    """
    from wyckoffkit.canonical import canonical_form, canonical_prototype
    from wyckoffkit.protostructure import Prototype

    rejections = Rejections()
    for where, text in label_words(labels, rejections):
        found = rejections.parse_any(text, where)
        if isinstance(found, Prototype):
            typer.echo(str(canonical_prototype(found, profile)))
        elif found is not None:
            typer.echo(str(canonical_form(found, profile)))
    rejections.finish("canonicalized")


def validate(file: LabelFile, column: Column = None) -> None:
    """Check a file of labels, and list each line with an error.

    Example: wyckoffkit validate labels.txt
    """
    rejections = Rejections()
    for _ in protostructures(file, rejections, column):
        pass
    rejections.finish("valid")
    typer.echo(f"{rejections.accepted} valid labels")


def repair(labels: LabelWords, column: Column = None) -> None:
    """Write the valid label behind a mangled one.

    What is merely not strict (explicit counts of 1, unsorted elements, oS for oC, AFLOW's hR8 for hR24, Wren's notation
    'Br @ 24-e-225' …) is normalised and the changes are listed; what lost its separators is inferred from
    stoichiometry and Pearson symbol. Labels without elements stay so.

    Example: wyckoffkit repair A6B3C.mC20_12_i.j.a.i.d:F-Rb-V
    """
    from wyckoffkit.errors import LabelError

    rejections = Rejections()
    for where, text in label_words(labels, rejections, column):
        try:
            found, changes = _repaired(text)
        except LabelError as error:
            rejections.reject(where, error)
            continue
        rejections.accepted += 1
        typer.echo(found)
        for change in changes:
            typer.echo(f"{where or text}: {change}", err=True)
    rejections.finish("repaired")


def _repaired(text: str) -> tuple[str, tuple[str, ...]]:
    """The strict label of a text, and what was changed."""
    from contextlib import suppress

    from wyckoffkit.errors import LabelError
    from wyckoffkit.label import format_label
    from wyckoffkit.lenient import parse_lenient, parse_lenient_prototype
    from wyckoffkit.repair import repair_label
    from wyckoffkit.wren import parse_wren

    if "@" in text:
        return format_label(parse_wren(text)), ("Wren's notation",)
    with suppress(LabelError):
        lenient = parse_lenient(text)
        return format_label(lenient.protostructure), lenient.changes
    with suppress(LabelError):
        prototype = parse_lenient_prototype(text)
        return str(prototype.prototype), prototype.changes
    return format_label(repair_label(text)), ("inferred from stoichiometry and Pearson symbol",)
