"""The periodic table beside those of pymatgen and ASE."""

from __future__ import annotations

import math

import pytest

from wyckoffkit.elements import SYMBOLS
from wyckoffkit.periodic_table import COVALENT_RADIUS, NOBLE_GASES, PAULING_ELECTRONEGATIVITY, place


def test_every_column_has_a_value_for_each_atomic_number():
    assert len(PAULING_ELECTRONEGATIVITY) == len(COVALENT_RADIUS) == len(SYMBOLS)
    assert [SYMBOLS[z] for z in NOBLE_GASES[1:]] == ["He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og"]


def test_the_periodic_table_is_that_of_pymatgen_and_ase():
    pymatgen = pytest.importorskip("pymatgen.core")
    radii = pytest.importorskip("ase.data").covalent_radii
    for z in range(1, len(SYMBOLS)):
        element = pymatgen.Element.from_Z(z)
        assert place(z) == (element.row, element.group, "s" if z == 2 else element.block)  # they call helium's block p
        if not math.isnan(PAULING_ELECTRONEGATIVITY[z]):
            assert PAULING_ELECTRONEGATIVITY[z] == pytest.approx(element.X, abs=0.005)
        assert math.isnan(COVALENT_RADIUS[z]) == (z > 96)
        if z <= 96:
            assert COVALENT_RADIUS[z] == pytest.approx(radii[z], abs=0.005)
    assert [z for z in range(1, 104) if math.isnan(PAULING_ELECTRONEGATIVITY[z])] == [2, 10, 18]
