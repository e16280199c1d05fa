"""Samplers against an exact denoiser made of real protostructures, and against themselves in other batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from oracle import Oracle, batch_of, real_protostructures, token_keys
from statistics_of_draws import chi_square_p
from torch import Tensor
from toy import Independent, product_law

from reference_model.batch import Batch
from reference_model.config import ModelConfig
from reference_model.diffusion import Diffusion
from reference_model.network import build_network
from reference_model.sampler import ancestral, ask, count_head, factors, first_hitting, jump, strided
from reference_model.sampler.answers import chances
from reference_model.streams import Streams

FALSE_ALARM = 1e-6
P = 8
DIFFUSION = Diffusion.of("zeros", 100, P)
GROUPS = (62, 166, 225)


@cache
def library() -> Batch:
    return batch_of([p for number in GROUPS for p in real_protostructures(number, 30)])


@cache
def drawn(name: str, n: int = 3000) -> tuple[Batch, int]:
    """Samples of the three groups in turn, and network calls a batch."""
    sampler = {
        "jump": jump,
        "count_head": count_head,
        "first_hitting": first_hitting,
        "first_hitting, refresh .95": partial(first_hitting, refresh=0.95),
        "one big step": partial(strided, n_steps=1),
    }[name]
    oracle = Oracle(library(), P, DIFFUSION.schedule)
    start = Batch.empty(torch.tensor(GROUPS).repeat(n // 3))
    return sampler(oracle, start, DIFFUSION, Streams.of(11, torch.arange(n))), oracle.calls


def names(batch: Batch) -> list[tuple[int, ...]]:
    """Each material as the sorted tuple of its tokens."""
    out: list[list[int]] = [[] for _ in range(batch.n_materials)]
    for material, key in zip(*(x.tolist() for x in token_keys(batch)), strict=True):
        out[material].append(key)
    return [tuple(sorted(tokens)) for tokens in out]


def inside(batch: Batch) -> float:
    """The fraction of samples that are members of the library."""
    members = set(names(library()))
    return sum(name in members for name in names(batch)) / batch.n_materials


def law_p(batch: Batch, view: Callable[[tuple[int, ...]], object]) -> float:
    """Chi-square p-value that samples of each group, seen through ``view``, follow the library's law of that group."""
    expected: Counter[object] = Counter()
    sizes = Counter(library().space_group.tolist())
    asked = Counter(batch.space_group.tolist())
    for name, number in zip(names(library()), library().space_group.tolist(), strict=True):
        expected[number, view(name)] += asked[number] / sizes[number]
    observed = Counter((g, view(name)) for g, name in zip(batch.space_group.tolist(), names(batch), strict=True))
    cells = list(expected | observed)
    return chi_square_p(torch.tensor([observed[c] for c in cells]), torch.tensor([expected[c] for c in cells]))


