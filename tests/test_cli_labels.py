"""The label commands as a newcomer runs them: in a process of its own, through files and pipes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess

import numpy as np
import pytest
from command_line import TOOL, wyckoffkit
from real_labels import PAPER_LABELS

from wyckoffkit.dataset import read_dataset


@pytest.fixture
def label_file(tmp_path):
    path = tmp_path / "label.txt"
    path.write_text("\n".join(PAPER_LABELS) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "npz", "h5"])
def test_decode_gives_back_what_encode_took(label_file, tmp_path, suffix):
    tensors = tmp_path / f"x.{suffix}"
    said = f"{tensors}: {len(PAPER_LABELS)} labels encoded\n"
    assert wyckoffkit("encode", label_file, "-o", tensors) == (0, "", said)
    assert wyckoffkit("decode", tensors) == (0, label_file.read_text(), "")
    assert {path.name for path in tmp_path.iterdir()} == {"label.txt", tensors.name}


def test_encode_writes_json_lines_to_stdout(label_file):
    code, out, _ = wyckoffkit("encode", label_file)
    first = json.loads(out.splitlines()[0])
    assert code == 0
    assert first == {
        "label": "AB6C_hR24_166_a_h_b:Cs-F-Sn",
        "space_group": 166,
        "constrained": [55, 50, 0, 0],
        "unconstrained": [[3, 9, 1]],
        "n_elements": 100,
    }


def test_one_bad_label_in_the_middle_is_named_and_the_good_ones_are_kept(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join([*PAPER_LABELS[:3], "AB_cF8_225_a_a:Ca-O", "A_cF4_225_a:Og", *PAPER_LABELS[3:5]]))
    code, out, err = wyckoffkit("encode", path)
    assert code == 1
    assert [json.loads(line)["label"] for line in out.splitlines()] == PAPER_LABELS[:5]
    assert f"{path}:4: position a of Fm-3m (225) has no free coordinate" in err
    assert f"{path}:5: Og is element 118" in err
    assert "encoded 5, rejected 2" in err


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"PK\x03\x04 and then nothing", "npz"),
        (b"AB_cF8_225_a_b:Ca-O\n", "neither HDF5, npz nor JSON lines"),
        (b'["a", "list"]\n', "neither HDF5, npz nor JSON lines"),
        (b"\x89HDF\r\n\x1a\n and then nothing", "HDF5"),
    ],
)
def test_decode_of_what_holds_no_tensors_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    code, out, err = wyckoffkit("decode", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"wyckoffkit: {path}: ")
    assert sentence in err
    assert err.count("\n") == 1


EMPTY_225 = '{"space_group": 225, "constrained": [0, 0, 0, 0], "unconstrained": %s, "n_elements": %s}'


@pytest.mark.parametrize(
    "record",
    [
        "{}",
        "[]",
        "7",
        "{",
        '{"space_group": 999}',
        '{"space_group": 225, "constrained": [1], "unconstrained": []}',
        EMPTY_225 % ("[[0, 1, 1e9]]", "100"),
        EMPTY_225 % ("[]", "100000000000"),
        EMPTY_225 % ("[]", "100"),
    ],
)
def test_a_wrong_record_among_good_ones_is_named_by_line(label_file, tmp_path, record):
    _, good, _ = wyckoffkit("encode", label_file)
    path = tmp_path / "x.jsonl"
    lines = good.splitlines()
    path.write_text("\n".join([*lines[:2], record, *lines[2:]]))
    code, out, err = wyckoffkit("decode", path)
    assert code == 1
    assert out.split() == PAPER_LABELS
    assert f"{path}:3: " in err


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_encode_records_a_profile_only_where_all_labels_are_canonical_or_made_so(tmp_path, suffix):
    path, tensors = tmp_path / "labels.txt", tmp_path / f"x.{suffix}"
    path.write_text("AB_cF8_225_a_b:Cl-Na\nAB_cF8_225_b_a:Ca-O\n")
    code, _, err = wyckoffkit("encode", path, "-o", tensors)
    assert (code, "records no profile" in err) == (0, True)
    assert wyckoffkit("decode", tensors)[1] == path.read_text()
    assert recorded_profile(tensors) == "as-given"
    for profile in ("pymatgen", "affine"):
        assert wyckoffkit("encode", path, "-o", tensors, "--profile", profile)[:2] == (0, "")
        assert wyckoffkit("decode", tensors)[1] == "AB_cF8_225_a_b:Cl-Na\nAB_cF8_225_a_b:Ca-O\n"
        assert recorded_profile(tensors) == profile
    assert wyckoffkit("encode", path, "--profile", "euclidean")[0] == 1


def recorded_profile(path):
    if path.suffix == ".h5":
        return read_dataset(path).profile
    with np.load(path) as arrays:
        return str(arrays["profile"])


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma", "zstandard"])
def test_labels_are_read_from_compressed_files_and_pipes(label_file, tmp_path, module):
    compress = pytest.importorskip(module).compress
    packed = tmp_path / "labels.anything"
    packed.write_bytes(compress(label_file.read_bytes()))
    assert wyckoffkit("validate", packed) == (0, "17 valid labels\n", "")
    piped = subprocess.run([*TOOL, "validate", "-"], input=packed.read_bytes(), capture_output=True)
    assert piped.stdout == b"17 valid labels\n"
    packed.write_bytes(compress(label_file.read_bytes())[:-9])
    code, _, err = wyckoffkit("validate", packed)
    assert code == 1
    assert "damaged or cut off" in err


@pytest.mark.parametrize(
    "name, start", [("x.gz", b""), ("x.gz", b"\x1f"), ("x.xz", b"\xfd7"), ("X.BZ2", b"BZ"), ("x.zst", b"")]
)
def test_a_packed_file_cut_off_within_its_first_bytes_is_no_empty_list(tmp_path, name, start):
    (tmp_path / name).write_bytes(start)
    code, out, err = wyckoffkit("validate", tmp_path / name)
    assert (code, out) == (1, "")
    assert f"{name}: cut off: {len(start)} bytes are no" in err


def test_nothing_is_lost_of_a_pipe_that_is_named_like_a_file(label_file, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def through(command, content):
        reader = subprocess.Popen([*TOOL, command, str(pipe)], stdout=subprocess.PIPE, text=True)
        pipe.write_bytes(content)
        return reader.communicate()[0]

    labels = label_file.read_bytes()
    assert through("validate", labels) == "17 valid labels\n"
    assert through("validate", gzip.compress(labels)) == "17 valid labels\n"
    assert len(through("canonicalize", labels).split()) == 17
    tensors = wyckoffkit("encode", label_file)[1]
    assert through("decode", tensors.encode()) == label_file.read_text()
    assert wyckoffkit("decode", "-", text=tensors) == (0, label_file.read_text(), "")


def test_show_tells_what_sits_where():
    code, out, _ = wyckoffkit("show", "AB6C_hR24_166_a_h_b:Cs-F-Sn")
    assert code == 0
    assert "R-3m (166)" in out
    assert "ABC6_hR24_166_a_b_h" in out
    assert "F on 18h" in out
    facts = json.loads(wyckoffkit("show", "AB6C_hR24_166_a_h_b:Cs-F-Sn", "--json")[1])
    assert (facts["composition"], facts["atoms"], facts["dof"]) == ({"Cs": 3, "F": 18, "Sn": 3}, 24, 2)
    assert [orbit["position"] for orbit in facts["orbits"]] == ["3a", "18h", "3b"]


@pytest.mark.parametrize("number, positions", [(225, 12), (47, 27), (1, 1)])
def test_spacegroup_lists_every_position(number, positions):
    assert len(json.loads(wyckoffkit("spacegroup", number, "--json")[1])["positions"]) == positions
    assert len(wyckoffkit("spacegroup", number)[1].splitlines()) == positions + 2


def test_spacegroup_takes_symbols_and_refuses_what_is_none():
    assert wyckoffkit("spacegroup", "P63/mmc")[1] == wyckoffkit("spacegroup", "194")[1]
    assert wyckoffkit("spacegroup", "231")[2].endswith("space groups are numbered from 1 to 230, got 231\n")
    assert "'Pbnm' is not the short" in wyckoffkit("spacegroup", "Pbnm")[2]


@pytest.mark.parametrize("arguments", [("spacegroup",), ("encode",), ("nonsense",)])
def test_wrong_usage_is_exit_code_2(arguments):
    assert wyckoffkit(*arguments)[0] == 2


def test_labels_are_read_from_a_column_of_a_csv_file(tmp_path):
    path = tmp_path / "labels.csv"
    rows = [f'wbm-1-{i},"a, quoted",{label}' for i, label in enumerate(PAPER_LABELS)]
    path.write_text("\n".join(["material_id,note,protostructure", *rows, "wbm-9,x,", "wbm-10,x,nonsense"]))
    code, out, err = wyckoffkit("encode", path, "--column", "protostructure")
    assert code == 1
    assert [json.loads(line)["label"] for line in out.splitlines()] == PAPER_LABELS
    assert f"{path}:20: " in err
    code, _, err = wyckoffkit("validate", path, "--column", "label")
    assert code == 1
    assert "no column 'label'; the columns are material_id, note, protostructure" in err


def test_a_file_of_another_kind_is_told_what_it_is_and_what_to_do(label_file, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("material_id,wyckoff\na,AB_cF8_225_a_b:Ca-O\n")
    code, out, err = wyckoffkit("validate", table)
    assert (code, out) == (1, "")
    assert "a table with the columns material_id, wyckoff, none of them 'label'" in err
    assert "--column" in err
    assert wyckoffkit("validate", table, "--column", "wyckoff")[:2] == (0, "1 valid labels\n")
    dataset = tmp_path / "x.h5"
    wyckoffkit("encode", label_file, "-o", dataset)
    assert "an HDF5 file, not text; `wyckoffkit decode`" in wyckoffkit("validate", dataset)[2]


def test_labels_may_be_words_files_or_stdin(label_file):
    words = wyckoffkit("canonicalize", *PAPER_LABELS)
    assert (words[0], len(words[1].split())) == (0, 17)
    assert wyckoffkit("canonicalize", label_file) == words
    assert wyckoffkit("canonicalize", "-", text=label_file.read_text()) == words
    assert wyckoffkit("canonicalize", label_file.with_name("no.txt"))[0] == 1


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_of_another_program_is_read_between_whatever_stands_there(tmp_path, between):
    path = tmp_path / "labels.csv"
    label = "AB_cF8_225_a_b:Ca-O"
    lines = ["label,note", label + ',"two', 'lines"', f'"{label}",x', label + ',"not closed', label + ",y", label, ",z"]
    path.write_text("\ufeff" + "\r\n".join(lines).replace(",", between) + "\r\n", newline="")
    code, out, err = wyckoffkit("encode", path, "--column", "label")
    assert code == 1
    assert [json.loads(line)["label"] for line in out.splitlines()] == [label] * 3
    assert f"{path}:5: not CSV" in err
    assert f"{path}:7: a row of 1 fields under 2 headings" in err
    assert "encoded 3, rejected 2" in err


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,label\nAB_cF8_225_a_b:Ca-O,AB_cF8_225_b_a:Ca-O\n")
    code, out, err = wyckoffkit("encode", path, "--column", "label")
    assert (code, out) == (1, "")
    assert "2 columns are called 'label'" in err


def test_a_mark_of_byte_order_is_no_part_of_the_first_label(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffAB_cF8_225_a_b:Ca-O\r\n", newline="")
    assert wyckoffkit("validate", path)[:2] == (0, "1 valid labels\n")
    code, out, _ = wyckoffkit("validate", "-", text=path.read_text())
    assert (code, out) == (0, "1 valid labels\n")


def test_labels_without_elements_are_shown_and_canonicalized():
    code, out, _ = wyckoffkit("show", "A6BC_hR24_166_h_b_a")
    assert code == 0
    assert "canonical         ABC6_hR24_166_a_b_h" in out
    assert "cell              A3 B3 C18, 24 atoms" in out
    assert "C on 18h" in out
    assert wyckoffkit("canonicalize", "AB_cF8_225_b_a", "AB_cF8_225_b_a:Ca-O")[1].split() == [
        "AB_cF8_225_a_b",
        "AB_cF8_225_a_b:Ca-O",
    ]


def test_a_column_in_wrens_notation_is_repaired_to_labels(tmp_path):
    path = tmp_path / "wren.csv"
    path.write_text("id,wyckoff\n1,\"('Gd @ 1-a-221', 'K @ 1-b-221', 'O @ 3-d-221')\"\n2,\"('Gd @ 2-a-221')\"\n")
    code, out, err = wyckoffkit("repair", path, "--column", "wyckoff")
    assert (code, out) == (1, "ABC3_cP5_221_a_b_d:Gd-K-O\n")
    assert f"{path}:2: Wren's notation" in err
    assert f"{path}:3: position a of Pm-3m (221) has multiplicity 1, got 2" in err
