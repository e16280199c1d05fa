"""Relaxations side by side, in processes that may hang or die, and on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import TOOL
from realization import generator
from test_relax import FAST, METALS

from wyckoffkit import RealizationError, WyckoffkitError, find_protostructure, parse_label
from wyckoffkit.discover import DiscoverOptions, discover
from wyckoffkit.hull import Hull, Reference, References
from wyckoffkit.realize import RealizeOptions, realize, realize_many
from wyckoffkit.realize.cluster import on_cluster
from wyckoffkit.relax import RelaxOptions, StageOptions, calculator_named, relax_crystal, relax_many, torchsim, workers
from wyckoffkit.relax.descent import _Path, descend
from wyckoffkit.relax.evaluate import evaluate
from wyckoffkit.relax.modes import all_modes, symmetric_modes

pytest.importorskip("ase", reason="needs the extra structures: pip install 'wyckoffkit[structures]'")

TESTS = Path(__file__).resolve().parent  # failing_calculators is there
METAL = "AB_tP2_123_a_d:Au-Cu"


@pytest.mark.parametrize("label", [*METALS, "A2B_tP6_136_f_a:Ag-Cu", "AB_oP8_62_c_c:Ag-Au"])
def test_the_moves_that_keep_the_symmetry_are_as_many_as_the_free_parameters_and_keep_it(label):
    """The free parameters of the orbits move atoms; the cell has those of its crystal system."""
    asked = parse_label(label)
    crystal = realize(asked, generator()).primitive()
    modes = symmetric_modes(crystal, 1e-4)
    assert len(modes.displacements) == asked.dof
    of_cell = {"cubic": 1, "tetragonal": 2, "hexagonal": 2, "trigonal": 2, "orthorhombic": 3}
    assert len(modes.strains) == of_cell[asked.space_group.crystal_system]
    for basis in (modes.displacements, modes.strains, all_modes(3).displacements, all_modes(3).strains):
        flat = basis.reshape(len(basis), int(np.prod(basis.shape[1:])))
        assert flat @ flat.T == pytest.approx(np.eye(len(flat)))
    rng = np.random.default_rng(0)
    moved = crystal.frac @ crystal.lattice + np.tensordot(
        rng.normal(scale=0.05, size=len(modes.displacements)), modes.displacements, 1
    )
    strain = np.eye(3) + np.tensordot(rng.normal(scale=0.05, size=len(modes.strains)), modes.strains, 1)
    after = type(crystal)(crystal.lattice @ strain, moved @ np.linalg.inv(crystal.lattice), crystal.numbers)
    assert find_protostructure(after, symprec=1e-5, profile="affine") == asked.canonical("affine")


@pytest.mark.parametrize("fix_symmetry, optimizer", [(True, "BFGS"), (False, "BFGS"), (True, "FIRE"), (True, "LBFGS")])
def test_our_search_ends_where_those_of_ase_end(fix_symmetry, optimizer):
    emt = calculator_named("emt")
    for label in ("AB_tP2_123_a_d:Au-Cu", "AB2_hP3_164_a_d:Ag-Au"):
        started = realize(parse_label(label), generator()).primitive()
        ours, theirs = (
            relax_crystal(started, emt, StageOptions(fmax=0.01, optimizer=name), fix_symmetry=fix_symmetry)
            for name in ("modes", optimizer)
        )
        assert ours.outcome == theirs.outcome == "relaxed"
        assert ours.energy == pytest.approx(theirs.energy, abs=1e-4)
        assert ours.crystal.volume == pytest.approx(theirs.crystal.volume, rel=1e-3)


def test_the_gradient_along_every_move_is_the_difference_quotient_of_the_energy():
    """Of atoms and cell, where both have moved already."""
    emt = calculator_named("emt")
    crystal = realize(parse_label("AB2_hP3_164_a_d:Ag-Au"), generator()).primitive()
    path = _Path(crystal, all_modes(len(crystal.numbers)))

    def energy(move):
        return evaluate(emt, [path.after(move)])[0].energy

    here = path.after(np.random.default_rng(0).normal(scale=0.05, size=path.size))
    gradient, _ = path.gradient(evaluate(emt, [here])[0])
    h = 1e-4  # Å
    slopes = []
    for move in h * np.eye(path.size):
        ahead = energy(move)
        slopes.append((ahead - energy(-2 * move)) / (2 * h))
        path.after(move)  # back to where it was
    assert np.abs(gradient).max() > 0.1  # eV/Å
    assert slopes == pytest.approx(gradient, abs=1e-5)


def test_the_first_steps_of_a_descent_lower_the_energy():
    emt = calculator_named("emt")
    crystal = realize(parse_label("AB2_hP3_164_a_d:Ag-Au"), generator()).primitive()
    path = descend(crystal, StageOptions(), fix_symmetry=False)
    asked, energies = next(path), []
    for _ in range(4):
        found = evaluate(emt, [asked])[0]
        energies.append(found.energy)
        asked = path.send(found)
    assert energies == sorted(energies, reverse=True)


def test_labels_side_by_side_give_the_rows_that_they_give_alone(tmp_path):
    protostructures = [parse_label(label) for label in METALS]
    alone = {row["label"]: row for row in relax_many(protostructures, tmp_path / "a", FAST, calculator="emt")}
    together = list(relax_many(protostructures, tmp_path / "b", FAST, calculator="emt", batch=3))
    assert {row["label"]: row for row in together} == alone


@pytest.mark.parametrize("name, words", [("Hangs", "killed: no step ended within"), ("Dies", "process died")])
def test_a_calculator_that_hangs_or_dies_costs_the_labels_that_it_fails_on(tmp_path, monkeypatch, name, words):
    """It fails on gold, and the other label, in the same process at the time, is relaxed."""
    # A second a step is much for a calculator that does nothing, and the silence of one that hangs takes 4 s.
    timeout = 60.0
    monkeypatch.setattr(workers, "_GRACE", 4.0 - timeout)
    labels = [METAL, "AB_cP2_221_a_b:Ag-Cu"]
    options = RelaxOptions(stage=StageOptions(steps=60, timeout=timeout), attempts=2)
    calculator = f"failing_calculators:{name}"
    found = list(relax_many(map(parse_label, labels), tmp_path, options, calculator=calculator, jobs=1, batch=2))
    rows = {row["label"]: row for row in found}
    assert rows[labels[1]]["outcome"] == "relaxed"
    assert rows[METAL]["outcome"] == "failed"
    assert words in rows[METAL]["reason"]
    again = list(relax_many(map(parse_label, labels), tmp_path, options, calculator=calculator, jobs=1))
    assert again == found  # nothing is tried twice


def test_a_run_that_is_killed_goes_on_and_relaxes_no_label_twice(tmp_path):
    """Killed when all labels but the last, which is being relaxed, are in the record."""
    assert "Al" in METALS[-1]
    (tmp_path / "wait").touch()
    environment = {**os.environ, "WAIT_WHILE": str(tmp_path / "wait")}
    (tmp_path / "labels.txt").write_text("\n".join(METALS) + "\n")
    arguments = ["relax", str(tmp_path / "labels.txt"), "-o", str(tmp_path / "out")]
    arguments += ["--calculator", "failing_calculators:WaitsAtAluminium", "--batch", "1"]
    record = tmp_path / "out" / "relaxed.jsonl"
    run = partial(subprocess.Popen, [*TOOL, *arguments], stderr=subprocess.DEVNULL, env=environment, cwd=TESTS)
    with run() as process:
        while not record.exists() or record.read_bytes().count(b"\n") < len(METALS):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    before = record.read_bytes()
    (tmp_path / "wait").unlink()
    with open(record, "ab") as file:
        file.write(b'{"label": "cut o')
    with run() as process:
        assert process.wait() == 0
    assert record.read_bytes().startswith(before)
    labels = [json.loads(line).get("label") for line in record.read_text().splitlines()[1:]]
    assert sorted(labels) == sorted(METALS)


def metals():
    entries = tuple(Reference(symbol, ((symbol, 1.0),), 0.0) for symbol in ("Ag", "Au", "Cu"))
    return References(calculator_named("emt").scale, "total", entries, "metals")


def test_of_a_chunk_that_kills_the_workers_each_label_is_tried_alone(monkeypatch):
    def scattered(work, take, address):
        while (task := take()) is not None:
            yield task, None if "bad" in task else work(task)

    monkeypatch.setattr("wyckoffkit.realize.cluster.scattered", scattered)
    chunks = iter([["a", "b"], ["c", "bad", "d"], ["e"]])
    found = list(on_cluster("".join, chunks, "tcp://nowhere:1"))
    died = "the workers of the cluster died on it"
    assert found == [(["a", "b"], "ab"), (["c"], "c"), (["bad"], died), (["d"], "d"), (["e"], "e")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # distributed's own warnings
def test_a_cluster_gives_the_crystals_that_one_process_gives(tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra distributed")
    protostructures = [parse_label(label) for label in METALS]

    def by_label(rows):
        return {row["label"]: row for row in rows}

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as here:
        address = here.scheduler_address
        far = [rows[-1] for rows in realize_many(protostructures, tmp_path / "a", RealizeOptions(), scheduler=address)]
        relaxed = list(relax_many(protostructures, tmp_path / "b", FAST, calculator="emt", batch=2, scheduler=address))
        options = DiscoverOptions(relax=FAST, calculator="emt", scheduler=address)
        found = discover(protostructures[:2], tmp_path / "e", Hull(metals()), options)
    near = [rows[-1] for rows in realize_many(protostructures, tmp_path / "c", RealizeOptions())]
    assert by_label(far) == by_label(near)
    assert (found.relaxed, found.failed) == (2, 0)
    assert by_label(relaxed) == by_label(relax_many(protostructures, tmp_path / "d", FAST, calculator="emt"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra distributed")
    monkeypatch.setattr("wyckoffkit.cluster._PATIENCE", 1)
    with pytest.raises(WyckoffkitError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:1"):
        list(realize_many([parse_label(METAL)], tmp_path, RealizeOptions(), scheduler="tcp://127.0.0.1:1"))


def test_a_batched_model_whose_energy_depends_on_how_a_crystal_is_written_is_refused():
    def good(crystals):
        return [(-1.0, np.zeros((2, 3)), np.zeros((3, 3)))] * len(crystals)

    def bad(crystals):
        return [(float(crystal.frac.sum()), np.zeros((2, 3)), np.zeros((3, 3))) for crystal in crystals]

    torchsim._check_translations("good", good)
    with pytest.raises(RealizationError, match="gives one crystal the energies"):
        torchsim._check_translations("bad", bad)
