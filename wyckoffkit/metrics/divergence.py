"""How far the categories of samples lie from a reference's: Jensen–Shannon, Wasserstein, χ²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .categories import COUNTED, Categories
from .estimate import Estimate, Z

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    """The divergence of two vectors of counts, in bits: 0 for equal shapes, 1 for disjoint ones (Lin 1991)."""
    if p.sum() == 0 or q.sum() == 0:
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def against(x: Floats) -> float:
        on = x > 0
        return float((x[on] * np.log2(x[on] / middle[on])).sum())

    return max(0.0, (against(p) + against(q)) / 2)


def wasserstein(p: NDArray[Any], q: NDArray[Any]) -> float:
    """The 1-Wasserstein distance of counts over 0, 1, 2 …, in units of one category."""
    if p.sum() == 0 or q.sum() == 0:
        return float("nan")
    return float(np.abs(np.cumsum(p / p.sum() - q / q.sum())).sum())


def chi_squared(p: NDArray[Any], q: NDArray[Any]) -> tuple[float, int]:
    """(χ² of homogeneity of two vectors of counts, its degrees of freedom); categories that both lack do not count."""
    on = (p + q) > 0
    p, q = p[on].astype(np.float64), q[on].astype(np.float64)
    if p.sum() == 0 or q.sum() == 0:
        return float("nan"), 0
    ratio = np.sqrt(q.sum() / p.sum())
    return float(((p * ratio - q / ratio) ** 2 / (p + q)).sum()), len(p) - 1


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far a sample's categories lie from a reference's."""

    jensen_shannon: Estimate
    """In bits."""
    floor: float
    """Mean divergence of as many draws from the reference itself: finite samples are never at 0."""
    chi_squared: float
    """Of homogeneity; compare it with its degrees of freedom."""
    degrees_of_freedom: int
    wasserstein: Estimate | None = None
    """For whole numbers alone."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "jensen_shannon_bits": {**self.jensen_shannon.to_dict(), "floor": self.floor},
            "chi_squared": self.chi_squared,
            "degrees_of_freedom": self.degrees_of_freedom,
            "wasserstein": None if self.wasserstein is None else self.wasserstein.to_dict(),
        }


def divergence(
    sample: Categories, reference: Counts, generator: np.random.Generator, *, n_resamples: int = 200
) -> Divergence:
    """Divergences of a sample from a reference's counts, their intervals (value ± z · bootstrap error over materials)
    and the floor (multinomial draws from the reference).
    """
    counts = sample.counts
    total, n = int(counts.sum()), sample.n_materials
    if total == 0 or reference.sum() == 0:
        unknown = Estimate(float("nan"), 0.0, 1.0, n)
        return Divergence(unknown, float("nan"), float("nan"), 0)
    drawn = [sample.resampled(generator) for _ in range(n_resamples)]
    perfect = generator.multinomial(total, reference / reference.sum(), size=n_resamples)
    distance = None
    if sample.name in COUNTED:
        distance = _with_error(wasserstein(counts, reference), [wasserstein(d, reference) for d in drawn], n)
    value = _with_error(jensen_shannon(counts, reference), [jensen_shannon(d, reference) for d in drawn], n, 1.0)
    floor = float(np.mean([jensen_shannon(one, reference) for one in perfect]))
    return Divergence(value, floor, *chi_squared(counts, reference), distance)


def _with_error(value: float, drawn: list[float], n: int, largest: float = float("inf")) -> Estimate:
    error = float(np.std(drawn, ddof=1))
    return Estimate(value, max(0.0, value - Z * error), min(largest, value + Z * error), n)
