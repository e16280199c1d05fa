"""The derived Wyckoff positions with the letters and first triplets of International Tables."""

from __future__ import annotations

from functools import cache

from flats import Stratum, strata
from settings import Group, flat_of, group, stored_triplets

LETTERS = "abcdefghijklmnopqrstuvwxyzA"


@cache
def positions(number: int) -> tuple[tuple[str, Stratum], ...]:
    """`(representative triplet, stratum)` in letter order; ValueError unless they match one to one."""
    g = group(number)
    derived = strata(g.primitive)
    matched = []
    for triplet in stored_triplets()[number - 1]:
        flat = flat_of(g, triplet)
        matched.append((triplet, next((s for s in derived if flat in s.flats), None)))
    if {id(s) for _, s in matched} != {id(s) for s in derived} or len(matched) != len(derived):
        raise ValueError(f"group {number}: the stored triplets are not one on each derived position")
    return tuple(matched)


def multiplicity(g: Group, stratum: Stratum) -> int:
    """Sites in the conventional cell: operations in the cell over the order of the stabiliser."""
    return len(g.operations) * len(g.centrings) // len(stratum.stabiliser)
