"""Protostructures in columns: the tensor form of many, without an object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import DatasetError, ProtostructureError
from ..protostructure import ORBITS, Orbit, Protostructure
from ..spacegroup import SpaceGroup
from .arrays import DEFAULT_N_ELEMENTS, ORBIT_ORDER, Bytes, rows_of_positions

# Materials that are made into objects at a time.
_BLOCK = 65_536
COLUMN_TYPES = {
    "space_group": np.uint8,
    "offset": np.int64,
    "position": np.uint8,
    "element": np.uint8,
    "count": np.uint8,
}
"""The columns of WyckoffColumns, in its order; files name them so."""
ALPHABETICAL = np.argsort(np.argsort(np.array(SYMBOLS)))
"""Places of the elements in alphabetical order of their symbols, by atomic number."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WyckoffColumns:
    """Many protostructures as columns: about 3 bytes an occupied slot and 9 a material.

    Material i owns the triples `offset[i]:offset[i + 1]`, sorted by (position, element).
    """

    space_group: Bytes
    """(N,) International Tables numbers."""
    offset: NDArray[np.int64]
    """(N + 1,) where each material's triples begin."""
    position: Bytes
    """(nnz,) index into `SpaceGroup.positions`."""
    element: Bytes
    """(nnz,) atomic number."""
    count: Bytes
    """(nnz,) orbits, 1 on constrained positions."""

    def __len__(self) -> int:
        return len(self.space_group)

    def __repr__(self) -> str:
        return f"<WyckoffColumns of {len(self):,} materials, {len(self.position):,} occupied slots>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WyckoffColumns):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # arrays can change

    def __iter__(self) -> Iterator[Protostructure]:
        for start in range(0, len(self), _BLOCK):
            yield from _protostructures(self.select(slice(start, start + _BLOCK)), start)

    def protostructure(self, i: int) -> Protostructure:
        """Material i."""
        number = int(self.space_group[i])
        span = slice(self.offset[i], self.offset[i + 1])
        orbits: list[Orbit] = []
        letters = SpaceGroup.from_number(number).letters
        for position, z, count in zip(
            self.position[span].tolist(), self.element[span].tolist(), self.count[span].tolist(), strict=True
        ):
            orbits += [ORBITS[SYMBOLS[z]][letters[position]]] * count
        if not orbits:
            raise ProtostructureError(f"material {i} is empty: it has no occupied position")
        return Protostructure.trusted(SpaceGroup.from_number(number), tuple(sorted(orbits, key=ORBIT_ORDER)))

    def select(self, indices: Any) -> WyckoffColumns:
        """The materials at these indices (or where a mask is true), in that order."""
        chosen = np.arange(len(self))[indices]
        lengths = np.diff(self.offset)[chosen]
        offset = np.concatenate([[0], np.cumsum(lengths)])
        triples = np.repeat(self.offset[chosen] - offset[:-1], lengths) + np.arange(offset[-1])
        return WyckoffColumns(
            self.space_group[chosen],
            offset,
            self.position[triples],
            self.element[triples],
            self.count[triples],
        )

    def check(self, source: str) -> None:
        """Raise DatasetError, naming `source` and the first wrong material, where the columns fit no group's tables."""
        n = len(self.space_group)
        nnz = len(self.position)
        if len(self.element) != nnz or len(self.count) != nnz or self.offset.shape != (n + 1,):
            raise DatasetError(f"{source}: columns of different lengths")
        if self.offset[0] != 0 or self.offset[-1] != nnz or np.any(np.diff(self.offset) < 0):
            raise DatasetError(f"{source}: offsets must rise from 0 to {nnz}, the number of occupied slots")
        material = np.repeat(np.arange(n), np.diff(self.offset))
        numbers = np.array([0, *(len(SpaceGroup.from_number(i).positions) for i in range(1, 231))])
        in_range = (self.space_group >= 1) & (self.space_group <= 230)
        if not in_range.all():
            at = int(np.argmin(in_range))
            raise DatasetError(f"{source}: material {at} has space group {self.space_group[at]}, not 1 to 230")
        fits = (self.position < numbers[self.space_group[material]]) & (self.count >= 1)
        fits &= (self.element >= 1) & (self.element < len(SYMBOLS))
        if not fits.all():
            at = int(np.argmin(fits))
            raise DatasetError(
                f"{source}: material {material[at]} in group {self.space_group[material[at]]} has position "
                f"{self.position[at]}, element {self.element[at]}, count {self.count[at]}"
            )

    def dense(self, number: int, *, n_elements: int = DEFAULT_N_ELEMENTS) -> tuple[NDArray[np.int64], Bytes, Bytes]:
        """All materials of one group: (their indices (n,), z0 (n, C), z∞ (n, U, E)).

        Raises ProtostructureError, naming the material, for an element beyond E.
        """
        group = SpaceGroup.from_number(number)
        rows = np.flatnonzero(self.space_group == number)
        here = self.select(rows)
        material = np.repeat(np.arange(len(rows)), np.diff(here.offset))
        if len(here.element) and int(here.element.max()) > n_elements:
            at = int(np.argmax(here.element > n_elements))
            raise ProtostructureError(
                f"material {rows[material[at]]} holds {SYMBOLS[here.element[at]]} ({here.element[at]}), "
                f"beyond the {n_elements} elements of this encoding"
            )
        row, is_constrained = rows_of_positions(number)
        constrained = np.zeros((len(rows), len(group.constrained)), np.uint8)
        unconstrained = np.zeros((len(rows), len(group.unconstrained), n_elements), np.uint8)
        on = is_constrained[here.position]
        constrained[material[on], row[here.position[on]]] = here.element[on]
        unconstrained[material[~on], row[here.position[~on]], here.element[~on] - 1] = here.count[~on]
        return rows, constrained, unconstrained


