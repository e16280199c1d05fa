"""Positions of a batch without padding: as rows, sorted into blocks of materials with equally many positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch


@dataclass(frozen=True, eq=False)
class Block:
    """`n_materials` materials of `length` positions each, whose nodes are the rows from `start` on."""

    start: int
    n_materials: int
    length: int


@dataclass(frozen=True, eq=False)
class Layout:
    """The N nodes (positions that exist) of a batch in block order; all of it follows from the groups."""

    blocks: tuple[Block, ...]
    material: Tensor
    """(N,) int64 material of a node."""
    position_row: Tensor
    """(N,) int64 row of the 1731-row table."""
    constrained: Tensor
    """(C,) int64 node of each constrained row of the packed state."""
    unconstrained: Tensor
    """(U,) int64 node of each unconstrained row."""


def layout(batch: Batch) -> Layout:
    """Plan on the CPU, from `batch.lengths` alone, so that no device is waited for."""
    lengths, order = torch.sort(batch.lengths, stable=True)
    starts = torch.cumsum(lengths, 0) - lengths
    n_nodes = int(lengths.sum())
    start = torch.empty_like(starts)
    start[order] = starts
    material = torch.repeat_interleave(order, lengths, output_size=n_nodes)
    position = torch.arange(n_nodes) - torch.repeat_interleave(starts, lengths, output_size=n_nodes)
    blocks, first = [], 0
    for length, count in zip(*(v.tolist() for v in torch.unique_consecutive(lengths, return_counts=True)), strict=True):
        blocks.append(Block(first, count, length))
        first += length * count

    width, device = batch.n_positions, batch.device
    cell = (material * width + position).to(device, non_blocking=True)
    start = start.to(device, non_blocking=True)
    return Layout(
        blocks=tuple(blocks),
        material=material.to(device, non_blocking=True),
        position_row=batch.position_row.flatten()[cell],
        constrained=start[batch.constrained_material] + batch.constrained_cell % width,
        unconstrained=start[batch.unconstrained_material] + batch.unconstrained_cell % width,
    )
