"""Chi-square probabilities and total variation, for tests that sample."""

from __future__ import annotations

import torch
from torch import Tensor


def chi_square_p(observed: Tensor, expected: Tensor, min_expected: float = 5.0) -> float:
    """The p-value of counts (K,) given expected counts (K,); 0 where the impossible occurred.

    Cells expected less than `min_expected` times are pooled.
    """
    observed, expected = observed.double(), expected.double()
    if bool((observed[expected <= 0] > 0).any()):
        return 0.0
    small = expected < min_expected
    o = torch.cat([observed[~small], observed[small].sum().reshape(1)])
    e = torch.cat([expected[~small], expected[small].sum().reshape(1)])
    o, e = o[e > 0], e[e > 0]
    if len(o) == 1:
        return 1.0
    statistic = ((o - e) ** 2 / e).sum()
    return float(torch.special.gammaincc(torch.tensor((len(o) - 1) / 2, dtype=torch.float64), statistic / 2))


def total_variation(p: Tensor, q: Tensor) -> float:
    """½ Σ |p - q| of two vectors of counts or probabilities, each normalised."""
    return float((p.double() / p.sum() - q.double() / q.sum()).abs().sum() / 2)
