"""What a network says: of the clean state (D3PM), or of the next token (jump objective)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch

Logits = tuple[Tensor, Tensor]
"""Of x0 at each variable: constrained (C, E + 1) and unconstrained (U, E, P + 1)."""

MASKED = -1e30
"""Logit of what may not happen; finite, so that gradients of an all-masked row are 0 and not NaN."""


@dataclass(frozen=True, eq=False)
class TokenLogits:
    """In factors: one logit for each slot, and the law of the count on those that are asked for.

    Of the next token they are logits of one softmax over a material's slots, and occupied slots need no masking; of x0
    (D3PM) each slot's log-odds against being empty. The counts of all slots at once, (U, E, P), are 0.5 GB for 1,024
    materials.
    """

    constrained: Tensor
    """(C, E) of element e + 1 on a constrained position."""
    unconstrained: Tensor
    """(U, E) of element e + 1 on an unconstrained position, whatever its count."""
    count: Callable[[Tensor, Tensor], Tensor]
    """(k,) unconstrained rows and (k,) element indices (0 is H) to logits (k, P) of counts 1 … P."""


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
