"""Moving atoms apart within their Wyckoff positions, in crystals of many protostructures at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..spacegroup import CRYSTAL_SYSTEMS
from .cells import allowed_strain
from .crowd import Contacts, Crowd, Flags, Floats, Start, contacts_of, gathered, least_ratio
from .packing import times

# Of its overlaps, how much an atom moves in one step, and how many of them count as one (it is pushed by all, so it
# would overshoot); and the largest strain of the cell in a step.
_STEP = 0.7
_SHARED = 2
_LARGEST_STRAIN = 0.1
# Moving atoms apart ends where this many steps did not gain this factor of room.
_PATIENCE = 4
_GAIN = 1.01
# Pairs of sites that are worked on at a time.
_MOST_PAIRS = 16_000


class Separated(NamedTuple):
    """The crystal that had the most room."""

    lattice: Floats
    """(3, 3)"""
    parameters: Floats
    """(O, 3)"""
    contact: float
    """The least distance over the sum of covalent radii."""


def separate(starts: Sequence[Start], *, enough: float, steps: int) -> list[Separated]:
    """Move overlapping atoms apart, and let the cells' shapes follow at constant volume.

    Until one crystal of a protostructure has `enough` room or no step helps it, for so many steps at most; returned is
    the one that had the most, as it was then. K is the same for all. Every move keeps the Wyckoff positions: the sum of
    the pushes on an atom has its site symmetry, so it lies in the position's own free directions.
    """
    order = sorted(range(len(starts)), key=lambda i: CRYSTAL_SYSTEMS.index(starts[i].packing.crystal_system))
    found: dict[int, Separated] = {}
    for some in _side_by_side(order, [len(start.packing.usual) for start in starts]):
        found |= zip(some, _separated([starts[i] for i in some], enough, steps), strict=True)
    return [found[i] for i in range(len(starts))]


def _side_by_side(order: Sequence[int], pairs: Sequence[int]) -> Iterator[list[int]]:
    """The order cut where many pairs (of each start) are together, so that memory does not grow with their number."""
    together, n = list[int](), 0
    for i in order:
        if together and n + pairs[i] > _MOST_PAIRS:
            yield together
            together, n = [], 0
        together.append(i)
        n += pairs[i]
    if together:
        yield together


def _separated(starts: Sequence[Start], enough: float, steps: int) -> Iterator[Separated]:
    """`separate` for protostructures in the order of their crystal systems."""
    crowd = gathered(starts)
    best = _Best(np.zeros((3, 3, len(starts))), np.zeros_like(crowd.parameters[:, 0]), np.zeros(len(starts)))
    room = np.zeros((steps + 1, len(starts)))
    for step in range(steps + 1):
        contacts = contacts_of(crowd)
        rooms = least_ratio(crowd, contacts, crowd.usual[0], crowd.own[0])
        room[step] = room[step - 1]
        room[step, crowd.owner] = np.maximum(rooms.max(axis=0), room[step, crowd.owner])
        best.improve(crowd, contacts, rooms, room[step] > room[step - 1] if step else room[step] >= 0)
        going = room[step] < enough
        if step >= _PATIENCE:
            going &= room[step] >= _GAIN * room[step - _PATIENCE]
        if step == steps or not going[crowd.owner].any():
            break
        if not going[crowd.owner].all():
            crowd, contacts = crowd.kept(going[crowd.owner]), contacts.kept(crowd, going[crowd.owner])
        _push(crowd, contacts)
    ends = np.cumsum([start.parameters.shape[1] for start in starts])[:-1]
    parameters = np.split(best.parameters.T, ends)
    return map(Separated, best.lattices.transpose(2, 0, 1), parameters, best.contact.tolist())


@dataclass(slots=True, eq=False)
class _Best:
    """Of every protostructure the crystal with the most room so far."""

    lattices: Floats
    """(3, 3, L)"""
    parameters: Floats
    """(3, G)"""
    contact: Floats
    """(L,) over the sum of radii."""

    def improve(self, crowd: Crowd, contacts: Contacts, rooms: Floats, better: Flags) -> None:
        """Take over the roomiest crystals where they are better (L of all protostructures); rooms (K, L)."""
        here = np.flatnonzero(better[crowd.owner])
        roomiest = rooms.argmax(axis=0)
        owners, which = crowd.owner[here], roomiest[here]
        self.lattices[:, :, owners] = crowd.lattices[:, :, which, here]
        self.contact[owners] = least_ratio(crowd, contacts, crowd.usual[1], crowd.own[1])[which, here]
        orbits = np.flatnonzero(better[crowd.owner][crowd.of_orbit])
        self.parameters[:, crowd.slot[orbits]] = crowd.parameters[:, roomiest[crowd.of_orbit[orbits]], orbits]


def _push(crowd: Crowd, contacts: Contacts) -> None:
    """One step: parameters and cells move."""
    usual, counts, amounts = crowd.usual[0], crowd.pairs[12], crowd.orbits[18]
    overlap = np.maximum(usual - contacts.distances, 0.0)
    weights = overlap / np.maximum(contacts.distances, 1e-3) * counts
    weighted = weights * contacts.vectors
    touching = np.add.reduceat((overlap > 0) * counts, crowd.orbit_starts, axis=1)
    pushes = np.add.reduceat(weighted, crowd.orbit_starts, axis=2) / np.maximum(touching / _SHARED, 1.0)
    moves = times(_inverse(crowd.lattices).swapaxes(0, 1)[..., crowd.of_orbit], pushes)
    crowd.parameters = crowd.parameters + _STEP * times(crowd.orbits[9:18].reshape(3, 3, 1, -1), moves)
    weighted *= amounts[crowd.orbit]
    virial = np.add.reduceat(weighted[:, None] * contacts.vectors, crowd.starts, axis=3)
    pressed = np.maximum(crowd.own[0] - contacts.lengths, 0.0) / contacts.lengths * crowd.scale[0]
    virial += ((contacts.translations * pressed[:, None])[:, :, None] * contacts.translations[:, None]).sum(axis=0)
    crowd.lattices = _strained(crowd.lattices, allowed_strain(crowd.system, virial) * crowd.scale[1])


def _cross(a: Floats, b: Floats) -> Floats:
    """Of vectors (3, ...)."""
    product: Floats = a[[1, 2, 0]] * b[[2, 0, 1]] - a[[2, 0, 1]] * b[[1, 2, 0]]
    return product


def _inverse(matrices: Floats) -> Floats:
    """Of matrices (3, 3, ...)."""
    a, b, c = matrices
    columns = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
    volume = a[0] * columns[0, 0] + a[1] * columns[1, 0] + a[2] * columns[2, 0]
    inverse: Floats = columns / volume
    return inverse


def _strained(lattices: Floats, strains: Floats) -> Floats:
    """Lattices (3, 3, ...) after strains (3, 3, ...), which are limited; of the same volume."""
    largest = np.abs(strains).reshape(9, *strains.shape[2:]).max(axis=0)
    e = strains * (_LARGEST_STRAIN / np.maximum(largest, _LARGEST_STRAIN))
    e[np.arange(3), np.arange(3)] += 1.0
    # Traceless strains keep the volume to first order; the rest is scaled away.
    minors = _cross(e[1], e[2])
    grown = e[0, 0] * minors[0] + e[0, 1] * minors[1] + e[0, 2] * minors[2]
    strained: Floats = np.stack([times(e.swapaxes(0, 1), row) for row in lattices]) / np.cbrt(grown)
    return strained
