"""Our network: laws of its structure, for both objectives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from test_gnn import GROUPS, random_batch

from reference_model.batch import Batch, group_tables
from reference_model.config import ModelConfig
from reference_model.diffusion import (
    cross_entropy,
    factored_cross_entropy,
    jump_loss,
    jump_targets,
    occupied_slots,
)
from reference_model.element_features import element_features
from reference_model.network import build_network
from reference_model.network.attention import block_attention
from reference_model.network.compact import CompactNetwork
from reference_model.network.layout import Block
from reference_model.network.positions import position_features

SMALL = {"hidden_size": 16, "n_heads": 2, "n_layers": 2, "n_elements": 5, "max_count": 3, "T": 50, "max_tokens": 9}


def small_network(objective: str, dtype: torch.dtype = torch.float64, **changes) -> CompactNetwork:
    torch.manual_seed(0)
    return build_network(ModelConfig.named("compact", objective=objective, **{**SMALL, **changes})).to(dtype)


def outputs(network: CompactNetwork, batch: Batch, number: torch.Tensor) -> list[torch.Tensor]:
    """Everything a network says, each with the materials in order; `number` is t or the tokens left."""
    if network.config.objective == "d3pm":
        return list(network(batch, number))
    tokens = network.next_token(batch, number)
    rows = torch.arange(len(batch.unconstrained))
    counts = torch.stack([tokens.count(rows, torch.full_like(rows, e)) for e in range(batch.n_elements)], 1)
    return [tokens.constrained, tokens.unconstrained, counts, network.n_left_logits(batch)]


@pytest.mark.parametrize("objective", ["jump", "d3pm"])
def test_a_batch_equals_its_members_one_by_one_and_padding_changes_nothing(objective):
    network, batch = small_network(objective), random_batch(GROUPS)
    number = torch.arange(1, len(GROUPS) + 1)
    together = outputs(network, batch, number)
    for m, group in enumerate(GROUPS):
        c, u = batch.constrained_material == m, batch.unconstrained_material == m
        alone = Batch.empty(torch.tensor([group]), 5).with_state(batch.constrained[c], batch.unconstrained[u])
        which = [c, u] if objective == "d3pm" else [c, u, u, torch.arange(len(GROUPS)) == m]
        for a, b, chosen in zip(together, outputs(network, alone, number[m : m + 1]), which, strict=True):
            torch.testing.assert_close(a[chosen], b, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("objective", ["jump", "d3pm"])
def test_permuting_positions_with_their_features_permutes_the_output(objective):
    network, batch = small_network(objective), random_batch([2, 2])
    permutation = torch.tensor([3, 1, 0, 2, 7, 5, 6, 4, 8])
    rows, state = batch.position_row.clone(), batch.constrained.clone()
    rows[1] = batch.position_row[0][permutation]
    state[8:] = batch.constrained[:8][permutation[:8]]
    batch = replace(batch, position_row=rows).with_state(state, batch.unconstrained[:1].expand(2, -1))
    c, u, *_ = outputs(network, batch, torch.tensor([4, 4]))
    torch.testing.assert_close(c[8:], c[:8][permutation[:8]], rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(u[1], u[0], rtol=1e-10, atol=1e-11)
    assert not torch.allclose(c[8:], c[:8])


def test_attention_in_blocks_is_attention_written_out_with_its_gradients():
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2 * 3 + 1 + 3 * 5, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    blocks = (Block(0, 1, 1), Block(1, 2, 3), Block(7, 3, 5))

    def literal(x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(x), 4, dtype=x.dtype)
        for block in blocks:
            for m in range(block.n_materials):
                rows = slice(block.start + m * block.length, block.start + (m + 1) * block.length)
                for head in (0, 2):
                    q, k, v = (x[rows, kind + head : kind + head + 2] for kind in (0, 4, 8))
                    weight = torch.exp(q @ k.T / 2**0.5)
                    out[rows, head : head + 2] = weight / weight.sum(1, keepdim=True) @ v
        return out

    def fast(x: torch.Tensor) -> torch.Tensor:
        return block_attention(x, blocks, 2)

    torch.testing.assert_close(fast(qkv), literal(qkv))
    assert torch.autograd.gradcheck(fast, (qkv,))


def test_d3pm_logits_are_the_occupancy_times_the_law_of_the_count():
    network, batch = small_network("d3pm"), random_batch(GROUPS)
    t = torch.full((len(GROUPS),), 7)
    (constrained, unconstrained), slots = network(batch, t), network.occupancy(batch, t)
    torch.testing.assert_close(constrained[:, 1:] - constrained[:, :1], slots.constrained)
    assert not unconstrained[..., 0].any()
    torch.testing.assert_close(unconstrained[..., 1:].logsumexp(-1), slots.unconstrained)
    rows, elements = torch.tensor([0, 3, 3]), torch.tensor([4, 0, 1])
    torch.testing.assert_close(
        unconstrained[rows, elements, 1:].log_softmax(-1), slots.count(rows, elements).log_softmax(-1)
    )


@pytest.mark.parametrize("weighting", ["variable", "material"])
def test_the_cross_entropy_in_two_factors_is_that_of_the_whole_logits(weighting):
    network, batch = small_network("d3pm", torch.float32), random_batch(GROUPS)
    noised, t = random_batch(GROUPS, seed=1), torch.arange(1, len(GROUPS) + 1)
    whole = cross_entropy(network(noised, t), batch, weighting)
    factored = factored_cross_entropy(network.occupancy(noised, t), batch, occupied_slots(batch), weighting)
    torch.testing.assert_close(factored, whole)
    parameters = list(network.parameters())
    for a, b in zip(torch.autograd.grad(factored, parameters), torch.autograd.grad(whole, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max()))


def test_the_chance_of_an_occupied_slot_falls_with_u_as_the_bound_demands():
    """1 - p_0 = O(u): from t = T to t = 1 the odds fall as u does, but for what the trunk makes of the time."""
    network, batch = small_network("d3pm"), Batch.empty(torch.tensor([225, 225]), 5)
    with torch.no_grad():
        network.time_out.weight.zero_()
        slots = network.occupancy(batch, torch.tensor([1, 50]))
    late, early = (
        slots.unconstrained[: len(slots.unconstrained) // 2],
        slots.unconstrained[len(slots.unconstrained) // 2 :],
    )
    torch.testing.assert_close(early - late, (network.log_u[50] - network.log_u[1]).expand_as(late))
    without = small_network("d3pm", log_u_offset=False)
    without.load_state_dict(network.state_dict())
    slots = without.occupancy(batch, torch.tensor([1, 50]))
    torch.testing.assert_close(*slots.unconstrained.chunk(2))


def test_what_is_missing_and_what_is_there_both_reach_every_output():
    """Negative control for the equalities above: a network that ignored its input would pass them."""
    network = small_network("jump")
    batch = random_batch([225, 62])
    number = torch.tensor([2, 3])
    before = outputs(network, batch, number)
    for changed in (
        outputs(network, batch, number + 1)[:3],
        outputs(network, batch.with_state((batch.constrained + 1) % 6, batch.unconstrained), number),
        outputs(network, batch.with_state(batch.constrained, batch.unconstrained.clamp(max=2)), number),
    ):
        assert all(not torch.allclose(a, b) for a, b in zip(before, changed, strict=False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_parameter_of_the_jump_network_learns(dtype):
    network, batch = small_network("jump", torch.float32), random_batch(GROUPS)
    targets = jump_targets(batch, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = jump_loss(network.next_token(targets.batch, targets.n_left), targets)
        loss = loss + network.n_left_logits(targets.batch).float().square().sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_autocast_stays_near_float32():
    network, batch = small_network("jump", torch.float32, hidden_size=64), random_batch(GROUPS)
    number = torch.arange(1, len(GROUPS) + 1)
    with torch.no_grad():
        exact = outputs(network, batch, number)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = outputs(network, batch, number)
    for a, b in zip(exact, rounded, strict=True):
        assert (a - b.float()).abs().max() < 0.05 * a.abs().max()


@pytest.mark.parametrize("objective", ["jump", "d3pm"])
def test_no_operation_leaves_the_device_or_waits_for_it(objective):
    """On the meta device a fall-back to the CPU, or a look at a value, would raise."""
    network = small_network(objective, torch.float32).to("meta")
    batch = random_batch(list(range(1, 231))).to("meta")
    number = torch.ones(230, dtype=torch.int64, device="meta")
    if objective == "d3pm":
        c, u = network(batch, number)
        assert (c.shape, u.shape) == ((616, 6), (1115, 5, 4))
        loss = c.square().sum() + u.square().sum()
    else:
        tokens = network.next_token(batch, number)
        assert (tokens.constrained.shape, tokens.unconstrained.shape) == ((616, 5), (1115, 5))
        rows = torch.zeros(4, dtype=torch.int64, device="meta")
        loss = tokens.constrained.sum() + tokens.unconstrained.sum() + tokens.count(rows, rows).sum()
        loss = loss + network.n_left_logits(batch).sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in network.parameters())


def test_position_features_begin_with_the_dof_and_tell_every_position_from_every_other():
    features = position_features()
    assert features.shape[0] == 1731
    assert features.isfinite().all()
    static = group_tables()
    assert len({tuple(row) for row in features.tolist()}) == 1731, "group and letter tell positions apart"
    one = features[:, :4]
    assert torch.equal(one.argmax(1), static.dof)


def test_element_features_are_known_and_tell_elements_apart():
    features = element_features(100)
    assert features.isfinite().all()
    assert len({tuple(row) for row in features.tolist()}) == 100


def test_compact_is_a_million_parameters_and_its_configuration_is_json():
    config = ModelConfig.named("compact")
    n_parameters = sum(p.numel() for p in build_network(config).parameters())
    assert 1_000_000 < n_parameters < 3_000_000
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