@cache
def _letter_codes() -> NDArray[np.int64]:
    """(231, 27) ASCII codes of each group's letters, 0 beyond the last."""
    codes = np.zeros((231, 27), np.int64)
    for number in range(1, 231):
        letters = SpaceGroup.from_number(number).letters.encode()
        codes[number, : len(letters)] = np.frombuffer(letters, np.uint8)
    return codes


def _protostructures(columns: WyckoffColumns, start: int) -> Iterator[Protostructure]:
    """Each material of some columns; they are numbered from `start` in messages."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    letter = _letter_codes()[columns.space_group[material], columns.position]
    order = np.argsort(material << 16 | ALPHABETICAL[columns.element] << 8 | letter)
    order = np.repeat(order, columns.count[order])
    ends = np.searchsorted(material[order], np.arange(len(columns) + 1)).tolist()
    by_element = [ORBITS[symbol] if z else {} for z, symbol in enumerate(SYMBOLS)]
    orbits = [
        by_element[z][chr(code)]
        for z, code in zip(columns.element[order].tolist(), letter[order].tolist(), strict=True)
    ]
    for i, number in enumerate(columns.space_group.tolist()):
        if ends[i] == ends[i + 1]:
            raise ProtostructureError(f"material {start + i} is empty: it has no occupied position")
        yield Protostructure.trusted(SpaceGroup.from_number(number), tuple(orbits[ends[i] : ends[i + 1]]))


@cache
def _index(number: int) -> dict[str, int]:
    return {letter: i for i, letter in enumerate(SpaceGroup.from_number(number).letters)}


def to_columns(protostructures: Iterable[Protostructure]) -> WyckoffColumns:
    """Columns of these materials, each in the setting it is in.

    Raises ProtostructureError, naming the material, for more than 255 orbits of one element on one position.
    """
    number: list[int] = []
    length: list[int] = []
    position: list[int] = []
    element: list[int] = []
    for p in protostructures:
        index = _index(p.space_group.number)
        number.append(p.space_group.number)
        length.append(len(p.orbits))
        position += [index[orbit.letter] for orbit in p.orbits]
        element += [ATOMIC_NUMBER[orbit.element] for orbit in p.orbits]
    material = np.repeat(np.arange(len(number), dtype=np.int64), length)
    # One key an orbit; equal keys are orbits of one element on one position.
    key = (material << 16) | (np.array(position, np.int64) << 8) | np.array(element, np.int64)
    slot, count = np.unique(key, return_counts=True)
    if len(count) and int(count.max()) > 255:
        at = int(np.argmax(count > 255))
        raise ProtostructureError(
            f"material {slot[at] >> 16} holds {count[at]} orbits of {SYMBOLS[slot[at] & 255]} on one position; "
            "the tensor form counts to 255"
        )
    offset = np.searchsorted(slot, np.arange(len(number) + 1, dtype=np.int64) << 16)
    return WyckoffColumns(
        np.array(number, np.uint8),
        offset.astype(np.int64),
        (slot >> 8).astype(np.uint8),
        slot.astype(np.uint8),
        count.astype(np.uint8),
    )


def concatenate(parts: Sequence[WyckoffColumns]) -> WyckoffColumns:
    """All materials of several columns, in order."""
    if not parts:
        return to_columns([])
    starts = np.cumsum([0, *(int(part.offset[-1]) for part in parts)])
    offset = [part.offset[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
    return WyckoffColumns(
        np.concatenate([part.space_group for part in parts]),
        np.concatenate([*offset, starts[-1:]]).astype(np.int64),
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.element for part in parts]),
        np.concatenate([part.count for part in parts]),
    )
