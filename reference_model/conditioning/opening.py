"""How a request begins: space groups and numbers of tokens, drawn by their probability times their outlook."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..streams import Draw, Streams
from .constraints import Constraint
from .proposal import propose
from .request import Laws, Request
from .resampling import Particles
from .sites import site_order

OPENING_SHARE = 0.999
"""Of the probability of (space group, tokens) whose outlook is asked of the network; the rest gets the mean outlook."""
OPENING_STATES = 512
"""So many of them at once."""


@torch.no_grad()
def opening(
    network: Any, request: Request, laws: Laws, n_elements: int, max_count: int, device: torch.device
) -> Tensor:
    """Outlook of an empty material of each space group and number of tokens, (231, N + 1) float64, log.

    A function of the model and the request alone: found once, it serves all pools.
    """
    constraints = request.constraints(n_elements, max_count, device)
    joint = request.law(laws.space_group.cpu(), laws.n_tokens.cpu(), constraints, n_elements)
    return outlook_of(network, request, constraints, joint, n_elements, device)


def outlook_of(
    network: Any,
    request: Request,
    constraints: list[Constraint],
    joint: Tensor,
    n_elements: int,
    device: torch.device,
) -> Tensor:
    """`opening` for a law ``joint`` (231, N + 1) of space groups and numbers of tokens inside the request."""
    flat = joint.flatten()
    order = flat.argsort(descending=True, stable=True)
    n = int((flat[order].cumsum(0) < OPENING_SHARE * flat.sum()).sum()) + 1
    chosen = order[: min(n, int((flat > 0).sum()))]
    found = []
    for part in chosen.split(OPENING_STATES):
        start = _empty(part.to(device), joint.shape[1], n_elements)
        order_of_sites = torch.arange(len(request.sites), device=device).expand(len(part), -1)
        found.append(
            propose(
                network,
                request,
                constraints,
                start,
                (part % joint.shape[1]).to(device),
                order_of_sites,
                _start_roles(request, len(part), device),
                1,
                look_ahead=True,
            ).outlook.cpu()
        )
    outlook = torch.cat(found)
    finite = outlook[outlook.isfinite()]
    mean = finite.mean() if len(finite) else torch.zeros((), dtype=torch.float64)
    table = torch.full_like(flat, float(mean))
    table[chosen] = outlook.clamp(min=float(mean) - 20)  # what seems hopeless stays possible
    return table.view_as(joint)


def _start_roles(request: Request, n: int, device: torch.device) -> Tensor:
    return torch.tensor(request.site_elements, dtype=torch.int64, device=device).expand(n, -1).clone()


def _empty(cell: Tensor, width: int, n_elements: int) -> Batch:
    """Materials (k,) of the groups in whose rows of a table `width` wide these cells lie."""
    return Batch.empty(cell // width, n_elements)


def first_particles(
    request: Request, joint: Tensor, opening: Tensor, streams: Streams, n_pools: int, n_elements: int
) -> Particles:
    """Space groups and numbers of tokens, by their probability times the outlook, evenly spread within a pool."""
    device = streams.key.device
    K = len(streams.key) // n_pools
    twisted = (joint.log() + opening).flatten()
    mass = (twisted - twisted.max()).exp().to(device)
    first = streams.uniform(0, Draw.SPACE_GROUP).view(n_pools, K)[:, :1]
    drawn = _draw_index(mass, ((torch.arange(K, device=device) + first) / K).flatten())
    weight = float(twisted.logsumexp(0)) - math.log(request.n_equal_roles) - opening.flatten().to(device)[drawn]
    return Particles(
        _empty(drawn, joint.shape[1], n_elements),
        drawn % joint.shape[1],
        weight,
        _start_roles(request, len(drawn), device),
        torch.arange(len(drawn), device=device),
        site_order(request, streams),
    )


def _draw_index(mass: Tensor, uniform: Tensor) -> Tensor:
    """Indices of classes with masses (K,), by inversion."""
    cdf = mass.cumsum(0)
    return torch.searchsorted(cdf, uniform * cdf[-1], right=True).clamp(max=int(mass.nonzero().max()))
