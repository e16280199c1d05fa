"""Equality of labels and structures, under a profile, with the reason where they differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_structures import real_structures
from strategies import protostructures

from wyckoffkit import LabelError, ProtostructureError, compare
from wyckoffkit.canonical import PROFILES, are_equivalent, relabel, relabelings
from wyckoffkit.label import parse_prototype
from wyckoffkit.symmetry import Crystal

REAL = real_structures()


@given(protostructures(), st.sampled_from(PROFILES), st.data())
def test_settings_of_one_protostructure_are_the_same_under_their_profile_and_under_affine(p, profile, data):
    other = relabel(p, data.draw(st.sampled_from(relabelings(p.space_group.number, profile))))
    for name in (profile, "affine"):
        found = compare(p, other, profile=name)
        assert found.same
        assert found.reason == ""


@given(protostructures(), protostructures(), st.sampled_from(PROFILES))
def test_a_reason_is_given_exactly_where_two_materials_are_not_equivalent(one, other, profile):
    found = compare(one, other, profile=profile)
    assert found.same == are_equivalent(one, other, profile)
    assert bool(found.reason) == (not found.same)


@pytest.mark.parametrize(
    "one, other, profile, reason",
    [
        ("AB_cF8_225_a_b:Ca-O", "AB_cP2_221_a_b:Ca-O", "affine", "space groups Fm-3m (225) and Pm-3m (221)"),
        ("A_hP3_152_a:Te", "A_hP3_154_a:Te", "affine", "(154), an enantiomorphic pair"),
        ("AB_cF8_225_a_b:Ca-O", "AB_cF8_225_a_b:Mg-O", "affine", "elements Ca-O and Mg-O, of one prototype"),
        ("AB_cF8_225_a_b:Ca-O", "AB2_cF12_225_a_c:Ca-F", "affine", "elements Ca-O and Ca-F, on other positions"),
        ("AB_cF8_225_a_b:Ca-O", "AB2_cF12_225_a_c:Ca-O", "affine", "prototypes AB_cF8_225_a_b and AB2_cF12_225_a_c"),
        ("A3BC_cP5_221_c_a_b:O-Sr-Ti", "A3BC_cP5_221_d_a_b:O-Sr-Ti", "affine", "elements change places"),
        ("AB_aP2_2_a_b:Ca-O", "AB_aP2_2_a_d:Ca-O", "pymatgen", "in different cells"),
        ("AB_mC8_15_a_b:Cl-Na", "AB_mC8_15_c_d:Cl-Na", "aviary-1.1.1", "the same under pymatgen and affine"),
    ],
)
def test_the_reason_is_the_coarsest_difference(one, other, profile, reason):
    found = compare(one, other, profile=profile)
    assert not found.same
    assert reason in found.reason


@pytest.mark.parametrize("real", REAL[::8], ids=lambda real: real.material_id)
def test_a_structure_in_another_cell_is_the_same_as_itself_and_as_its_label(real):
    crystal = real.crystal
    matrix = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])
    other = Crystal(matrix @ crystal.lattice, crystal.frac @ np.linalg.inv(matrix) + 0.1, crystal.numbers)
    assert compare(real.structure, other).same
    assert compare(other, real.label).same


def test_what_is_no_material_and_no_profile_is_a_named_error():
    with pytest.raises(LabelError):
        compare("AB_cF8_225_a_b:Ca-O", "AB_cF8_225_a_a:Ca-O")
    with pytest.raises(ProtostructureError, match="is not a profile"):
        compare("AB_cF8_225_a_b:Ca-O", "AB_cF8_225_a_b:Ca-O", profile="euclidean")


@pytest.mark.parametrize(
    "one, other, reason",
    [
        ("AB_cF8_225_b_a", "AB_cF8_225_a_b:Ca-O", ""),
        ("AB_aP2_2_a_b", "AB_aP2_2_a_d", ""),
        ("AB_cF8_225_a_b", "AB_cF8_216_a_b:S-Zn", "space groups Fm-3m (225) and F-43m (216)"),
        ("AB2_cF12_225_a_c", "AB_cF8_225_a_b", "prototypes AB2_cF12_225_a_c and AB_cF8_225_a_b"),
    ],
)
def test_beside_a_label_without_elements_those_of_the_other_do_not_count(one, other, reason):
    assert compare(one, other).reason == reason
    assert compare(one, other).same == (not reason)
    assert compare(one, parse_prototype(other.partition(":")[0])).same == (not reason)


def test_prototypes_in_different_cells_are_the_same_under_the_affine_profile_alone():
    found = compare("AB_aP2_2_a_b", "AB_aP2_2_a_d", profile="pymatgen")
    assert found.labels == ("AB_aP2_2_a_b", "AB_aP2_2_a_d")
    assert found.reason == "settings in different cells: the same under the affine profile, not under pymatgen"
