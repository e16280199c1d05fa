"""Sources as people have them: other orders of a table, quotes that do not close, pipes, bombs, too many files."""

from __future__ import annotations

import bz2
import json
import os
import resource
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_structures import real_structures
from test_sources import layouts
from test_structure_text import CIF

from wyckoffkit.build import build_dataset
from wyckoffkit.dataset import read_dataset
from wyckoffkit.errors import DatasetError
from wyckoffkit.sources import EntryError, Source, read_entry, tables_of_text

REAL = real_structures()[:4]
IDS = [real.material_id for real in REAL]
STRUCTURES = [real.structure for real in REAL]
LABEL = "AB_cF8_225_a_b:Ca-O"


def cse(name: str, structure: object) -> dict[str, object]:
    """A ComputedStructureEntry as a dictionary."""
    kind = {"@module": "pymatgen.entries.computed_entries", "@class": "ComputedStructureEntry"}
    return {**kind, "energy": -1.0, "entry_id": name, "structure": structure}


PAIRS = list(zip(IDS, STRUCTURES, strict=True))
JSON = {
    "pandas, by id": {"initial_structure": dict(PAIRS), "formula_from_cse": dict.fromkeys(IDS, "X")},
    "pandas, by id, structures last": {"formula": dict.fromkeys(IDS, "X"), "structure": dict(PAIRS)},
    "pandas, entries by id": {"computed_structure_entry": {i: cse(i, s) for i, s in PAIRS}},
    "pandas, by number, entries": {
        "material_id": {str(k): i for k, i in enumerate(IDS)},
        "formula_from_cse": {str(k): "X" for k in range(4)},
        "computed_structure_entry": {str(k): cse("x", s) for k, s in enumerate(STRUCTURES)},
    },
    "pandas, records": [{"material_id": i, "initial_structure": s} for i, s in PAIRS],
    "pandas, rows by number": {str(k): {"material_id": i, "structure": s} for k, (i, s) in enumerate(PAIRS)},
    "pandas, table": {
        "schema": {"fields": [{"name": "material_id"}]},
        "data": [{"material_id": i, "structure": s} for i, s in PAIRS],
    },
    "a version first": {"version": 2, "entries": [cse(i, s) for i, s in PAIRS]},
}


@pytest.mark.parametrize("layout", JSON)
def test_tables_are_read_in_each_order_that_pandas_writes(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps(JSON[layout]))
    outcome = build_dataset([path], tmp_path / "x.h5")
    assert (outcome.n_rejected, outcome.problems) == (0, ())
    found = read_dataset(tmp_path / "x.h5")
    assert found.label.tolist() == [real.label for real in REAL]
    assert len(set(found.material_id.tolist())) == 4
    if layout != "pandas, rows by number":
        assert found.material_id.tolist() == IDS


