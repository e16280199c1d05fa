"""Samples in other projects' own formats; what many programs read (CIF, CSV with `cif` …) is wyckoffkit.sources' work.

Tensors of CDVAE and its kin (see `tensors`), columns of CrystalFormer, genes of the Wyckoff Transformer (the arguments
of pyxtal's `from_random`). Written from what the files hold.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wyckoffkit import DatasetError, Orbit, Protostructure, ProtostructureError, SpaceGroup, SymmetryError
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.symmetry import Crystal, crystal_from_dict
from wyckoffkit.textlines import DAMAGE, compression, decompressed, document, open_lines

from .tensors import Made, generated_tensors

_PRINTED = re.compile(rb"\n\"?\{'@module': ?'pymatgen")
_MAX_FIELD = 1 << 24
_SITE = re.compile(r"([0-9]+)([a-zA])")


def foreign(path: Path) -> Iterator[Made] | None:
    """The materials of a file in one of these formats, told by content; None for a file in none of them."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        start = file.read(2)
    if start == b"\x80\x02" or (start == b"PK" and _is_torch_archive(path)):
        return generated_tensors(path)
    try:
        with open(path, "rb") as file, decompressed(file, compression(file, path), path) as stream:
            head = stream.read(4096)
    except (OSError, *DAMAGE):
        return None
    if head.lstrip()[:1] in (b"[", b"{") and b'"group"' in head and b'"sites"' in head and b'"species"' in head:
        return _of_genes(path)
    columns = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(",")
    if {"A", "W"} <= set(columns):
        return _of_columns(path)
    if "cif" in columns and _PRINTED.search(head):
        return _of_printed(path)
    return None


def _is_torch_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _of_genes(path: Path) -> Iterator[Made]:
    try:
        with open(path, "rb") as file, decompressed(file, compression(file, path), path) as stream:
            content = json.loads(document(stream, path))
    except (ValueError, OSError, EOFError, RecursionError) as error:
        raise DatasetError(f"{path}: damaged, or not JSON: {error}") from None
    genes = [content] if isinstance(content, dict) else content
    for i, gene in enumerate(genes):
        yield i, json.dumps(gene)[:200], partial(_of_gene, gene)


def _of_gene(gene: Any) -> Protostructure:
    try:
        group = SpaceGroup.from_number(int(gene["group"]))
        orbits = [
            Orbit(str(species), _letter(group, site))
            for species, sites in zip(gene["species"], gene["sites"], strict=True)
            for site in sites
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProtostructureError):
            raise
        raise ProtostructureError(f"not a gene (group, species, sites): {error!r}") from None
    return Protostructure(group, tuple(orbits))


def _letter(group: SpaceGroup, site: Any) -> str:
    """`4a`, with the multiplicity that the position has, or the letter alone."""
    text = next(iter(site)) if isinstance(site, Mapping) else str(site)
    match = _SITE.fullmatch(text)
    letter = match[2] if match else text
    due = group.position(letter).multiplicity
    if match and int(match[1]) != due:
        raise ProtostructureError(f"position {letter} of {group.symbol} has multiplicity {due}, got {match[1]}")
    return letter


def _of_columns(path: Path) -> Iterator[Made]:
    """CrystalFormer's CSV: atomic numbers A and Wyckoff letters W (1 is a) of each orbit, 0 where there is none.

    The space group is column G, else it stands in the file's name (output_225.csv).
    """
    named = re.search(r"([0-9]{1,3})(?:_struct)?\.csv", path.name)
    with open_lines(path) as lines:
        table = csv.DictReader(lines)
        if not {"A", "W"} <= set(table.fieldnames or ()):
            raise DatasetError(f"{path}: the heading has no columns A and W (a quote that is not closed?)")
        rows = (row for row in table if row["A"] != "A")  # appended runs repeat the heading
        for i, row in enumerate(rows):
            group = row.get("G") or (named[1] if named else None)
            if group is None:
                raise DatasetError(f"{path}: the space group is neither in a column G nor in the name (output_225.csv)")
            yield i, f"A={row['A']} W={row['W']}"[:200], partial(_of_row, group, row["A"], row["W"])


def _of_row(group: str, elements: str, letters: str) -> Protostructure:
    try:
        space_group = SpaceGroup.from_number(int(group))
    except ValueError:
        raise ProtostructureError(f"no number of a space group: {group[:20]!r}") from None
    try:
        numbers: Sequence[int] = [int(z) for z in ast.literal_eval(elements)]
        places: Sequence[int] = [int(w) for w in ast.literal_eval(letters)]
        pairs = [(z, w) for z, w in zip(numbers, places, strict=True) if z or w]
        orbits = [Orbit(SYMBOLS[z], space_group.letters[w - 1]) for z, w in pairs if z > 0 and w > 0]
    except (ValueError, SyntaxError, TypeError, IndexError, MemoryError, RecursionError) as error:
        raise ProtostructureError(f"not atomic numbers and Wyckoff letters of {space_group.symbol}: {error}") from None
    if len(orbits) != len(pairs):
        raise ProtostructureError("an orbit without an element, or an element without a position")
    return Protostructure(space_group, tuple(orbits))


def _of_printed(path: Path) -> Iterator[Made]:
    """CrystalFormer's structures (`…_struct.csv`): the column `cif` holds dictionaries as Python prints them."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        with open_lines(path) as lines:
            rows = (row["cif"] for row in csv.DictReader(lines) if row["cif"] != "cif")
            for i, text in enumerate(rows):
                yield i, f"structure {i}", partial(_of_dictionary, text)
    finally:
        csv.field_size_limit(before)


def _of_dictionary(text: str) -> Crystal:
    try:
        content = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise SymmetryError(f"not the dictionary of a structure: {error}") from None
    if not isinstance(content, dict):
        raise SymmetryError(f"not the dictionary of a structure but a {type(content).__name__}")
    return crystal_from_dict(content)
