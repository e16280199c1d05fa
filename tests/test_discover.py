"""The whole of the paper's section 5, under effective medium theory: what is chosen, relaxed, placed and reported."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from command_line import wyckoffkit
from realization import COLLAPSING
from test_relax import FAST

from wyckoffkit import ProtostructureError, parse_label
from wyckoffkit.discover import (
    DiscoverOptions,
    Selection,
    Wanted,
    discover,
    elements_of,
    write_report,
    write_vasp_inputs,
)
from wyckoffkit.discover.rank import Candidate, rank
from wyckoffkit.discover.select import primitive_atoms
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.hull import Hull, Reference, References, write_references
from wyckoffkit.relax import calculator_named
from wyckoffkit.relax.calculators import MP2020

pytest.importorskip("pymatgen", reason="needs the extra structures: pip install 'wyckoffkit[structures]'")
pytest.importorskip("ase", reason="needs the extra structures: pip install 'wyckoffkit[structures]'")

LABELS = [
    "AB3_cP4_221_a_c:Au-Cu",
    "AB_tP2_123_a_d:Au-Cu",
    "AB_cF8_225_a_b:Ar-Cu",
    COLLAPSING,
    "AB3_cP4_221_a_c:Au-Cu",
    "A_cF4_225_a:Cu",
    "AB_cF8_225_a_b:Ag-Au",
]


@pytest.fixture(scope="module")
def hull():
    """In effective medium theory's own energies, of which those of the pure metals are near 0."""
    entries = tuple(Reference(symbol, ((symbol, 1.0),), 0.0) for symbol in ("Ag", "Au", "Cu"))
    return Hull(References(calculator_named("emt").scale, "total", entries, "metals"))


def options(**settings):
    return DiscoverOptions(relax=FAST, calculator="emt", **settings)


def test_every_label_that_is_not_chosen_has_a_reason():
    known = frozenset([str(parse_label("A_cF4_225_a:Cu").canonical("affine"))])
    selection = Selection(Wanted(known=known, most_atoms=3))
    chosen = [str(p) for p in selection.choose(map(parse_label, LABELS))]
    assert chosen == ["AB_tP2_123_a_d:Au-Cu", "AB_cF8_225_a_b:Ag-Au"]
    reasons = {"too many atoms": 1, "an element that is not wanted": 1, "collapses": 1, "chosen before": 1, "known": 1}
    assert selection.refused == reasons


def test_the_blocks_of_the_periodic_table_share_no_element_and_leave_none():
    blocks = [elements_of([f"{name}-block"]) for name in "spdf"]
    assert [len(block) for block in blocks] == [12 + 2, 36, 40, 28]
    assert frozenset().union(*blocks) == frozenset(SYMBOLS[1:])
    assert elements_of(["Cu", "noble-gases"]) == {"Cu", "He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og"}
    with pytest.raises(ProtostructureError, match="'g-block' names no elements"):
        elements_of(["g-block"])


def test_atoms_of_the_primitive_cell_are_counted():
    assert primitive_atoms(parse_label("AB_cF8_225_a_b:Ca-O")) == 2
    assert primitive_atoms(parse_label("AB6C_hR24_166_a_h_b:Cs-F-Sn")) == 8


def test_neutral_compositions_are_chosen_if_asked():
    pytest.importorskip("smact", reason="needs the extra evaluate: pip install 'wyckoffkit[evaluate]'")
    labels = ["AB_cF8_225_a_b:Ca-O", "AB3_cP4_221_a_c:Ca-F"]
    chosen = Selection(Wanted(charge_neutral=True)).choose(map(parse_label, labels))
    assert [str(p) for p in chosen] == labels[:1]


def test_candidates_are_relaxed_placed_and_reported_and_a_second_run_adds_nothing(tmp_path, hull):
    found = discover(map(parse_label, LABELS), tmp_path, hull, options())
    assert (len(found.candidates), found.relaxed, found.failed) == (4, 4, 0)
    energies = [row["energy_above_hull"] for row in found.rows]
    assert energies == sorted(energies)
    page = write_report(tmp_path, found, hull, best=2).read_text()
    assert page.count("<canvas") == 2
    read = re.sub("<[^>]*>", "", page)
    assert found.rows[0]["label"] in read
    assert found.rows[-1]["label"] not in read
    assert write_vasp_inputs(tmp_path, found, best=2) == 2
    written = [{path.name for path in folder.iterdir()} for folder in (tmp_path / "vasp").iterdir()]
    assert written == [{"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"}] * 2
    record = (tmp_path / "relaxed.jsonl").read_bytes()
    again = discover(iter(()), tmp_path, hull, options())  # reads no labels
    assert again.rows == found.rows
    assert again.refused == found.refused
    assert (tmp_path / "relaxed.jsonl").read_bytes() == record


