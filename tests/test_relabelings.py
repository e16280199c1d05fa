"""The relabelings of the three profiles as groups of permutations, and against the list that pymatgen ships."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest
from table_generator import TABLES, exact, generate, normalizers, positions, settings

from wyckoffkit import tables
from wyckoffkit.spacegroup import SpaceGroup

# spglib 2.7 and newer warn on every call of the generator until it is told how to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

PROFILES = ("pymatgen", "aviary-1.1.1", "affine")
SHIPPED: dict[tuple[int, str], list[str]] = {}
for row in tables.rows("relabelings"):
    for name in row["profiles"].split():
        SHIPPED.setdefault((int(row["number"]), name), []).append(row["letters"])


def test_the_profiles_have_882_878_and_2318_relabelings():
    totals = {p: sum(len(SHIPPED[n, p]) for n in range(1, 231)) for p in PROFILES}
    assert totals == {"pymatgen": 882, "aviary-1.1.1": 878, "affine": 2318}


def test_the_profiles_agree_in_222_groups_and_pymatgen_differs_from_affine_in_seven():
    differ = {p: [n for n in range(1, 231) if SHIPPED[n, p] != SHIPPED[n, "affine"]] for p in PROFILES}
    assert differ == {
        "affine": [],
        "pymatgen": [2, 3, 10, 11, 12, 13, 14],
        "aviary-1.1.1": [2, 3, 10, 11, 12, 13, 14, 15],
    }


def test_the_normalizer_of_P1bar_reaches_all_of_AGL_3_2():
    assert len(SHIPPED[2, "affine"]) == 1344


@pytest.mark.parametrize("profile", PROFILES)
def test_relabelings_are_closed_under_composition_and_start_with_the_identity(profile):
    for number in range(1, 231):
        letters, shipped = SpaceGroup.from_number(number).letters, SHIPPED[number, profile]
        assert shipped[0] == letters
        assert len(set(shipped)) == len(shipped)
        maps = [str.maketrans(letters, p) for p in shipped]
        # A few of them against all: every product of generators is then in the set, and the set is finite.
        generators = [m for i, m in enumerate(maps) if i < 50 or i % 50 == 0]
        assert {p.translate(m) for p in shipped for m in generators} == set(shipped)


def test_relabelings_preserve_multiplicity_dof_and_the_type_of_site_symmetry():
    for number in range(1, 231):
        group = settings.group(number)
        of_letter = {}
        for p, (_, stratum) in zip(SpaceGroup.from_number(number), positions.positions(number), strict=True):
            turns = [group.operations[i][0] for i in stratum.stabiliser]
            site = Counter((exact.determinant(r), sum(r[i][i] for i in range(3))) for r in turns)
            of_letter[p.letter] = (p.multiplicity, p.dof, site)
        for image in SHIPPED[number, "affine"]:
            assert all(of_letter[a] == of_letter[b] for a, b in zip(of_letter, image, strict=True)), number


def test_the_pymatgen_profile_is_the_list_that_pymatgen_ships():
    spec = importlib.util.find_spec("pymatgen.analysis")
    if spec is None:
        pytest.skip("pymatgen is not installed: nothing to compare with")
    folders = map(Path, spec.submodule_search_locations)  # read, not imported: the module takes seconds to load
    path = next((p for folder in folders for p in folder.rglob("wyckoff-position-relabelings.json.gz")), None)
    if path is None:
        pytest.skip("this pymatgen ships no list yet")
    with gzip.open(path) as file:
        theirs = json.load(file)
    for number in range(1, 231):
        images = {"".join(relabeling.values()) for relabeling in theirs[str(number)]}
        assert images == set(SHIPPED[number, "pymatgen"]), number


@pytest.mark.parametrize("number", [3, 12, 13, 15, 166, 225])
def test_the_shipped_relabelings_follow_from_the_operations(number):
    derived = normalizers.relabelings(number)
    assert {p: sorted(derived[p]) for p in PROFILES} == {p: SHIPPED[number, p] for p in PROFILES}


@pytest.mark.slow
def test_all_relabelings_follow_from_the_operations_byte_for_byte():
    assert (TABLES / "relabelings.csv").read_bytes() == generate.render("relabelings").encode()


@pytest.mark.slow
def test_wider_linear_parts_induce_no_further_relabelings():
    for number in (*range(1, 16), 16, 22, 70, 89, 139, 166, 195):
        assert normalizers.affine_relabelings(number, bound=2) == set(SHIPPED[number, "affine"]), number
