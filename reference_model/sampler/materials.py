"""Materials on their way: picking some out, putting them back, and setting finished ones aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..streams import Draw, Streams

Progress = Callable[[int, int], None]
"""Called with (finished materials, all of them) after every network call."""
Network = Any
"""`network(batch, t)` or `.occupancy(batch, t)`; `.next_token(batch, n_left)` and `.n_left_logits(batch)`."""


def packed_rows(batch: Batch) -> Tensor:
    """The packed row of each cell of the padded grid (B, L)."""
    rows = torch.zeros(batch.n_materials * batch.n_positions, dtype=torch.int64, device=batch.device)
    rows[batch.constrained_cell] = torch.arange(len(batch.constrained_cell), device=batch.device)
    rows[batch.unconstrained_cell] = torch.arange(len(batch.unconstrained_cell), device=batch.device)
    return rows.view(batch.n_materials, batch.n_positions)


def select(batch: Batch, index: Tensor) -> Batch:
    """The materials ``index`` (b,) int64, in that order and as often."""
    chosen = Batch.empty(batch.space_group[index], batch.n_elements)
    if batch.condition is not None:
        chosen = chosen.with_condition(batch.condition[index])
    rows = packed_rows(batch)[index, : chosen.n_positions].flatten()
    return chosen.with_state(
        batch.constrained[rows[chosen.constrained_cell]], batch.unconstrained[rows[chosen.unconstrained_cell]]
    )


def replaced(batch: Batch, index: Tensor, part: Batch) -> Batch:
    """``batch`` with the states of the materials ``index`` (b,), each named once, taken from ``part``."""
    rows = packed_rows(batch)[index, : part.n_positions].flatten()
    return batch.with_state(
        batch.constrained.index_copy(0, rows[part.constrained_cell], part.constrained),
        batch.unconstrained.index_copy(0, rows[part.unconstrained_cell], part.unconstrained),
    )


def slots(batch: Batch) -> tuple[Tensor, Tensor]:
    """Numbers of the slots within their material, (C,) and (U, E): the letter's rank and the element."""
    elements = torch.arange(1, batch.n_elements + 1, device=batch.device)
    return (
        (batch.constrained_cell % batch.n_positions) * 128,
        ((batch.unconstrained_cell % batch.n_positions) * 128)[:, None] + elements,
    )


def uniforms(batch: Batch, streams: Streams, step: int, draw: Draw) -> tuple[Tensor, Tensor]:
    """One uniform number for each variable, (C,) and (U, E)."""
    of = zip((batch.constrained_material, batch.unconstrained_material), slots(batch), strict=True)
    constrained, unconstrained = (streams.uniform_slots(step, draw, *pair) for pair in of)
    return constrained, unconstrained


class Unfinished:
    """The materials still being sampled; those that are done leave once they make up a quarter."""

    def __init__(self, batch: Batch, streams: Streams, progress: Progress | None, **per_material: Tensor) -> None:
        self.whole, self.batch, self.streams = batch, batch, streams
        self.index = torch.arange(batch.n_materials, device=batch.device)
        self.per_material = per_material
        self.progress = progress

    def __getitem__(self, name: str) -> Tensor:
        return self.per_material[name]

    def __setitem__(self, name: str, value: Tensor) -> None:
        self.per_material[name] = value

    def settle(self, done: Tensor) -> bool:
        """Put finished materials (b,) aside; True when none is left. One host synchronisation."""
        n_done, n = int(done.sum()), len(done)
        total = self.whole.n_materials
        if self.progress is not None:
            self.progress(total - n + n_done, total)
        if n_done < n and 4 * n_done < n:
            return False
        self.whole = replaced(self.whole, self.index, self.batch)
        if n_done < n:
            left = (~done).nonzero().flatten()
            self.batch, self.streams, self.index = select(self.batch, left), self.streams[left], self.index[left]
            self.per_material = {name: value[left] for name, value in self.per_material.items()}
        return n_done == n
