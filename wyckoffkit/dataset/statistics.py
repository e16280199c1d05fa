"""What a model needs to know of its data, and what people compare: computed from the columns, never hard-coded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..elements import SYMBOLS
from ..encoding import WyckoffColumns
from ..spacegroup import SpaceGroup

N_GROUPS = 230


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Counts over N materials; divide by sums for probabilities."""

    n_materials: int
    n_elements: int
    """E."""
    max_count: int
    """P: the largest number of orbits of one element on one unconstrained position."""
    space_group: NDArray[np.int64]
    """(231,) materials of each group, index = International Tables number."""
    constrained: NDArray[np.int64]
    """(E + 1,) over all constrained positions of all materials: how often element e, 0 for empty, sits there."""
    unconstrained: NDArray[np.int64]
    """(P + 1,) over all unconstrained (position, element) slots of all materials: how often they hold p orbits."""
    tokens: NDArray[np.int64]
    """(231, n_max + 1) materials of each group with n occupied slots."""
    element: NDArray[np.int64]
    """(E + 1,) materials that hold each element."""
    mean_positions: tuple[float, float, float]
    """Mean over materials of |L|, |L0| and |L∞|: all, constrained, unconstrained positions of their groups."""

    @property
    def space_group_probability(self) -> NDArray[np.float64]:
        """p̂(s), (231,)."""
        return self.space_group / max(1, self.n_materials)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it: what does not occur is left out, marginals are probabilities."""
        groups, elements = np.flatnonzero(self.space_group), np.flatnonzero(self.element)
        slots = self.tokens.sum(axis=0)
        return {
            "n_materials": self.n_materials,
            "n_elements": self.n_elements,
            "max_count": self.max_count,
            "mean_positions": dict(zip(("L", "L0", "Linf"), self.mean_positions, strict=True)),
            "space_group": {str(s): int(self.space_group[s]) for s in groups.tolist()},
            "constrained_marginal": (self.constrained / max(1, self.constrained.sum())).tolist(),
            "unconstrained_marginal": (self.unconstrained / max(1, self.unconstrained.sum())).tolist(),
            "tokens": {str(n): int(slots[n]) for n in np.flatnonzero(slots).tolist()},
            "element": {SYMBOLS[e]: int(self.element[e]) for e in elements.tolist()},
        }


def statistics(columns: WyckoffColumns, *, n_elements: int) -> Statistics:
    """Statistics of all materials in columns; those of a split are `statistics(columns.select(rows), …)`."""
    n = len(columns)
    lengths = np.diff(columns.offset)
    n_constrained, n_unconstrained, is_constrained = _position_counts()
    group = columns.space_group.astype(np.int64)
    on_constrained = is_constrained[np.repeat(group, lengths), columns.position]

    constrained = np.bincount(columns.element[on_constrained], minlength=n_elements + 1)
    constrained[0] = n_constrained[group].sum() - on_constrained.sum()
    counts = columns.count[~on_constrained]
    max_count = max(1, int(counts.max(initial=0)))
    unconstrained = np.bincount(counts, minlength=max_count + 1)
    unconstrained[0] = n_unconstrained[group].sum() * n_elements - len(counts)

    n_max = int(lengths.max(initial=0))
    tokens = np.bincount(group * (n_max + 1) + lengths, minlength=(N_GROUPS + 1) * (n_max + 1))
    material = np.repeat(np.arange(n, dtype=np.int64), lengths)
    held = np.unique((material << 8) | columns.element) & 255
    both = (n_constrained + n_unconstrained, n_constrained, n_unconstrained)
    means = [float(per_group[group].mean()) if n else 0.0 for per_group in both]
    return Statistics(
        n_materials=n,
        n_elements=n_elements,
        max_count=max_count,
        space_group=np.bincount(group, minlength=N_GROUPS + 1),
        constrained=constrained,
        unconstrained=unconstrained,
        tokens=tokens.reshape(N_GROUPS + 1, n_max + 1),
        element=np.bincount(held, minlength=n_elements + 1),
        mean_positions=(means[0], means[1], means[2]),
    )


@cache
def _position_counts() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """(231,) constrained, (231,) unconstrained positions of each group; (231, 27) which positions are constrained."""
    is_constrained = np.zeros((N_GROUPS + 1, 27), np.bool_)
    n_positions = np.zeros(N_GROUPS + 1, np.int64)
    for number in range(1, N_GROUPS + 1):
        positions = SpaceGroup.from_number(number).positions
        n_positions[number] = len(positions)
        is_constrained[number, : len(positions)] = [p.is_constrained for p in positions]
    n_constrained = is_constrained.sum(axis=1)
    return n_constrained, n_positions - n_constrained, is_constrained
