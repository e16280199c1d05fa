"""Questions as a newcomer asks them, in a process of their own."""

from __future__ import annotations

import json

import pytest
from command_line import wyckoffkit
from real_structures import real_structures


def test_collapse_writes_the_label_that_the_crystals_have():
    # One atom in P1 always has an inversion centre; rock salt is what it says.
    code, out, _ = wyckoffkit("collapse", "A_aP1_1_a:Fe", "AB_cF8_225_a_b:Ca-O")
    assert (code, out.split()) == (0, ["A_aP1_2_a:Fe", "AB_cF8_225_a_b:Ca-O"])


def test_collapse_keeps_the_good_labels_beside_a_bad_one():
    code, out, err = wyckoffkit("collapse", "--json", "-", text="AB_cF8_225_a_a:Ca-O\nA_aP1_1_a:Fe\n")
    assert code == 1
    assert json.loads(out) == {"label": "A_aP1_1_a:Fe", "collapses": True, "crystals_have": "A_aP1_2_a:Fe"}
    assert "<stdin>:1" in err


def test_enumerate_and_its_count_agree():
    _, out, _ = wyckoffkit("enumerate", "TiO2", "-z", "2", "--space-group", "2")
    assert len(set(out.split())) == 9  # CODEC.md section 3
    _, out, _ = wyckoffkit("enumerate", "Ti2O4", "--space-group", "2", "--profile", "pymatgen", "--count", "--json")
    assert json.loads(out) == {"space_group": 2, "settings": 967, "canonical": 155}


def test_same_goes_by_the_profile_and_says_why_not():
    # The inversion centres c and d of P-1 change into others when the cell does.
    pair = ("AB_aP2_2_a_b:Ca-O", "AB_aP2_2_a_d:Ca-O")
    assert wyckoffkit("same", *pair) == (0, "same\n", "")
    code, out, _ = wyckoffkit("same", *pair, "--profile", "pymatgen")
    assert (code, out.split(":")[0]) == (1, "different")
    assert "different cells" in out


def test_same_compares_files_with_labels_and_with_each_other(tmp_path):
    real = real_structures()[0]
    for name, wanted in (("one.json", real), ("other.json", real_structures()[1])):
        (tmp_path / name).write_text(json.dumps(wanted.structure))
    assert wyckoffkit("same", tmp_path / "one.json", real.label)[:2] == (0, "same\n")
    code, out, _ = wyckoffkit("same", tmp_path / "one.json", tmp_path / "other.json", "--json")
    record = json.loads(out)
    assert (code, record["same"]) == (1, False)
    assert record["reason"]


def test_parents_are_the_labels_that_a_label_can_be_a_distortion_of(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("AB3C_cP5_221_a_c_b:Ba-O-Ti\nAB_cF8_225_a_b:Ba-O\nnonsense\nAB3C_oP20_62_c_cd_a:Ba-O-Ti\n")
    code, out, err = wyckoffkit("parents", "AB3C_tP5_99_a_bc_b:Ba-O-Ti", "--among", path)
    assert (code, out) == (1, "AB3C_cP5_221_a_c_b:Ba-O-Ti\n")
    assert f"{path}:3: " in err


@pytest.mark.parametrize(
    "word, sentence", [("missing.cif", "neither a file nor a label"), ("AB_cF8_225_a_a:Ca-O", "one orbit")]
)
def test_same_without_an_answer_is_neither_same_nor_different(word, sentence):
    code, out, err = wyckoffkit("same", "AB_cF8_225_a_b:Ca-O", word)
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.parametrize("command, code", [(["label"], 1), (["same", "AB_cF8_225_a_b:Ca-O"], 2)])
def test_a_structure_of_another_name_than_the_two_is_refused(tmp_path, command, code):
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"org": real_structures()[0].structure}))
    found, out, err = wyckoffkit(*command, path, "--structure", "foo")
    assert (found, out) == (code, "")
    assert "the structures are org (before relaxation) and opt (after), got 'foo'" in err


@pytest.mark.parametrize("formula", ["", "ti2", "Ti2O4+", "Xx2", "Ti0"])
def test_what_is_no_formula_is_refused_in_a_sentence(formula):
    code, out, err = wyckoffkit("enumerate", formula, "--space-group", "2")
    assert (code, out) == (1, "")
    assert err.startswith("wyckoffkit: ")


def test_a_label_whose_crystals_settle_nothing_is_rejected_and_the_others_are_answered():
    # Of 20,000 atoms on one axis, some come together.
    code, out, err = wyckoffkit("collapse", "A_tI40000_79_20000a:Fe", "A_aP1_1_a:Fe")
    assert (code, out) == (1, "A_aP1_2_a:Fe\n")
    assert "A_tI40000_79_20000a:Fe collapses, but" in err
    assert "answered 1, rejected 1" in err
