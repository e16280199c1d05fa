"""Measures of sets of protostructures: proportions, uniqueness, novelty and distributions, each with its interval.

Identity goes by canonical label, never by an embedding: extractors' inputs are not injective. All intervals are 95 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import lgamma, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .elements import SYMBOLS
from .encoding import WyckoffColumns
from .spacegroup import SpaceGroup

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Pairs = tuple[Counts, Counts]

CRYSTAL_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")

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


def rarefaction(counts: Counts, sizes: Sequence[int]) -> Floats:
    """Expected distinct items among m of the n draws, for each m ≤ n of `sizes` (Hurlbert 1971): comparable
    between samples of unlike sizes at a common m.

    Raises ValueError where a size is above n.
    """
    n = int(counts.sum())
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


def unseen_probability(counts: Counts) -> Estimate:
    """P(the next draw was never drawn before), by Good (1953) and Turing: singletons / n."""
    return proportion(int((counts == 1).sum()), int(counts.sum()))


def novelty(is_known: Sequence[bool] | NDArray[np.bool_]) -> Estimate:
    """The share of items that a reference does not hold. Read it beside the share for held-out real data."""
    known = np.asarray(is_known, dtype=bool)
    return proportion(int((~known).sum()), len(known))


@dataclass(frozen=True, eq=False)
class Categories:
    """Which categories each material falls into: one (its space group) or several (its elements)."""

    name: str
    names: tuple[str, ...]
    """(K,) the categories in their natural order."""
    material: Counts
    """(M,) rows of materials, ascending."""
    category: Counts
    """(M,) a category of that material."""
    n_materials: int

    @property
    def counts(self) -> Counts:
        """(K,) materials in each category."""
        return np.bincount(self.category, minlength=len(self.names)).astype(np.int64)

    def resampled(self, generator: np.random.Generator) -> Counts:
        """(K,) counts of a bootstrap sample: materials, not categories, are drawn."""
        weight = np.bincount(generator.integers(self.n_materials, size=self.n_materials), minlength=self.n_materials)
        counted = np.bincount(self.category, weights=weight[self.material], minlength=len(self.names))
        return counted.astype(np.int64)


LARGEST_ARITY = 10


def _space_group(columns: WyckoffColumns) -> Pairs:
    return np.arange(len(columns)), columns.space_group.astype(np.int64) - 1


def _crystal_system(columns: WyckoffColumns) -> Pairs:
    system = [CRYSTAL_SYSTEMS.index(SpaceGroup.from_number(n).crystal_system) for n in range(1, 231)]
    return np.arange(len(columns)), np.array(system)[columns.space_group - 1]


def _elements(columns: WyckoffColumns) -> Pairs:
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    pairs = np.unique(material * 256 + columns.element)
    return pairs // 256, pairs % 256 - 1


def _arity(columns: WyckoffColumns) -> Pairs:
    n_elements = np.bincount(_elements(columns)[0], minlength=len(columns))
    return np.arange(len(columns)), np.clip(n_elements, 1, LARGEST_ARITY) - 1


_CATEGORIES: dict[str, tuple[tuple[str, ...], Callable[[WyckoffColumns], Pairs]]] = {
    "space group": (tuple(str(n) for n in range(1, 231)), _space_group),
    "crystal system": (CRYSTAL_SYSTEMS, _crystal_system),
    "element": (tuple(SYMBOLS[1:]), _elements),
    "arity": (tuple(str(n) for n in range(1, LARGEST_ARITY + 1)), _arity),
}
DISTRIBUTIONS = tuple(_CATEGORIES)


def categorise(name: str, columns: WyckoffColumns) -> Categories:
    """Categories of one of DISTRIBUTIONS; the arity's last category is ten elements or more."""
    names, pairs_of = _CATEGORIES[name]
    material, category = pairs_of(columns)
    return Categories(name, names, material, category, len(columns))


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


@dataclass(frozen=True, slots=True)
class Divergence:
    """A Jensen–Shannon divergence in bits, and what a perfect sample of the same size would show."""

    estimate: Estimate
    floor: float
    """Mean divergence of as many draws from the reference itself: finite samples are never at 0."""

    def to_dict(self) -> dict[str, float | int]:
        """For JSON."""
        return {**self.estimate.to_dict(), "floor": self.floor}


def divergence(
    sample: Categories, reference: Counts, generator: np.random.Generator, *, n_resamples: int = 200
) -> Divergence:
    """Jensen–Shannon divergence of a sample from a reference's counts, its interval (value ± z · bootstrap error over
    materials) and its floor (multinomial draws from the reference).
    """
    value = jensen_shannon(sample.counts, reference)
    total = int(sample.counts.sum())
    if total == 0 or reference.sum() == 0:
        return Divergence(Estimate(value, 0.0, 1.0, sample.n_materials), float("nan"))
    drawn = [jensen_shannon(sample.resampled(generator), reference) for _ in range(n_resamples)]
    error = float(np.std(drawn, ddof=1))
    perfect = generator.multinomial(total, reference / reference.sum(), size=n_resamples)
    floor = float(np.mean([jensen_shannon(counts, reference) for counts in perfect]))
    estimate = Estimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error), sample.n_materials)
    return Divergence(estimate, floor)
