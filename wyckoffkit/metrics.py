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
from .spacegroup import SpaceGroup, WyckoffPosition

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
    return _numbers(np.bincount(_elements(columns)[0], minlength=len(columns)))


def _numbers(values: Counts) -> Pairs:
    """Whole numbers as categories of their own."""
    return np.arange(len(values)), values.astype(np.int64)


def _totals(columns: WyckoffColumns, of_orbit: Counts | None) -> Counts:
    """(N,) sums over a material's orbits of a property of the 256 · group + position table; None counts orbits."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    row = columns.space_group.astype(np.int64)[material] * 256 + columns.position
    weight = columns.count.astype(np.int64) * (1 if of_orbit is None else of_orbit[row])
    return np.bincount(material, weights=weight, minlength=len(columns)).astype(np.int64)


def _position_table(property_of: Callable[[WyckoffPosition], int]) -> Counts:
    table = np.zeros(231 * 256, np.int64)
    for number in range(1, 231):
        for i, position in enumerate(SpaceGroup.from_number(number).positions):
            table[number * 256 + i] = property_of(position)
    return table


def _multiplicity(columns: WyckoffColumns) -> Pairs:
    """Multiplicities of the occupied positions, each once for each orbit on it."""
    material = np.repeat(np.arange(len(columns)), np.diff(columns.offset))
    row = columns.space_group.astype(np.int64)[material] * 256 + columns.position
    value = _position_table(lambda position: position.multiplicity)[row]
    repeats = columns.count.astype(np.int64)
    return np.repeat(material, repeats), np.repeat(value, repeats)


_LISTED: dict[str, tuple[tuple[str, ...], Callable[[WyckoffColumns], Pairs]]] = {
    "space group": (tuple(str(n) for n in range(1, 231)), _space_group),
    "crystal system": (CRYSTAL_SYSTEMS, _crystal_system),
    "element": (tuple(SYMBOLS[1:]), _elements),
}
# Whole numbers from 0 to a largest category, which stands for all above it; distances between them mean something.
_COUNTED: dict[str, tuple[int, Callable[[WyckoffColumns], Pairs]]] = {
    "arity": (10, _arity),
    "orbits": (60, lambda columns: _numbers(_totals(columns, None))),
    "atoms": (400, lambda columns: _numbers(_totals(columns, _position_table(lambda p: p.multiplicity)))),
    "dof": (100, lambda columns: _numbers(_totals(columns, _position_table(lambda p: p.dof)))),
    "multiplicity": (192, _multiplicity),
}
DISTRIBUTIONS = (*_LISTED, *_COUNTED)
COUNTED = tuple(_COUNTED)


def categorise(name: str, columns: WyckoffColumns) -> Categories:
    """Categories of one of DISTRIBUTIONS: the space group, elements, number of elements (arity), of orbits, of atoms in
    the conventional cell, of free coordinates (dof), and the multiplicity of each orbit's position.
    """
    if name in _LISTED:
        names, pairs_of = _LISTED[name]
        material, category = pairs_of(columns)
    else:
        largest, pairs_of = _COUNTED[name]
        names = tuple(str(k) for k in range(largest + 1))
        material, category = pairs_of(columns)
        category = np.minimum(category, largest)
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


def quantile(values: Floats, q: float) -> Estimate:
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
