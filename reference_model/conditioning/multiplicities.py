"""Which numbers of atoms the free positions of a group can still hold: a dynamic programme over multiplicities.

A constrained position holds one orbit of one element, an unconstrained one any number of any elements. What can still
be reached depends on few numbers (atoms each element lacks, free positions of each multiplicity, tokens left), so each
such state is solved once and remembered.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import product

from wyckoffkit.spacegroup import SpaceGroup

Used = tuple[int, ...]
"""Positions of each unconstrained class that an element occupies."""
Element = tuple[int, Used]
"""Atoms an element has or lacks, and where it is already."""


@cache
def classes(number: int) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """(multiplicity, positions) of a group's constrained and unconstrained positions."""
    group = SpaceGroup.from_number(number)
    out = []
    for positions in (group.constrained, group.unconstrained):
        found = [p.multiplicity for p in positions]
        out.append(tuple((m, found.count(m)) for m in sorted(set(found))))
    return out[0], out[1]


@cache
def n_classes() -> int:
    """The most distinct multiplicities that a group has among positions of one kind."""
    return max(len(kind) for number in range(1, 231) for kind in classes(number))


@lru_cache(maxsize=100_000)
def _from_unconstrained(number: int, used: Used, limit: int, n_tokens: int, max_count: int) -> tuple[int, ...]:
    """[j] a set of numbers of atoms, as bits, that exactly j positions not used yet can hold of one element."""
    can = [1] + [0] * n_tokens
    whole = (1 << limit + 1) - 1
    for (multiplicity, n), taken in zip(classes(number)[1], used, strict=True):
        steps = sum(1 << count * multiplicity for count in range(1, min(max_count, limit // multiplicity) + 1))
        for _ in range(n - taken):
            for j in range(n_tokens, 0, -1):
                can[j] |= _sums(can[j - 1], steps) & whole
    return tuple(can)


def _sums(a: int, b: int) -> int:
    """The set of all sums of an element of a and one of b."""
    out = 0
    while a:
        low = a & -a
        out |= b << low.bit_length() - 1
        a ^= low
    return out


@lru_cache(maxsize=200_000)
def _takings(number: int, free: Used) -> tuple[tuple[int, int, Used], ...]:
    """(atoms, tokens, what is left) of every way to take constrained positions."""
    constrained = classes(number)[0]
    return tuple(
        (
            sum(n * m for n, (m, _) in zip(taken, constrained, strict=True)),
            sum(taken),
            tuple(n - t for n, t in zip(free, taken, strict=True)),
        )
        for taken in product(*(range(n + 1) for n in free))
    )


@lru_cache(maxsize=1_000_000)
def reachable(
    number: int, free: Used, lacking: tuple[Element, ...], n_left: int, max_count: int, limit: int = 1000
) -> bool:
    """Can exactly n_left tokens give each element the atoms it lacks, with so many free constrained positions?

    No element lacks more atoms than the limit.
    """
    if not lacking:
        return n_left == 0
    if n_left < len(lacking) - [lack for lack, _ in lacking].count(0):
        return False
    (lack, used), others = lacking[0], lacking[1:]
    if lack == 0:
        return reachable(number, free, others, n_left, max_count, limit)
    can = _from_unconstrained(number, used, limit, n_left, max_count)
    for atoms_taken, tokens, left in _takings(number, free):
        rest = lack - atoms_taken
        if rest < 0 or tokens > n_left:
            continue
        for j in range(n_left - tokens + 1):
            if can[j] >> rest & 1 and reachable(number, left, others, n_left - tokens - j, max_count, limit):
                return True
    return False
