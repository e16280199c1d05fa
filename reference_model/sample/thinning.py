"""Samples accepted by their weight for novelty: rejection sampling from the reweighted law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wyckoffkit import Protostructure, WyckoffkitError

from ..model import Model
from ..score.scorer import Scorer
from ..streams import Draw, Streams

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


class Thinning:
    """Weights of finished materials. WyckoffkitError for a model to which none were fitted."""

    def __init__(self, model: Model) -> None:
        if model.checkpoint.reweighting is None:
            raise WyckoffkitError(
                "this model has no weights for novelty: fit them with `python -m reference_model.reweight`"
            )
        self.model, self.reweighting = model, model.checkpoint.reweighting
        self.scorer = Scorer(model, exact=self.reweighting.exact, repeats=self.reweighting.repeats)

    def accepts(
        self, seed: int, numbers: Array, protostructures: Sequence[Protostructure], labels: Sequence[str]
    ) -> list[bool]:
        """(N,) whether samples of these numbers stay: with probability weight / largest weight.

        Bits are asked only of those that the largest weight of their novelty does not reject already.
        """
        uniform = Streams.of(seed, torch.from_numpy(numbers)).uniform(0, Draw.ACCEPT).numpy()
        level = uniform * self.reweighting.bound
        kinds = self.model.reference.novelty(labels)
        open_ = np.flatnonzero(level < self.reweighting.largest(kinds))
        weight = np.zeros(len(labels))
        weight[open_] = self.reweighting.weight(kinds[open_], self._bits([protostructures[i] for i in open_.tolist()]))
        return (level < weight).tolist()

    def weights(self, protostructures: Sequence[Protostructure], labels: Sequence[str]) -> Array:
        """(N,) float64: the reweighted law over the model's own."""
        groups = np.array([p.space_group.number for p in protostructures], dtype=np.int64)
        return self.reweighting.density_ratio(groups, self.model.reference.novelty(labels), self._bits(protostructures))

    def group_law(self, law: Array) -> Array:
        """p(s) (231,) to draw space groups by, so that those of the samples that stay have the law given."""
        tilted = law * np.array(self.reweighting.group_factor)
        return tilted / tilted.sum()

    def _bits(self, protostructures: Sequence[Protostructure]) -> Array:
        return np.array([score.bits for score in self.scorer.score(protostructures)])
