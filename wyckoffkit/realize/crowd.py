"""Crystals of many protostructures side by side, and how near their atoms come to each other.

The pairs of sites of all protostructures lie in one row of an array, and every sum over a crystal's pairs runs in the
order of its own: a crystal does not depend, to the last bit, on which others are worked on beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..spacegroup import CRYSTAL_SYSTEMS
from .packing import TRANSLATIONS, Packing, combined, nearby_cells, square, times

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

CELL_STEP = 0.6
"""How strongly a cell follows the atoms that are pushed apart in one step."""


class Start(NamedTuple):
    """K crystals of one protostructure."""

    packing: Packing
    lattices: Floats
    """(K, 3, 3) rows are the cell vectors, Å."""
    parameters: Floats
    """(K, O, 3) those of each orbit; the ones that are not free are without effect."""


@dataclass(slots=True, eq=False)
class Crowd:
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

    def kept(self, some: Flags) -> Crowd:
        """Only some protostructures (L,)."""
        orbits, pairs = some[self.of_orbit], some[self.owner_of_pair]
        places, numbers = np.cumsum(some) - 1, np.cumsum(orbits) - 1
        return Crowd(
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


class Contacts(NamedTuple):
    """How near the atoms of a crowd come to each other."""

    vectors: Floats
    """(3, K, R) Å, from the nearest image of the second site to the first."""
    distances: Floats
    """(K, R) Å, infinite for a site and itself."""
    translations: Floats
    """(13, 3, K, L) Å"""
    lengths: Floats
    """(13, K, L) Å"""

    def kept(self, crowd: Crowd, some: Flags) -> Contacts:
        """Only some protostructures (L,) of the crowd."""
        pairs = some[crowd.owner_of_pair]
        return Contacts(
            self.vectors[..., pairs], self.distances[:, pairs], self.translations[..., some], self.lengths[..., some]
        )


def gathered(starts: Sequence[Start]) -> Crowd:
    layouts = [start.packing.layout for start in starts]
    sizes = np.array([len(layout.first) for layout in layouts])
    pairs = [layout.pairs for layout in layouts]
    before = np.repeat(np.cumsum(sizes) - sizes, [len(p.orbit) for p in pairs])
    usual = np.concatenate([[start.packing.usual, start.packing.radii] for start in starts], axis=1)
    itself = np.concatenate([p.itself for p in pairs])
    orbits = np.concatenate([layout.block for layout in layouts], axis=1)
    first = np.cumsum(sizes) - sizes
    own, amounts = usual[:, itself], orbits[18]
    return Crowd(
        owner=np.arange(len(starts)),
        system=np.array([CRYSTAL_SYSTEMS.index(start.packing.crystal_system) for start in starts]),
        own=np.maximum.reduceat(own, first, axis=1),
        scale=np.stack([np.add.reduceat(amounts, first), CELL_STEP / np.add.reduceat(amounts * own[0] ** 2, first)]),
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


def contacts_of(crowd: Crowd) -> Contacts:
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
    return Contacts(vectors, distances, translations, np.sqrt(square(translations.swapaxes(0, 1))))


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


def least_ratio(crowd: Crowd, contacts: Contacts, of: Floats, own: Floats) -> Floats:
    """(K, L) the least distance over what it is measured by: that of pairs (R,), and of an atom to its images (L,)."""
    least: Floats = np.minimum(
        np.minimum.reduceat(contacts.distances / of, crowd.starts, axis=1), contacts.lengths.min(axis=0) / own
    )
    return least
