"""Measures of sets of protostructures: proportions, uniqueness, novelty and distributions, each with its interval.

Identity goes by canonical label, never by an embedding: extractors' inputs are not injective. All intervals are 95 %.
estimate, repeats, categories, divergence: each uses those before it.
"""

from __future__ import annotations

from .categories import COUNTED, DISTRIBUTIONS, Categories, categorise
from .divergence import Divergence, chi_squared, divergence, jensen_shannon, wasserstein
from .estimate import Estimate, Z, proportion, quantile, ratio_of_counts
from .repeats import (
    collision_probability,
    distinct_with_replacement,
    multiplicities,
    novelty,
    rarefaction,
    uniqueness,
    unseen_probability,
)

__all__ = [
    "COUNTED",
    "DISTRIBUTIONS",
    "Categories",
    "Divergence",
    "Estimate",
    "Z",
    "categorise",
    "chi_squared",
    "collision_probability",
    "distinct_with_replacement",
    "divergence",
    "jensen_shannon",
    "multiplicities",
    "novelty",
    "proportion",
    "quantile",
    "rarefaction",
    "ratio_of_counts",
    "uniqueness",
    "unseen_probability",
    "wasserstein",
]
