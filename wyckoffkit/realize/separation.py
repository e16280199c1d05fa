"""Moving atoms apart within their Wyckoff positions, in crystals of many protostructures at once.

The pairs of sites of all protostructures lie side by side in one row of an array, and every sum over a crystal's pairs
runs in the order of its own: a crystal does not depend, to the last bit, on which others are worked on beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..spacegroup import CRYSTAL_SYSTEMS
from .cells import allowed_strain
from .packing import TRANSLATIONS, Packing, combined, nearby_cells, square, times

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Of its overlaps, how much an atom moves in one step, and how many of them count as one (it is pushed by all, so it
# would overshoot); how strongly the cell follows, and its largest strain in a step.
_STEP = 0.7
_SHARED = 2
_CELL_STEP = 0.6
_LARGEST_STRAIN = 0.1
# Moving atoms apart ends where this many steps did not gain this factor of room.
_PATIENCE = 4
_GAIN = 1.01
# Pairs of sites that are worked on at a time.
_MOST_PAIRS = 16_000


class Start(NamedTuple):
    """K crystals of one protostructure."""

    packing: Packing
    lattices: Floats
    """(K, 3, 3) rows are the cell vectors, Å."""
    parameters: Floats
    """(K, O, 3) those of each orbit; the ones that are not free are without effect."""


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
    crowd = _gathered(starts)
    best = _Best(np.zeros((3, 3, len(starts))), np.zeros_like(crowd.parameters[:, 0]), np.zeros(len(starts)))
    room = np.zeros((steps + 1, len(starts)))
    for step in range(steps + 1):
        contacts = _contacts(crowd)
        rooms = _least(crowd, contacts, crowd.usual[0], crowd.own[0])
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
class _Crowd:
    """K crystals of each of L protostructures, which together have G orbits and R pairs of sites.

    What belongs to a protostructure, an orbit or a pair runs fastest.
    """

    owner: Integers
    """(L,) which protostructure of all."""
    system: Integers
    """(L,) its crystal system, ascending."""
    own: Floats
    """(2, L) Å: the usual distance of an atom to its own images, and the sum of radii; of the largest atom."""
    scale: Floats
    """(2, L) how many sites, and the factor from the virial to the strain."""
    lattices: Floats
    """(3, 3, K, L)"""
    of_orbit: Integers
    """(G,) the protostructure's place among the L."""
    slot: Integers
    """(G,) the orbit's place among those of all protostructures."""
    orbits: Floats
    """(19, G) representative (3, 3), projection (3, 3), and how many sites."""
    parameters: Floats
    """(3, K, G)"""
    orbit: Integers
    """(R,) of the first site, ascending."""
    other: Integers
    """(R,) of the second site."""
    pairs: Floats
    """(13, R) matrix of the second site (3, 3), offset (3), and how many second sites."""
    usual: Floats
    """(2, R) Å: the usual distance, and the sum of radii."""
    itself: Flags
    """(R,) the second site is the first."""
    owner_of_pair: Integers = field(init=False)
    """(R,) the protostructure's place among the L."""
    orbit_starts: Integers = field(init=False)
    """(G,) the first pair of each orbit."""
    starts: Integers = field(init=False)
    """(L,) the first pair of each protostructure."""

    def __post_init__(self) -> None:
        self.owner_of_pair = self.of_orbit[self.orbit]
        self.orbit_starts = np.searchsorted(self.orbit, np.arange(len(self.of_orbit)))
        self.starts = np.searchsorted(self.owner_of_pair, np.arange(len(self.owner)))

    def kept(self, some: Flags) -> _Crowd:
        """Only some protostructures (L,)."""
        orbits, pairs = some[self.of_orbit], some[self.owner_of_pair]
        places, numbers = np.cumsum(some) - 1, np.cumsum(orbits) - 1
        return _Crowd(
            owner=self.owner[some],
            system=self.system[some],
            own=self.own[:, some],
            scale=self.scale[:, some],
            lattices=self.lattices[..., some],
            of_orbit=places[self.of_orbit[orbits]],
            slot=self.slot[orbits],
            orbits=self.orbits[:, orbits],
            parameters=self.parameters[..., orbits],
            orbit=numbers[self.orbit[pairs]],
            other=numbers[self.other[pairs]],
            pairs=self.pairs[:, pairs],
            usual=self.usual[:, pairs],
            itself=self.itself[pairs],
        )

    def systems(self) -> Iterator[tuple[str, slice, slice]]:
        """Each crystal system with the protostructures and the pairs that belong to it."""
        n = 0
        bounds = [*self.starts.tolist(), len(self.orbit)]
        for system, group in groupby(self.system.tolist()):
            m = n + len(list(group))
            yield CRYSTAL_SYSTEMS[system], slice(n, m), slice(bounds[n], bounds[m])
            n = m


class _Contacts(NamedTuple):
    """How near the atoms of a crowd come to each other."""

    vectors: Floats
    """(3, K, R) Å, from the nearest image of the second site to the first."""
    distances: Floats
    """(K, R) Å, infinite for a site and itself."""
    translations: Floats
    """(13, 3, K, L) Å"""
    lengths: Floats
    """(13, K, L) Å"""

    def kept(self, crowd: _Crowd, some: Flags) -> _Contacts:
        """Only some protostructures (L,) of the crowd."""
        pairs = some[crowd.owner_of_pair]
        return _Contacts(
            self.vectors[..., pairs], self.distances[:, pairs], self.translations[..., some], self.lengths[..., some]
        )


