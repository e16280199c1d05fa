"""Sources: every layout gives the same entries, and a fault costs no more than its own entry."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_labels import PAPER_LABELS

from wyckoffkit import parse_label
from wyckoffkit.errors import DatasetError
from wyckoffkit.sources import Entry, EntryError, Source, read_entry
from wyckoffkit.sources.scan import JsonFault, JsonStream
from wyckoffkit.tensorfile import write_tensors

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
        (b"material_id,energy\na,1\n", "none of which has a known name"),
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


LABELLED = [
    {"sample": 0, "label": "AB_cF8_225_a_b:Ca-O", "novel": True},
    {"material_id": "b", "note": ["x"], "protostructure": "AB_cF8_225_a_b:Cl-Na", "e_form_per_atom": -2.0},
    {"id": 7, "label": "AB_cF8_225_a_a:Ca-O"},
    {"material_id": "d", "structure": ROCK_SALT, "label": "AB_cF8_225_a_b:Ca-O"},
]


@pytest.mark.parametrize(
    "text", ["".join(json.dumps(row) + "\n" for row in LABELLED), json.dumps(LABELLED)], ids=["lines", "list"]
)
def test_rows_of_json_with_a_label_are_materials_and_a_structure_counts_more(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    first, second, third, fourth = entries_of(tmp_path / "x.json")
    assert (read_entry(first, "org").material_id, str(read_entry(first, "org").protostructure)) == (
        "x-1",
        "AB_cF8_225_a_b:Ca-O",
    )
    record = read_entry(second, "opt")
    assert (record.material_id, record.properties) == ("b", {"e_form_per_atom": -2.0})
    with pytest.raises(EntryError, match="no free coordinate") as caught:
        read_entry(third, "org")
    assert caught.value.material_id == "7"
    assert read_entry(fourth, "org").protostructure is None
    assert read_entry(fourth, "org").crystal is not None


def test_what_encode_writes_is_a_source(tmp_path: Path) -> None:
    protostructures = [parse_label(label) for label in PAPER_LABELS]
    write_tensors(zip(PAPER_LABELS, protostructures, strict=True), tmp_path / "x.jsonl", n_elements=100)
    found = [read_entry(entry, "org").protostructure for entry in entries_of(tmp_path / "x.jsonl")]
    assert found == protostructures


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


def test_a_table_of_other_columns_is_refused_with_what_they_are_called(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("id,Wyckoff Label\n1,AB_cF8_225_a_b:Ca-O\n")
    with pytest.raises(DatasetError, match=r"the columns id, Wyckoff Label, none of which.*wyckoff_spglib.*cif"):
        Source(path)
