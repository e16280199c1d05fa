"""Structures as text: CIF, POSCAR and extended XYZ.

CIF without symmetry, which is what pymatgen writes and what CDVAE's data sets hold, is read here, about ten times as
fast; all other CIF by pymatgen, POSCAR and extended XYZ by ASE, each loaded at first use.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np

from ..elements import ATOMIC_NUMBER
from ..errors import SymmetryError
from ..symmetry import Crystal, crystal_of, lattice_of

_TOKEN = re.compile(
    r"""(?:^|(?<=\n));(.*?)\n;|'((?:[^'\n]|'(?=\S))*)'|"((?:[^"\n]|"(?=\S))*)"|(\#[^\n]*)|(\S+)""", re.DOTALL
)
_CELL = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
_OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_space_group_symop_ssg_operation_algebraic",
)
_GROUPS = (
    "_symmetry_Int_Tables_number",
    "_space_group_IT_number",
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_Hall",
)
_SYMBOL = re.compile(r"([A-Z][a-z]?)(?![a-z])")
_P1 = {"1", "P1", "P 1"}


def crystal_from_cif(text: str) -> Crystal:
    """The first crystal of a CIF. SymmetryError for text that holds none, or one without a protostructure."""
    found = _without_symmetry(text)
    return _by_pymatgen(text) if found is None else found


def _without_symmetry(text: str) -> Crystal | None:
    """A crystal whose atoms are all listed; None for whatever needs more than that."""
    single, loops = _read_blocks(text)
    operations = [row for name in _OPERATIONS for row in loops.get(name, [])]
    operations += [single[name] for name in _OPERATIONS if name in single]
    if any(re.sub(r"\s|\+", "", operation).lower() != "x,y,z" for operation in operations):
        return None
    if not operations and any(single.get(name, "P1") not in _P1 for name in _GROUPS):
        return None
    names = loops.get("_atom_site_type_symbol") or loops.get("_atom_site_label")
    frac = [loops.get(f"_atom_site_fract_{axis}") for axis in "xyz"]
    if not names or not all(frac) or any(name not in single for name in _CELL):
        return None
    try:
        occupancy = [_number(text) for text in loops.get("_atom_site_occupancy", [])]
        symbols = [_SYMBOL.match(name) for name in names]
        if any(not abs(share - 1) < 1e-6 for share in occupancy) or not all(symbols):
            return None  # pymatgen merges the parts of a shared site, and knows dummies
        numbers = [ATOMIC_NUMBER[match[1]] for match in symbols if match]
        coordinates = np.array([[_number(value) for value in column or []] for column in frac]).T
        cell = [_number(single[name]) for name in _CELL]
        return Crystal(lattice_of(cell[:3], cell[3:]), coordinates, np.array(numbers))
    except (ValueError, KeyError) as error:
        if isinstance(error, SymmetryError):
            raise
        return None


def _read_blocks(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """(single values, columns of loops) of the first data block."""
    single: dict[str, str] = {}
    loops: dict[str, list[str]] = {}
    tag: str | None = None
    header: list[str] = []
    values: list[str] = []
    in_header = False
    blocks = 0

    def close_loop() -> None:
        for i, name in enumerate(header):
            loops[name] = values[i :: len(header)]
        header.clear()
        values.clear()

    for match in _TOKEN.finditer(text):
        field, quoted, double, comment, word = match.groups()
        if comment is not None:
            continue
        bare = word is not None
        value = next(part for part in (field, quoted, double, word) if part is not None)
        low = value.lower() if bare else ""
        if bare and low.startswith("data_"):
            blocks += 1
            if blocks > 1:
                break
        elif bare and low == "loop_":
            close_loop()
            in_header = True
        elif bare and value.startswith("_"):
            if in_header:
                header.append(value)
            else:
                close_loop()
                tag = value
        elif tag is not None:
            single[tag] = value
            tag = None
        elif header:
            in_header = False
            values.append(value)
        if bare and value.startswith("_") and not in_header:
            tag = value
    close_loop()
    return single, loops


def _number(text: str) -> float:
    """A CIF number; its standard uncertainty in brackets is dropped."""
    return float(text.partition("(")[0])


def _by_pymatgen(text: str) -> Crystal:
    try:
        from pymatgen.io.cif import CifParser
    except ImportError:
        raise SymmetryError(
            "a CIF with symmetry operations or shared sites needs pymatgen: pip install 'wyckoffkit[structures]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounding of coordinates, and the like
        try:
            # An occupancy that is too large is for `crystal_of` to refuse, with its sentence.
            parser = CifParser.from_str(text, occupancy_tolerance=100.0)
            (structure, *_) = parser.parse_structures(primitive=False, on_error="raise")
        except Exception as error:  # pymatgen raises whatever its own reading runs into
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise SymmetryError(f"not a CIF that pymatgen can read: {reason}") from None
    return crystal_of(structure)


def crystal_by_ase(text: str, form: str) -> tuple[Crystal, dict[str, Any]]:
    """(crystal, what the comment says of it) of a POSCAR (`vasp`) or one frame of extended XYZ (`extxyz`)."""
    try:
        import ase.io
    except ImportError:
        raise SymmetryError(f"{form} files need ASE: pip install 'wyckoffkit[structures]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            atoms = ase.io.read(io.StringIO(text), format=form)
        except Exception as error:  # as above
            raise SymmetryError(f"not a structure that ASE can read as {form}: {error}") from None
    if isinstance(atoms, list):
        raise SymmetryError(f"{len(atoms)} structures where one should be")
    return crystal_of(atoms), dict(atoms.info)
