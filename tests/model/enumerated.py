"""A toy space in which everything can be enumerated: I-42d (122), two elements, counts 1 and 2, at most three tokens.

The network is an arbitrary function of the state, not the Bayes posterior of anything, as a trained one is not.
"""

from __future__ import annotations

from functools import cache

import torch
from oracle import OracleTokens
from torch import Tensor

from reference_model.batch import Batch

GROUP, E, P, N_MAX = 122, 2, 2, 3
State = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
"""Constrained values, and counts of each unconstrained position."""


def batch_of_states(states: list[State]) -> Batch:
    batch = Batch.empty(torch.full((len(states),), GROUP), E)
    return batch.with_state(
        torch.tensor([c for c, _ in states]).flatten(), torch.tensor([u for _, u in states]).flatten(0, 1)
    )


def states_of(batch: Batch) -> list[State]:
    c = batch.constrained.view(batch.n_materials, -1).tolist()
    u = batch.unconstrained.view(batch.n_materials, -1, E).tolist()
    return [(tuple(a), tuple(map(tuple, b))) for a, b in zip(c, u, strict=True)]


EMPTY = states_of(Batch.empty(torch.tensor([GROUP]), E))[0]


class Arbitrary:
    """Token logits from random features of the state and N."""

    def __init__(self, seed: int = 0, shift: int = 0) -> None:
        self.shift = shift
        n_c, n_u = len(EMPTY[0]), len(EMPTY[1])
        generator = torch.Generator().manual_seed(seed)
        inputs = n_c * (E + 1) + n_u * E * (P + 1) + N_MAX + 2
        self.w = torch.randn(inputs, 16, generator=generator, dtype=torch.float64)
        self.out = torch.randn(16, n_c * E + n_u * E * (1 + P), generator=generator, dtype=torch.float64) / 2
        self.n_logits = torch.randn(N_MAX + 1, generator=generator, dtype=torch.float64)
        self.n_logits[0] = -torch.inf

    def next_token(self, batch: Batch, n_left: Tensor) -> OracleTokens:
        B, one_hot = batch.n_materials, torch.nn.functional.one_hot
        c = one_hot(batch.constrained.view(B, -1), E + 1).flatten(1)
        u = one_hot(batch.unconstrained.view(B, -1), P + 1).flatten(1)
        n = one_hot(n_left + self.shift, N_MAX + 2)
        z = torch.tanh(torch.cat([c, u, n], 1).double() @ self.w) @ self.out
        n_c, n_u = len(EMPTY[0]), len(EMPTY[1])
        z_c, z_u, z_n = z.split([n_c * E, n_u * E, n_u * E * P], 1)
        return OracleTokens(z_c.reshape(-1, E), z_u.reshape(-1, E), z_n.reshape(-1, E, P).exp())

    def n_left_logits(self, batch: Batch) -> Tensor:
        return self.n_logits.expand(batch.n_materials, -1)

    def next_law(self, state: State, n_left: int) -> dict[State, float]:
        """p(S ∪ τ | S, N) of every token, by the definition: one softmax over the empty slots, then the count."""
        tokens = self.next_token(batch_of_states([state]), torch.tensor([n_left]))
        slots: list[tuple[float, State, list[tuple[float, State]]]] = []
        c, u = state
        for i in range(len(c)):
            for e in range(E):
                if c[i] == 0:
                    after = ((*c[:i], e + 1, *c[i + 1 :]), u)
                    slots.append((float(tokens.constrained[i, e]), after, [(1.0, after)]))
        for i in range(len(u)):
            for e in range(E):
                if u[i][e] == 0:
                    law = tokens.count(torch.tensor([i]), torch.tensor([e]))[0].softmax(0).tolist()
                    rows = [(*u[:i], (*u[i][:e], k + 1, *u[i][e + 1 :]), *u[i + 1 :]) for k in range(P)]
                    counts = [(law[k], (c, rows[k])) for k in range(P)]
                    slots.append((float(tokens.unconstrained[i, e]), state, counts))
        weights = torch.tensor([z for z, _, _ in slots], dtype=torch.float64).softmax(0).tolist()
        return {after: w * p for w, (_, _, counts) in zip(weights, slots, strict=True) for p, after in counts}


@cache
def exact_law(shift: int = 0) -> dict[State, float]:
    """p(x0 | s) of the jump model, summed over every number of tokens and every order."""
    network = Arbitrary(shift=shift)
    p_n = network.n_logits.softmax(0).tolist()
    law: dict[State, float] = {}
    for n in range(1, N_MAX + 1):
        level = {EMPTY: p_n[n]}
        for r in range(n):
            following: dict[State, float] = {}
            for state, p in level.items():
                for after, q in network.next_law(state, n - r).items():
                    following[after] = following.get(after, 0.0) + p * q
            level = following
        law |= level
    return law
