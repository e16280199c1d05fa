"""The protostructures of a composition, enumerated and counted.

Raw counts settings, canonical ones classes of equivalent settings under a profile. Both are counted without being
made: a count of classes is the mean, over relabelings, of the settings that a relabeling leaves as they are (Burnside).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import comb, prod
from operator import mul, sub

from .canonical import is_canonical, relabelings
from .elements import ATOMIC_NUMBER
from .errors import ProtostructureError
from .protostructure import ORBITS, Protostructure
from .spacegroup import SpaceGroup, WyckoffPosition

# How often each (is constrained, atoms in the cell) occurs among the positions or, under a relabeling, their cycles.
Places = tuple[tuple[tuple[bool, int], int], ...]


def _checked(composition: Mapping[str, int]) -> dict[str, int]:
    checked: dict[str, int] = {}
    for element, atoms in composition.items():
        if element not in ATOMIC_NUMBER:
            raise ProtostructureError(f"{element!r} is not the symbol of an element")
        if not hasattr(atoms, "__index__") or atoms < 1:  # numpy's whole numbers have it too
            raise ProtostructureError(
                f"a composition has a whole number of atoms, at least 1, got {atoms!r} of {element}"
            )
        checked[element] = int(atoms)
    if not checked:
        raise ProtostructureError("an empty composition: no element")
    return dict(sorted(checked.items()))


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


@lru_cache(maxsize=1 << 14)
def _count(places: Places, amounts: tuple[int, ...]) -> int:
    free = _ways_unconstrained(places, max(amounts))
    sizes = [size for (constrained, size), _ in places if constrained]
    # Ways to have placed the elements so far, by how many places of each size are left: few, however many elements.
    found = {tuple(n for (constrained, _), n in places if constrained): 1}
    for atoms in amounts:
        ways: Counter[tuple[int, ...]] = Counter()
        for left, so_far in found.items():
            for taken in product(*(range(min(n, atoms // size) + 1) for n, size in zip(left, sizes, strict=True))):
                rest = atoms - sum(map(mul, taken, sizes))
                if rest >= 0 and free[rest]:
                    ways[tuple(map(sub, left, taken))] += so_far * free[rest] * prod(map(comb, left, taken))
        found = dict(ways)
    return sum(found.values())


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
    amounts = tuple(sorted(_checked(composition).values()))
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
