"""Canonical forms: constant on each class of equivalent settings, least of it, and pymatgen's in its profile."""

from __future__ import annotations

import warnings
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_labels import all_labels_of_wbm, needs_all_of_wbm
from strategies import protostructures

from wyckoffkit import Orbit, Protostructure, ProtostructureError, SpaceGroup, format_label, parse_label
from wyckoffkit.canonical import (
    AS_GIVEN,
    PROFILES,
    canonical_form,
    canonical_label,
    canonical_prototype,
    equivalent_settings,
    is_canonical,
    position_permutations,
    relabel,
    relabelings,
)

profiles = st.sampled_from(PROFILES)


def score_and_text(p: Protostructure) -> tuple[int, str]:
    """The rule of CODEC.md section 3, word for word."""
    score = 0
    fields = []
    for _, orbits in groupby(p.orbits, key=lambda orbit: orbit.element):
        letters = [orbit.letter for orbit in orbits]
        score += sum(0 if x == "A" else "abcdefghijklmnopqrstuvwxyz".index(x) + 1 for x in set(letters))
        counts = {x: letters.count(x) for x in sorted(letters)}
        fields.append("".join(x if n == 1 else f"{n}{x}" for x, n in counts.items()))
    return score, "_".join(fields)


@given(protostructures(), profiles)
def test_the_canonical_form_is_the_least_of_the_equivalent_settings(p, profile):
    assert score_and_text(canonical_form(p, profile)) == min(map(score_and_text, equivalent_settings(p, profile)))


@given(protostructures(), profiles, st.data())
def test_the_canonical_form_is_constant_on_equivalent_settings(p, profile, data):
    other = relabel(p, data.draw(st.sampled_from(relabelings(p.space_group.number, profile))))
    assert canonical_form(other, profile) == canonical_form(p, profile)
    assert canonical_prototype(other, profile) == canonical_prototype(p, profile)
    assert canonical_label(other, profile) == format_label(canonical_form(p, profile))


@given(protostructures(), profiles)
def test_the_canonical_form_is_canonical_and_keeps_what_does_not_depend_on_the_setting(p, profile):
    canonical = canonical_form(p, profile)
    assert canonical_form(canonical, profile) is canonical
    assert is_canonical(canonical, profile)
    assert (canonical.composition, canonical.pearson_symbol, canonical.dof) == (p.composition, p.pearson_symbol, p.dof)
    assert Protostructure(canonical.space_group, canonical.orbits) == canonical  # passes the checks it was spared


@given(protostructures(), profiles, st.data())
def test_the_prototype_does_not_depend_on_the_elements(p, profile, data):
    elements = list(p.occupations)
    renamed = dict(zip(elements, data.draw(st.permutations(elements)), strict=True))
    other = Protostructure(p.space_group, tuple(Orbit(renamed[o.element], o.letter) for o in p.orbits))
    assert canonical_prototype(other, profile) == canonical_prototype(p, profile)


@given(protostructures())
def test_equal_affine_forms_follow_from_equal_pymatgen_forms(p):
    for q in equivalent_settings(p, "pymatgen"):
        assert canonical_form(q, "affine") == canonical_form(p, "affine")


def test_position_permutations_are_the_relabelings_as_indices_and_keep_the_constrained_rows():
    for number in range(1, 231):
        group = SpaceGroup.from_number(number)
        for profile in PROFILES:
            permutations = position_permutations(number, profile)
            images = relabelings(number, profile)
            assert ["".join(group.letters[i] for i in row) for row in permutations] == list(images)
            constrained = np.array([p.is_constrained for p in group])
            assert (constrained[permutations] == constrained).all()


def test_aviary_s_profile_alone_tells_the_centres_c_and_d_of_C2c_from_a_and_b():
    # CODEC.md section 3: group 15 is where that profile differs from the two others.
    p = Protostructure(SpaceGroup.from_number(15), (Orbit("Na", "c"), Orbit("Cl", "d")))
    assert canonical_label(p, "pymatgen") == canonical_label(p, "affine") == "AB_mC8_15_a_b:Cl-Na"
    assert canonical_label(p, "aviary-1.1.1") == "AB_mC8_15_c_d:Cl-Na"


def test_an_unknown_profile_and_a_map_that_is_no_relabeling_are_named():
    p = parse_label("AB_cF8_225_a_b:Ca-O")
    with pytest.raises(ProtostructureError, match="'euclidean' is not a profile: there are pymatgen"):
        canonical_form(p, "euclidean")
    with pytest.raises(ProtostructureError, match="kept as they were given and are canonical under no profile"):
        p.prototype(AS_GIVEN)
    with pytest.raises(ProtostructureError, match="permutes abcdefghijkl, got 'abc'"):
        relabel(p, "abc")
    with pytest.raises(ProtostructureError, match="keeps multiplicity and degrees of freedom, but a "):
        relabel(p, "cbadefghijkl")


def pymatgen_prototypes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that it loads
        return pytest.importorskip("pymatgen.analysis.prototypes")


@pytest.mark.slow
@needs_all_of_wbm
def test_every_wbm_label_is_canonical_in_the_pymatgen_profile_and_pymatgen_agrees():
    theirs = pymatgen_prototypes()
    labels = list(all_labels_of_wbm().values())
    seen = set()
    for label in labels:
        p = parse_label(label)
        assert canonical_label(p) == label
        _, _, number, *fields = label.partition(":")[0].split("_")
        if (number, *fields) not in seen:
            seen.add((number, *fields))
            with_counts = "_".join(
                "".join(f"{field.count(x)}{x}" for x in dict.fromkeys(field)) for field in p.occupations.values()
            )
            assert theirs.canonicalize_element_wyckoffs(with_counts, number) == "_".join(fields)
            assert theirs.get_prototype_from_protostructure(label) == str(canonical_prototype(p))
    assert len(labels) == 246_963


@pytest.mark.slow
def test_random_labels_of_all_groups_have_the_canonical_form_that_pymatgen_finds():
    theirs = pymatgen_prototypes()
    rng = np.random.default_rng(20)
    for number in range(1, 231):
        group = SpaceGroup.from_number(number)
        for _ in range(100):
            elements = rng.choice(["Al", "Ba", "C", "Dy", "Eu"], size=rng.integers(1, 6), replace=False)
            orbits = {}
            for i, position in enumerate(rng.choice(len(group.positions), size=rng.integers(1, 9))):
                place = group.positions[position]
                orbits[place.letter if place.is_constrained else i] = Orbit(str(rng.choice(elements)), place.letter)
            p = Protostructure(group, tuple(orbits.values()))
            fields = p.occupations.values()
            with_counts = "_".join("".join(f"{f.count(x)}{x}" for x in dict.fromkeys(f)) for f in fields)
            found = theirs.canonicalize_element_wyckoffs(with_counts, number)
            assert found == score_and_text(canonical_form(p))[1], format_label(p)
            prototype = theirs.get_prototype_from_protostructure(format_label(p))
            assert prototype == str(canonical_prototype(p)), format_label(p)
