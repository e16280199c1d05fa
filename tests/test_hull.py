"""Formation energies and energies above the hull: against a linear program, and scales that do not mix."""

from __future__ import annotations

import gzip
import json
import pickle

import numpy as np
import pytest
from command_line import wyckoffkit
from typer.testing import CliRunner
from wyckoffkit.cli.app import app

from wyckoffkit import DatasetError, RealizationError, find_protostructure, parse_label
from wyckoffkit.hull import (
    Hull,
    Reference,
    References,
    elemental_crystals,
    embedded_references,
    hull_rows,
    known_labels,
    rates,
    read_references,
    relax_elements,
    write_references,
)
from wyckoffkit.realize import build
from wyckoffkit.realize.record import Record
from wyckoffkit.relax import calculator_named
from wyckoffkit.relax.calculators import MP2020, PBE
from wyckoffkit.relax.search import crystal_fields

pytest.importorskip("pymatgen", reason="needs the extra structures: pip install 'wyckoffkit[structures]'")

ROCK_SALT = "AB_cF8_225_a_b:Ca-O"

# eV/atom: calcium -1, oxygen -3, and CaO at -4, which is 2 below the mean of the elements.
SIMPLE = References(
    MP2020,
    "total",
    (
        Reference("Ca", (("Ca", 1.0),), -1.0),
        Reference("Ca-hot", (("Ca", 1.0),), -0.5),
        Reference("O", (("O", 1.0),), -3.0),
        Reference("CaO", (("Ca", 1.0), ("O", 1.0)), -4.0),
    ),
    "simple",
)


def elements(scale, energies):
    entries = tuple(Reference(symbol, ((symbol, 1.0),), energy) for symbol, energy in energies.items())
    return References(scale, "total", entries, "elements")


def row(label, energy, scale=MP2020):
    asked = parse_label(label)
    crystal = build(asked, 4.8 * np.eye(3), np.zeros((len(asked.orbits), 3)))
    return {
        "label": label,
        "label_free": label,
        "scale": scale,
        "energy_free": energy,
        "outcome": "relaxed",
        **crystal_fields(crystal),
    }


def test_a_hull_of_one_compound_is_as_by_hand():
    hull = Hull(SIMPLE)
    assert hull.formation_energy({"Ca": 4, "O": 4}, -4.0) == pytest.approx(-2.0)
    assert hull.above({"Ca": 4, "O": 4}, -1.9)[0] == pytest.approx(0.1)
    assert hull.above({"Ca": 4, "O": 4}, -2.1)[0] == pytest.approx(-0.1)
    # A quarter of the atoms oxygen: half elemental calcium, half CaO.
    above, shares = hull.above({"Ca": 3, "O": 1}, 0.0)
    assert above == pytest.approx(1.0)
    assert shares == pytest.approx({"Ca (Ca)": 0.5, "CaO (CaO)": 0.5})


