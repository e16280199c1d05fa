"""When a relaxation ends, with what, and what a calculator says on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RealizationError
from ..symmetry.crystal import Crystal

Floats = NDArray[np.float64]

# The group is held as it is found this tightly in a crystal that has it exactly.
SYMPREC = 1e-4  # Å
# A crystal that takes so many times its first volume has flown apart.
LARGEST_EXPANSION = 5.0
# Our own search along the moves that keep the symmetry, and those of ASE, which hold it by FixSymmetry.
MODES = "modes"
OPTIMIZERS = (MODES, "BFGS", "FIRE", "LBFGS")

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
    optimizer: str = MODES
    """modes, or one of ASE's: BFGS, FIRE, LBFGS."""
    timeout: float = 600.0
    """Seconds for one relaxation."""

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise RealizationError(f"the optimizers are {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
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


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a calculator says of a crystal."""

    energy: float
    """eV, of the cell."""
    forces: Floats
    """(N, 3) eV/Å"""
    stress: Floats
    """(3, 3) eV/Å3: the derivative of the energy by strain, over the volume."""
    seconds: float = 0.0
    """How long it took; of many at once, its share."""
