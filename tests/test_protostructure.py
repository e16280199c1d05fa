"""The core types check themselves and derive what follows."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from strategies import protostructures

from wyckoffkit import Orbit, Protostructure, ProtostructureError, Prototype, SpaceGroup

ROCK_SALT = Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "a"), Orbit("Cl", "b")))


@pytest.mark.parametrize(
    "number, orbits, rule",
    [
        (225, [], "empty material"),
        (
            225,
            [("Na", "a"), ("Cl", "a")],
            "position a of Fm-3m .225. has no free coordinate",
        ),
        (225, [("Na", "z")], "has no Wyckoff position 'z'"),
        (225, [("Xx", "a")], "'Xx' is not the symbol"),
        (225, [("X", "a")], "'X' is not the symbol"),
        (2, [("Na", "A")], "has no Wyckoff position 'A'"),
    ],
)
def test_an_impossible_protostructure_is_refused_with_the_rule(number, orbits, rule):
    with pytest.raises(ProtostructureError, match=rule):
        Protostructure(SpaceGroup.from_number(number), tuple(Orbit(*orbit) for orbit in orbits))


@pytest.mark.parametrize("number", [0, 231, -1, "225", 1.5, None])
def test_there_are_230_groups(number):
    with pytest.raises(ProtostructureError, match="1 to 230"):
        SpaceGroup.from_number(number)


def test_a_symbol_names_its_group_however_screw_axes_are_written():
    import moyopy

    for number in range(1, 231):
        symbol = moyopy.SpaceGroupType(number).hm_short  # F m -3 m
        for written in (symbol, symbol.replace("_", ""), re.sub("_([1-5])", lambda m: chr(0x2080 + int(m[1])), symbol)):
            assert SpaceGroup.from_symbol(written).number == number, written
    with pytest.raises(ProtostructureError, match="standard setting"):
        SpaceGroup.from_symbol("Pbnm")


def test_values_are_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        ROCK_SALT.orbits = ()
    with pytest.raises(FrozenInstanceError):
        SpaceGroup.from_number(1).number = 2
    assert len({ROCK_SALT, Protostructure(SpaceGroup.from_number(225), tuple(reversed(ROCK_SALT.orbits)))}) == 1


def test_copies_and_pickles_share_the_group():
    for other in (copy.deepcopy(ROCK_SALT), pickle.loads(pickle.dumps(ROCK_SALT))):
        assert other == ROCK_SALT
        assert other.space_group is ROCK_SALT.space_group


@given(protostructures())
def test_composition_pearson_and_formula_agree(protostructure):
    composition = protostructure.composition
    assert sum(composition.values()) == protostructure.n_atoms
    assert protostructure.pearson_symbol.endswith(str(protostructure.n_atoms))
    assert list(composition) == sorted(composition)
    multiplicities = {p.letter: p.multiplicity for p in protostructure.space_group.positions}
    assert protostructure.n_atoms == sum(multiplicities[orbit.letter] for orbit in protostructure.orbits)


@given(protostructures())
def test_dof_counts_the_free_coordinates_of_all_orbits(protostructure):
    by_letter = {p.letter: sum(c in p.coordinates for c in "xyz") for p in protostructure.space_group.positions}
    assert protostructure.dof == sum(by_letter[orbit.letter] for orbit in protostructure.orbits)


def test_a_prototype_forgets_elements_and_sorts_by_amount():
    # CODEC.md section 2.
    group = SpaceGroup.from_number(166)
    assert str(Prototype(group, (("a",), ("h",), ("b",)))) == "ABC6_hR24_166_a_b_h"


def test_a_prototype_of_thirty_elements_of_equal_count_is_fast_and_whole():
    group = SpaceGroup.from_number(1)
    symbols = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn".split()
    protostructure = Protostructure(group, tuple(Orbit(symbol, "a") for symbol in symbols))
    assert protostructure.prototype().fields == (("a",),) * 30
    assert str(protostructure.prototype()).startswith("ABCDEFGHIJKLMNOPQRSTUVWXYZabcd_aP30_1_a_")
