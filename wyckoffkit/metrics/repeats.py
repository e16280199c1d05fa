"""How often items repeat, and how many a reference lacks: uniqueness, its size-free forms, rarefaction, novelty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import lgamma, sqrt

import numpy as np
from numpy.typing import NDArray

from .estimate import Estimate, Z, proportion

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def multiplicities(items: Iterable[Hashable]) -> Counts:
    """How often each distinct item occurs, in order of first occurrence."""
    return np.fromiter(Counter(items).values(), dtype=np.int64)


def uniqueness(items: Iterable[Hashable]) -> Estimate:
    """Distinct items as a share of all. Falls with the sample's size: compare equal sizes, or use the two below.

    The interval is Wilson's for repeats taken as independent, which is near exact for rare repeats, too wide for many.
    """
    counts = multiplicities(items)
    return proportion(len(counts), int(counts.sum()))


def collision_probability(items: Iterable[Hashable]) -> Estimate:
    """P(two draws are equal), free of the sample's size: unbiased, Σ c (c - 1) / (n (n - 1)), jackknife interval.

    Its inverse is the effective number of materials that the generator knows (Simpson 1949). Where no two items are
    equal, the upper end is the probability at which that would happen in 2.5 % of samples.
    """
    counts = multiplicities(items)
    n = int(counts.sum())
    if n < 2:
        return Estimate(float("nan"), 0.0, 1.0, n)
    pairs = n * (n - 1)
    total = int((counts * (counts - 1)).sum())
    if total == 0:
        return Estimate(0.0, 0.0, min(1.0, 3.689 / (pairs / 2)), n)
    if n == 2:
        return Estimate(1.0, 0.0, 1.0, n)
    left_out = (total - 2 * (counts - 1)) / ((n - 1) * (n - 2))
    mean = float((counts * left_out).sum()) / n
    error = sqrt((n - 1) / n * float((counts * (left_out - mean) ** 2).sum()))
    value = total / pairs
    return Estimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error), n)


def rarefaction(counts: Counts, sizes: Sequence[int], *, n_draws: int | None = None) -> Floats:
    """Expected distinct items among m of the n draws, for each m ≤ n of `sizes` (Hurlbert 1971): comparable
    between samples of unlike sizes at a common m. `n_draws` where some draws were of no item that counts.

    Raises ValueError where a size is above n.
    """
    n = int(counts.sum()) if n_draws is None else n_draws
    values, times = np.unique(counts, return_counts=True)
    expected = []
    for m in sizes:
        if not 0 <= m <= n:
            raise ValueError(f"rarefaction to {m} draws needs as many, got {n}")
        # P(an item that occurs c times is missed) = C(n - c, m) / C(n, m).
        missed = [
            np.exp(lgamma(n - c + 1) - lgamma(n - c - m + 1) - lgamma(n + 1) + lgamma(n - m + 1)) if c <= n - m else 0.0
            for c in values.tolist()
        ]
        expected.append(float((times * (1 - np.array(missed))).sum()))
    return np.array(expected)


def distinct_with_replacement(counts: Counts, n: int) -> float:
    """Expected distinct items in n draws with replacement from items held `counts` times: Σ 1 - (1 - c / N)^n.

    What a generator shows that knows one set of materials and nothing else; about n - n² / 2N of N distinct ones.
    """
    values, times = np.unique(counts, return_counts=True)
    return float((times * (1 - (1 - values / counts.sum()) ** n)).sum())


def unseen_probability(counts: Counts) -> Estimate:
    """P(the next draw was never drawn before), by Good (1953) and Turing: singletons / n."""
    return proportion(int((counts == 1).sum()), int(counts.sum()))


def novelty(is_known: Sequence[bool] | NDArray[np.bool_]) -> Estimate:
    """The share of items that a reference does not hold. Read it beside the share for held-out real data."""
    known = np.asarray(is_known, dtype=bool)
    return proportion(int((~known).sum()), len(known))
