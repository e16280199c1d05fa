"""Conditions hold always, and inside them samples follow the true conditional law of an exact denoiser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from math import gcd

import numpy as np
import pytest
import torch
from oracle import Oracle, batch_of, real_protostructures
from statistics_of_draws import total_variation

from reference_model.batch import Batch
from reference_model.conditioning import Conditioned, Laws, Request, sample_request
from reference_model.conditioning.formula import Formula
from reference_model.streams import Streams
from wyckoffkit.elements import ATOMIC_NUMBER
from wyckoffkit.encoding import to_columns
from wyckoffkit.errors import WyckoffkitError
from wyckoffkit.label import format_label, parse_label
from wyckoffkit.protostructure import Orbit, Protostructure
from wyckoffkit.spacegroup import SpaceGroup

P = 8
COMMON = "Li,Na,K,Rb,Cs,Mg,Ca,Sr,Ba,Al,Ga,In,Tl,O,S,Se,F,Cl,Br,I,Mn,Fe,Co,Ni,Ti"


@cache
def members() -> tuple[Protostructure, ...]:
    """A library rich in the conditions tested: real labels of group 225 and 62."""
    return tuple(real_protostructures(225, 200) + real_protostructures(62, 80))


@cache
def laws() -> Laws:
    library = batch_of(list(members()))
    groups = torch.bincount(library.space_group, minlength=231).double()
    n = torch.zeros(231, 12, dtype=torch.float64)
    n.index_put_((library.space_group, library.n_tokens()), torch.ones(library.n_materials).double(), accumulate=True)
    return Laws(groups / groups.sum(), n / n.sum(1, keepdim=True).clamp(min=1))


@cache
def oracle() -> Oracle:
    return Oracle(batch_of(list(members())), P)


def ask(
    request: Request, particles: int = 1024, n_samples: int = 256, n_pools: int = 1, *, look_ahead: bool = True
) -> Conditioned:
    streams, size = Streams.of(0, torch.arange(particles * n_pools)), {"n_samples": n_samples, "n_pools": n_pools}
    return sample_request(oracle(), request, laws(), streams, **size, max_count=P, look_ahead=look_ahead)


def labels(batch: Batch) -> list[str]:
    columns = batch.to_columns()
    return [format_label(columns.protostructure(i)) for i in range(len(columns))]


def distance(batch: Batch, inside: list[Protostructure]) -> float:
    """Total variation between the prototype-and-element statistics of samples and of the members inside a condition."""
    drawn, exact = Counter(labels(batch)), Counter(map(format_label, inside))
    cells = list(drawn | exact)
    return total_variation(torch.tensor([drawn[c] for c in cells]), torch.tensor([exact[c] for c in cells]))


def symbols(p: Protostructure) -> set[str]:
    return set(p.composition)


def ratio(p: Protostructure) -> list[int]:
    divisor = gcd(*p.composition.values())
    return sorted(amount // divisor for amount in p.composition.values())


def has(p: Protostructure, letter: str, element: str) -> bool:
    return Orbit(element, letter) in p.orbits


CASES: dict[str, tuple[dict[str, object], Callable[[Protostructure], bool]]] = {
    "one group": ({"space_group": 62}, lambda p: p.space_group.number == 62),
    "elements": ({"elements": COMMON}, lambda p: symbols(p) <= set(COMMON.split(","))),
    "forbidden": ({"forbid": "O,F,Cs,Rb,K"}, lambda p: not symbols(p) & {"O", "F", "Cs", "Rb", "K"}),
    "required": ({"require": "O"}, lambda p: "O" in symbols(p)),
    "two required": ({"require": "Ba,O"}, lambda p: {"O", "Ba"} <= symbols(p)),
    "few atoms": ({"max_atoms": 12}, lambda p: p.n_atoms <= 12),
    "anonymous": ({"anonymous": "AB3"}, lambda p: ratio(p) == [1, 3]),
    "anonymous in one group": (
        {"anonymous": "ABC6", "space_group": 225},
        lambda p: p.space_group.number == 225 and ratio(p) == [1, 1, 6],
    ),
    "a site": ({"sites": "c=O"}, lambda p: has(p, "c", "O")),
    "several": (
        {"space_group": 225, "require": "O", "max_atoms": 40, "forbid": "Cs"},
        lambda p: p.space_group.number == 225 and "O" in symbols(p) and p.n_atoms <= 40 and "Cs" not in symbols(p),
    ),
    "a prototype": (
        {"prototype": "ABC2_cF16_225_a_b_c"},
        lambda p: (
            p.space_group.number == 225 and sorted(o.letter for o in p.orbits) == list("abc") and len(symbols(p)) == 3
        ),
    ),
    "a prototype with equal roles": (
        {"prototype": "ABC_oP12_62_c_c_c"},
        lambda p: p.space_group.number == 62 and [o.letter for o in p.orbits] == list("ccc") and len(symbols(p)) == 3,
    ),
}


def inside(name: str) -> list[Protostructure]:
    return [p for p in members() if CASES[name][1](p)]


@pytest.mark.parametrize("name", CASES)
def test_every_sample_meets_its_condition_and_the_law_inside_it_is_the_models_own(name: str):
    """As near to the true conditional as independent draws, as many as the effective particles, within 4 deviations."""
    options, holds = CASES[name]
    found = ask(Request.of(**options))  # type: ignore[arg-type]
    columns = found.batch.to_columns()
    assert found.satisfaction == 1
    assert all(holds(columns.protostructure(i)) for i in range(len(columns)))
    target = inside(name)
    assert len(target) >= 2
    n = min(len(columns), int(found.effective_particles))
    independent = torch.tensor([distance(iid(target, n, seed), target) for seed in range(20)])
    assert distance(found.batch, target) < float(independent.mean() + 4 * independent.std())


def iid(target: list[Protostructure], n: int, seed: int) -> Batch:
    index = torch.randint(len(target), (n,), generator=torch.Generator().manual_seed(seed))
    return batch_of([target[i] for i in index])


@pytest.mark.parametrize("name", CASES)
def test_the_mean_weight_is_the_probability_of_the_condition(name: str):
    found = ask(Request.of(**CASES[name][0]), particles=128, n_samples=1, n_pools=8)  # type: ignore[arg-type]
    estimate, error = found.probability()
    exact = len(inside(name)) / len(members())
    assert abs(estimate - exact) < 5 * error + 1e-7


def test_masking_alone_is_far_from_the_conditional_law_and_weights_mend_that():
    """The negative control: pools of one particle are masks without weights."""
    target = inside("elements")
    request = Request.of(elements=COMMON)
    weighted = distance(ask(request, particles=2048, n_samples=512).batch, target)
    masked = distance(ask(request, particles=1, n_samples=1, n_pools=1024, look_ahead=False).batch, target)
    floor = sum(distance(iid(target, 512, seed), target) for seed in range(5)) / 5
    assert weighted < 1.7 * floor
    assert masked > 2.5 * floor


@pytest.mark.parametrize("name", ["elements", "two required", "a site"])
def test_looking_ahead_leaves_the_probability_what_it_is_and_more_particles_effective(name: str):
    request = Request.of(**CASES[name][0])  # type: ignore[arg-type]
    with_it, without = (ask(request, 128, 1, n_pools=8, look_ahead=look_ahead) for look_ahead in (True, False))
    (estimate, error), (other, other_error) = with_it.probability(), without.probability()
    assert abs(estimate - other) < 5 * (error**2 + other_error**2) ** 0.5
    assert float(with_it.effective_particles.mean()) > float(without.effective_particles.mean())


def test_compositions_that_the_library_holds_are_found_and_no_other():
    wanted = [p for p in members() if p.space_group.number == 62][:6]
    for p in wanted:
        formula = "".join(f"{symbol}{n}" for symbol, n in p.composition.items())
        found = ask(Request.of(composition=formula, space_group=62), n_samples=8)
        ours = {tuple(sorted(q.composition.items())) for q in map(parse_label, labels(found.batch))}
        assert found.satisfaction == 1
        for composition in ours:
            amounts, mine = dict(composition), p.composition
            assert {s: amounts[s] * sum(mine.values()) for s in amounts} == {
                s: mine[s] * sum(amounts.values()) for s in mine
            }


def test_a_pool_is_the_same_whatever_other_pools_are_drawn_with_it():
    request = Request.of(elements=COMMON)
    together = ask(request, particles=64, n_samples=4, n_pools=4)
    alone = sample_request(oracle(), request, laws(), Streams.of(0, torch.arange(64, 128)), n_samples=4, max_count=P)
    assert labels(alone.batch) == [
        label for label, pool in zip(labels(together.batch), together.pool, strict=True) if pool == 1
    ]


def test_filters_hold_too():
    seen = set(map(format_label, members()[::2]))
    streams = Streams.of(0, torch.arange(512))
    found = sample_request(
        oracle(),
        Request.of(space_group=225),
        laws(),
        streams,
        n_samples=64,
        max_count=P,
        filters=[lambda columns: np.array([format_label(p) not in seen for p in columns])],
    )
    assert not seen & set(labels(found.batch))


def brute_force(group: SpaceGroup, amounts: dict[str, int], max_atoms: int, n: int) -> bool:
    """Whether n tokens of the group can have the formula, by trying every occupation of each slot."""
    slots = [(p, e) for p in group.positions for e in amounts]

    def search(i: int, n_left: int, content: dict[str, int], full: frozenset[str]) -> bool:
        if n_left == 0:
            k = {content[e] / a for e, a in amounts.items()}
            return len(k) == 1 and k.pop() in range(1, max_atoms)
        if i == len(slots) or sum(content.values()) >= max_atoms:
            return False
        if search(i + 1, n_left, content, full):
            return True
        position, element = slots[i]
        if position.letter in full:
            return False
        most = 1 if position.is_constrained else P
        blocked = full | {position.letter} if position.is_constrained else full
        for count in range(1, most + 1):
            more = {**content, element: content[element] + count * position.multiplicity}
            if sum(more.values()) <= max_atoms and search(i + 1, n_left - 1, more, blocked):
                return True
        return False

    return search(0, n, dict.fromkeys(amounts, 0), frozenset())


@pytest.mark.parametrize("number", [1, 2, 82, 115, 166, 195, 216, 221, 225])
@pytest.mark.parametrize("formula", [{"A": 1, "B": 2}, {"A": 1, "B": 1, "C": 3}, {"A": 2, "B": 3}, {"A": 1}])
def test_the_dynamic_programme_reaches_a_formula_exactly_where_trying_everything_does(
    number: int, formula: dict[str, int]
):
    limit = 24
    ours = Formula(tuple(formula.values()), tuple(range(1, len(formula) + 1)), limit, P)
    anonymous = Formula(tuple(formula.values()), None, limit, P)
    for n in range(1, 5):
        expected = brute_force(SpaceGroup.from_number(number), formula, limit, n)
        assert ours.possible(number, n) == expected
        assert anonymous.possible(number, n) == expected


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"space_group": 231}, "numbered 1 to 230, got 231"),
        ({"require": "O", "forbid": "O"}, "O is required and forbidden at once"),
        ({"require": "O", "elements": "Li,F"}, "O is required and not among the allowed Li,F"),
        ({"elements": "Li,Xx"}, "'Xx' is not the symbol of an element"),
        ({"chemical_system": "Li-O", "require": "Mn"}, "Mn is required and not in chemical system Li-O"),
        ({"composition": "LiMn2O4", "forbid": "Mn"}, "Mn, which is not allowed"),
        ({"composition": "LiO", "require": "Mn"}, "lacks the required Mn"),
        ({"composition": "Li0"}, "a formula is symbols and whole numbers"),
        ({"composition": "LiO", "anonymous": "AB"}, "one of the two"),
        ({"anonymous": "AB", "require": "Li,O,F"}, "AB has 2 elements, 3 are required"),
        ({"max_atoms": 0}, "at least one atom"),
        ({"sites": "a=Ca,a=Ca"}, "names a site twice"),
        ({"sites": "alpha=Ca"}, "letter=element"),
        ({"sites": "a=Ca", "prototype": "ABC3_cP5_221_a_b_c"}, "either sites or a prototype"),
        ({"prototype": "ABC3_cP5_221_a_b_c", "space_group": 225}, "is in space group 221, not in 225"),
        ({"elements": "Li", "forbid": "Li"}, "no element is left"),
    ],
)
def test_requests_that_contradict_themselves_are_refused_with_the_reason(options: dict[str, object], sentence: str):
    with pytest.raises(WyckoffkitError, match=sentence):
        Request.of(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"space_group": 1}, r"no material in P1 \(1\)"),
        ({"space_group": 225, "sites": "a=Ca,a=O"}, r"Fm-3m \(225\) has no room"),
        ({"space_group": 62, "sites": "z=Ca"}, r"Pnma \(62\) has no room"),
        ({"space_group": 225, "max_atoms": 3}, r"no material in Fm-3m \(225\) has 3 atoms or fewer"),
        ({"space_group": 225, "composition": "Na7Cl13", "max_atoms": 30}, "has the formula Na7Cl13 within 30 atoms"),
        ({"space_group": 225, "anonymous": "A7B13", "max_atoms": 30}, "has the formula A7B13 within 30 atoms"),
        ({"require": "H,He,Li,Be,B,C,N,O,F,Ne,Na,Mg,Al"}, "as many sites as there are required elements"),
    ],
)
def test_requests_that_no_occupation_can_meet_are_refused_before_any_network_call(
    options: dict[str, object], sentence: str
):
    request = Request.of(**options)  # type: ignore[arg-type]
    with pytest.raises(WyckoffkitError, match=sentence):
        sample_request(None, request, laws(), Streams.of(0, torch.arange(4)), n_samples=1, max_count=P)


def test_a_request_that_the_model_gives_no_probability_says_so_after_trying():
    with pytest.raises(WyckoffkitError, match="none of 16 particles"):
        ask(Request.of(sites="a=Es", space_group=225), particles=16)


def test_only_a_request_for_groups_is_plain():
    assert Request.of(space_group=[225, 62]).is_plain
    assert Request.of().is_plain
    assert not Request.of(max_atoms=20).is_plain
    assert Request.of(composition="Na2Cl2").formula == (1, 1)
    assert Request.of(composition="NaCl").formula_elements == (ATOMIC_NUMBER["Na"], ATOMIC_NUMBER["Cl"])


def test_columns_of_samples_are_those_of_their_protostructures():
    found = ask(Request.of(space_group=62), particles=32, n_samples=8)
    columns = found.batch.to_columns()
    assert to_columns(list(columns)) == columns
