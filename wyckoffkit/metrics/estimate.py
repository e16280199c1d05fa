"""A number with its 95 % interval: proportions, quantiles, ratios of counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of the normal distribution.
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its 95 % interval, and what it was measured on."""

    value: float
    low: float
    high: float
    n: int
    """Materials (or pairs of them, where the docstring says so) behind the number."""

    def to_dict(self) -> dict[str, float | int]:
        """For JSON."""
        return asdict(self)


def proportion(successes: int, n: int) -> Estimate:
    """successes / n with Wilson's score interval (Wilson 1927), which is honest at 0 and 1 too; NaN for n = 0."""
    if n == 0:
        return Estimate(float("nan"), 0.0, 1.0, 0)
    p = successes / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Estimate(p, max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if p < 1 else 1.0, n)


def quantile(values: NDArray[Any], q: float) -> Estimate:
    """A quantile with the order statistics that bound it (normal approximation to the binomial)."""
    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    if n == 0:
        return Estimate(float("nan"), float("-inf"), float("inf"), 0)
    half = Z * sqrt(n * q * (1 - q))
    low, high = (int(np.clip(np.floor(k), 0, n - 1)) for k in (n * q - half - 1, n * q + half + 1))
    value = float(np.quantile(ordered, q))
    return Estimate(value, min(value, float(ordered[low])), max(value, float(ordered[high])), n)


def ratio_of_counts(a: int, b: int) -> Estimate:
    """a / b of two Poisson counts with the exact-like interval of the share a / (a + b)."""
    share = proportion(a, a + b)
    value = a / b if b else float("inf") if a else float("nan")
    odds = [s / (1 - s) if s < 1 else float("inf") for s in (share.low, share.high)]
    return Estimate(value, odds[0], odds[1], a + b)
