"""One relaxation of one crystal: with its symmetry held, or free."""

from __future__ import annotations

import time
import warnings
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import RealizationError
from ..symmetry.crystal import Crystal
from .calculators import Calculator
from .descent import descend
from .evaluate import atoms_of, evaluate
from .outcome import (
    CONVERGED,
    FAILED,
    LARGEST_EXPANSION,
    MODES,
    SYMPREC,
    TIMEOUT,
    TOO_MANY_STEPS,
    Relaxed,
    StageOptions,
)

_STRAIN_PER_RATTLE = 1 / 3  # 1/Å


def relax_crystal(
    crystal: Crystal,
    calculator: Calculator,
    options: StageOptions,
    *,
    fix_symmetry: bool,
) -> Relaxed:
    """Minimise the energy over positions and cell, with the symmetry held if asked.

    Whatever goes wrong is an outcome and not an exception.
    """
    try:
        with warnings.catch_warnings():
            # Calculators warn of their own dependencies (torch, pymatgen); nobody here can act on it.
            warnings.simplefilter("ignore")
            if options.optimizer == MODES:
                return _descended(crystal, calculator, options, fix_symmetry)
            if calculator.ase is None:
                raise RealizationError(f"{calculator.name} is no calculator of ASE, so it needs the optimizer {MODES}")
            atoms = atoms_of(crystal)
            atoms.calc = calculator.ase
            return _run(atoms, options, fix_symmetry)
    except Exception as error:  # a calculator may raise anything, and the other crystals go on
        return Relaxed(FAILED, f"{type(error).__name__}: {error}")


def rattled(crystal: Crystal, rattle: float, generator: np.random.Generator) -> Crystal:
    """The crystal with every atom moved by this standard deviation (Å), and its cell strained by a third as much.

    So that a relaxation leaves a saddle point.
    """
    moved = crystal.frac @ crystal.lattice + generator.normal(scale=rattle, size=crystal.frac.shape)
    strain = generator.normal(scale=_STRAIN_PER_RATTLE * rattle, size=(3, 3))
    lattice = crystal.lattice @ (np.eye(3) + (strain + strain.T) / 2)
    return Crystal(lattice, moved @ np.linalg.inv(crystal.lattice), crystal.numbers)


def _descended(crystal: Crystal, calculator: Calculator, options: StageOptions, fix_symmetry: bool) -> Relaxed:
    path = descend(crystal, options, fix_symmetry=fix_symmetry)
    try:
        asked = next(path)
        while True:
            asked = path.send(evaluate(calculator, [asked])[0])
    except StopIteration as end:
        relaxed: Relaxed = end.value
        return relaxed


def _run(atoms: Any, options: StageOptions, fix_symmetry: bool) -> Relaxed:
    ase: Any = import_module("ase")
    for name in ("constraints", "filters", "optimize"):
        import_module(f"ase.{name}")
    if fix_symmetry:
        atoms.set_constraint(ase.constraints.FixSymmetry(atoms, symprec=SYMPREC))
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
        if atoms.get_volume() > LARGEST_EXPANSION * first_volume:
            return Relaxed(FAILED, "the crystal flies apart", steps=optimizer.nsteps)
    energy = float(atoms.get_potential_energy()) / len(atoms)
    if not np.isfinite(energy):
        return Relaxed(FAILED, f"the energy is {energy}", steps=optimizer.nsteps)
    relaxed = Crystal(atoms.cell[:].copy(), atoms.get_scaled_positions(), atoms.numbers.copy())
    return Relaxed(outcome, reason, relaxed, energy, optimizer.nsteps)
