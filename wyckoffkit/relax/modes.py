"""The moves of atoms and cell that keep a crystal's symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SymmetryError
from ..symmetry.crystal import Crystal

Floats = NDArray[np.float64]

# An atom and its image under an operation lie this close, Å.
_SAME_SITE = 1e-2
# The six symmetric tensors, orthonormal under the sum of products of their entries.
_TENSORS = np.zeros((6, 3, 3))
for _n, (_i, _j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
    _TENSORS[_n, _i, _j] = _TENSORS[_n, _j, _i] = 1.0 if _i == _j else np.sqrt(0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """Orthonormal directions: D of the atoms, S of the cell."""

    displacements: Floats
    """(D, N, 3) Cartesian."""
    strains: Floats
    """(S, 3, 3) symmetric tensors."""


def all_modes(n: int) -> Modes:
    """Every move of n atoms and their cell."""
    return Modes(np.eye(3 * n).reshape(-1, n, 3), _TENSORS)


def symmetric_modes(crystal: Crystal, symprec: float) -> Modes:
    """The moves that keep every operation of the crystal's group, found at symprec (Å).

    They span the image of a projector, the mean over the group (Boyle, Acta Cryst. A 36, 1, 1980). Raises
    SymmetryError where no group is found.
    """
    rotations, translations = _operations(crystal, symprec)
    to_cartesian = crystal.lattice.T
    cartesian = to_cartesian @ rotations @ np.linalg.inv(to_cartesian)
    n = len(crystal.numbers)
    projector = np.zeros((n, 3, n, 3))
    for rotation, turned, shift in zip(rotations, cartesian, translations, strict=True):
        images = _images(crystal, rotation, shift)
        projector[images, :, np.arange(n), :] += turned
    displacements = _image_of(projector.reshape(3 * n, 3 * n) / len(rotations)).reshape(-1, n, 3)
    turned = np.einsum("gij,sjk,glk->gsil", cartesian, _TENSORS, cartesian).mean(axis=0)
    coordinates = _image_of(np.einsum("sij,tij->ts", turned, _TENSORS))
    return Modes(displacements, np.einsum("ms,sij->mij", coordinates, _TENSORS))


def _operations(crystal: Crystal, symprec: float) -> tuple[Floats, Floats]:
    """(G, 3, 3) and (G, 3), on fractional columns."""
    import moyopy

    cell = moyopy.Cell(
        basis=crystal.lattice.tolist(), positions=crystal.frac.tolist(), numbers=crystal.numbers.tolist()
    )
    try:
        found = moyopy.MoyoDataset(cell, symprec=symprec).operations
    except Exception as error:  # moyopy raises its own, which are not public
        raise SymmetryError(f"no space group found at {symprec:g} Å: {error}") from None
    return np.array(found.rotations, np.float64), np.array(found.translations, np.float64)


def _images(crystal: Crystal, rotation: Floats, shift: Floats) -> NDArray[np.int64]:
    """(N,) which atom each is moved to."""
    apart = (crystal.frac @ rotation.T + shift)[:, None] - crystal.frac[None]
    apart -= np.rint(apart)
    distances = np.linalg.norm(apart @ crystal.lattice, axis=-1)
    distances[crystal.numbers[:, None] != crystal.numbers[None]] = np.inf
    images: NDArray[np.int64] = distances.argmin(axis=1)
    if distances.min(axis=1).max() > _SAME_SITE or len(set(images.tolist())) != len(images):
        raise SymmetryError("an operation of the group does not map the crystal's atoms onto each other")
    return images


def _image_of(projector: Floats) -> Floats:
    """(D, n) an orthonormal basis of what a projector (n, n) leaves as it is."""
    values, vectors = np.linalg.eigh((projector + projector.T) / 2)
    return np.ascontiguousarray(vectors[:, values > 0.5].T, dtype=np.float64)
