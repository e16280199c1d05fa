"""Hypothesis strategies for what the toolkit works on."""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st

from wyckoffkit.elements import SYMBOLS
from wyckoffkit.encoding import WyckoffArrays
from wyckoffkit.protostructure import Orbit, Protostructure
from wyckoffkit.spacegroup import SpaceGroup

import numpy as np  # isort: skip


def few(n: int) -> settings:
    """Of a law that writes files: n examples by default, and as many as any in the thorough run."""
    is_thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    return settings(deadline=None) if is_thorough else settings(max_examples=n, deadline=None)


space_groups = st.integers(1, 230).map(SpaceGroup.from_number)


# Bytes are the cheapest thing that hypothesis draws, and still shrink: to fewer of them, and to zeros. A hundred
# thousand materials take minutes this way, hours with a draw for each element and position.


def _distinct(drawn: bytes, n: int) -> list[int]:
    """Numbers below n, each once, in the order drawn."""
    return list(dict.fromkeys(byte % n for byte in drawn))


@st.composite
def protostructures(
    draw: st.DrawFn,
    groups: st.SearchStrategy[SpaceGroup] = space_groups,
    n_elements: int = 118,
    max_orbits: int = 12,
) -> Protostructure:
    """Any valid protostructure, in any setting."""
    group = draw(groups)
    species = [SYMBOLS[1 + i] for i in _distinct(draw(st.binary(min_size=1, max_size=6)), n_elements)]
    held: Counter[str] = Counter()
    orbits = []
    # At most 6 species on 27 positions: a byte names both.
    for byte in draw(st.binary(min_size=1, max_size=max_orbits)):
        place, which = divmod(byte % (len(species) * len(group.positions)), len(species))
        position = group.positions[place]
        if position.is_constrained and held[position.letter]:
            continue
        held[position.letter] += 1
        orbits.append(Orbit(species[which], position.letter))
    return Protostructure(group, tuple(orbits))


@st.composite
def arrays(draw: st.DrawFn, n_elements: int = 100, max_count: int = 54) -> WyckoffArrays:
    """Any in-range tensors of any group, empty ones included."""
    group = draw(space_groups)
    constrained = draw(st.binary(min_size=(c := len(group.constrained)), max_size=c))
    unconstrained = np.zeros((len(group.unconstrained), n_elements), np.uint8)
    cells = draw(st.binary(max_size=24))
    for row, column, count in zip(cells[::3], cells[1::3], cells[2::3], strict=False):
        if group.unconstrained:
            unconstrained[row % len(group.unconstrained), column % n_elements] = 1 + count % max_count
    return WyckoffArrays(group, np.frombuffer(constrained, np.uint8) % (n_elements + 1), unconstrained)
