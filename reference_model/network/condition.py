"""A property that a material is asked to have, as a vector: a number, or none (Ho and Salimans 2022, arXiv:2207.12598).

Training shows the number most of the time and hides it in the rest, so that one network knows the law with and
without it, and sampling can go from one to the other and beyond.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from .linear import Linear

WAVES = 6
"""Frequencies in which a number is shown, the slowest with a period of 8 standard deviations."""
FARTHEST = 5.0
"""Standard deviations from the mean beyond which numbers are not told apart."""


class PropertyEmbedding(nn.Module):
    """The vector of a property, and what it alone says about the space group. Both start as nothing."""

    def __init__(self, size: int, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.number_in, self.number_out = Linear(2 * WAVES + 1, size), Linear(size, size)
        self.none = nn.Parameter(torch.zeros(1, size))
        self.space_group = Linear(size, 231)
        for linear in (self.number_out, self.space_group):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, batch: Batch) -> Tensor:
        """(B, D) of `batch.condition`, in the unit of the property; NaN, or no condition at all, is none."""
        if batch.condition is None:
            return self.none.expand(batch.n_materials, -1)
        asked = batch.condition.isfinite()[:, None]
        x = ((batch.condition.nan_to_num() - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)[:, None].float()
        angle = x * torch.linspace(0.25, 2, WAVES, device=x.device) * torch.pi
        number = self.number_out(F.silu(self.number_in(torch.cat([x, angle.sin(), angle.cos()], 1))))
        return torch.where(asked, number.float(), self.none)

    def space_group_logits(self, batch: Batch) -> Tensor:
        """(B, 231): log p(s | property) but for a constant; entry 0 is no group."""
        return self.space_group(F.silu(self(batch))).float()
