"""Steering by a property that the network is told: classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598).

With l the logits of the network that is told the property and l_0 of the one that is told none, samples follow
l_0 + w (l - l_0): w = 0 is the law of all materials, w = 1 the law at that property, w > 1 goes beyond. Slots, counts,
the number of tokens and the space group are guided each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import TokenLogits


@dataclass(frozen=True, eq=False)
class Guided:
    """A network that is told a property, as samplers see it."""

    network: Any
    value: float
    """In the unit of the property."""
    strength: float
    """w."""

    def next_token(self, batch: Batch, n_left: Tensor) -> TokenLogits:
        return self._slots(*(self.network.next_token(of, n_left) for of in self._both(batch)))

    def occupancy(self, batch: Batch, t: Tensor) -> TokenLogits:
        return self._slots(*(self.network.occupancy(of, t) for of in self._both(batch)))

    def n_left_logits(self, batch: Batch) -> Tensor:
        told, free = (self.network.n_left_logits(of).log_softmax(-1) for of in self._both(batch))
        return self._between(told, free)

    def token_law(self, n_elements: int, device: torch.device) -> Tensor:
        """p(n | s, property) of all groups, (231, N + 1) float64; row 0 is 0."""
        groups = torch.arange(1, 231, device=device)
        logits = self.n_left_logits(Batch.empty(groups, n_elements)).double()
        logits[:, 0] = -torch.inf  # an empty material is none
        return torch.nn.functional.pad(logits.softmax(-1), (0, 0, 1, 0)).cpu()

    def space_group_law(self, law: Tensor, device: torch.device) -> Tensor:
        """p(s | property), (231,) float64, from the law p̂(s) of all materials."""
        one = Batch.empty(torch.ones(1, dtype=torch.int64, device=device))
        told, free = (self.network.space_group_logits(of).double().log_softmax(-1)[0].cpu() for of in self._both(one))
        return (law.double().log() + self.strength * (told - free)).softmax(-1)

    def _both(self, batch: Batch) -> tuple[Batch, Batch]:
        value = torch.full((batch.n_materials,), self.value, dtype=torch.float64, device=batch.device)
        return batch.with_condition(value), batch.with_condition(None)

    def _between(self, told: Tensor, free: Tensor) -> Tensor:
        return free + self.strength * (told - free)

    def _slots(self, told: TokenLogits, free: TokenLogits) -> TokenLogits:
        return TokenLogits(
            self._between(told.constrained.float(), free.constrained.float()),
            self._between(told.unconstrained.float(), free.unconstrained.float()),
            lambda rows, elements: self._between(
                told.count(rows, elements).float(), free.count(rows, elements).float()
            ),
        )
