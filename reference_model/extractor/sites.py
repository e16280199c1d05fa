"""Protostructures as rows of sites in all equivalent settings, ready for a network: no padding, nothing computed twice.

aviary feeds every site of every distinct relabeled letter sequence. Two reductions leave the result exact: orbits of
one element on one position are one slot with a count (log count is added to its attention score, and it weighs in
the mean), and settings with the same multiset of features are one row with a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import SpaceGroup

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    Array = np.ndarray[Any, np.dtype[Any]]

# (R, L) for a group: where relabeling r sends position l, both as indices into `SpaceGroup.positions`.
Relabelings = Callable[[int], "Array"]


@cache
def first_rows() -> Array:
    """(232,) where each group's positions begin in the table of all 1731."""
    sizes = [0, *(len(SpaceGroup.from_number(n).positions) for n in range(1, 231))]
    return np.cumsum([0, *sizes])


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows with the same number of slots n."""

    material: Array
    """(R,) int64 index of the material, ascending."""
    weight: Array
    """(R,) float32; a material's weights sum to 1."""
    element: Array
    """(R, n) uint8 atomic numbers."""
    position: Array
    """(R, n) int16 rows of the table of 1731 positions."""
    ratio: Array
    """(R, n) float32: share of the cell's atoms in one orbit."""
    count: Array
    """(R, n) float32 orbits in the slot."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """What all materials that differ in elements alone share; S distinct rows of n slots."""

    slot: Array
    """(S, n) which slot of the material stands there."""
    position: Array
    """(S, n)."""
    ratio: Array
    """(S, n)."""
    count: Array
    """(S, n)."""
    weight: Array
    """(S,)."""


def _pattern(number: int, position: Array, rank: Array, count: Array, moves: Array, same: Array) -> _Pattern:
    """`rank` (n,) numbers the elements, `same` (1731,) the classes of positions with equal features."""
    group = SpaceGroup.from_number(number)
    multiplicity = np.array([p.multiplicity for p in group.positions])[position]
    ratio = multiplicity / (multiplicity * count).sum()
    settings = np.unique(moves[:, position], axis=0)  # (S, n): distinct letter sequences, sorted
    rows = settings.astype(np.int64) + first_rows()[number]
    key = (rank * 4096 + same[rows]) * 256 + count
    order = np.argsort(key, axis=1, kind="stable")
    _, first, times = np.unique(np.take_along_axis(key, order, 1), axis=0, return_index=True, return_counts=True)
    order = order[first]
    return _Pattern(
        slot=order,
        position=np.take_along_axis(rows[first], order, 1).astype(np.int16),
        ratio=ratio[order].astype(np.float32),
        count=count[order].astype(np.float32),
        weight=(times / times.sum()).astype(np.float32),
    )


class Featuriser:
    """Turns columns into rows; patterns met before are remembered."""

    def __init__(self, relabelings: Relabelings, same: Array) -> None:
        self._relabelings = cache(relabelings)
        self._same = same
        self._patterns: dict[tuple[int, bytes], _Pattern] = {}

    def rows(self, columns: WyckoffColumns) -> list[Rows]:
        """Every material's rows, gathered by number of slots."""
        found: dict[int, list[tuple[int, _Pattern, Array]]] = {}
        offset = columns.offset.tolist()
        for i, number in enumerate(columns.space_group.tolist()):
            span = slice(offset[i], offset[i + 1])
            element = columns.element[span]
            pattern = self._of(number, columns.position[span], element, columns.count[span])
            found.setdefault(len(element), []).append((i, pattern, element))
        return [_gather(members) for _, members in sorted(found.items())]

    def _of(self, number: int, position: Array, element: Array, count: Array) -> _Pattern:
        kinds = sorted(set(element.tolist()))
        rank = bytes([kinds.index(z) for z in element.tolist()])
        key = (number, position.tobytes() + rank + count.tobytes())
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = _pattern(
                number,
                position,
                np.frombuffer(rank, np.uint8).astype(np.int64),
                count.astype(np.int64),
                self._relabelings(number),
                self._same,
            )
        return pattern


def _gather(members: Sequence[tuple[int, _Pattern, Array]]) -> Rows:
    patterns = [pattern for _, pattern, _ in members]
    return Rows(
        material=np.repeat([i for i, _, _ in members], [len(p.weight) for p in patterns]),
        weight=np.concatenate([p.weight for p in patterns]),
        element=np.concatenate([element[p.slot] for _, p, element in members]),
        position=np.concatenate([p.position for p in patterns]),
        ratio=np.concatenate([p.ratio for p in patterns]),
        count=np.concatenate([p.count for p in patterns]),
    )


def batches(rows: Rows, slots: int) -> Iterator[slice]:
    """Spans of about `slots` slots."""
    step = max(1, slots // rows.element.shape[1])
    for start in range(0, len(rows.material), step):
        yield slice(start, start + step)
