"""One noising step and one reverse step beside explicit K × K matrices and, where WYCKOFFDIFF names a checkout, theirs.

    python tests/benchmarks/bench_process.py [--batch 256] [--peers 24]

CPU seconds of one thread, E = 100 elements and counts to P = 54, T = 1000, zeros prior and uniform prior. The peers run
on `--peers` materials, since K × K tensors of 256 do not fit in a few GB; all figures are a material.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import types
from collections.abc import Callable

import torch
from torch import Tensor

from reference_model.batch import Batch
from reference_model.diffusion import Diffusion
from reference_model.sampler import factors, reverse_step
from reference_model.streams import Streams
from reference_model.transitions import posterior

T, E, P = 1000, 100, 54
TOKENS = 4
"""Occupied slots a material, about as many as WBM has on average: one half on constrained positions."""


def materials(n: int) -> Batch:
    """Materials of groups as common as in WBM, with a few tokens at random slots."""
    generator = torch.Generator().manual_seed(0)
    common = torch.tensor([225, 63, 194, 189, 139, 12, 166, 123, 129, 164, 62, 221, 216, 2, 14])
    batch = Batch.empty(common[torch.randint(len(common), (n,), generator=generator)], E)
    rate_c, rate_u = (TOKENS / 2 * n / x.numel() for x in (batch.constrained, batch.unconstrained))
    c = torch.randint(1, E + 1, batch.constrained.shape, generator=generator)
    c = c * (torch.rand(c.shape, generator=generator) < rate_c)
    u = torch.randint(1, 4, batch.unconstrained.shape, generator=generator)
    return batch.with_state(c, u * (torch.rand(u.shape, generator=generator) < rate_u))


def logits_of(batch: Batch) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    c = torch.randn(len(batch.constrained), E + 1, generator=generator)
    u = torch.randn(*batch.unconstrained.shape, P + 1, generator=generator)
    c[..., 0] += 8
    u[..., 0] += 10
    return c, u


def seconds(work: Callable[[], object], least: float = 1.0) -> float:
    """CPU seconds of one call: the least of repeated ones, which run at least a second together."""
    work()
    best, spent = float("inf"), 0.0
    while spent < least:
        start = time.process_time()
        work()
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
    return best


class Explicit:
    """The same steps with one K × K matrix a variable, as the equations are written."""

    def __init__(self, diffusion: Diffusion) -> None:
        a = diffusion.schedule.alpha_bar(torch.arange(T + 1)).float()
        priors = diffusion.constrained_prior, diffusion.unconstrained_prior
        self.bar = [
            a[:, None, None] * torch.eye(p.n_classes) + (1 - a)[:, None, None] * p.m.float().expand(p.n_classes, -1)
            for p in priors
        ]
        ratio = a[1:] / a[:-1]
        self.one = [
            ratio[:, None, None] * torch.eye(p.n_classes)
            + (1 - ratio)[:, None, None] * p.m.float().expand(p.n_classes, -1)
            for p in priors
        ]

    def noise(self, x0: Tensor, t: Tensor, kind: int) -> Tensor:
        bar = self.bar[kind]
        hot = torch.nn.functional.one_hot(x0, bar.shape[-1]).float()
        return (hot[:, None] @ bar[t]).squeeze(1).multinomial(1).squeeze(1)

    def reverse(self, x_t: Tensor, t: Tensor, logits: Tensor, kind: int) -> Tensor:
        """Σ_l p_l Q_t[i, j] Q̄_{t-1}[l, i] / Q̄_t[l, j], for all l and i at once."""
        p, bar = logits.softmax(-1), self.bar[kind]
        towards = self.one[kind][t - 1].gather(2, x_t[:, None, None].expand(-1, bar.shape[-1], 1)).transpose(1, 2)
        evidence = bar[t].gather(2, x_t[:, None, None].expand(-1, bar.shape[-1], 1))
        joint = bar[t - 1] * towards / torch.where(evidence > 0, evidence, 1.0)
        law = (p[..., None] * joint).sum(1)
        law = torch.where(law.sum(-1, keepdim=True) > 0, law, torch.nn.functional.one_hot(x_t, law.shape[-1]).float())
        return law.multinomial(1).squeeze(1)


def variables(batch: Batch, t: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Every variable flat, with its own t: constrained, unconstrained."""
    of = t[batch.unconstrained_material].repeat_interleave(E)
    return [(batch.constrained, t[batch.constrained_material]), (batch.unconstrained.flatten(), of)]


