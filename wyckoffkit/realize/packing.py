"""Periodic distances of many candidate crystals at once, and moving atoms apart within their Wyckoff positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .cells import allowed_strain
from .orbits import Occupied, place

Floats = NDArray[np.float64]

# Fractional differences are wrapped to within half a cell. Where axes are at right angles that image is the nearest;
# elsewhere it, or a neighbour by one cell along an axis that is oblique to another, is.
_OBLIQUE_AXES = {
    "triclinic": (1, 1, 1),
    "monoclinic": (1, 0, 1),
    "trigonal": (1, 1, 0),
    "hexagonal": (1, 1, 0),
}
# One of each pair of opposite translations.
_TRANSLATIONS = np.array([s for s in product((-1, 0, 1), repeat=3) if s > (0, 0, 0)], np.float64)

# Of its overlaps, how much an atom moves in one step, and how many of them count as one (it is pushed by all, so it
# would overshoot); how strongly the cell follows, and its largest strain in a step.
_STEP = 0.7
_SHARED = 2
_CELL_STEP = 0.6
_LARGEST_STRAIN = 0.1
# Moving atoms apart ends where this many steps did not gain this factor of room.
_PATIENCE = 4
_UNITY = np.eye(3)
_GAIN = 1.01


@cache
def _shifts(crystal_system: str) -> Floats:
    """(S, 3) cells to look into, the home cell first."""
    axes = [(0, -1, 1) if oblique else (0,) for oblique in _OBLIQUE_AXES.get(crystal_system, (0, 0, 0))]
    return np.array(list(product(*axes)), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """K crystals of one protostructure."""

    lattices: Floats
    """(K, 3, 3) rows are the cell vectors, Å."""
    parameters: Floats
    """(K, O, 3) the free parameters of each orbit; those that are not free are without effect."""

    def __getitem__(self, which: NDArray[np.int64]) -> Candidates:
        return Candidates(self.lattices[which], self.parameters[which])


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """How near the atoms of K crystals come to each other."""

    vectors: Floats
    """(K, O, N, 3) Å, from the nearest image of every atom to each orbit's first atom."""
    distances: Floats
    """(K, O, N) Å, infinite for an atom and itself."""
    translations: Floats
    """(K, 13, 3) Å"""
    lengths: Floats
    """(K, 13) Å, of the translations"""

    def __getitem__(self, which: NDArray[np.int64]) -> Contacts:
        return Contacts(self.vectors[which], self.distances[which], self.translations[which], self.lengths[which])


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Which atoms are where and how close they usually come."""

    layout: Occupied
    crystal_system: str
    usual: Floats
    """(O, N) Å: the usual distance between an orbit's first atom and every atom."""
    _own: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", np.arange(len(self.layout.first)))

    @property
    def shifts(self) -> int:
        """How many images of an atom are looked at."""
        return len(_shifts(self.crystal_system))

    def contacts(self, candidates: Candidates) -> Contacts:
        """Nearest images and distances."""
        lattices, first = candidates.lattices, self.layout.first
        coordinates = place(self.layout, candidates.parameters)
        apart = coordinates[:, first, None, :] - coordinates[:, None, :, :]
        apart -= np.rint(apart)
        k, o, n, _ = apart.shape
        vectors = apart.reshape(k, o * n, 3) @ lattices
        shifts = _shifts(self.crystal_system)
        if len(shifts) > 1:
            moves = shifts @ lattices
            lengthened = 2 * (vectors @ moves.transpose(0, 2, 1)) + (moves * moves).sum(axis=-1)[:, None, :]
            vectors += np.take_along_axis(moves, lengthened.argmin(axis=-1)[:, :, None], axis=1)
        distances = np.sqrt((vectors * vectors).sum(axis=-1)).reshape(k, o, n)
        distances[:, self._own, first] = np.inf
        translations = _TRANSLATIONS @ lattices
        lengths = np.sqrt((translations * translations).sum(axis=-1))
        return Contacts(vectors.reshape(k, o, n, 3), distances, translations, lengths)

    def room(self, contacts: Contacts, usual: Floats | None = None) -> Floats:
        """(K,) the least distance over its usual value; an atom's to its own images is the shortest translation."""
        usual = self.usual if usual is None else usual
        own = usual[self._own, self.layout.first].max()
        least: Floats = np.minimum((contacts.distances / usual).min(axis=(1, 2)), contacts.lengths.min(axis=1) / own)
        return least

    def separate(
        self, candidates: Candidates, contacts: Contacts, room: Floats, *, enough: float, steps: int
    ) -> tuple[Candidates, Contacts]:
        """Move overlapping atoms apart, and let the cell's shape follow at constant volume.

        Until one candidate has `enough` room or no step helps, for so many steps at most; given their contacts and room
        (K,), returned is the one that had the most, as it was then (K = 1), with its contacts. Every move keeps the
        Wyckoff positions: the sum of the pushes on an atom has its site symmetry, so it lies in the position's own free
        directions.
        """
        first = np.array([room.argmax()])
        best, best_contacts = candidates[first], contacts[first]
        progress = [float(room.max())]
        for _ in range(steps):
            stalled = len(progress) > _PATIENCE and progress[-1] < _GAIN * progress[-_PATIENCE - 1]
            if progress[-1] >= enough or stalled:
                break
            candidates = self._pushed(candidates, contacts)
            contacts = self.contacts(candidates)
            room = self.room(contacts)
            if room.max() > progress[-1]:
                roomiest = np.array([room.argmax()])
                best, best_contacts = candidates[roomiest], contacts[roomiest]
            progress.append(max(float(room.max()), progress[-1]))
        return best, best_contacts

    def _pushed(self, candidates: Candidates, contacts: Contacts) -> Candidates:
        overlap = np.maximum(self.usual - contacts.distances, 0.0) / np.maximum(contacts.distances, 1e-3)
        pushes = (overlap[..., None, :] @ contacts.vectors)[..., 0, :]  # (K, O, 3)
        pushes /= np.maximum((overlap > 0).sum(axis=-1) / _SHARED, 1.0)[..., None]
        moves = (pushes @ np.linalg.inv(candidates.lattices))[..., None]
        parameters = candidates.parameters + _STEP * (self.layout.projections @ moves)[..., 0]
        if self.crystal_system == "cubic":
            return Candidates(candidates.lattices, parameters)
        return Candidates(self._strained(candidates.lattices, contacts, overlap), parameters)

    def _strained(self, lattices: Floats, contacts: Contacts, overlap: Floats) -> Floats:
        amounts = self.layout.amounts
        own = self.usual[self._own, self.layout.first]
        weighted = contacts.vectors * (overlap * amounts[:, None])[..., None]
        k = len(lattices)
        virial = weighted.reshape(k, -1, 3).transpose(0, 2, 1) @ contacts.vectors.reshape(k, -1, 3)
        pressed = np.maximum(own.max() - contacts.lengths, 0.0) / contacts.lengths * amounts.sum()
        virial += (contacts.translations * pressed[..., None]).transpose(0, 2, 1) @ contacts.translations
        strain = allowed_strain(self.crystal_system, virial) * (_CELL_STEP / (amounts * own**2).sum())
        largest = np.abs(strain).reshape(k, 9).max(axis=1)
        if largest.max() > _LARGEST_STRAIN:
            strain *= (_LARGEST_STRAIN / np.maximum(largest, _LARGEST_STRAIN))[:, None, None]
        # Traceless strains keep the volume to first order; the rest is scaled away. det(1 + e) without LU.
        e = strain + _UNITY
        grown = (
            e[:, 0, 0] * (e[:, 1, 1] * e[:, 2, 2] - e[:, 1, 2] * e[:, 2, 1])
            - e[:, 0, 1] * (e[:, 1, 0] * e[:, 2, 2] - e[:, 1, 2] * e[:, 2, 0])
            + e[:, 0, 2] * (e[:, 1, 0] * e[:, 2, 1] - e[:, 1, 1] * e[:, 2, 0])
        )
        strained: Floats = (lattices @ e) / np.cbrt(grown)[:, None, None]
        return strained
