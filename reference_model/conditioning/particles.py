"""Sampling inside a condition: the jump sampler with masks, weights, look-ahead and resampling.

Each token is drawn from what is allowed, the missing required elements favoured, and weighted by the probability that
the model gives it over that of drawing it; the product is the exact importance weight of a particle. Before a token is
drawn, particles are resampled by that weight times an outlook: what the network's answer says of the chance that the
tokens to come will be allowed too, and bring the elements that are required. Copies part at once, since they draw
different tokens, and what the outlook adds is taken off again, so that samples follow the model's own law inside the
condition whatever it says; the mean weight estimates the probability of the condition (Del Moral, Doucet and Jasra
2006, doi:10.1111/j.1467-9868.2006.00553.x; Pitt and Shephard 1999, doi:10.1080/01621459.1999.10474153).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wyckoffkit.encoding import WyckoffColumns
from wyckoffkit.errors import WyckoffkitError

from ..batch import Batch
from ..sampler import replaced, select
from ..streams import Draw, Streams
from .constraints import Constraint
from .opening import first_particles, outlook_of
from .proposal import Proposal, propose
from .request import Laws, Request
from .resampling import Particles, effective_ancestors, resampled, systematic
from .sites import meets

Filter = Callable[[WyckoffColumns], np.ndarray[Any, np.dtype[Any]]]
"""A condition that only finished materials can be asked, such as novelty: (N,) bool; or weights, 0 for rejected."""


class NoneMet(WyckoffkitError):
    """No particle met a request: it is rare, or impossible."""


@dataclass(frozen=True, eq=False)
class Conditioned:
    """Samples that meet a request, and how hard that was."""

    batch: Batch
    """Samples of the pools in turn; a pool in which no particle met the request has none."""
    pool: Tensor
    """(n,) int64."""
    satisfaction: float
    """Fraction of the samples that meet the request: 1 unless there are none."""
    effective_particles: Tensor
    """(n_pools,) effective sample size: 1 / Σ (share of the weight)² over first ancestors, a cautious count.

    Copies made by resampling count as one until they are told apart (Lee and Whiteley 2018, doi:10.1093/biomet/asy028).
    """
    log_probability: Tensor
    """(n_pools,) log of an unbiased estimate of the probability that an unconditioned sample meets the request."""

    def probability(self) -> tuple[float, float]:
        """The estimate over all pools and its standard error."""
        p = self.log_probability.exp()
        return float(p.mean()), float(p.std() / len(p) ** 0.5) if len(p) > 1 else math.nan


@torch.no_grad()
def sample_request(
    network: Any,
    request: Request,
    laws: Laws,
    streams: Streams,
    *,
    n_samples: int,
    n_pools: int = 1,
    n_elements: int = 100,
    max_count: int = 54,
    filters: Sequence[Filter] = (),
    opening_outlook: Tensor | None = None,
    look_ahead: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Conditioned:
    """``n_samples`` from each of ``n_pools`` pools, among which the particles (one a stream) are shared out evenly.

    A result depends on the streams of its pool alone. ``opening_outlook`` is what `opening` found, if it is known;
    without ``look_ahead`` there are masks and weights alone. Raises WyckoffkitError for a request that
    nothing can meet, before any network call where that can be known, else when no particle is left.
    """
    device = streams.key.device
    constraints = request.constraints(n_elements, max_count, device)
    joint = request.law(laws.space_group.cpu(), laws.n_tokens.cpu(), constraints, n_elements)
    if opening_outlook is None:
        opening_outlook = torch.zeros_like(joint)
        if look_ahead:
            opening_outlook = outlook_of(network, request, constraints, joint, n_elements, device)
    particles = first_particles(request, joint, opening_outlook, streams, n_pools, n_elements)
    steps = int(particles.n_left.max())
    for number in range(1, steps + 1):
        particles = advance(
            network, request, constraints, particles, streams, number, max_count, n_pools, look_ahead=look_ahead
        )
        if progress is not None:
            progress(number, steps)
    return _finish(request, constraints, particles, streams, n_samples, n_pools, filters)


def advance(
    network: Any,
    request: Request,
    constraints: list[Constraint],
    particles: Particles,
    streams: Streams,
    number: int,
    max_count: int,
    n_pools: int,
    *,
    look_ahead: bool,
) -> Particles:
    """One more token for every particle that has some to come, after resampling by the outlook on it."""
    active = (particles.n_left > 0) & particles.log_weight.isfinite()
    index = active.nonzero().flatten()
    if len(index) == 0:
        return particles
    now = particles.ancestors(index)
    proposal = propose(
        network,
        request,
        constraints,
        now.batch,
        now.n_left,
        now.site_order,
        now.role_element,
        number,
        look_ahead=look_ahead,
    )
    outlook = torch.zeros_like(particles.log_weight).index_copy(0, index, proposal.outlook)
    source, log_weight = resampled(particles.log_weight, outlook, streams, number, n_pools)
    particles = replace(particles.ancestors(source), log_weight=log_weight)
    state = torch.full_like(source, -1).index_copy(0, index, torch.arange(len(index), device=index.device))[source]
    drawing = (state >= 0).nonzero().flatten()
    if len(drawing) == 0:  # all are copies of finished ones
        return particles
    return _draw(proposal, constraints, particles, drawing, state[drawing], streams, number, max_count)


def _draw(
    proposal: Proposal,
    constraints: list[Constraint],
    particles: Particles,
    index: Tensor,
    state: Tensor,
    streams: Streams,
    number: int,
    max_count: int,
) -> Particles:
    """A token for the particles ``index`` (k,), whose states the proposal knows as ``state`` (k,)."""
    now = particles.ancestors(index)
    token, gained = proposal.draw(constraints, now.batch, now.n_left, state, streams[index], number, max_count)
    alive = gained.isfinite()
    return replace(
        particles,
        batch=replaced(particles.batch, index, token.apply(now.batch, alive)),
        n_left=particles.n_left.index_copy(0, index, now.n_left - 1),
        log_weight=particles.log_weight.index_add(0, index, gained),
        role_element=particles.role_element.index_copy(
            0, index, proposal.assigned(now.role_element, state, token.element + 1)
        ),
    )


def _finish(
    request: Request,
    constraints: list[Constraint],
    particles: Particles,
    streams: Streams,
    n_samples: int,
    n_pools: int,
    filters: Sequence[Filter],
) -> Conditioned:
    met = (meets(request, constraints, particles.batch) & particles.log_weight.isfinite()).nonzero().flatten()
    gained = torch.zeros_like(particles.log_weight)
    if filters and len(met):
        columns = select(particles.batch, met).to_columns()
        for wanted in filters:
            weight = wanted(columns)
            passed = weight.nonzero()[0]
            columns, met = columns.select(passed), met[torch.from_numpy(passed).to(met.device)]
            gained[met] += torch.from_numpy(weight[passed]).to(gained).log()
    if len(met) == 0:
        raise NoneMet(f"none of {len(particles.n_left)} particles met the request: it is rare, or impossible")
    log_weight = torch.full_like(particles.log_weight, -math.inf)
    log_weight[met] = particles.log_weight[met] + gained[met]
    log_weight = log_weight.view(n_pools, -1)
    K = log_weight.shape[1]
    pool = log_weight.logsumexp(1).isfinite().nonzero().flatten()
    own = streams[pool * K]
    places = torch.arange(n_samples, device=pool.device).expand(len(pool), n_samples)
    shuffle = own.uniform_slots(0, Draw.COUNT, torch.arange(len(pool), device=pool.device), places).argsort(1)
    chosen = systematic(log_weight[pool], n_samples, own.uniform(0, Draw.RESAMPLE)).gather(1, shuffle)
    batch = select(particles.batch, (chosen + pool[:, None] * K).flatten())
    return Conditioned(
        batch,
        pool.repeat_interleave(n_samples),
        float(meets(request, constraints, batch).double().mean()),
        effective_ancestors(log_weight, particles.ancestor),
        log_weight.logsumexp(1) - math.log(K),
    )
