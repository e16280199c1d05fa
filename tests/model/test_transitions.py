"""The closed forms of the noise process against explicit K × K matrix products in float64."""

from __future__ import annotations

import pytest
import torch
from statistics_of_draws import chi_square_p
from torch import Tensor

from reference_model.transitions import (
    Prior,
    Schedule,
    births,
    draw_categorical,
    forward_sample,
    occupancy,
    odds,
    posterior,
    sample_posterior,
)

K, T = 7, 50
SCHEDULE = Schedule(T)
PRIORS = {
    "zeros": Prior.zeros(K),
    "uniform": Prior.uniform(K),
    "marginal": Prior.marginal(torch.tensor([0.6, 0.2, 0.1, 0.0, 0.05, 0.05, 0.0])),
}
STEPS = [(s, t) for t in (1, 2, 3, 10, 25, 49, 50) for s in (0, 1, 2, 9, 24, 40, 48, 49) if s < t]
FALSE_ALARM = 1e-6  # of each chi-square test; the generators are fixed, so a pass stays a pass


def transition_matrices(m: Tensor) -> Tensor:
    """Q_1 … Q_T as the paper writes them, (T, K, K), rows are x_{t-1}."""
    alpha_bar = SCHEDULE.alpha_bar(torch.arange(T + 1))
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    return torch.stack([(1 - b) * torch.eye(K, dtype=torch.float64) + b * m.expand(K, K) for b in beta])


def product(matrices: Tensor) -> Tensor:
    out = torch.eye(K, dtype=torch.float64)
    for matrix in matrices:
        out = out @ matrix
    return out


def explicit_posterior(p: Tensor, j: int, m: Tensor, s: int, t: int) -> Tensor:
    """Σ_l p_l Q̄_s[l, i] Q_{s+1 … t}[i, j] / Q̄_t[l, j], over the l that can have led to j."""
    Q = transition_matrices(m)
    Q_bar_s, Q_bar_t, Q_between = product(Q[:s]), product(Q[:t]), product(Q[s:t])
    out = torch.zeros(K, dtype=torch.float64)
    for x0 in range(K):
        if p[x0] > 0:
            out += p[x0] * Q_bar_s[x0] * Q_between[:, j] / Q_bar_t[x0, j]
    return out


def possible_x_t(m: Tensor, t: int) -> list[int]:
    return [j for j in range(K) if m[j] > 0 or t < T]


def denoised(m: Tensor, j: int, seed: int) -> Tensor:
    """A distribution of x0 that x_t = j allows: any where m_j > 0, else x0 = j for certain."""
    if m[j] == 0:
        return torch.eye(K, dtype=torch.float64)[j]
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(K, generator=generator, dtype=torch.float64), 0)


def test_index_0_is_clean_and_index_T_is_the_prior():
    t = torch.tensor([0, T])
    assert SCHEDULE.alpha_bar(t).tolist() == [1.0, 0.0]
    assert SCHEDULE.u(t).tolist() == [0.0, 1.0]


