"""CODEC.md section 2: lenient reading says what it changed, repair finds the one valid label or lists all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_labels import PAPER_LABELS
from strategies import protostructures

from wyckoffkit import LabelError, format_label, parse_label
from wyckoffkit.label import parse_prototype
from wyckoffkit.lenient import parse_lenient, parse_lenient_prototype
from wyckoffkit.repair import repair_candidates, repair_label

MANGLINGS = {
    "separators lost": lambda label: re.sub("_", "", label),
    "separators as dots": lambda label: label.replace("_", "."),
    "separators as blanks": lambda label: label.replace("_", " "),
    "dots between letters": lambda label: (
        re.sub(r"(?<=[a-z])(?=[a-z])", ".", label.split(":")[0]) + ":" + label.split(":")[1]
    ),
    "everything run together": lambda label: re.sub("[_:-]", "", label),
    "long dashes": lambda label: label.replace("_", "").replace("-", "–"),
    "one read as l": lambda label: label.replace("_", " ").replace("1", "l", 1),
}


@pytest.mark.parametrize("mangle", MANGLINGS.values(), ids=MANGLINGS)
@pytest.mark.parametrize("label", PAPER_LABELS)
def test_the_labels_of_the_paper_come_back_uniquely(label, mangle):
    assert [format_label(p) for p in repair_candidates(mangle(label))] == [label]


def test_the_label_that_the_printed_table_mangles_is_repaired():
    # Cited in CODEC.md section 2.
    assert format_label(repair_label("A6B3C.mC20_12_i.j.a.i.d:F-Rb-V")) == "A6B3C_mC20_12_ij_ai_d:F-Rb-V"


@pytest.mark.parametrize(
    "text",
    ["", "hello", "AB2 cF8 225 a b Ca O", "A_aP1_1_a CO", "AB_cF8_225_a_a:Ca-O", "A0 aP5$110 l-N", "A" * 999],
)
def test_what_has_no_valid_reading_is_a_label_error(text):
    with pytest.raises(LabelError, match="no valid label"):
        repair_label(text)


def test_printed_digits_and_the_rhombohedral_cell_of_mangled_labels_are_understood():
    assert format_label(repair_label("AB₂ cF12 225 a c: Ca–F")) == "AB2_cF12_225_a_c:Ca-F"
    assert format_label(repair_label("AB6C.hR8_166_a.h.b:Cs-F-Sn")) == "AB6C_hR24_166_a_h_b:Cs-F-Sn"


def test_the_elements_are_found_without_a_colon():
    assert [format_label(p) for p in repair_candidates("AB aP2 1 aa NiSn")] == ["AB_aP2_1_a_a:Ni-Sn"]


@pytest.mark.parametrize("character", "Il5qo")
def test_a_text_full_of_characters_that_scanners_confuse_is_answered(character):
    # n³ variants: without a bound on n, 1,000 characters keep a processor busy for an hour.
    assert repair_candidates(character * 60) == repair_candidates(character * 1000) == ()


@given(protostructures())
def test_a_valid_label_without_separators_is_among_its_repairs(protostructure):
    label = format_label(protostructure)
    assert protostructure in repair_candidates(label.replace("_", " "))


@given(st.text() | st.text(alphabet="ABCab_ .:-0123456789cFhRPlICoNi", max_size=60))
def test_repair_of_any_text_is_valid_labels_or_none(text):
    for candidate in repair_candidates(text):
        assert parse_label(format_label(candidate)) == candidate


@given(st.text() | st.text(alphabet="ABab_-:0123456789cFhRPSCaO "))
def test_lenient_reading_of_any_text_is_a_label_or_a_label_error(text):
    try:
        lenient = parse_lenient(text)
    except LabelError:
        return
    assert parse_label(format_label(lenient.protostructure)) == lenient.protostructure


@given(protostructures())
def test_lenient_reading_changes_nothing_in_a_strict_label(protostructure):
    lenient = parse_lenient(format_label(protostructure))
    assert lenient.protostructure == protostructure
    assert lenient.changes == ()


@pytest.mark.parametrize(
    "text, label, change",
    [
        ("AB_cF8_225_1a_1b:Ca-O", "AB_cF8_225_a_b:Ca-O", "count of 1"),
        ("AB_cF8_225_a_b:O-Ca", "AB_cF8_225_b_a:Ca-O", "alphabetical"),
        ("A3BC_mC20_12_ji_d_a:O-Ca-V", None, "not A3BC"),
        ("A6B3C_mC20_12_ji_ai_d:F-Rb-V", "A6B3C_mC20_12_ij_ai_d:F-Rb-V", "ASCII order"),
        ("AB6C_hR8_166_a_h_b:Cs-F-Sn", "AB6C_hR24_166_a_h_b:Cs-F-Sn", "hexagonal"),
        ("AB4C_oS24_63_c_fg_c:Ca-O-S", "AB4C_oC24_63_c_fg_c:Ca-O-S", "written C"),
        ("A2B2_cF8_225_a_b:Ca-O", "AB_cF8_225_a_b:Ca-O", "reduced"),
        (" AB_cF8_225_a_b:Ca-O\n", "AB_cF8_225_a_b:Ca-O", "white space"),
        ("AB_cF8_0225_a_b:Ca-O", "AB_cF8_225_a_b:Ca-O", "the number"),
        ("AB_cF08_225_a_b:Ca-O", "AB_cF8_225_a_b:Ca-O", "leading zeros"),
        ("AB_cF8_225_a_b:ca-O", "AB_cF8_225_a_b:Ca-O", "capital letter and go on in small ones: ca"),
        ("AB_cF8_225_a_b:CA-O", "AB_cF8_225_a_b:Ca-O", "small ones: CA"),
        ("AB_cF8_225_a_b:Na:Cl", "AB_cF8_225_b_a:Cl-Na", "joined by '-': Na:Cl"),
        ("A2B_hP9_154_c_a:D-Si", "A2B_hP9_154_c_a:H-Si", "written H: D"),
        ("AB_cF8_225_a_b:D-H", None, "named twice"),
        ("AB_cF8_225_a_b:xx-O", None, "'xx' is not the symbol"),
        ("AB_cF16_225_a_b:Ca-O", None, "Pearson symbol cF8"),
        ("AB_cI8_225_a_b:Ca-O", None, "Pearson symbol cF8"),
        ("AB_cF8_225_2a_b:Ca-O", None, "no free coordinate"),
        ("AB_cF8_225_a_b:Ca-Ca", None, "named twice"),
        ("AB_cF8_225_a_0b:Ca-O", None, "count of 0"),
        ("AB_cF8_999_a_b:Ca-O", None, "1 to 230"),
    ],
)
def test_what_is_plain_is_normalised_and_said_and_the_rest_refused(text, label, change):
    if label is None:
        with pytest.raises(LabelError, match=change):
            parse_lenient(text)
        return
    lenient = parse_lenient(text)
    assert format_label(lenient.protostructure) == label
    assert any(change in sentence for sentence in lenient.changes)


@given(protostructures())
def test_labels_in_either_hR_convention_are_read_and_written(protostructure):
    text = format_label(protostructure, rhombohedral=True)
    lenient = parse_lenient(text)
    assert lenient.protostructure == protostructure
    is_rhombohedral = protostructure.space_group.centring == "R"
    assert (text != format_label(protostructure)) == bool(lenient.changes) == is_rhombohedral
    head = text.split(":")[0]
    assert parse_lenient_prototype(head).prototype == parse_prototype(format_label(protostructure).split(":")[0])


# AFLOW Library of Crystallographic Prototypes (Mehl et al., Comput. Mater. Sci. 136, S1, 2017): fluorite, rutile,
# calcite, black phosphorus; the last as pymatgen's Pearson symbols have it.
@pytest.mark.parametrize(
    "text, label",
    [
        ("AB2_cF12_225_a_c", "AB2_cF12_225_a_c"),
        ("A2B_tP6_136_f_a", "AB2_tP6_136_a_f"),
        ("ABC3_hR10_167_a_b_e", "ABC3_hR30_167_a_b_e"),
        ("A_oC8_64_f", "A_oC8_64_f"),
        ("A_oS8_64_1f", "A_oC8_64_f"),
        ("A_cF4_225_a-001", "A_cF4_225_a"),
    ],
)
def test_prototypes_of_aflow_are_read(text, label):
    assert str(parse_lenient_prototype(text).prototype) == label


@pytest.mark.parametrize(
    "text, rule",
    [
        ("AB_cF8_225_a_b:Ca-O", "no elements"),
        ("AB_cF8_225", "not a label"),
        ("", "not a label"),
        ("AB2_cF8_225_a_b", "4, 4 atoms, not AB2"),
        ("AB_cF8_225_a_a", "one orbit"),
        (None, "text"),
        ("_" * 500, "not a label"),
    ],
)
def test_what_is_no_prototype_is_a_label_error(text, rule):
    with pytest.raises(LabelError, match=rule):
        parse_lenient_prototype(text)
