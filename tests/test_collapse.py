"""Labels that collapse, against symmetry searches on crystals with random free parameters."""

from __future__ import annotations

from fractions import Fraction

import moyopy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_labels import PAPER_LABELS, all_labels_of_wbm, needs_all_of_wbm
from strategies import protostructures
from table_generator import settings, symbols

from wyckoffkit import Orbit, Protostructure, SpaceGroup, collapse, parse_label
from wyckoffkit.canonical import relabel, relabelings
from wyckoffkit.collapse import collapses
from wyckoffkit.operations import operations, parse_triplet, primitive_sites

# spglib 2.7 and newer warn on every call of the generator until it is told how to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

ALL_GROUPS = [SpaceGroup.from_number(n) for n in range(1, 231)]


def random_protostructure(group: SpaceGroup, rng: np.random.Generator) -> Protostructure:
    elements = ["Al", "Ba", "C", "Dy"][: rng.integers(1, 5)]
    orbits = {}
    for i, k in enumerate(rng.choice(len(group.positions), size=rng.integers(1, 7))):
        position = group.positions[k]
        orbits[position.letter if position.is_constrained else i] = Orbit(str(rng.choice(elements)), position.letter)
    return Protostructure(group, tuple(orbits.values()))


def group_and_cell_of_a_crystal(p: Protostructure, rng: np.random.Generator) -> tuple[int, int]:
    """(group, atoms in the primitive cell) that moyo finds where all free parameters are random."""
    number = p.space_group.number
    group = settings.group(number)
    elements = list(p.occupations)
    points, species = [], []
    for orbit in p.orbits:
        free = [Fraction(int(x), 2**31 - 1) for x in rng.integers(0, 2**31 - 1, 3)]
        sites = symbols.sites(group, p.space_group.position(orbit.letter).coordinates, free)
        points += [[float(x) for x in site] for site in sites]
        species += [elements.index(orbit.element) + 1] * len(sites)
    cell = moyopy.Cell(symbols.lattice(number).tolist(), points, species)
    dataset = moyopy.MoyoDataset(cell, symprec=1e-5)
    return dataset.number, len(dataset.prim_std_cell.numbers)


def disagreements(groups, n_each, seed):
    """Labels where the exact answer and moyo's differ, and how many collapse."""
    rng = np.random.default_rng(seed)
    differ, collapsed = [], 0
    for group in groups:
        for _ in range(n_each):
            p = random_protostructure(group, rng)
            expected = (group.number, p.n_atoms // len(settings.group(group.number).centrings))
            more = group_and_cell_of_a_crystal(p, rng) != expected
            differ += [str(p)] * (collapses(p) != more)
            collapsed += more
    return differ, collapsed


def test_a_label_collapses_where_a_crystal_with_random_parameters_has_more_symmetry():
    differ, collapsed = disagreements(ALL_GROUPS, 1, seed=1)
    assert differ == []
    assert 40 < collapsed < 100  # 29 % of random labels (CODEC.md section 6), so that both answers are tried


def test_more_than_three_orbits_on_a_position_collapse_as_three_do():
    rng = np.random.default_rng(4)
    answers = set()
    for group in ALL_GROUPS:
        free = [position.letter for position in group.unconstrained]
        letters = [str(x) for x in rng.choice(free, size=2)]
        fixed = [position.letter for position in group.constrained[: rng.integers(0, 2)]]
        many = tuple(sorted(letters[0] * int(rng.integers(4, 7)) + letters[1])), tuple(fixed)
        fields = tuple(sorted(field for field in many if field))
        answer = collapse._collapses(group.number, fields)
        elements = ["Al", "Ba"]
        orbits = tuple(Orbit(e, letter) for e, field in zip(elements, fields, strict=False) for letter in field)
        assert collapses(Protostructure(group, orbits)) == answer, (group, fields)
        answers.add(answer)
    assert answers == {True, False}


def test_a_label_with_more_orbits_than_could_be_laid_out_has_an_answer():
    assert not collapses(parse_label("A_aP99999_1_99999a:Fe"))
    assert collapses(parse_label("A_tI40000_79_20000a:Fe"))


@pytest.mark.slow
def test_collapses_agrees_with_moyo_on_six_thousand_random_labels_of_which_three_in_ten_collapse():
    differ, collapsed = disagreements(ALL_GROUPS, 26, seed=2)
    assert differ == []
    assert 0.26 < collapsed / (230 * 26) < 0.36


@pytest.mark.parametrize("label", PAPER_LABELS)
def test_no_label_of_the_paper_collapses(label):
    assert not collapses(parse_label(label))


@pytest.mark.slow
@needs_all_of_wbm
def test_no_label_of_wbm_collapses():
    assert [label for label in all_labels_of_wbm().values() if collapses(parse_label(label))] == []


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("A_aP1_1_a:Fe", "one atom makes P-1"),
        ("A_tP2_123_ad:Fe", "body-centred"),
        ("AB_cP2_200_a_b:Ca-O", "two inversion centres of Pm-3 make Pm-3m"),
        ("A_hP2_156_ab:C", "two columns always have an inversion centre between them"),
    ],
)
def test_known_collapses(label, why):
    assert collapses(parse_label(label)), why


@given(protostructures(), st.data())
def test_equivalent_settings_collapse_together(p, data):
    image = data.draw(st.sampled_from(relabelings(p.space_group.number, "affine")))
    assert collapses(relabel(p, image)) == collapses(p)


def test_the_sites_of_every_position_are_as_many_as_its_multiplicity_says():
    for group in ALL_GROUPS:
        n_centrings = operations(group.number).n_centrings
        for position in group:
            matrices, offsets = primitive_sites(group.number, position.letter)
            assert len(matrices) == len(offsets) == position.multiplicity // n_centrings
            assert np.linalg.matrix_rank(matrices[0]) == position.dof


def test_triplets_are_read_as_the_generator_reads_them():
    for group in ALL_GROUPS:
        for position in group:
            matrix, offset = parse_triplet(position.coordinates)
            expected, shift = settings.parse_triplet(position.coordinates)
            assert matrix.tolist() == [list(row) for row in expected]
            assert [Fraction(int(x), 24) for x in offset] == list(shift)
