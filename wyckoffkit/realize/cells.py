"""Cells of unit volume that a crystal system allows.

Conventional cells of International Tables A: unique axis b in monoclinic, hexagonal axes in trigonal groups.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Natural logarithms of ratios of cell lengths are drawn within these bounds.
_TETRAGONAL = (np.log(0.3), np.log(3.5))
_HEXAGONAL = (np.log(0.35), np.log(4.0))
_RHOMBOHEDRAL = (np.log(0.6), np.log(8.0))
_OBLIQUE = (np.log(0.5), np.log(2.0))
# Degrees; standard cells are reduced, so their angles stay near 90.
_BETA = (91.0, 125.0)
_TRICLINIC = (65.0, 115.0)


def draw_shapes(crystal_system: str, centring: str, k: int, generator: np.random.Generator) -> Floats:
    """(K, 3, 3) lattices of volume 1, rows are the cell vectors, a along x and b in the xy plane.

    Ratios are stratified: the K draws of each parameter cover its range evenly, in random order.
    """

    def draw(bounds: tuple[float, float]) -> Floats:
        low, high = bounds
        places = (generator.permutation(k) + generator.random(k)) / k
        drawn: Floats = low + (high - low) * places
        return drawn

    one, right = np.ones(k), np.full(k, 90.0)
    match crystal_system:
        case "cubic":
            return _lattices(one, one, one, right, right, right)
        case "tetragonal":
            return _lattices(one, one, np.exp(draw(_TETRAGONAL)), right, right, right)
        case "hexagonal" | "trigonal":
            bounds = _RHOMBOHEDRAL if centring == "R" else _HEXAGONAL
            return _lattices(one, one, np.exp(draw(bounds)), right, right, np.full(k, 120.0))
        case "orthorhombic":
            return _lattices(np.exp(draw(_OBLIQUE)), np.exp(draw(_OBLIQUE)), one, right, right, right)
        case "monoclinic":
            beta = draw(_BETA)
            return _lattices(np.exp(draw(_OBLIQUE)), np.exp(draw(_OBLIQUE)), one, right, beta, right)
    angles = (draw(_TRICLINIC), draw(_TRICLINIC), draw(_TRICLINIC))
    return _lattices(np.exp(draw(_OBLIQUE)), np.exp(draw(_OBLIQUE)), one, *angles)


def _lattices(a: Floats, b: Floats, c: Floats, alpha: Floats, beta: Floats, gamma: Floats) -> Floats:
    """Lengths and angles (degrees), each (K,), to lattices (K, 3, 3) scaled to volume 1."""
    cos_a, cos_b, cos_c = (_cosine(angle) for angle in (alpha, beta, gamma))
    sin_c = np.sqrt(1 - cos_c**2)
    y = (cos_a - cos_b * cos_c) / sin_c
    lattices = np.zeros((len(a), 3, 3))
    lattices[:, 0, 0] = a
    lattices[:, 1, 0], lattices[:, 1, 1] = b * cos_c, b * sin_c
    lattices[:, 2, 0], lattices[:, 2, 1] = c * cos_b, c * y
    lattices[:, 2, 2] = c * np.sqrt(np.maximum(1 - cos_b**2 - y**2, 1e-3))
    volume = lattices[:, 0, 0] * lattices[:, 1, 1] * lattices[:, 2, 2]
    lattices /= np.cbrt(volume)[:, None, None]
    return lattices


def _cosine(degrees: Floats) -> Floats:
    """Exactly 0 at 90°, which the computed cosine is not."""
    return np.where(degrees == 90.0, 0.0, np.cos(np.radians(degrees)))


def standard_orientation(lattice: Floats) -> Floats:
    """The cell (3, 3) turned so that a lies along x and b in the xy plane."""
    return np.linalg.cholesky(lattice @ lattice.T).astype(np.float64)


@cache
def _projector(crystal_system: str) -> Floats:
    """(9, 9) from a tensor, row by row, to the part that keeps the crystal system and the volume."""
    rows = np.zeros((9, 9))
    entries = {(0, 0): [(0, 0)], (1, 1): [(1, 1)], (2, 2): [(2, 2)]}
    match crystal_system:
        case "cubic":
            entries = {(i, i): [(0, 0), (1, 1), (2, 2)] for i in range(3)}
        case "tetragonal" | "trigonal" | "hexagonal":
            entries[0, 0] = entries[1, 1] = [(0, 0), (1, 1)]
        case "monoclinic":
            entries[0, 2] = entries[2, 0] = [(0, 2), (2, 0)]
        case "triclinic":
            entries = {(i, j): [(i, j), (j, i)] for i in range(3) for j in range(3)}
    for (i, j), mean_of in entries.items():
        for m, n in mean_of:
            rows[3 * i + j, 3 * m + n] += 1 / len(mean_of)
    rows[0:9:4] -= rows[0:9:4].mean(axis=0)
    return rows.T


def allowed_strain(crystal_system: str, tensors: Floats) -> Floats:
    """The part of tensors (K, 3, 3) that keeps the crystal system and the volume, as strains of a cell set up as above.

    The mean of a tensor over the point group; its trace, which would change the volume, is taken off.
    """
    strains: Floats = (tensors.reshape(-1, 9) @ _projector(crystal_system)).reshape(-1, 3, 3)
    return strains
