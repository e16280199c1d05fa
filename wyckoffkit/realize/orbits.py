"""The sites of a Wyckoff position as exact functions of its free parameters.

Every site of an orbit in the conventional cell is A u + b, where u are the free parameters x, y, z of the
representative triplet, A is an integer matrix and b a vector of 24ths: International Tables A in matrix form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..operations import UNIT, operations, parse_triplet
from ..spacegroup import SpaceGroup

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# By the first letter of the group's symbol; hexagonal axes, obverse setting. In 24ths, none first.
_CENTRINGS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "P": ((0, 0, 0),),
    "A": ((0, 0, 0), (0, 12, 12)),
    "C": ((0, 0, 0), (12, 12, 0)),
    "I": ((0, 0, 0), (12, 12, 12)),
    "F": ((0, 0, 0), (0, 12, 12), (12, 0, 12), (12, 12, 0)),
    "R": ((0, 0, 0), (16, 8, 8), (8, 16, 16)),
}


def centrings(number: int) -> Integers:
    """(n, 3) the centring translations of a group in 24ths, (0, 0, 0) first."""
    return np.array(_CENTRINGS[SpaceGroup.from_number(number).symbol[0]])


@cache
def primitive_basis(number: int) -> tuple[Floats, Floats]:
    """The primitive cell vectors (3, 3), rows in the conventional basis, and the inverse."""
    group = operations(number)
    return group.basis.T / UNIT, group.inverse.T.astype(np.float64)


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
    group, lattice = operations(number), centrings(number)
    found: dict[bytes, tuple[Integers, Integers, bool]] = {}
    for rotation, shift in zip(group.rotations, group.translations, strict=True):
        matrix = rotation @ first
        copies = (rotation @ first_offset + shift + lattice) % UNIT
        keys = [matrix.tobytes() + offset.tobytes() for offset in copies]
        if keys[0] not in found:
            found |= {key: (matrix, copies[i], i == 0) for i, key in enumerate(keys)}
    matrices, offsets, primitive = zip(*found.values(), strict=True)
    return Sites(np.array(matrices, np.float64), np.array(offsets, np.float64) / UNIT, np.array(primitive))


@dataclass(frozen=True, slots=True, eq=False)
class Occupied:
    """The N sites of several orbits, one after the other: what a protostructure fixes but for elements."""

    sites: Sites
    orbit: Integers
    """(N,) the orbit of each site."""
    first: Integers
    """(O,) the first site of each orbit."""
    amounts: Integers
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
