"""Samplers, bounds and conditions of an arbitrary network on a space in which every material can be written down."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from enumerated import EMPTY, GROUP, N_MAX, Arbitrary, E, P, State, batch_of_states, exact_law, states_of
from statistics_of_draws import chi_square_p, total_variation
from torch import Tensor

from reference_model.batch import Batch, group_tables
from reference_model.conditioning import Laws, Request, sample_request
from reference_model.likelihood import jump_bound
from reference_model.sampler import jump
from reference_model.streams import Streams
from wyckoffkit.elements import SYMBOLS

FALSE_ALARM = 1e-6
FIRST = int(group_tables().first_row[GROUP])
MULTIPLICITY = group_tables().multiplicity[FIRST:][:5].tolist()


def counts(states: list[State], law: dict[State, float]) -> tuple[Tensor, Tensor]:
    observed = Counter(states)
    cells = list(dict.fromkeys([*law, *observed]))
    return torch.tensor([observed[c] for c in cells]), torch.tensor([law.get(c, 0.0) for c in cells])


def test_the_space_is_enumerated_whole():
    law = exact_law()
    assert math.isclose(sum(law.values()), 1, abs_tol=1e-12)
    slots = 2 * [E] + 3 * E * [P]  # values of each slot; every set of 1 to 3 slots that are not one position's twice
    expected = sum(math.prod(c) for n in range(1, N_MAX + 1) for c in itertools.combinations(slots, n))
    assert len(law) == expected


def test_jump_samples_follow_the_enumerated_law_and_not_that_of_a_network_told_another_N():
    n = 60_000
    samples = jump(Arbitrary(), Batch.empty(torch.full((n,), GROUP), E), None, Streams.of(3, torch.arange(n)))
    observed, law = counts(states_of(samples), exact_law())
    assert chi_square_p(observed, n * law) > FALSE_ALARM
    observed, wrong = counts(states_of(samples), exact_law(shift=1))
    assert chi_square_p(observed, n * wrong) < FALSE_ALARM


def exact_bound(state: State) -> float:
    """The jump bound in bits, every subset S of the tokens written out."""
    c, u = state
    tokens = [("c", i, 0) for i in range(len(c)) if c[i]]
    tokens += [("u", i, e) for i in range(len(u)) for e in range(E) if u[i][e]]

    def kept(chosen: tuple[tuple[str, int, int], ...]) -> State:
        return (
            tuple(c[i] if ("c", i, 0) in chosen else 0 for i in range(len(c))),
            tuple(tuple(u[i][e] if ("u", i, e) in chosen else 0 for e in range(E)) for i in range(len(u))),
        )

    network, n = Arbitrary(), len(tokens)
    nats = -float(network.n_logits.log_softmax(0)[n]) - math.lgamma(n + 1)
    for r in range(n):
        subsets = list(itertools.combinations(tokens, r))
        for chosen in subsets:
            law = network.next_law(kept(chosen), n - r)
            missing = [token for token in tokens if token not in chosen]
            nats -= sum(math.log(law[kept((*chosen, token))]) for token in missing) / (n - r) / len(subsets)
    return nats / math.log(2)


def test_the_jump_bound_is_its_definition_and_lies_above_the_exact_bits():
    law = exact_law()
    states = [state for i, state in enumerate(law) if i % 37 == 0 or state[1] == EMPTY[1]]
    draws = 400
    bound = jump_bound(Arbitrary(), batch_of_states(states), torch.Generator().manual_seed(0), n_draws=draws)
    exact = torch.tensor([-math.log2(law[state]) for state in states], dtype=torch.float64)
    written_out = torch.tensor([exact_bound(state) for state in states], dtype=torch.float64)
    assert bool((written_out >= exact - 1e-9).all())
    assert float((written_out - exact).max()) > 0.01  # for a network that is no posterior it is not tight
    assert bool(((bound.bits - written_out).abs() < 6 * bound.standard_error + 1e-5).all())


LAWS = Laws(
    torch.nn.functional.one_hot(torch.tensor(GROUP), 231).double(), Arbitrary().n_logits.softmax(0).expand(231, -1)
)


def atoms(state: State) -> list[int]:
    out = [0] * E
    c, u = state
    for i, z in enumerate(c):
        if z:
            out[z - 1] += MULTIPLICITY[i]
    for i, row in enumerate(u):
        for e in range(E):
            out[e] += row[e] * MULTIPLICITY[len(c) + i]
    return out


def same_ratio(state: State, a: int, b: int) -> bool:
    x, y = atoms(state)
    return x > 0 and x * b == y * a


CONDITIONS: dict[str, tuple[dict[str, object], Callable[[State], bool]]] = {
    "one element": ({"elements": SYMBOLS[1]}, lambda s: atoms(s)[1] == 0),
    "both required": ({"require": f"{SYMBOLS[1]},{SYMBOLS[2]}"}, lambda s: min(atoms(s)) > 0),
    "few atoms": ({"max_atoms": 20}, lambda s: sum(atoms(s)) <= 20),
    "a formula": ({"composition": f"{SYMBOLS[1]}2{SYMBOLS[2]}"}, lambda s: same_ratio(s, 2, 1)),
    "an anonymous formula": ({"anonymous": "AB2"}, lambda s: same_ratio(s, 2, 1) or same_ratio(s, 1, 2)),
    "a small formula": (
        {"anonymous": "AB2", "max_atoms": 24},
        lambda s: sum(atoms(s)) <= 24 and (same_ratio(s, 2, 1) or same_ratio(s, 1, 2)),
    ),
    "a prototype": (
        {"prototype": "AB2_tI12_122_a_c"},
        lambda s: (
            s
            in {
                ((z, 0), tuple(tuple(int(i == 0 and e + 1 == 3 - z) for e in range(E)) for i in range(3)))
                for z in (1, 2)
            }
        ),
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_on_an_arbitrary_network_have_its_exact_conditional_law_and_probability(name: str):
    options, holds = CONDITIONS[name]
    inside = {state: p for state, p in exact_law().items() if holds(state)}
    probability = sum(inside.values())
    pools, particles = 12, 1000
    found = sample_request(
        Arbitrary(),
        Request.of(space_group=GROUP, **options),  # type: ignore[arg-type]
        LAWS,
        Streams.of(1, torch.arange(pools * particles)),
        n_samples=particles,
        n_pools=pools,
        n_elements=E,
        max_count=P,
    )
    states = states_of(found.batch)
    assert all(holds(state) for state in states)
    estimate, error = found.probability()
    assert abs(estimate - probability) < 5 * error + 1e-7 * probability
    observed, law = counts(states, inside)
    effective = int(found.effective_particles.sum())
    floor = [
        total_variation(torch.bincount(torch.multinomial(law, effective, True, generator=g), minlength=len(law)), law)
        for g in (torch.Generator().manual_seed(i) for i in range(30))
    ]
    spread = torch.tensor(floor)
    assert total_variation(observed, law) < float(spread.mean() + 5 * spread.std()) + 1e-6
