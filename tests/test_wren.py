"""Wren's notation reads back as it was written, and what contradicts the tables is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import protostructures

from wyckoffkit import LabelError, format_label
from wyckoffkit.wren import format_wren, parse_wren


# Rows of the Materials Project set of Wren (CC BY 4.0): mp-567573, mp-1184987, mp-21137.
@pytest.mark.parametrize(
    "text, label",
    [
        ("('Br @ 24-e-225', 'Rb @ 8-c-225', 'U @ 4-a-225')", "A6B2C_cF36_225_e_c_a:Br-Rb-U"),
        ("('Gd @ 1-a-221', 'K @ 1-b-221', 'O @ 3-d-221')", "ABC3_cP5_221_a_b_d:Gd-K-O"),
        ("('Ca @ 4-g-55', 'O @ 4-g-55', 'O @ 4-h-55', 'Pb @ 2-b-55')", "A2B4C_oP14_55_g_gh_b:Ca-O-Pb"),
    ],
)
def test_rows_of_the_data_set_have_their_labels(text, label):
    assert format_label(parse_wren(text)) == label
    assert format_wren(parse_wren(text)) == text


@given(protostructures())
def test_parse_undoes_format(protostructure):
    assert parse_wren(format_wren(protostructure)) == protostructure


@given(st.text() | st.text(alphabet="('Br @24-e5,)["))
def test_any_text_parses_or_raises_a_label_error(text):
    try:
        parsed = parse_wren(text)
    except LabelError:
        return
    assert parse_wren(format_wren(parsed)) == parsed


@pytest.mark.parametrize(
    "text, rule",
    [
        ("('Br @ 12-e-225',)", "multiplicity 24, got 12"),
        ("('Br @ 24-e-225', 'Rb @ 8-c-224')", "one space group"),
        ("('Br @ 24-e-225', 'Rb 8-c-225')", "list of entries"),
        ("('Xx @ 24-e-225',)", "not the symbol"),
        ("('Br @ 24-z-225',)", "no Wyckoff position"),
        ("('Br @ 4-a-225', 'Cl @ 4-a-225')", "no free coordinate"),
        ("('Br @ 4-a-999',)", "1 to 230"),
        ("", "list of entries"),
        (None, "list of entries"),
    ],
)
def test_what_contradicts_the_tables_is_refused(text, rule):
    with pytest.raises(LabelError, match=rule):
        parse_wren(text)
