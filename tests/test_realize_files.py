"""Crystals in files, held against the readers of pymatgen and ASE; and many labels in one folder."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from real_labels import PAPER_LABELS, WBM_LABELS
from realization import COLLAPSING, NO_ROOM, generator

from wyckoffkit import DatasetError, RealizationError, SpaceGroup, find_protostructure, format_label, parse_label
from wyckoffkit.operations import parse_triplet
from wyckoffkit.realize import (
    RealizeOptions,
    format_cif,
    format_extxyz,
    format_poscar,
    read_realized,
    realize,
    realize_many,
    structure_dict,
)
from wyckoffkit.realize import many as realize_files
from wyckoffkit.realize.files import FORMATS, all_operations, format_triplet
from wyckoffkit.realize.many import file_stem
from wyckoffkit.relax import many as relax_files
from wyckoffkit.sources import Source, collected, read_entry

# Every centring, and every crystal system but the triclinic one, which is added.
LABELS = [
    *PAPER_LABELS,
    "ABC3_aP10_2_i_i_3i:Ca-O-Si",
    "AB_oC8_40_a_b:C-O",
    "AB3_hP8_194_c_h:Cd-Mg",
]


@pytest.fixture(scope="module")
def crystals():
    return [realize(parse_label(label), generator(7)) for label in LABELS]


def same_crystal(crystal, lattice, positions, symbols):
    """Cells of equal metric, and as many atoms, each where one of the same element is (positions in Å, any order)."""
    from wyckoffkit.elements import SYMBOLS

    lattice = np.asarray(lattice)
    assert lattice @ lattice.T == pytest.approx(crystal.lattice @ crystal.lattice.T, abs=1e-6)
    assert len(symbols) == len(crystal.numbers)
    frac = np.asarray(positions) @ np.linalg.inv(lattice)
    apart = crystal.frac[:, None, :] - frac[None]
    near = np.abs(apart - np.rint(apart)).max(axis=-1) < 1e-7
    assert (near.sum(axis=1) == 1).all()
    found = [symbols[i] for i in near.argmax(axis=1)]
    assert found == [SYMBOLS[z] for z in crystal.numbers]
    return True


# pymatgen says so of every third, exact or not.
@pytest.mark.filterwarnings("ignore:.*fractional coordinates rounded to ideal values")
def test_pymatgen_reads_cif_poscar_and_json_as_the_crystal(crystals):
    pymatgen = pytest.importorskip("pymatgen.core")
    from pymatgen.io.cif import CifParser
    from pymatgen.io.vasp import Poscar

    for made in crystals:
        crystal, label = made.crystal, format_label(made.protostructure)
        read = [
            pymatgen.Structure.from_dict(json.loads(json.dumps(structure_dict(crystal)))),
            Poscar.from_str(format_poscar(crystal, label)).structure,
            *CifParser.from_str(format_cif(made)).parse_structures(primitive=False),
        ]
        assert len(read) == 3
        for structure in read:
            symbols = [site.specie.symbol for site in structure]
            assert same_crystal(crystal, structure.lattice.matrix, structure.cart_coords, symbols)


def test_ase_reads_cif_and_extended_xyz_as_the_crystal(crystals):
    ase_io = pytest.importorskip("ase.io")
    for made in crystals:
        label = format_label(made.protostructure)
        info = {"label": label, "copy": 0, "energy": -1.5, "kept": True}
        atoms = ase_io.read(io.StringIO(format_extxyz(made.crystal, info)), format="extxyz")
        assert atoms.info["label"] == label
        assert atoms.info["kept"]
        assert atoms.pbc.all()
        for read in (atoms, ase_io.read(io.StringIO(format_cif(made)), format="cif")):
            assert same_crystal(made.crystal, read.cell[:], read.positions, read.get_chemical_symbols())


def test_a_cif_names_the_group_and_one_site_an_orbit(crystals):
    for made in crystals:
        text, group = format_cif(made), made.protostructure.space_group
        assert f"_space_group_IT_number {group.number}\n" in text
        sites = text.rpartition("_atom_site_occupancy\n")[2].splitlines()
        assert [line.split()[3] for line in sites] == [orbit.letter for orbit in made.protostructure.orbits]


@pytest.mark.parametrize("number", range(1, 231))
def test_a_cif_lists_as_many_different_operations_as_the_general_position_has_sites(number):
    listed = all_operations(number)
    assert len(set(listed)) == len(listed) == SpaceGroup.from_number(number).positions[-1].multiplicity
    for triplet in listed:
        assert format_triplet(*parse_triplet(triplet)) == triplet


def run(labels, folder, **options):
    formats = options.pop("formats", ("cif",))
    jobs = options.pop("jobs", 1)
    protostructures = [parse_label(label) for label in labels]
    return list(realize_many(protostructures, folder, RealizeOptions(**options), formats=formats, jobs=jobs))


def crystals_in(folder):
    return {
        (label, copy): (made.lattice.tolist(), made.parameters.tolist()) for label, copy, made in read_realized(folder)
    }


def test_every_label_gets_a_last_row_and_what_is_written_has_its_label(tmp_path):
    labels = [*WBM_LABELS[:10], COLLAPSING, NO_ROOM, WBM_LABELS[0]]
    rows = run(labels, tmp_path, copies=2)
    assert len(rows) == 24  # one of them came twice
    outcome = {(trials[-1]["label"], trials[-1]["copy"]): trials[-1]["outcome"] for trials in rows}
    assert outcome.pop((COLLAPSING, 0)) == outcome.pop((COLLAPSING, 1)) == "collapses"
    assert outcome.pop((NO_ROOM, 0)) == outcome.pop((NO_ROOM, 1)) == "overlap"
    assert set(outcome.values()) == {"accepted"}
    assert len(list((tmp_path / "cif").iterdir())) == len(outcome) == 20
    for label, _, made in read_realized(tmp_path):
        assert find_protostructure(made.crystal, symprec=1e-4, profile="affine") == parse_label(label).canonical(
            "affine"
        )


# pymatgen says so of every third, exact or not.
@pytest.mark.filterwarnings("ignore:.*fractional coordinates rounded to ideal values")
@pytest.mark.parametrize("name", FORMATS)
def test_files_of_each_format_are_read_by_us_as_crystals_with_their_labels(tmp_path, name):
    labels = WBM_LABELS[:6]
    run(labels, tmp_path, formats=(name,))
    records = [read_entry(entry, "org") for entry in Source(tmp_path / name).entries()]
    found = [find_protostructure(record.crystal, symprec=1e-3, profile="affine") for record in records]
    assert sorted(map(str, found)) == sorted(str(parse_label(label).canonical("affine")) for label in labels)


def test_a_folder_of_crystals_is_read_once_and_whatever_else_lies_in_it(tmp_path):
    run(WBM_LABELS[:3], tmp_path / "made", formats=tuple(FORMATS))
    shutil.copytree(tmp_path / "made" / "cif", tmp_path / "made" / "mine")
    places = [entry.place for entry in Source(tmp_path).entries()]
    assert ["/mine/" in place for place in places] == [True] * 3 + [False] * 3
    assert all("/realized.xyz:" in place for place in places[3:])
    (tmp_path / "made" / "realized.xyz").unlink()  # as an interrupted run leaves it
    assert len(list(Source(tmp_path).entries())) == 3 * 5 + 1


def test_sources_know_what_is_written_beside_crystals_by_its_names():
    written = {
        realize_files.RECORD_NAME: realize_files.STRUCTURES_NAME,
        relax_files.RECORD_NAME: relax_files.STRUCTURES_NAME,
    }
    assert written == collected._MADE
    assert set(FORMATS) == collected._AGAIN


def test_pyxtal_is_asked_first_or_where_we_find_nothing(tmp_path):
    labels = ["AB_cF8_225_a_b:Ca-O", "ABC4_tI24_141_a_b_h:As-Nd-O", COLLAPSING]

    def told(engine):
        rows = run(labels, tmp_path / engine, engine=engine)
        return {trials[0]["label"]: [(trial["engine"], trial["outcome"]) for trial in trials] for trials in rows}

    alone, second = told("pyxtal"), told("both")
    assert [alone[label][-1] for label in labels] == [("pyxtal", "accepted")] * 2 + [("pyxtal", "collapses")]
    assert [second[label][-1] for label in labels[:2]] == [("wyckoffkit", "accepted")] * 2
    assert second[COLLAPSING] == [("wyckoffkit", "collapses"), ("pyxtal", "collapses")]
    assert len(crystals_in(tmp_path / "pyxtal")) == 2


def test_neither_order_nor_processes_change_a_crystal(tmp_path):
    labels = WBM_LABELS[:8]
    run(labels, tmp_path / "one")
    run(labels[::-1], tmp_path / "reversed")
    run(labels, tmp_path / "processes", jobs=2)
    run(labels, tmp_path / "seed", seed=1)
    one = crystals_in(tmp_path / "one")
    assert len(one) == 8
    assert crystals_in(tmp_path / "reversed") == crystals_in(tmp_path / "processes") == one
    assert crystals_in(tmp_path / "seed") != one


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    labels = [*WBM_LABELS[:10], COLLAPSING]
    run(labels, tmp_path / "whole")
    broken = tmp_path / "broken"
    begun = realize_many(map(parse_label, labels), broken, RealizeOptions(), formats=("cif",))
    for _ in range(4):
        next(begun)
    begun.close()
    before = (broken / "trials.jsonl").read_bytes()
    (broken / "trials.jsonl").write_bytes(before + b'{"label": "AB_cF8_2')  # the power failed here
    assert len(run(labels, broken, formats=("cif", "poscar"))) == 11
    after = (broken / "trials.jsonl").read_bytes()
    assert after.startswith(before)
    assert sorted(after.splitlines()) == sorted((tmp_path / "whole" / "trials.jsonl").read_bytes().splitlines())
    assert crystals_in(broken) == crystals_in(tmp_path / "whole")
    # Files of a format that the first run did not write are written for its crystals too.
    assert len(list((broken / "poscar").iterdir())) == len(list((broken / "cif").iterdir())) == 10


def test_a_folder_of_other_settings_or_of_something_else_is_refused(tmp_path):
    run(WBM_LABELS[:2], tmp_path)
    with pytest.raises(DatasetError, match="begun with seed = 0, now 1"):
        run(WBM_LABELS[:2], tmp_path, seed=1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "trials.jsonl").write_text('{"something": 1}\n')
    with pytest.raises(DatasetError, match="not a record of trials"):
        run(WBM_LABELS[:2], other)
    (other / "trials.jsonl").write_text("no JSON\n")
    with pytest.raises(DatasetError, match=r"trials\.jsonl:1: not a JSON object"):
        run(WBM_LABELS[:2], other)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"engine": "magic"}, "the engines are"),
        ({"copies": 0}, "1 or more"),
        ({"trials": 0}, "1 or more"),
        ({"symprec": 0.0}, "above 0"),
        ({"formats": ("cif", "pdf")}, "'pdf' is not a format"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_value(tmp_path, options, words):
    with pytest.raises(RealizationError, match=words):
        run(WBM_LABELS[:1], tmp_path, **options)


def test_a_file_name_has_no_colon_is_short_and_differs_for_long_labels():
    assert file_stem("AB_cF8_225_a_b:Ca-O", 0) == "AB_cF8_225_a_b_Ca-O"
    assert file_stem("AB_cF8_225_a_b:Ca-O", 1) == "AB_cF8_225_a_b_Ca-O.2"
    long = "x" * 400
    assert len(file_stem(long, 0)) < 220
    assert file_stem(long, 0) != file_stem(long + "y", 0)
