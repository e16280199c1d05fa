"""The protostructures of a composition, enumerated and counted.

Raw counts settings, canonical ones classes of equivalent settings under a profile. Both are counted without being
made: a count of classes is the mean, over relabelings, of the settings that a relabeling leaves as they are (Burnside).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb, prod

from .canonical import is_canonical, relabelings
from .elements import ATOMIC_NUMBER
from .errors import ProtostructureError
from .protostructure import ORBITS, Protostructure
from .spacegroup import SpaceGroup, WyckoffPosition

# How often each (is constrained, atoms in the cell) occurs among the positions or, under a relabeling, their cycles.
Places = tuple[tuple[tuple[bool, int], int], ...]


def _checked(composition: Mapping[str, int]) -> dict[str, int]:
    for element, atoms in composition.items():
        if element not in ATOMIC_NUMBER:
            raise ProtostructureError(f"{element!r} is not the symbol of an element")
        if not isinstance(atoms, int) or atoms < 1:
            raise ProtostructureError(
                f"a composition has a whole number of atoms, at least 1, got {atoms!r} of {element}"
            )
    if not composition:
        raise ProtostructureError("an empty composition: no element")
    return dict(sorted(composition.items()))


@lru_cache(maxsize=1 << 10)
def _cycle_types(number: int, profile: str | None) -> tuple[tuple[Places, int], ...]:
    """The places that are filled alike under each relabeling, and how many relabelings have these."""
    group = SpaceGroup.from_number(number)
    types: Counter[Places] = Counter()
    for image in (group.letters,) if profile is None else relabelings(number, profile):
        becomes = dict(zip(group.letters, image, strict=True))
        places: Counter[tuple[bool, int]] = Counter()
        left = set(group.letters)
        while left:
            start = letter = min(left)
            length = 0
            while length == 0 or letter != start:
                left.discard(letter)
                letter, length = becomes[letter], length + 1
            position = group.position(start)
            places[position.is_constrained, length * position.multiplicity] += 1
        types[tuple(sorted(places.items()))] += 1
    return tuple(types.items())


def _ways_unconstrained(places: Places, atoms: int) -> list[int]:
    """Ways to make 0, 1 … `atoms` atoms of one element out of any numbers of orbits."""
    ways = [1] + [0] * atoms
    for (constrained, size), n in places:
        for _ in range(0 if constrained else n):
            for total in range(size, atoms + 1):
                ways[total] += ways[total - size]
    return ways


def _ways_constrained(places: Places, amounts: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    """Ways to put elements on places that hold one orbit, by the atoms of each element that are placed."""
    found = {(0,) * len(amounts): 1}
    for (constrained, size), n in places:
        if not constrained:
            continue
        # Of n equal places, k go to each element in turn.
        spread = {((0,) * len(amounts), n): 1}
        for e in range(len(amounts)):
            spread = {
                ((*taken[:e], k * size, *taken[e + 1 :]), left - k): ways * comb(left, k)
                for (taken, left), ways in spread.items()
                for k in range(min(left, amounts[e] // size) + 1)
            }
        merged: Counter[tuple[int, ...]] = Counter()
        for placed, a in found.items():
            for (more, _), b in spread.items():
                total = tuple(x + y for x, y in zip(placed, more, strict=True))
                if all(t <= amount for t, amount in zip(total, amounts, strict=True)):
                    merged[total] += a * b
        found = dict(merged)
    return found


@lru_cache(maxsize=1 << 14)
def _count(places: Places, amounts: tuple[int, ...]) -> int:
    free = [_ways_unconstrained(places, amount) for amount in amounts]
    return sum(
        ways * prod(of[amount - n] for of, amount, n in zip(free, amounts, placed, strict=True))
        for placed, ways in _ways_constrained(places, amounts).items()
    )


def count_protostructures(
    composition: Mapping[str, int], number: int | None = None, *, profile: str | None = None
) -> int:
    """How many protostructures have these atoms in the conventional cell, in one group or in all.

    Without a profile every setting counts; with one, equivalent settings count once.

    >>> count_protostructures({"Ti": 2, "O": 4}, 2, profile="pymatgen")
    155
    >>> count_protostructures({"Ti": 2, "O": 4}, 2, profile="affine")
    9
    """
    amounts = tuple(_checked(composition).values())
    total = Fraction(0)
    for n in range(1, 231) if number is None else (number,):
        types = _cycle_types(n, profile)
        fixed = sum(times * _count(places, amounts) for places, times in types)
        total += Fraction(fixed, sum(times for _, times in types))
    return int(total)


def enumerate_protostructures(
    composition: Mapping[str, int], number: int, *, profile: str | None = None
) -> Iterator[Protostructure]:
    """Each protostructure with these atoms in the conventional cell of the group, once.

    Without a profile every setting, with one the canonical ones. Those that a crystal can have are those that do not
    collapse: `(p for p in enumerate_protostructures(...) if not collapses(p))`.
    """
    group = SpaceGroup.from_number(number)
    elements = list(_checked(composition).items())
    # Large positions first: they leave the fewest ways to go wrong.
    order = sorted(group.positions, key=lambda p: -p.multiplicity)

    def occupy(e: int, taken: frozenset[str], placed: tuple[tuple[str, str], ...]) -> Iterator[Protostructure]:
        if e == len(elements):
            orbits = sorted(ORBITS[element][letter] for element, letter in placed)
            p = Protostructure.trusted(group, tuple(orbits))
            if profile is None or is_canonical(p, profile):
                yield p
            return
        element, atoms = elements[e]
        free = tuple(p for p in order if p.letter not in taken)
        for letters in _fillings(free, atoms):
            constrained = {letter for letter in letters if group.position(letter).is_constrained}
            yield from occupy(e + 1, taken | constrained, (*placed, *((element, letter) for letter in letters)))

    return occupy(0, frozenset(), ())


@lru_cache(maxsize=1 << 12)
def _fillings(positions: tuple[WyckoffPosition, ...], atoms: int) -> tuple[tuple[str, ...], ...]:
    """All ways to make this many atoms of one element out of orbits on the positions."""
    if not positions:
        return () if atoms else ((),)
    first, rest = positions[0], positions[1:]
    most = atoms // first.multiplicity
    return tuple(
        (first.letter,) * n + others
        for n in range(min(most, 1) + 1 if first.is_constrained else most + 1)
        for others in _fillings(rest, atoms - n * first.multiplicity)
    )