def test_no_candidate_is_begun_after_the_budget(tmp_path, hull):
    found = discover(map(parse_label, LABELS), tmp_path, hull, options(budget=0.0))
    assert (len(found.candidates), found.relaxed) == (4, 0)
    assert discover(iter(()), tmp_path, hull, options()).relaxed == 4


def test_the_command_goes_from_labels_to_a_report(tmp_path):
    scale = calculator_named("emt").scale
    entries = tuple(Reference(symbol, ((symbol, 1.0),), 0.0) for symbol in ("Au", "Cu"))
    write_references(tmp_path / "metals.json", References(scale, "total", entries))
    arguments = ["-o", tmp_path / "found", "--against", tmp_path / "metals.json", "--calculator", "emt", "--no-rank"]
    arguments += ["--best", "1"]
    code, out, err = wyckoffkit("discover", "-", *arguments, text="\n".join(LABELS[:2]))
    assert code == 0
    assert len(out.splitlines()) == 1
    assert "2 candidates, 2 relaxed, 0 failed" in err
    assert (tmp_path / "found" / "report.html").exists()
    rows = [json.loads(line) for line in (tmp_path / "found" / "hull.jsonl").read_text().splitlines()]
    assert np.isfinite([row["energy_above_hull"] for row in rows]).all()
    code, _, err = wyckoffkit("discover", "-", *arguments, "--without", "Au", text="\n".join(LABELS[:2]))
    assert code == 1
    assert "candidates.csv: begun with" in err
    assert "not what discover wrote" not in err


def test_the_likely_and_stable_come_first_and_what_nothing_is_known_of_last(hull):
    """Ranks: bits 1 0 2 3, energies 0 2 1 3."""
    labels = ["AB_tP2_123_a_d:Au-Cu", "AB_cF8_225_a_b:Ag-Au", "A_cF4_225_a:Cu", "AB3_cP4_221_a_c:Au-Cu"]
    bits, energies = [20.0, 10.0, 30.0, None], [-1.0, 0.5, 0.0, None]
    protostructures = [parse_label(label) for label in labels]

    def judge(asked):
        return [Candidate(*found) for found in zip(asked, bits, energies, strict=True)]

    ranked = rank(protostructures, hull, judge)
    assert [str(c.protostructure) for c in ranked] == labels
    assert [c.above_hull for c in ranked] == [None] * 4  # predictions are on another scale than this hull
    assert [c.protostructure for c in rank(protostructures[::-1], hull, None)] == protostructures[::-1]


def test_a_predicted_energy_is_placed_above_a_hull_of_its_scale():
    entries = (Reference("Cu", (("Cu", 1.0),), -4.0), Reference("Au", (("Au", 1.0),), -3.0))
    entries += (Reference("AuCu", (("Au", 1.0), ("Cu", 1.0)), -3.75),)
    hull = Hull(References(MP2020, "total", entries, "made up"))
    (found,) = rank([parse_label("AB_tP2_123_a_d:Au-Cu")], hull, lambda asked: [Candidate(asked[0], 1.0, -0.2)])
    assert found.above_hull == pytest.approx(0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_shipped_models_judge_labels(tmp_path):
    pytest.importorskip("torch", reason="needs the extra model: pip install 'wyckoffkit[model]'")
    from wyckoffkit.cli.judging import TrainingSet, judge

    rock_salt = parse_label("AB_cF8_225_a_b:Ca-O")
    (found,) = judge([rock_salt])
    assert 0 < found.bits < 100
    assert -4 < found.formation_energy < -2  # eV/atom; an oxide as stable as there are
    training = TrainingSet()
    for setting in ("ABC6_hR24_148_a_b_f:Ba-Co-F", "ABC6_hR24_148_b_a_f:Ba-Co-F"):  # of WBM, from tests/data
        assert setting in training
    assert "AB_cF8_225_a_b:O-Og" not in training
