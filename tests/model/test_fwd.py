"""The Fréchet distance and its neighbours: closed forms, laws, and the bias against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.fwd import (
    Moments,
    alike,
    anchor,
    finite_sample_bias,
    frechet,
    frechet_distance,
    kernel_distance,
    moments,
    overlap,
)
from wyckoffkit import CheckpointError

seeds = st.integers(0, 2**32 - 1)


def gaussian_curvature(covariance):
    """The curvature that a Gaussian law with this covariance has: ½ (Σ_ij λ_i λ_j / (λ_i + λ_j) + ½ tr Σ)."""
    values = np.clip(np.linalg.eigvalsh(covariance), 0, None)
    values = values[values > values.max(initial=0.0) * 1e-12]
    return float(0.5 * ((np.outer(values, values) / (values[:, None] + values)).sum() + 0.5 * values.sum()))


def gaussian(mean, covariance, n=10**9):
    return Moments(n, np.asarray(mean, float), np.asarray(covariance, float), gaussian_curvature(covariance), "d")


@given(seeds, st.integers(1, 8), st.integers(2, 30), st.integers(2, 30))
def test_the_distance_is_symmetric_and_zero_on_equal_sets_even_without_full_rank(seed, d, n, m):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(n, d)), generator.normal(size=(m, d)) * 3 + 1
    x[:, 0] = 1.0  # a direction without variance
    a, b = moments(x, "d"), moments(y, "d")
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-9)
    assert frechet_distance(a, moments(x[::-1], "d")) == pytest.approx(0, abs=1e-9)


@given(seeds, st.integers(1, 6))
def test_the_distance_of_commuting_gaussians_is_the_closed_form(seed, d):
    # Dowson and Landau 1982: |μ₁ - μ₂|² + Σ (√λ₁ - √λ₂)² where the covariances share their eigenvectors.
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(generator.normal(size=(d, d)))[0]
    one, two = generator.random(d), generator.random(d) * 4
    one[0] = 0.0
    mean = generator.normal(size=d)
    found = frechet_distance(gaussian(mean, basis * one @ basis.T), gaussian(0 * mean, basis * two @ basis.T))
    assert found == pytest.approx((mean**2).sum() + ((np.sqrt(one) - np.sqrt(two)) ** 2).sum(), abs=1e-6)


@given(seeds)
def test_the_distance_agrees_with_the_matrix_square_root(seed):
    from scipy.linalg import sqrtm

    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(40, 5)) @ generator.normal(size=(5, 5)), generator.normal(size=(30, 5)) + 1
    a, b = moments(x, "d"), moments(y, "d")
    root = np.trace(sqrtm(a.covariance @ b.covariance).real)
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(seeds)
def test_the_distance_does_not_change_under_rotation_and_shift(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(20, 4)), generator.normal(size=(25, 4)) * [1, 2, 3, 0]
    rotation = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    moved = [moments(z @ rotation + 7, "d") for z in (x, y)]
    assert frechet_distance(*moved) == pytest.approx(frechet_distance(moments(x, "d"), moments(y, "d")), abs=1e-6)


@given(seeds, st.integers(2, 40))
def test_weights_are_repeats(seed, n):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    weights = np.bincount(generator.integers(n, size=n), minlength=n)
    a, b = moments(x, "d", weights=weights), moments(np.repeat(x, weights, axis=0), "d")
    assert np.allclose(a.mean, b.mean)
    assert np.allclose(a.covariance, b.covariance)
    assert a.curvature == pytest.approx(b.curvature)


@pytest.mark.parametrize("law", ["gaussian", "heavy tails"])
def test_the_bias_formula_agrees_with_simulation(law):
    generator = np.random.default_rng(3)
    spread = np.sqrt(np.array([4.0, 2.0, 1.0, 0.5, 0.1, 0.0]))

    def draw(n):
        x = generator.normal(size=(n, 6)) * spread
        return x if law == "gaussian" else x * generator.gamma(2.0, 0.5, size=(n, 1))

    one, two = 300, 500
    pairs = [(moments(draw(one), "d"), moments(draw(two), "d")) for _ in range(1500)]
    found = [frechet_distance(a, b) for a, b in pairs]
    expected = float(np.mean([finite_sample_bias(a, b) for a, b in pairs]))
    error = np.std(found) / np.sqrt(len(found))
    # To first order in 1 / n; what is left is of the second order.
    assert abs(np.mean(found) - expected) < 5 * error + 0.02 * expected
    if law == "gaussian":
        covariance = np.diag(spread**2)
        closed = (1 / one + 1 / two) * (np.trace(covariance) + gaussian_curvature(covariance))
        assert expected == pytest.approx(closed, rel=0.01)
    else:  # negative control: the Gaussian closed form is wrong where tails are heavy
        sigma = moments(draw(200_000), "d").covariance
        assert expected > 1.2 * (1 / one + 1 / two) * (np.trace(sigma) + gaussian_curvature(sigma))


def test_a_sample_of_the_reference_has_corrected_distance_0_within_its_interval():
    generator = np.random.default_rng(4)
    draw = lambda n: generator.normal(size=(n, 8)) * np.sqrt(np.arange(8.0))  # noqa: E731
    reference = moments(draw(50_000), "d")
    result = frechet(draw(2000), reference, "d", generator)
    assert result.corrected.low < 0 < result.corrected.high
    assert result.infinite.low < 0 < result.infinite.high
    assert result.raw.low < result.raw.value < result.raw.high < 1
    other = frechet(draw(2000) + [0.5] * 8, reference, "d", generator)
    assert other.corrected.low < 8 * 0.25 < other.corrected.high
    assert other.corrected.low > 10 * result.corrected.high


def test_the_interval_of_the_distance_is_as_wide_as_the_spread_of_independent_samples():
    generator = np.random.default_rng(11)
    reference = moments(generator.normal(size=(50_000, 6)), "d")
    draw = lambda: generator.normal(size=(500, 6)) * [1, 1, 1, 1.5, 2, 1] + [0.4, 0, 0, 0, 0, 0]  # noqa: E731
    found = frechet(draw(), reference, "d", generator)
    spread = np.std([frechet_distance(moments(draw(), "d"), reference) for _ in range(300)])
    # The errors of two standard deviations, of 100 resamples and of 300 samples: 8 % together, three times.
    for estimate in (found.raw, found.corrected):
        assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * spread, rel=0.25)


def test_the_extrapolated_distance_of_one_law_is_0_on_average_though_its_reference_is_small():
    generator = np.random.default_rng(12)
    draw = lambda: generator.normal(size=(300, 5)) * [2, 1, 1, 0.5, 0.1]  # noqa: E731
    found = []
    for _ in range(200):
        reference = moments(draw(), "d")
        found.append(frechet(draw(), reference, "d", generator, n_resamples=2).infinite.value)
    bias_of_reference = finite_sample_bias(reference, reference) / 2
    error = np.std(found) / np.sqrt(200)
    # Left in it, the reference's own bias would be seen; what remains is of the second order in 1 / n.
    assert abs(np.mean(found)) < 5 * error < bias_of_reference


def test_raw_distances_compare_where_numbers_of_materials_are_within_a_tenth():
    assert [alike(100, n) for n in (100, 91, 90, 89, 110, 112)] == [True, True, True, False, True, False]


def test_one_embedding_has_no_covariance():
    with pytest.raises(ValueError, match="two embeddings or more, got 1"):
        moments(np.ones((1, 3)), "d")


def test_results_of_two_extractors_are_not_compared():
    x = np.eye(3)
    with pytest.raises(CheckpointError, match="two extractors do not compare"):
        frechet_distance(moments(x, "a" * 64), moments(x, "b" * 64))


@given(seeds, st.integers(4, 12))
def test_the_kernel_distance_is_its_definition_pair_by_pair(seed, m):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(m, 3)), generator.normal(size=(m + 2, 3))
    k = lambda a, b: (a @ b / 3 + 1) ** 3  # noqa: E731
    pairs = [(i, j) for i in range(m) for j in range(m) if i != j]
    h = [k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(y[i], x[j]) for i, j in pairs]
    found = kernel_distance(x, y, chunk=5)
    assert found.value == pytest.approx(np.mean(h), abs=1e-9)
    assert found.low <= found.value <= found.high


def test_the_kernel_distance_is_unbiased_and_its_intervals_hold_even_with_heavy_tails():
    generator = np.random.default_rng(8)

    def draw(n):
        return generator.normal(size=(n, 6)) * np.sqrt([20, 2, 1, 1, 0.5, 0.1]) * generator.gamma(2.0, 0.5, size=(n, 1))

    found = [kernel_distance(draw(400), draw(400)) for _ in range(300)]
    values = np.array([f.value for f in found])
    assert abs(values.mean()) < 5 * values.std() / np.sqrt(300)
    assert values.min() < 0 < values.max()
    # 95 % are 285; 265 or fewer happen four times in a million runs.
    assert sum(f.low <= 0 <= f.high for f in found) > 265


def test_the_kernel_distance_sees_a_shift():
    generator = np.random.default_rng(5)
    found = kernel_distance(generator.normal(size=(500, 4)), generator.normal(size=(500, 4)) + 0.5)
    assert found.low > 0


@settings(max_examples=25)
@given(seeds)
def test_overlap_agrees_with_its_definition_point_by_point(seed):
    generator = np.random.default_rng(seed)
    x, y, k = generator.normal(size=(14, 2)), generator.normal(size=(12, 2)) + 0.7, 3
    near = lambda p, z: sorted(np.linalg.norm(z - p, axis=1))  # noqa: E731
    in_y = [[np.linalg.norm(p - q) <= near(q, y)[k] for q in y] for p in x]
    in_x = [[np.linalg.norm(p - q) <= near(p, x)[k] for p in x] for q in y]
    found = overlap(x, y, k=k)
    assert found.precision.value == pytest.approx(np.mean([any(row) for row in in_y]))
    assert found.recall.value == pytest.approx(np.mean([any(row) for row in in_x]))
    assert found.density.value == pytest.approx(np.sum(in_y) / k / len(x))
    assert found.coverage.value == pytest.approx(np.mean(np.any(in_y, axis=0)))


def test_coverage_of_a_perfect_generator_is_near_1_minus_2_to_the_minus_k():
    generator = np.random.default_rng(6)
    found = overlap(generator.normal(size=(1500, 3)), generator.normal(size=(1500, 3)), k=5)
    assert found.coverage.low < 1 - 2**-5 < found.coverage.high + 0.005
    assert 0.95 < found.density.value < 1.05
    far = overlap(generator.normal(size=(200, 3)) + 50, generator.normal(size=(200, 3)))
    assert (far.precision.value, far.recall.value, far.coverage.value) == (0, 0, 0)


def test_an_anchor_is_the_mean_of_disjoint_pairs_and_its_interval_holds_the_bias():
    generator = np.random.default_rng(7)
    x, y = generator.normal(size=(5000, 5)), generator.normal(size=(2100, 5))
    found = anchor(x, y, "d", n=500)
    pairs = [(x[500 * k : 500 * k + 500], y[500 * (k % 4) : 500 * (k % 4) + 500]) for k in range(10)]
    assert found.value == pytest.approx(np.mean([frechet_distance(moments(a, "d"), moments(b, "d")) for a, b in pairs]))
    assert found.low < finite_sample_bias(moments(x[:500], "d"), moments(y[:500], "d")) < found.high
    assert anchor(x, y, "d", n=2200) is None
