"""Noise, losses and the jump objective on batches of mixed space groups."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from oracle import Oracle, OracleTokens, batch_of, real_protostructures, token_keys
from statistics_of_draws import chi_square_p
from torch import Tensor

from reference_model.batch import Batch
from reference_model.diffusion import (
    Diffusion,
    bound_loss,
    count_loss,
    cross_entropy,
    jump_loss,
    jump_targets,
    jump_terms,
    kl_any,
    kl_zeros,
    n_variables,
    thin,
)
from reference_model.diffusion.losses import _CrossEntropy
from reference_model.transitions import Prior, Schedule

FALSE_ALARM = 1e-6
K = 5
PRIORS = {
    "zeros": Prior.zeros(K),
    "uniform": Prior.uniform(K),
    "marginal": Prior.marginal(torch.tensor([0.6, 0.2, 0.15, 0.05, 0.0])),
}


def real_batch() -> Batch:
    return batch_of([p for number in (62, 166, 225) for p in real_protostructures(number, 20)])


def random_logits(batch: Batch, P: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(len(batch.constrained), batch.n_elements + 1, generator=generator),
        torch.randn(*batch.unconstrained.shape, P + 1, generator=generator),
    )


def explicit_kl(p: Tensor, x0: int, x_t: int, m: Tensor, s: int, t: int, T: int) -> float:
    """KL(q(x_s | x_t, x0) ‖ Σ_l p_l q(x_s | x_t, l)) by K × K matrices."""
    schedule, eye = Schedule(T), torch.eye(K, dtype=torch.float64)
    b, c = (float(schedule.alpha_bar(torch.tensor(i))) for i in (s, t))
    Q_s, Q_t = (a * eye + (1 - a) * m.expand(K, K) for a in (b, c))
    Q_between = c / b * eye + (1 - c / b) * m.expand(K, K)

    def q(l: int) -> Tensor:  # noqa: E741
        return Q_s[l] * Q_between[:, x_t] / Q_t[l, x_t]

    p_s = sum((p[l] * q(l) for l in range(K) if Q_t[l, x_t] > 0), torch.zeros(K, dtype=torch.float64))  # noqa: E741
    if m[x_t] == 0:
        p_s = q(x_t)
    return float(sum(q(x0)[i] * (q(x0)[i].log() - p_s[i].log()) for i in range(K) if q(x0)[i] > 0))


@pytest.mark.parametrize("name", PRIORS)
def test_the_O_K_and_O_1_bounds_are_the_divergence_of_the_explicit_posteriors(name: str):
    prior, T = PRIORS[name], 30
    generator = torch.Generator().manual_seed(3)
    for s, t in [(0, 1), (1, 2), (4, 20), (14, 15), (29, 30)]:
        step = Schedule(T).step(torch.tensor(s), torch.tensor(t))
        for x0, x_t in itertools.product(range(K), range(K)):
            if x0 != x_t and prior.m[x_t] == 0:
                continue  # q(x_t | x0) = 0
            if t == T and prior.m[x_t] == 0:
                continue
            logits = torch.randn(K, generator=generator, dtype=torch.float64)
            expected = explicit_kl(logits.softmax(0), x0, x_t, prior.m, s, t, T)
            ours = kl_any(logits, torch.tensor(x0), torch.tensor(x_t), prior, step)
            assert math.isclose(float(ours), expected, abs_tol=1e-12)
            if name == "zeros":
                short = kl_zeros(logits, torch.tensor(x0), torch.tensor(x_t), step)
                assert math.isclose(float(short), expected, abs_tol=1e-12)


def test_the_bound_of_the_zeros_prior_keeps_its_digits_in_float32_and_its_gradients_finite():
    logits = (torch.randn(4, 7, K, generator=torch.Generator().manual_seed(0)) * 8).requires_grad_()
    x0 = torch.randint(0, K, (4, 7), generator=torch.Generator().manual_seed(1))
    t = torch.tensor([1, 2, 500, 1000])
    step = Schedule(1000).step(t - 1, t)[:, None]
    single = kl_zeros(logits, x0, torch.zeros_like(x0), step)
    double = kl_zeros(logits.double(), x0, torch.zeros_like(x0), step)
    assert torch.allclose(single.double(), double, rtol=1e-3, atol=1e-7)
    single.sum().backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("prior", ["zeros", "uniform", "marginal"])
def test_noise_follows_Q_bar_at_each_materials_own_t(prior: str):
    marginals = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.8, 0.1, 0.1])
    diffusion = Diffusion.of(prior, 2, 2, T=10, marginals=marginals)
    B = 30_000
    empty = Batch.empty(torch.full((B,), 82), 2)
    x0 = empty.with_state(torch.ones_like(empty.constrained), torch.full_like(empty.unconstrained, 2))
    t = torch.arange(B) % 11
    x_t = diffusion.noise(x0, t, torch.Generator().manual_seed(0))
    for i in range(11):
        alpha_bar = float(diffusion.schedule.alpha_bar(torch.tensor(i)))
        for state, of, m, value in (
            (x_t.constrained, x_t.constrained_material, diffusion.constrained_prior.m, 1),
            (x_t.unconstrained, x_t.unconstrained_material, diffusion.unconstrained_prior.m, 2),
        ):
            observed = torch.bincount(state[t[of] == i].flatten(), minlength=3)
            law = alpha_bar * torch.nn.functional.one_hot(torch.tensor(value), 3) + (1 - alpha_bar) * m
            assert chi_square_p(observed, observed.sum() * law) > FALSE_ALARM


def test_t_is_uniform_on_1_to_T_and_stratified_over_a_batch():
    diffusion = Diffusion.of("zeros", 4, 4, T=100)
    t = diffusion.draw_t(100, torch.Generator().manual_seed(0))
    assert sorted(t.tolist()) == list(range(1, 101))
    many = torch.cat([diffusion.draw_t(7, torch.Generator().manual_seed(i)) for i in range(3000)])
    assert chi_square_p(torch.bincount(many, minlength=101)[1:], torch.full((100,), 210.0)) > FALSE_ALARM


def test_cross_entropy_in_parts_is_that_of_torch_with_its_gradient(monkeypatch):
    monkeypatch.setattr(_CrossEntropy, "ROWS", 3)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 5, (8,), generator=generator)
    before = logits.detach().clone()
    torch.testing.assert_close(
        _CrossEntropy.apply(logits, target), torch.nn.functional.cross_entropy(logits, target, reduction="none")
    )
    assert torch.autograd.gradcheck(_CrossEntropy.apply, (logits, target))
    assert torch.equal(logits, before)


def test_cross_entropy_is_the_mean_over_materials_of_the_mean_over_their_variables():
    batch = real_batch()
    logits = random_logits(batch, 6)
    whole = {w: cross_entropy(logits, batch, w) for w in ("variable", "material")}
    sums = torch.zeros(batch.n_materials)
    for k, (material, x0) in enumerate(zip(batch.constrained_material, batch.constrained, strict=True)):
        sums[material] -= logits[0][k].log_softmax(0)[x0]
    for k, material in enumerate(batch.unconstrained_material):
        for e in range(batch.n_elements):
            sums[material] -= logits[1][k, e].log_softmax(0)[batch.unconstrained[k, e]]
    per = torch.tensor([{62: 2 + 200, 166: 4 + 500, 225: 4 + 800}[int(s)] for s in batch.space_group])
    assert torch.equal(n_variables(batch), per)
    assert torch.allclose(whole["material"], sums.mean(), rtol=1e-5)
    assert torch.allclose(whole["variable"], (sums / per).mean(), rtol=1e-5)
    with pytest.raises(ValueError, match="weighting"):
        cross_entropy(logits, batch, "none")


def tokens_of(batch: Batch) -> list[set[int]]:
    out: list[set[int]] = [set() for _ in range(batch.n_materials)]
    for material, key in zip(*(x.tolist() for x in token_keys(batch)), strict=True):
        out[material].add(key)
    return out


def test_jump_targets_part_the_tokens_of_a_material_into_kept_and_missing():
    batch = real_batch()
    targets = jump_targets(batch, torch.Generator().manual_seed(0))
    assert torch.equal(targets.n_tokens, batch.n_tokens())
    assert torch.equal(targets.batch.n_tokens() + targets.n_left, batch.n_tokens())
    assert bool((targets.n_left >= 1).all())
    rest = Batch.empty(batch.space_group)
    constrained, unconstrained = rest.constrained.clone(), rest.unconstrained.clone()
    constrained[targets.constrained_row] = targets.constrained_element + 1
    unconstrained[targets.unconstrained_row, targets.unconstrained_element] = targets.unconstrained_count
    missing = rest.with_state(constrained, unconstrained)
    for whole, kept, gone in zip(tokens_of(batch), tokens_of(targets.batch), tokens_of(missing), strict=True):
        assert kept | gone == whole
        assert not kept & gone


def test_jump_targets_keep_every_subset_of_a_size_equally_often_and_every_size_too():
    one = real_protostructures(225, 12)[0]
    n = len(one.orbits)
    batch = batch_of([one] * 12_000)
    targets = jump_targets(batch, torch.Generator().manual_seed(1))
    seen: dict[frozenset[int], int] = {}
    for kept in tokens_of(targets.batch):
        seen[frozenset(kept)] = seen.get(frozenset(kept), 0) + 1
    whole = sorted(tokens_of(batch)[0])
    subsets = [frozenset(c) for r in range(n) for c in itertools.combinations(whole, r)]
    expected = torch.tensor([12_000 / n / math.comb(n, len(c)) for c in subsets])
    assert set(seen) <= set(subsets)
    assert chi_square_p(torch.tensor([seen.get(c, 0) for c in subsets]), expected) > FALSE_ALARM


def random_tokens(batch: Batch, P: int) -> OracleTokens:
    generator = torch.Generator().manual_seed(2)
    return OracleTokens(
        torch.randn(len(batch.constrained), batch.n_elements, generator=generator).requires_grad_(),
        torch.randn(batch.unconstrained.shape, generator=generator).requires_grad_(),
        torch.rand(*batch.unconstrained.shape, P, generator=generator),
    )


def test_the_jump_objective_is_a_softmax_over_all_empty_slots_of_a_material_written_out():
    batch = real_batch()
    targets = jump_targets(batch, torch.Generator().manual_seed(5))
    tokens = random_tokens(batch, 12)
    terms = jump_terms(tokens, targets)
    for b in range(batch.n_materials):
        c = (batch.constrained_material == b) & (targets.batch.constrained == 0)
        u = (batch.unconstrained_material == b)[:, None] & (targets.batch.unconstrained == 0)
        normaliser = torch.cat([tokens.constrained[c].flatten(), tokens.unconstrained[u]]).logsumexp(0)
        nll = torch.zeros(())
        for row, e in zip(targets.constrained_row, targets.constrained_element, strict=True):
            if batch.constrained_material[row] == b:
                nll = nll + normaliser - tokens.constrained[row, e]
        for row, e, count in zip(
            targets.unconstrained_row, targets.unconstrained_element, targets.unconstrained_count, strict=True
        ):
            if batch.unconstrained_material[row] == b:
                counts = tokens.joint[row, e].log().log_softmax(0)
                nll = nll + normaliser - tokens.unconstrained[row, e] - counts[count - 1]
        assert torch.allclose(terms[b], nll / targets.n_left[b], rtol=1e-4)
    loss = jump_loss(tokens, targets)
    assert torch.allclose(loss, (terms * targets.n_tokens).mean())
    loss.backward()
    assert bool(tokens.constrained.grad.isfinite().all())
    assert bool(tokens.unconstrained.grad.isfinite().all())
    assert bool((tokens.constrained.grad[targets.batch.constrained != 0] == 0).all())
    assert torch.allclose(jump_loss(tokens, targets, "token"), terms.mean())
    with pytest.raises(ValueError, match="weighting"):
        jump_loss(tokens, targets, "none")


def test_the_count_loss_is_least_at_the_exact_law_of_missing_tokens():
    """The oracle's log π_S(N) beats the same logits shifted towards more or fewer tokens."""
    library = batch_of(real_protostructures(62, 40))
    oracle = Oracle(library, 8)
    many = batch_of([library_member for library_member in real_protostructures(62, 40) for _ in range(40)])
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(many.n_materials, generator=generator, dtype=torch.float64)
    thinned = thin(many, u, generator)
    n_left = many.n_tokens() - thinned.n_tokens()
    assert bool((n_left >= 0).all())
    logits = oracle.n_left_logits(thinned)
    N = torch.arange(logits.shape[1])
    losses = [float(count_loss(logits + tilt * N, n_left, u)) for tilt in (-0.5, 0.0, 0.5)]
    assert losses[1] < losses[0]
    assert losses[1] < losses[2]


