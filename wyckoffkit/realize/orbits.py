"""The sites of a Wyckoff position as exact functions of its free parameters.

Every site of an orbit in the conventional cell is A u + b, where u are the free parameters x, y, z of the
representative triplet, A is an integer matrix and b a vector of 24ths: International Tables A in matrix form.
"""

from __future__ import annotations

from collections import Counter
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
_WEIGHTS = np.random.default_rng(0).integers(1 << 63, size=12, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


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
    matrix, offset = parse_triplet(SpaceGroup.from_number(number).position(letter).coordinates)
    group, lattice = operations(number), centrings(number)
    matrices = group.rotations @ matrix
    copies = ((group.rotations @ offset + group.translations)[:, None] + lattice) % UNIT  # (operation, centring, 3)
    names = _names(matrices[:, None], copies).min(axis=1).tolist()
    made = [i for i, name in enumerate(names) if names.index(name) == i]
    primitive = np.zeros((len(made), len(lattice)), np.bool_)
    primitive[:, 0] = True
    return Sites(
        np.repeat(matrices[made], len(lattice), axis=0).astype(np.float64),
        copies[made].reshape(-1, 3) / UNIT,
        primitive.ravel(),
    )


def _names(matrices: Integers, offsets: Integers) -> NDArray[np.uint64]:
    """A number for each site with a matrix (..., 3, 3) and an offset (..., 3) in 24ths.

    Random 64-bit weights: sites that differ have, but for a chance of 2^-64, different names.
    """
    turned = matrices.reshape(*matrices.shape[:-2], 9).astype(np.uint64) @ _WEIGHTS[3:]
    names: NDArray[np.uint64] = turned + offsets.astype(np.uint64) @ _WEIGHTS[:3]
    return names


@cache
def _site_symmetry(number: int, letter: str) -> tuple[Integers, Integers]:
    """The operations that leave a position's representative where it is: rotations (S, 3, 3), translations (S, 3)."""
    matrix, offset = parse_triplet(SpaceGroup.from_number(number).position(letter).coordinates)
    group, lattice = operations(number), centrings(number)
    fixing = (group.rotations @ matrix == matrix).all(axis=(1, 2))
    rotations = group.rotations[fixing]
    shifts = group.translations[fixing][:, None] + lattice
    which, centring = np.nonzero((((rotations @ offset)[:, None] + shifts - offset) % UNIT == 0).all(axis=-1))
    return rotations[which], shifts[which, centring]


@cache
def _parameters_of_moves(number: int, letter: str) -> tuple[NDArray[np.bool_], Floats]:
    """Which of x, y, z a position's triplet names, (3,); and from a fractional move of the representative to those.

    The matrix (3, 3) takes the part of the move that has the site symmetry.
    """
    matrix = sites(number, letter).matrices[0]
    rotations, _ = _site_symmetry(number, letter)
    return matrix.any(axis=0), _pseudo_inverse(matrix.tobytes()) @ rotations.mean(axis=0)


@cache
def _pseudo_inverse(matrix: bytes) -> Floats:
    return np.linalg.pinv(np.frombuffer(matrix).reshape(3, 3)).astype(np.float64)


@cache
def _seen_alike(number: int, letter: str, other: str) -> tuple[Integers, Floats]:
    """Sites on `other` as the representative of `letter` sees them: one of each set that its site symmetry connects.

    (P,) their indices among the sites of `other`, ascending, and (13, P): the matrix, row by row; the representative's
    offset less the site's; and how many sites each stands for.
    """
    rotations, shifts = _site_symmetry(number, letter)
    seen = sites(number, other)
    if len(rotations) == 1:
        chosen, counts = np.arange(len(seen.offsets)), np.ones(len(seen.offsets))
    else:
        offsets = np.rint(seen.offsets.T * UNIT).astype(np.int64)
        moved = (rotations @ offsets).transpose(0, 2, 1) + shifts[:, None]
        names = _names(rotations[:, None] @ seen.matrices.astype(np.int64), moved % UNIT).min(axis=0).tolist()
        found = Counter(names)
        chosen, counts = np.array([names.index(name) for name in found]), np.array(list(found.values()), np.float64)
    apart = sites(number, letter).offsets[0] - seen.offsets[chosen]
    return chosen, np.concatenate([seen.matrices[chosen].reshape(-1, 9).T, apart.T, counts[None]])


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """P pairs of an orbit's first site and a site: one of each set that the first one's site symmetry connects.

    Every distance in the crystal is among theirs, and sums over all sites follow from the counts.
    """

    orbit: Integers
    """(P,) the orbit of the first site, ascending."""
    other: Integers
    """(P,) the orbit of the second."""
    block: Floats
    """(13, P) the matrix of the second site, row by row; the offset of the first site less that of the second; and for
    how many second sites each pair stands."""
    itself: NDArray[np.bool_]
    """(P,) the second site is the first."""
    once: Integers
    """(P',) of each two pairs of orbits that differ in the order only, the first: indices of pairs."""
    sites_once: Integers
    """(2, P') the sites of those pairs."""


@dataclass(frozen=True, slots=True, eq=False)
class Occupied:
    """The N sites of several orbits, one after the other: what a protostructure fixes but for elements."""

    sites: Sites
    orbit: Integers
    """(N,) the orbit of each site."""
    primitive: Integers
    """(N',) one site of each set that the centring translations connect."""
    in_primitive_cell: tuple[Floats, Floats]
    """Matrices (N', 3, 3) and offsets (N', 3) of those sites in the primitive basis."""
    first: Integers
    """(O,) the first site of each orbit."""
    amounts: Integers
    """(O,) how many sites each orbit has."""
    free: NDArray[np.bool_]
    """(O, 3) which of x, y, z the representative triplet of each orbit names."""
    projections: Floats
    """(O, 3, 3) from a fractional move of the orbit's first site to the parameters, by its part in free directions."""
    block: Floats
    """(19, O) the matrix of the first site and the projection, row by row; and the amounts."""
    linear: Floats
    """(3 O, 3 N) from the parameters of all orbits to the coordinates of all sites, less their offsets."""
    pairs: Pairs


@lru_cache(maxsize=4096)
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
    primitive, inverse = np.flatnonzero(joined.primitive), primitive_basis(number)[1]
    orbit = np.repeat(np.arange(len(parts)), amounts)
    linear = np.zeros((len(parts), 3, len(orbit), 3))  # orbit, parameter, site, coordinate
    linear[orbit, :, np.arange(len(orbit))] = joined.matrices.transpose(0, 2, 1)
    moves = [_parameters_of_moves(number, letter) for letter in letters]
    representatives = joined.matrices[first]
    projections = np.array([projection for _, projection in moves])
    return Occupied(
        joined,
        orbit,
        primitive,
        (inverse.T @ joined.matrices[primitive], joined.offsets[primitive] @ inverse),
        first,
        amounts,
        np.array([free for free, _ in moves]),
        projections,
        np.concatenate([representatives.reshape(-1, 9).T, projections.reshape(-1, 9).T, amounts[None]]),
        linear.reshape(3 * len(parts), -1),
        _pairs(number, letters, first),
    )


def _pairs(number: int, letters: tuple[str, ...], first: Integers) -> Pairs:
    n = len(letters)
    chosen, blocks = zip(*[_seen_alike(number, a, b) for a in letters for b in letters], strict=True)
    sizes = np.array([len(indices) for indices in chosen])
    orbit, other = np.divmod(np.repeat(np.arange(n * n), sizes), n)
    itself = np.zeros(len(orbit), np.bool_)
    itself[(np.cumsum(sizes) - sizes)[:: n + 1]] = True  # the representative is the first site of its own orbit
    once = np.flatnonzero(orbit <= other)
    sites_once = np.stack([first[orbit[once]], first[other[once]] + np.concatenate(chosen)[once]])
    return Pairs(orbit, other, np.concatenate(blocks, axis=1), itself, once, sites_once)


def place(layout: Occupied, parameters: Floats) -> Floats:
    """Fractional coordinates (K, N, 3) for K choices of the parameters (K, O, 3)."""
    placed: Floats = (parameters.reshape(len(parameters), -1) @ layout.linear).reshape(len(parameters), -1, 3)
    placed += layout.sites.offsets
    return placed
