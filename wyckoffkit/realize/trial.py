"""What a realization is, what became of each trial, and the check that every built crystal must pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..collapse import collapses
from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import RealizationError, SymmetryError
from ..label import format_label
from ..protostructure import Protostructure
from ..symmetry.crystal import Crystal
from ..symmetry.search import ENGINES, check_distances, count_orbits
from .orbits import occupied, place, primitive_basis

SYMPREC = 1e-4  # Å
# Two atoms closer than this share of their covalent radii's sum overlap: of 18,559 known crystals, 1 % have less than
# 0.74 and none less than 0.65.
LEAST_CONTACT = 0.7
# A cell may grow to this multiple of its volume to make that room.
LARGEST_GROWTH = 1.6
# Under the full affine normalizer equal crystals have equal labels, whatever cell a symmetry search settles on.
_PROFILE = "affine"

ACCEPTED = "accepted"
OVERLAP = "overlap"
SUPERGROUP = "supergroup"
OTHER_LABEL = "other label"
COLLAPSES = "collapses"
NO_SYMMETRY = "no symmetry"
NOT_BUILT = "not built"
TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to build a crystal."""

    outcome: str
    """accepted, overlap, supergroup, collapses (no crystal of the label has another), other label, no symmetry, not
    built or timeout."""
    reason: str = ""
    """Why it was rejected, in a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Realization:
    """A crystal of a protostructure, in the conventional cell of International Tables."""

    protostructure: Protostructure
    lattice: NDArray[np.float64]
    """(3, 3) rows are the cell vectors, Å; a along x, b in the xy plane."""
    parameters: NDArray[np.float64]
    """(O, 3) x, y, z in the representative triplet of each orbit's position; 0 where the triplet does not name them."""
    trials: tuple[Trial, ...]
    """The last one was accepted."""
    contact: float
    """The least distance between two atoms over the sum of their covalent radii."""

    @property
    def crystal(self) -> Crystal:
        """Sites run orbit by orbit, in the order of the protostructure's orbits; the first of each is its
        representative triplet's."""
        return build(self.protostructure, self.lattice, self.parameters)

    def primitive(self) -> Crystal:
        """The same crystal in a primitive cell."""
        return primitive_cell(self.protostructure, self.crystal)


class UnrealizedError(RealizationError):
    """No trial gave a crystal of the protostructure; `trials` says what became of each."""

    def __init__(self, message: str, trials: tuple[Trial, ...]) -> None:
        super().__init__(message)
        self.trials = trials


def build(protostructure: Protostructure, lattice: NDArray[np.float64], parameters: NDArray[np.float64]) -> Crystal:
    """The crystal that a cell (3, 3) and free parameters (O, 3) make of a protostructure."""
    layout = occupied(protostructure.space_group.number, tuple(orbit.letter for orbit in protostructure.orbits))
    numbers = np.array([ATOMIC_NUMBER[orbit.element] for orbit in protostructure.orbits])
    return Crystal(lattice, place(layout, parameters[None])[0] % 1.0, numbers[layout.orbit])


def build_primitive(
    protostructure: Protostructure, lattice: NDArray[np.float64], parameters: NDArray[np.float64]
) -> Crystal:
    """`primitive_cell` of `build`, without the conventional cell on the way."""
    number = protostructure.space_group.number
    layout = occupied(number, tuple([orbit.letter for orbit in protostructure.orbits]))
    numbers = np.array([ATOMIC_NUMBER[orbit.element] for orbit in protostructure.orbits])
    orbit = layout.orbit[layout.primitive]
    matrices, offsets = layout.in_primitive_cell
    frac = (matrices @ parameters[orbit, :, None])[..., 0] + offsets
    return Crystal(primitive_basis(number)[0] @ lattice, frac, numbers[orbit])


def grown(lattice: NDArray[np.float64], contact: float) -> tuple[NDArray[np.float64], float]:
    """The cell grown until atoms are LEAST_CONTACT apart, by LARGEST_GROWTH at most; and the contact it then has."""
    if contact >= LEAST_CONTACT:
        return lattice, contact
    factor = LEAST_CONTACT / max(contact, 1e-6)
    if factor**3 <= LARGEST_GROWTH:
        return lattice * factor, LEAST_CONTACT
    factor = LARGEST_GROWTH ** (1 / 3)
    return lattice * factor, contact * factor


def primitive_cell(protostructure: Protostructure, crystal: Crystal) -> Crystal:
    """One site of each set that the centring translations connect, and the primitive cell vectors."""
    number = protostructure.space_group.number
    basis, inverse = primitive_basis(number)
    kept = occupied(number, tuple(orbit.letter for orbit in protostructure.orbits)).primitive
    return Crystal(basis @ crystal.lattice, crystal.frac[kept] @ inverse, crystal.numbers[kept], crystal.notes)


def verdict(
    protostructure: Protostructure,
    lattice: NDArray[np.float64],
    parameters: NDArray[np.float64],
    symprec: float = SYMPREC,
) -> Trial:
    """`check` of the crystal that a cell and parameters make; its atoms do not overlap. Tells labels that collapse."""
    trial = check(protostructure, build_primitive(protostructure, lattice, parameters), symprec, overlap_free=True)
    if trial.outcome in (SUPERGROUP, OTHER_LABEL) and collapses(protostructure):
        return Trial(COLLAPSES, trial.reason)
    return trial


def check(
    protostructure: Protostructure, crystal: Crystal, symprec: float = SYMPREC, *, overlap_free: bool = False
) -> Trial:
    """Find the crystal's protostructure again, tightly: it must be the one that was asked for.

    The crystal is given in any cell; symprec in Å. Overlapping atoms, which a symmetry search must not be given, are
    looked for unless it is `overlap_free`.
    """
    try:
        if not overlap_free:
            check_distances(crystal, symprec)
        number, letters, first = ENGINES["moyopy"](crystal, symprec, None)
        if number == protostructure.space_group.number:
            numbers = crystal.numbers.tolist()
            orbits = sorted((SYMBOLS[numbers[site]], letters[site]) for site in set(first))
            # Most are found in the setting in which they were asked for; then nothing else need be looked at.
            if orbits == [(orbit.element, orbit.letter) for orbit in protostructure.orbits]:
                return Trial(ACCEPTED)
        found = count_orbits(crystal, number, letters, first)
    except SymmetryError as error:
        return Trial(NO_SYMMETRY, str(error))
    asked_group, group = protostructure.space_group, found.space_group
    if group != asked_group:
        return Trial(
            SUPERGROUP,
            f"the crystal has the symmetry {group.symbol} ({group.number}), not {asked_group.symbol} "
            f"({asked_group.number})",
        )
    if found.canonical(_PROFILE) == protostructure.canonical(_PROFILE):
        return Trial(ACCEPTED)
    return Trial(OTHER_LABEL, f"the crystal's label is {format_label(found)}")
