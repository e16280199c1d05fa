"""Sources: every layout gives the same entries, and a fault costs no more than its own entry."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyckoffkit.errors import DatasetError, SymmetryError
from wyckoffkit.sources import Entry, EntryError, Source, read_entry
from wyckoffkit.sources.scan import JsonFault, JsonStream
from wyckoffkit.sources.structure_text import _read_blocks, crystal_from_cif
from wyckoffkit.symmetry import find_protostructure

ROCK_SALT = {
    "@module": "pymatgen.core.structure",
    "@class": "Structure",
    "charge": None,
    "lattice": {"matrix": [[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]]},
    "sites": [
        {"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0], "label": 'Na"{'},
        {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, 0.5], "label": "Cl\\"},
    ],
}


def entry_dict(name: str | None) -> dict[str, object]:
    return {
        "@module": "pymatgen.entries.computed_entries",
        "@class": "ComputedStructureEntry",
        "energy": -1.0,
        "entry_id": name,
        "data": {"e_form_per_atom": -0.5},
        "structure": ROCK_SALT,
    }


def layouts(n: int) -> dict[str, str]:
    """n times rock salt, in every layout."""
    ids = [f"wbm-1-{i + 1}" for i in range(n)]
    return {
        "steps": json.dumps({f"step_1_{i}": {"org": ROCK_SALT, "opt": ROCK_SALT} for i in range(n)}),
        "named": json.dumps(dict.fromkeys(ids, ROCK_SALT)),
        "entries": json.dumps({"entries": [entry_dict(name) for name in ids]}),
        "list": json.dumps([entry_dict(name) for name in ids], indent=1),
        "columns": json.dumps(
            {
                "material_id": {str(i): name for i, name in enumerate(ids)},
                "e_form_per_atom_mp2020_corrected": {str(i): -0.5 for i in range(n)},
                "initial_structure": {str(i): ROCK_SALT for i in range(n)},
            }
        ),
        "columns, names last": json.dumps(
            {
                "computed_structure_entry": {str(i): entry_dict(None) for i in range(n)},
                "initial_structure": {str(i): ROCK_SALT for i in range(n)},
                "material_id": {str(i): name for i, name in enumerate(ids)},
            }
        ),
        "lines": "".join(json.dumps({"material_id": name, "structure": ROCK_SALT}) + "\n" for name in ids),
    }


def entries_of(path: Path) -> list[Entry]:
    return list(Source(path).entries())


def test_every_layout_gives_the_same_materials_in_order(tmp_path: Path) -> None:
    for name, text in layouts(5).items():
        path = tmp_path / "x.json"
        path.write_text(text)
        records = [read_entry(entry, "org") for entry in entries_of(path)]
        assert [record.material_id for record in records] == [f"wbm-1-{i}" for i in range(1, 6)], name
        assert all(record.crystal is not None and len(record.crystal.numbers) == 2 for record in records), name
        if name in ("entries", "list", "columns"):
            assert all(record.properties["e_form_per_atom"] == -0.5 for record in records), name


def test_entries_without_names_are_numbered_as_their_file_says(tmp_path: Path) -> None:
    path = tmp_path / "step_3.json.bz2"
    path.write_bytes(bz2.compress(json.dumps({"entries": [entry_dict(None)] * 3}).encode()))
    assert [read_entry(e, "org").material_id for e in entries_of(path)] == ["wbm-3-1", "wbm-3-2", "wbm-3-3"]


def test_compression_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    text = layouts(3)["steps"].encode()
    packed = [text, gzip.compress(text), bz2.compress(text), lzma.compress(text), zstandard.compress(text)]
    for i, content in enumerate(packed):
        path = tmp_path / f"{i}.json.bz2"
        path.write_bytes(content)
        assert len(entries_of(path)) == 3


def good_and_bad(path: Path) -> tuple[list[str], list[str]]:
    """Names of the good and the bad entries of a file."""
    good, bad = [], []
    for entry in Source(path).entries():
        try:
            good.append(read_entry(entry, "org").material_id)
        except EntryError as error:
            bad.append(error.material_id)
    return good, bad


BREAK = {
    "brace lost": lambda text: text.replace("}]}, ", "}], ", 1) if "}]}, " in text else text[:-1],
    "quote lost": lambda text: text.replace('"sites', "sites", 1),
    "brace too many": lambda text: text[:-1] + "}}" + text[-1:],
    "bracket too many": lambda text: text.replace("[", "[[", 1),
    "bracket lost": lambda text: text.replace("[", "", 1),
    "comma lost": lambda text: text.replace(",", "", 1),
    "garbage": lambda text: "{" + "#%$" * 10 + "}",
    "cut short": lambda text: text[: len(text) // 2],
}


@pytest.mark.parametrize("how", BREAK)
@pytest.mark.parametrize("layout", ["steps", "entries", "lines"])
def test_a_malformed_entry_does_not_swallow_the_next(tmp_path: Path, layout: str, how: str) -> None:
    n, broken = 9, 4
    if layout == "steps":
        parts = [f'"step_1_{i}": ' + json.dumps({"org": ROCK_SALT, "opt": ROCK_SALT}) for i in range(n)]
        head, glue, tail = "{", ", ", "}"
    elif layout == "entries":
        parts = [json.dumps(entry_dict(f"wbm-1-{i + 1}")) for i in range(n)]
        head, glue, tail = '{"entries": [', ", ", "]}"
    else:
        parts = [json.dumps({"material_id": f"wbm-1-{i + 1}", "structure": ROCK_SALT}) for i in range(n)]
        head, glue, tail = "", "\n", "\n"
    key = parts[broken].find(": ") + 2 if layout == "steps" else 0
    parts[broken] = parts[broken][:key] + BREAK[how](parts[broken][key:])
    path = tmp_path / "x.json"
    path.write_text(head + glue.join(parts) + tail)
    try:
        good, bad = good_and_bad(path)
    except DatasetError:
        pytest.fail("the fault of one entry became that of the file")
    due = [f"wbm-1-{i + 1}" for i in range(n) if i != broken]
    assert [name for name in good if name != f"wbm-1-{broken + 1}"] == due
    assert bad


def test_a_cut_file_gives_all_its_whole_entries_and_then_an_error(tmp_path: Path) -> None:
    whole = bz2.compress(layouts(3000)["steps"].encode())
    path = tmp_path / "x.json.bz2"
    path.write_bytes(whole[: len(whole) // 2])
    entries: list[Entry] = []
    with pytest.raises(DatasetError, match=r"x\.json\.bz2: damaged or cut off bzip2 data after \d+ of \d+ bytes"):
        entries.extend(Source(path).entries())
    plain = tmp_path / "x.json"
    text = layouts(30)["steps"]
    plain.write_text(text[: len(text) // 2])
    entries = []
    with pytest.raises(DatasetError, match="cut off"):
        entries.extend(Source(plain).entries())
    assert len(entries) in (15, 16)
    assert [entry.kind for entry in entries] == ["json"] * (len(entries) - 1) + ["fault"]


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (bz2.compress(b""), "empty once decompressed"),
        (b"hello, world\n", "not bzip2, although its name says so, and no known kind"),
        (b"\x00\x01\x02\x03", "no known kind of source"),
        (b"{}", "an empty JSON object"),
        (b'{"a": 1}', "JSON of another shape"),
        (b'{"a": [1, 2]}', "JSON of another shape"),
        (b'{"a": {"0": 1}}', "a table without a column of structures"),
        (b'{"a', "cut off"),
        (b"material_id,energy\na,1\n", "no known kind"),
        (b"{1: 2}", "not JSON"),
    ],
)
def test_what_is_no_source_is_refused_in_a_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "x.json.bz2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=sentence) as caught:
        entries_of(path)
    assert str(path) in str(caught.value)


def test_labels_and_csv_rows_become_entries_with_their_line(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("AB_cF8_225_a_b:Ca-O\n\nnonsense\nAB_cF8_225_a_b:Cl-Na\n")
    entries = entries_of(labels)
    assert [(e.place.rpartition(":")[2], e.kind) for e in entries] == [("1", "label"), ("3", "label"), ("4", "label")]
    table = tmp_path / "t.csv"
    table.write_text(
        "material_id,formula,wyckoff_spglib,e_form_per_atom_wbm\n"
        "step_1_0,CaO,AB_cF8_225_a_b:Ca-O,-3.2\n"
        "wbm-1-2,NaN,nonsense,\n"
        "wbm-1-3,short\n"
    )
    entries = entries_of(table)
    assert [entry.material_id for entry in entries] == ["wbm-1-1", "wbm-1-2", "wbm-1-3"]
    assert read_entry(entries[0], "org").properties == {"e_form_per_atom": -3.2}
    with pytest.raises(EntryError, match="a label has"):
        read_entry(entries[1], "org")
    with pytest.raises(EntryError, match="a row of 2 fields under 4 headings"):
        read_entry(entries[2], "org")


def test_wren_rows_become_entries(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(
        "material_id,composition,formation_energy_per_atom,wyckoff\n"
        "mp-1184987,KGdO3,-2.33,\"('Gd @ 1-a-221', 'K @ 1-b-221', 'O @ 3-d-221')\"\n"
    )
    record = read_entry(entries_of(path)[0], "org")
    assert str(record.protostructure) == "ABC3_cP5_221_a_b_d:Gd-K-O"


def blocks_of(text: bytes, rng: random.Random) -> Iterator[bytes]:
    while text:
        n = rng.randint(1, max(1, len(text)))
        yield text[:n]
        text = text[n:]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(
    document=st.dictionaries(st.text(max_size=5), json_values, max_size=6) | st.lists(json_values, max_size=6),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    rng=st.randoms(use_true_random=False),
)
def test_the_scanner_finds_the_members_that_the_standard_library_finds(
    document: object, indent: int | None, ascii_only: bool, rng: random.Random
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    members = list(JsonStream(blocks_of(text, rng)).members())
    assert all(member.fault is None for member in members)
    if isinstance(document, dict):
        assert [(m.key, json.loads(m.raw)) for m in members] == list(document.items())
    else:
        assert isinstance(document, list)
        assert [json.loads(m.raw) for m in members] == document


@settings(max_examples=100, deadline=None)
@given(text=st.binary(max_size=60) | st.text('{}[]",:\\ab1 ', max_size=60).map(str.encode), rng=st.randoms())
def test_the_scanner_ends_on_any_bytes(text: bytes, rng: random.Random) -> None:
    stream = JsonStream(blocks_of(b"{" + text, rng))
    try:
        for member in stream.members():
            assert member.raw or member.fault
    except JsonFault:
        pytest.fail("members() reports faults as members")


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
def test_any_text_is_a_cif_or_a_symmetry_error(text: str) -> None:
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
