"""Evaluation through the real command: numbers that can be counted by hand, and every kind of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from reference_model.checkpoint import DEFAULT
from reference_model.evaluate.app import app
from reference_model.evaluate.shares import NEW_PROTOTYPES
from reference_model.reference import build_reference, write_reference
from wyckoffkit import parse_label
from wyckoffkit.encoding import to_columns

# Known crystals: halite, caesium chloride, fluorite, perovskite (Strukturbericht B1, B2, C1, E2_1).
KNOWN = ("AB_cF8_225_a_b:Cl-Na", "AB_cP2_221_a_b:Cl-Cs", "AB2_cF12_225_a_c:Ca-F", "A3BC_cP5_221_c_a_b:O-Sr-Ti")
runner = CliRunner()


def run(*arguments, stdin=""):
    """(exit code, stdout, the named error's sentence)."""
    result = runner.invoke(app, list(map(str, arguments)), input=stdin)
    return result.exit_code, result.stdout, str(result.exception or "")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "reference.txt"
    path.write_text("\n".join(KNOWN) + "\n")
    return path


def evaluate(tmp_path, reference, text, *options):
    samples = tmp_path / "samples.txt"
    samples.write_text(text)
    code, out, error = run(samples, "--reference", reference, "--json", tmp_path / "out.json", *options)
    assert code == 0, error
    return json.loads((tmp_path / "out.json").read_text()), out


SAMPLES = """\
AB_cF8_225_a_b:Cl-Na
AB_cF8_225_b_a:Cl-Na
AB_cF8_225_a_b:K-Br
AB_cF8_225_a_b:Br-K
AB_cP2_221_a_a:Cl-Cs

AB_cP2_221_a_b:Br-Cs
AB_tP2_123_a_d:Cu-Ti
"""


def test_what_can_be_counted_by_hand_is_counted(tmp_path, reference):
    found, out = evaluate(tmp_path, reference, SAMPLES, "--seconds", 30)
    metrics = {name: (estimate["value"], estimate["n"]) for name, estimate in found["metrics"].items()}
    # Seven lines: two bad (elements out of order; a used twice), halite in two settings, three that are new.
    assert metrics["valid"] == (pytest.approx(5 / 7), 7)
    assert metrics["unique"] == (pytest.approx(4 / 5), 5)
    assert metrics["collision probability"] == (pytest.approx(1 / 10), 5)
    assert metrics["novel"] == (pytest.approx(3 / 5), 5)
    assert metrics["novel of the distinct"] == (pytest.approx(3 / 4), 4)
    assert metrics["valid, unique and novel, of all lines"] == (pytest.approx(3 / 7), 7)
    assert metrics["samples with a novel prototype"] == (pytest.approx(1 / 5), 5)
    assert metrics["novel of the distinct prototypes"] == (pytest.approx(1 / 3), 3)
    assert metrics["novel composition"] == (pytest.approx(3 / 5), 5)
    assert metrics["novel chemical system"] == (pytest.approx(3 / 5), 5)
    assert metrics["unique among the novel"] == (1, 3)
    assert metrics["distinct prototypes among the novel"] == (1, 3)
    assert metrics[NEW_PROTOTYPES] == (pytest.approx(1 / 3), 3)
    assert metrics["novel a minute"] == (pytest.approx(6), 7)
    assert metrics["in groups 1–15 (triclinic, monoclinic)"] == (0, 5)
    assert "71.43 %" in out


@pytest.mark.skipif(not DEFAULT.exists(), reason="no model is shipped")
def test_with_the_model_its_bits_are_told_and_that_it_saw_other_data(tmp_path, reference):
    found, out = evaluate(tmp_path, reference, SAMPLES, "--no-fwd", "--model", "shipped")
    bits = found["likelihoods"]["bits_a_material"]
    # Five valid samples, no held-out data, four training materials.
    assert {name: row["n"] for name, row in bits.items()} == {"samples": 5, "training": 4}
    assert all(row["low"] < row["value"] < row["high"] for row in bits.values())
    assert found["likelihoods"]["differences"] == {}
    assert "the model was trained on other data" in found["notes"]
    assert f"{bits['samples']['value']:.2f}" in out


def test_structures_are_labelled_at_four_tolerances(tmp_path, reference):
    # Halite (Wyckoff 1931), one chlorine 0.05 Å off: seen at tolerances below that.
    cell = "_cell_length_a 5.64\n_cell_length_b 5.64\n_cell_length_c 5.64\n" + "".join(
        f"_cell_angle_{name} 90\n" for name in ("alpha", "beta", "gamma")
    )
    sites = [(z + 0.0, x, y) for x, y, z in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))]
    rows = [("Na", *site) for site in sites] + [("Cl", x + 0.5, y, z) for x, y, z in sites]
    rows[-1] = ("Cl", rows[-1][1], rows[-1][2], rows[-1][3] + 0.05 / 5.64)
    loop = "loop_\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{axis}\n" for axis in "xyz")
    (tmp_path / "a.cif").write_text("data_x\n" + cell + loop + "".join(f"{e} {x} {y} {z}\n" for e, x, y, z in rows))
    code, out, error = run(tmp_path / "a.cif", "--reference", reference, "--no-fwd", "--json", tmp_path / "out.json")
    assert code == 0, error
    sweep = json.loads((tmp_path / "out.json").read_text())["symprec_sweep"]
    assert [row["symprec"] for row in sweep] == [0.01, 0.03, 0.1, 0.3]
    assert [row["novel"]["value"] for row in sweep] == [1, 1, 0, 0]
    assert "symprec, Å" in out


