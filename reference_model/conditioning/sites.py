"""The sites of a request: which one each material occupies in a step, and whether finished materials hold them all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch
from ..sampler import packed_rows
from ..streams import Draw, Streams
from .constraints import Constraint
from .request import Request


def site_order(request: Request, streams: Streams) -> Tensor:
    """A random order of the sites for each particle, (P, sites)."""
    n = len(request.sites)
    particle = torch.arange(len(streams.key), device=streams.key.device)
    slot = torch.arange(n, device=streams.key.device).expand(len(particle), n)
    return streams.uniform_slots(0, Draw.POSITION, particle, slot).argsort(1)


@dataclass(frozen=True, eq=False)
class PlannedSite:
    """The site that each material (b,) occupies in this step."""

    position: Tensor
    role: Tensor
    count: Tensor
    allowed: Tensor
    """(b, E) bool elements that its role may have."""

    @classmethod
    def of(cls, request: Request, batch: Batch, site_order: Tensor, role_element: Tensor, number: int) -> PlannedSite:
        device = batch.device
        table = torch.tensor([[s.position, s.role, s.count] for s in request.sites], device=device)
        position, role, count = table[site_order[:, number - 1]].unbind(1)
        elements = torch.arange(1, batch.n_elements + 1, device=device)
        known = role_element.gather(1, role[:, None])  # (b, 1)
        taken = (role_element[:, :, None] == elements).any(1)  # (b, E)
        return cls(position, role, count, torch.where(known > 0, elements == known, ~taken))

    def slots(self, batch: Batch) -> tuple[Tensor, Tensor]:
        masks = []
        for cell, material in (
            (batch.constrained_cell, batch.constrained_material),
            (batch.unconstrained_cell, batch.unconstrained_material),
        ):
            here = cell % batch.n_positions == self.position[material]
            masks.append(here[:, None] & self.allowed[material])
        return masks[0], masks[1]

    def counts(self, materials: Tensor, max_count: int) -> Tensor:
        wanted = self.count[materials, None]
        return (wanted == 0) | (torch.arange(1, max_count + 1, device=wanted.device) == wanted)


def meets(request: Request, constraints: list[Constraint], batch: Batch) -> Tensor:
    """Whether finished materials meet all of a request but its filters, (B,) bool."""
    met = batch.n_tokens() > 0
    for constraint in constraints:
        met = met & constraint.satisfied(batch)
    if request.space_groups is not None:
        met = met & torch.isin(batch.space_group, torch.tensor(request.space_groups, device=batch.device))
    if request.whole:
        met = met & (batch.n_tokens() == len(request.sites))
    rows, is_constrained = packed_rows(batch), batch.constrained_mask
    for site in request.sites:
        row, on_c, z = rows[:, site.position], is_constrained[:, site.position], request.site_elements[site.role]
        held = torch.zeros_like(met)
        c, u = on_c.nonzero().flatten(), (~on_c).nonzero().flatten()
        element = batch.constrained[row[c]]
        held[c] = (element == z) if z else (element > 0)
        counts = batch.unconstrained[row[u]][:, z - 1 : z] if z else batch.unconstrained[row[u]]
        held[u] = ((counts == site.count) if site.count else (counts > 0)).any(1)
        met = met & held
    return met
