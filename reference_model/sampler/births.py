"""Tokens one at a time, which loses nothing: jump, count head and first hitting."""

from __future__ import annotations

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import Diffusion, TokenLogits, material_sum
from ..streams import Draw, Streams
from ..transitions import draw_categorical
from .answers import ask, chances
from .materials import Network, Progress, Unfinished, packed_rows, uniforms
from .tokens import Token, draw_token


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
        answer = ask(network, batch, diffusion.schedule.nearest(u))
        token, level, expected = first_birth(answer, batch, running.streams, number)
        floor = torch.where(u <= last, 0.0, refresh)  # below the first step the network has no more to say
        born = level > floor
        running["done"] = done | (expected < stop) | (~born & (floor == 0))
        running.batch = token.apply(batch, born & ~running["done"])
        running["u"] = u * torch.where(born, level, floor)
    return running.whole


def first_birth(answer: TokenLogits, batch: Batch, streams: Streams, number: int) -> tuple[Token, Tensor, Tensor]:
    """The next token to be born, its level relative to u (-1 if none is left), and how many are expected; (B,)."""
    state = batch.constrained, batch.unconstrained
    chance = uniforms(batch, streams, number, Draw.LEVEL)
    q = [p * (x == 0) for p, x in zip(chances(answer), state, strict=True)]
    levels = [torch.where(w < p, w / p, -1.0) for w, p in zip(chance, q, strict=True)]  # U given w < p
    best_u, element = levels[1].max(-1)  # (U,)
    grid = torch.full((batch.n_materials * batch.n_positions,), -1.0, dtype=torch.float64, device=batch.device)
    grid[batch.constrained_cell] = levels[0]
    grid[batch.unconstrained_cell] = best_u
    level, position = grid.view(batch.n_materials, batch.n_positions).max(-1)
    row = packed_rows(batch).gather(1, position[:, None]).squeeze(1)
    is_constrained = batch.constrained_mask.gather(1, position[:, None]).squeeze(1)
    born = level > -1
    on_c, on_u = (is_constrained & born).nonzero().flatten(), (~is_constrained & born).nonzero().flatten()
    w = streams.uniform(number, Draw.CLASS)
    elements, counts = torch.zeros_like(row), torch.ones_like(row)
    elements[on_c] = draw_categorical(answer.constrained[row[on_c]], w[on_c])
    elements[on_u] = element[row[on_u]]
    counts[on_u] = 1 + draw_categorical(answer.count(row[on_u], elements[on_u]), w[on_u])
    return Token(row, is_constrained, elements, counts), level, material_sum(batch, *q)
