"""What labels collapse into, against a symmetry search on crystals that the generator of the tables lays out."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from test_collapse import group_and_cell_of_a_crystal, random_protostructure

from wyckoffkit import SpaceGroup, parse_label
from wyckoffkit.collapse import collapses
from wyckoffkit.operations import operations
from wyckoffkit.supergroup import supergroup_of

# spglib 2.7 and newer warn on every call of the generator until it is told how to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


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


def test_supergroups_do_not_collapse_keep_the_composition_and_have_the_group_and_cell_of_a_crystal():
    rng = np.random.default_rng(8)
    seen = 0
    for number in range(1, 231):
        p = random_protostructure(SpaceGroup.from_number(number), rng)
        if collapses(p):
            seen += 1
            found = supergroup_of(p)
            assert not collapses(found)
            assert reduced(found.composition) == reduced(p.composition)
            number, n_centrings = found.space_group.number, operations(found.space_group.number).n_centrings
            assert group_and_cell_of_a_crystal(p, rng) == (number, found.n_atoms // n_centrings)
    assert seen > 40
