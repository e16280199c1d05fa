"""Dense tensors in batches: back into the columns that they came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import protostructures, space_groups

from wyckoffkit import ProtostructureError, decode
from wyckoffkit.dense import from_dense
from wyckoffkit.encoding import WyckoffArrays, to_columns


@given(space_groups, st.data())
def test_columns_come_back_from_their_dense_tensors(group, data):
    materials = data.draw(st.lists(protostructures(st.just(group), n_elements=100), max_size=5))
    columns = to_columns(materials)
    _, constrained, unconstrained = columns.dense(group.number)
    assert from_dense(group.number, constrained, unconstrained) == columns
    for p, z0, z_inf in zip(columns, constrained, unconstrained, strict=True):
        assert decode(WyckoffArrays(group, z0, z_inf)) == p


def test_empty_materials_stay_empty():
    found = from_dense(225, np.zeros((3, 4), int), np.zeros((3, 8, 100), int))
    assert found.offset.tolist() == [0, 0, 0, 0]
    with pytest.raises(ProtostructureError, match="material 0 is empty"):
        list(found)


@pytest.mark.parametrize(
    "constrained, unconstrained, rule",
    [
        (np.zeros((1, 3), int), np.zeros((1, 8, 100), int), "in the shapes"),
        (np.zeros((1, 4), int), np.zeros((2, 8, 100), int), "in the shapes"),
        (np.zeros((1, 4), int), np.zeros((1, 8), int), "in the shapes"),
        (np.zeros((1, 4)), np.zeros((1, 8, 100), int), "whole numbers"),
        (np.array(7), np.zeros((1, 8, 100), int), "in the shapes"),
        (np.zeros((1, 4), int), np.zeros((1, 8, 119), int), "119 elements"),
        (
            np.array([[1, 0, 0, 0], [0, 119, 0, 0]]),
            np.zeros((2, 8, 100), int),
            "material 1 holds values beyond 0 to 118",
        ),
        (np.ones((1, 4), int), np.full((1, 8, 100), -1), "material 0 holds values beyond 0 to 255"),
    ],
)
def test_tensors_that_do_not_fit_the_group_are_refused(constrained, unconstrained, rule):
    with pytest.raises(ProtostructureError, match=rule):
        from_dense(225, constrained, unconstrained)
