"""Periodic distances of many candidate crystals at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .orbits import Occupied, place

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Fractional differences are wrapped to within half a cell. Where axes are at right angles that image is the nearest;
# elsewhere it, or a neighbour by one cell along an axis that is oblique to another, is.
_OBLIQUE_AXES = {
    "triclinic": (1, 1, 1),
    "monoclinic": (1, 0, 1),
    "trigonal": (1, 1, 0),
    "hexagonal": (1, 1, 0),
}
# One of each pair of opposite translations.
TRANSLATIONS = np.array([s for s in product((-1, 0, 1), repeat=3) if s > (0, 0, 0)], np.float64)


@cache
def nearby_cells(crystal_system: str) -> Floats:
    """(H, 3) neighbouring cells to look into, one of each opposite two."""
    oblique = _OBLIQUE_AXES.get(crystal_system, (0, 0, 0))
    return np.array([s for s in TRANSLATIONS if not np.any(s[np.equal(oblique, 0)])]).reshape(-1, 3)


def times(matrices: Floats, vectors: Floats) -> Floats:
    """Matrices (n, 3, ...) times vectors (3, ...).

    Sums over three coordinates are written out: a library would order them by the size of the array, and a crystal
    would depend, in its last bit, on what is worked on beside it.
    """
    product: Floats = matrices[:, 0] * vectors[0]
    product += matrices[:, 1] * vectors[1]
    product += matrices[:, 2] * vectors[2]
    return product


def square(vectors: Floats) -> Floats:
    """Of vectors (3, ...)."""
    product: Floats = vectors[0] * vectors[0]
    product += vectors[1] * vectors[1]
    product += vectors[2] * vectors[2]
    return product


def combined(cells: Floats, vectors: Floats) -> Floats:
    """Sums (H, ...) of three cell vectors, or of what belongs to them (3, ...), for cells (H, 3)."""
    a, b, c = cells.T.reshape(3, -1, *[1] * (vectors.ndim - 1))
    sums: Floats = a * vectors[0]
    sums += b * vectors[1]
    sums += c * vectors[2]
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Which atoms are where, and how close they usually come."""

    layout: Occupied
    crystal_system: str
    usual: Floats
    """(P,) Å: the usual distance of each of the layout's pairs."""
    radii: Floats
    """(P,) Å: the sum of their covalent radii."""
    volume: float
    """Å3 of the conventional cell, as expected."""

    @property
    def images(self) -> int:
        """How many images of an atom are looked at."""
        return 1 + 2 * len(nearby_cells(self.crystal_system))

    def distances(self, lattices: Floats, parameters: Floats) -> tuple[Floats, Floats]:
        """Of K crystals with cells (K, 3, 3), rows the cell vectors, and parameters (K, O, 3), in Å.

        (K, P') between the sites of each of the layout's pairs that is there once, infinite for a site and itself; and
        (K, 13) the lengths of the shortest translations.
        """
        pairs, coordinates = self.layout.pairs, place(self.layout, parameters)
        first, second = pairs.sites_once
        apart = coordinates.take(first, axis=1)
        apart -= coordinates.take(second, axis=1)
        apart -= np.rint(apart)
        vectors = apart @ lattices
        squares = np.einsum("kpc,kpc->kp", vectors, vectors)
        cells = nearby_cells(self.crystal_system)
        if len(cells):
            moves = cells @ lattices  # (K, H, 3)
            lengthened = np.abs(moves @ vectors.transpose(0, 2, 1))
            lengthened *= -2
            lengthened += np.einsum("khc,khc->kh", moves, moves)[:, :, None]
            squares += np.minimum(lengthened.min(axis=1), 0.0)
        squares[:, first == second] = np.inf
        translations = TRANSLATIONS @ lattices
        lengths = np.einsum("khc,khc->kh", translations, translations)
        return np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares), np.sqrt(lengths, out=lengths)

    def room(self, distances: Floats, lengths: Floats) -> Floats:
        """(K,) the least distance over its usual value; an atom's to its own images is the shortest translation."""
        return self._least(distances, lengths, self.usual)

    def contact(self, distances: Floats, lengths: Floats) -> Floats:
        """(K,) the least distance over the sum of covalent radii."""
        return self._least(distances, lengths, self.radii)

    def _least(self, distances: Floats, lengths: Floats, of: Floats) -> Floats:
        pairs = self.layout.pairs
        least: Floats = np.minimum(
            (distances / of[pairs.once]).min(axis=1), lengths.min(axis=1) / of[pairs.itself].max()
        )
        return least
