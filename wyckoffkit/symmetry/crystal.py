"""Atoms in a cell, checked once, from the forms in which people hold them.

What has no protostructure (disorder, dummies, no volume …) is refused here, before a C library sees it: moyopy panics
on an empty cell and spglib crashes the process on NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import SymmetryError

# Occupancies come from text with few digits; anything closer to one atom than this is one atom.
_FULL = 1e-3
# Hydrogen in the densest structures that occur in databases takes ten times as much.
_MIN_VOLUME_PER_ATOM = 0.1  # Å3

_HEAVY_HYDROGEN = {"D": "deuterium", "T": "tritium"}


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A periodic arrangement of atoms. Raises SymmetryError for one that cannot be."""

    lattice: NDArray[np.float64]
    """(3, 3) rows are the cell vectors, Å."""
    frac: NDArray[np.float64]
    """(N, 3) fractional coordinates, not necessarily within the cell."""
    numbers: NDArray[np.int64]
    """(N,) atomic numbers."""
    notes: tuple[str, ...] = field(default=())
    """What had to be decided to read it, one sentence each (deuterium taken as H …)."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        try:
            put(self, "lattice", _real(self.lattice))
            put(self, "frac", _real(self.frac))
            put(self, "numbers", _whole(self.numbers))
        except (TypeError, ValueError) as error:
            raise SymmetryError(f"lattice, coordinates and atomic numbers must be arrays of numbers: {error}") from None
        n = len(self.numbers) if self.numbers.ndim == 1 else -1
        if n == 0:
            raise SymmetryError("a structure without atoms has no protostructure")
        if self.lattice.shape != (3, 3) or n < 0 or self.frac.shape != (n, 3):
            raise SymmetryError(
                "a structure is a lattice (3, 3), fractional coordinates (N, 3) and atomic numbers (N,), "
                f"got {self.lattice.shape}, {self.frac.shape} and {self.numbers.shape}"
            )
        self._check_values(n)

    def _check_values(self, n: int) -> None:
        if not np.isfinite(self.lattice).all():
            raise SymmetryError("the cell vectors hold NaN or infinity")
        if not np.isfinite(self.frac).all():
            row = int(np.argmin(np.isfinite(self.frac).all(axis=1)))
            raise SymmetryError(f"the coordinates of site {row} hold NaN or infinity")
        if self.numbers.min() < 1 or self.numbers.max() >= len(SYMBOLS):
            row = int(np.argmax((self.numbers < 1) | (self.numbers >= len(SYMBOLS))))
            raise SymmetryError(
                f"site {row} has the atomic number {self.numbers[row]}; elements have 1 to {len(SYMBOLS) - 1}"
            )
        if self.volume < _MIN_VOLUME_PER_ATOM * n:
            raise SymmetryError(f"the cell has a volume of {self.volume:.3g} Å3 for {n} atoms, which is no crystal")

    @property
    def volume(self) -> float:
        """Of the cell, Å3."""
        a, b, c = self.lattice.tolist()
        determinant: float = (
            a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        )
        return abs(determinant)


def lattice_of(lengths: ArrayLike, angles: ArrayLike) -> NDArray[np.float64]:
    """(3, 3) rows are the cell vectors, Å, of lengths a, b, c (Å) and angles α, β, γ (degrees).

    a lies along x, b in the xy plane. Flat, or NaN, where no cell has these angles.
    """
    a, b, c = np.asarray(lengths, np.float64)
    degrees = np.asarray(angles, np.float64)
    # The cosine of 90 degrees, computed, is not 0.
    cos_alpha, cos_beta, cos_gamma = np.where(degrees == 90, 0.0, np.cos(np.radians(degrees)))
    with np.errstate(divide="ignore", invalid="ignore"):
        sin_gamma = np.sqrt(1 - cos_gamma**2)
        x, y = cos_beta, (cos_alpha - cos_beta * cos_gamma) / sin_gamma
        z = np.sqrt(np.maximum(0, 1 - x * x - y * y))
    return np.array([[a, 0, 0], [b * cos_gamma, b * sin_gamma, 0], [c * x, c * y, c * z]])


def _real(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values)
    if found.dtype.kind == "c":
        raise TypeError("lengths and coordinates are no complex numbers")
    return found.astype(np.float64, copy=False)


def _whole(values: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(values)
    if found.dtype.kind == "f":
        whole = np.isfinite(found) & (found == np.trunc(found))
        if not whole.all():
            raise ValueError(f"atomic numbers are whole, got {found[~whole].flat[0]:g}")
    elif found.dtype.kind == "c":
        raise TypeError("atomic numbers are no complex numbers")
    return found.astype(np.int64, copy=False)


def crystal_of(structure: Any) -> Crystal:
    """A Crystal from one, from a pymatgen Structure or its dictionary, ASE Atoms, or (lattice, frac, numbers).

    Raises SymmetryError for disorder, dummies and whatever else has no protostructure.
    """
    if isinstance(structure, Crystal):
        return structure
    if isinstance(structure, Mapping):
        return crystal_from_dict(structure)
    if hasattr(structure, "get_scaled_positions"):
        return _from_ase(structure)
    if hasattr(structure, "lattice") and hasattr(structure, "sites"):
        return _from_pymatgen(structure)
    if hasattr(structure, "sites"):
        raise SymmetryError(f"a {type(structure).__name__} without a lattice is not periodic")
    if isinstance(structure, (tuple, list)) and len(structure) == 3:
        lattice, frac, numbers = structure
        return Crystal(lattice, np.reshape(frac, (0, 3)) if len(frac) == 0 else frac, numbers)
    raise SymmetryError(
        "a structure is a pymatgen Structure, ASE Atoms or (lattice, fractional coordinates, atomic numbers), "
        f"got {type(structure).__name__}"
    )


def crystal_from_dict(structure: Mapping[str, Any]) -> Crystal:
    """A Crystal from the dictionary of a pymatgen Structure (`as_dict()`), without pymatgen."""
    try:
        sites = structure["sites"]
        lattice = structure.get("lattice")
        if lattice is None:
            raise SymmetryError("a structure without a lattice is not periodic")
        matrix = lattice["matrix"] if isinstance(lattice, Mapping) else lattice
        reader = _SpeciesReader()
        numbers = [
            reader.number(i, [(s["element"], s.get("occu", 1)) for s in site["species"]])
            for i, site in enumerate(sites)
        ]
        if sites and "abc" not in sites[0]:
            frac: ArrayLike = np.array([site["xyz"] for site in sites]) @ np.linalg.inv(np.array(matrix))
        else:
            frac = np.array([site["abc"] for site in sites], np.float64).reshape(-1, 3)
    except KeyError as error:
        raise SymmetryError(f"the structure has no field {error.args[0]!r}") from None
    except (TypeError, AttributeError, IndexError, ValueError, np.linalg.LinAlgError) as error:
        if isinstance(error, SymmetryError):
            raise
        raise SymmetryError(f"this is not the dictionary of a pymatgen Structure: {error}") from None
    return Crystal(matrix, frac, numbers, tuple(reader.notes))  # type: ignore[arg-type]  # checked in the constructor


class _SpeciesReader:
    """Atomic numbers of sites; remembers what it had to decide."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def number(self, site: int, species: Iterable[tuple[str, float]]) -> int:
        """The one element that fills a site; SymmetryError if there is none, or several."""
        parts = list(species)
        if len(parts) == 1 and parts[0][1] == 1 and parts[0][0] in ATOMIC_NUMBER:
            return ATOMIC_NUMBER[parts[0][0]]
        amounts: dict[str, float] = {}
        for symbol, amount in parts:
            if symbol not in ATOMIC_NUMBER:
                symbol = self._translated(site, symbol)
            amounts[symbol] = amounts.get(symbol, 0.0) + float(amount)
        if not amounts:
            raise SymmetryError(f"site {site} holds nothing")
        if len(amounts) > 1:
            shares = ", ".join(f"{symbol} {amount:g}" for symbol, amount in amounts.items())
            raise SymmetryError(f"site {site} is disordered ({shares}); a protostructure has one element a site")
        symbol, amount = amounts.popitem()
        if not abs(amount - 1) <= _FULL:
            raise SymmetryError(
                f"site {site} is occupied {amount:g} times by {symbol}; a protostructure has full sites"
            )
        if len(parts) > 1:
            self._note(f"the mixed states of {symbol} on a site are taken as one {symbol} atom")
        return ATOMIC_NUMBER[symbol]

    def _translated(self, site: int, symbol: str) -> str:
        if symbol in _HEAVY_HYDROGEN:
            self._note(f"{_HEAVY_HYDROGEN[symbol]} is taken as H")
            return "H"
        raise SymmetryError(f"site {site} holds {symbol!r}, which is not an element")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _from_pymatgen(structure: Any) -> Crystal:
    pbc = getattr(structure.lattice, "pbc", (True, True, True))
    if not all(pbc):
        raise SymmetryError(f"the structure is not periodic along every cell vector: pbc = {tuple(map(bool, pbc))}")
    reader = _SpeciesReader()
    numbers = [
        reader.number(i, ((_symbol(specie), amount) for specie, amount in site.species.items()))
        for i, site in enumerate(structure.sites)
    ]
    frac = np.array([site.frac_coords for site in structure.sites], np.float64).reshape(-1, 3)
    return Crystal(structure.lattice.matrix, frac, np.array(numbers, np.int64), tuple(reader.notes))


