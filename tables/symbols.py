"""Oriented site-symmetry symbols, read from spglib.

spglib gives a symbol for each atom of a structure, so a crystal is made up that occupies every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import spglib
from exact import apply, modulo
from settings import Group, crystal_system, parse_triplet

# Edges and angles (Å, degrees) without accidental symmetry, for each crystal system.
CELLS = {
    "triclinic": (7.1, 8.3, 9.7, 81, 77, 69),
    "monoclinic": (7.1, 8.3, 9.7, 90, 104, 90),
    "orthorhombic": (7.1, 8.3, 9.7, 90, 90, 90),
    "tetragonal": (7.1, 7.1, 9.7, 90, 90, 90),
    "trigonal": (7.1, 7.1, 9.7, 90, 90, 120),
    "hexagonal": (7.1, 7.1, 9.7, 90, 90, 120),
    "cubic": (9.7, 9.7, 9.7, 90, 90, 90),
}
PRIME = 8191


def lattice(number: int) -> np.ndarray:
    """Rows are cell vectors in Å, of a cell that the group's crystal system allows."""
    a, b, c, *angles = CELLS[crystal_system(number)[0]]
    cos_a, cos_b, cos_c = np.cos(np.radians(angles))
    sin_c = np.sqrt(1 - cos_c**2)
    x, y = cos_b, (cos_a - cos_b * cos_c) / sin_c
    return np.array([[a, 0, 0], [b * cos_c, b * sin_c, 0], [c * x, c * y, c * np.sqrt(1 - x**2 - y**2)]], dtype=float)


def parameters(index: int) -> tuple[Fraction, ...]:
    """Free coordinates for the orbit of that index, over a prime so that none is special by chance."""
    return tuple(Fraction(start + 977 * index, PRIME) % 1 for start in (1009, 1913, 3001))


def sites(g: Group, triplet: str, free: Sequence[Fraction]) -> list[tuple[Fraction, ...]]:
    """The whole orbit, in the conventional cell, of the triplet with these values of x, y, z."""
    linear, shift = parse_triplet(triplet)
    x = [v + s for v, s in zip(apply(linear, free), shift, strict=True)]
    images = {
        modulo(v + w + t for v, w, t in zip(apply(rotation, x), translation, centring, strict=True))
        for rotation, translation in g.operations
        for centring in g.centrings
    }
    return sorted(images)


def site_symmetry_symbols(g: Group, triplets: Sequence[str], hall_number: int) -> dict[str, str]:
    """The symbol of each letter; ValueError if spglib sees another group or does not see every letter."""
    points: list[tuple[Fraction, ...]] = []
    species: list[int] = []
    for i, triplet in enumerate([*triplets, "x,y,z"]):
        orbit = sites(g, triplet, parameters(i))
        points += orbit
        species += [i + 1] * len(orbit)
    cell = (lattice(g.number), np.array(points, dtype=float), species)
    dataset = spglib.get_symmetry_dataset(cell, symprec=1e-5, hall_number=hall_number)
    if dataset is None or dataset.hall_number != hall_number:
        raise ValueError(f"group {g.number}: spglib finds no structure of that group")
    symbols = dict(zip(dataset.wyckoffs, dataset.site_symmetry_symbols, strict=True))
    if len(symbols) != len(triplets):
        raise ValueError(f"group {g.number}: spglib sees {len(symbols)} letters of {len(triplets)}")
    return symbols
