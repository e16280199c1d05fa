"""Batched canonical choice: the same as one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import protostructures

from wyckoffkit import Orbit, Protostructure, SpaceGroup
from wyckoffkit.canonical import PROFILES, canonical_form
from wyckoffkit.canonical_columns import canonical_columns
from wyckoffkit.encoding import to_columns

# Every other group one of those with the most relabelings.
groups = st.one_of(st.integers(1, 230), st.sampled_from([2, 10, 15, 47])).map(SpaceGroup.from_number)


@given(st.lists(protostructures(groups, max_orbits=8), max_size=4), st.sampled_from(PROFILES))
def test_columns_become_those_of_the_canonical_forms(materials, profile):
    expected = to_columns([canonical_form(p, profile) for p in materials])
    assert canonical_columns(to_columns(materials), profile) == expected


@pytest.mark.parametrize("counts", [(1, 2), (2, 12), (9, 10), (10, 11), (99, 100), (2, 25), (255, 1)])
def test_counts_of_any_number_of_digits_are_ordered_as_text(counts):
    # The two lines of P-4 at x = y = 0 and 1/2 change places under a relabeling, so the text decides.
    group = SpaceGroup.from_number(81)
    orbits = [Orbit("O", letter) for letter, n in zip("ef", counts, strict=True) for _ in range(n)]
    p = Protostructure(group, tuple(orbits))
    assert canonical_columns(to_columns([p])) == to_columns([canonical_form(p)])


def test_empty_materials_stay_empty():
    columns = to_columns([Protostructure(SpaceGroup.from_number(225), (Orbit("Na", "b"),))])
    emptied = type(columns)(
        np.array([2, 225, 2], np.uint8), np.array([0, 0, 1, 1]), columns.position, columns.element, columns.count
    )
    found = canonical_columns(emptied)
    assert found.offset.tolist() == [0, 0, 1, 1]
    assert found.protostructure(1).orbits == (Orbit("Na", "a"),)
