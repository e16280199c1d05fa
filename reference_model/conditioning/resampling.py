"""Particles and their weights: how many they are worth, and copies of the heavier ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch
from ..sampler import select
from ..streams import Draw, Streams


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


def resampled(
    log_weight: Tensor, outlook: Tensor, streams: Streams, number: int, n_pools: int
) -> tuple[Tensor, Tensor]:
    """Whom each particle (P,) is a copy of, and its log weight; pools that are worth over half stay as they are.

    Particles are chosen by weight times outlook (both log), and the outlook is taken off the weights again.
    """
    total_weight = (log_weight + outlook).view(n_pools, -1)
    K = total_weight.shape[1]
    total = total_weight.logsumexp(1)
    poor = (effective(total_weight) < K / 2) & total.isfinite()
    identity = torch.arange(len(log_weight), device=log_weight.device)
    if not bool(poor.any()):
        return identity, log_weight
    uniform = streams.uniform(number, Draw.RESAMPLE).view(n_pools, K)[:, 0]
    first = torch.arange(n_pools, device=log_weight.device)[:, None] * K
    chosen = (systematic(total_weight, K, uniform) + first).flatten()
    is_poor = poor.repeat_interleave(K)
    source = torch.where(is_poor, chosen, identity)
    even = (total - math.log(K)).repeat_interleave(K) - outlook[source]
    return source, torch.where(is_poor, even, log_weight)


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


def effective_ancestors(log_weight: Tensor, ancestor: Tensor) -> Tensor:
    """1 / Σ (share of a pool's weight that descends from each first particle)², (n_pools,); 0 without any weight."""
    share = torch.softmax(log_weight, 1).nan_to_num(nan=0.0).flatten()
    of_first = torch.zeros_like(share).index_add(0, ancestor, share).view_as(log_weight)
    squares = of_first.square().sum(1)
    return torch.where(squares > 0, 1 / squares, 0.0)
