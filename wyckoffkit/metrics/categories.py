"""Which space group, crystal system, elements … each of many materials has, as counted categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..elements import SYMBOLS
from ..encoding import WyckoffColumns
from ..spacegroup import CRYSTAL_SYSTEMS, SpaceGroup, WyckoffPosition

Counts = NDArray[np.int64]
Pairs = tuple[Counts, Counts]


@dataclass(frozen=True, eq=False)
class Categories:
    """Which categories each material falls into: one (its space group) or several (its elements)."""

    name: str
    names: tuple[str, ...]
    """(K,) the categories in their natural order."""
    material: Counts
    """(M,) rows of materials, ascending."""
    category: Counts
    """(M,) a category of that material."""
    n_materials: int

    @property
    def counts(self) -> Counts:
        """(K,) materials in each category."""
        return np.bincount(self.category, minlength=len(self.names)).astype(np.int64)

    def resampled(self, generator: np.random.Generator) -> Counts:
        """(K,) counts of a bootstrap sample: materials, not categories, are drawn."""
        weight = np.bincount(generator.integers(self.n_materials, size=self.n_materials), minlength=self.n_materials)
        counted = np.bincount(self.category, weights=weight[self.material], minlength=len(self.names))
        return counted.astype(np.int64)


def _space_group(columns: WyckoffColumns) -> Pairs:
    return np.arange(len(columns)), columns.space_group.astype(np.int64) - 1


def _crystal_system(columns: WyckoffColumns) -> Pairs:
    system = [CRYSTAL_SYSTEMS.index(SpaceGroup.from_number(n).crystal_system) for n in range(1, 231)]
    return np.arange(len(columns)), np.array(system)[columns.space_group - 1]


def _elements(columns: WyckoffColumns) -> Pairs:
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    pairs = np.unique(material * 256 + columns.element)
    return pairs // 256, pairs % 256 - 1


def _arity(columns: WyckoffColumns) -> Pairs:
    return _numbers(np.bincount(_elements(columns)[0], minlength=len(columns)))


def _numbers(values: Counts) -> Pairs:
    """Whole numbers as categories of their own."""
    return np.arange(len(values)), values.astype(np.int64)


def _totals(columns: WyckoffColumns, of_orbit: Counts | None) -> Counts:
    """(N,) sums over a material's orbits of a property of the 256 · group + position table; None counts orbits."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    row = columns.space_group.astype(np.int64)[material] * 256 + columns.position
    weight = columns.count.astype(np.int64) * (1 if of_orbit is None else of_orbit[row])
    return np.bincount(material, weights=weight, minlength=len(columns)).astype(np.int64)


def _position_table(property_of: Callable[[WyckoffPosition], int]) -> Counts:
    table = np.zeros(231 * 256, np.int64)
    for number in range(1, 231):
        for i, position in enumerate(SpaceGroup.from_number(number).positions):
            table[number * 256 + i] = property_of(position)
    return table


def _multiplicity(columns: WyckoffColumns) -> Pairs:
    """Multiplicities of the occupied positions, each once for each orbit on it."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    row = columns.space_group.astype(np.int64)[material] * 256 + columns.position
    value = _position_table(lambda position: position.multiplicity)[row]
    repeats = columns.count.astype(np.int64)
    return np.repeat(material, repeats), np.repeat(value, repeats)


_LISTED: dict[str, tuple[tuple[str, ...], Callable[[WyckoffColumns], Pairs]]] = {
    "space group": (tuple(str(n) for n in range(1, 231)), _space_group),
    "crystal system": (CRYSTAL_SYSTEMS, _crystal_system),
    "element": (tuple(SYMBOLS[1:]), _elements),
}
# Whole numbers from 0 to a largest category, which stands for all above it; distances between them mean something.
_COUNTED: dict[str, tuple[int, Callable[[WyckoffColumns], Pairs]]] = {
    "arity": (10, _arity),
    "orbits": (60, lambda columns: _numbers(_totals(columns, None))),
    "atoms": (400, lambda columns: _numbers(_totals(columns, _position_table(lambda p: p.multiplicity)))),
    "dof": (100, lambda columns: _numbers(_totals(columns, _position_table(lambda p: p.dof)))),
    "multiplicity": (192, _multiplicity),
}
DISTRIBUTIONS = (*_LISTED, *_COUNTED)
COUNTED = tuple(_COUNTED)


def categorise(name: str, columns: WyckoffColumns) -> Categories:
    """Categories of one of DISTRIBUTIONS: the space group, elements, number of elements (arity), of orbits, of atoms in
    the conventional cell, of free coordinates (dof), and the multiplicity of each orbit's position.
    """
    if name in _LISTED:
        names, pairs_of = _LISTED[name]
        material, category = pairs_of(columns)
    else:
        largest, pairs_of = _COUNTED[name]
        names = tuple(str(k) for k in range(largest + 1))
        material, category = pairs_of(columns)
        category = np.minimum(category, largest)
    return Categories(name, names, material, category, len(columns))