def test_a_process_that_does_not_fit_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="needs the class frequencies"):
        Diffusion.of("marginal", 4, 2)
    with pytest.raises(ValueError, match="5 and 3"):
        Diffusion.of("marginal", 4, 2, marginals=(torch.ones(3) / 3, torch.ones(3) / 3))
    with pytest.raises(ValueError, match="'zeros', 'uniform' or 'marginal'"):
        Diffusion.of("absorbing", 4, 2)


@pytest.mark.parametrize("prior", ["zeros", "uniform"])
def test_the_bound_and_hybrid_losses_are_their_sums_over_variables_written_out(prior: str):
    batch = real_batch()
    P = int(batch.unconstrained.max()) + 1
    diffusion = Diffusion.of(prior, batch.n_elements, P, T=20)
    t = torch.arange(batch.n_materials) % 20 + 1
    x_t = diffusion.noise(batch, t, torch.Generator().manual_seed(0))
    logits = tuple(x.double() for x in random_logits(batch, P))
    step = diffusion.schedule.step(t - 1, t)
    kinds = (
        (0, batch.constrained, x_t.constrained, diffusion.constrained_prior, batch.constrained_material),
        (1, batch.unconstrained, x_t.unconstrained, diffusion.unconstrained_prior, batch.unconstrained_material),
    )
    for weight in (0.0, 0.25):
        sums = torch.zeros(batch.n_materials, dtype=torch.float64)
        for kind, x0, x, kind_prior, material in kinds:
            of = step[material] if kind == 0 else step[material, None]
            terms = kl_any(logits[kind], x0, x, kind_prior, of)
            terms = terms - weight * logits[kind].log_softmax(-1).gather(-1, x0[..., None]).squeeze(-1)
            sums.index_add_(0, material, terms if kind == 0 else terms.sum(-1))
        for weighting, wanted in (("material", sums), ("variable", sums / n_variables(batch))):
            loss = bound_loss(diffusion, logits, batch, x_t, t, weighting, weight)
            torch.testing.assert_close(loss, 20 * wanted.mean(), rtol=1e-9, atol=0)
