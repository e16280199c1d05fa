"""What moyopy has found once is not asked again, and nobody can tell but by the clock."""

from __future__ import annotations

import random
from itertools import permutations

import moyopy
import numpy as np
import pytest
from real_structures import real_structures

from wyckoffkit.errors import SymmetryError
from wyckoffkit.symmetry import KNOWN, Crystal, crystal_from_dict, protostructure_of, search
from wyckoffkit.symmetry.search import kinds


@pytest.fixture(autouse=True)
def nothing_is_known():
    KNOWN.clear()


@pytest.fixture
def asked(monkeypatch):
    """How often moyopy is asked."""
    calls = []
    real = moyopy.MoyoDataset
    monkeypatch.setattr(moyopy, "MoyoDataset", lambda *args, **kwargs: calls.append(args) or real(*args, **kwargs))
    return calls


def replaced(crystal: Crystal, elements: dict[int, int]) -> Crystal:
    return Crystal(crystal.lattice, crystal.frac, [elements[z] for z in crystal.numbers.tolist()])


CRYSTALS = [crystal_from_dict(real.structure) for real in real_structures()]


def test_moyopy_is_told_kinds_and_finds_what_it_finds_with_atomic_numbers():
    for crystal in CRYSTALS:
        lattice, frac = crystal.lattice.tolist(), crystal.frac.tolist()
        numbers = crystal.numbers.tolist()
        a = moyopy.MoyoDataset(moyopy.Cell(lattice, frac, numbers), symprec=0.1)
        b = moyopy.MoyoDataset(moyopy.Cell(lattice, frac, list(kinds(numbers))), symprec=0.1)
        assert (a.number, a.wyckoffs, a.orbits) == (b.number, b.wyckoffs, b.orbits)
        assert np.array_equal(a.std_linear, b.std_linear)


def test_a_material_with_other_elements_gets_the_label_it_gets_alone(asked):
    """Every permutation of its elements: what is rarest, what is lightest and what comes first all change."""
    rng = random.Random(3)
    for crystal in rng.sample([c for c in CRYSTALS if len(set(c.numbers.tolist())) == 3], 12):
        elements = sorted(set(crystal.numbers.tolist()))
        others = [replaced(crystal, dict(zip(elements, dealt, strict=True))) for dealt in permutations((11, 26, 53))]
        together = [str(protostructure_of(other)) for other in others]
        assert len(asked) <= 3  # one for each kind that the search can begin at
        alone = []
        for other in others:
            KNOWN.clear()
            alone.append(str(protostructure_of(other)))
        assert together == alone
        KNOWN.clear()
        asked.clear()


def test_a_crystal_that_differs_in_one_bit_or_in_tolerance_is_asked_for_anew(asked):
    crystal = CRYSTALS[0]
    protostructure_of(crystal)
    protostructure_of(crystal)
    assert len(asked) == 1
    for i in (0, 4, 8):
        lattice = crystal.lattice.copy()
        lattice.flat[i] = np.nextafter(lattice.flat[i], np.inf)
        protostructure_of(Crystal(lattice, crystal.frac, crystal.numbers))
    frac = crystal.frac.copy()
    frac[-1, -1] = np.nextafter(frac[-1, -1], np.inf)
    protostructure_of(Crystal(crystal.lattice, frac, crystal.numbers))
    protostructure_of(crystal, symprec=0.01)
    protostructure_of(crystal, angle_tolerance=0.5)
    assert len(asked) == 7


def test_what_has_no_label_has_none_the_second_time():
    close = Crystal(np.eye(3) * 4, [[0, 0, 0], [0, 0, 0.01]], [11, 17])
    for _ in range(2):
        with pytest.raises(SymmetryError, match=r"site 0 \(Na\) and site 1 \(Cl\)"):
            protostructure_of(close)


def test_no_more_is_remembered_than_has_room(monkeypatch, asked):
    monkeypatch.setattr(KNOWN, "room", 3)
    for crystal in CRYSTALS[:5]:
        protostructure_of(crystal)
        protostructure_of(CRYSTALS[0])  # used all the time, so that it stays
    assert len(KNOWN) == 3
    assert len(asked) == 5
    monkeypatch.setattr(search, "_MOST_ATOMS_KNOWN", 1)
    protostructure_of(CRYSTALS[0])
    assert len(asked) == 6


def test_what_one_process_has_found_another_does_not_ask_for(asked):
    KNOWN.news()
    labels = [str(protostructure_of(crystal)) for crystal in CRYSTALS[:5]]
    news = KNOWN.news()
    assert len(news) == len(asked) == 5
    assert KNOWN.news() == []
    KNOWN.clear()
    KNOWN.learn(news)
    assert [str(protostructure_of(crystal)) for crystal in CRYSTALS[:5]] == labels
    assert len(asked) == 5
    assert KNOWN.news() == []  # it was not found here


def test_kinds_say_no_more_than_which_atoms_are_alike_and_which_kind_is_rarest():
    assert kinds([8, 8, 22, 56]) == bytes([2, 2, 1, 3])
    assert kinds([8, 8, 56, 22]) == bytes([2, 2, 3, 1])
    assert kinds([8, 8, 5, 6]) == kinds([92, 92, 57, 71])
    assert kinds([26]) == bytes([1])
