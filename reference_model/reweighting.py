"""Weights under which a model's samples are as new, at each likelihood, as real materials it has not seen.

A data set lists each material once, so what it holds next is mostly not in it yet; a model draws with replacement and
does not know what is listed. With m(c, b) the share of samples of novelty c and b bits, and h(c, b) that of held-out
materials, q(x) = p(x) · h(c, b) / m(c, b) is a law too, gives held-out data the likelihood that p denies it for this
reason, and leaves p alone within each cell: importance weights from an estimated density ratio (Grover et al. 2019,
arXiv:1906.09531), the ratio being a histogram's.
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
    """A weight for each novelty and range of bits; its mean over the model's own samples is 1."""

    edges: tuple[tuple[float, ...], ...]
    """Bits that part the ranges, rising, for each novelty."""
    weights: tuple[tuple[float, ...], ...]
    """One more than the edges, for each novelty."""
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

    def weight(self, novelty: Array, bits: Array) -> Array:
        """(N,) float64 of materials of this novelty (N,) and these bits (N,)."""
        result = np.empty(len(novelty))
        for kind in Novelty:
            of_kind = novelty == kind
            result[of_kind] = np.take(self.weights[kind], np.digitize(bits[of_kind], self.edges[kind]))
        return result

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
            return cls(edges, weights, int(values["exact"]), int(values["repeats"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the weights for novelty cannot be read: {error!r}") from None


def fit(
    held_out: tuple[Array, Array], drawn: tuple[Array, Array], *, bins: int = 12, exact: int, repeats: int
) -> Reweighting:
    """From (novelty, bits) of held-out materials and of the model's samples.

    Ranges of bits hold as many held-out materials each, `FEWEST` at least; each cell counts for half a material more.
    """
    edges: list[tuple[float, ...]] = []
    counts: tuple[list[Array], list[Array]] = ([], [])
    for kind in Novelty:
        of_kind = held_out[1][held_out[0] == kind]
        n = max(1, min(bins, len(of_kind) // FEWEST))
        inner = np.unique(np.quantile(of_kind, np.linspace(0, 1, n + 1)[1:-1])) if n > 1 else np.zeros(0)
        edges.append(tuple(inner.tolist()))
        for (kinds, bits), found in zip((held_out, drawn), counts, strict=True):
            found.append(np.bincount(np.digitize(bits[kinds == kind], inner), minlength=len(inner) + 1) + 0.5)
    h, m = (_shares(found) for found in counts)
    return Reweighting(tuple(edges), tuple(tuple((a / b).tolist()) for a, b in zip(h, m, strict=True)), exact, repeats)


def _shares(counts: Sequence[Array]) -> list[Array]:
    total = sum(float(found.sum()) for found in counts)
    return [found / total for found in counts]
