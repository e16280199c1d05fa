"""Samplers: free functions over any denoiser, `(network, batch, diffusion, streams, …) -> Batch`.

`batch` says the groups and where to start (`Batch.empty(space_group)`, or tokens that are to be kept, which the
zeros prior and the jump models honour). `streams` holds one random stream a material, so that a sample does not
depend on the batch it is drawn in. `progress(finished, total)` is called after every network call.

| sampler        | network                    | exact                                    | calls      |
|----------------|----------------------------|------------------------------------------|------------|
| ancestral      | D3PM, any prior            | as T grows (the paper's Algorithm 1)     | T          |
| strided        | D3PM, any prior            | as the number of steps grows             | steps      |
| first_hitting  | D3PM, zeros prior          | as refresh → 1: births come one at a time | n + log(1/u) |
| jump           | next token given S and N   | yes                                      | n          |
| count_head     | the same, and its count head | yes                                    | n + 1      |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from reference_model.batch import Batch
from reference_model.diffusion import Diffusion, TokenLogits, legal, material_sum, position_logits
from reference_model.streams import Draw, Streams
from reference_model.transitions import birth_step, draw_categorical, draw_class, odds, sample_posterior

Progress = Callable[[int, int], None]
Network = Any
"""`network(batch, t)`, or `.next_token(batch, n_left)` and `.n_left_logits(batch)`."""


def select(batch: Batch, index: Tensor) -> Batch:
    """The materials ``index`` (b,) int64, in that order and as often."""
    chosen = Batch.empty(batch.space_group[index], batch.n_elements)
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


def from_prior(batch: Batch, diffusion: Diffusion, streams: Streams) -> Batch:
    """x_T ~ m; the zeros prior keeps the state it is given."""
    if diffusion.is_zeros:
        return batch
    constrained, unconstrained = uniforms(batch, streams, 0, Draw.PRIOR)
    return batch.with_state(
        diffusion.constrained_prior.draw(constrained), diffusion.unconstrained_prior.draw(unconstrained)
    )


@torch.no_grad()
def strided(
    network: Network,
    batch: Batch,
    diffusion: Diffusion,
    streams: Streams,
    *,
    n_steps: int = 100,
    spacing: str = "alpha_bar",
    progress: Progress | None = None,
) -> Batch:
    """The reverse process on a grid of about ``n_steps`` steps, even in "alpha_bar" or in "t"."""
    grid = diffusion.schedule.grid(n_steps, spacing).to(batch.device)
    batch = from_prior(batch, diffusion, streams)
    n = batch.n_materials
    for i in range(len(grid) - 1):
        t, s = grid[i].expand(n), grid[i + 1].expand(n)
        batch = reverse_step(network(batch, t), batch, diffusion, streams, s, t, i + 1)
        if progress is not None:
            progress(n * (i + 1) // (len(grid) - 1), n)
    return batch


def ancestral(
    network: Network, batch: Batch, diffusion: Diffusion, streams: Streams, *, progress: Progress | None = None
) -> Batch:
    """All T steps (WyckoffDiff Algorithm 1), down to t = 0."""
    return strided(network, batch, diffusion, streams, n_steps=diffusion.schedule.T, spacing="t", progress=progress)


def reverse_step(
    logits: tuple[Tensor, Tensor],
    batch: Batch,
    diffusion: Diffusion,
    streams: Streams,
    s: Tensor,
    t: Tensor,
    number: int,
) -> Batch:
    """x_s ~ p(x_s | x_t) for every variable at once; s and t are (B,), ``number`` tells this step's random numbers."""
    step = diffusion.schedule.step(s, t)
    steps = step[batch.constrained_material], step[batch.unconstrained_material, None]
    priors = diffusion.constrained_prior, diffusion.unconstrained_prior
    chance = uniforms(batch, streams, number, Draw.POSTERIOR)
    state = batch.constrained, batch.unconstrained
    if diffusion.is_zeros:
        new = [birth_step(*of) for of in zip(logits, state, steps, chance, strict=True)]
    else:
        classes = uniforms(batch, streams, number, Draw.CLASS)
        drawn = [draw_class(*of) for of in zip(logits, classes, strict=True)]
        new = [sample_posterior(*of) for of in zip(drawn, state, priors, steps, chance, strict=True)]
    return batch.with_state(*new)


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


def packed_rows(batch: Batch) -> Tensor:
    """The packed row of each cell of the padded grid (B, L)."""
    rows = torch.zeros(batch.n_materials * batch.n_positions, dtype=torch.int64, device=batch.device)
    rows[batch.constrained_cell] = torch.arange(len(batch.constrained_cell), device=batch.device)
    rows[batch.unconstrained_cell] = torch.arange(len(batch.unconstrained_cell), device=batch.device)
    return rows.view(batch.n_materials, batch.n_positions)


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


