"""The protostructure of a crystal: symmetry from moyopy (first engine) or spglib (second), orbits counted here.

Orbits are those of the primitive cell's group (spglib's `crystallographic_orbits`), so a supercell counts each once.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..elements import SYMBOLS
from ..errors import ProtostructureError, SymmetryError
from ..protostructure import DEFAULT_PROFILE, ORBITS, Orbit, Protostructure
from ..spacegroup import SpaceGroup
from .crystal import Crystal, crystal_of
from .known import Found, Known

DEFAULT_SYMPREC = 0.1  # Å
# What pymatgen gives spglib, degrees.
_SPGLIB_ANGLE = 5.0
# With 5° the search of moyopy 0.21 takes up all memory on about one WBM structure in 2,000; with 1° on none of 3,000.
_MAX_MOYOPY_ANGLE = 1.0
# Pairs are compared in blocks of this many, so that memory stays small for thousands of atoms.
_PAIR_BLOCK = 1_000_000

_LOGGER = logging.getLogger("moyo")

# What moyopy has found in cells of not too many atoms: some 20 MB for cells like WBM's, 40 at most.
KNOWN = Known(16_384)
_MOST_ATOMS_KNOWN = 32


def find_protostructure(
    structure: Any,
    *,
    symprec: float = DEFAULT_SYMPREC,
    angle_tolerance: float | None = None,
    engine: str = "moyopy",
    profile: str | None = DEFAULT_PROFILE,
) -> Protostructure:
    """The protostructure of a pymatgen Structure, ASE Atoms, a Crystal, or (lattice, frac, numbers).

    `symprec` in Å; `angle_tolerance` in degrees, None: what follows from symprec in moyopy, 5 in spglib. The result is
    canonical under `profile`, or in the engine's setting if that is None. Raises SymmetryError, and warns where
    something had to be decided (deuterium taken as H).

    >>> cell = [[0, 2.4, 2.4], [2.4, 0, 2.4], [2.4, 2.4, 0]]  # Å, rows
    >>> str(find_protostructure((cell, [[0, 0, 0], [0.5, 0.5, 0.5]], [20, 8])))
    'AB_cF8_225_a_b:Ca-O'
    """
    crystal = crystal_of(structure)
    for note in crystal.notes:
        warnings.warn(note, stacklevel=2)
    return protostructure_of(crystal, symprec=symprec, angle_tolerance=angle_tolerance, engine=engine, profile=profile)


def protostructure_of(
    crystal: Crystal,
    *,
    symprec: float = DEFAULT_SYMPREC,
    angle_tolerance: float | None = None,
    engine: str = "moyopy",
    profile: str | None = DEFAULT_PROFILE,
) -> Protostructure:
    """`find_protostructure` of a checked Crystal, without warnings: the fast road."""
    check_search(symprec, angle_tolerance, engine)
    search = _moyopy_or_known if engine == "moyopy" else _checked_spglib
    protostructure = count_orbits(crystal, *search(crystal, symprec, angle_tolerance))
    return protostructure if profile is None else protostructure.canonical(profile)


def check_search(symprec: float, angle_tolerance: float | None, engine: str) -> None:
    """Raise SymmetryError for options that no search can be made with."""
    if engine not in ENGINES:
        raise SymmetryError(f"the engines are {' and '.join(ENGINES)}, got {engine!r}")
    if not (math.isfinite(symprec) and symprec > 0):
        raise SymmetryError(f"symprec is a length above 0 Å, got {symprec}")
    if angle_tolerance is not None and not (math.isfinite(angle_tolerance) and angle_tolerance > 0):
        raise SymmetryError(f"the angle tolerance is an angle above 0°, got {angle_tolerance}")
    if engine == "moyopy" and angle_tolerance is not None and angle_tolerance > _MAX_MOYOPY_ANGLE:
        raise SymmetryError(
            f"moyopy takes an angle tolerance up to {_MAX_MOYOPY_ANGLE:g}° (or none: it follows from symprec), got "
            f"{angle_tolerance:g}; beyond that its search may not end. The spglib engine takes any"
        )


def check_distances(crystal: Crystal, symprec: float) -> None:
    """Raise SymmetryError for two atoms that the tolerance cannot tell apart."""
    n = len(crystal.numbers)
    block = max(1, _PAIR_BLOCK // n)
    for start in range(0, n - 1, block):
        rows = crystal.frac[start : start + block]
        apart = rows[:, None, :] - crystal.frac[None, start:, :]
        apart -= np.rint(apart)
        vectors = apart @ crystal.lattice
        squares = np.einsum("ijk,ijk->ij", vectors, vectors)
        np.fill_diagonal(squares, np.inf)  # each pair of a block's own atoms is there twice
        if squares.min() < symprec * symprec:
            i, j = (int(k) + start for k in divmod(int(squares.argmin()), squares.shape[1]))
            raise SymmetryError(
                f"atoms overlap: site {i} ({SYMBOLS[crystal.numbers[i]]}) and site {j} "
                f"({SYMBOLS[crystal.numbers[j]]}) are {math.sqrt(squares.min()):.3g} Å apart, closer than "
                f"symprec = {symprec:g} Å"
            )


def _moyopy_or_known(crystal: Crystal, symprec: float, angle_tolerance: float | None) -> Found:
    """What moyopy finds, without asking where it was given the same before.

    Data sets are made by replacing elements: 76 % of WBM's materials have the cell, coordinates and kinds of atoms
    of an earlier one, to the bit, and moyopy is told the kinds alone.
    """
    if len(crystal.numbers) > _MOST_ATOMS_KNOWN:
        check_distances(crystal, symprec)
        return _moyopy(crystal, symprec, angle_tolerance)
    key = (crystal.lattice.tobytes(), crystal.frac.tobytes(), kinds(crystal.numbers.tolist()), symprec, angle_tolerance)
    found = KNOWN.recall(key)
    if found is None:
        check_distances(crystal, symprec)
        found = _moyopy(crystal, symprec, angle_tolerance)
        KNOWN.remember(key, found)
    return found


def kinds(numbers: list[int]) -> bytes:
    """Atoms numbered by kind: 1 the rarest (of several the lightest), the others from 2 on as they come.

    moyo asks of two atoms whether they are of one kind, and begins its search at the rarest. So these numbers tell it
    as much as the atomic ones.

    >>> list(kinds([56, 22, 8, 8, 8]))
    [2, 1, 3, 3, 3]
    """
    named = {min(set(numbers), key=lambda z: (numbers.count(z), z)): 1}
    return bytes([named.setdefault(z, len(named) + 1) for z in numbers])


def _moyopy(crystal: Crystal, symprec: float, angle_tolerance: float | None) -> Found:
    import moyopy

    # moyo logs a warning for each cell that is not its group's own; the orbits counted here are right in any cell.
    if _LOGGER.level != logging.ERROR:  # setting it empties a cache of all loggers
        _LOGGER.setLevel(logging.ERROR)
    angle = None if angle_tolerance is None else math.radians(angle_tolerance)
    try:
        cell = moyopy.Cell(crystal.lattice.tolist(), crystal.frac.tolist(), list(kinds(crystal.numbers.tolist())))
        found = moyopy.MoyoDataset(cell, symprec=symprec, angle_tolerance=angle)
    except ValueError as error:
        raise SymmetryError(f"moyopy finds no symmetry at symprec {symprec:g} Å: {error}") from None
    except BaseException as error:
        # A panic in Rust reaches Python as a BaseException of a class that moyopy does not export.
        if type(error).__name__ != "PanicException":
            raise
        raise SymmetryError(f"moyopy panics at symprec {symprec:g} Å: {error}") from None
    return found.number, tuple(found.wyckoffs), tuple(found.orbits)


def _checked_spglib(crystal: Crystal, symprec: float, angle_tolerance: float | None) -> Found:
    check_distances(crystal, symprec)
    return _spglib(crystal, symprec, angle_tolerance)


def _spglib(crystal: Crystal, symprec: float, angle_tolerance: float | None) -> Found:
    import spglib

    angle = _SPGLIB_ANGLE if angle_tolerance is None else angle_tolerance
    cell: Any = (crystal.lattice, crystal.frac, crystal.numbers)
    failed = getattr(getattr(spglib, "error", None), "SpglibError", RuntimeError)  # before 2.7 there is none
    with warnings.catch_warnings():
        # spglib 2.7 warns at every call that its way to report errors will change; both ways are met here.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=symprec, angle_tolerance=angle)
        except failed as error:
            raise SymmetryError(f"spglib finds no symmetry at symprec {symprec:g} Å: {error}") from None
    if found is None:
        raise SymmetryError(f"spglib finds no symmetry at symprec {symprec:g} Å")
    return int(found.number), list(found.wyckoffs), found.crystallographic_orbits.tolist()


ENGINES: dict[str, Callable[[Crystal, float, float | None], Found]] = {"moyopy": _moyopy, "spglib": _spglib}


def count_orbits(crystal: Crystal, number: int, letters: Sequence[str], first: Sequence[int]) -> Protostructure:
    """One orbit for each first site, checked: the positions must hold the elements in the crystal's own ratio."""
    group = SpaceGroup.from_number(number)
    numbers = crystal.numbers.tolist()
    orbits: list[Orbit] = []
    placed: dict[int, int] = {}
    try:
        for site in set(first):
            z, letter = numbers[site], letters[site]
            orbits.append(ORBITS[SYMBOLS[z]][letter])
            placed[z] = placed.get(z, 0) + group.position(letter).multiplicity
        protostructure = Protostructure(group, tuple(orbits))
    except (KeyError, ProtostructureError) as error:
        raise SymmetryError(f"the engine's Wyckoff positions are not those of {group.symbol}: {error}") from None
    total = sum(placed.values())
    if any(count * len(numbers) != numbers.count(z) * total for z, count in placed.items()):
        raise SymmetryError(
            f"the engine's Wyckoff positions hold the elements in another ratio than the crystal: {protostructure}"
        )
    return protostructure


@dataclass(frozen=True, slots=True)
class Flip:
    """From this tolerance on (up to the next flip) a structure has this label, or this reason to have none."""

    symprec: float
    """Å."""
    label: str | None
    error: str | None = None


def sweep_symprec(
    structure: Any,
    tolerances: Iterable[float],
    *,
    angle_tolerance: float | None = None,
    engine: str = "moyopy",
    profile: str = DEFAULT_PROFILE,
) -> list[Flip]:
    """Where the label flips as symprec runs through `tolerances` (ascending): the first one, and each change."""
    crystal = crystal_of(structure)
    flips: list[Flip] = []
    for symprec in sorted(tolerances):
        try:
            found = protostructure_of(
                crystal, symprec=symprec, angle_tolerance=angle_tolerance, engine=engine, profile=profile
            )
            flip = Flip(symprec, str(found))
        except SymmetryError as error:
            flip = Flip(symprec, None, str(error))
        if not flips or (flip.label, flip.error is None) != (flips[-1].label, flips[-1].error is None):
            flips.append(flip)
    return flips
