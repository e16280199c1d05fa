"""One token a material, drawn from what a network says about the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import TokenLogits, legal, position_logits
from ..streams import Draw, Streams
from ..transitions import draw_categorical
from .materials import packed_rows


@dataclass(frozen=True, eq=False)
class Token:
    """One slot a material, and a value for it; all (B,) int64."""

    row: Tensor
    """Packed row, of the constrained or the unconstrained positions."""
    is_constrained: Tensor
    element: Tensor
    """0 is H."""
    count: Tensor
    """Orbits; 1 on a constrained position."""

    def with_counts(self, materials: Tensor, counts: Tensor) -> Token:
        """The token with the counts (k,) of some materials (k,)."""
        return replace(self, count=self.count.index_copy(0, materials, counts))

    def apply(self, batch: Batch, where: Tensor) -> Batch:
        """Add the token to the materials in which ``where`` (B,) holds."""
        on_c = (self.is_constrained & where).nonzero().flatten()
        on_u = (~self.is_constrained & where).nonzero().flatten()
        constrained = batch.constrained.index_put((self.row[on_c],), self.element[on_c] + 1)
        at = self.row[on_u], self.element[on_u]
        return batch.with_state(constrained, batch.unconstrained.index_put(at, self.count[on_u]))


def draw_token(tokens: TokenLogits, batch: Batch, streams: Streams, number: int) -> Token:
    """τ ~ p(τ | S, N): a position, an element on it, and a count where the position is unconstrained.

    One softmax over all empty slots of a material, drawn in three steps of one uniform number each.
    """
    slot = draw_slot(legal(tokens, batch), batch, streams, number)
    on_u = (~slot.is_constrained).nonzero().flatten()
    counts = tokens.count(slot.row[on_u], slot.element[on_u]).float()
    return slot.with_counts(on_u, 1 + draw_categorical(counts, streams.uniform(number, Draw.COUNT)[on_u]))


def draw_slot(slot_logits: tuple[Tensor, Tensor], batch: Batch, streams: Streams, number: int) -> Token:
    """A slot from masked slot logits (C, E), (U, E), with a count of 1."""
    grid = position_logits(slot_logits, batch)  # (B, L)
    position = draw_categorical(grid, streams.uniform(number, Draw.POSITION))[:, None]
    row = packed_rows(batch).gather(1, position).squeeze(1)
    is_constrained = batch.constrained_mask.gather(1, position).squeeze(1)
    on_c, on_u = is_constrained.nonzero().flatten(), (~is_constrained).nonzero().flatten()
    element_logits = slot_logits[1].new_zeros(batch.n_materials, batch.n_elements)
    element_logits[on_c] = slot_logits[0][row[on_c]]
    element_logits[on_u] = slot_logits[1][row[on_u]]
    element = draw_categorical(element_logits, streams.uniform(number, Draw.ELEMENT))
    return Token(row, is_constrained, element, torch.ones_like(row))
