"""Structure → label: what describes one crystal gets one label, and what is no crystal gets one sentence."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_structures import RealStructure, real_structures

from wyckoffkit.errors import SymmetryError
from wyckoffkit.label import parse_label
from wyckoffkit.symmetry import Crystal, crystal_from_dict, crystal_of, find_protostructure, sweep_symprec

NA, CL, OXYGEN = 11, 17, 8
CUBE = np.eye(3) * 5.64

# International Tables A, section 3.2.1.4: the pairs that a mirror image swaps.
ENANTIOMORPHS = {76: 78, 91: 95, 92: 96, 144: 145, 151: 153, 152: 154, 169: 170, 171: 172, 178: 179, 180: 181, 212: 213}
ENANTIOMORPHS |= {b: a for a, b in ENANTIOMORPHS.items()}
# Groups in which the `pymatgen` profile depends on the choice of cell (CODEC.md, section 3).
CELL_DEPENDENT = {2, 3, 10, 11, 12, 13, 14}

# Its distortion is as large as the tolerance: C2/m for spglib from 0.1 Å on, P-1 for moyopy to 0.2 Å and beyond.
BORDERLINE = {"wbm-3-31038"}

REAL = pytest.mark.parametrize("real", real_structures(), ids=lambda real: real.material_id)


def label(crystal: Any, **options: Any) -> str:
    return str(find_protostructure(crystal, **options))


def cell_independent(real: RealStructure) -> str:
    """A label that does not change with the cell, for comparing across cells."""
    return str(parse_label(real.label).canonical("affine"))


# Known crystals, conventional cells, with the label that their structure type has (AFLOW encyclopedia).
KNOWN = {
    "AB_cF8_225_a_b:Cl-Na": (
        CUBE,
        [
            [0, 0, 0],
            [0, 0.5, 0.5],
            [0.5, 0, 0.5],
            [0.5, 0.5, 0],
            [0.5, 0.5, 0.5],
            [0.5, 0, 0],
            [0, 0.5, 0],
            [0, 0, 0.5],
        ],
        [NA] * 4 + [CL] * 4,
    ),
    "AB_cP2_221_a_b:Cl-Cs": (np.eye(3) * 4.12, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, CL]),
    "A_cI2_229_a:W": (np.eye(3) * 3.165, [[0, 0, 0], [0.5, 0.5, 0.5]], [74, 74]),
    "A_hP2_194_c:Mg": (
        np.array([[3.21, 0, 0], [-1.605, 1.605 * math.sqrt(3), 0], [0, 0, 5.21]]),
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
        [12, 12],
    ),
    "AB_hP4_186_b_b:O-Zn": (
        np.array([[3.25, 0, 0], [-1.625, 1.625 * math.sqrt(3), 0], [0, 0, 5.207]]),
        [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.3819], [2 / 3, 1 / 3, 0.8819]],
        [30, 30, OXYGEN, OXYGEN],
    ),
}


@pytest.mark.parametrize("engine", ["moyopy", "spglib"])
@pytest.mark.parametrize("due", KNOWN)
def test_known_crystals_have_their_label(due: str, engine: str) -> None:
    assert label(KNOWN[due], engine=engine) == due


@REAL
def test_both_engines_agree_with_the_published_label(real: RealStructure) -> None:
    assert label(real.crystal) == real.label
    if real.material_id not in BORDERLINE:
        assert label(real.crystal, engine="spglib") == real.label


@REAL
def test_order_of_sites_origin_and_orientation_do_not_matter(real: RealStructure) -> None:
    rng = np.random.default_rng(0)
    crystal = real.crystal
    order = rng.permutation(len(crystal.numbers))
    shift = rng.random(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    changed = Crystal(crystal.lattice @ rotation, crystal.frac[order] + shift, crystal.numbers[order])
    assert label(changed) == real.label


@REAL
def test_noise_of_a_ten_thousandth_of_an_angstrom_does_not_matter(real: RealStructure) -> None:
    crystal = real.crystal
    noise = np.random.default_rng(1).normal(scale=1e-4, size=crystal.frac.shape) @ np.linalg.inv(crystal.lattice)
    assert label(Crystal(crystal.lattice, crystal.frac + noise, crystal.numbers)) == real.label


def in_cell(crystal: Crystal, matrix: np.ndarray) -> Crystal:
    """The same atoms in the cell with the vectors `matrix @ lattice`, matrix of whole numbers."""
    lattice = matrix @ crystal.lattice
    span = int(np.abs(matrix).sum()) + 1
    shifts = np.stack(np.meshgrid(*[np.arange(-span, span + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    inverse = np.linalg.inv(matrix)
    # Lattice points of the old cell in the new one, each once.
    points = np.unique(np.round((shifts @ inverse) % 1.0, 6) % 1.0, axis=0)
    frac = (crystal.frac @ inverse)[None] + points[:, None]
    numbers = np.tile(crystal.numbers, len(points))
    assert len(points) == round(abs(np.linalg.det(matrix)))
    return Crystal(lattice, frac.reshape(-1, 3), numbers)


@REAL
@pytest.mark.parametrize("engine", ["moyopy", "spglib"])
def test_another_cell_or_a_supercell_does_not_matter(real: RealStructure, engine: str) -> None:
    cells = [
        [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [-1, 1, 1]],
        [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 1], [0, -1, 1]],
    ]
    if engine == "spglib" and real.material_id in BORDERLINE:
        pytest.skip("its distortion is as large as the tolerance")
    due = cell_independent(real)
    for matrix in cells:
        found = find_protostructure(in_cell(real.crystal, np.array(matrix)), engine=engine)
        assert str(found.canonical("affine")) == due
        if found.space_group.number not in CELL_DEPENDENT:
            assert str(found) == real.label


@REAL
def test_a_mirror_image_changes_the_label_only_in_enantiomorphic_pairs(real: RealStructure) -> None:
    crystal = real.crystal
    image = find_protostructure(Crystal(crystal.lattice * [1, 1, -1], crystal.frac, crystal.numbers))
    number = parse_label(real.label).space_group.number
    assert image.space_group.number == ENANTIOMORPHS.get(number, number)
    if number not in ENANTIOMORPHS:
        assert str(image.canonical("affine")) == cell_independent(real)


def test_one_atom_and_a_thousand_atoms_have_labels() -> None:
    assert label((np.eye(3) * 3.35, [[0, 0, 0]], [84])) == "A_cP1_221_a:Po"
    thousand = in_cell(Crystal(*KNOWN["AB_cF8_225_a_b:Cl-Na"]), np.diag([5, 5, 5]))
    assert len(thousand.numbers) == 1000
    assert label(thousand) == "AB_cF8_225_a_b:Cl-Na"


REFUSED = {
    "a structure without atoms": (CUBE, [], []),
    "hold NaN or infinity": (CUBE, [[0, 0, math.nan]], [NA]),
    "cell vectors hold NaN": (np.full((3, 3), math.inf), [[0, 0, 0]], [NA]),
    "volume of 0 Å3 for 1 atoms": (np.diag([5.0, 5.0, 0.0]), [[0, 0, 0]], [NA]),
    r"site 0 \(Na\) and site 1 \(Cl\) are 0 Å apart": (CUBE, [[0, 0, 0], [1, 0, -1]], [NA, CL]),
    r"site 1 \(Na\) and site 2 \(Na\) are 0.0564 Å": (CUBE, [[0.5, 0.5, 0.5], [0.995, 0, 0], [0.005, 0, 0]], [NA] * 3),
    "site 1 has the atomic number 0": (CUBE, [[0, 0, 0], [0.5, 0, 0]], [NA, 0]),
    "site 0 has the atomic number 119": (CUBE, [[0, 0, 0]], [119]),
    "got \\(3, 3\\), \\(1, 3\\) and \\(2,\\)": (CUBE, [[0, 0, 0]], [NA, CL]),
    "arrays of numbers": (CUBE, [["a", 0, 0]], [NA]),
    "atomic numbers are whole, got 11.5": (CUBE, [[0, 0, 0], [0.5, 0, 0]], [11.0, 11.5]),
    "atomic numbers are whole, got inf": (CUBE, [[0, 0, 0]], [math.inf]),
    "lengths and coordinates are no complex": (CUBE * (1 + 1j), [[0, 0, 0]], [NA]),
}


@pytest.mark.parametrize("engine", ["moyopy", "spglib"])
@pytest.mark.parametrize("sentence", REFUSED)
def test_what_is_no_crystal_is_refused_in_a_sentence(sentence: str, engine: str) -> None:
    with pytest.raises(SymmetryError, match=sentence):
        find_protostructure(REFUSED[sentence], engine=engine)
    with pytest.raises(SymmetryError, match="got int"):
        find_protostructure(5)


def one_site(*species: dict[str, Any]) -> dict[str, Any]:
    return {"lattice": {"matrix": CUBE.tolist()}, "sites": [{"species": list(species), "abc": [0, 0, 0]}]}


def test_disorder_partial_occupancy_and_dummies_are_refused_by_site() -> None:
    for structure, sentence in [
        (
            one_site({"element": "Fe", "occu": 0.5}, {"element": "Co", "occu": 0.5}),
            r"site 0 is disordered \(Fe 0.5, Co",
        ),
        (one_site({"element": "Fe", "occu": 0.9}), "site 0 is occupied 0.9 times by Fe"),
        (one_site({"element": "Xa", "occu": 1}), "site 0 holds 'Xa', which is not an element"),
        (one_site(), "site 0 holds nothing"),
        ({"sites": []}, "without a lattice is not periodic"),
        ({"lattice": {}, "sites": []}, "has no field 'matrix'"),
        ({"lattice": {"matrix": CUBE.tolist()}, "sites": [{}]}, "has no field 'species'"),
        ({"lattice": 3, "sites": 4}, "not the dictionary of a pymatgen Structure"),
    ]:
        with pytest.raises(SymmetryError, match=sentence):
            find_protostructure(structure)


def test_deuterium_is_hydrogen_and_mixed_states_are_one_element_and_both_are_said() -> None:
    with pytest.warns(UserWarning, match="deuterium is taken as H"):
        assert label(one_site({"element": "D", "occu": 1})) == "A_cP1_221_a:H"
    mixed = one_site(
        {"element": "Fe", "oxidation_state": 2, "occu": 0.25}, {"element": "Fe", "oxidation_state": 3, "occu": 0.75}
    )
    with pytest.warns(UserWarning, match="mixed states of Fe"):
        assert label(mixed) == "A_cP1_221_a:Fe"


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.floats() | st.integers(-5, 200) | st.sampled_from(["Fe", "D", "x"]) | st.just(CUBE.tolist()),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["lattice", "matrix", "sites", "species", "element", "occu", "abc"]), inner
            )
        ),
        max_leaves=15,
    ).filter(lambda document: isinstance(document, dict))
)
def test_any_dictionary_is_a_crystal_or_a_symmetry_error(document: dict[str, Any]) -> None:
    try:
        crystal = crystal_from_dict(document)
    except SymmetryError:
        return
    assert len(crystal.numbers) >= 1


def test_pymatgen_and_ase_objects_are_read_as_they_are() -> None:
    core = pytest.importorskip("pymatgen.core")
    ase = pytest.importorskip("ase")
    lattice, frac, numbers = KNOWN["AB_hP4_186_b_b:O-Zn"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        structure = core.Structure(lattice, numbers, frac)
        charged = structure.copy().add_oxidation_state_by_element({"Zn": 2, "O": -2})
        shared = core.Structure(lattice, [{"Zn": 0.5, "Mg": 0.5}, "Zn", "O", "O"], frac)
        heavy = core.Structure(CUBE, [core.Element("D")], [[0, 0, 0]])
        ghost = core.Structure(CUBE, [core.DummySpecies("X")], [[0, 0, 0]])
        flat = core.Structure(core.Lattice(CUBE, pbc=(True, True, False)), ["H"], [[0, 0, 0]])
        molecule = core.Molecule(["H"], [[0, 0, 0]])
    for known in (
        structure,
        structure.as_dict(),
        charged,
        ase.Atoms(numbers, scaled_positions=frac, cell=lattice, pbc=True),
    ):
        assert label(known) == "AB_hP4_186_b_b:O-Zn"
    with pytest.warns(UserWarning, match="deuterium"):
        assert label(heavy) == "A_cP1_221_a:H"
    for refused, sentence in [
        (shared, "site 0 is disordered"),
        (ghost, "site 0 holds 'X"),
        (flat, "not periodic along every cell vector"),
        (molecule, "a Molecule without a lattice is not periodic"),
        (ase.Atoms("H", cell=CUBE), "not periodic along every cell vector"),
        (ase.Atoms("H", pbc=True), "volume of 0 Å3"),
        (ase.Atoms("X", cell=CUBE, pbc=True), "site 0 has the atomic number 0"),
        (ase.Atoms(cell=CUBE, pbc=True), "without atoms"),
    ]:
        with pytest.raises(SymmetryError, match=sentence):
            find_protostructure(refused)


def test_a_sweep_tells_where_the_label_flips() -> None:
    # Caesium chloride, 0.05 Å off its centre: tetragonal below that tolerance, cubic above.
    crystal = crystal_of((np.eye(3) * 4.12, [[0, 0, 0], [0.5, 0.5, 0.5 + 0.05 / 4.12]], [55, CL]))
    flips = sweep_symprec(crystal, [0.2, 0.001, 0.01, 0.1])
    assert [flip.symprec for flip in flips] == [0.001, 0.1]
    assert [flip.label for flip in flips] == ["AB_tP2_99_a_b:Cl-Cs", "AB_cP2_221_a_b:Cl-Cs"]
    assert sweep_symprec(crystal, [5.0])[0].label is None


def test_searches_that_cannot_be_made_are_refused() -> None:
    crystal = KNOWN["A_cI2_229_a:W"]
    for options, sentence in [
        ({"engine": "cctbx"}, "the engines are moyopy and spglib, got 'cctbx'"),
        ({"symprec": 0}, "symprec is a length above 0"),
        ({"symprec": math.nan}, "symprec is a length above 0"),
        ({"angle_tolerance": -1}, "an angle above 0"),
        ({"angle_tolerance": 5}, "moyopy takes an angle tolerance up to 1°"),
    ]:
        with pytest.raises(SymmetryError, match=sentence):
            find_protostructure(crystal, **options)
    assert label(crystal, angle_tolerance=0.5) == label(crystal, angle_tolerance=5, engine="spglib") == "A_cI2_229_a:W"