def test_alpha_bar_is_the_cosine_of_equation_10_and_not_its_square():
    t, s = torch.arange(1001, dtype=torch.float64), 0.008
    cosine = torch.cos((t / 1000 + s) / (1 + s) * torch.pi / 2)
    ours = Schedule(1000).alpha_bar(torch.arange(1001))
    assert ours.dtype == torch.float64
    assert torch.allclose(ours, cosine / cosine[0], rtol=0, atol=1e-15)
    assert torch.allclose(1 - ours, Schedule(1000).u(torch.arange(1001)), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", PRIORS)
def test_closed_form_Q_bar_is_the_product_of_the_single_steps(name: str):
    m = PRIORS[name].m
    Q = transition_matrices(m)
    for t in range(T + 1):
        alpha_bar, u = SCHEDULE.alpha_bar(torch.tensor(t)), SCHEDULE.u(torch.tensor(t))
        closed = alpha_bar * torch.eye(K, dtype=torch.float64) + u * m.expand(K, K)
        assert torch.allclose(closed, product(Q[:t]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("s, t", STEPS)
def test_posterior_equals_the_matrix_form_for_any_prior_and_any_skipped_steps(name: str, s: int, t: int):
    prior = PRIORS[name]
    step = SCHEDULE.step(torch.tensor(s), torch.tensor(t))
    for j in possible_x_t(prior.m, t):
        for seed in range(3):
            p = denoised(prior.m, j, seed)
            ours = posterior(p, torch.tensor(j), prior, step)
            assert torch.allclose(ours, explicit_posterior(p, j, prior.m, s, t), rtol=0, atol=1e-13)
            assert abs(float(ours.sum()) - 1) < 1e-13


@pytest.mark.parametrize("name", PRIORS)
def test_two_draw_sampling_has_exactly_the_posterior_as_its_law(name: str):
    """The law of the second draw is read off a fine grid of uniforms: no chance in it."""
    prior, n = PRIORS[name], 20_000
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for s, t in [(0, 1), (9, 10), (24, 49), (0, 25), (40, 50)]:
        step = SCHEDULE.step(torch.tensor(s), torch.tensor(t))
        for j in possible_x_t(prior.m, t):
            p = denoised(prior.m, j, 7)
            law = torch.zeros(K, dtype=torch.float64)
            for drawn in range(K):
                x_s = sample_posterior(torch.full((n,), drawn), torch.full((n,), j), prior, step, grid)
                law += p[drawn] * torch.bincount(x_s, minlength=K) / n
            assert torch.allclose(law, posterior(p, torch.tensor(j), prior, step), rtol=0, atol=6 / n)


@pytest.mark.parametrize("name", PRIORS)
def test_forward_draws_follow_Q_bar(name: str):
    prior, n = PRIORS[name], 100_000
    generator = torch.Generator().manual_seed(1)
    Q = transition_matrices(prior.m)
    for t in (1, 10, 40, 50):
        for x0 in range(K):
            uniform = torch.rand(n, generator=generator, dtype=torch.float64)
            x_t = forward_sample(torch.full((n,), x0), SCHEDULE.alpha_bar(torch.tensor(t)), prior, uniform)
            observed = torch.bincount(x_t, minlength=K)
            assert chi_square_p(observed, n * product(Q[:t])[x0]) > FALSE_ALARM


@pytest.mark.parametrize("name", PRIORS)
def test_sampled_frequencies_follow_the_matrix_posterior_and_not_that_of_the_next_step(name: str):
    prior, n, s, t, j = PRIORS[name], 100_000, 24, 40, 0
    generator = torch.Generator().manual_seed(2)
    p = denoised(prior.m, j, 3)
    step = SCHEDULE.step(torch.tensor(s), torch.tensor(t))
    uniforms = torch.rand(2, n, generator=generator, dtype=torch.float64)
    drawn = draw_categorical(p.log().expand(n, K), uniforms[0])
    x_s = sample_posterior(drawn, torch.full((n,), j), prior, step, uniforms[1])
    observed = torch.bincount(x_s, minlength=K)
    assert chi_square_p(observed, n * explicit_posterior(p, j, prior.m, s, t)) > FALSE_ALARM
    assert chi_square_p(observed, n * explicit_posterior(p, j, prior.m, s + 1, t)) < FALSE_ALARM


@pytest.mark.parametrize("s, t", STEPS)
def test_births_have_exactly_the_posterior_of_the_zeros_prior(s: int, t: int):
    n, prior = 20_000, PRIORS["zeros"]
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    step = SCHEDULE.step(torch.tensor(s), torch.tensor(t))
    p = denoised(prior.m, 0, 5)
    born, left = births(1 - p[0], torch.zeros(n, dtype=torch.int64), step, grid)
    x_s = born * (1 + draw_categorical(p[1:].log().expand(n, K - 1), torch.where(born, left, 0)))
    exact = explicit_posterior(p, 0, prior.m, s, t)
    assert torch.allclose(torch.bincount(x_s, minlength=K).double() / n, exact, rtol=0, atol=3 / n)


def test_a_token_never_changes_under_the_zeros_prior():
    prior, x_t = PRIORS["zeros"], torch.arange(1, K)
    step = SCHEDULE.step(torch.tensor(3), torch.tensor(30))
    uniform = torch.linspace(0, 1, K - 1, dtype=torch.float64) * (1 - 1e-12)
    wrong = torch.full_like(x_t, 2)
    assert torch.equal(sample_posterior(wrong, x_t, prior, step, uniform), x_t)
    assert not births(torch.ones(K - 1), x_t, step, uniform)[0].any()
    p = torch.full((K - 1, K), 1 / K)
    assert torch.equal(posterior(p, x_t, prior, step), torch.eye(K)[1:])


def test_each_variable_may_have_its_own_step_and_its_own_shape():
    prior = PRIORS["marginal"]
    s, t = torch.tensor([0, 5, 20]), torch.tensor([1, 30, 50])
    p = torch.softmax(torch.randn(3, 4, K, generator=torch.Generator().manual_seed(0)).double(), -1)
    x_t = torch.tensor([[0, 1, 2, 4]]).expand(3, 4)
    whole = posterior(p, x_t, prior, SCHEDULE.step(s, t)[:, None])
    for i in range(3):
        for k in range(4):
            single = posterior(p[i, k], x_t[i, k], prior, SCHEDULE.step(s[i], t[i]))
            assert torch.allclose(whole[i, k], single, rtol=0, atol=1e-15)


def test_inversion_never_draws_a_class_without_mass():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf])
    ends = torch.tensor([0.0, 1 - 2**-53, 0.5], dtype=torch.float64)
    drawn = draw_categorical(logits.expand(3, 5), ends)
    assert set(drawn.tolist()) <= {1, 3}
    assert set(PRIORS["marginal"].draw(ends).tolist()) <= {0, 1, 2, 4, 5}


def test_odds_are_those_of_the_softmax_however_many_rows_there_are():
    logits = torch.randn(3, 3000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # two blocks
    empty = torch.softmax(logits, -1)[..., 0]
    torch.testing.assert_close(odds(logits), (1 - empty) / empty)
    assert odds(logits[0, 0]).shape == ()
    torch.testing.assert_close(odds(logits[0, 0]), odds(logits)[0, 0])
    torch.testing.assert_close(torch.sigmoid(occupancy(logits)), 1 - empty)
    assert odds(torch.tensor([-torch.inf, 0.0, 1.0])) == torch.inf


def test_a_grid_runs_from_T_to_0_and_a_full_one_holds_every_step():
    for spacing in ("alpha_bar", "t"):
        grid = Schedule(1000).grid(50, spacing)
        assert grid[0] == 1000
        assert grid[-1] == 0
        assert bool((grid.diff() < 0).all())
        assert abs(len(grid) - 51) <= 1
        assert Schedule(1000).grid(1, spacing).tolist() == [1000, 0]
    assert Schedule(1000).grid(50, "t").tolist() == list(range(1000, -1, -20))
    assert Schedule(1000).grid(1000, "t").tolist() == list(range(1000, -1, -1))
    even = Schedule(1000).u(Schedule(1000).grid(50)).diff()
    assert float(even.max() - even.min()) < 3e-3
    for n_steps in (0, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            Schedule(1000).grid(n_steps)
    with pytest.raises(ValueError, match="'alpha_bar' or 't', got 'u'"):
        Schedule(1000).grid(50, "u")


def test_nearest_step_is_the_inverse_of_u():
    t = torch.arange(1, 1001)
    assert torch.equal(Schedule(1000).nearest(Schedule(1000).u(t)), t)
    assert Schedule(1000).nearest(torch.zeros(1, dtype=torch.float64)).item() == 1


def test_a_prior_that_is_no_distribution_is_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        Prior.marginal(torch.tensor([0.5, 0.4]))