def test_a_line_of_json_may_begin_with_any_field(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("".join(json.dumps({"formula": "X", "material_id": i, "structure": s}) + "\n" for i, s in PAIRS))
    assert [read_entry(entry, "org").material_id for entry in Source(path).entries()] == IDS


def names_and_faults(path: Path) -> tuple[list[str], list[str]]:
    entries = list(Source(path).entries())
    good = [entry.material_id for entry in entries if entry.kind != "fault"]
    return good, [
        f"{entry.place.rpartition(':')[2]} {entry.text.decode()}" for entry in entries if entry.kind == "fault"
    ]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_columns_stand_between_commas_tabs_or_semicolons(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "x"
    rows = [["material_id", "label"], ["a", LABEL], ["b", LABEL]]
    path.write_text("\ufeff" + "\r\n".join(delimiter.join(row) for row in rows))
    assert names_and_faults(path) == (["a", "b"], [])


@pytest.mark.parametrize("row", [f'"b,{LABEL}', f'b,"{LABEL}', f'b,{LABEL},"'])
@pytest.mark.parametrize("later", [LABEL, f'"{LABEL}"'])
def test_a_quote_that_is_not_closed_costs_its_own_row_alone(tmp_path: Path, row: str, later: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"material_id,label\na,{LABEL}\n{row}\nc,{LABEL}\nd,{later}\nshort\ne,{LABEL}\n")
    good, faults = names_and_faults(path)
    assert good == ["a", "c", "d", "e"]
    assert faults[0].startswith("3 not CSV: ")
    assert faults[1:] == ["6 a row of 1 fields under 2 headings"]


def test_a_quote_that_is_not_closed_in_a_column_of_cif_costs_its_own_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [f'{name},-1.0,"data_x\n_cell_length_a 3\nloop_\n x y z\n"\n' for name in "abcd"]
    rows[1] = rows[1][:-2] + "\n"
    path.write_text("material_id,energy_per_atom,cif\n" + "".join(rows) + "short\n")
    good, faults = names_and_faults(path)
    assert good == ["a", "c", "d"]
    assert [fault.partition(" ")[0] for fault in faults] == ["7", "22"]


def test_what_cannot_be_read_again_is_refused_and_so_is_a_dataset(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="a pipe or device"):
        Source(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="a pipe or device"):
        Source(Path("/dev/null"))
    (tmp_path / "x.txt").write_text(LABEL)
    build_dataset([tmp_path / "x.txt"], tmp_path / "x.h5")
    with pytest.raises(DatasetError, match="wyckoffkit dataset merge"):
        Source(tmp_path / "x.h5")
    with pytest.raises(DatasetError, match="the output is one of the sources"):
        build_dataset([tmp_path / "x.txt"], tmp_path / "x.txt")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file whose reading fails is found on Linux")
def test_a_file_whose_reading_fails_is_told_and_the_others_are_built(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(LABEL)
    outcome = build_dataset(["/proc/self/mem", tmp_path / "x.txt"], tmp_path / "x.h5")
    assert outcome.n_written == 1
    assert outcome.problems == ("/proc/self/mem: cannot be read: input/output error",)


def test_there_may_be_more_sources_than_files_a_process_may_hold_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.txt" for i in range(100)]
    for path in paths:
        path.write_text(LABEL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 40, hard))
    try:
        outcome = build_dataset(paths, tmp_path / "x.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (outcome.n_written, outcome.problems) == (100, ())


def test_a_build_in_the_folder_it_reads_does_not_read_itself(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(LABEL)
    (tmp_path / "x.h5.partial").mkdir()
    (tmp_path / "x.h5.partial" / "000000-ab.npz").write_bytes(b"of an earlier run")
    first = build_dataset([tmp_path], tmp_path / "x.h5")
    before = (tmp_path / "x.h5").read_bytes()
    assert (first.n_written, first.n_rejected) == (3, 0)
    build_dataset([tmp_path], tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == before


@pytest.mark.parametrize("damage, reason", [("flag", "is encrypted"), ("byte", "bad crc-32")])
def test_a_part_of_an_archive_that_cannot_be_read_costs_no_other(tmp_path: Path, damage: str, reason: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", LABEL)
        archive.writestr("b.txt", LABEL)
    content = bytearray((tmp_path / "x.zip").read_bytes())
    if damage == "flag":
        content[content.find(b"PK\x01\x02") + 8] |= 1
    else:
        content[content.find(b"Ca-O")] ^= 1
    (tmp_path / "x.zip").write_bytes(content)
    outcome = build_dataset([tmp_path / "x.zip"], tmp_path / "x.h5")
    assert outcome.n_written == 1
    assert outcome.rejected.material_id == ("a.txt",)
    assert reason in outcome.rejected.reason[0]


def test_a_single_frame_is_named_by_its_file(tmp_path: Path) -> None:
    frame = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nPo 0 0 0\n'
    (tmp_path / "wbm-1-7.extxyz").write_text(frame)
    (tmp_path / "two.extxyz").write_text(frame * 2)
    pytest.importorskip("ase.io")
    names = [read_entry(entry, "org").material_id for entry in Source(tmp_path).entries()]
    assert names == ["two-1", "two-2", "wbm-1-7"]


def test_a_line_without_an_end_costs_no_more_than_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_of_text, "MAX_LINE", 1000)
    long = LABEL + "O" * 5000
    (tmp_path / "x.txt").write_text(f"{LABEL}\n{long}\n{LABEL}\n")
    (tmp_path / "x.csv").write_text(f"material_id,label\na,{LABEL}\nb,{long}\nc,{LABEL}\n")
    outcome = build_dataset([tmp_path / "x.txt", tmp_path / "x.csv"], tmp_path / "x.h5")
    assert read_dataset(tmp_path / "x.h5").material_id.tolist() == ["x-1", "x-3", "a", "c"]
    assert outcome.rejected.material_id == ("x-2", "b")
    assert all(len(reason) <= 1000 for reason in outcome.rejected.reason)


def test_a_name_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"material_id,label\n{'a' * 201},{LABEL}\n{'b' * 200},{LABEL}\n")
    outcome = build_dataset([tmp_path / "x.csv"], tmp_path / "x.h5")
    assert (outcome.n_written, outcome.rejected.reason) == (1, ("a name of more than 200 bytes",))


SEEDS = [
    *(text.encode() for text in layouts(2).values()),
    *(json.dumps(document).encode() for document in JSON.values()),
    f'material_id,label,year\na,{LABEL},1\nb,"{LABEL}",\n"c,d",{LABEL},2\n'.encode(),
    b"material_id,cif\n" + "".join(f'{name},"{CIF}"\n' for name in "ab").encode(),
    CIF.encode(),
    f"{LABEL}\n{LABEL}\n".encode(),
]
PIECES = st.sampled_from(
    [b'"', b"{", b"}", b"[", b"]", b",", b"\n", b"\\", b"\0", b"\xff", b":", b"1", b"NaN", b"null"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), PIECES), max_size=4))
def test_any_damage_is_a_fault_or_a_named_error(
    tmp_path: Path, text: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    for place, n_lost, piece in edits:
        at = int(place * len(text))
        text = text[:at] + piece + text[at + n_lost :]
    path = tmp_path / "x"
    path.write_bytes(text)
    with suppress(DatasetError):
        for entry in Source(path).entries():
            with suppress(EntryError):
                read_entry(entry, "org")


def test_a_column_of_names_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    table = json.dumps(JSON["pandas, by number, entries"])
    path.write_text(table.replace(f'"1": "{IDS[1]}"', f'"1" "{IDS[1]}"'))
    outcome = build_dataset([path], tmp_path / "x.h5")
    assert outcome.n_written == 4
    assert outcome.problems == (f"{path}: the column 'material_id' is no JSON object, so its values are missing",)


BOMBS = {
    "a line": (LABEL + "\nAB_cF8_225_a_b:Ca-", "O"),
    "a field": ("material_id,label\na,", "O"),
    "a string": ('{"step_1_0": {"org": {"sites": "', " "),
    "a name in a table": ('{"material_id": {"0": "', "a"),
    "a comment": ("data_x\n_cell_length_a 1\n", "#"),
    "a bracket": ('{"step_1_0": {"org": ', "["),
}
# The peak of getrusage is inherited from the process that starts this one, VmHWM is not.
MEASURE = """
import re, sys
from pathlib import Path
from wyckoffkit.build import build_dataset
outcome = build_dataset(sys.argv[1:2], sys.argv[2])
assert outcome.n_rejected or outcome.problems
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_a_file_of_kilobytes_that_unpacks_to_a_gigabyte_takes_a_bounded_memory(tmp_path: Path, kind: str) -> None:
    start, filling = BOMBS[kind]
    block = bz2.compress(filling.encode() * (10 << 20))
    path = tmp_path / "x"
    path.write_bytes(bz2.compress(start.encode()) + block * 100)
    assert path.stat().st_size < 100_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(tmp_path / "x.h5")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 400  # MB
