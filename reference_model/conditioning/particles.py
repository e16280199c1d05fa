"""Sampling inside a condition: the jump sampler with masks, weights and resampling (sequential Monte Carlo).

Each choice is drawn from what is allowed and weighted by the probability of the allowed; the product is the exact
importance weight of a particle. Particles of a pool are resampled by weight when few of them carry most of it, and
at the end, so that samples follow the model's own law inside the condition; the mean weight estimates the
probability of the condition (Del Moral, Doucet and Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from wyckoffkit.errors import WyckoffkitError
from wyckoffkit.protostructure import Protostructure

from ..batch import Batch
from ..diffusion import MASKED, TokenLogits, legal, position_logits
from ..sampler import Token, draw_slot, packed_rows, replaced, select
from ..streams import Draw, Streams
from ..transitions import draw_categorical
from .constraints import Constraint, any_count
from .request import Request

Filter = Callable[[Protostructure], bool]
"""A condition that only finished materials can be asked, such as novelty."""


@dataclass(frozen=True, eq=False)
class Laws:
    """What of the model is not in the network."""

    space_group: Tensor
    """p̂(s), (231,)."""
    n_tokens: Tensor
    """p̂(n | s), (231, N + 1)."""


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


@dataclass(frozen=True, eq=False)
class Particles:
    """Unfinished materials of one request; pools follow each other."""

    batch: Batch
    n_left: Tensor
    """(P,) int64."""
    log_weight: Tensor
    """(P,) float64, -inf for one that cannot meet the request any more."""
    role_element: Tensor
    """(P, roles) int64, the element each role has got; 0 for none yet."""
    ancestor: Tensor
    """(P,) int64, the particle it descends from."""
    site_order: Tensor
    """(P, sites) int64, the order in which the sites asked for are occupied: random, as the model's own would be."""

    def ancestors(self, index: Tensor) -> Particles:
        rest = {name: getattr(self, name)[index] for name in self.__dataclass_fields__ if name != "batch"}
        return Particles(select(self.batch, index), **rest)


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
    progress: Callable[[int, int], None] | None = None,
) -> Conditioned:
    """``n_samples`` from each of ``n_pools`` pools, among which the particles (one a stream) are shared out evenly.

    A result depends on the streams of its pool alone. Raises WyckoffkitError for a request that
    nothing can meet, before any network call where that can be known, else when no particle is left.
    """
    device = streams.key.device
    constraints = request.constraints(n_elements, max_count, device)
    joint = request.law(laws.space_group.cpu(), laws.n_tokens.cpu(), constraints, n_elements)
    drawn = _draw_index(joint.flatten().to(device), streams.uniform(0, Draw.SPACE_GROUP))
    width = joint.shape[1]
    particles = Particles(
        Batch.empty(drawn // width, n_elements),
        drawn % width,
        torch.full((len(drawn),), float(joint.sum().log()) - math.log(request.n_equal_roles), device=device).double(),
        torch.tensor(request.site_elements, dtype=torch.int64, device=device).expand(len(drawn), -1).clone(),
        torch.arange(len(drawn), device=device),
        site_order(request, streams),
    )
    steps = int(particles.n_left.max())
    for number in range(1, steps + 1):
        particles = advance(network, request, constraints, particles, streams, number, max_count)
        particles = resample(particles, streams, number, n_pools)
        if progress is not None:
            progress(number, steps)
    return _finish(request, constraints, particles, streams, n_samples, n_pools, filters)


def _draw_index(mass: Tensor, uniform: Tensor) -> Tensor:
    """Indices of classes with masses (K,), by inversion."""
    cdf = mass.cumsum(0)
    return torch.searchsorted(cdf, uniform * cdf[-1], right=True).clamp(max=int(mass.nonzero().max()))


def advance(
    network: Any,
    request: Request,
    constraints: list[Constraint],
    particles: Particles,
    streams: Streams,
    number: int,
    max_count: int,
) -> Particles:
    """One more token for every particle that has some to come."""
    index = ((particles.n_left > 0) & particles.log_weight.isfinite()).nonzero().flatten()
    if len(index) == 0:
        return particles
    now, own = particles.ancestors(index), streams[index]
    batch, n_left = now.batch, now.n_left
    tokens = network.next_token(batch, n_left)
    open_slots = legal(tokens, batch)
    before = position_logits(open_slots, batch).logsumexp(-1)
    masks = [constraint.slots(batch, n_left) for constraint in constraints]
    site = None
    if number <= len(request.sites):
        site = _Planned.of(request, now, number)
        masks.append(site.slots(batch))
    slots = _masked(open_slots[0], [c for c, _ in masks]), _masked(open_slots[1], [u for _, u in masks])
    after = position_logits(slots, batch).logsumexp(-1)
    token = draw_slot(slots, batch, own, number)
    gained = after.double() - before.double()
    if site is not None:  # P(site in S0 | S, N) is N times the probability that it comes next
        gained = gained + n_left.log()
    token, of_counts = _draw_counts(tokens, token, batch, constraints, site, n_left, own, number, max_count)
    gained = torch.where(after > MASKED / 2, gained + of_counts, -math.inf)
    alive = gained.isfinite()
    roles = now.role_element if site is None else site.assigned(now.role_element, token.element + 1)
    return replace(
        particles,
        batch=replaced(particles.batch, index, token.apply(batch, alive)),
        n_left=particles.n_left.index_copy(0, index, n_left - 1),
        log_weight=particles.log_weight.index_add(0, index, gained),
        role_element=particles.role_element.index_copy(0, index, roles),
    )


def _masked(logits: Tensor, masks: list[Tensor]) -> Tensor:
    for mask in masks:
        logits = logits.masked_fill(~mask, MASKED)
    return logits


def _draw_counts(
    tokens: TokenLogits,
    token: Token,
    batch: Batch,
    constraints: list[Constraint],
    site: _Planned | None,
    n_left: Tensor,
    streams: Streams,
    number: int,
    max_count: int,
) -> tuple[Token, Tensor]:
    """Counts for tokens on unconstrained positions, and the log of the probability that was allowed, (b,)."""
    gained = torch.zeros(batch.n_materials, dtype=torch.float64, device=batch.device)
    on_u = (~token.is_constrained).nonzero().flatten()
    if len(on_u) == 0:
        return token, gained
    rows, elements = token.row[on_u], token.element[on_u]
    logits = tokens.count(rows, elements).double()
    allowed = any_count(rows, max_count)
    for constraint in constraints:
        allowed = allowed & constraint.counts(batch, n_left, rows, elements, max_count)
    if site is not None:
        allowed = allowed & site.counts(on_u, max_count)
    masked = logits.masked_fill(~allowed, -math.inf)
    log_mass = masked.logsumexp(-1) - logits.logsumexp(-1)
    drawn = draw_categorical(masked, streams.uniform(number, Draw.COUNT)[on_u])
    return token.with_counts(on_u, 1 + drawn), gained.index_copy(0, on_u, log_mass)


def site_order(request: Request, streams: Streams) -> Tensor:
    """A random order of the sites for each particle, (P, sites)."""
    n = len(request.sites)
    particle = torch.arange(len(streams.key), device=streams.key.device)
    slot = torch.arange(n, device=streams.key.device).expand(len(particle), n)
    return streams.uniform_slots(0, Draw.POSITION, particle, slot).argsort(1)


@dataclass(frozen=True, eq=False)
class _Planned:
    """The site that each material (b,) occupies in this step."""

    position: Tensor
    role: Tensor
    count: Tensor
    allowed: Tensor
    """(b, E) bool elements that its role may have."""

    @classmethod
    def of(cls, request: Request, particles: Particles, number: int) -> _Planned:
        device = particles.batch.device
        table = torch.tensor([[s.position, s.role, s.count] for s in request.sites], device=device)
        position, role, count = table[particles.site_order[:, number - 1]].unbind(1)
        elements = torch.arange(1, particles.batch.n_elements + 1, device=device)
        known = particles.role_element.gather(1, role[:, None])  # (b, 1)
        taken = (particles.role_element[:, :, None] == elements).any(1)  # (b, E)
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

    def assigned(self, role_element: Tensor, element: Tensor) -> Tensor:
        return role_element.scatter(1, self.role[:, None], element[:, None])


def resample(particles: Particles, streams: Streams, number: int, n_pools: int) -> Particles:
    """Within pools whose effective sample size is under half, replace particles by copies of heavier ones."""
    log_weight = particles.log_weight.view(n_pools, -1)
    K = log_weight.shape[1]
    total = log_weight.logsumexp(1)
    poor = (effective(log_weight) < K / 2) & total.isfinite()
    if not bool(poor.any()):
        return particles
    uniform = streams.uniform(number, Draw.RESAMPLE).view(n_pools, K)[:, 0]
    chosen = systematic(log_weight, K, uniform)
    identity = torch.arange(K, device=chosen.device)
    first = torch.arange(n_pools, device=chosen.device)[:, None] * K
    index = (torch.where(poor[:, None], chosen, identity) + first).flatten()
    even = torch.where(poor[:, None], (total - math.log(K))[:, None], log_weight)
    return replace(particles.ancestors(index), log_weight=even.flatten())


def effective(log_weight: Tensor) -> Tensor:
    """(Σw)² / Σw² of each row of (n_pools, K); 0 where all weights are 0."""
    ratio = (2 * log_weight.logsumexp(1) - (2 * log_weight).logsumexp(1)).exp()
    return ratio.nan_to_num(nan=0.0)


def systematic(log_weight: Tensor, n: int, uniform: Tensor) -> Tensor:
    """n indices a row of (n_pools, K), each as often as its share of the weight, to within one: (n_pools, n)."""
    cdf = torch.softmax(log_weight.nan_to_num(nan=-math.inf), 1).nan_to_num(nan=0.0).cumsum(1)
    at = (torch.arange(n, device=uniform.device) + uniform[:, None]) / n * cdf[:, -1:]
    last = (cdf < cdf[:, -1:]).sum(1, keepdim=True)
    return torch.minimum(torch.searchsorted(cdf, at, right=True), last.clamp(max=cdf.shape[1] - 1))


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
    if filters and len(met):
        columns = select(particles.batch, met).to_columns()
        passed = [all(wanted(columns.protostructure(i)) for wanted in filters) for i in range(len(columns))]
        met = met[torch.tensor(passed, device=met.device)]
    if len(met) == 0:
        raise WyckoffkitError(f"none of {len(particles.n_left)} particles met the request: it is rare, or impossible")
    log_weight = torch.full_like(particles.log_weight, -math.inf)
    log_weight[met] = particles.log_weight[met]
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
        _effective_ancestors(log_weight, particles.ancestor),
        log_weight.logsumexp(1) - math.log(K),
    )


def _effective_ancestors(log_weight: Tensor, ancestor: Tensor) -> Tensor:
    """1 / Σ (share of a pool's weight that descends from each first particle)², (n_pools,); 0 without any weight."""
    share = torch.softmax(log_weight, 1).nan_to_num(nan=0.0).flatten()
    of_first = torch.zeros_like(share).index_add(0, ancestor, share).view_as(log_weight)
    squares = of_first.square().sum(1)
    return torch.where(squares > 0, 1 / squares, 0.0)


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
