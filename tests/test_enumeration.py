"""Counting and enumerating protostructures: two methods held to one number, and pyxtal as a third."""

from __future__ import annotations

from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyckoffkit import Protostructure, ProtostructureError, SpaceGroup
from wyckoffkit.canonical import PROFILES, canonical_form
from wyckoffkit.collapse import collapses
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.enumeration import count_protostructures, enumerate_protostructures

profiles = st.sampled_from([None, *PROFILES])
RUTILE_LIKE = {"Ti": 2, "O": 4}


def test_two_formula_units_of_TiO2_in_P1bar_have_155_labels_but_9_classes():
    # CODEC.md section 3
    assert count_protostructures(RUTILE_LIKE, 2, profile="pymatgen") == 155
    assert count_protostructures(RUTILE_LIKE, 2, profile="affine") == 9


@given(st.integers(1, 230), st.dictionaries(st.sampled_from(["C", "N", "O"]), st.integers(1, 6), min_size=1), profiles)
def test_as_many_are_enumerated_as_counted(number, composition, profile):
    composition = {element: 2 * n for element, n in composition.items()}
    if count_protostructures(composition, number) > 20_000:
        composition = {"O": 4}
    found = list(enumerate_protostructures(composition, number, profile=profile))
    assert len(set(found)) == len(found) == count_protostructures(composition, number, profile=profile)
    assert all(p.composition == composition for p in found)
    assert all(Protostructure(p.space_group, p.orbits) == p for p in found)  # passes the checks it was spared


def test_eight_elements_on_the_eight_centres_of_P1bar_have_8_factorial_settings_and_30_classes():
    # 1344 = |AGL(3, 2)| relabelings, of which none but the identity leaves eight different elements where they are.
    composition = dict.fromkeys(["Al", "B", "C", "F", "H", "N", "O", "S"], 1)
    assert count_protostructures(composition, 2) == factorial(8)
    assert count_protostructures(composition, 2, profile="affine") == factorial(8) // 1344


def test_the_count_of_thirty_elements_in_all_groups_ends():
    composition = dict.fromkeys(SYMBOLS[1:31], 8)
    in_p1 = 1
    # An even number of the centres holds an element, pairs on i the rest of its 8 atoms.
    in_p1bar = sum(comb(8, k) * _ways_to_spread(k, 30) for k in range(9))
    assert count_protostructures(composition, 1) == in_p1
    assert count_protostructures(composition, 2) == in_p1bar
    assert count_protostructures(composition, profile="affine") > in_p1bar // 1344


def _ways_to_spread(centres: int, elements: int) -> int:
    """Ways to put elements on all of so many centres, each on an even number of them."""
    # exponential generating function cosh(x)^n = 2^-n sum of C(n, j) e^((n - 2j)x)
    return sum(comb(elements, j) * (elements - 2 * j) ** centres for j in range(elements + 1)) // 2**elements


@pytest.mark.parametrize("number", [2, 11, 12, 15, 62, 166, 225])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_canonical_ones_are_the_canonical_forms_of_all(number, profile):
    composition = {"Ca": 4, "O": 4} if number != 166 else {"Ca": 3, "O": 6}
    raw = {canonical_form(p, profile) for p in enumerate_protostructures(composition, number)}
    assert raw == set(enumerate_protostructures(composition, number, profile=profile))


def test_the_count_over_all_groups_is_the_sum_over_groups():
    total = sum(count_protostructures(RUTILE_LIKE, n, profile="affine") for n in range(1, 231))
    assert count_protostructures(RUTILE_LIKE, profile="affine") == total


def test_rutile_is_the_one_class_of_two_TiO2_in_its_group_that_does_not_collapse():
    # Rutile, P4_2/mnm: Ti on a, O on f (x,x,0). R. Wyckoff, Crystal Structures 1, 250 (1963).
    found = [str(p) for p in enumerate_protostructures(RUTILE_LIKE, 136, profile="affine") if not collapses(p)]
    assert found == ["A2B_tP6_136_f_a:O-Ti"]
    assert count_protostructures(RUTILE_LIKE, 136) > 1


@pytest.mark.slow
def test_pyxtal_finds_as_many_settings_in_every_group():
    from pyxtal.symmetry import Group

    for number in range(1, 231):
        least = SpaceGroup.from_number(number).positions[0].multiplicity
        amounts = [2 * least, 3 * least]
        if count_protostructures({"C": 2 * least, "O": 3 * least}, number) > 500:
            amounts = [least, least]  # pyxtal cuts long lists short
        theirs, _, _ = Group(number).list_wyckoff_combinations(amounts)
        assert len(theirs) == count_protostructures({"C": amounts[0], "O": amounts[1]}, number), number


@pytest.mark.parametrize(
    ("composition", "rule"),
    [
        ({}, "no element"),
        ({"Xx": 2}, "not the symbol"),
        ({"O": 0}, "at least 1, got 0"),
        ({"O": 1.5}, "at least 1, got 1.5"),
    ],
)
def test_what_is_no_composition_is_refused(composition, rule):
    with pytest.raises(ProtostructureError, match=rule):
        count_protostructures(composition, 2)


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert count_protostructures({"O": np.int64(4), "Ti": np.uint8(2)}, 2, profile="affine") == 9
