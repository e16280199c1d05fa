"""What samples share with training and held-out data, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from real_labels import WBM_LABELS

from reference_model.evaluate.facts import Facts
from reference_model.evaluate.plausible import P1, TRICLINIC
from reference_model.evaluate.samples import Samples
from reference_model.evaluate.shares import MEMORY, Known, curves, memorisation, sweep_of
from reference_model.evaluate.trainingset import Reference
from reference_model.reference import fingerprints
from wyckoffkit import parse_label
from wyckoffkit.encoding import to_columns
from wyckoffkit.metrics import ratio_of_counts

A, B, C, D, E, UNKNOWN = WBM_LABELS[:6]


def remembered(samples: list[str], train: list[str], held_out: list[str]):
    columns = to_columns(map(parse_label, samples))
    known = Reference("train", "pymatgen", len(train), np.sort(fingerprints(train)), np.array([], np.uint64))
    facts = Facts("pymatgen", len(train), {}, {}, np.sort(fingerprints(held_out)), {}, {})
    return memorisation(Samples("samples", "pymatgen", columns, tuple(samples), ()), known, facts)


def test_labels_of_both_sides_count_for_none_and_sides_count_by_their_sizes():
    found = remembered([A, A, B, C, D, D, E, UNKNOWN], train=[A, B, C, D], held_out=[D, E])
    # A, A, B and C against E, of three labels and one that stand on one side alone.
    by_counts = ratio_of_counts(4, 1)
    assert found[MEMORY].n == 5
    assert found[MEMORY].value == pytest.approx(4 / 3)
    assert (found[MEMORY].low, found[MEMORY].high) == pytest.approx((by_counts.low / 3, by_counts.high / 3))
    again = found["held-out labels found again"]
    assert (again.value, again.n) == (1, 2)


def test_of_held_out_labels_that_are_all_in_training_there_is_no_such_number():
    assert remembered([A], train=[A, B], held_out=[A]) == {}


def test_curves_end_at_what_is_counted():
    samples = Samples("samples", "pymatgen", to_columns([]), (A, A, B, C, D), ("p", "p", "q", "r", "r"))
    known = Known(np.array([True, True, False, False, False]), np.array([True, True, False, True, True]))
    ends = {name: (curve["samples"][-1], curve["distinct"][-1]) for name, curve in curves(samples, known).items()}
    assert ends == {
        "labels": (5, 4),
        "prototypes": (5, 3),
        "prototypes among the novel": (3, 2),  # q, r, r
        "novel prototypes among the novel": (3, 1),  # q alone
    }


def test_tolerances_tell_groups_apart():
    columns = to_columns([])
    in_1, in_15, in_16 = "A_aP1_1_a:H", "A_mC4_15_e:H", "A_oP4_16_u:H"
    swept = {0.1: [in_1, in_1, in_15, in_16], 0.5: [in_16, None]}
    samples = Samples("samples", "pymatgen", columns, (), (), sweep=swept)
    train = Reference("train", "pymatgen", 1, fingerprints([in_1]), np.array([], np.uint64))
    wide, loose = sweep_of(samples, train)
    assert {name: found["value"] for name, found in wide.items() if name != "symprec"} == {
        "labelled": 1,
        P1: 0.5,
        TRICLINIC: 0.75,
        "unique": 0.75,
        "novel": 0.5,
    }
    assert (loose["symprec"], loose["labelled"]["value"], loose[P1]["value"]) == (0.5, 0.5, 0)