@dataclass(slots=True, eq=False)
class _Best:
    """Of every protostructure the crystal with the most room so far."""

    lattices: Floats
    """(3, 3, L)"""
    parameters: Floats
    """(3, G)"""
    contact: Floats
    """(L,) over the sum of radii."""

    def improve(self, crowd: _Crowd, contacts: _Contacts, rooms: Floats, better: Flags) -> None:
        """Take over the roomiest crystals where they are better (L of all protostructures); rooms (K, L)."""
        here = np.flatnonzero(better[crowd.owner])
        roomiest = rooms.argmax(axis=0)
        owners, which = crowd.owner[here], roomiest[here]
        self.lattices[:, :, owners] = crowd.lattices[:, :, which, here]
        self.contact[owners] = _least(crowd, contacts, crowd.usual[1], crowd.own[1])[which, here]
        orbits = np.flatnonzero(better[crowd.owner][crowd.of_orbit])
        self.parameters[:, crowd.slot[orbits]] = crowd.parameters[:, roomiest[crowd.of_orbit[orbits]], orbits]


def _gathered(starts: Sequence[Start]) -> _Crowd:
    layouts = [start.packing.layout for start in starts]
    sizes = np.array([len(layout.first) for layout in layouts])
    pairs = [layout.pairs for layout in layouts]
    before = np.repeat(np.cumsum(sizes) - sizes, [len(p.orbit) for p in pairs])
    usual = np.concatenate([[start.packing.usual, start.packing.radii] for start in starts], axis=1)
    itself = np.concatenate([p.itself for p in pairs])
    orbits = np.concatenate([layout.block for layout in layouts], axis=1)
    first = np.cumsum(sizes) - sizes
    own, amounts = usual[:, itself], orbits[18]
    return _Crowd(
        owner=np.arange(len(starts)),
        system=np.array([CRYSTAL_SYSTEMS.index(start.packing.crystal_system) for start in starts]),
        own=np.maximum.reduceat(own, first, axis=1),
        scale=np.stack([np.add.reduceat(amounts, first), _CELL_STEP / np.add.reduceat(amounts * own[0] ** 2, first)]),
        lattices=np.ascontiguousarray(np.stack([start.lattices for start in starts]).transpose(2, 3, 1, 0)),
        of_orbit=np.repeat(np.arange(len(starts)), sizes),
        slot=np.arange(sizes.sum()),
        orbits=orbits,
        parameters=np.ascontiguousarray(
            np.concatenate([start.parameters for start in starts], axis=1).transpose(2, 0, 1)
        ),
        orbit=np.concatenate([p.orbit for p in pairs]) + before,
        other=np.concatenate([p.other for p in pairs]) + before,
        pairs=np.concatenate([p.block for p in pairs], axis=1),
        usual=usual,
        itself=itself,
    )


def _contacts(crowd: _Crowd) -> _Contacts:
    """Nearest images and distances."""
    shape = (3, 3, 1, -1)
    first = times(crowd.orbits[:9].reshape(shape), crowd.parameters)
    second = times(crowd.pairs[:9].reshape(shape), crowd.parameters[:, :, crowd.other])
    apart = first[:, :, crowd.orbit]
    apart -= second
    apart += crowd.pairs[9:12, None]
    apart -= np.rint(apart)
    lattices = crowd.lattices[..., crowd.owner_of_pair]
    vectors = times(lattices.swapaxes(0, 1), apart)
    for system, owners, rows in crowd.systems():
        cells = nearby_cells(system)
        if len(cells):
            lengths = square(combined(cells, crowd.lattices[..., owners]).swapaxes(0, 1))
            lengths = lengths[..., crowd.owner_of_pair[rows] - owners.start]
            vectors[..., rows] += _nearer(cells, lengths, lattices[..., rows], vectors[..., rows])
    distances = np.sqrt(square(vectors))
    distances[:, crowd.itself] = np.inf
    translations = combined(TRANSLATIONS, crowd.lattices)
    return _Contacts(vectors, distances, translations, np.sqrt(square(translations.swapaxes(0, 1))))


def _nearer(cells: Floats, lengths: Floats, lattices: Floats, vectors: Floats) -> Floats:
    """What is to be added to vectors (3, K, R) to come to the nearest image.

    Of the neighbouring cells (H, 3), whose squared lengths are (H, K, R), and their opposites; lattices (3, 3, K, R).
    """
    along = combined(cells, times(lattices, vectors))
    lengthened = lengths - 2 * np.abs(along)
    which = lengthened.argmin(axis=0)
    k, r = np.ogrid[: which.shape[0], : which.shape[1]]
    signs = np.where(lengthened[which, k, r] < 0, -np.sign(along[which, k, r]), 0.0)
    return times(lattices.swapaxes(0, 1), signs * cells.T[:, which])


def _least(crowd: _Crowd, contacts: _Contacts, of: Floats, own: Floats) -> Floats:
    """(K, L) the least distance over what it is measured by: that of pairs (R,), and of an atom to its images (L,)."""
    least: Floats = np.minimum(
        np.minimum.reduceat(contacts.distances / of, crowd.starts, axis=1), contacts.lengths.min(axis=0) / own
    )
    return least


def _push(crowd: _Crowd, contacts: _Contacts) -> None:
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
