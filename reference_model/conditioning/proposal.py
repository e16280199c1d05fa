"""What the next token of each particle is drawn from, and how good its outlook is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import MASKED, TokenLogits, legal, position_logits
from ..sampler import Token, packed_rows
from ..streams import Draw, Streams
from ..transitions import draw_categorical
from .constraints import Constraint, Elements, any_count, atoms, everywhere
from .request import Request
from .sites import PlannedSite

FORESIGHT = 0.5
"""How far later tokens are expected to be as rarely allowed as the next one: they follow from it, and fit it better."""
LEAST_CHANCE = 1e-4
"""No required element is favoured by more than one over this, nor any outlook worse for one."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """The network's answer on B states, masked, with the missing elements favoured."""

    batch: Batch
    tokens: TokenLogits
    slots: tuple[Tensor, Tensor]
    """(C, E), (U, E) logits to draw from."""
    before: Tensor
    """(B,) log normaliser of the model's own law."""
    favour: Tensor
    """(B, E) what was added to the logits of each element."""
    site: PlannedSite | None
    outlook: Tensor
    """(B,) float64, log: how probable it seems that a state ends inside the condition; any finite number is right."""

    def draw(
        self,
        constraints: list[Constraint],
        batch: Batch,
        n_left: Tensor,
        state: Tensor,
        streams: Streams,
        number: int,
        max_count: int,
    ) -> tuple[Token, Tensor]:
        """A token for each of k particles ``batch`` in a ``state`` (k,) of B, and what its log weight gains, (k,)."""
        grid = position_logits(self.slots, self.batch)[state]  # (k, L)
        position = draw_categorical(grid, streams.uniform(number, Draw.POSITION))[:, None]
        known = packed_rows(self.batch)[state].gather(1, position).squeeze(1)
        is_constrained = self.batch.constrained_mask[state].gather(1, position).squeeze(1)
        on_c, on_u = is_constrained.nonzero().flatten(), (~is_constrained).nonzero().flatten()
        logits = grid.new_empty(len(state), batch.n_elements)
        logits[on_c], logits[on_u] = self.slots[0][known[on_c]], self.slots[1][known[on_u]]
        element = draw_categorical(logits, streams.uniform(number, Draw.ELEMENT))
        mass = grid.logsumexp(-1)
        gained = mass.double() - self.before[state].double() - self.favour[state, element].double()
        if self.site is not None:  # P(site in S0 | S, N) is N times the probability that it comes next
            gained = gained + n_left.log()
        row = packed_rows(batch).gather(1, position).squeeze(1)
        counts = torch.ones_like(row)
        if len(on_u):
            allowed = any_count(on_u, max_count)
            for constraint in constraints:
                allowed = allowed & constraint.counts(batch, n_left, row[on_u], element[on_u], max_count)
            if self.site is not None:
                allowed = allowed & self.site.counts(state[on_u], max_count)
            of_counts = self.tokens.count(known[on_u], element[on_u]).double()
            masked = of_counts.masked_fill(~allowed, -math.inf)
            gained = gained.index_add(0, on_u, masked.logsumexp(-1) - of_counts.logsumexp(-1))
            counts[on_u] = 1 + draw_categorical(masked, streams.uniform(number, Draw.COUNT)[on_u])
        gained = torch.where(mass > MASKED / 2, gained, -math.inf)
        return Token(row, is_constrained, element, counts), gained

    def assigned(self, role_element: Tensor, state: Tensor, element: Tensor) -> Tensor:
        """``role_element`` (k, roles) with the element (k,) that the planned site has got."""
        if self.site is None:
            return role_element
        return role_element.scatter(1, self.site.role[state][:, None], element[:, None])


def propose(
    network: Any,
    request: Request,
    constraints: list[Constraint],
    batch: Batch,
    n_left: Tensor,
    site_order: Tensor,
    role_element: Tensor,
    number: int,
    *,
    look_ahead: bool,
) -> Proposal:
    """Ask the network about the states (B,) of step ``number``."""
    tokens = network.next_token(batch, n_left)
    open_slots = legal(tokens, batch)
    before = position_logits(open_slots, batch).logsumexp(-1)
    masks = [constraint.slots(batch, n_left) for constraint in constraints]
    site = None
    if number <= len(request.sites):
        site = PlannedSite.of(request, batch, site_order, role_element, number)
        masks.append(site.slots(batch))
    slots = _masked(open_slots[0], [c for c, _ in masks]), _masked(open_slots[1], [u for _, u in masks])
    after = position_logits(slots, batch).logsumexp(-1)
    outlook = after.double() - before.double()
    favour = torch.zeros(batch.n_materials, batch.n_elements, device=batch.device)
    if look_ahead and site is None:
        outlook = outlook * (1 + FORESIGHT * (n_left - 1))
        for constraint in constraints:
            if isinstance(constraint, Elements) and bool(constraint.required.any()):
                chance, favour = _required(constraint, batch, slots, after, n_left)
                outlook = outlook + chance
                c, u = everywhere(batch, favour)
                slots = slots[0] + c, slots[1] + u
    elif site is not None:
        outlook = outlook + n_left.log()
        for later in range(number + 1, len(request.sites) + 1 if look_ahead else 0):
            planned = PlannedSite.of(request, batch, site_order, role_element, later).slots(batch)
            alone = _masked(open_slots[0], [planned[0]]), _masked(open_slots[1], [planned[1]])
            chance = position_logits(alone, batch).logsumexp(-1).double() - before + n_left.log()
            outlook = outlook + FORESIGHT * chance.clamp(min=math.log(LEAST_CHANCE), max=0)
    outlook = torch.where(after > MASKED / 2, outlook, -math.inf)
    return Proposal(batch, tokens, slots, before, favour, site, outlook)


def _masked(logits: Tensor, masks: list[Tensor]) -> Tensor:
    for mask in masks:
        logits = logits.masked_fill(~mask, MASKED)
    return logits


def _required(
    constraint: Elements, batch: Batch, slots: tuple[Tensor, Tensor], after: Tensor, n_left: Tensor
) -> tuple[Tensor, Tensor]:
    """Log chance (B,) that n_left tokens bring the missing elements, and how much to favour each element (B, E).

    As if tokens were drawn independently from what is allowed now. An element that is missing is favoured by one over
    its chance to come later.
    """
    missing = constraint.required & (atoms(batch) == 0)  # (B, E)
    share = torch.zeros(batch.n_materials, batch.n_elements, device=batch.device)
    for logits, of in zip(slots, (batch.constrained_material, batch.unconstrained_material), strict=True):
        share = share.index_add(0, of, (logits - after[of, None]).exp().float())
    share = share.clamp(max=1 - 1e-6)

    def comes(n: Tensor) -> Tensor:
        """Chance that each element is among n (B,) tokens, log."""
        return (-torch.expm1(n[:, None] * torch.log1p(-share))).clamp(min=LEAST_CHANCE).log()

    favour = torch.where(missing, -comes(n_left - 1), 0.0)
    return torch.where(missing, comes(n_left), 0.0).sum(1).double(), favour
