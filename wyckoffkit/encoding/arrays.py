"""The tensor form (s, z0, z∞) of a protostructure.

z0 holds an atomic number (0: empty) for each constrained position, z∞ the number of orbits of element 1 … E on each
unconstrained one (Ekström Kelvinius et al. 2025, section 3). Rows are the group's constrained (unconstrained)
positions in International Tables order, `A` after `z`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..errors import ProtostructureError
from ..protostructure import ORBITS, Protostructure
from ..spacegroup import SpaceGroup

DEFAULT_N_ELEMENTS = 100

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class WyckoffArrays:
    """One protostructure as (s, z0, z∞)."""

    space_group: SpaceGroup
    constrained: Bytes
    """z0 (C,): atomic number on each constrained position, 0 where empty."""
    unconstrained: Bytes
    """z∞ (U, E): orbits of element e on each unconstrained position in column e - 1."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WyckoffArrays):
            return NotImplemented
        return (
            self.space_group == other.space_group
            and np.array_equal(self.constrained, other.constrained)
            and np.array_equal(self.unconstrained, other.unconstrained)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays can change


def encode(protostructure: Protostructure, *, n_elements: int = DEFAULT_N_ELEMENTS) -> WyckoffArrays:
    """(s, z0, z∞) with E = `n_elements`, in the setting the protostructure is in.

    Raises ProtostructureError for an element beyond E, or more than 255 orbits of one element on one position.

    >>> from wyckoffkit import parse_label
    >>> arrays = encode(parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn"))
    >>> arrays.constrained.tolist(), arrays.unconstrained.shape  # positions a, b, d, e hold Cs, Sn, nothing, nothing
    ([55, 50, 0, 0], (5, 100))
    """
    if not isinstance(protostructure, Protostructure):
        raise ProtostructureError(
            f"a Protostructure is encoded, got {type(protostructure).__name__}; parse_label reads the label of one"
        )
    group = protostructure.space_group
    check_encodable(protostructure, n_elements)
    places = _places(group.number)
    constrained = np.zeros(len(group.constrained), np.uint8)
    unconstrained = np.zeros((len(group.unconstrained), n_elements), np.uint8)
    for orbit in protostructure.orbits:
        row, is_constrained = places[orbit.letter]
        z = ATOMIC_NUMBER[orbit.element]
        if is_constrained:
            constrained[row] = z
        else:
            unconstrained[row, z - 1] += 1
    return WyckoffArrays(group, constrained, unconstrained)


def decode(arrays: WyckoffArrays) -> Protostructure:
    """The protostructure of (s, z0, z∞).

    Raises ProtostructureError where all is empty or the arrays do not fit the group.

    >>> from wyckoffkit import parse_label
    >>> str(decode(encode(parse_label("AB_cF8_225_a_b:Ca-O"))))
    'AB_cF8_225_a_b:Ca-O'
    """
    group = arrays.space_group
    constrained = _checked(arrays.constrained, "constrained", (len(group.constrained),), len(SYMBOLS) - 1)
    unconstrained = _checked(arrays.unconstrained, "unconstrained", (len(group.unconstrained), None), None)
    orbits = [
        ORBITS[SYMBOLS[z]][position.letter]
        for position, z in zip(group.constrained, constrained.tolist(), strict=True)
        if z
    ]
    flat = unconstrained.ravel()
    cells = flat.nonzero()[0].tolist()
    for cell in cells:
        u, e = divmod(cell, unconstrained.shape[1])
        orbits += [ORBITS[SYMBOLS[e + 1]][group.unconstrained[u].letter]] * int(flat[cell])
    if not orbits:
        raise ProtostructureError(f"an empty material: no orbit on any position of {group.symbol} ({group.number})")
    return Protostructure.trusted(group, tuple(sorted(orbits, key=ORBIT_ORDER)))


# Orbits compare so themselves, ten times as slowly.
ORBIT_ORDER = attrgetter("element", "letter")


def _checked(array: Any, name: str, shape: tuple[int | None, ...], largest: int | None) -> NDArray[np.integer[Any]]:
    """The array, if it holds whole numbers from 0 to `largest` (vectors only) in this shape (None: any)."""
    found = np.asarray(array)
    fits = found.ndim == len(shape) and found.shape[0] == shape[0]
    if not fits or found.dtype.kind not in "iu":
        want = ", ".join("E" if n is None else str(n) for n in shape)
        raise ProtostructureError(
            f"{name} must be whole numbers in the shape ({want}), got {found.dtype} in {found.shape}"
        )
    if len(shape) == 2 and found.shape[1] >= len(SYMBOLS):
        raise ProtostructureError(f"{name} has {found.shape[1]} elements, there are {len(SYMBOLS) - 1}")
    signed, bounded = found.dtype.kind == "i", largest is not None
    if found.size and ((signed and found.min() < 0) or (bounded and max(found.tolist()) > largest)):
        raise ProtostructureError(
            f"{name} must hold values from 0 to {largest or 255}, got {found.min()}…{found.max()}"
        )
    return found


def check_encodable(protostructure: Protostructure, n_elements: int) -> None:
    """Raise ProtostructureError where `encode` with this E would."""
    for orbit in protostructure.orbits:
        if ATOMIC_NUMBER[orbit.element] > n_elements:
            raise ProtostructureError(
                f"{orbit.element} is element {ATOMIC_NUMBER[orbit.element]}, beyond the {n_elements} of this encoding"
            )
    if len(protostructure.orbits) <= 255:
        return
    for orbit, count in Counter(protostructure.orbits).items():
        if count > 255:
            raise ProtostructureError(
                f"{count} orbits of {orbit.element} on position {orbit.letter}; the tensor form counts to 255"
            )


@cache
def rows_of_positions(number: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each position of a group: its row in z0 or z∞, and which of the two (True: z0)."""
    is_constrained = np.array([p.is_constrained for p in SpaceGroup.from_number(number).positions])
    row = np.where(is_constrained, np.cumsum(is_constrained), np.cumsum(~is_constrained)) - 1
    return row, is_constrained


@cache
def _places(number: int) -> dict[str, tuple[int, bool]]:
    """For each letter of a group: its row in z0 or z∞, and which of the two (True: z0)."""
    row, is_constrained = rows_of_positions(number)
    letters = SpaceGroup.from_number(number).letters
    return dict(zip(letters, zip(row.tolist(), is_constrained.tolist(), strict=True), strict=True))
