"""Cells of unit volume that a crystal system allows.

Conventional cells of International Tables A: unique axis b in monoclinic, hexagonal axes in trigonal groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spacegroup import CRYSTAL_SYSTEMS

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
    """(6, K) lengths and angles (degrees) of cells of any volume.

    Ratios are stratified: the K draws of each parameter cover its range evenly, in random order.
    """

    def draw(bounds: tuple[float, float]) -> Floats:
        low, high = bounds
        places = (generator.permutation(k) + generator.random(k)) / k
        drawn: Floats = low + (high - low) * places
        return drawn

    cells = np.empty((6, k))
    cells[:3], cells[3:] = 0.0, 90.0  # logarithms of the lengths
    match crystal_system:
        case "tetragonal":
            cells[2] = draw(_TETRAGONAL)
        case "hexagonal" | "trigonal":
            cells[2] = draw(_RHOMBOHEDRAL if centring == "R" else _HEXAGONAL)
            cells[5] = 120.0
        case "monoclinic":
            cells[4] = draw(_BETA)
        case "triclinic":
            cells[3], cells[4], cells[5] = draw(_TRICLINIC), draw(_TRICLINIC), draw(_TRICLINIC)
    if crystal_system in ("orthorhombic", "monoclinic", "triclinic"):
        cells[0], cells[1] = draw(_OBLIQUE), draw(_OBLIQUE)
    np.exp(cells[:3], out=cells[:3])
    return cells


def unit_lattices(cells: Floats) -> Floats:
    """Lengths and angles (6, K) to lattices (K, 3, 3) scaled to volume 1.

    Rows are the cell vectors, a along x and b in the xy plane.
    """
    a, b, c = cells[:3]
    cos_a, cos_b, cos_c = _cosine(cells[3:])
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


def standard_orientation(lattices: Floats) -> Floats:
    """The cells (..., 3, 3) turned so that a lies along x and b in the xy plane."""
    return np.linalg.cholesky(lattices @ np.swapaxes(lattices, -1, -2)).astype(np.float64)


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
    return rows


_PROJECTORS = np.stack([_projector(system) for system in CRYSTAL_SYSTEMS], axis=-1)


def allowed_strain(systems: NDArray[np.int64], tensors: Floats) -> Floats:
    """The part of tensors (3, 3, ..., L) that keeps the crystal system and the volume, as strains of a cell set up as
    above.

    The mean of a tensor over the point group; its trace, which would change the volume, is taken off. `systems` (L,)
    are indices into CRYSTAL_SYSTEMS.
    """
    flat = tensors.reshape(9, -1, len(systems))
    projectors = _PROJECTORS[:, :, None, systems]
    strains = projectors[:, 0] * flat[0]
    for i in range(1, 9):
        strains += projectors[:, i] * flat[i]
    allowed: Floats = strains.reshape(tensors.shape)
    return allowed
