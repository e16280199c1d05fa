"""Charge balance by SMACT: its own answer where it has one in time, and none that does not end."""

from __future__ import annotations

import pytest
from real_labels import WBM_LABELS

from wyckoffkit import parse_label
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.neutrality import MOST_ELEMENTS, balances_charges

screening = pytest.importorskip("smact.screening", reason="needs pip install 'wyckoffkit[evaluate]'")


def test_answers_are_smacts_on_real_compositions():
    answers = set()
    for label in WBM_LABELS[:200]:
        composition = parse_label(label).composition
        answer = balances_charges(composition)
        assert answer == screening.smact_validity("".join(f"{e}{n}" for e, n in composition.items())), label
        answers.add(answer)
    assert answers == {True, False}


def test_a_composition_of_too_many_elements_is_not_enumerated(monkeypatch):
    def asked(composition):
        raise AssertionError(f"asked SMACT of {composition}")

    monkeypatch.setattr(screening, "smact_validity", asked)
    assert not balances_charges(dict.fromkeys(SYMBOLS[3 : 4 + MOST_ELEMENTS], 3))


def test_an_element_that_smact_does_not_know_balances_nothing():
    assert not balances_charges({"Og": 1, "Cl": 3})
