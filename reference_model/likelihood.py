"""Bits a material: bounds on -log2 p of every trained model, with the standard error of their estimate.

All are per material and in the setting at hand. A crystal has several equivalent settings (choices of origin and
axes); `over_settings` adds up their probabilities, so that the material is scored and not the setting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .batch import Batch
from .diffusion import Diffusion, bound_terms, jump_targets, jump_terms
from .sampler import uniforms
from .streams import Draw, Streams

NAT = 1 / math.log(2)
"""Bits."""


@dataclass(frozen=True, eq=False)
class Bits:
    """Estimates of a bound on -log2 p, one a material."""

    bits: Tensor
    """(B,) float64."""
    standard_error: Tensor
    """(B,) float64, of the estimate (Monte Carlo), not of the material."""

    def mean(self) -> tuple[float, float]:
        """The mean over materials and its standard error, which holds the spread of materials and of the estimates."""
        n = len(self.bits)
        return float(self.bits.mean()), float(self.bits.std() / n**0.5) if n > 1 else math.inf

    def plus(self, bits: Tensor) -> Bits:
        return Bits(self.bits + bits, self.standard_error)


def _estimate(draws: Tensor, exact: Tensor) -> Bits:
    """Mean of draws (n_draws, B) plus an exact part (B,), all in nats."""
    n = len(draws)
    error = draws.std(0) / n**0.5 if n > 1 else torch.full_like(exact, math.inf)
    return Bits((draws.mean(0) + exact) * NAT, error * NAT)


def space_group_bits(space_group: Tensor, probability: Tensor) -> Tensor:
    """-log2 p̂(s), (B,); ``probability`` (231,), entry 0 is no group. A group without probability costs infinity."""
    return -probability.double()[space_group].log2()


def token_count_bits(space_group: Tensor, n_tokens: Tensor, law: Tensor) -> Tensor:
    """-log2 p̂(n | s), (B,), of a law (231, N + 1); infinity beyond its largest n."""
    last = law.shape[1] - 1
    return -torch.where(n_tokens <= last, law.double()[space_group, n_tokens.clamp(max=last)], 0.0).log2()


def token_law(token_count: Tensor, prior_weight: float = 1.0) -> Tensor:
    """p̂(n | s) (231, N + 1) from counts of materials, shrunk towards the law of all groups together.

    ``prior_weight`` is what that law counts for in materials; it is itself smoothed by half a material for each n ≥ 1,
    so that no number of tokens has probability 0.
    """
    pooled = token_count.double().sum(0) + 0.5
    pooled[0] = 0
    smoothed = token_count.double() + prior_weight * pooled / pooled.sum()
    return smoothed / smoothed.sum(-1, keepdim=True)


@torch.no_grad()
def variational_bound(
    network: Any,
    batch0: Batch,
    diffusion: Diffusion,
    generator: torch.Generator | None = None,
    *,
    n_draws: int = 16,
) -> Bits:
    """-log2 p(x0 | s) ≤ Σ_t KL_t for any prior, from ``n_draws`` network calls at stratified t."""
    B, draws = batch0.n_materials, []
    shifts = torch.rand(n_draws, B, generator=generator, device=batch0.device, dtype=torch.float64)
    for i in range(n_draws):
        draws.append(variational_draw(network, batch0, diffusion, (i + shifts[i]) / n_draws, generator))
    return _estimate(torch.stack(draws), torch.zeros(B, dtype=torch.float64, device=batch0.device))


def variational_draw(
    network: Any, batch0: Batch, diffusion: Diffusion, level: Tensor, random: torch.Generator | Streams | None
) -> Tensor:
    """T times one term of the variational bound in nats, (B,): at the step where `level` (B,) in [0, 1) falls."""
    T = diffusion.schedule.T
    t = (level * T).long().clamp(max=T - 1) + 1
    batch_t = diffusion.noise(batch0, t, **_noise(batch0, random))
    return T * bound_terms(diffusion, network(batch_t, t), batch0, batch_t, t).double()


def jump_draw(network: Any, batch0: Batch, level: Tensor, random: torch.Generator | Streams | None) -> Tensor:
    """n times one term of the jump bound in nats, (B,): with the r tokens kept where `level` (B,) in [0, 1) falls."""
    n = batch0.n_tokens()
    r = torch.minimum((level * n).long(), (n - 1).clamp(min=0))
    targets = jump_targets(batch0, r=r, **_noise(batch0, random))
    return n * jump_terms(network.next_token(targets.batch, targets.n_left), targets).double()


def _noise(batch: Batch, random: torch.Generator | Streams | None) -> dict[str, Any]:
    """Numbers from a generator depend on the batch; from streams on each material's own alone."""
    if isinstance(random, Streams):
        return {"uniform": uniforms(batch, random, 0, Draw.SUBSET)}
    return {"generator": random}


@torch.no_grad()
def jump_bound(
    network: Any,
    batch0: Batch,
    generator: torch.Generator | None = None,
    *,
    n_draws: int = 4,
    p_n: Tensor | None = None,
) -> Bits:
    """-log2 p(x0 | s) of a jump model, from ``n_draws`` network calls at stratified numbers r of kept tokens.

    -log p(n | s) - log n! + n · E_r E_S [-(1/N) Σ_τ log p(τ | S, N)]; equality holds for the exact denoiser.
    p(n | s) comes from ``p_n`` (231, N_max + 1), by default from the count head.
    """
    n = batch0.n_tokens()
    shifts = torch.rand(batch0.n_materials, generator=generator, device=batch0.device, dtype=torch.float64)
    draws = []
    for i in range(n_draws):
        draws.append(jump_draw(network, batch0, (i + shifts) / n_draws, generator))
    return _estimate(torch.stack(draws), -_log_n(network, batch0, n, p_n) - torch.lgamma(n.double() + 1))


def _log_n(network: Any, batch0: Batch, n: Tensor, p_n: Tensor | None) -> Tensor:
    """log p(n | s), (B,) float64; -inf beyond the largest n of the law."""
    if p_n is None:
        log_p = network.n_left_logits(Batch.empty(batch0.space_group, batch0.n_elements)).double().log_softmax(-1)
    else:
        return -token_count_bits(batch0.space_group, n, p_n.to(batch0.device)) / NAT
    last = log_p.shape[1] - 1
    found = log_p.gather(1, n.clamp(max=last)[:, None]).squeeze(1)
    return torch.where(n <= last, found, -math.inf)


def over_settings(of_settings: Bits, material: Tensor, n_materials: int) -> Bits:
    """-log2 Σ p over the distinct equivalent settings of each material; ``material`` (S,) says whose each is."""
    low = torch.full((n_materials,), math.inf, dtype=torch.float64, device=material.device)
    low = low.scatter_reduce(0, material, of_settings.bits, "amin")
    weight = torch.exp2(low[material] - of_settings.bits)
    total = torch.zeros_like(low).index_add(0, material, weight)
    share = weight / total[material]
    variance = torch.zeros_like(low).index_add(0, material, (share * of_settings.standard_error) ** 2)
    return Bits(low - total.log2(), variance.sqrt())


def rank(bits: Sequence[float] | Tensor) -> list[int]:
    """Indices from the likeliest to the least likely."""
    return [int(i) for i in torch.as_tensor(bits).argsort(stable=True)]
