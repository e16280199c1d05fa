"""The sites of a Wyckoff position as exact functions of its free parameters.

Every site of an orbit in the conventional cell is A u + b, where u are the free parameters x, y, z of the
representative triplet, A is an integer matrix and b a vector of 24ths: International Tables A in matrix form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .. import tables
from ..spacegroup import SpaceGroup

Floats = NDArray[np.float64]

# Offsets are kept as integers over this: halves, thirds, quarters, sixths and eighths are all that occur.
UNIT = 24

_TERM = re.compile(r"([+-]?)(?:(\d+)/(\d+)|(\d*)([xyz])|(\d+))")

# The first letter of the group's symbol; hexagonal axes, obverse setting. In 24ths, the identity first.
CENTRINGS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "P": ((0, 0, 0),),
    "A": ((0, 0, 0), (0, 12, 12)),
    "C": ((0, 0, 0), (12, 12, 0)),
    "I": ((0, 0, 0), (12, 12, 12)),
    "F": ((0, 0, 0), (0, 12, 12), (12, 0, 12), (12, 12, 0)),
    "R": ((0, 0, 0), (16, 8, 8), (8, 16, 16)),
}

# Rows are primitive cell vectors in terms of the conventional ones.
PRIMITIVE: dict[str, Floats] = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, -0.5], [0, 0.5, 0.5]]),
    "C": np.array([[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}


def parse_triplet(triplet: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The integer matrix (3, 3) and the offset (3,) in 24ths of a coordinate triplet.

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
                part = Fraction(int(whole or numerator), int(denominator or 1)) * UNIT
                if part.denominator != 1:
                    raise ValueError(f"{triplet}: {part / UNIT} is no multiple of 1/{UNIT}")
                offset[row] += s * int(part)
    return matrix, offset


@cache
def _operations() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in tables.rows("operations"):
        found.setdefault(int(row["number"]), []).append(row["operation"])
    return found


def operations(number: int) -> list[str]:
    """Coordinate triplets of a group's operations, without the centring translations, the identity first."""
    return _operations()[number]


def centring(number: int) -> str:
    """P, A, C, I, F or R: the lattice letter of the symbol (`centring` of SpaceGroup writes A as C)."""
    return SpaceGroup.from_number(number).symbol[0]


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """The M sites of an orbit, or of several, in the conventional cell; site m is matrices[m] @ u + offsets[m]."""

    matrices: Floats
    """(M, 3, 3)"""
    offsets: Floats
    """(M, 3), fractional"""
    primitive: NDArray[np.bool_]
    """(M,) one site of each set that the centring translations connect."""


@cache
def sites(number: int, letter: str) -> Sites:
    """The sites of one Wyckoff position, the representative triplet first."""
    position = SpaceGroup.from_number(number).position(letter)
    first, first_offset = parse_triplet(position.coordinates)
    lattice = CENTRINGS[centring(number)]
    found: dict[bytes, tuple[NDArray[np.int64], NDArray[np.int64], bool]] = {}
    for operation, translation in product(operations(number), lattice):
        rotation, shift = parse_triplet(operation)
        matrix = rotation @ first
        offset = (rotation @ first_offset + shift + translation) % UNIT
        key = matrix.tobytes() + offset.tobytes()
        if key not in found:
            copies = [matrix.tobytes() + ((offset + t) % UNIT).tobytes() for t in lattice]
            found[key] = (matrix, offset, not any(copy in found for copy in copies))
    matrices, offsets, primitive = zip(*found.values(), strict=True)
    return Sites(np.array(matrices, np.float64), np.array(offsets, np.float64) / UNIT, np.array(primitive))


@dataclass(frozen=True, slots=True, eq=False)
class Occupied:
    """The N sites of several orbits, one after the other: what a protostructure fixes but for elements."""

    sites: Sites
    orbit: NDArray[np.int64]
    """(N,) the orbit of each site."""
    first: NDArray[np.int64]
    """(O,) the first site of each orbit."""
    amounts: NDArray[np.int64]
    """(O,) how many sites each orbit has."""
    free: NDArray[np.bool_]
    """(O, 3) which of x, y, z the representative triplet of each orbit names."""
    projections: Floats
    """(O, 3, 3) from a fractional move of the orbit's first site, in a free direction, to the parameters."""


@lru_cache(maxsize=8192)
def occupied(number: int, letters: tuple[str, ...]) -> Occupied:
    """The sites of orbits on these positions, in this order; letters may repeat."""
    parts = [sites(number, letter) for letter in letters]
    amounts = np.array([len(part.offsets) for part in parts])
    joined = Sites(
        np.concatenate([part.matrices for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.primitive for part in parts]),
    )
    first = np.concatenate([[0], np.cumsum(amounts)[:-1]])
    representatives = joined.matrices[first]
    return Occupied(
        joined,
        np.repeat(np.arange(len(parts)), amounts),
        first,
        amounts,
        representatives.any(axis=1),
        np.linalg.pinv(representatives),
    )


def place(layout: Occupied, parameters: Floats) -> Floats:
    """Fractional coordinates (K, N, 3) for K choices of the parameters (K, O, 3)."""
    moved: Floats = (layout.sites.matrices @ parameters[:, layout.orbit, :, None])[..., 0] + layout.sites.offsets
    return moved
