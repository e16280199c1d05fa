"""Crystals as files: CIF with its symmetry, extended XYZ, POSCAR, and the dictionary of a pymatgen Structure.

Written here because they are short and must be fast; the tests read each with pymatgen and ASE.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import groupby
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elements import SYMBOLS
from ..label import format_label
from ..operations import UNIT, operations
from ..spacegroup import SpaceGroup
from ..symmetry.crystal import Crystal
from .orbits import centrings
from .trial import Realization


def cell_parameters(lattice: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Lengths (Å) and angles (degrees) of a cell."""
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[2] @ unit[0], unit[0] @ unit[1]]
    return lengths.tolist(), np.degrees(np.arccos(np.clip(cosines, -1, 1))).tolist()


def format_triplet(matrix: NDArray[np.int64], offset: NDArray[np.int64]) -> str:
    """The coordinate triplet of an integer matrix and an offset in 24ths.

    >>> from wyckoffkit.operations import parse_triplet
    >>> format_triplet(*parse_triplet("-y+1/2,x-y,z"))
    '-y+1/2,x-y,z'
    """
    rows = []
    for row, shift in zip(matrix.tolist(), offset.tolist(), strict=True):
        text = "".join(
            ("-" if n < 0 else "+") + (str(abs(n)) if abs(n) != 1 else "") + name
            for n, name in zip(row, "xyz", strict=True)
            if n
        )
        if shift % UNIT:
            text += f"+{Fraction(shift % UNIT, UNIT)}"
        rows.append(text.removeprefix("+") or "0")
    return ",".join(rows)


@cache
def all_operations(number: int) -> tuple[str, ...]:
    """Every operation of a group in the conventional cell, centring translations included."""
    group = operations(number)
    return tuple(
        format_triplet(rotation, translation + centring)
        for centring in centrings(number)
        for rotation, translation in zip(group.rotations, group.translations, strict=True)
    )


@cache
def _cif_symmetry(number: int) -> str:
    group = SpaceGroup.from_number(number)
    lines = [
        f"_space_group_name_H-M_alt '{group.symbol}'",
        f"_space_group_IT_number {number}",
        f"_symmetry_Int_Tables_number {number}",
        "loop_",
        " _space_group_symop_id",
        " _space_group_symop_operation_xyz",
        *(f" {i} '{operation}'" for i, operation in enumerate(all_operations(number), start=1)),
    ]
    return "\n".join(lines)


def format_cif(realization: Realization) -> str:
    """A CIF with the group's operations and one site an orbit; readers build the rest."""
    crystal, protostructure = realization.crystal, realization.protostructure
    group = protostructure.space_group
    label = format_label(protostructure)
    lengths, angles = cell_parameters(crystal.lattice)
    composition = protostructure.composition
    units = gcd(*composition.values())
    formula = " ".join(f"{element}{n // units if n > units else ''}" for element, n in composition.items())
    lines = [
        # A data name holds neither blanks nor the colon of the label, which some readers stumble over.
        f"data_{label.replace(':', '_')}",
        f"_chemical_name_structure_type '{label}'",
        f"_chemical_formula_sum '{formula}'",
        f"_cell_formula_units_Z {units}",
    ]
    lines += [f"_cell_length_{axis} {length:.10f}" for axis, length in zip("abc", lengths, strict=True)]
    lines += [
        f"_cell_angle_{name} {angle:.10f}" for name, angle in zip(("alpha", "beta", "gamma"), angles, strict=True)
    ]
    lines += [f"_cell_volume {crystal.volume:.8f}", _cif_symmetry(group.number), "loop_"]
    lines += [
        f" _atom_site_{name}"
        for name in ("label type_symbol symmetry_multiplicity Wyckoff_symbol fract_x fract_y fract_z occupancy").split()
    ]
    site = 0
    for i, orbit in enumerate(protostructure.orbits, start=1):
        position = group.position(orbit.letter)
        x, y, z = crystal.frac[site].tolist()
        lines.append(f" {orbit.element}{i} {orbit.element} {position.multiplicity} {orbit.letter} {x!r} {y!r} {z!r} 1")
        site += position.multiplicity
    return "\n".join(lines) + "\n"


def format_extxyz(crystal: Crystal, info: Mapping[str, str | int | float | bool]) -> str:
    """One frame of extended XYZ, with `info` in its second line; Å."""
    told = " ".join(f"{key}={_extxyz_value(value)}" for key, value in info.items())
    lattice = " ".join(f"{x:.10f}" for x in crystal.lattice.ravel())
    lines = [
        str(len(crystal.numbers)),
        f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 {told} pbc="T T T"'.replace("  ", " "),
    ]
    positions = (crystal.frac @ crystal.lattice).tolist()
    for number, (x, y, z) in zip(crystal.numbers.tolist(), positions, strict=True):
        lines.append(f"{SYMBOLS[number]:<2} {x:16.10f} {y:16.10f} {z:16.10f}")
    return "\n".join(lines) + "\n"


def _extxyz_value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def format_poscar(crystal: Crystal, comment: str) -> str:
    """A VASP 5 POSCAR, in the order of the crystal's sites."""
    runs = [(SYMBOLS[number], len(list(run))) for number, run in groupby(crystal.numbers.tolist())]
    lines = [comment, "1.0", *(" ".join(f"{x:16.10f}" for x in row) for row in crystal.lattice)]
    lines += [" ".join(symbol for symbol, _ in runs), " ".join(str(n) for _, n in runs), "Direct"]
    lines += [" ".join(f"{x:14.10f}" for x in row) for row in crystal.frac]
    return "\n".join(lines) + "\n"


def structure_dict(crystal: Crystal) -> dict[str, Any]:
    """What `Structure.as_dict()` of pymatgen gives, without pymatgen."""
    sites = []
    positions = (crystal.frac @ crystal.lattice).tolist()
    for number, abc, xyz in zip(crystal.numbers.tolist(), crystal.frac.tolist(), positions, strict=True):
        symbol = SYMBOLS[number]
        species = [{"element": symbol, "occu": 1}]
        sites.append({"species": species, "abc": abc, "xyz": xyz, "label": symbol, "properties": {}})
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": crystal.lattice.tolist(), "pbc": [True, True, True]},
        "properties": {},
        "sites": sites,
    }


# Suffix and writer of each format that holds one crystal a file.
FORMATS: dict[str, tuple[str, Callable[[Realization], str]]] = {
    "cif": (".cif", format_cif),
    "extxyz": (".xyz", lambda r: format_extxyz(r.crystal, {"label": format_label(r.protostructure)})),
    "poscar": (".vasp", lambda r: format_poscar(r.crystal, format_label(r.protostructure))),
    "json": (".json", lambda r: json.dumps(structure_dict(r.crystal)) + "\n"),
}
