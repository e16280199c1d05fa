"""Energies, forces and stresses of many crystals: at once where the calculator can, else one after the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..symmetry.crystal import Crystal
from .calculators import Calculator
from .outcome import Evaluation


def evaluate(calculator: Calculator, crystals: Sequence[Crystal]) -> list[Evaluation | str]:
    """One answer each: an evaluation, or the words of the error that the calculator raised."""
    with warnings.catch_warnings():
        # Calculators warn of their own dependencies (torch, pymatgen); nobody here can act on it.
        warnings.simplefilter("ignore")
        if calculator.batched is not None and len(crystals) > 1:
            begun = time.perf_counter()
            try:
                found = calculator.batched(crystals)
            except Exception:  # of one of them; each alone says of which
                return [_alone(calculator, crystal) for crystal in crystals]
            share = (time.perf_counter() - begun) / len(crystals)
            return [Evaluation(energy, forces, stress, share) for energy, forces, stress in found]
        return [_alone(calculator, crystal) for crystal in crystals]


def _alone(calculator: Calculator, crystal: Crystal) -> Evaluation | str:
    begun = time.perf_counter()
    try:
        if calculator.ase is None:
            assert calculator.batched is not None
            ((energy, forces, stress),) = calculator.batched([crystal])
            return Evaluation(energy, forces, stress, time.perf_counter() - begun)
        atoms = atoms_of(crystal)
        atoms.calc = calculator.ase
        forces = np.asarray(atoms.get_forces(), np.float64)
        stress = np.asarray(atoms.get_stress(voigt=False), np.float64)
        energy = float(atoms.get_potential_energy())
    except Exception as error:  # a calculator may raise anything, and the other crystals go on
        return f"{type(error).__name__}: {error}"
    return Evaluation(energy, forces, stress, time.perf_counter() - begun)


def atoms_of(crystal: Crystal) -> Any:
    """The crystal as ASE's Atoms."""
    from ase import Atoms

    return Atoms(numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.lattice, pbc=True)