def test_energies_above_a_ternary_hull_are_those_of_a_linear_program():
    """Oracle: the least energy of any mixture of references with the same composition (scipy's linprog)."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(0)
    symbols = ("Li", "O", "Ti")
    amounts = np.vstack([np.eye(3), rng.integers(0, 5, (40, 3))])
    amounts = amounts[amounts.sum(axis=1) > 0].astype(float)
    shares = amounts / amounts.sum(axis=1, keepdims=True)
    formation = np.where((amounts > 0).sum(axis=1) == 1, rng.uniform(0, 1, len(amounts)), rng.normal(size=len(amounts)))
    formation[:3] = 0.0
    entries = tuple(
        Reference(str(i), tuple((s, n) for s, n in zip(symbols, row, strict=True) if n), energy)
        for i, (row, energy) in enumerate(zip(amounts.tolist(), formation.tolist(), strict=True))
    )
    hull = Hull(
        References("some scale", "formation", entries, "random"), elements("some scale", dict.fromkeys(symbols, 0.0))
    )
    for _ in range(30):
        asked = rng.integers(1, 6, 3).astype(float)
        least = linprog(formation, A_eq=shares.T, b_eq=asked / asked.sum()).fun
        above, found = hull.above(dict(zip(symbols, asked.tolist(), strict=True)), 0.25)
        assert above == pytest.approx(0.25 - least, abs=1e-6)
        assert sum(found.values()) == pytest.approx(1)


def test_rows_say_what_is_stable_metastable_unique_and_novel():
    rows = [
        row(ROCK_SALT, -4.05),
        row("AB_cF8_225_a_b:Ca-S", -4.0),
        row("AB_cP2_221_a_b:Ca-O", -3.95),
        row(ROCK_SALT, -4.05),
        row("AB_cF8_216_a_c:Ca-O", -3.0),
    ]
    placed = list(hull_rows(rows, Hull(SIMPLE), known=frozenset([str(parse_label(ROCK_SALT).canonical("affine"))])))
    assert [r.get("stable") for r in placed] == [True, None, False, True, False]
    assert [r.get("metastable") for r in placed] == [True, None, True, True, False]
    assert [r.get("unique") for r in placed] == [True, None, True, False, True]
    assert [r.get("novel") for r in placed] == [False, None, True, False, True]
    assert placed[1]["reason"] == "no reference energy for S"
    found = rates(placed)
    assert (found.n, found.stable, found.metastable, found.sun, found.msun) == (5, 2, 3, 0, 1)
    assert rates(hull_rows(rows, Hull(SIMPLE))).sun == 1


def test_energies_of_two_scales_are_refused():
    with pytest.raises(DatasetError, match=r"on the scale 'PBE.*the crystals' on 'emt'"):
        list(hull_rows([row(ROCK_SALT, -4.0, scale="emt")], Hull(SIMPLE)))
    with pytest.raises(DatasetError, match="uncorrected"):
        list(hull_rows([row(ROCK_SALT, -4.0, scale=PBE)], Hull(SIMPLE)))


# Wang et al., Sci. Rep. 11, 15496 (2021), table 2: oxides are corrected by -0.687 eV an oxygen atom.
OXIDE = -0.687


def computed_entry(formula, energy):
    entry = {"@module": "pymatgen.entries.computed_entries", "@class": "ComputedEntry", "entry_id": formula}
    entry |= {"composition": formula, "energy": energy, "correction": 0.0, "data": {"oxide_type": "oxide"}}
    return entry | {"parameters": {"run_type": "GGA", "is_hubbard": False, "hubbards": {}}}


def entries_file(tmp_path):
    entries = [computed_entry({"Ca": 1}, -1.0), computed_entry({"O": 2}, -6.0), computed_entry({"Ca": 1, "O": 1}, -8.0)]
    path = tmp_path / "entries.json.gz"
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    return path


def test_entries_of_the_materials_project_are_corrected_for_the_corrected_scale_alone(tmp_path):
    path = entries_file(tmp_path)
    corrected, raw = read_references(path), read_references(path, scale=PBE)
    assert (corrected.scale, raw.scale) == (MP2020, PBE)
    energies = {e.composition: (e.energy, f.energy) for e, f in zip(corrected.entries, raw.entries, strict=True)}
    assert energies[("Ca", 1.0), ("O", 1.0)] == pytest.approx(((-8.0 + OXIDE) / 2, -4.0))
    assert energies[("Ca", 1.0),] == pytest.approx((-1.0, -1.0))


def test_uncorrected_energies_are_corrected_if_asked(tmp_path):
    hull = Hull(read_references(entries_file(tmp_path)))
    (placed,) = hull_rows([row(ROCK_SALT, -4.0, scale=PBE)], hull, correct=True)
    assert placed["scale"] == MP2020
    assert placed["energy"] == pytest.approx(-4.0 + OXIDE / 2)
    assert placed["energy_above_hull"] == pytest.approx(0.0, abs=1e-6)


def test_references_come_back_as_they_were_written(tmp_path):
    write_references(tmp_path / "r.json", SIMPLE)
    read = read_references(tmp_path / "r.json")
    assert (read.scale, read.kind, read.entries) == (SIMPLE.scale, SIMPLE.kind, SIMPLE.entries)


def test_elemental_energies_and_formation_energies_need_the_name_of_their_scale(tmp_path):
    elements, table = tmp_path / "elements.json", tmp_path / "table.csv"
    elements.write_text('{"Ca": -1.0, "O": -3.0}')
    table.write_text("material_id,composition,formation_energy_per_atom\nmp-1,CaO,-2.0\n")
    for path in (elements, table):
        with pytest.raises(DatasetError, match="names no energy scale"):
            read_references(path)
    zero = read_references(elements, scale="mp2020")
    with pytest.raises(DatasetError, match="elemental energies on the crystals' scale are needed"):
        Hull(read_references(table, scale=MP2020))
    (placed,) = hull_rows([row(ROCK_SALT, -3.9)], Hull(read_references(table, scale=MP2020), zero))
    assert placed["formation_energy"] == pytest.approx(-1.9)
    assert placed["energy_above_hull"] == pytest.approx(0.1)


def test_a_dataset_is_a_reference_by_its_formation_energies(tmp_path):
    from wyckoffkit.dataset import write_dataset
    from wyckoffkit.encoding import to_columns

    path = tmp_path / "known.h5"
    columns = to_columns([parse_label(ROCK_SALT), parse_label("AB_cP2_221_a_b:Ca-O")])
    write_dataset(
        path,
        columns,
        material_id=["a", "b"],
        label=[ROCK_SALT, "AB_cP2_221_a_b:Ca-O"],
        properties={"e_form_per_atom": np.array([-2.0, np.nan])},
    )
    references = read_references(path, scale=MP2020)
    assert [entry.name for entry in references.entries] == ["a"]
    (placed,) = hull_rows([row(ROCK_SALT, -3.9)], Hull(references, elements(MP2020, {"Ca": -1.0, "O": -3.0})))
    assert placed["energy_above_hull"] == pytest.approx(0.1)
    assert len(known_labels(path)) == 2


@pytest.mark.parametrize(
    "content, words",
    [
        (pickle.dumps({"Ca": 1.0}), "pickles run code"),
        (b"{broken", "not JSON"),
        (b'{"Ca": "x"}', "neither entries"),
        (b"[]", "neither entries"),
        (b'[{"@class": "ComputedEntry", "composition": {"Ca": 1}}]', "an entry has no field"),
        (b"a,b\n1,2\n", "CSV references have a column"),
        (b"composition,e_form_per_atom\nCaO,x\n", ":2: could not convert"),
        (b"\xff\xfe\x00", "neither JSON, CSV nor HDF5"),
        (b'{"wyckoffkit": "references", "version": 9}', "version 9"),
        (b'{"wyckoffkit": "references", "version": 1}', "references without a field 'entries'"),
        (b'{"wyckoffkit": "references", "version": 1, "entries": [3]}', "not the references that wyckoffkit writes"),
        (b'{"Fe": NaN, "O": -4.9}', "Fe: the energy is nan"),
        (b"composition,formation_energy_per_atom\nFeO,inf\n", ":2: FeO: the energy is inf"),
    ],
)
def test_a_file_that_holds_no_references_is_named_with_what_is_wrong(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        read_references(path, scale=MP2020)
    assert str(path) in str(caught.value)


def test_phase_diagrams_of_two_and_three_elements_are_drawn_and_no_others(tmp_path):
    pytest.importorskip("matplotlib")
    from wyckoffkit.hull import plot_system

    entries = (*SIMPLE.entries, Reference("S", (("S", 1.0),), -2.0))
    hull = Hull(References(MP2020, "total", entries, "simple"))
    rows = list(hull_rows([row(ROCK_SALT, -3.9)], hull))
    for system in (("Ca", "O"), ("Ca", "O", "S")):
        plot_system(hull, system, rows, tmp_path / f"{len(system)}.png")
        assert (tmp_path / f"{len(system)}.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(RealizationError, match="two or three elements"):
        plot_system(hull, ("Ca",), rows, tmp_path / "1.png")


def test_the_command_places_relaxed_crystals_and_refuses_another_scale(tmp_path):
    with Record(tmp_path / "relaxed" / "relaxed.jsonl", "relaxations", {}) as record:
        record.append([row(ROCK_SALT, -3.9), row("AB_cP2_221_a_b:Ca-O", -4.5)])
    write_references(tmp_path / "simple.json", SIMPLE)
    code, out, err = wyckoffkit("hull", tmp_path / "relaxed", "--against", tmp_path / "simple.json")
    assert code == 0
    assert out.split() == ["-0.5000", "-2.5000", "AB_cP2_221_a_b:Ca-O", "+0.1000", "-1.9000", ROCK_SALT]
    assert "2 of 2 placed" in err
    assert len((tmp_path / "relaxed" / "hull.jsonl").read_text().splitlines()) == 2
    (tmp_path / "elements.json").write_text('{"Ca": -1.0, "O": -3.0}')
    arguments = ("hull", tmp_path / "relaxed", "--against", tmp_path / "elements.json", "--scale", "emt")
    code, _, err = wyckoffkit(*arguments)
    assert code == 1
    assert "energies of two scales say nothing about each other" in err


def test_the_command_knows_what_is_known_what_counts_as_metastable_and_where_to_write(tmp_path):
    with Record(tmp_path / "relaxed.jsonl", "relaxations", {}) as record:
        record.append([row(ROCK_SALT, -3.92), row("AB_cP2_221_a_b:Ca-O", -3.97)])  # 0.08 and 0.03 above the hull
    write_references(tmp_path / "simple.json", SIMPLE)
    (tmp_path / "known.txt").write_text("AB_cP2_221_a_b:Ca-O\n")
    words = ["hull", str(tmp_path / "relaxed.jsonl"), "--against", str(tmp_path / "simple.json")]
    plain = CliRunner().invoke(app, words)
    assert "within 0.1 eV/atom 2; of the unique ones, stable 0 and within it 2" in plain.stderr
    words += ["--metastable", "0.05", "--known", str(tmp_path / "known.txt"), "-o", str(tmp_path / "other.jsonl")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0
    assert "within 0.05 eV/atom 1; of the unique and novel ones, stable 0 and within it 0" in told.stderr
    rows = [json.loads(line) for line in (tmp_path / "other.jsonl").read_text().splitlines()]
    assert [(placed["metastable"], placed["novel"]) for placed in rows] == [(False, True), (True, False)]


def test_the_command_corrects_energies_and_draws_phase_diagrams_if_asked(tmp_path):
    pytest.importorskip("matplotlib")
    with Record(tmp_path / "relaxed.jsonl", "relaxations", {}) as record:
        record.append([row(ROCK_SALT, -4.0, scale=PBE)])
    words = ["hull", str(tmp_path / "relaxed.jsonl"), "--against", str(entries_file(tmp_path))]
    assert isinstance(CliRunner().invoke(app, words).exception, DatasetError)
    done = CliRunner().invoke(app, [*words, "--correct", "--plots", str(tmp_path / "plots")])
    assert (done.exit_code, done.stdout.split()[-1]) == (0, ROCK_SALT)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["Ca-O.png"]


def test_the_references_that_come_with_wyckoffkit_are_near_those_of_the_materials_project():
    """MP2020's own energies (eV/atom; Matbench Discovery's mp-elemental-ref-energies): CHGNet errs by some 0.05."""
    embedded = embedded_references("chgnet-0.3.0")
    energies = embedded.elemental()
    assert (embedded.scale, embedded.calculator, len(energies)) == (MP2020, "chgnet-0.3.0", 89)
    published = {"Li": -1.9089, "O": -4.9467, "Na": -1.3225, "Ca": -2.0056, "Ti": -7.8955, "Cu": -4.0992, "S": -4.1364}
    for symbol, energy in published.items():
        assert energies[symbol] == pytest.approx(energy, abs=0.1), symbol
    with pytest.raises(DatasetError, match="not for emt: make them with 'wyckoffkit references'"):
        embedded_references("emt")


def test_each_elemental_crystal_has_the_label_that_is_said():
    for elemental in elemental_crystals():
        found = find_protostructure(elemental.crystal, symprec=1e-3, profile="affine")
        assert found == parse_label(elemental.label).canonical("affine")


def test_elements_relaxed_by_a_calculator_are_references_for_its_crystals_alone(tmp_path):
    emt = calculator_named("emt")
    rows = list(relax_elements(emt, tmp_path, ["Au", "Cu"]))
    assert [row["outcome"] for row in rows] == ["relaxed"] * 2
    assert list(relax_elements(emt, tmp_path, ["Au", "Cu"])) == rows  # nothing is done twice
    found = read_references(tmp_path / "references.json")
    assert (found.scale, found.calculator) == (emt.scale, "emt")
    # ASE's EMT is fitted so that the face-centred metals have the energy 0.
    assert found.elemental() == pytest.approx({"Au": 0.0, "Cu": 0.0}, abs=0.02)
    Hull(found).check(emt.scale, "emt")
    with pytest.raises(DatasetError, match="were computed by emt, the crystals' by other"):
        Hull(found).check(emt.scale, "other")
    with pytest.raises(RealizationError, match="no elemental crystal is known here for Og"):
        list(relax_elements(emt, tmp_path, ["Og"]))


def test_the_command_makes_references_and_says_which_elements_it_cannot(tmp_path):
    words = ["references", "-o", str(tmp_path), "--calculator", "emt"]
    done = CliRunner().invoke(app, [*words, "--elements", "Au, Cu"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "references.json: 2 elements; 0 relaxations failed" in done.stderr
    assert set(read_references(tmp_path / "references.json").elemental()) == {"Au", "Cu"}
    done = CliRunner().invoke(app, [*words, "--elements", "Ca"])  # which effective medium theory does not know
    assert isinstance(done.exception, RealizationError)
    assert str(done.exception) == "emt does not know Ca"


def test_formation_energies_are_not_taken_for_elemental_energies(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("composition,formation_energy_per_atom\nCaO,-2.0\n")
    known = read_references(table, scale="mp2020")
    with pytest.raises(DatasetError, match="energies as a calculator gives them are needed"):
        Hull(known, known)


def test_references_of_a_later_version_are_refused(tmp_path):
    write_references(tmp_path / "r.json", SIMPLE)
    text = (tmp_path / "r.json").read_text().replace('"version": 1', '"version": 2')
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DatasetError, match="references in version 2 of the format; 1 is read"):
        read_references(tmp_path / "r.json")


def test_the_command_refuses_crystals_of_another_calculator_and_takes_the_elements_without_references(tmp_path):
    made = row(ROCK_SALT, -6.0) | {"calculator": "chgnet-0.3.0"}
    with Record(tmp_path / "a" / "relaxed.jsonl", "relaxations", {}) as record:
        record.append([made])
    code, out, err = wyckoffkit("hull", tmp_path / "a")
    assert code == 0
    assert ROCK_SALT in out
    assert MP2020 in err
    with Record(tmp_path / "b" / "relaxed.jsonl", "relaxations", {}) as record:
        record.append([made | {"calculator": "emt", "scale": "effective medium theory of ASE"}])
    code, _, err = wyckoffkit("hull", tmp_path / "b")
    assert code == 1
    assert "elemental references come with wyckoffkit for chgnet-0.3.0, not for emt" in err


def test_a_table_of_labels_is_a_reference_like_one_of_formulas(tmp_path):
    (tmp_path / "formulas.csv").write_text("material_id,composition,e_form_per_atom\nx,CaO,-2.0\n")
    (tmp_path / "labels.csv").write_text(f"material_id,label,e_form_per_atom\nx,{ROCK_SALT},-2.0\n")
    formulas, labels = (read_references(tmp_path / name, scale="mp2020") for name in ("formulas.csv", "labels.csv"))
    zero = elements(MP2020, {"Ca": -1.0, "O": -3.0})
    for known in (formulas, labels):
        assert Hull(known, zero).above({"Ca": 4.0, "O": 4.0}, -1.9)[0] == pytest.approx(0.1)
    (tmp_path / "tabs.csv").write_text("\ufeffmaterial_id\tcomposition\te_form_per_atom\nx\tCaO\t-2.0\n")
    assert read_references(tmp_path / "tabs.csv", scale="mp2020").entries == formulas.entries
    (tmp_path / "labels.csv").write_text("label,e_form_per_atom\nAB_cF8_225_a_a:Ca-O,-2.0\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:2: position a"):
        read_references(tmp_path / "labels.csv", scale="mp2020")