@torch.no_grad()
def jump(
    network: Network,
    batch: Batch,
    diffusion: Diffusion | None,
    streams: Streams,
    *,
    n_tokens: Tensor | None = None,
    progress: Progress | None = None,
) -> Batch:
    """Exact sampling in as many calls as there are tokens to add: τ ~ p(· | S, N, s) for N = n … 1.

    ``n_tokens`` (B,) is how many tokens to add; by default it is drawn from the count head at u = 1. Time does
    not enter, so that ``diffusion`` is not looked at.
    """
    if n_tokens is None:
        n_tokens = draw_categorical(network.n_left_logits(batch).float(), streams.uniform(0, Draw.N_TOKENS))
    running = Unfinished(batch, streams, progress, n_left=n_tokens.clone())
    number = 0
    while not running.settle(running["n_left"] == 0):
        number += 1
        n_left = running["n_left"]
        token = draw_token(
            network.next_token(running.batch, n_left.clamp(min=1)), running.batch, running.streams, number
        )
        running.batch = token.apply(running.batch, n_left > 0)
        running["n_left"] = (n_left - 1).clamp(min=0)
    return running.whole


@torch.no_grad()
def count_head(
    network: Network,
    batch: Batch,
    diffusion: Diffusion | None,
    streams: Streams,
    *,
    progress: Progress | None = None,
) -> Batch:
    """Exact sampling that draws the number of missing tokens anew at each level u: N ~ softmax(f(S) + N log u).

    u falls by U^{1/N}, the largest of N uniform birth levels; a material is done when N = 0.
    """
    u = torch.ones(batch.n_materials, dtype=torch.float64, device=batch.device)
    running = Unfinished(batch, streams, progress, u=u, N=torch.ones_like(u, dtype=torch.int64))
    number = 0
    while not running.settle(running["N"] == 0):
        number += 1
        batch, streams, u = running.batch, running.streams, running["u"]
        logits = network.n_left_logits(batch).double()
        levels = torch.arange(logits.shape[1], device=batch.device) * u.log()[:, None]
        N = draw_categorical(logits + levels, streams.uniform(number, Draw.N_TOKENS))
        N = torch.where(running["N"] == 0, 0, N)
        token = draw_token(network.next_token(batch, N.clamp(min=1)), batch, streams, number)
        running.batch = token.apply(batch, N > 0)
        running["u"] = u * streams.uniform(number, Draw.LEVEL) ** (1 / N.clamp(min=1))
        running["N"] = N
    return running.whole


@torch.no_grad()
def first_hitting(
    network: Network,
    batch: Batch,
    diffusion: Diffusion,
    streams: Streams,
    *,
    refresh: float = 0.5,
    stop: float = 1e-3,
    progress: Progress | None = None,
) -> Batch:
    """Births of the zeros prior one at a time, with an unmodified D3PM network.

    At level u each empty variable draws whether it is still to be born and at which level below u; the first
    birth above ``refresh`` · u is applied, else u falls to ``refresh`` · u and the network is asked again. Done
    when fewer than ``stop`` tokens are expected still.
    """
    if not diffusion.is_zeros:
        raise ValueError("first hitting is for the zeros prior: with any other, values change instead of being born")
    u = torch.ones(batch.n_materials, dtype=torch.float64, device=batch.device)
    running = Unfinished(batch, streams, progress, u=u, done=torch.zeros_like(u, dtype=torch.bool))
    last = diffusion.schedule.u(torch.ones((), dtype=torch.int64, device=batch.device))
    number = 0
    while not running.settle(running["done"]):
        number += 1
        batch, u, done = running.batch, running["u"], running["done"]
        logits = network(batch, diffusion.schedule.nearest(u))
        token, level, expected = first_birth(logits, batch, running.streams, number)
        floor = torch.where(u <= last, 0.0, refresh)  # below the first step the network has no more to say
        born = level > floor
        running["done"] = done | (expected < stop) | (~born & (floor == 0))
        running.batch = token.apply(batch, born & ~running["done"])
        running["u"] = u * torch.where(born, level, floor)
    return running.whole


def first_birth(
    logits: tuple[Tensor, Tensor], batch: Batch, streams: Streams, number: int
) -> tuple[Token, Tensor, Tensor]:
    """The next token to be born, its level relative to u (-1 if none is left), and how many are expected; (B,)."""
    state = batch.constrained, batch.unconstrained
    chance = uniforms(batch, streams, number, Draw.LEVEL)
    q = [torch.special.expit(odds(z).double().log()) * (x == 0) for z, x in zip(logits, state, strict=True)]
    levels = [torch.where(w < p, w / p, -1.0) for w, p in zip(chance, q, strict=True)]  # U given w < p
    best_u, element = levels[1].max(-1)  # (U,)
    grid = torch.full((batch.n_materials * batch.n_positions,), -1.0, dtype=torch.float64, device=batch.device)
    grid[batch.constrained_cell] = levels[0]
    grid[batch.unconstrained_cell] = best_u
    level, position = grid.view(batch.n_materials, batch.n_positions).max(-1)
    row = packed_rows(batch).gather(1, position[:, None]).squeeze(1)
    is_constrained = batch.constrained_mask.gather(1, position[:, None]).squeeze(1)
    on_c, on_u = is_constrained.nonzero().flatten(), (~is_constrained).nonzero().flatten()
    w = streams.uniform(number, Draw.CLASS)
    elements, counts = torch.zeros_like(row), torch.ones_like(row)
    elements[on_c] = draw_categorical(logits[0][row[on_c], 1:], w[on_c])
    elements[on_u] = element[row[on_u]]
    counts[on_u] = 1 + draw_categorical(logits[1][row[on_u], elements[on_u], 1:], w[on_u])
    return Token(row, is_constrained, elements, counts), level, material_sum(batch, *q)
