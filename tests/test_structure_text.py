"""CIF, POSCAR and extended XYZ: alone, in folders, archives and columns; a fault costs no more than its own entry."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sources import entries_of, layouts

from wyckoffkit.errors import SymmetryError
from wyckoffkit.sources import EntryError, Source, read_entry
from wyckoffkit.sources.structure_text import _read_blocks, crystal_from_cif
from wyckoffkit.symmetry import find_protostructure

CIF = """# generated using pymatgen
data_NaCl
_symmetry_space_group_name_H-M   'P 1'
_cell_length_a   3.98808000
_cell_length_b   3.98808000
_cell_length_c   3.98808000
_cell_angle_alpha   60.00000000
_cell_angle_beta   60.00000000
_cell_angle_gamma   60.00000000
_symmetry_Int_Tables_number   1
_chemical_formula_sum   'Na1 Cl1'
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
  1  'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
  Na+  Na0  0.00000000  0.00000000  0.00000000  1
  Cl-  Cl1  0.50000000(3)  0.50000000  0.50000000  1
"""
# Full symmetry, as the COD has it.
CIF_WITH_SYMMETRY = """data_1000041
_cell_length_a 5.62
_cell_length_b 5.62
_cell_length_c 5.62
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na1+ 0. 0. 0. 1.
Cl1 Cl1- 0.5 0.5 0.5 1.
"""
POSCAR = """Na Cl
1.0
0.0 2.82 2.82
2.82 0.0 2.82
2.82 2.82 0.0
Na Cl
1 1
Direct
0.0 0.0 0.0
0.5 0.5 0.5
"""
FRAME = """2
Lattice="0.0 2.82 2.82 2.82 0.0 2.82 2.82 2.82 0.0" Properties=species:S:1:pos:R:3 material_id=wbm-1-{} pbc="T T T"
Na 0.0 0.0 0.0
Cl 2.82 2.82 2.82
"""
ROCK_SALT_LABEL = "AB_cF8_225_a_b:Cl-Na"


def labels_of(path: Path) -> dict[str, str]:
    """{name: label, or what is wrong}."""
    found = {}
    for entry in Source(path).entries():
        try:
            record = read_entry(entry, "org")
            found[record.material_id] = str(find_protostructure(record.crystal))
        except EntryError as error:
            found[error.material_id] = str(error)
    return found


@pytest.mark.parametrize("title", ["", "  ", ROCK_SALT_LABEL, "a,label", "data_x", "1.0", "2"])
def test_a_poscar_may_have_any_title(tmp_path: Path, title: str) -> None:
    pytest.importorskip("ase.io")
    path = tmp_path / "x.vasp"
    path.write_text(POSCAR.replace("Na Cl", title, 1), encoding="utf-8")
    assert labels_of(path) == {"x": ROCK_SALT_LABEL}


def test_cif_poscar_and_extended_xyz_are_read_alone_in_folders_and_in_archives(tmp_path: Path) -> None:
    pytest.importorskip("pymatgen.io.cif")
    pytest.importorskip("ase.io")
    folder = tmp_path / "folder"
    files = {
        "a/one.cif": CIF,
        "a/two.cif": CIF_WITH_SYMMETRY,
        "b/mp-7/POSCAR": POSCAR,
        "frames.xyz": FRAME.format(3) + FRAME.format(4),
        "notes.md": "nothing of interest",
        "z.json": layouts(2)["list"],
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    for path in (folder, tmp_path / "archive"):
        found = labels_of(path)
        assert list(found) == ["one", "two", "mp-7", "wbm-1-3", "wbm-1-4", "notes.md", "wbm-1-1", "wbm-1-2"]
        assert "no known kind of source" in found.pop("notes.md")
        assert set(found.values()) == {ROCK_SALT_LABEL}
    assert labels_of(folder / "a" / "two.cif") == {"two": ROCK_SALT_LABEL}
    (tmp_path / "double.cif").write_text(CIF + CIF_WITH_SYMMETRY)
    assert labels_of(tmp_path / "double.cif") == {"double-1": ROCK_SALT_LABEL, "double-2": ROCK_SALT_LABEL}


def test_a_cif_that_needs_more_is_not_read_by_the_short_way(tmp_path: Path) -> None:
    assert crystal_from_cif(CIF).numbers.tolist() == [11, 17]
    assert len(crystal_from_cif(CIF_WITH_SYMMETRY).numbers) == 8
    with pytest.raises(SymmetryError, match=r"occupied 0\.5 times by Cl"):
        crystal_from_cif(CIF.replace("0.50000000  1\n", "0.50000000  0.5\n"))
    shared = CIF.replace("Cl-  Cl1", "Cl-  Cl1  0.5 0.5 0.5 0.5\n  Br-  Br1").replace(
        "0.50000000  1\n", "0.50000000  0.5\n"
    )
    with pytest.raises(SymmetryError, match="disordered"):
        crystal_from_cif(shared)
    for broken in (
        "data_x\n_cell_length_a 3\n",
        CIF.replace("_cell_length_b", "_cell_long_b"),
        "",
        "loop_ loop_ data_",
    ):
        with pytest.raises(SymmetryError, match="not a CIF that pymatgen can read"):
            crystal_from_cif(broken)


def test_a_frame_with_a_wrong_count_does_not_swallow_the_next(tmp_path: Path) -> None:
    pytest.importorskip("ase.io")
    path = tmp_path / "x.xyz"
    long, short = FRAME.format(2).replace("2\n", "3\n", 1), FRAME.format(3).replace("2\n", "1\n", 1)
    path.write_text(FRAME.format(1) + long + FRAME.format(4) + short + FRAME.format(5))
    found = labels_of(path)
    assert [name for name, label in found.items() if label == ROCK_SALT_LABEL] == ["wbm-1-1", "wbm-1-4", "wbm-1-5"]
    assert "2 atoms where its first line says 3" in found.values()
    path.write_text(FRAME.format(1)[:-25])
    assert list(labels_of(path).values()) == ["1 atoms where its first line says 2"]


@settings(max_examples=200, deadline=None)
@given(st.text("data_loop_ \n'\";#_cell.atomsite0123xyz()", max_size=200))
def test_any_text_is_read_into_values_and_columns_of_text(text: str) -> None:
    single, loops = _read_blocks(text)
    assert isinstance(single, dict)
    assert all(isinstance(value, str) for column in loops.values() for value in column)


def test_columns_of_cif_become_structures_with_their_properties(tmp_path: Path) -> None:
    path = tmp_path / "mp.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "material_id", "formation_energy_per_atom", "cif"])
        writer.writerow([0, "mp-22862", -2.1, CIF])
        writer.writerow([1, "mp-0", "", "data_nothing"])
    entries = entries_of(path)
    assert [entry.place for entry in entries] == [f"{path}:2", f"{path}:{3 + CIF.count(chr(10))}"]
    record = read_entry(entries[0], "org")
    assert (record.material_id, record.properties) == ("mp-22862", {"e_form_per_atom": -2.1})
    assert str(find_protostructure(record.crystal)) == ROCK_SALT_LABEL
    with pytest.raises(EntryError, match="not a CIF"):
        read_entry(entries[1], "org")
