"""What a protostructure becomes in the subgroups of its space group, and of which ones it can be a distortion.

Every subgroup is a klassengleiche subgroup (same point group, fewer translations) of a translationengleiche one (same
translations, smaller point group; Hermann's theorem). moyo enumerates both kinds; the label in a subgroup is read from
a crystal to which a decoration was added that has exactly the subgroup's symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import moyopy
import numpy as np
from numpy.typing import NDArray

from .canonical import are_equivalent
from .elements import SYMBOLS
from .errors import SymmetryError
from .operations import UNIT, Integers, operations
from .protostructure import Protostructure
from .supergroup import generic_crystal
from .symmetry.crystal import Crystal
from .symmetry.search import protostructure_of

_SYMPREC = 1e-5  # Å
# Random coordinates are drawn again when two atoms happen to come together.
_TRIES = 5
# Subgroups with larger cells take moyo minutes to hours to list.
_LARGEST_CELL = 16


@dataclass(frozen=True, slots=True, eq=False)
class _Subgroup:
    """A subgroup in a primitive basis of its own."""

    rotations: Integers
    """(N, 3, 3)"""
    translations: NDArray[np.float64]
    """(N, 3)"""
    basis: Integers
    """(3, 3) columns are its primitive vectors in the parent's primitive basis."""
    point_index: int
    """Operations of the parent's point group over its own."""
    cell_index: int
    """Volume of its primitive cell over the parent's."""


def _of(found: Any, basis: Any, point_index: int, cell_index: int) -> _Subgroup:
    translations = np.array(found.operations.translations, np.float64)
    return _Subgroup(np.array(found.operations.rotations), translations, np.array(basis), point_index, cell_index)


@lru_cache(maxsize=64)
def _point_subgroups(number: int) -> tuple[_Subgroup, ...]:
    group = operations(number)
    rotations, _ = group.in_primitive_basis(group.rotations)
    translations = group.translations @ group.inverse.T % UNIT / UNIT
    classes = moyopy.enumerate_translationengleiche_subgroups(rotations.tolist(), translations.tolist())
    return tuple(
        _of(c.representative, np.eye(3, dtype=int), c.representative.translationengleiche_index, 1) for c in classes
    )


@lru_cache(maxsize=256)
def _subgroups(number: int, point_index: int, cell_index: int) -> tuple[_Subgroup, ...]:
    """One of each class of subgroups of these indices."""
    found: list[_Subgroup] = []
    for t in _point_subgroups(number):
        if t.point_index != point_index:
            continue
        if cell_index == 1:
            found.append(t)
            continue
        for c in moyopy.enumerate_klassengleiche_subgroups_by_index(
            t.rotations.tolist(), t.translations.tolist(), cell_index
        ):
            found.append(_of(c.representative, c.representative.transformation, point_index, cell_index))
    return tuple(found)


def _cell_translations(basis: Integers, index: int) -> Integers:
    """(index, 3) parent lattice vectors, one of each coset of the subgroup's lattice."""
    inverse = np.rint(np.linalg.inv(basis) * index).astype(np.int64)  # times the index it is whole
    cosets: dict[bytes, tuple[int, ...]] = {}
    for shift in product(range(index), repeat=3):
        cosets.setdefault((inverse @ shift % index).tobytes(), shift)
    return np.array(list(cosets.values()))


