"""Hypothesis strategies for what the toolkit works on."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st

from wyckoffkit.elements import SYMBOLS
from wyckoffkit.encoding import WyckoffArrays
from wyckoffkit.protostructure import Orbit, Protostructure
from wyckoffkit.spacegroup import SpaceGroup

import numpy as np  # isort: skip

space_groups = st.integers(1, 230).map(SpaceGroup.from_number)


def elements(n_elements: int = 118) -> st.SearchStrategy[str]:
    """Chemical symbols of the first `n_elements` elements."""
    return st.sampled_from(SYMBOLS[1 : n_elements + 1])


@st.composite
def protostructures(
    draw: st.DrawFn,
    groups: st.SearchStrategy[SpaceGroup] = space_groups,
    n_elements: int = 118,
    max_orbits: int = 12,
) -> Protostructure:
    """Any valid protostructure, in any setting."""
    group = draw(groups)
    species = draw(st.lists(elements(n_elements), min_size=1, max_size=6, unique=True))
    pairs = draw(
        st.lists(st.tuples(st.sampled_from(species), st.sampled_from(group.positions)), min_size=1, max_size=max_orbits)
    )
    held: Counter[str] = Counter()
    orbits = []
    for element, position in pairs:
        if position.is_constrained and held[position.letter]:
            continue
        held[position.letter] += 1
        orbits.append(Orbit(element, position.letter))
    return Protostructure(group, tuple(orbits))


@st.composite
def arrays(draw: st.DrawFn, n_elements: int = 100, max_count: int = 54) -> WyckoffArrays:
    """Any in-range tensors of any group, empty ones included."""
    group = draw(space_groups)
    constrained = draw(st.lists(st.integers(0, n_elements), min_size=(c := len(group.constrained)), max_size=c))
    unconstrained = np.zeros((len(group.unconstrained), n_elements), np.uint8)
    if group.unconstrained:
        cell = st.tuples(st.integers(0, len(group.unconstrained) - 1), st.integers(0, n_elements - 1))
        for place, count in draw(st.dictionaries(cell, st.integers(1, max_count), max_size=8)).items():
            unconstrained[place] = count
    return WyckoffArrays(group, np.array(constrained, np.uint8), unconstrained)
