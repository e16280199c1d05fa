"""Weights under which a model's samples are as new, at each likelihood, as real materials it has not seen.

A data set lists each material once, so what it holds next is mostly not in it yet; a model draws with replacement and
does not know what is listed. With m(c, b) the share of samples of novelty c and b bits, and h(c, b) that of held-out
materials, q(x) = p(x) · h(c, b) / m(c, b) is a law too, gives held-out data the likelihood that p denies it for this
reason, and leaves p alone within each cell: importance weights from an estimated density ratio (Grover et al. 2019,
arXiv:1906.09531), the ratio being a histogram's. A factor for each space group keeps their law what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import CheckpointError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

FEWEST = 40
"""Held-out materials in a cell of the histogram, at least."""
GROUP_PRIOR = 20.0
"""Samples of mean weight 1 that each space group is given beside its own."""
ROUNDS = 5


class Novelty(IntEnum):
    """What of a material the training set has."""

    KNOWN = 0
    """Its label."""
    NEW = 1
    """Its prototype alone."""
    NEW_PROTOTYPE = 2


def novelty(new_label: Array, new_prototype: Array) -> Array:
    """(N,) the `Novelty` of materials, from (N,) bool each."""
    return np.where(~new_label, Novelty.KNOWN, np.where(new_prototype, Novelty.NEW_PROTOTYPE, Novelty.NEW))


@dataclass(frozen=True, slots=True)
class Reweighting:
    """A weight for each novelty and range of bits, and a factor for each space group.

    With groups drawn by p̂(s) times the factor, the mean weight of the model's samples is 1, and accepting them by
    their weight gives groups the probability p̂(s) again.
    """

    edges: tuple[tuple[float, ...], ...]
    """Bits that part the ranges, rising, for each novelty."""
    weights: tuple[tuple[float, ...], ...]
    """One more than the edges, for each novelty."""
    group_factor: tuple[float, ...]
    """231, by space group; entry 0 is no group."""
    exact: int
    repeats: int
    """How the bits are to be measured: options of `Scorer`."""

    def __post_init__(self) -> None:
        if not len(self.edges) == len(self.weights) == len(Novelty):
            raise CheckpointError(f"weights are given for {len(Novelty)} kinds of novelty, got {len(self.weights)}")
        for edges, weights in zip(self.edges, self.weights, strict=True):
            if len(weights) != len(edges) + 1 or list(edges) != sorted(edges):
                raise CheckpointError(f"{len(edges)} rising edges part {len(edges) + 1} ranges of bits")
            if not all(0 < weight < np.inf for weight in weights):
                raise CheckpointError(f"weights are positive, got {min(weights)}")
        if len(self.group_factor) != 231 or not all(0 < factor < np.inf for factor in self.group_factor):
            raise CheckpointError(f"231 positive factors of space groups, got {len(self.group_factor)}")

    def weight(self, novelty: Array, bits: Array) -> Array:
        """(N,) float64 of materials of this novelty (N,) and these bits (N,)."""
        result = np.empty(len(novelty))
        for kind in Novelty:
            of_kind = novelty == kind
            result[of_kind] = np.take(self.weights[kind], np.digitize(bits[of_kind], self.edges[kind]))
        return result

    def density_ratio(self, space_group: Array, novelty: Array, bits: Array) -> Array:
        """(N,) float64: q(x) / p(x), weight times factor."""
        return self.weight(novelty, bits) * np.take(self.group_factor, space_group)

    def largest(self, novelty: Array) -> Array:
        """(N,) the most that a weight can be for materials of this novelty (N,), whatever their bits."""
        return np.take([max(weights) for weights in self.weights], novelty)

    @property
    def bound(self) -> float:
        """The largest weight of all."""
        return max(max(weights) for weights in self.weights)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reweighting:
        """The inverse of `to_dict`; CheckpointError where these are no weights."""
        try:
            edges, weights = (tuple(tuple(map(float, part)) for part in values[key]) for key in ("edges", "weights"))
            factor = tuple(map(float, values["group_factor"]))
            return cls(edges, weights, factor, int(values["exact"]), int(values["repeats"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the weights for novelty cannot be read: {error!r}") from None


@dataclass(frozen=True, eq=False)
class Located:
    """Materials where the weights are a function of."""

    space_group: Array
    """(N,)."""
    novelty: Array
    """(N,)."""
    bits: Array
    """(N,) float64."""

    def shares(self) -> Array:
        """(3,) of each `Novelty`."""
        return np.bincount(self.novelty, minlength=len(Novelty)) / max(len(self.novelty), 1)


def fit(held_out: Located, drawn: Located, *, bins: int = 12, exact: int, repeats: int) -> Reweighting:
    """From held-out materials and the model's samples.

    Ranges of bits hold as many held-out materials each, `FEWEST` at least; each cell counts for half a material more.
    Weights and factors of groups depend on each other and are found in turn.
    """
    edges = tuple(_edges(held_out.bits[held_out.novelty == kind], bins) for kind in Novelty)
    h = _shares(held_out, edges, np.ones(len(held_out.bits)))
    factor = np.ones(231)
    for _ in range(ROUNDS):
        m = _shares(drawn, edges, factor[drawn.space_group])
        weights = tuple(tuple((a / b).tolist()) for a, b in zip(h, m, strict=True))
        found = Reweighting(edges, weights, tuple(factor.tolist()), exact, repeats)
        weight = found.weight(drawn.novelty, drawn.bits)
        total = np.bincount(drawn.space_group, weight, minlength=231) + GROUP_PRIOR
        factor = (np.bincount(drawn.space_group, minlength=231) + GROUP_PRIOR) / total
    return found


def _edges(bits: Array, bins: int) -> tuple[float, ...]:
    n = max(1, min(bins, len(bits) // FEWEST))
    return tuple(np.unique(np.quantile(bits, np.linspace(0, 1, n + 1)[1:-1])).tolist()) if n > 1 else ()


def _shares(materials: Located, edges: Sequence[Sequence[float]], weight: Array) -> list[Array]:
    """Of each cell, by novelty: (K,) of the materials' weights (N,), whose mean counts as 1."""
    counts = []
    for kind in Novelty:
        of_kind = materials.novelty == kind
        cell = np.digitize(materials.bits[of_kind], edges[kind])
        counts.append(np.bincount(cell, weight[of_kind] / weight.mean(), minlength=len(edges[kind]) + 1) + 0.5)
    total = sum(float(found.sum()) for found in counts)
    return [found / total for found in counts]
