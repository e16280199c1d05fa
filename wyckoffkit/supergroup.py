"""What a label that collapses collapses into: the protostructure that all its crystals have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .collapse import collapses
from .elements import ATOMIC_NUMBER
from .errors import SymmetryError
from .operations import UNIT, operations, primitive_sites
from .protostructure import DEFAULT_PROFILE, Protostructure
from .symmetry.crystal import Crystal
from .symmetry.search import protostructure_of

# Metric tensors (Å2) of cells without more symmetry than their crystal system has: a2, b2, c2, bc, ac, ab.
_METRICS = {
    "triclinic": (50.4, 68.9, 94.1, 12.4, 15.3, 20.9),
    "monoclinic": (50.4, 68.9, 94.1, 0, -16.7, 0),
    "orthorhombic": (50.4, 68.9, 94.1, 0, 0, 0),
    "tetragonal": (50.4, 50.4, 94.1, 0, 0, 0),
    "trigonal": (50.4, 50.4, 94.1, 0, 0, -25.2),
    "hexagonal": (50.4, 50.4, 94.1, 0, 0, -25.2),
    "cubic": (94.1, 94.1, 94.1, 0, 0, 0),
}
_SYMPREC = 1e-5  # Å
_TRIES = 5


def _lattice(crystal_system: str) -> NDArray[np.float64]:
    aa, bb, cc, bc, ac, ab = _METRICS[crystal_system]
    lattice: NDArray[np.float64] = np.linalg.cholesky(np.array([[aa, ab, ac], [ab, bb, bc], [ac, bc, cc]]))
    return lattice


def generic_crystal(protostructure: Protostructure, generator: np.random.Generator) -> Crystal:
    """A crystal of the protostructure in a primitive cell, all free coordinates random; atoms may come close."""
    group = protostructure.space_group
    frac, numbers = [], []
    for orbit in protostructure.orbits:
        matrices, offsets = primitive_sites(group.number, orbit.letter)
        frac.append(matrices @ generator.random(3) + offsets / UNIT)
        numbers += [ATOMIC_NUMBER[orbit.element]] * len(offsets)
    basis = operations(group.number).basis.T / UNIT
    return Crystal(basis @ _lattice(group.crystal_system), np.concatenate(frac) % 1.0, np.array(numbers))


def supergroup_of(protostructure: Protostructure, *, profile: str | None = DEFAULT_PROFILE) -> Protostructure:
    """The protostructure that crystals of this one have: itself, where it does not collapse.

    Canonical under `profile`, or in some setting if that is None. Raises SymmetryError where random crystals do not
    settle it.

    >>> from wyckoffkit import Orbit, SpaceGroup
    >>> print(supergroup_of(Protostructure(SpaceGroup.from_number(1), (Orbit("Fe", "a"),))))
    A_aP1_2_a:Fe
    """
    if not collapses(protostructure):
        return protostructure if profile is None else protostructure.canonical(profile)
    generator = np.random.default_rng(0)
    seen: list[Protostructure] = []
    for _ in range(_TRIES):
        try:
            found = protostructure_of(generic_crystal(protostructure, generator), symprec=_SYMPREC, profile="affine")
        except SymmetryError:  # two atoms at one place by chance
            continue
        if found in seen:
            return found if profile is None else found.canonical(profile)
        seen.append(found)
    raise SymmetryError(f"{protostructure} collapses, but its random crystals have no symmetry in common")
