"""Calculators that go wrong in the ways that real ones do."""

from __future__ import annotations

import os
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class _Base(Calculator):
    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 - ASE reads a class attribute

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": self.energy(atoms), "forces": np.zeros((len(atoms), 3)), "stress": self.stress(atoms)}

    def energy(self, atoms):
        return 0.0

    def stress(self, atoms):
        return np.zeros(6)


class Raises(_Base):
    def energy(self, atoms):
        raise RuntimeError("the model broke")


class NaN(_Base):
    def energy(self, atoms):
        return float("nan")


class Explodes(_Base):
    """Always wants a larger cell."""

    def energy(self, atoms):
        return -atoms.get_volume()

    def stress(self, atoms):
        return np.array([-1.0, -1.0, -1.0, 0, 0, 0])


class NeverConverges(Explodes):
    def energy(self, atoms):
        time.sleep(0.02)
        return 0.0

    def stress(self, atoms):
        return np.array([-1e-2, -1e-2, -1e-2, 0, 0, 0])


class Hangs(_Base):
    """On gold, as a model that waits for ever."""

    def energy(self, atoms):
        if 79 in atoms.numbers:
            time.sleep(3600)
        return 0.0


class WaitsAtAluminium(_Base):
    """As long as the file that the environment names is there."""

    def energy(self, atoms):
        while 13 in atoms.numbers and os.path.exists(os.environ["WAIT_WHILE"]):
            time.sleep(0.02)
        return 0.0


class Dies(_Base):
    """On gold, as a library does that runs out of memory."""

    def energy(self, atoms):
        if 79 in atoms.numbers:
            os._exit(3)
        return 0.0


class HasNoModel:
    """Its file is damaged."""

    def __init__(self):
        raise OSError("no model in this file")
