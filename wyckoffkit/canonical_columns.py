"""Canonical settings of many protostructures at once, without an object for any of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .canonical import position_permutations
from .encoding import ALPHABETICAL, WyckoffColumns
from .protostructure import DEFAULT_PROFILE
from .spacegroup import SpaceGroup

Integers = NDArray[np.int64]

# Scores held at a time: relabelings times occupied slots.
_CHUNK = 1 << 22


def _count_text(count: int) -> bytes:
    return b"" if count == 1 else str(count).encode()


# How a label writes counts 0 to 255, left-aligned in the upper three bytes of a number; the letter comes behind it.
_COUNT_KEYS = np.array([int.from_bytes(_count_text(n).ljust(4, b"\0"), "big") for n in range(256)], np.int64)
_LETTER_SHIFTS = np.array([8 * (3 - len(_count_text(n))) for n in range(256)], np.int64)


@cache
def _letter_codes(number: int) -> Integers:
    """(P,) ASCII codes of the letters of the positions."""
    return np.frombuffer(SpaceGroup.from_number(number).letters.encode(), np.uint8).astype(np.int64)


def canonical_columns(columns: WyckoffColumns, profile: str = DEFAULT_PROFILE) -> WyckoffColumns:
    """Every material in the least of its equivalent settings, as `canonical_form` chooses it."""
    position = columns.position.copy()
    lengths = np.diff(columns.offset)
    for number in np.unique(columns.space_group).tolist():
        permutations = position_permutations(number, profile)
        if len(permutations) == 1:
            continue
        members = np.flatnonzero((columns.space_group == number) & (lengths > 0))
        parts = 1 + int(lengths[members].sum()) * len(permutations) // _CHUNK
        for some in np.array_split(members, parts):
            n = lengths[some]
            start = np.concatenate([[0], np.cumsum(n)])
            triples = np.repeat(columns.offset[some] - start[:-1], n) + np.arange(start[-1])
            chosen = _choose(number, permutations, columns, triples, start)
            position[triples] = permutations[np.repeat(chosen, n), columns.position[triples]]
    return _sorted(columns, position)


def _choose(
    number: int, permutations: NDArray[np.uint8], columns: WyckoffColumns, triples: Integers, start: Integers
) -> Integers:
    """(n,) index of the relabeling that gives the least (score, text) for materials of one group.

    triples (nnz,) are theirs, those of material i at start[i] to start[i + 1].
    """
    codes = _letter_codes(number)
    ranks = np.where(codes < ord("a"), 0, codes - ord("a") + 1).astype(np.int32)
    of_slot = ranks[permutations][:, columns.position[triples]]  # (R, nnz)
    scores = np.add.reduceat(of_slot, start[:-1], axis=1)  # (R, n)
    least = scores == scores.min(axis=0)
    chosen: Integers = least.argmax(axis=0)
    ties = np.flatnonzero(least.sum(axis=0) > 1)
    if len(ties):
        lengths = np.diff(start)[ties]
        for length in np.unique(lengths).tolist():
            some = ties[lengths == length]
            slots = triples[start[some][:, None] + np.arange(length)]  # (m, L)
            chosen[some] = _break_ties(codes, permutations, columns, slots, least[:, some])
    return chosen


def _break_ties(
    codes: Integers,
    permutations: NDArray[np.uint8],
    columns: WyckoffColumns,
    slots: Integers,
    least: NDArray[np.bool_],
) -> Integers:
    """(m,) index of the relabeling with the least text, of those that are `least` (R, m); slots (m, L) of triples.

    All texts of a material have their separators in the same places, so they compare as their terms do, and a term
    (count, letter) compares as the number that its characters make.
    """
    material, relabeling = np.nonzero(least.T)
    rows = slots[material]  # (K, L)
    letters = codes[permutations[relabeling[:, None], columns.position[rows]]]
    in_label = np.argsort(ALPHABETICAL[columns.element[rows]] << 8 | letters, axis=1)
    count = columns.count[rows]
    terms = _COUNT_KEYS[count] | letters << _LETTER_SHIFTS[count]
    terms = np.take_along_axis(terms, in_label, axis=1)
    order = np.lexsort((*terms.T[::-1], material))
    first = np.searchsorted(material, np.arange(len(slots)))  # the order keeps each material's block in its place
    best: Integers = relabeling[order[first]]
    return best


def _sorted(columns: WyckoffColumns, position: NDArray[np.uint8]) -> WyckoffColumns:
    """The columns with other positions, triples of each material in order again."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    order = np.argsort(material << 16 | position.astype(np.int64) << 8 | columns.element, kind="stable")
    return WyckoffColumns(
        columns.space_group, columns.offset, position[order], columns.element[order], columns.count[order]
    )
