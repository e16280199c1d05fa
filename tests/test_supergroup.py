"""What labels collapse into."""

from __future__ import annotations

from math import gcd

import numpy as np

from tests.test_collapse import random_protostructure
from wyckoffkit import SpaceGroup, parse_label
from wyckoffkit.collapse import collapses
from wyckoffkit.supergroup import supergroup_of


def reduced(composition: dict[str, int]) -> dict[str, int]:
    divisor = gcd(*composition.values())
    return {element: n // divisor for element, n in composition.items()}


def test_a_label_that_does_not_collapse_is_its_own_supergroup():
    perovskite = "AB3C_cP5_221_a_c_b:Ba-O-Ti"
    assert str(supergroup_of(parse_label(perovskite))) == perovskite


def test_known_collapses_land_where_they_must():
    # Two atoms half a body diagonal apart in P4/mmm are body-centred with half the cell: I4/mmm.
    assert str(supergroup_of(parse_label("A_tP2_123_ad:Fe"))) == "A_tI2_139_a:Fe"
    # CsCl without the symmetry that its positions always have.
    assert str(supergroup_of(parse_label("AB_cP2_195_a_b:Cl-Cs"))) == "AB_cP2_221_a_b:Cl-Cs"
    assert str(supergroup_of(parse_label("AB_cF8_196_a_b:Ca-O"))) == "AB_cF8_225_a_b:Ca-O"


def test_supergroups_do_not_collapse_and_keep_the_composition():
    rng = np.random.default_rng(8)
    seen = 0
    for number in range(1, 231):
        p = random_protostructure(SpaceGroup.from_number(number), rng)
        if collapses(p):
            seen += 1
            found = supergroup_of(p)
            assert not collapses(found)
            assert reduced(found.composition) == reduced(p.composition)
    assert seen > 40
