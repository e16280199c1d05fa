"""Group-subgroup relations of labels, on the phases of perovskites and on subgroups of every group."""

from __future__ import annotations

import pytest

from wyckoffkit import Orbit, Protostructure, SpaceGroup, SymmetryError, parse_label
from wyckoffkit.operations import operations
from wyckoffkit.subgroups import is_distortion_of, subgroup_forms

CUBIC = parse_label("AB3C_cP5_221_a_c_b:Ba-O-Ti")

# Kwei et al., J. Phys. Chem. 97, 2368 (1993): BaTiO3 below 393 K, 278 K and 183 K. I4/mcm: SrTiO3 below 105 K (Unoki
# and Sakudo 1967). Pnma: GdFeO3 type (Geller 1956), the commonest of Glazer's tilts.
DISTORTED = {
    "tetragonal ferroelectric": "AB3C_tP5_99_a_bc_b:Ba-O-Ti",
    "orthorhombic ferroelectric": "AB3C_oC10_38_a_ae_b:Ba-O-Ti",
    "rhombohedral ferroelectric": "AB3C_hR15_160_a_b_a:Ba-O-Ti",
    "one tilt": "AB3C_tI20_140_b_ah_c:Ba-O-Ti",
    "three tilts": "AB3C_oP20_62_c_cd_a:Ba-O-Ti",
}


@pytest.mark.parametrize("label", DISTORTED.values(), ids=DISTORTED)
def test_the_phases_of_perovskites_are_distortions_of_the_cubic_one(label):
    assert is_distortion_of(parse_label(label), CUBIC)
    assert not is_distortion_of(CUBIC, parse_label(label))


@pytest.mark.parametrize(
    "label",
    [
        "AB3C_tI20_140_c_ah_b:Ba-O-Ti",  # the cations of the tilted one exchanged
        "AB3C_hP30_194_bf_hk_af:Ba-O-Ti",  # hexagonal BaTiO3 shares faces of octahedra
        "AB_cF8_225_a_b:Ba-O",  # another composition
    ],
)
def test_what_only_looks_like_one_is_none(label):
    assert not is_distortion_of(parse_label(label), CUBIC)


def test_parents_are_found_among_candidates():
    child = parse_label(DISTORTED["tetragonal ferroelectric"])
    others = [parse_label("AB3C_oP20_62_c_cd_a:Ba-O-Ti"), CUBIC, child]
    assert [other for other in others if is_distortion_of(child, other)] == [CUBIC, child]


def test_forms_in_subgroups_keep_the_primitive_cell_and_lose_the_point_operations_they_should():
    for number in range(1, 231):
        group = SpaceGroup.from_number(number)
        p = Protostructure(group, (Orbit("Fe", group.letters[-1]), Orbit("O", "a")))
        forms = list(subgroup_forms(p, 2))
        # International Tables A, figure 3.2.1.3: all point groups but these three have a subgroup of index 2.
        assert bool(forms) == (group.point_group not in ("1", "3", "23"))
        for form in forms:
            sub = operations(form.space_group.number)
            assert len(sub.rotations) * 2 == len(operations(number).rotations)
            assert form.n_atoms // sub.n_centrings == p.n_atoms // operations(number).n_centrings
            assert is_distortion_of(form, p)


def test_cells_too_large_to_be_listed_are_refused_at_once():
    with pytest.raises(SymmetryError, match="cells 27 times as large as those of A_cP1_221_a:Fe"):
        is_distortion_of(parse_label("A_aP27_1_27a:Fe"), parse_label("A_cP1_221_a:Fe"))
