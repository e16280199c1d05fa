"""What each condition allows next: masks over slots and counts, given what is there and how many tokens are to come.

A mask may allow too much (the finished material is checked, and a particle that fails weighs nothing) but never
too little, so that the law inside the condition stays the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..batch import Batch, group_tables

Slots = tuple[Tensor, Tensor]
"""Masks (C, E) and (U, E), True where a token may go next."""


class Constraint(Protocol):
    """One condition on materials."""

    def n_allowed(self, batch: Batch, n: Tensor) -> Tensor:
        """Whether an empty material can meet it with exactly n (B,) tokens: (B,) bool."""

    def slots(self, batch: Batch, n_left: Tensor) -> Slots:
        """Where the next of n_left (B,) tokens may go."""

    def counts(self, batch: Batch, n_left: Tensor, rows: Tensor, elements: Tensor, max_count: int) -> Tensor:
        """Which counts 1 … P the slots at rows (k,), element indices (k,) may take: (k, P) bool."""

    def satisfied(self, batch: Batch) -> Tensor:
        """Whether finished materials meet it: (B,) bool."""


def multiplicities(batch: Batch) -> Tensor:
    """Sites of each position on the padded grid, (B, L) int64; 0 in padding."""
    return group_tables(batch.device).multiplicity[batch.position_row] * batch.position_mask


def atoms(batch: Batch) -> Tensor:
    """Atoms of each element in the conventional cell, (B, E) int64."""
    multiplicity = multiplicities(batch).flatten()
    on = multiplicity[batch.unconstrained_cell, None] * batch.unconstrained
    out = torch.zeros(batch.n_materials, batch.n_elements + 1, dtype=torch.int64, device=batch.device)
    out[:, 1:] = out[:, 1:].index_add(0, batch.unconstrained_material, on)
    at = batch.constrained_material, batch.constrained
    return out.index_put(at, multiplicity[batch.constrained_cell], accumulate=True)[:, 1:]


def everywhere(batch: Batch, of_element: Tensor) -> Slots:
    """A mask per material and element (B, E) laid on the slots."""
    return of_element[batch.constrained_material], of_element[batch.unconstrained_material]


def any_count(rows: Tensor, max_count: int) -> Tensor:
    return torch.ones(len(rows), max_count, dtype=torch.bool, device=rows.device)


@dataclass(frozen=True, eq=False)
class Elements:
    """Only some elements, and some of them required."""

    allowed: Tensor
    """(E,) bool."""
    required: Tensor
    """(E,) bool, a subset of them."""

    def n_allowed(self, batch: Batch, n: Tensor) -> Tensor:
        return n >= max(1, int(self.required.sum()))

    def slots(self, batch: Batch, n_left: Tensor) -> Slots:
        missing = self.required & (atoms(batch) == 0)  # (B, E)
        urgent = missing.sum(1) >= n_left
        return everywhere(batch, torch.where(urgent[:, None], missing, self.allowed))

    def counts(self, batch: Batch, n_left: Tensor, rows: Tensor, elements: Tensor, max_count: int) -> Tensor:
        return any_count(rows, max_count)

    def satisfied(self, batch: Batch) -> Tensor:
        present = atoms(batch) > 0
        return ~(present & ~self.allowed).any(1) & ~(~present & self.required).any(1)


@dataclass(frozen=True, eq=False)
class MaxAtoms:
    """At most so many atoms in the conventional cell."""

    limit: int
    allowed: Tensor
    """(E,) bool: the elements that may take slots."""

    def n_allowed(self, batch: Batch, n: Tensor) -> Tensor:
        return _fewest_atoms(self._free(batch), multiplicities(batch), n) <= self.limit

    def slots(self, batch: Batch, n_left: Tensor) -> Slots:
        most = (self._budget(batch, n_left) >= multiplicities(batch)).flatten()
        shape = (-1, batch.n_elements)
        return (
            most[batch.constrained_cell, None].expand(shape),
            most[batch.unconstrained_cell, None].expand(shape),
        )

    def counts(self, batch: Batch, n_left: Tensor, rows: Tensor, elements: Tensor, max_count: int) -> Tensor:
        cell = batch.unconstrained_cell[rows]
        most = self._budget(batch, n_left).flatten()[cell] // multiplicities(batch).flatten()[cell]
        return torch.arange(1, max_count + 1, device=rows.device) <= most[:, None]

    def satisfied(self, batch: Batch) -> Tensor:
        return atoms(batch).sum(1) <= self.limit

    def _budget(self, batch: Batch, n_left: Tensor) -> Tensor:
        """Atoms that a token on each position may have while the others still fit: (B, L)."""
        L = batch.n_positions
        taken = torch.eye(L, dtype=torch.int64, device=batch.device)
        free = (self._free(batch)[:, None, :] - taken).clamp(min=0)  # (B, L, L): one slot of position l is taken
        multiplicity = multiplicities(batch)
        rest = _fewest_atoms(free, multiplicity[:, None, :].expand(-1, L, -1), (n_left - 1)[:, None].expand(-1, L))
        return self.limit - atoms(batch).sum(1)[:, None] - rest

    def _free(self, batch: Batch) -> Tensor:
        """Empty slots of each position that allowed elements may take: (B, L) int64."""
        free = torch.zeros(batch.n_materials * batch.n_positions, dtype=torch.int64, device=batch.device)
        free[batch.constrained_cell] = (batch.constrained == 0).long()
        free[batch.unconstrained_cell] = ((batch.unconstrained == 0) & self.allowed).sum(1)
        return free.view(batch.n_materials, batch.n_positions)


def _fewest_atoms(free: Tensor, multiplicity: Tensor, n: Tensor) -> Tensor:
    """The least atoms that n (...) more tokens can have, (...): the smallest positions first.

    Multiplicities (..., L) never fall along the letters (CODEC.md section 1), so that no sorting is needed.
    """
    before = free.cumsum(-1) - free
    taken = torch.minimum((n[..., None] - before).clamp(min=0), free)
    impossible = free.sum(-1) < n
    return torch.where(impossible, 10**9, (taken * multiplicity).sum(-1))
