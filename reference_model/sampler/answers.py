"""p(x0 | x_t) as samplers ask for it: whether a variable is empty, and its value only where it is not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..batch import Batch
from ..diffusion import TokenLogits
from ..transitions import draw_categorical, odds

CERTAIN = 60.0
"""Log-odds of what is certain: its probability is 1 in float64, and values still keep their odds among themselves."""


def ask(network: Any, batch: Batch, t: Tensor) -> TokenLogits:
    """What a D3PM network says of x0 at t (B,), in factors; a plain `network(batch, t)` gives all its logits first."""
    if hasattr(network, "occupancy"):
        return network.occupancy(batch, t)
    return factors(*network(batch, t))


def factors(constrained: Tensor, unconstrained: Tensor) -> TokenLogits:
    """Logits (C, E + 1), (U, E, P + 1) as log-odds against empty, and counts where they are asked."""
    empty = torch.maximum(constrained[:, 0], constrained.amax(-1) - CERTAIN)
    return TokenLogits(
        constrained[:, 1:] - empty[:, None],
        odds(unconstrained).log(),
        lambda rows, elements: unconstrained[rows, elements, 1:],
    )


def chances(answer: TokenLogits) -> tuple[Tensor, Tensor]:
    """1 - p_0 of each variable, float64 (C,) and (U, E)."""
    return (
        torch.special.expit(answer.constrained.double().logsumexp(-1)),
        torch.special.expit(answer.unconstrained.double()),
    )


def values(answer: TokenLogits, chosen: tuple[Tensor, Tensor], uniform: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Values above 0 of the variables where `chosen` (C,), (U, E) holds, else 0; from numbers in [0, 1) there."""
    c, (u, e) = chosen[0].nonzero().flatten(), chosen[1].nonzero(as_tuple=True)
    constrained = torch.zeros_like(chosen[0], dtype=torch.int64)
    unconstrained = torch.zeros_like(chosen[1], dtype=torch.int64)
    of_c = 1 + draw_categorical(answer.constrained[c], uniform[0][c])
    of_u = 1 + draw_categorical(answer.count(u, e), uniform[1][u, e])
    return constrained.index_copy(0, c, of_c), unconstrained.index_put((u, e), of_u)
