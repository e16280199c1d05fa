"""Operations and sites of the space groups as integer arrays.

Standard settings of International Tables A. A coordinate triplet is an integer matrix and an offset; all offsets are
kept as integers in units of 1/24, in which halves, thirds, quarters, sixths and eighths are whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import tables
from .spacegroup import SpaceGroup

Integers = NDArray[np.int64]

UNIT = 24

_TERM = re.compile(r"([+-]?)(?:(\d+)/(\d+)|(\d*)([xyz])|(\d+))")

# Rows are primitive vectors in the conventional basis, in 24ths; hexagonal axes and obverse setting for R. By the first
# letter of the group's symbol.
_PRIMITIVE = {
    "P": ((24, 0, 0), (0, 24, 0), (0, 0, 24)),
    "A": ((24, 0, 0), (0, 12, -12), (0, 12, 12)),
    "C": ((12, -12, 0), (12, 12, 0), (0, 0, 24)),
    "I": ((-12, 12, 12), (12, -12, 12), (12, 12, -12)),
    "F": ((0, 12, 12), (12, 0, 12), (12, 12, 0)),
    "R": ((16, 8, 8), (-8, 8, 8), (-8, -16, 8)),
}


def parse_triplet(triplet: str) -> tuple[Integers, Integers]:
    """The matrix (3, 3) and the offset (3,) in 24ths of a coordinate triplet.

    >>> matrix, offset = parse_triplet("x,2x,-z+1/4")
    >>> matrix.tolist(), offset.tolist()
    ([[1, 0, 0], [2, 0, 0], [0, 0, -1]], [0, 0, 6])
    """
    matrix, offset = np.zeros((3, 3), np.int64), np.zeros(3, np.int64)
    for row, text in enumerate(triplet.split(",")):
        for sign, numerator, denominator, factor, name, whole in _TERM.findall(text):
            s = -1 if sign == "-" else 1
            if name:
                matrix[row, "xyz".index(name)] += s * int(factor or 1)
            else:
                offset[row] += s * int(Fraction(int(whole or numerator), int(denominator or 1)) * UNIT)
    return matrix, offset


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """The operations of a group, one of each class that the lattice translations connect; the identity first."""

    rotations: Integers
    """(N, 3, 3), acting on column vectors in the conventional basis."""
    translations: Integers
    """(N, 3) in 24ths, conventional basis."""
    basis: Integers
    """(3, 3) columns are primitive vectors in the conventional basis, in 24ths."""
    inverse: Integers
    """(3, 3) carries conventional coordinates to primitive ones."""

    @property
    def n_centrings(self) -> int:
        """Lattice points in the conventional cell."""
        return round(float(np.linalg.det(self.inverse)))

    def in_primitive_basis(self, rotations: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Matrices (n, 3, 3) in the primitive basis, and which (n,) of them carry the lattice into itself."""
        moved = self.inverse @ rotations @ self.basis
        return moved // UNIT, (moved % UNIT == 0).all(axis=(1, 2))


@cache
def _triplets() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in tables.rows("operations"):
        found.setdefault(int(row["number"]), []).append(row["operation"])
    return found


@cache
def operations(number: int) -> Operations:
    """The operations of the group with this number."""
    group = SpaceGroup.from_number(number)
    rotations, translations = zip(*map(parse_triplet, _triplets()[number]), strict=True)
    # `centring` of the group is the Pearson symbol's letter, in which A is C; the symbol has the true one.
    basis = np.array(_PRIMITIVE[group.symbol[0]], np.int64).T
    inverse = np.rint(np.linalg.inv(basis) * UNIT).astype(np.int64)
    return Operations(np.array(rotations), np.array(translations), basis, inverse)


@cache
def primitive_sites(number: int, letter: str) -> tuple[Integers, Integers]:
    """Matrices (M, 3, 3) and offsets (M, 3) of the sites of an orbit in the primitive cell and basis.

    Site m stands at matrices[m] @ (x, y, z) + offsets[m], offsets in 24ths from 0 to 23; the free x, y, z are those of
    the representative triplet, and the representative is the first site.
    """
    group = operations(number)
    matrix, offset = parse_triplet(SpaceGroup.from_number(number).position(letter).coordinates)
    matrices = group.inverse @ (group.rotations @ matrix)
    offsets = (group.rotations @ offset + group.translations) @ group.inverse.T % UNIT
    rows = np.concatenate([matrices.reshape(-1, 9), offsets], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    first.sort()
    return matrices[first], offsets[first]
