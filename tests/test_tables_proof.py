"""The frozen tables against what follows from the operations alone, and against cctbx."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_generator import exact, flats, positions, settings

from wyckoffkit.spacegroup import SpaceGroup

# spglib 2.7 and newer warn on every call of the generator until it is told how to fail.
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")

# Operations of each point group by (determinant, trace) of the rotation: International Tables A, table 1.2.2.1
# names the types 1 2 3 4 6 by trace 3 -1 0 1 2, and the improper ones by the negative.
TYPES = {(1, 3): "1", (1, -1): "2", (1, 0): "3", (1, 1): "4", (1, 2): "6"}
TYPES |= {(-1, -trace): "-" + name for (_, trace), name in TYPES.items()}
# Numbers of operations of each type in the crystallographic point groups: International Tables A, table 3.2.3.2.
POINT_GROUPS = {
    "1": "1", "-1": "1 -1", "2": "1 2", "m": "1 -2", "2/m": "1 2 -1 -2", "222": "1 3*2", "mm2": "1 2 2*-2",
    "mmm": "1 3*2 -1 3*-2", "4": "1 2 2*4", "-4": "1 2 2*-4", "4/m": "1 2 2*4 -1 -2 2*-4",
    "422": "1 5*2 2*4", "4mm": "1 2 2*4 4*-2", "-42m": "1 3*2 2*-2 2*-4",
    "4/mmm": "1 5*2 2*4 -1 5*-2 2*-4", "3": "1 2*3", "-3": "1 2*3 -1 2*-3", "32": "1 3*2 2*3",
    "3m": "1 2*3 3*-2", "-3m": "1 3*2 2*3 -1 3*-2 2*-3", "6": "1 2 2*3 2*6", "-6": "1 -2 2*3 2*-6",
    "6/m": "1 2 2*3 2*6 -1 -2 2*-3 2*-6", "622": "1 7*2 2*3 2*6", "6mm": "1 2 2*3 2*6 6*-2",
    "-6m2": "1 3*2 2*3 4*-2 2*-6", "6/mmm": "1 7*2 2*3 2*6 -1 7*-2 2*-3 2*-6", "23": "1 3*2 8*3",
    "m-3": "1 3*2 8*3 -1 3*-2 8*-3", "432": "1 9*2 8*3 6*4", "-43m": "1 3*2 8*3 6*-2 6*-4",
    "m-3m": "1 9*2 8*3 6*4 -1 9*-2 8*-3 6*-4",
}  # fmt: skip
# Oriented symbols that order their axes otherwise than the point group's own symbol.
TURNED = {"2mm": "mm2", "m2m": "mm2", "-4m2": "-42m", "-62m": "-6m2"}


def counted(text: str) -> Counter[str]:
    parts = (part.rpartition("*") for part in text.split())
    return Counter({name: int(n or 1) for n, _, name in parts})


def rotation_types(rotations) -> Counter[str]:
    return Counter(TYPES[exact.determinant(r), sum(r[i][i] for i in range(3))] for r in rotations)


@pytest.mark.slow
def test_all_1731_rows_follow_from_the_operations():
    equal = 0
    for number in range(1, 231):
        group = settings.group(number)
        derived = Counter((positions.multiplicity(group, s), s.dof) for s in flats.strata(group.primitive))
        shipped = Counter((p.multiplicity, p.dof) for p in SpaceGroup.from_number(number))
        assert derived == shipped, number
        equal += derived.total()
    assert equal == 1731


def test_each_triplet_lies_on_a_position_of_its_own_with_the_dof_and_multiplicity_of_its_row():
    for number in range(1, 231):
        group = settings.group(number)
        rows = SpaceGroup.from_number(number).positions
        matched = positions.positions(number)  # raises unless triplets and positions match one to one
        for row, (triplet, stratum) in zip(rows, matched, strict=True):
            assert row.coordinates == triplet
            assert row.dof == stratum.dof == settings.flat_of(group, triplet).dof
            assert row.multiplicity * len(stratum.stabiliser) == len(group.operations) * len(group.centrings)


def test_the_stabiliser_is_of_the_type_that_the_site_symmetry_symbol_names():
    for number in range(1, 231):
        group = settings.group(number)
        for row, (_, stratum) in zip(
            SpaceGroup.from_number(number).positions, positions.positions(number), strict=True
        ):
            symbol = row.site_symmetry.replace(".", "")
            stabiliser = rotation_types(group.operations[i][0] for i in stratum.stabiliser)
            assert stabiliser == counted(POINT_GROUPS[TURNED.get(symbol, symbol)]), (number, row.letter)


def test_the_operations_are_of_the_point_group_that_the_table_names():
    for number in range(1, 231):
        symbol = SpaceGroup.from_number(number).point_group
        found = rotation_types(rotation for rotation, _ in settings.group(number).operations)
        assert found == counted(POINT_GROUPS[symbol])


def test_a_triplet_off_its_position_stops_the_generator(monkeypatch):
    stored = list(settings.stored_triplets())
    stored[224] = tuple(t.replace("1/4,1/4,1/4", "1/4,1/4,0") for t in stored[224])
    monkeypatch.setattr(positions, "stored_triplets", lambda: tuple(stored))
    with pytest.raises(ValueError, match="group 225"):
        positions.positions.__wrapped__(225)


@given(st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=1, max_size=6).map(tuple))
def test_the_diagonal_form_is_unimodular_and_diagonal(matrix):
    d, u, v = exact.diagonal_form(matrix)
    image = exact.product(exact.product(u, matrix), v)
    assert [row[i] for i, row in enumerate(image) if i < 3][: len(d)] == list(d)
    assert all(i == j and i < len(d) for i, row in enumerate(image) for j, x in enumerate(row) if x)
    assert abs(exact.determinant(v)) == 1
    hermite, left = exact.echelon(u)  # u is unimodular exactly where its Hermite form is the identity
    assert hermite == tuple(tuple(int(i == j) for j in range(len(u))) for i in range(len(u)))
    assert exact.product(left, u) == hermite


@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=4).map(tuple),
    st.tuples(*[st.fractions(0, 1, max_denominator=12)] * 3),
    st.tuples(*[st.integers(-2, 2)] * 3),
)
def test_a_point_that_solves_the_equations_lies_on_one_of_the_flats_found(matrix, x, shift):
    offsets = exact.apply(matrix, x)
    found = set(flats.solutions(matrix, offsets))
    moved = tuple(a + b for a, b in zip(x, shift, strict=True))
    on = [f for f in found if exact.modulo(exact.apply(f.normals, moved)) == f.offsets]
    assert len(on) == 1
    point, directions = on[0].parametrisation
    along = [sum(n * t for n, t in zip(range(1, 4), c, strict=False)) for c in zip(*directions, strict=True)]
    other = tuple(p + t for p, t in zip(point, along or (0, 0, 0), strict=True))
    assert exact.modulo(exact.apply(matrix, other)) == exact.modulo(offsets)


# Run in a process of its own: cctbx brings a C++ runtime that does not live beside the other libraries'.
CCTBX_TABLE = """
import json
from cctbx import sgtbx
rows = []
for number in range(1, 231):
    table = sgtbx.space_group_info(number=number).group().info().wyckoff_table()
    for i in range(table.size()):
        p = table.position(i)
        r, t = p.special_op().r(), p.special_op().t()
        rows.append([number, p.letter(), p.multiplicity(), r.num(), t.num(), t.den()])
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def cctbx_rows():
    spec = importlib.util.find_spec("libtbx")
    if spec is None:
        pytest.skip("cctbx-base is not installed: no second table to compare with")
    # It looks for its settings under `sys.prefix`, which need not be where it is installed.
    settings_of_cctbx = Path(spec.origin).parent / "core" / "share" / "cctbx"
    environment = os.environ | {"LIBTBX_BUILD": str(settings_of_cctbx)}
    done = subprocess.run(
        [sys.executable, "-c", CCTBX_TABLE], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def projected_flat(group, rotation, translation, denominator):
    """The flat onto which cctbx's special-position operator projects, in the primitive basis."""
    directions = [group.to_primitive([24 * rotation[3 * i + j] for i in range(3)]) for j in range(3)]
    point = [Fraction(n, denominator) for n in translation]
    return flats.Flat.spanned(exact.integral(directions), group.to_primitive(point))


@pytest.mark.slow
def test_every_row_agrees_with_cctbx_but_for_two_letters_of_Pn3m_that_it_swaps(cctbx_rows):
    elsewhere = set()
    for number, letter, multiplicity, *projection in cctbx_rows:
        index = "abcdefghijklmnopqrstuvwxyz@".index(letter)
        assert multiplicity == SpaceGroup.from_number(number).positions[index].multiplicity
        stratum = positions.positions(number)[index][1]
        if projected_flat(settings.group(number), *projection) not in stratum.flats:
            elsewhere.add((number, letter))
    assert len(cctbx_rows) == 1731
    # spglib, moyo and pyxtal (Bilbao Crystallographic Server) call 1/2,y,y+1/2 of 224 origin choice 2 `i`.
    assert elsewhere == {(224, "i"), (224, "j")}