def _symbol(specie: Any) -> str:
    """Of an Element, Species or DummySpecies; the symbol of deuterium is H there, its name is D."""
    return str(getattr(getattr(specie, "element", specie), "name", specie.symbol))


def _from_ase(atoms: Any) -> Crystal:
    if not all(atoms.pbc):
        raise SymmetryError(
            f"the structure is not periodic along every cell vector: pbc = {tuple(map(bool, atoms.pbc))}"
        )
    reader = _SpeciesReader()
    # ASE's CIF reader keeps the first element of a shared site and notes the rest here, keyed by kind of site.
    occupancy = atoms.info.get("occupancy") or {}
    if occupancy:
        kinds = atoms.arrays.get("spacegroup_kinds", np.arange(len(atoms)))
        for i, kind in enumerate(kinds.tolist()):
            shares = occupancy.get(str(kind), occupancy.get(kind))
            if shares:
                reader.number(i, shares.items())
    if len(atoms) and abs(np.linalg.det(atoms.cell[:])) < _MIN_VOLUME_PER_ATOM * len(atoms):
        raise SymmetryError(f"the cell has a volume of {abs(np.linalg.det(atoms.cell[:])):.3g} Å3, which is no crystal")
    frac = atoms.get_scaled_positions(wrap=False) if len(atoms) else np.zeros((0, 3))
    return Crystal(atoms.cell[:], frac, atoms.numbers, tuple(reader.notes))
