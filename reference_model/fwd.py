"""The Fréchet Wrenformer distance and its neighbours, on embeddings (N, D), in float64, without matrix square roots.

FWD here is the *squared* 2-Wasserstein distance between Gaussians fitted to the extractor's aggregated embeddings (the
mean over equivalent settings and sites, before the trunk). Ekström Kelvinius et al. (2025) fix neither the square nor
the layer, so each result names both and carries the extractor's digest; unlike extractors are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from wyckoffkit import CheckpointError
from wyckoffkit.metrics import Estimate, Z, proportion

Array = np.ndarray[Any, np.dtype[Any]]

DEFINITION = "squared 2-Wasserstein distance between Gaussians fitted to the aggregated embeddings, before the trunk"


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Fréchet distance needs of a set of embeddings."""

    n: int
    mean: Array
    """(D,) float64."""
    covariance: Array
    """(D, D) float64, unbiased (n - 1)."""
    curvature: float
    """½ Σ_ij V_ij / (λ_i + λ_j), V_ij the variance of y_i y_j in the eigenbasis: the covariance's part of the bias."""
    digest: str
    """Of the extractor."""


def moments(embeddings: Array, digest: str, *, weights: Array | None = None) -> Moments:
    """Moments of (N, D) embeddings, N ≥ 2; `weights` (N,) are whole repeats, as a bootstrap draws them."""
    x = np.asarray(embeddings, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    n = round(float(w.sum()))
    if n < 2:
        raise ValueError(f"a covariance needs two embeddings or more, got {n}")
    mean = w @ x / n
    centred = x - mean
    covariance = (centred * w[:, None]).T @ centred / (n - 1)
    return Moments(n, mean, covariance, _curvature(centred, w, covariance), digest)


def _curvature(centred: Array, weights: Array, covariance: Array) -> float:
    """From fourth moments, since embeddings are not Gaussian; directions without variance add nothing."""
    values, vectors = np.linalg.eigh(covariance)
    on = values > values[-1] * 1e-12
    if not on.any():
        return 0.0
    values, squares = values[on], (centred @ vectors[:, on]) ** 2
    fourth = (squares * weights[:, None]).T @ squares / weights.sum()
    np.fill_diagonal(fourth, fourth.diagonal() - values**2)
    return float(0.5 * (fourth / (values[:, None] + values[None, :])).sum())


def check_digests(a: str, b: str) -> None:
    """Raise CheckpointError where two results come from two extractors."""
    if a != b:
        raise CheckpointError(
            f"embeddings of two extractors do not compare: digest {a[:16]}… on one side, {b[:16]}… on the other"
        )


def alike(n: int, m: int) -> bool:
    """Within a tenth: raw distances of such numbers of materials compare."""
    return abs(n - m) <= 0.1 * max(n, m)


def frechet_distance(a: Moments, b: Moments) -> float:
    """|μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 ‖L₁ᵀ L₂‖_*, with Σ = L Lᵀ and ‖·‖_* the sum of singular values.

    Raises CheckpointError where the extractors differ.
    """
    check_digests(a.digest, b.digest)
    cross = np.linalg.svd(_factor(a.covariance).T @ _factor(b.covariance), compute_uv=False).sum()
    apart = float(((a.mean - b.mean) ** 2).sum())
    # Rounding can leave equal sets at -1e-15.
    return max(0.0, apart + float(np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross))


def _factor(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    # Rounding leaves directions without variance at ±1e-16 of the largest, and the root of that is 1e-8.
    return vectors * np.sqrt(np.where(values > values[-1] * 1e-14, values, 0.0))


def finite_sample_bias(a: Moments, b: Moments) -> float:
    """E[frechet_distance] of samples of these sizes from one law, to first order in 1 / n: Σ (tr Σ + curvature) / n."""
    return sum((float(np.trace(m.covariance)) + m.curvature) / m.n for m in (a, b))


@dataclass(frozen=True, eq=False)
class FrechetResult:
    """One FWD with all that is needed to judge it."""

    raw: Estimate
    corrected: Estimate
    """Raw minus the bias that samples of one law would show; may be below 0 by noise."""
    infinite: Estimate
    """Extrapolated to samples without end by a line in 1 / n (Chong and Forsyth 2020)."""
    floor: float
    """The raw distance that a perfect generator shows at this sample size."""
    digest: str


def frechet(
    embeddings: Array,
    reference: Moments,
    digest: str,
    generator: np.random.Generator,
    *,
    n_resamples: int = 100,
) -> FrechetResult:
    """FWD of (N, D) embeddings against a reference; intervals are value ± z · bootstrap error over the samples."""
    check_digests(digest, reference.digest)
    sample = moments(embeddings, digest)
    value, bias = frechet_distance(sample, reference), finite_sample_bias(sample, reference)
    n = len(embeddings)
    drawn = []
    for _ in range(n_resamples):
        weights = np.bincount(generator.integers(n, size=n), minlength=n)
        drawn.append(frechet_distance(_fast_moments(embeddings, weights, digest), reference))
    error = float(np.std(drawn, ddof=1))
    infinite, infinite_error = _extrapolated(embeddings, reference, digest, generator)
    infinite_error = float(np.hypot(error, infinite_error))
    return FrechetResult(
        raw=Estimate(value, max(0.0, value - Z * error), value + Z * error, n),
        corrected=Estimate(value - bias, value - bias - Z * error, value - bias + Z * error, n),
        infinite=Estimate(infinite, infinite - Z * infinite_error, infinite + Z * infinite_error, n),
        floor=bias,
        digest=digest,
    )


def _fast_moments(embeddings: Array, weights: Array, digest: str) -> Moments:
    """Without the curvature, which a bootstrap does not need."""
    drawn = weights > 0
    x, w = np.asarray(embeddings, np.float64)[drawn], weights[drawn].astype(np.float64)
    n = int(w.sum())
    mean = w @ x / n
    centred = x - mean
    return Moments(n, mean, (centred * w[:, None]).T @ centred / (n - 1), 0.0, digest)


def _extrapolated(
    embeddings: Array, reference: Moments, digest: str, generator: np.random.Generator, *, n_points: int = 12
) -> tuple[float, float]:
    """(intercept, its standard error) of distance against 1 / m for subsamples of m, less the reference's own bias."""
    n = len(embeddings)
    sizes = np.unique(np.linspace(max(2, n // 5), n, n_points).astype(int))
    if len(sizes) < 3:
        return float("nan"), 0.0
    ones = np.ones(n, np.int64)
    distances = []
    for size in sizes:
        weights = np.zeros(n, np.int64)
        weights[generator.permutation(n)[:size]] = 1
        chosen = ones if size == n else weights
        distances.append(frechet_distance(_fast_moments(embeddings, chosen, digest), reference))
    design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1)
    solution, residual, *_ = np.linalg.lstsq(design, np.array(distances), rcond=None)
    spread = float(residual[0]) / (len(sizes) - 2) if len(residual) else 0.0
    error = np.sqrt(spread * np.linalg.inv(design.T @ design)[0, 0])
    return float(solution[0]) - (float(np.trace(reference.covariance)) + reference.curvature) / reference.n, float(
        error
    )


def kernel_distance(x: Array, y: Array, *, chunk: int = 500) -> Estimate:
    """Unbiased MMD² with the cubic kernel (x·y / D + 1)³ (Bińkowski et al. 2018), of as many rows of x as of y.

    A U-statistic of h(i, j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j); its interval is value ± z · error
    with both terms of its variance (Hoeffding 1948), so that it holds for equal laws too, where the first vanishes and
    the spread of blocks, which others use, is too small as often as the value is below 0. `n`: rows on each side.
    """
    m = min(len(x), len(y))
    if m < 4:
        return Estimate(float("nan"), float("-inf"), float("inf"), m)
    x, y = np.asarray(x[:m], np.float64), np.asarray(y[:m], np.float64)
    row_sums, squares = np.zeros(m), 0.0
    for start in range(0, m, chunk):
        rows = slice(start, start + chunk)
        h = _kernel(x[rows], x) + _kernel(y[rows], y) - _kernel(x[rows], y) - _kernel(y[rows], x)
        h[np.arange(len(h)), np.arange(start, start + len(h))] = 0.0
        row_sums[rows] = h.sum(axis=1)
        squares += float((h**2).sum())
    pairs = m * (m - 1)
    value = float(row_sums.sum()) / pairs
    second = squares / pairs - value**2
    first = max(0.0, float((row_sums / (m - 1)).var(ddof=1)) - second / (m - 1))
    error = sqrt(4 * (m - 2) / pairs * first + 2 / pairs * second)
    return Estimate(value, value - Z * error, value + Z * error, m)


def _kernel(a: Array, b: Array) -> Array:
    return (a @ b.T / a.shape[1] + 1) ** 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two sets of embeddings lie in each other's neighbourhoods."""

    precision: Estimate
    """Samples within the k-th neighbour's distance of a reference point (Kynkäänniemi et al. 2019)."""
    recall: Estimate
    """Reference points within that distance of a sample."""
    density: Estimate
    """Reference neighbourhoods around a sample, over k; near 1 for a perfect generator (Naeem et al. 2020)."""
    coverage: Estimate
    """Reference points with a sample in their neighbourhood; 1 - 2^-k on average for a perfect generator."""


def overlap(samples: Array, reference: Array, *, k: int = 5) -> Overlap:
    """Precision, recall, density and coverage. Equal numbers on both sides make the figures comparable.

    Distances of 0 (a sample that is a reference point) count as inside.
    """
    x, y = np.asarray(samples, np.float64), np.asarray(reference, np.float64)
    if min(len(x), len(y)) <= k:
        nothing = Estimate(float("nan"), 0.0, 1.0, min(len(x), len(y)))
        return Overlap(nothing, nothing, nothing, nothing)
    between = _squared_distances(x, y)  # (N, M)
    in_reference = between <= _radius(y, k)[None, :]
    in_samples = between <= _radius(x, k)[:, None]
    per_sample = in_reference.sum(axis=1) / k
    density, error = float(per_sample.mean()), float(per_sample.std(ddof=1) / np.sqrt(len(x)))
    return Overlap(
        precision=proportion(int(in_reference.any(axis=1).sum()), len(x)),
        recall=proportion(int(in_samples.any(axis=0).sum()), len(y)),
        density=Estimate(density, max(0.0, density - Z * error), density + Z * error, len(x)),
        coverage=proportion(int(in_reference.any(axis=0).sum()), len(y)),
    )


def _squared_distances(x: Array, y: Array) -> Array:
    return np.clip((x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T, 0, None)


def _radius(x: Array, k: int) -> Array:
    """(N,) squared distance of each point's k-th neighbour, itself not counted."""
    distances = _squared_distances(x, x)
    np.fill_diagonal(distances, np.inf)
    return np.partition(distances, k - 1, axis=1)[:, k - 1]


def anchor(first: Array, second: Array, digest: str, *, n: int, largest: int = 10) -> Estimate | None:
    """What real data shows against real data: the mean raw distance of n rows of `first` and n of `second`.

    Taken over up to `largest` pairs of disjoint stretches, a shorter side used again; None where there are not n rows.
    """
    stretches = [[x[k * n : (k + 1) * n] for k in range(len(x) // n)] for x in (first, second)]
    if not all(stretches):
        return None
    a, b = ([moments(rows, digest) for rows in side[:largest]] for side in stretches)
    found = [frechet_distance(a[k % len(a)], b[k % len(b)]) for k in range(max(len(a), len(b)))]
    value = float(np.mean(found))
    error = float(np.std(found, ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("inf")
    return Estimate(value, max(0.0, value - Z * error), value + Z * error, n)