def pattern(name: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The occupied positions and counts, elements dropped."""
    return tuple(sorted((key // (64 * 128), key % 64) for key in name))


@pytest.mark.parametrize("name", ["jump", "count_head"])
def test_exact_samplers_draw_library_members_only_and_with_the_law_of_the_library(name: str):
    samples, _ = drawn(name)
    assert inside(samples) == 1
    assert law_p(samples, len) > FALSE_ALARM
    assert law_p(samples, pattern) > FALSE_ALARM
    assert law_p(samples, lambda name: name) > FALSE_ALARM


def test_first_hitting_stays_in_the_support_with_a_few_calls_a_token():
    samples, calls = drawn("first_hitting", 900)
    assert inside(samples) > 0.99
    assert calls < 30


@pytest.mark.slow
def test_first_hitting_has_the_law_of_the_library_when_it_refreshes_often():
    samples, _ = drawn("first_hitting, refresh .95")
    assert inside(samples) > 0.999
    members = set(names(library()))
    assert law_p(samples, len) > FALSE_ALARM
    assert law_p(samples, lambda name: pattern(name) if name in members else None) > FALSE_ALARM


def test_parallel_births_in_one_big_step_leave_the_support_and_the_law():
    """The negative control: tokens drawn independently are wrong together."""
    samples, calls = drawn("one big step")
    assert calls == 1
    assert inside(samples) < 0.2
    assert law_p(samples, len) < FALSE_ALARM
    assert law_p(samples, pattern) < FALSE_ALARM


def test_a_jump_needs_as_many_calls_as_the_largest_material_has_tokens():
    samples, calls = drawn("jump")
    assert calls == 1 + int(samples.n_tokens().max())


@pytest.mark.parametrize(
    "sampler", [jump, count_head, first_hitting, partial(strided, n_steps=8), partial(strided, n_steps=8, spacing="t")]
)
def test_a_sample_depends_on_its_seed_and_number_alone_and_not_on_its_batch(sampler: Callable[..., Batch]):
    space_group, number = torch.tensor([225, 62, 166, 62, 225, 225]), torch.tensor([3, 14, 15, 92, 65, 35])
    oracle = Oracle(library(), P, DIFFUSION.schedule)

    def sample(chosen: Tensor, seed: int = 5) -> list[tuple[int, ...]]:
        start = Batch.empty(space_group[chosen])
        return names(sampler(oracle, start, DIFFUSION, Streams.of(seed, number[chosen])))

    together = sample(torch.arange(6))
    assert [sample(torch.tensor([i]))[0] for i in range(6)] == together
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert sample(order) == [together[i] for i in order]
    assert sample(torch.arange(6), seed=6) != together


def variable_laws(batch: Batch) -> float:
    """The smallest chi-square p-value over the variables of one group's samples, times the number of variables."""
    n, n_c = batch.n_materials, int(batch.constrained_mask[0].sum())
    laws = product_law(batch)
    c = batch.constrained.view(n, n_c)
    u = batch.unconstrained.view(n, -1)
    p_values = [chi_square_p(torch.bincount(c[:, k], minlength=5), n * laws[0][k]) for k in range(n_c)]
    flat = laws[1].flatten(0, 1)
    p_values += [chi_square_p(torch.bincount(u[:, k], minlength=3), n * flat[k]) for k in range(u.shape[1])]
    return min(p_values) * len(p_values)


MARGINALS = torch.tensor([0.5, 0.1, 0.1, 0.2, 0.1]), torch.tensor([0.7, 0.2, 0.1])


@pytest.mark.parametrize("prior", ["zeros", "uniform", "marginal"])
@pytest.mark.parametrize("how", ["ancestral", "strided in t", "strided in alpha_bar"])
def test_end_to_end_an_exact_denoiser_returns_clean_data_for_every_prior(prior: str, how: str):
    """Independent variables leave no parallel-decoding error, so that the law must come out exactly."""
    diffusion = Diffusion.of(prior, 4, 2, T=10, marginals=MARGINALS)
    sampler = {
        "ancestral": ancestral,
        "strided in t": partial(strided, n_steps=5, spacing="t"),
        "strided in alpha_bar": partial(strided, n_steps=5),
    }[how]
    start = Batch.empty(torch.full((20_000,), 82), 4)
    samples = sampler(Independent(diffusion), start, diffusion, Streams.of(0, torch.arange(20_000)))
    assert variable_laws(samples) > FALSE_ALARM


def test_the_published_off_by_one_leaves_noise_that_this_end_to_end_test_sees():
    """Stopping where the published code does, with one noise step left, fails the test above."""
    diffusion = Diffusion.of("uniform", 4, 2, T=10)
    samples = ancestral(
        Independent(diffusion),
        Batch.empty(torch.full((20_000,), 82), 4),
        diffusion,
        Streams.of(0, torch.arange(20_000)),
    )
    one_step_left = diffusion.noise(samples, torch.ones(20_000, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert variable_laws(samples) > FALSE_ALARM
    assert variable_laws(one_step_left) < FALSE_ALARM


class Whole:
    """A network that offers all its logits, and no factors."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def __call__(self, batch: Batch, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(batch, t)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["compact", "released", "paper"])
def test_a_network_in_factors_gives_the_chances_and_values_of_its_whole_logits(name: str):
    torch.manual_seed(0)
    small = {"n_elements": 12, "max_count": 5, "hidden_size": 16, "n_heads": 2, "n_layers": 1}
    network = build_network(ModelConfig.named(name, **small, prior="zeros", objective="d3pm")).eval().double()
    batch = noisy_materials(12, 5)
    t = torch.arange(1, batch.n_materials + 1) * 9
    whole, parts = factors(*network(batch, t)), ask(network, batch, t)
    for ours, theirs in zip(chances(parts), chances(whole), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert torch.allclose(parts.constrained.softmax(-1), whole.constrained.softmax(-1))
    rows, elements = torch.tensor([3, 0, 3]), torch.tensor([1, 7, 1])
    laws = [answer.count(rows, elements).softmax(-1) for answer in (parts, whole)]
    assert torch.allclose(laws[0], laws[1])
    for prior in ("zeros", "uniform"):
        diffusion, streams = Diffusion.of(prior, 12, 5), Streams.of(0, torch.arange(batch.n_materials))
        empty = Batch.empty(batch.space_group, 12)
        samples = [strided(of, empty, diffusion, streams, n_steps=20) for of in (network, Whole(network))]
        assert torch.equal(samples[0].constrained, samples[1].constrained)
        assert torch.equal(samples[0].unconstrained, samples[1].unconstrained)


def noisy_materials(n_elements: int, max_count: int) -> Batch:
    """Groups with one position and with many, of either kind."""
    empty = Batch.empty(torch.tensor([1, 2, 47, 62, 166, 225, 225]), n_elements)
    noise = Diffusion.of("uniform", n_elements, max_count).noise
    return noise(empty, torch.full((7,), 30), torch.Generator().manual_seed(1))


def test_what_is_certainly_occupied_keeps_the_odds_of_its_values():
    logits = torch.tensor([[-torch.inf, 1.0, 2.0, -torch.inf]])
    answer = factors(logits, logits[:, None])
    assert [float(chance) for chance in chances(answer)] == [1, 1]
    expected = torch.tensor([[1.0, 2.0, -torch.inf]]).softmax(-1)
    assert torch.allclose(answer.constrained.softmax(-1), expected, atol=1e-5)
    assert torch.allclose(answer.count(torch.tensor([0]), torch.tensor([0])).softmax(-1), expected)


def test_first_hitting_refuses_a_prior_whose_values_change():
    diffusion = Diffusion.of("uniform", 4, 2)
    with pytest.raises(ValueError, match="zeros prior"):
        first_hitting(None, Batch.empty(torch.tensor([1]), 4), diffusion, Streams.of(0, torch.arange(1)))


def test_progress_ends_at_the_number_of_materials():
    seen: list[tuple[int, int]] = []
    oracle = Oracle(library(), P, DIFFUSION.schedule)
    start = Batch.empty(torch.tensor([225, 62, 166]))
    jump(oracle, start, None, Streams.of(0, torch.arange(3)), progress=lambda *of: seen.append(of))
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
