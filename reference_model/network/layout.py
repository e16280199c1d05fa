"""Positions of a batch without padding: as rows, sorted into blocks of materials with equally many positions.

A material may get further nodes of its own (*summary* nodes), which come before its positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch

N_ROWS = 1731


@dataclass(frozen=True, eq=False)
class Block:
    """`n_materials` materials of `length` nodes each, which are the rows from `start` on."""

    start: int
    n_materials: int
    length: int


@dataclass(frozen=True, eq=False)
class Layout:
    """The N nodes of a batch in block order; all of it follows from the groups."""

    blocks: tuple[Block, ...]
    material: Tensor
    """(N,) int64 material of a node."""
    position_row: Tensor
    """(N,) int64 row of the 1731-row table, 1731 for a summary node."""
    constrained: Tensor
    """(C,) int64 node of each constrained row of the packed state."""
    unconstrained: Tensor
    """(U,) int64 node of each unconstrained row."""
    summary: Tensor
    """(B,) int64 first node of each material: its first summary node where it has one."""


def layout(batch: Batch, n_summary: int = 0) -> Layout:
    """Plan on the CPU, from `batch.lengths` alone, so that no device is waited for."""
    lengths, order = torch.sort(batch.lengths + n_summary, stable=True)
    starts = torch.cumsum(lengths, 0) - lengths
    n_nodes = int(lengths.sum())
    start = torch.empty_like(starts)
    start[order] = starts
    material = torch.repeat_interleave(order, lengths, output_size=n_nodes)
    position = torch.arange(n_nodes) - torch.repeat_interleave(starts, lengths, output_size=n_nodes) - n_summary
    blocks, first = [], 0
    runs = torch.unique_consecutive(lengths, return_counts=True)
    for length, count in zip(*(run.tolist() for run in runs), strict=True):
        blocks.append(Block(first, count, length))
        first += length * count

    width, device = batch.n_positions, batch.device
    cell = (material * width + position.clamp(min=0)).to(device, non_blocking=True)
    is_position = (position >= 0).to(device, non_blocking=True)
    start = start.to(device, non_blocking=True)
    return Layout(
        blocks=tuple(blocks),
        material=material.to(device, non_blocking=True),
        position_row=torch.where(is_position, batch.position_row.flatten()[cell], N_ROWS),
        constrained=start[batch.constrained_material] + n_summary + batch.constrained_cell % width,
        unconstrained=start[batch.unconstrained_material] + n_summary + batch.unconstrained_cell % width,
        summary=start,
    )