def _form_in(subgroup: _Subgroup, protostructure: Protostructure, generator: np.random.Generator) -> Protostructure:
    """A crystal's protostructure under the subgroup's operations alone. SymmetryError where chance spoilt it."""
    crystal = generic_crystal(protostructure, generator)
    inverse = np.linalg.inv(subgroup.basis)
    shifts = _cell_translations(subgroup.basis, subgroup.cell_index)
    frac = (crystal.frac[:, None] + shifts).reshape(-1, 3) @ inverse.T
    decoration = [subgroup.rotations @ generator.random(3) + subgroup.translations for _ in range(2)]
    others = [z for z in range(1, len(SYMBOLS)) if z not in crystal.numbers][:2]
    numbers = [np.repeat(crystal.numbers, len(shifts)), np.repeat(others, len(subgroup.rotations))]
    dressed = Crystal(
        subgroup.basis.T @ crystal.lattice, np.concatenate([frac, *decoration]) % 1.0, np.concatenate(numbers)
    )
    found = protostructure_of(dressed, symprec=_SYMPREC, profile=None)
    symbols = [SYMBOLS[z] for z in others]
    orbits = tuple(orbit for orbit in found.orbits if orbit.element not in symbols)
    in_primitive_cell = found.n_atoms // operations(found.space_group.number).n_centrings
    if len(found.orbits) != len(orbits) + 2 or in_primitive_cell != len(dressed.numbers):
        raise SymmetryError("the decorated crystal has another symmetry than the subgroup")
    return Protostructure(found.space_group, orbits).canonical("affine")


@lru_cache(maxsize=4096)
def subgroup_forms(protostructure: Protostructure, point_index: int, cell_index: int = 1) -> frozenset[Protostructure]:
    """What the protostructure becomes in its group's subgroups of these indices, canonical under `affine`.

    `point_index` is the order of the point group over that of the subgroup's, `cell_index` the volume of the
    subgroup's primitive cell over the group's, at most 16; of 4 and more it takes seconds to minutes in cubic groups.
    Raises SymmetryError beyond, and where random crystals do not settle it.

    >>> from wyckoffkit import parse_label
    >>> "AB_oP2_25_a_a:Cl-Cs" in map(str, subgroup_forms(parse_label("AB_tP2_99_a_a:Cl-Cs"), 2))
    True
    """
    if cell_index > _LARGEST_CELL:
        raise SymmetryError(
            f"subgroups with cells {cell_index} times as large as those of {protostructure} are not listed, "
            f"only up to {_LARGEST_CELL} times"
        )
    generator = np.random.default_rng(0)
    found = set()
    for subgroup in _subgroups(protostructure.space_group.number, point_index, cell_index):
        for attempt in range(_TRIES):
            try:
                found.add(_form_in(subgroup, protostructure, generator))
                break
            except SymmetryError as error:
                if attempt == _TRIES - 1:
                    raise SymmetryError(f"{protostructure} in a subgroup of index {point_index}: {error}") from None
    return frozenset(found)


def _indices(child: Protostructure, parent: Protostructure) -> tuple[int, int] | None:
    """(point index, cell index) that a subgroup must have for the child to be a distortion, None if it cannot be."""
    group, supergroup = operations(child.space_group.number), operations(parent.space_group.number)
    point_index, left = divmod(len(supergroup.rotations), len(group.rotations))
    of_child, of_parent = child.n_atoms // group.n_centrings, parent.n_atoms // supergroup.n_centrings
    cell_index, over = divmod(of_child, of_parent)
    same = {e: n * of_parent for e, n in _in_primitive_cell(child, group.n_centrings).items()} == {
        e: n * of_child for e, n in _in_primitive_cell(parent, supergroup.n_centrings).items()
    }
    return (point_index, cell_index) if same and not left and not over else None


def _in_primitive_cell(protostructure: Protostructure, n_centrings: int) -> dict[str, int]:
    return {element: n // n_centrings for element, n in protostructure.composition.items()}


def is_distortion_of(child: Protostructure, parent: Protostructure) -> bool:
    """Whether the parent's crystals, seen in a subgroup, have the child's label: the child can be a distortion of it.

    A protostructure is one of itself. Raises SymmetryError as `subgroup_forms` does.
    """
    indices = _indices(child, parent)
    if indices is None:
        return False
    if indices == (1, 1):
        return are_equivalent(child, parent)
    return child.canonical("affine") in subgroup_forms(parent, *indices)
