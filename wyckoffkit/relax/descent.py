"""A relaxation as a coroutine: it gives crystals away and takes their forces, so that many can run side by side.

Quasi-Newton (BFGS) along the moves that keep the symmetry, or along all. Cell and atoms are one vector, the cell's
part times the number of atoms, as in ASE's cell filters (Tadmor et al., Phys. Rev. B 59, 235, 1999).
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from ..errors import SymmetryError
from ..symmetry.crystal import Crystal
from .modes import Modes, all_modes, symmetric_modes
from .outcome import (
    CONVERGED,
    FAILED,
    LARGEST_EXPANSION,
    SYMPREC,
    TIMEOUT,
    TOO_MANY_STEPS,
    Evaluation,
    Relaxed,
    StageOptions,
)

Floats = NDArray[np.float64]

# As ASE's BFGS: curvature before anything is known (eV/Å2); and how far an atom goes in one step, here and there.
_CURVATURE = 70.0
_LARGEST_STEP = 0.1  # Å


Descent = Generator[Crystal, Evaluation | str, Relaxed]


def descend(crystal: Crystal, options: StageOptions, *, fix_symmetry: bool) -> Descent:
    """Minimise the energy over positions and cell: yields crystals, takes an evaluation or the words of an error."""
    try:
        modes = symmetric_modes(crystal, SYMPREC) if fix_symmetry else all_modes(len(crystal.numbers))
    except SymmetryError as error:
        return Relaxed(FAILED, str(error))
    path = _Path(crystal, modes)
    now, newton, spent = crystal, _Newton(path.size), 0.0
    for step in range(options.steps + 1):
        found = yield now
        if isinstance(found, str):
            return Relaxed(FAILED, found, steps=step)
        energy = found.energy / len(now.numbers)
        if not (np.isfinite(energy) and np.isfinite(found.forces).all() and np.isfinite(found.stress).all()):
            return Relaxed(FAILED, f"the energy is {energy}, or forces are not finite", steps=step)
        gradient, largest = path.gradient(found)
        if largest <= options.fmax:
            return Relaxed(CONVERGED, "", now, energy, step)
        spent += found.seconds
        if spent > options.timeout:
            return Relaxed(TIMEOUT, f"not relaxed within {options.timeout:g} s", now, energy, step)
        if now.volume > LARGEST_EXPANSION * crystal.volume:
            return Relaxed(FAILED, "the crystal flies apart", steps=step)
        if step < options.steps:
            now = path.after(path.limited(newton.step(path.at, gradient)))
    words = f"forces stay above {options.fmax:g} eV/Å after {options.steps} steps"
    return Relaxed(TOO_MANY_STEPS, words, now, energy, options.steps)


class _Path:
    """Where a relaxation is: a crystal as a vector of its modes' amplitudes."""

    def __init__(self, crystal: Crystal, modes: Modes) -> None:
        self._start = crystal
        self._modes = modes
        self._positions = crystal.frac @ crystal.lattice
        self._weight = len(crystal.numbers)
        self._split = len(modes.displacements)
        self.size = self._split + len(modes.strains)
        self.at = np.zeros(self.size)
        self._volume = crystal.volume

    def _deformed(self, at: Floats) -> Floats:
        strained: Floats = np.eye(3) + np.tensordot(at[self._split :] / self._weight, self._modes.strains, 1)
        return strained

    def after(self, move: Floats) -> Crystal:
        """The crystal after a move."""
        self.at = self.at + move
        deformation = self._deformed(self.at)
        lattice = self._start.lattice @ deformation
        positions = self._positions + np.tensordot(self.at[: self._split], self._modes.displacements, 1)
        self._volume = float(abs(np.linalg.det(lattice)))
        return Crystal(lattice, positions @ np.linalg.inv(self._start.lattice), self._start.numbers)

    def gradient(self, found: Evaluation) -> tuple[Floats, float]:
        """By every amplitude; and the largest force, or derivative by a row of the cell over the atoms (eV/Å)."""
        deformation = self._deformed(self.at)
        atoms = -np.tensordot(self._modes.displacements, found.forces @ deformation, 2)
        by_cell = np.linalg.solve(deformation, self._volume * found.stress)
        cell = np.tensordot(self._modes.strains, (by_cell + by_cell.T) / 2, 2) / self._weight
        forces = np.tensordot(atoms, self._modes.displacements, 1)
        virial = np.tensordot(cell, self._modes.strains, 1)
        largest = max(float(np.linalg.norm(rows, axis=1).max()) for rows in (forces, virial))
        return np.concatenate([atoms, cell]), largest

    def limited(self, move: Floats) -> Floats:
        """A move made no longer than the largest step of an atom, or of a row of the cell."""
        atoms = np.tensordot(move[: self._split], self._modes.displacements, 1)
        cell = np.tensordot(move[self._split :], self._modes.strains, 1)
        longest = max(float(np.linalg.norm(rows, axis=1).max()) for rows in (atoms, cell))
        return move * min(1.0, _LARGEST_STEP / max(longest, 1e-12))


class _Newton:
    """BFGS's second derivatives (Nocedal & Wright, Numerical Optimization, eq. 6.19), made positive as ASE does."""

    def __init__(self, size: int) -> None:
        self._hessian = _CURVATURE * np.eye(size)
        self._before: tuple[Floats, Floats] | None = None

    def step(self, at: Floats, gradient: Floats) -> Floats:
        """The next move, however long."""
        if self._before is not None:
            self._learn(at - self._before[0], gradient - self._before[1])
        self._before = at, gradient
        curvatures, directions = np.linalg.eigh(self._hessian)
        move: Floats = -directions @ ((directions.T @ gradient) / np.abs(curvatures))
        return move

    def _learn(self, move: Floats, change: Floats) -> None:
        if np.abs(move).max() < 1e-7:
            return
        along = self._hessian @ move
        self._hessian += np.outer(change, change) / (move @ change) - np.outer(along, along) / (move @ along)
