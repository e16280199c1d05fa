"""What a network says: of the clean state (D3PM), or of the next token (jump objective)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..batch import Batch

Logits = tuple[Tensor, Tensor]
"""Of x0 at each variable: constrained (C, E + 1) and unconstrained (U, E, P + 1)."""

MASKED = -1e30
"""Logit of what may not happen; finite, so that gradients of an all-masked row are 0 and not NaN."""


class TokenLogits(Protocol):
    """What a jump network says about the next token; occupied slots need no masking."""

    constrained: Tensor
    """(C, E) logit of element e + 1 on an empty constrained position."""
    unconstrained: Tensor
    """(U, E) logit that element e + 1 takes an empty slot of an unconstrained position."""
    count: Callable[[Tensor, Tensor], Tensor]
    """(k,) rows and (k,) element indices (0 is H) to logits (k, P) of the number of orbits 1 … P."""


def legal(tokens: TokenLogits, batch: Batch) -> tuple[Tensor, Tensor]:
    """The slot logits in float32 with occupied slots masked: (C, E), (U, E)."""
    return (
        tokens.constrained.float().masked_fill((batch.constrained != 0)[:, None], MASKED),
        tokens.unconstrained.float().masked_fill(batch.unconstrained != 0, MASKED),
    )


def position_logits(slots: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
    """log Σ_e exp of each position's slots on the padded grid (B, L): the law of a next token's position."""
    grid = torch.full((batch.n_materials * batch.n_positions,), MASKED, device=slots[0].device)
    grid = grid.index_put((batch.constrained_cell,), slots[0].logsumexp(-1))
    grid = grid.index_put((batch.unconstrained_cell,), slots[1].logsumexp(-1))
    return grid.view(batch.n_materials, batch.n_positions)
