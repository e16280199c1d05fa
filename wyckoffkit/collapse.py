"""Labels that collapse: whatever the free parameters, the crystal has more symmetry than the label says.

Sites are linear forms in the free parameters, with constants modulo the lattice. A symmetry that the label does not
name is a map (W, w) that carries these forms, element by element, into one another; since the parameters are free,
forms that agree for almost all values are equal, and a finite search decides. W runs over the isometries that every
cell of the crystal system has and that keep the lattice, one of each coset of the point group; w, which may depend on
the parameters too, carries one chosen site to another of its element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from .operations import UNIT, Integers, operations, primitive_sites
from .protostructure import Protostructure
from .spacegroup import SpaceGroup

Hashes = NDArray[np.uint64]

_INVERSION = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
_FLIP_X = ((-1, 0, 0), (0, 1, 0), (0, 0, 1))
_FLIP_Y = ((1, 0, 0), (0, -1, 0), (0, 0, 1))
_SWAP = ((0, 1, 0), (1, 0, 0), (0, 0, 1))
_SIXFOLD = ((1, -1, 0), (1, 0, 0), (0, 0, 1))
_THREEFOLD = ((0, 0, 1), (1, 0, 0), (0, 1, 0))
# Generators of the isometries that all cells of a crystal system have, in the conventional basis.
_HOLOHEDRIES = {
    "triclinic": (_INVERSION,),
    "monoclinic": (_INVERSION, _FLIP_Y),
    "orthorhombic": (_INVERSION, _FLIP_X, _FLIP_Y),
    "tetragonal": (_INVERSION, _FLIP_X, _SWAP),
    "trigonal": (_INVERSION, _SIXFOLD, _SWAP),
    "hexagonal": (_INVERSION, _SIXFOLD, _SWAP),
    "cubic": (_INVERSION, _FLIP_X, _SWAP, _THREEFOLD),
}


@cache
def _holohedry(crystal_system: str) -> Integers:
    """(H, 3, 3) all isometries, conventional basis."""
    generators = [np.array(g, np.int64) for g in _HOLOHEDRIES[crystal_system]]
    found = {np.eye(3, dtype=np.int64).tobytes(): np.eye(3, dtype=np.int64)}
    front = list(found.values())
    while front:
        images = {(g @ m).tobytes(): g @ m for m in front for g in generators}
        front = [m for key, m in images.items() if key not in found]
        found |= images
    return np.array(list(found.values()))


@cache
def _candidates(number: int) -> Integers:
    """(n, 3, 3) one isometry of each coset of the point group, primitive basis, the identity first."""
    group = operations(number)
    isometries, keeps_lattice = group.in_primitive_basis(_holohedry(SpaceGroup.from_number(number).crystal_system))
    point_group, _ = group.in_primitive_basis(group.rotations)
    cosets: dict[bytes, Integers] = {}
    for isometry in isometries[keeps_lattice]:
        cosets.setdefault(min((isometry @ rotation).tobytes() for rotation in point_group), isometry)
    return np.array(list(cosets.values()))


class _Forms:
    """The sites of each element in the primitive cell, as linear forms in the free parameters.

    A form has a constant, in 24ths modulo 24, and integer coefficients (3 for each orbit, side by side).
    """

    def __init__(self, number: int, fields: Sequence[Sequence[str]]) -> None:
        n_orbits = sum(map(len, fields))
        constants, coefficients, self.slices = [], [], list[slice]()
        orbit = n_sites = 0
        for field in fields:
            start = n_sites
            for letter in field:
                matrices, offsets = primitive_sites(number, letter)
                block = np.zeros((len(offsets), 3, 3 * n_orbits), np.int64)
                block[:, :, 3 * orbit : 3 * orbit + 3] = matrices
                constants.append(offsets)
                coefficients.append(block)
                orbit, n_sites = orbit + 1, n_sites + len(offsets)
            self.slices.append(slice(start, n_sites))
        self.constants = np.concatenate(constants)  # (N, 3)
        self.coefficients = np.concatenate(coefficients)  # (N, 3, 3 orbits)
        # Random 64-bit weights: forms that differ have, but for a chance of 2^-64, different hashes.
        weights = np.random.default_rng(0).integers(0, 1 << 64, 3 * n_orbits + 6, dtype=np.uint64)
        self.hashes: Hashes = self.coefficients.astype(np.uint64) @ weights[6:]  # (N, 3)
        self.weights = weights[:6].reshape(2, 3)
        self.keys = self._keys(self.constants, self.hashes)
        self.rarest = min(self.slices, key=lambda s: s.stop - s.start)

    def _keys(self, constants: Integers, hashes: Hashes) -> Hashes:
        """(…, N) one number a site."""
        keys: Hashes = constants.astype(np.uint64) @ self.weights[0] + hashes @ self.weights[1]
        return keys

    def symmetries(self, isometry: Integers) -> Iterator[int]:
        """Indices of the sites to which a symmetry with this rotation part carries the first of the rarest."""
        turn = isometry.astype(np.uint64)
        constants, hashes = self.constants @ isometry.T, self.hashes @ turn.T
        first, targets = self.rarest.start, np.arange(self.rarest.start, self.rarest.stop)
        for few in np.array_split(targets, 1 + len(targets) * len(constants) // 50_000):
            moved_constants = constants + (self.constants[few] - constants[first])[:, None]
            moved_hashes = hashes + (self.hashes[few] - hashes[first])[:, None]
            keys = self._keys(moved_constants % UNIT, moved_hashes)
            same = np.ones(len(few), bool)
            for s in self.slices:
                same &= (np.sort(keys[:, s], axis=1) == np.sort(self.keys[s])).all(axis=1)
            yield from (int(i) for i in few[same] if self._carries(isometry, int(i)))

    def _carries(self, isometry: Integers, target: int) -> bool:
        """Without hashes: whether the map that carries the first of the rarest to `target` is a symmetry."""
        first = self.rarest.start
        constants, coefficients = self.constants @ isometry.T, isometry @ self.coefficients
        constants = (constants + self.constants[target] - constants[first]) % UNIT
        coefficients = coefficients + self.coefficients[target] - coefficients[first]

        def sites(c: Integers, k: Integers, s: slice) -> set[bytes]:
            return {a.tobytes() + b.tobytes() for a, b in zip(c[s], k[s], strict=True)}

        return all(
            sites(constants, coefficients, s) == sites(self.constants, self.coefficients, s) for s in self.slices
        )


@lru_cache(maxsize=1 << 16)
def _collapses(number: int, fields: tuple[tuple[str, ...], ...]) -> bool:
    forms = _Forms(number, fields)
    for i, isometry in enumerate(_candidates(number)):
        for target in forms.symmetries(isometry):
            # The identity itself carries the first site to itself.
            if i or target != forms.rarest.start:
                return True
    return False


def collapses(protostructure: Protostructure) -> bool:
    """Whether every crystal of this protostructure has more symmetry than its space group, or smaller cells.

    >>> from wyckoffkit import Orbit, SpaceGroup
    >>> collapses(Protostructure(SpaceGroup.from_number(1), (Orbit("Fe", "a"),)))  # one atom in P1: always P-1
    True
    >>> collapses(Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "a"), Orbit("Cl", "b"))))
    False
    """
    fields = tuple(sorted(tuple(_three_at_most(field)) for field in protostructure.occupations.values()))
    return _collapses(protostructure.space_group.number, fields)


def _three_at_most(field: Sequence[str]) -> Iterator[str]:
    """A field with no more than three orbits on each position, which collapses where the field itself does.

    With three orbits that have free parameters, w has none: the image of a third orbit would hold parameters of two, as
    no site does. So each of these orbits is carried into itself, for reasons that its position alone decides.
    """
    for _, orbits in groupby(field):
        yield from islice(orbits, 3)
