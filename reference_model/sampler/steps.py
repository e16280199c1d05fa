"""The reverse process in steps of all variables at once: all T of them, or a few."""

from __future__ import annotations

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import Diffusion, TokenLogits
from ..streams import Draw, Streams
from ..transitions import births, sample_posterior
from .answers import ask, chances, values
from .materials import Network, Progress, uniforms


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
        batch = reverse_step(ask(network, batch, t), batch, diffusion, streams, s, t, i + 1)
        if progress is not None:
            progress(n * (i + 1) // (len(grid) - 1), n)
    return batch


def ancestral(
    network: Network, batch: Batch, diffusion: Diffusion, streams: Streams, *, progress: Progress | None = None
) -> Batch:
    """All T steps (WyckoffDiff Algorithm 1), down to t = 0."""
    return strided(network, batch, diffusion, streams, n_steps=diffusion.schedule.T, spacing="t", progress=progress)


def reverse_step(
    answer: TokenLogits,
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
    chance = uniforms(batch, streams, number, Draw.POSTERIOR)
    state = batch.constrained, batch.unconstrained
    occupied = chances(answer)
    if diffusion.is_zeros:
        (c, c_left), (u, u_left) = (births(*of) for of in zip(occupied, state, steps, chance, strict=True))
        born = values(answer, (c, u), (c_left, u_left))
        return batch.with_state(*(x + v for x, v in zip(state, born, strict=True)))
    classes = uniforms(batch, streams, number, Draw.CLASS)
    c, u = (w < q for w, q in zip(classes, occupied, strict=True))
    left = [w / q for w, q in zip(classes, occupied, strict=True)]
    drawn = values(answer, (c, u), (left[0], left[1]))
    priors = diffusion.constrained_prior, diffusion.unconstrained_prior
    return batch.with_state(*(sample_posterior(*of) for of in zip(drawn, state, priors, steps, chance, strict=True)))
