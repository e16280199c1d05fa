"""The paper's network: equal to the algorithms as printed, whatever the order of work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from literal_wyckoff_gnn import POSITIONS, literal_forward

from reference_model.batch import Batch
from reference_model.config import ModelConfig
from reference_model.network import build_network, pair
from reference_model.network.linear import packed, product

SMALL = {"hidden_size": 12, "embedding_size": 4, "n_elements": 5, "max_count": 3, "T": 50}
GROUPS = [225, 1, 62, 2, 47, 166, 1, 194, 29]


def small_network(name: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(ModelConfig.named(name, **SMALL)).to(dtype)


def random_batch(groups: list[int], seed: int = 0, n_elements: int = 5, max_count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    empty = Batch.empty(torch.tensor(groups), n_elements)
    return empty.with_state(
        torch.randint(0, n_elements + 1, empty.constrained.shape, generator=generator),
        torch.randint(0, max_count + 1, empty.unconstrained.shape, generator=generator),
    )


def states(batch: Batch) -> list[list[int | list[int]]]:
    """Of each material, what each position holds, in table order."""
    grid: dict[int, int | list[int]] = {}
    grid.update(zip(batch.constrained_cell.tolist(), batch.constrained.tolist(), strict=True))
    grid.update(zip(batch.unconstrained_cell.tolist(), batch.unconstrained.tolist(), strict=True))
    width = batch.n_positions
    return [[grid[m * width + p] for p in range(int(n))] for m, n in enumerate(batch.lengths)]


def packed_literal(network: torch.nn.Module, batch: Batch, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    weights = dict(network.named_parameters())
    constrained, unconstrained = [], []
    for m, state in enumerate(states(batch)):
        number = int(batch.space_group[m])
        out = literal_forward(weights, number, int(t[m]), state, n_layers=len(network.layers))
        for row, logits in zip(POSITIONS[number], out, strict=True):
            (constrained if row["dof"] == "0" else unconstrained).append(logits)
    return torch.stack(constrained), torch.stack(unconstrained).unflatten(1, (batch.n_elements, -1))


def squares(outputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """A scalar whose gradient weighs every logit differently."""
    return sum((torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype).view(x.shape) * x).square().sum() for x in outputs)


@pytest.mark.parametrize("name", ["paper", "released"])
def test_logits_and_gradients_are_those_of_the_algorithms_as_printed(name):
    network, batch = small_network(name), random_batch([225, 1, 62, 2, 166, 1])
    t = torch.tensor([1, 50, 7, 21, 33, 2])
    fast, literal = network(batch, t), packed_literal(network, batch, t)
    for a, b in zip(fast, literal, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)
    names, parameters = zip(*network.named_parameters(), strict=True)
    ours = torch.autograd.grad(squares(fast), parameters)
    theirs = torch.autograd.grad(squares(literal), parameters)
    for parameter, a, b in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10, msg=lambda m, p=parameter: f"{p}: {m}")


def test_a_changed_weight_is_seen_by_the_comparison():
    """Negative control: the oracle above is not blind to any parameter that acts."""
    network, batch = small_network("released"), random_batch([225, 2, 62])
    t = torch.tensor([3, 5, 8])
    with torch.no_grad():
        literal = packed_literal(network, batch, t)
        for name, parameter in network.named_parameters():
            before = parameter.clone()
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=parameter.dtype))
            changed = any(
                not torch.allclose(a, b, rtol=1e-9, atol=1e-10) for a, b in zip(network(batch, t), literal, strict=True)
            )
            parameter.copy_(before)
            # The last bias of a softmax's argument cancels.
            assert changed != name.endswith(f"pair_mlp.{2 * 3}.bias"), name


@pytest.mark.parametrize(("name", "expected"), [("released", 9_575_083), ("paper", 7_267_771)])
def test_parameters_are_as_many_as_counted(name, expected):
    """Released: the authors' network at their defaults. Paper: the sum over Table 3's layers, computed below."""
    with torch.device("meta"):
        network = build_network(ModelConfig.named(name))
    hidden = 2 if name == "paper" else 3

    def mlp(n_in: int, n_out: int, width: int) -> int:
        return n_in * width + width + (hidden - 1) * (width * width + width) + width * n_out + n_out

    layer = mlp(544, 1, 544) + mlp(272, 256, 544)
    heads = mlp(256, 101, 512) + mlp(256, 5500, 512)
    embeddings = 101 * 256 + 55 + 100 * 256 + 256 + 16 * (27 + 231 + 1000)
    embeddings += 16 * 2 if name == "paper" else 16 * (4 + 193)
    assert 3 * layer + heads + embeddings == expected
    assert sum(p.numel() for p in network.parameters()) == expected


def test_a_batch_equals_its_members_one_by_one_and_padding_changes_nothing():
    network, batch = small_network("released"), random_batch(GROUPS)
    t = torch.arange(1, len(GROUPS) + 1)
    constrained, unconstrained = network(batch, t)
    for m, number in enumerate(GROUPS):
        alone = Batch.empty(torch.tensor([number]), 5).with_state(
            batch.constrained[batch.constrained_material == m], batch.unconstrained[batch.unconstrained_material == m]
        )
        c, u = network(alone, t[m : m + 1])
        torch.testing.assert_close(constrained[batch.constrained_material == m], c, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(unconstrained[batch.unconstrained_material == m], u, rtol=1e-12, atol=1e-12)


def test_permuting_positions_with_their_features_permutes_the_output():
    """Positions 1 and 2 of P-1 (b and c) trade places in the grid; the network reads rows, not the order."""
    network, batch = small_network("released"), random_batch([2, 2])
    permutation = torch.tensor([3, 1, 0, 2, 7, 5, 6, 4, 8])
    rows = batch.position_row.clone()
    rows[1] = batch.position_row[0][permutation]
    state = batch.constrained.clone()
    state[8:] = batch.constrained[:8][permutation[:8]]
    unconstrained = batch.unconstrained[:1].expand(2, -1)
    batch = replace(batch, position_row=rows).with_state(state, unconstrained)
    c, u = network(batch, torch.tensor([4, 4]))
    torch.testing.assert_close(c[8:], c[:8][permutation[:8]], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(u[1], u[0], rtol=1e-12, atol=1e-12)


def test_the_size_of_a_chunk_and_what_is_kept_change_nothing(monkeypatch):
    network, batch = small_network("paper"), random_batch(GROUPS)
    t = torch.arange(1, len(GROUPS) + 1)

    def run() -> list[torch.Tensor]:
        return [*network(batch, t), *torch.autograd.grad(squares(network(batch, t)), tuple(network.parameters()))]

    expected = run()
    monkeypatch.setitem(pair.CHUNK_BYTES, "cpu", 1)
    monkeypatch.setattr(pair, "KEPT_ITEM_SIZE", 8)
    for a, b in zip(run(), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_float32_and_bfloat16_autocast_stay_near_float64():
    network, batch = small_network("released"), random_batch(GROUPS)
    t = torch.arange(1, len(GROUPS) + 1)
    expected = network(batch, t)
    network = network.float()
    for a, b in zip(network(batch, t), expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(batch, t)
    for a, b in zip(rounded, expected, strict=True):
        assert (a.double() - b).abs().max() < 0.03 * b.abs().max()
    squares(tuple(x.float() for x in rounded)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_every_group_runs_and_no_device_but_the_given_one_is_used():
    """On the meta device an operation that fell back to the CPU, or waited for a value, would raise."""
    network = small_network("released", dtype=torch.float32).to("meta")
    batch = random_batch(list(range(1, 231))).to("meta")
    c, u = network(batch, torch.ones(230, dtype=torch.int64, device="meta"))
    assert c.shape == (616, 6)
    assert u.shape == (1115, 5, 4)
    squares_of = c.square().sum() + u.square().sum()
    squares_of.backward()
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_rows", [1, 7, 300])
def test_a_packed_weight_gives_the_same_product_for_any_number_of_rows(dtype, n_rows):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 34, generator=generator).to(dtype) for n in (n_rows, 21))
    bias = torch.randn(21, generator=generator).to(dtype)
    for given in (bias, None):
        exact = product(x.double(), weight.double(), None if given is None else given.double())
        found = product(x, packed(weight, 64), given)
        assert found.dtype == dtype
        assert (found.double() - exact).abs().max() <= 100 * torch.finfo(dtype).eps, "of numbers of size 10"
