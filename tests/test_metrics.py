"""Metrics: closed forms, laws, and simulations with a stated false-alarm rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import protostructures

from wyckoffkit.encoding import to_columns
from wyckoffkit.metrics import (
    DISTRIBUTIONS,
    Categories,
    categorise,
    chi_squared,
    collision_probability,
    distinct_with_replacement,
    divergence,
    jensen_shannon,
    multiplicities,
    novelty,
    proportion,
    quantile,
    rarefaction,
    ratio_of_counts,
    uniqueness,
    unseen_probability,
    wasserstein,
)

words = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=40)
counts = st.lists(st.integers(0, 1000), min_size=2, max_size=30).map(np.array)


def test_wilson_intervals_are_the_published_ones():
    # Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3.
    for successes, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        found = proportion(successes, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert proportion(29, 29).high == 1.0
    assert round(proportion(29, 29).low, 4) == round(1 - 0.1170, 4)


def test_a_proportion_of_nothing_is_unknown_between_0_and_1():
    found = proportion(0, 0)
    assert np.isnan(found.value)
    assert (found.low, found.high) == (0.0, 1.0)


@given(st.integers(1, 10**6), st.data())
def test_a_proportion_lies_in_its_interval(n, data):
    found = proportion(data.draw(st.integers(0, n)), n)
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(words)
def test_the_collision_probability_is_the_share_of_equal_pairs(items):
    pairs = list(combinations(items, 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    found = collision_probability(items)
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_the_collision_probability_does_not_depend_on_the_sample_size():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.full(500, 0.3))
    truth = float((shares**2).sum())
    for n in (50, 400):
        drawn = [collision_probability(generator.choice(500, size=n, p=shares).tolist()).value for _ in range(400)]
        # Five standard errors, twice: a false alarm in 900,000 runs.
        assert abs(np.mean(drawn) - truth) < 5 * np.std(drawn) / 20
    # Uniqueness does depend on it, which is why the size-free form exists.
    small, large = (uniqueness(generator.choice(500, size=n, p=shares).tolist()).value for n in (50, 400))
    assert small > large + 0.2


def test_intervals_of_the_collision_probability_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(9)
    shares = generator.dirichlet(np.full(60, 0.5))
    truth = float((shares**2).sum())
    drawn = (collision_probability(generator.choice(60, size=300, p=shares).tolist()) for _ in range(600))
    held = sum(found.low <= truth <= found.high for found in drawn) / 600
    # Of 95 %, which the jackknife promises for large samples alone; five standard deviations are 0.045.
    assert 0.90 < held < 0.99


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_without_a_repeat_the_collision_probability_is_at_most_what_hides_once_in_forty_samples(n):
    found = collision_probability(range(n))
    assert (found.value, found.low) == (0, 0)
    # Birthdays: no two of n draws are equal among 1 / p things that are equally likely; rarer for few draws.
    assert 0.012 < np.prod(1 - np.arange(n) * found.high) <= 0.025


@given(words, st.data())
def test_rarefaction_is_the_mean_over_all_subsets(items, data):
    items = items[:9]
    m = data.draw(st.integers(0, len(items)))
    subsets = [len(set(chosen)) for chosen in combinations(items, m)]
    assert len(subsets) == comb(len(items), m)
    assert rarefaction(multiplicities(items), [m])[0] == pytest.approx(np.mean(subsets))


def test_rarefaction_beyond_the_sample_is_refused():
    with pytest.raises(ValueError, match="to 4 draws needs as many, got 3"):
        rarefaction(multiplicities("aab"), [4])


def test_good_and_turing_foresee_the_share_of_unseen_draws():
    generator = np.random.default_rng(1)
    shares = generator.dirichlet(np.full(5000, 0.2))
    seen = generator.choice(5000, size=4000, p=shares)
    truth = shares[np.setdiff1d(np.arange(5000), seen)].sum()
    found = unseen_probability(multiplicities(seen.tolist()))
    assert found.low <= truth <= found.high
    # Negative control: counting doubletons as well does not foresee it.
    counted = multiplicities(seen.tolist())
    assert (counted <= 2).sum() / 4000 - truth > 2 * (found.high - found.low)


def test_novelty_and_uniqueness_count():
    assert novelty([True, False, False, True]).value == 0.5
    assert uniqueness("aab").value == pytest.approx(2 / 3)


@given(counts, counts)
def test_the_divergence_is_symmetric_and_within_0_and_1_bit(p, q):
    size = min(len(p), len(q))
    p, q = p[:size], q[:size]
    found = jensen_shannon(p, q)
    if p.sum() and q.sum():
        assert 0 <= found <= 1 + 1e-12
        assert found == pytest.approx(jensen_shannon(q, p), abs=1e-12)
        assert jensen_shannon(p, p * 3) == pytest.approx(0, abs=1e-12)
    else:
        assert np.isnan(found)


def test_disjoint_counts_are_one_bit_apart():
    assert jensen_shannon(np.array([3, 0]), np.array([0, 9])) == 1


@given(st.lists(protostructures(), min_size=1, max_size=5))
def test_categories_count_every_material(materials):
    columns = to_columns(materials)
    for name in DISTRIBUTIONS:
        found = categorise(name, columns)
        assert found.n_materials == len(materials)
        assert set(found.material.tolist()) == set(range(len(materials)))
        if name not in ("element", "multiplicity"):
            assert found.counts.sum() == len(materials)
    of = {name: categorise(name, columns).category.tolist() for name in ("atoms", "dof", "orbits", "multiplicity")}
    assert of["atoms"] == [min(p.n_atoms, 400) for p in materials]
    assert of["dof"] == [min(p.dof, 100) for p in materials]
    assert of["orbits"] == [len(p.orbits) for p in materials]
    multiplicities_of = [sorted(p.space_group.position(o.letter).multiplicity for o in p.orbits) for p in materials]
    assert sorted(of["multiplicity"]) == sorted(m for row in multiplicities_of for m in row)
    arity = categorise("arity", columns).category
    assert arity.tolist() == [len(p.composition) for p in materials]
    assert (categorise("space group", columns).category + 1).tolist() == [p.space_group.number for p in materials]
    found = categorise("element", columns)
    by_element = dict(zip(found.names, found.counts, strict=True))
    assert all(by_element[e] == sum(e in p.composition for p in materials) for e in ("H", "O", "U"))


def test_a_sample_of_the_reference_lies_at_the_floor_and_another_does_not():
    generator = np.random.default_rng(2)
    reference = generator.multinomial(100_000, generator.dirichlet(np.full(230, 0.5)))

    def sample_of(shares):
        rows = generator.choice(230, size=1000, p=shares / shares.sum())
        return Categories("space group", tuple(map(str, range(1, 231))), np.arange(1000), rows, 1000)

    same = divergence(sample_of(reference), reference, generator)
    assert same.jensen_shannon.low < same.floor < same.jensen_shannon.high
    other = divergence(sample_of(np.sqrt(reference)), reference, generator)
    assert other.jensen_shannon.low > 1.5 * other.floor
    # χ² of homogeneity is near its degrees of freedom for equal laws: five standard deviations of √(2 f) around f.
    assert abs(same.chi_squared - same.degrees_of_freedom) < 5 * np.sqrt(2 * same.degrees_of_freedom)
    assert other.chi_squared > same.degrees_of_freedom + 10 * np.sqrt(2 * same.degrees_of_freedom)


def test_the_interval_of_a_divergence_is_as_wide_as_the_spread_of_independent_samples():
    generator = np.random.default_rng(3)
    reference = generator.multinomial(100_000, generator.dirichlet(np.full(40, 0.5)))
    law = np.sqrt(reference) / np.sqrt(reference).sum()

    def sample():
        names = tuple(map(str, range(40)))
        return Categories("orbits", names, np.arange(1000), generator.choice(40, size=1000, p=law), 1000)

    found = divergence(sample(), reference, generator)
    samples = [sample().counts for _ in range(400)]
    for estimate, measure in ((found.jensen_shannon, jensen_shannon), (found.wasserstein, wasserstein)):
        spread = np.std([measure(counts, reference) for counts in samples])
        # The errors of two standard deviations, of 200 resamples and of 400 samples: 6 % together, four times.
        assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * spread, rel=0.25)


def test_distances_of_categories_are_told_where_these_are_numbers_and_of_nothing_there_is_none():
    generator, names = np.random.default_rng(0), ("0", "1", "2")
    reference = np.array([5, 5, 0])
    sample = Categories("atoms", names, np.arange(4), np.array([0, 1, 2, 2]), 4)
    assert divergence(sample, reference, generator).wasserstein.value == pytest.approx(
        wasserstein(sample.counts, reference)
    )
    assert divergence(replace(sample, name="element"), reference, generator).wasserstein is None
    nothing = divergence(sample, np.zeros(3, int), generator)
    assert np.isnan([nothing.jensen_shannon.value, nothing.floor, nothing.chi_squared]).all()
    assert (nothing.jensen_shannon.low, nothing.jensen_shannon.high, nothing.degrees_of_freedom) == (0, 1, 0)


@given(counts, st.integers(1, 5))
def test_a_shift_by_k_categories_is_a_wasserstein_distance_of_k(p, k):
    if p.sum():
        shifted = np.concatenate([np.zeros(k, int), p])
        assert wasserstein(np.concatenate([p, np.zeros(k, int)]), shifted) == pytest.approx(k)
        assert wasserstein(p, 2 * p) == pytest.approx(0, abs=1e-9)
    else:
        assert np.isnan([wasserstein(p, p + 1), wasserstein(p + 1, p)]).all()


def test_chi_squared_is_the_textbook_statistic():
    from scipy.stats import chi2_contingency

    p, q = np.array([10, 0, 30, 5]), np.array([100, 0, 250, 80])
    expected = chi2_contingency(np.array([p, q])[:, [0, 2, 3]], correction=False)
    found, degrees = chi_squared(p, q)
    assert (found, degrees) == (pytest.approx(expected.statistic), expected.dof)
    for one, other in ((p, np.zeros(4, int)), (np.zeros(4, int), q)):
        found, degrees = chi_squared(one, other)
        assert np.isnan(found)
        assert degrees == 0


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [30, 100, 300, 1000, 3000])
def test_quantile_intervals_hold_the_truth_as_often_as_they_say(n, q):
    """Exactly: the values below the true quantile are a binomial number, whatever the law."""
    from scipy.stats import binom

    found = quantile(np.arange(n), q)  # the bounds are then their own ranks
    assert 0.949 < binom.cdf(found.high, n, q) - binom.cdf(found.low, n, q) < 0.985


def test_a_quantile_of_nothing_is_unknown():
    found = quantile(np.array([]), 0.5).to_dict()
    assert np.isnan(found.pop("value"))
    assert found == {"low": float("-inf"), "high": float("inf"), "n": 0}


@pytest.mark.parametrize("rates", [(30, 20), (10, 10), (60, 5), (8, 2)])
def test_intervals_of_a_ratio_of_counts_hold_the_ratio_of_the_rates_as_often_as_they_say(rates):
    """Exactly: over all pairs of Poisson counts, with their probabilities."""
    from scipy.stats import poisson

    counted = range(3 * sum(rates))
    poisson_a, poisson_b = (poisson.pmf(counted, rate) for rate in rates)
    covered = 0.0
    for a, b in product(counted, counted):
        probability = poisson_a[a] * poisson_b[b]
        if probability > 1e-12:
            found = ratio_of_counts(a, b)
            covered += probability * (found.low <= rates[0] / rates[1] <= found.high)
    assert 0.94 < covered < 0.97


def test_a_ratio_over_no_count_has_no_upper_bound():
    assert (ratio_of_counts(6, 3).value, ratio_of_counts(6, 3).n) == (2, 9)
    assert ratio_of_counts(3, 0).value == ratio_of_counts(3, 0).high == float("inf")
    assert np.isnan(ratio_of_counts(0, 0).value)
    assert ratio_of_counts(0, 0).high == float("inf")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 4))
def test_distinct_items_drawn_with_replacement_are_the_mean_over_all_sequences(repeats, n):
    pool = [i for i, c in enumerate(repeats) for _ in range(c)]
    sequences = [len(set(drawn)) for drawn in product(pool, repeat=n)] if len(pool) ** n <= 5000 else None
    found = distinct_with_replacement(np.array(repeats), n)
    if sequences is not None:
        assert found == pytest.approx(np.mean(sequences))
    if n <= len(pool):  # drawing without replacement repeats less
        assert found <= rarefaction(np.array(repeats), [n])[0] + 1e-9