def test_rejected_lines_are_listed_with_line_and_reason(tmp_path, reference):
    found, out = evaluate(tmp_path, reference, SAMPLES)
    rejected = found["samples"]["rejected"]
    assert [(r["line"], r["text"]) for r in rejected] == [(3, "AB_cF8_225_a_b:K-Br"), (5, "AB_cP2_221_a_a:Cl-Cs")]
    assert "alphabetical order" in rejected[0]["reason"]
    assert "no free coordinate" in rejected[1]["reason"]
    assert sum(found["samples"]["reasons"].values()) == 2
    assert "2 lines are no valid label" in out


def test_every_number_has_an_interval_around_it(tmp_path, reference):
    found, _ = evaluate(tmp_path, reference, SAMPLES)
    measured = [
        *found["metrics"].values(),
        *(row["jensen_shannon_bits"] for row in found["divergences"].values()),
        *(row["wasserstein"] for row in found["divergences"].values() if row["wasserstein"]),
    ]
    for estimate in measured:
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
        assert estimate["n"] > 0
    assert all(row["jensen_shannon_bits"]["floor"] >= 0 for row in found["divergences"].values())


def test_the_same_seed_gives_the_same_json(tmp_path, reference):
    one, _ = evaluate(tmp_path, reference, SAMPLES, "--seed", 3)
    assert one == evaluate(tmp_path, reference, SAMPLES, "--seed", 3)[0]


def test_a_pack_a_dataset_and_labels_are_one_reference(tmp_path, reference):
    from wyckoffkit.dataset import write_dataset

    materials = [parse_label(label) for label in KNOWN]
    columns = to_columns(materials)
    write_dataset(tmp_path / "data.h5", columns, material_id=list("abcd"), label=list(KNOWN))
    pack = build_reference(columns, KNOWN, n_elements=100, max_count=54)
    write_reference(tmp_path / "pack.safetensors", pack)
    by_labels, _ = evaluate(tmp_path, reference, SAMPLES)
    for name in ("data.h5", "pack.safetensors"):
        found, _ = evaluate(tmp_path, tmp_path / name, SAMPLES)
        assert all(by_labels["metrics"][measure] == estimate for measure, estimate in found["metrics"].items())
        assert found["distributions"]["space group"] == by_labels["distributions"]["space group"]
    # A pack knows no elements; that is said, not guessed.
    assert "element" not in found["divergences"]
    assert found["distributions"]["element"]["Na"]["reference"] is None


def test_held_out_rows_of_a_dataset_are_no_part_of_the_reference(tmp_path):
    from wyckoffkit.dataset import write_dataset

    columns = to_columns([parse_label(label) for label in KNOWN])
    write_dataset(tmp_path / "d.h5", columns, material_id=list("abcd"), label=list(KNOWN), split=np.array([0, 0, 1, 2]))
    found, _ = evaluate(tmp_path, tmp_path / "d.h5", "\n".join(KNOWN))
    assert found["metrics"]["novel"]["value"] == 0.5
    assert found["reference"]["materials"] == 2


def test_samples_come_from_stdin_and_json_goes_to_stdout(reference):
    code, out, _ = run("-", "--reference", reference, "--json", "-", stdin=SAMPLES)
    assert code == 0
    assert json.loads(out)["samples"]["source"] == "<stdin>"


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "no label in it"),
        (b"\n\n", "no label in it"),
        (b"nonsense\n", "none of its 1 lines is a valid label"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\x1f\x8b\x08cut", "damaged or cut off"),
        (b"\x89HDF\r\n\x1a\nbroken", "samples"),
    ],
)
def test_bad_samples_are_one_named_error(tmp_path, reference, content, sentence):
    path = tmp_path / "samples"
    if content is not None:
        path.write_bytes(content)
    code, _, error = run(path, "--reference", reference)
    assert code == 1
    assert sentence in error
    assert str(path) in error


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "no such file"),
        (b"", "no label in it"),
        (b"x\n", "none of its 1 lines"),
        (b"\0" * 8 + b"{", "safetensors"),
    ],
)
def test_a_bad_reference_is_one_named_error(tmp_path, content, sentence):
    samples, path = tmp_path / "samples", tmp_path / "reference"
    samples.write_text(SAMPLES)
    if content is not None:
        path.write_bytes(content)
    code, _, error = run(samples, "--reference", path)
    assert code == 1
    assert sentence in error
    assert str(path) in error


def test_the_command_ends_with_a_sentence_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "reference_model.evaluate", str(tmp_path / "missing.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == f"evaluate: {tmp_path / 'missing.txt'}: no such file"


def test_files_are_written_though_the_reader_of_the_table_goes_away(tmp_path):
    (tmp_path / "labels.txt").write_text("AB_cF8_225_a_b:Ca-O\n")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "reference_model.evaluate",
            tmp_path / "labels.txt",
            "--no-fwd",
            "--json",
            tmp_path / "found.json",
        ],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""
    assert json.loads((tmp_path / "found.json").read_text())["metrics"]["valid"]["value"] == 1
