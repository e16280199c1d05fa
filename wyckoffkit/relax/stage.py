"""One relaxation of one crystal: with its symmetry held, or free."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import RealizationError
from ..symmetry.crystal import Crystal
from .calculators import Calculator

# The group is held as it is found this tightly in a crystal that has it exactly.
_SYMPREC = 1e-4  # Å
# A crystal that takes so many times its first volume has flown apart.
_LARGEST_EXPANSION = 5.0
_OPTIMIZERS = ("BFGS", "FIRE", "LBFGS")

_STRAIN_PER_RATTLE = 1 / 3  # 1/Å

CONVERGED = "relaxed"
TOO_MANY_STEPS = "not converged"
TIMEOUT = "timeout"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StageOptions:
    """When a relaxation ends. Raises RealizationError for what cannot be."""

    fmax: float = 0.05
    """eV/Å: the largest force, and the largest derivative by the cell, that are left."""
    steps: int = 300
    optimizer: str = "BFGS"
    timeout: float = 600.0
    """Seconds for one relaxation; looked at between steps."""

    def __post_init__(self) -> None:
        if self.optimizer not in _OPTIMIZERS:
            raise RealizationError(f"the optimizers are {', '.join(_OPTIMIZERS)}, got {self.optimizer!r}")
        if not (self.fmax > 0 and self.steps > 0 and self.timeout > 0):
            raise RealizationError(
                f"fmax, steps and timeout are above 0, got {self.fmax}, {self.steps} and {self.timeout}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """What a relaxation ended with."""

    outcome: str
    """relaxed, not converged, timeout or failed."""
    reason: str = ""
    crystal: Crystal | None = None
    """None where it failed."""
    energy: float = np.nan
    """eV/atom."""
    steps: int = 0


def relax_crystal(
    crystal: Crystal,
    calculator: Calculator,
    options: StageOptions,
    *,
    fix_symmetry: bool,
    rattle: float = 0.0,
    generator: np.random.Generator | None = None,
) -> Relaxed:
    """Minimise the energy over positions and cell, by ASE; the symmetry held by FixSymmetry if asked.

    `rattle` moves every atom first, by this standard deviation (Å), and strains the cell by a third as much, so that a
    saddle point is left. Whatever goes wrong is an outcome and not an exception.
    """
    try:
        atoms = _atoms(crystal)
        if rattle and generator is not None:
            atoms.positions += generator.normal(scale=rattle, size=atoms.positions.shape)
            strain = generator.normal(scale=_STRAIN_PER_RATTLE * rattle, size=(3, 3))
            atoms.set_cell(atoms.cell[:] @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.calc = calculator.ase
        with warnings.catch_warnings():
            # Calculators warn of their own dependencies (torch, pymatgen); nobody here can act on it.
            warnings.simplefilter("ignore")
            return _run(atoms, options, fix_symmetry)
    except Exception as error:  # a calculator may raise anything, and the other crystals go on
        return Relaxed(FAILED, f"{type(error).__name__}: {error}")


def _run(atoms: Any, options: StageOptions, fix_symmetry: bool) -> Relaxed:
    ase: Any = import_module("ase")
    for name in ("constraints", "filters", "optimize"):
        import_module(f"ase.{name}")
    if fix_symmetry:
        atoms.set_constraint(ase.constraints.FixSymmetry(atoms, symprec=_SYMPREC))
    first_volume = atoms.get_volume()
    settings = {} if options.optimizer == "FIRE" else {"maxstep": 0.1}
    optimizer = getattr(ase.optimize, options.optimizer)(ase.filters.FrechetCellFilter(atoms), logfile=None, **settings)
    deadline = time.monotonic() + options.timeout
    outcome, reason = TOO_MANY_STEPS, f"forces stay above {options.fmax:g} eV/Å after {options.steps} steps"
    for converged in optimizer.irun(fmax=options.fmax, steps=options.steps):
        if converged:
            outcome, reason = CONVERGED, ""
            break
        if time.monotonic() > deadline:
            outcome, reason = TIMEOUT, f"not relaxed within {options.timeout:g} s"
            break
        if atoms.get_volume() > _LARGEST_EXPANSION * first_volume:
            return Relaxed(FAILED, "the crystal flies apart", steps=optimizer.nsteps)
    energy = float(atoms.get_potential_energy()) / len(atoms)
    if not np.isfinite(energy):
        return Relaxed(FAILED, f"the energy is {energy}", steps=optimizer.nsteps)
    relaxed = Crystal(atoms.cell[:].copy(), atoms.get_scaled_positions(), atoms.numbers.copy())
    return Relaxed(outcome, reason, relaxed, energy, optimizer.nsteps)


def _atoms(crystal: Crystal) -> Any:
    from ase import Atoms

    return Atoms(numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=True)
