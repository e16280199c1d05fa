"""CODEC.md section 4: tensors decode to what was encoded, and every in-range tensor decodes or is empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import arrays, protostructures

from wyckoffkit import (
    DatasetError,
    Orbit,
    Protostructure,
    ProtostructureError,
    SpaceGroup,
    WyckoffArrays,
    WyckoffkitError,
    decode,
    encode,
    format_label,
    parse_label,
)
from wyckoffkit.encoding import concatenate, to_columns


@given(protostructures())
def test_decode_undoes_encode(protostructure):
    assert decode(encode(protostructure, n_elements=118)) == protostructure


@given(arrays())
def test_every_tensor_in_range_decodes_or_is_empty(tensors):
    if tensors.constrained.any() or tensors.unconstrained.any():
        protostructure = decode(tensors)
        assert Protostructure(protostructure.space_group, protostructure.orbits) == protostructure
        assert encode(protostructure) == tensors
    else:
        with pytest.raises(ProtostructureError, match="empty material"):
            decode(tensors)


@pytest.mark.parametrize("number", range(1, 231))
def test_every_position_of_every_group_round_trips(number):
    group = SpaceGroup.from_number(number)
    for position in group.positions:
        n = 1 if position.is_constrained else 3
        protostructure = Protostructure(group, (Orbit("O", position.letter),) * n)
        tensors = encode(protostructure)
        assert tensors.constrained.shape == (len(group.constrained),)
        assert tensors.unconstrained.shape == (len(group.unconstrained), 100)
        if position.is_constrained:
            assert tensors.constrained[group.constrained.index(position)] == 8
        else:
            assert tensors.unconstrained[group.unconstrained.index(position), 7] == 3
        assert decode(tensors) == protostructure


def test_text_in_place_of_a_protostructure_is_told():
    for function in (encode, format_label):
        with pytest.raises(WyckoffkitError, match="got str"):
            function("AB_cF8_225_a_b:Ca-O")


def test_rows_follow_the_tables_where_constrained_letters_are_no_prefix():
    # CODEC.md section 1: in group 166 the constrained letters are a, b, d, e.
    tensors = encode(parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn"))
    assert tensors.constrained.tolist() == [55, 50, 0, 0]
    assert [p.letter for p in tensors.space_group.unconstrained] == list("cfghi")
    assert tensors.unconstrained[3, 8] == tensors.unconstrained.sum() == 1


def test_an_element_beyond_e_is_an_error_and_no_atom_is_dropped():
    with pytest.raises(ProtostructureError, match="Es is element 99, beyond the 98"):
        encode(parse_label("A_cF4_225_a:Es"), n_elements=98)


def test_a_count_beyond_a_byte_is_an_error():
    with pytest.raises(ProtostructureError, match="256 orbits of H"):
        encode(parse_label("A_aP256_1_256a:H"))
    assert decode(encode(parse_label("A_aP255_1_255a:H"))) == parse_label("A_aP255_1_255a:H")


@pytest.mark.parametrize(
    "constrained, unconstrained, rule",
    [
        ([0, 0, 0], np.zeros((8, 100), int), "shape"),
        ([0, 0, 0, 0], np.zeros((7, 100), int), "shape"),
        ([0, 0, 0, 0], np.zeros(8, int), "shape"),
        ([0, 0, 0, 0.5], np.zeros((8, 100), int), "whole numbers"),
        ([0, 0, 0, -1], np.zeros((8, 100), int), "from 0 to 118"),
        ([0, 0, 0, 119], np.zeros((8, 100), int), "from 0 to 118"),
        ([1, 0, 0, 0], np.full((8, 100), -1), "from 0 to"),
        ([1, 0, 0, 0], np.zeros((8, 119), int), "119 elements"),
    ],
)
def test_arrays_that_do_not_fit_the_group_are_refused(constrained, unconstrained, rule):
    with pytest.raises(ProtostructureError, match=rule):
        decode(WyckoffArrays(SpaceGroup.from_number(225), np.array(constrained), unconstrained))


@given(st.lists(protostructures(), max_size=12))
def test_columns_hold_many_as_one(materials):
    columns = to_columns(materials)
    assert list(columns) == materials
    columns.check("columns")
    assert concatenate([to_columns([material]) for material in materials]) == columns


def test_columns_count_to_255_and_no_further():
    most = parse_label("A_aP255_1_255a:H")
    assert list(to_columns([most])) == [most]
    assert to_columns([most]).protostructure(0) == most
    with pytest.raises(ProtostructureError, match="material 1 holds 256 orbits of H"):
        to_columns([most, parse_label("A_aP256_1_256a:H")])


@pytest.mark.parametrize(
    "changed, rule",
    [
        ({"element": [17]}, "different lengths"),
        ({"count": [1, 1, 1]}, "different lengths"),
        ({"offset": [0, 1, 2]}, "different lengths"),
        ({"offset": [0, 3]}, "rise from 0 to 2"),
        ({"offset": [1, 2]}, "rise from 0 to 2"),
        ({"space_group": [0]}, "space group 0, not 1 to 230"),
        ({"space_group": [231]}, "space group 231, not 1 to 230"),
        ({"position": [0, 12]}, "position 12"),  # the twelve positions of Fm-3m are 0 … 11
        ({"element": [17, 0]}, "element 0"),
        ({"element": [17, 119]}, "element 119"),
        ({"count": [0, 1]}, "count 0"),
    ],
)
def test_columns_that_fit_no_table_are_refused(changed, rule):
    columns = to_columns([parse_label("AB_cF8_225_a_b:Cl-Na")])
    columns.check("columns")
    replace(columns, position=np.array([0, 11], np.uint8)).check("columns")
    wrong = {name: np.array(values, getattr(columns, name).dtype) for name, values in changed.items()}
    with pytest.raises(DatasetError, match=rf"here\.h5: .*{rule}"):
        replace(columns, **wrong).check("here.h5")


@given(st.lists(protostructures(n_elements=100), min_size=1, max_size=12), st.data())
def test_selected_and_dense_columns_hold_the_same_materials(materials, data):
    columns = to_columns(materials)
    chosen = data.draw(st.lists(st.integers(0, len(materials) - 1), max_size=8))
    assert list(columns.select(np.array(chosen, int))) == [materials[i] for i in chosen]
    for number in {m.space_group.number for m in materials}:
        rows, constrained, unconstrained = columns.dense(number)
        assert [materials[i] for i in rows] == [
            decode(WyckoffArrays(SpaceGroup.from_number(number), z0, z_inf))
            for z0, z_inf in zip(constrained, unconstrained, strict=True)
        ]
