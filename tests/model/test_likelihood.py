"""Bounds against the exact probability, which is known for independent variables and for the empirical law."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import Oracle, OracleTokens, batch_of, real_protostructures
from torch import Tensor
from toy import Independent, draw, log_probability

from reference_model import likelihood
from reference_model.batch import Batch
from reference_model.diffusion import Diffusion
from reference_model.likelihood import (
    Bits,
    jump_bound,
    over_settings,
    rank,
    space_group_bits,
    token_law,
    variational_bound,
)

MARGINALS = torch.tensor([0.5, 0.1, 0.1, 0.2, 0.1]), torch.tensor([0.7, 0.2, 0.1])
SIGMAS = 5.0  # 6e-7 two-sided


def test_the_error_of_a_mean_holds_the_spread_of_materials():
    mean, error = Bits(torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.zeros(4)).mean()
    assert (mean, error) == (3, pytest.approx(math.sqrt(14 / 3 / 4)))
    assert Bits(torch.tensor([2.0]), torch.zeros(1)).mean() == (2, math.inf)


def test_levels_of_the_variational_bound_are_one_a_stratum(monkeypatch: pytest.MonkeyPatch):
    levels: list[Tensor] = []

    def told(network: object, batch0: Batch, diffusion: Diffusion, level: Tensor, generator: object) -> Tensor:
        levels.append(level)
        return torch.arange(3.0)

    monkeypatch.setattr(likelihood, "variational_draw", told)
    batch = Batch.empty(torch.tensor([82, 16, 115]), 4)
    bound = variational_bound(None, batch, Diffusion.of("zeros", 4, 2, T=10), n_draws=8)
    assert torch.equal((torch.stack(levels) * 8).long(), torch.arange(8)[:, None].expand(8, 3))
    torch.testing.assert_close(bound.bits, torch.arange(3.0).double() / math.log(2))
    assert not bound.standard_error.any()


@pytest.mark.parametrize("prior", ["zeros", "uniform", "marginal"])
def test_the_variational_bound_is_tight_for_independent_variables(prior: str):
    diffusion = Diffusion.of(prior, 4, 2, T=10, marginals=MARGINALS)
    generator = torch.Generator().manual_seed(0)
    batch0 = draw(Batch.empty(torch.tensor([82, 16, 115]).repeat(200), 4), generator)
    bound = variational_bound(Independent(diffusion), batch0, diffusion, generator, n_draws=100)
    exact = -log_probability(batch0) / math.log(2)
    z = (bound.bits - exact) / bound.standard_error
    assert float(z.abs().max()) < SIGMAS + 1
    assert abs(float(z.mean())) < SIGMAS / len(z) ** 0.5
    assert abs(bound.mean()[0] - float(exact.mean())) < 0.05 * float(exact.mean())


def test_a_wrong_denoiser_has_a_larger_bound():
    diffusion = Diffusion.of("zeros", 4, 2, T=10)
    right = Independent(diffusion)

    def flattened(batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        c, u = right(batch, t)
        return c * 0.5, u * 0.5

    batch0 = draw(Batch.empty(torch.full((200,), 82), 4), torch.Generator().manual_seed(0))
    exact = float((-log_probability(batch0) / math.log(2)).mean())
    wrong = variational_bound(flattened, batch0, diffusion, torch.Generator().manual_seed(1), n_draws=50)
    assert wrong.mean()[0] > exact + 1


def test_the_jump_bound_of_the_exact_denoiser_is_the_bits_of_the_empirical_law():
    members = real_protostructures(225, 60) + real_protostructures(62, 50)
    library = batch_of(members)
    oracle = Oracle(library, 8)
    bound = jump_bound(oracle, library, torch.Generator().manual_seed(0), n_draws=24)
    sizes = torch.bincount(library.space_group)[library.space_group]
    exact = sizes.double().log2()
    gap = bound.bits - exact
    assert abs(float(gap.mean())) < SIGMAS * float((bound.standard_error**2).sum().sqrt() / len(gap))
    assert bool((bound.standard_error < 3).all())


def test_stratified_r_covers_every_number_of_kept_tokens():
    """With the exact law of n given and n draws, a material with one token is scored without any error."""
    member = next(p for p in real_protostructures(225) if len(p.orbits) == 2)
    library = batch_of([member])
    bound = jump_bound(Oracle(library, 8), library, torch.Generator().manual_seed(0), n_draws=2)
    assert abs(float(bound.bits)) < 1e-6


def test_a_smeared_token_distribution_has_a_larger_bound():
    library = batch_of(real_protostructures(225, 60))
    oracle = Oracle(library, 8)

    class Smeared:
        n_left_logits = oracle.n_left_logits

        def next_token(self, batch: Batch, n_left: Tensor) -> OracleTokens:
            tokens = oracle.next_token(batch, n_left)
            return OracleTokens(tokens.constrained * 0.1, tokens.unconstrained * 0.1, tokens.joint)

    right, wrong = (
        jump_bound(network, library, torch.Generator().manual_seed(0), n_draws=8) for network in (oracle, Smeared())
    )
    assert wrong.mean()[0] > right.mean()[0] + 0.1


def test_the_law_of_n_comes_from_a_table_where_one_is_given():
    library = batch_of(real_protostructures(225, 30))
    counts = torch.zeros(231, 12, dtype=torch.int64)
    counts[225] = torch.bincount(library.n_tokens(), minlength=12)
    oracle = Oracle(library, 8)
    ours, head = (
        jump_bound(oracle, library, torch.Generator().manual_seed(0), n_draws=4, p_n=p_n)
        for p_n in (token_law(counts, prior_weight=1e-9), None)
    )
    assert torch.allclose(ours.bits, head.bits, atol=1e-6)
    beyond = jump_bound(oracle, library, torch.Generator().manual_seed(0), p_n=torch.ones(231, 2) / 2)
    assert bool((beyond.bits == math.inf).all())


def test_a_smoothed_law_gives_every_number_of_tokens_a_probability_and_none_to_an_empty_material():
    counts = torch.zeros(231, 6, dtype=torch.int64)
    counts[1, 2] = 10
    law = token_law(counts)
    assert torch.allclose(law.sum(1), torch.ones(231, dtype=torch.float64))
    assert bool((law[:, 1:] > 0).all())
    assert bool((law[:, 0] == 0).all())
    assert float(law[1, 2]) > 0.9


def test_settings_add_up_their_probabilities():
    bits = Bits(torch.tensor([3.0, 3.0, 5.0, 1.0]).double(), torch.tensor([0.1, 0.1, 0.2, 0.3]).double())
    summed = over_settings(bits, torch.tensor([0, 0, 1, 2]), 3)
    assert summed.bits.tolist() == [2.0, 5.0, 1.0]
    assert torch.allclose(summed.standard_error, torch.tensor([0.1 / 2**0.5, 0.2, 0.3]).double())


def test_the_space_group_costs_its_own_bits():
    probability = torch.zeros(231)
    probability[225], probability[62] = 0.25, 0.75
    assert space_group_bits(torch.tensor([225, 1]), probability).tolist() == [2.0, math.inf]


def test_ranking_puts_the_likeliest_first():
    assert rank([30.0, 12.5, 20.0]) == [1, 2, 0]