def theirs(checkout: str) -> object:
    """Their d3pm module; without torch_geometric a stand-in for it, which the steps measured do not call."""
    sys.path.insert(0, checkout)
    if "torch_geometric" not in sys.modules and importlib.util.find_spec("torch_geometric") is None:
        geometric = types.ModuleType("torch_geometric")
        geometric.utils = geometric.data = types.SimpleNamespace()  # type: ignore[attr-defined]
        sys.modules["torch_geometric"] = geometric
    from wyckoff_generation.models.d3pm import d3pm

    return d3pm


def report(name: str, ours: float, peer: float | None = None, least: int | None = None) -> None:
    line = f"{name:<58}{(ours if peer is None else peer) * 1e6:>12.2f} µs a material"
    if peer is not None:
        line += f"{peer / ours:>8.0f} times ours" + (f" (asked: {least})" if least else "")
    print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=256, help="materials of our steps")
    parser.add_argument("--peers", type=int, default=24, help="materials of the K × K steps")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    large, small = materials(arguments.batch), materials(arguments.peers)
    t_large, t_small = (torch.full((b.n_materials,), 500) for b in (large, small))
    streams = Streams.of(0, torch.arange(large.n_materials))
    logits_large, logits_small = logits_of(large), logits_of(small)

    def ours(prior: str) -> tuple[float, float]:
        diffusion, generator = Diffusion.of(prior, E, P, T), torch.Generator().manual_seed(0)
        noise = seconds(lambda: diffusion.noise(large, t_large, generator)) / large.n_materials
        reverse = (
            seconds(lambda: reverse_step(factors(*logits_large), large, diffusion, streams, t_large - 1, t_large, 1))
            / large.n_materials
        )
        return noise, reverse

    def full_vector(prior: str) -> float:
        diffusion = Diffusion.of(prior, E, P, T)
        step = diffusion.schedule.step(t_large - 1, t_large)[large.unconstrained_material, None]
        p = logits_large[1].softmax(-1)
        return (
            seconds(lambda: posterior(p, large.unconstrained, diffusion.unconstrained_prior, step)) / large.n_materials
        )

    def pair(noise: Callable[..., object], reverse: Callable[..., object]) -> tuple[float, float]:
        flat = variables(small, t_small)
        z = logits_small[0], logits_small[1].flatten(0, 1)
        n = small.n_materials
        return (
            seconds(lambda: [noise(x, t, kind) for kind, (x, t) in enumerate(flat)]) / n,
            seconds(lambda: [reverse(x, t, z[kind], kind) for kind, (x, t) in enumerate(flat)]) / n,
        )

    for prior in ("zeros", "uniform"):
        print(f"-- {prior} prior")
        noise, reverse = ours(prior)
        report("noising step, ours", noise)
        report("reverse step, ours", reverse)
        report("posterior of every class (K-vector, unconstrained), ours", full_vector(prior))
        explicit = Explicit(Diffusion.of(prior, E, P, T))
        peer = pair(explicit.noise, explicit.reverse)
        report("noising step, K × K matrices", noise, peer[0])
        report("reverse step, K × K matrices", reverse, peer[1])
        checkout = os.environ.get("WYCKOFFDIFF")
        if checkout:
            d3pm = theirs(checkout)
            made = d3pm.ZerosInitD3PMTransition if prior == "zeros" else d3pm.UniformD3PMTransition  # type: ignore[attr-defined]
            kinds = [made(T, K, "cpu", torch.ones(1, K) / K) for K in (E + 1, P + 1)]
            peer = pair(
                lambda x, t, kind, kinds=kinds: kinds[kind].sample_q_t_0(x, t),
                lambda x, t, z, kind, kinds=kinds: kinds[kind].backward_step(x, t, z.softmax(-1)),
            )
            report("noising step, the authors' code", noise, peer[0], 400)
            report("reverse step, the authors' code", reverse, peer[1], 300)


if __name__ == "__main__":
    main()
