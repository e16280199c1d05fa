"""CODEC.md section 2: labels parse strictly and come back as they went in."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_labels import PAPER_LABELS
from strategies import protostructures, space_groups

from wyckoffkit import LabelError, Orbit, Protostructure, SpaceGroup, format_label, label_rules, parse_label
from wyckoffkit import label as reading
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.label import parse_prototype
from wyckoffkit.lenient import parse_lenient

# (label, the words that name its rule, the column the caret is under)
MALFORMED = [
    ("", "':'", 0),
    ("AB_cF8_225_a_b", "':'", 14),
    ("AB_cF8_225_a_b:Ca-O\n", "element", 18),
    (" AB_cF8_225_a_b:Ca-O", "formula", 0),
    ("AB_cF8_225_a_b:Ca-O ", "element", 18),
    ("AB2_cF8_225_a_b:Ca-O", "formula AB,", 0),
    ("A2B2_cF8_225_a_b:Ca-O", "formula AB,", 0),
    ("A1B_cF8_225_a_b:Ca-O", "2 or more", 1),
    ("A02B_cF8_225_a_b:Ca-O", "2 or more", 1),
    ("BA_cF8_225_a_b:Ca-O", "A, B, C", 0),
    ("AC_cF8_225_a_b:Ca-O", "A, B, C", 1),
    ("AB_cF16_225_a_b:Ca-O", "Pearson symbol cF8", 3),
    ("AB_cP8_225_a_b:Ca-O", "Pearson symbol cF8", 3),
    ("AB_xF8_225_a_b:Ca-O", "crystal family", 3),
    ("AB_cS8_225_a_b:Ca-O", "centring", 3),
    ("AB_cF08_225_a_b:Ca-O", "Pearson", 3),
    ("AB_cF8_0_a_b:Ca-O", "1 to 230", 7),
    ("AB_cF8_231_a_b:Ca-O", "1 to 230", 7),
    ("AB_cF8_0225_a_b:Ca-O", "1 to 230", 7),
    ("AB_cF8_-1_a_b:Ca-O", "1 to 230", 7),
    ("AB_cF8_٢٢٥_a_b:Ca-O", "1 to 230", 7),
    ("AB_cF8_225_a_z:Ca-O", "abcdefghijkl", 13),
    ("AB_cF8_225_a_A:Ca-O", "abcdefghijkl", 13),
    ("AB_cF8_225_a_:Ca-O", "field", 13),
    ("AB_cF8_225__b:Ca-O", "field", 11),
    ("AB_cF8_225_a_1b:Ca-O", "2 or more", 13),
    ("AB_cF8_225_a_0b:Ca-O", "2 or more", 13),
    ("AB_cF8_225_a_01b:Ca-O", "2 or more", 13),
    ("AB_cF8_225_a_٣b:Ca-O", "letters of Wyckoff positions", 13),
    ("AB_cF8_225_a_b2:Ca-O", "letters of Wyckoff positions", 14),
    ("AB_cF8_225_a_999999e:Ca-O", "digits", 13),
    ("AB_cF8_225_a_99999e5f:Ca-O", "at most 99,999 orbits", 13),
    ("AB_aP99999_1_99999a_a:Ca-O", "at most 99,999 orbits", 20),
    ("_".join(["A_aP53_1", *"a" * 53]) + ":H", "at most 52 elements", 9),
    ("AB_cF8_225_a_a:Ca-O", "one orbit", 13),
    ("AB_cF8_225_2a_b:Ca-O", "one orbit", 12),
    ("A6B3C_mC20_12_ji_ai_d:F-Rb-V", "ASCII order", 15),
    ("AB_mC8_12_2i_ii:Ca-O", "ASCII order", 14),
    ("AB_cF8_225_a_b:O-Ca", "alphabetical", 17),
    ("AB_cF8_225_a_b:Ca-Ca", "named twice", 18),
    ("AB_cF8_225_a_b:Ca", "2 fields of positions need as many elements, got 1", 15),
    ("AB_cF8_225_a_b:Ca-O-S", "2 fields of positions need as many elements, got 3", 15),
    ("AB_cF8_225_a_b:Ca-", "symbol", 18),
    ("AB_cF8_225_a_b:", "symbol", 15),
    ("AB_cF8_225_a_b:Ca:O", "symbol", 15),
    ("AB_cF8_225_a_b:Ca-Xx", "symbol", 18),
    ("AB_cF8_225_a_b:ca-O", "symbol", 15),
    ("AB_cF8_225_a_b:Ca-D", "written H", 18),
    ("AB_cF8_225:Ca-O", "parts", 10),
    ("Invalid WP multiplicities - AB_cF8_225_a_b:Ca-O, expected X to be Y", "A, B, C", 0),
    ("AB_hR8_166_a_b:Ca-O", "Pearson symbol hR6", 3),
    ("AB_oS8_63_c_c:Ca-O", "centring", 3),
]


@pytest.mark.parametrize("label", PAPER_LABELS)
def test_the_labels_of_the_paper_come_back(label):
    assert format_label(parse_label(label)) == label


def test_known_crystals_have_their_labels():
    # Rock salt, perovskite, fluorite, wurtzite: Strukturbericht B1, E2_1, C1, B4.
    rock_salt = Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "a"), Orbit("Cl", "b")))
    perovskite = Protostructure(SpaceGroup.from_number(221), (Orbit("Sr", "a"), Orbit("Ti", "b"), Orbit("O", "c")))
    fluorite = Protostructure(SpaceGroup.from_number(225), (Orbit("Ca", "a"), Orbit("F", "c")))
    wurtzite = Protostructure(SpaceGroup.from_number(186), (Orbit("Zn", "b"), Orbit("S", "b")))
    assert format_label(rock_salt) == "AB_cF8_225_b_a:Cl-Na"
    assert format_label(perovskite) == "A3BC_cP5_221_c_a_b:O-Sr-Ti"
    assert format_label(fluorite) == "AB2_cF12_225_a_c:Ca-F"
    assert format_label(wurtzite) == "AB_hP4_186_b_b:S-Zn"


@pytest.mark.parametrize("label, rule, column", MALFORMED)
def test_a_malformed_label_is_refused_with_its_rule_and_a_caret(label, rule, column):
    with pytest.raises(LabelError) as caught:
        parse_label(label)
    message, shown, caret = str(caught.value).split("\n")
    assert rule in message
    assert caught.value.label == label
    assert caught.value.column == column
    assert caret.index("^") == 2 + column
    assert len(shown) == 2 + len(label)


@given(protostructures())
def test_parse_undoes_format(protostructure):
    assert parse_label(format_label(protostructure)) == protostructure


@pytest.mark.parametrize("number", range(1, 231))
def test_every_position_of_every_group_has_a_label(number):
    group = SpaceGroup.from_number(number)
    for position in group.positions:
        protostructure = Protostructure(group, (Orbit("Fe", position.letter),))
        label = format_label(protostructure)
        assert label == f"A_{group.family}{group.centring}{position.multiplicity}_{number}_{position.letter}:Fe"
        assert parse_label(label) == protostructure
    everywhere = Protostructure(group, tuple(Orbit("Fe", letter) for letter in group.letters))
    assert parse_label(format_label(everywhere)) == everywhere


@given(st.text() | st.text(alphabet="ABab_-:0123456789cFhRP "))
def test_any_text_parses_or_raises_a_label_error(text):
    try:
        parsed = parse_label(text)
    except LabelError:
        return
    assert format_label(parsed) == text


@given(protostructures(), st.data())
def test_a_damaged_label_parses_to_itself_or_raises_a_label_error(protostructure, data):
    label = format_label(protostructure)
    place = data.draw(st.integers(0, len(label)))
    damaged = label[:place] + data.draw(st.sampled_from(["", "0", "1", "a", "_", "A", "-", "\n"])) + label[place + 1 :]
    try:
        parsed = parse_label(damaged)
    except LabelError:
        return
    assert format_label(parsed) == damaged


def test_a_short_text_that_asks_for_more_orbits_than_memory_holds_is_refused_at_once():
    fields = "_".join(["99999a99999b99999c99999d"] * 52)
    elements = "-".join(sorted(SYMBOLS[1:53]))
    for parse in (parse_label, parse_lenient):
        with pytest.raises(LabelError, match="at most 99,999 orbits"):
            parse(f"A_oP4_16_{fields}:{elements}")


@given(protostructures(), st.data())
def test_the_short_road_and_the_one_that_explains_read_the_same(protostructure, data):
    head = format_label(protostructure).partition(":")[0]
    place = data.draw(st.integers(0, len(head)))
    damaged = head[:place] + data.draw(st.sampled_from(["", "1", "2", "a", "_", "A", "b"])) + head[place + 1 :]
    for text in (head, damaged):
        short = reading._read_head(text)
        try:
            explained = label_rules.check_head(text)
        except label_rules.Fault:
            assert short is None
        else:
            is_long = len(text) > 500 or sum(map(len, explained.fields)) > 255
            assert short == explained or (short is None and (is_long or re.search("[0-9]{3}[a-zA]", text)))


def test_no_more_is_kept_of_long_labels_than_of_short_ones():
    reading._usual_head.cache_clear()
    reading._read_field.cache_clear()
    tracemalloc.start()
    try:
        for i in range(100):
            orbits = 9_000 + i
            parse_label(f"A_aP{orbits}_1_{orbits}a:Fe")
            field = "".join(f"{90 + i % 10}{letter}" for letter in "mnopqrstuvwxyz")
            with pytest.raises(LabelError):
                parse_label(f"A_oP{i}_47_{field}:Fe")
            with pytest.raises(LabelError):
                parse_label(f"A_oP8_47_{'x' * 50_000}{i}:Fe")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000  # were all kept, it were 7 MB of orbits and 5 MB of text


@pytest.mark.parametrize("thing", [b"AB_cF8_225_a_b:Ca-O", None, 7, ["AB_cF8_225_a_b:Ca-O"]])
def test_what_is_no_text_is_a_label_error(thing):
    with pytest.raises(LabelError, match="a label is text"):
        parse_label(thing)


@given(space_groups, st.data())
def test_prototype_labels_parse_back(group, data):
    protostructure = data.draw(protostructures(st.just(group)))
    prototype = protostructure.prototype()
    assert parse_prototype(str(prototype)) == prototype
