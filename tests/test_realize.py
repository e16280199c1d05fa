"""From a protostructure to a crystal (CODEC.md section 6): exact sites, atoms apart, and the same label found again."""

from __future__ import annotations

import os
import signal
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_labels import PAPER_LABELS, WBM_LABELS, all_labels_of_wbm, needs_all_of_wbm
from realization import COLLAPSING, NO_ROOM, generator
from strategies import protostructures

from wyckoffkit import Orbit, Protostructure, RealizationError, SpaceGroup, find_protostructure, parse_label
from wyckoffkit.collapse import collapses
from wyckoffkit.operations import UNIT, operations
from wyckoffkit.realize import (
    PyxtalEngine,
    UnrealizedError,
    build,
    most_trials,
    realize,
    realize_batch,
    separation,
)
from wyckoffkit.realize.cells import allowed_strain, draw_shapes, unit_lattices
from wyckoffkit.realize.engine import packing_of
from wyckoffkit.realize.orbits import centrings, place, sites
from wyckoffkit.realize.sizes import RADII
from wyckoffkit.realize.trial import LEAST_CONTACT, SYMPREC, build_primitive, check
from wyckoffkit.spacegroup import CRYSTAL_SYSTEMS

GROUPS = [SpaceGroup.from_number(n) for n in range(1, 231)]


def least_contact(crystal):
    """Brute force over 343 cells: the least distance over the sum of covalent radii."""
    cells = np.array(list(product(range(-3, 4), repeat=3)))
    least = np.inf
    for i, x in enumerate(crystal.frac):
        vectors = (crystal.frac[:, None, :] - x + cells[None]) @ crystal.lattice
        distances = np.sqrt((vectors**2).sum(axis=-1))
        distances[distances < 1e-8] = np.inf
        ratios = distances.min(axis=1) / (RADII[crystal.numbers] + RADII[crystal.numbers[i]])
        least = min(least, ratios.min())
    return least


def some_protostructure(group):
    """Carbon on the general position, oxygen on the first, and more until it does not collapse."""
    orbits = [Orbit("C", group.positions[-1].letter), Orbit("O", group.positions[0].letter)]
    for element in ("N", "Si", "S"):
        made = Protostructure(group, tuple(orbits))
        if not collapses(made):
            return made
        orbits.append(Orbit(element, group.positions[-1].letter))
    raise AssertionError(group)


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_sites_of_a_position_are_as_many_as_its_multiplicity_and_the_group_permutes_them(group):
    parameters = generator(group.number).random(3)
    symmetry, lattice = operations(group.number), centrings(group.number)
    for position in group:
        made = sites(group.number, position.letter)
        assert len(made.offsets) == position.multiplicity
        assert made.primitive.sum() * len(lattice) == position.multiplicity
        points = made.matrices @ parameters + made.offsets
        keys = {tuple(p) for p in np.rint(points * 1e6).astype(int) % 1_000_000}
        assert len(keys) == position.multiplicity
        moved = np.einsum("oij,mj->omi", symmetry.rotations, points) + symmetry.translations[:, None] / UNIT
        assert {tuple(p) for p in np.rint(moved.reshape(-1, 3) * 1e6).astype(int) % 1_000_000} <= keys
        assert {tuple(p) for t in lattice for p in np.rint((points + t / UNIT) * 1e6).astype(int) % 1_000_000} <= keys


def shortest(vectors, lattice):
    """Fractional vectors (..., 3) to the shortest that the lattice makes of them, Å; the mean of those as short."""
    cells = np.array(list(product(range(-2, 3), repeat=3)))
    images = (vectors - np.rint(vectors))[..., None, :] @ lattice + cells @ lattice
    squares = (images**2).sum(axis=-1, keepdims=True)
    least = squares <= squares.min(axis=-2, keepdims=True) + 1e-7
    return (images * least).sum(axis=-2) / least.sum(axis=-2), np.sqrt(squares.min(axis=(-1, -2)))


def packed(group):
    """A packing in a group, with a cell, parameters, and fractional vectors (O, N, 3) from each site to each first."""
    rng = generator(group.number)
    packing = packing_of(some_protostructure(group))
    lattice = 6 * unit_lattices(draw_shapes(group.crystal_system, "P", 1, rng))[0]
    parameters = rng.random((len(packing.layout.first), 3))
    frac = place(packing.layout, parameters[None])[0]
    return packing, lattice, parameters, frac[packing.layout.first][:, None] - frac


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_pairs_that_site_symmetry_tells_apart_have_all_distances_as_often_as_brute_force(group):
    packing, lattice, parameters, apart = packed(group)
    layout, pairs = packing.layout, packing.layout.pairs
    _, distances = shortest(apart, lattice)
    made = packing.distances(lattice[None], parameters[None])[0][0]
    made[np.isinf(made)] = 0
    for o, p in product(range(len(layout.first)), repeat=2):
        if o <= p:
            chosen = (pairs.orbit[pairs.once] == o) & (pairs.other[pairs.once] == p)
            told = np.repeat(made[chosen], pairs.block[12, pairs.once[chosen]].astype(int))
            assert np.sort(told) == pytest.approx(np.sort(distances[o, layout.orbit == p]), abs=1e-6)


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_pushes_of_those_pairs_move_the_free_parameters_as_the_pushes_of_all_sites_do(group):
    packing, lattice, parameters, apart = packed(group)
    layout, pairs = packing.layout, packing.layout.pairs
    vectors, distances = shortest(apart, lattice)
    pushes = (np.exp(-distances)[..., None] * vectors).sum(axis=1) @ np.linalg.inv(lattice)
    representatives = layout.sites.matrices[layout.first]
    moves = (np.linalg.pinv(representatives) @ pushes[..., None])[..., 0]
    first = np.einsum("oij,oj->oi", representatives, parameters)[pairs.orbit]
    second = np.einsum("ijp,pj->pi", pairs.block[:9].reshape(3, 3, -1), parameters[pairs.other])
    vectors, distances = shortest(first - second + pairs.block[9:12].T, lattice)
    weighted = (pairs.block[12] * np.exp(-distances))[:, None] * vectors
    pushes = np.add.reduceat(weighted, np.searchsorted(pairs.orbit, range(len(layout.first)))) @ np.linalg.inv(lattice)
    assert (layout.projections @ pushes[..., None])[..., 0] == pytest.approx(moves, abs=1e-6)


def test_a_crystal_is_the_same_to_the_last_bit_whatever_is_realized_beside_it():
    asked = [parse_label(label) for label in [*WBM_LABELS[::8], NO_ROOM, COLLAPSING, *PAPER_LABELS]]
    together = realize_batch(asked, [generator(i) for i in range(len(asked))])
    backwards = realize_batch(asked[::-1], [generator(i) for i in range(len(asked))][::-1])[::-1]
    for i, protostructure in enumerate(asked):
        (alone,) = realize_batch([protostructure], [generator(i)])
        for other in (together[i], backwards[i]):
            assert alone.trials == other.trials
            if not isinstance(alone, UnrealizedError):
                assert alone.contact == other.contact
                assert np.array_equal(alone.lattice, other.lattice)
                assert np.array_equal(alone.parameters, other.parameters)


def test_crystals_are_the_same_however_few_pairs_are_held_in_memory_at_once(monkeypatch):
    asked = [parse_label(label) for label in PAPER_LABELS]
    whole = realize_batch(asked, [generator() for _ in asked])
    monkeypatch.setattr(separation, "_MOST_PAIRS", 1)
    for one, other in zip(whole, realize_batch(asked, [generator() for _ in asked]), strict=True):
        assert np.array_equal(one.parameters, other.parameters)


def test_what_is_kept_of_a_label_with_a_hundred_orbits_is_a_few_megabytes():
    layout = packing_of(parse_label("A_aP100_1_100a:Fe")).layout
    arrays = [getattr(some, name) for some in (layout, layout.sites, layout.pairs) for name in some.__slots__]
    assert 1e6 < sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)) < 5e6


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_every_group_has_a_crystal_whose_label_is_the_one_asked_for(group):
    asked = some_protostructure(group)
    made = realize(asked, generator())
    found = find_protostructure(made.crystal, symprec=SYMPREC, profile="affine")
    assert found == asked.canonical("affine")
    assert made.contact >= LEAST_CONTACT


@pytest.mark.parametrize("label", PAPER_LABELS)
def test_spglib_finds_the_paper_labels_in_their_crystals(label):
    asked = parse_label(label)
    crystal = realize(asked, generator()).crystal
    found = find_protostructure(crystal, symprec=1e-3, engine="spglib", profile="affine")
    assert found == asked.canonical("affine")


def test_labels_of_known_crystals_are_realized():
    failures = []
    for label in WBM_LABELS:
        try:
            realize(parse_label(label), generator())
        except RealizationError as error:
            failures.append(str(error))
    assert len(failures) <= 0.01 * len(WBM_LABELS), failures


@pytest.mark.slow
@needs_all_of_wbm
def test_of_ten_thousand_labels_of_known_crystals_99_in_100_are_realized():
    labels = list(all_labels_of_wbm().values())[::25]
    failed = 0
    for i in range(0, len(labels), 256):
        asked = [parse_label(label) for label in labels[i : i + 256]]
        made = realize_batch(asked, [generator() for _ in asked])
        failed += sum(isinstance(found, UnrealizedError) for found in made)
    assert failed <= 0.01 * len(labels)


@settings(max_examples=60)
@given(protostructures(max_orbits=5).filter(lambda p: p.n_atoms <= 120), st.integers(0, 2**32))
def test_a_crystal_has_the_label_asked_for_or_there_is_none(protostructure, seed):
    """Totality: a crystal with the label, or the one named error; and never a crystal of a collapsing label."""
    try:
        made = realize(protostructure, generator(seed), trials=3)
    except UnrealizedError as error:
        trials = error.trials
    else:
        trials = made.trials
    assert trials
    if trials[-1].outcome != "accepted":
        assert all(trial.outcome != "accepted" and trial.reason for trial in trials)
        return
    assert not collapses(protostructure)
    assert find_protostructure(made.crystal, symprec=SYMPREC, profile="affine") == protostructure.canonical("affine")


@pytest.mark.parametrize("label", WBM_LABELS[:40])
def test_atoms_are_as_far_apart_as_is_said_by_brute_force(label):
    made = realize(parse_label(label), generator())
    assert made.contact >= LEAST_CONTACT
    assert least_contact(made.crystal) == pytest.approx(made.contact, rel=1e-6)


def test_the_primitive_cell_holds_the_same_crystal():
    for label in PAPER_LABELS:
        made = realize(parse_label(label), generator())
        crystal, primitive = made.crystal, made.primitive()
        n = len(centrings(made.protostructure.space_group.number))
        assert len(primitive.numbers) * n == len(crystal.numbers)
        assert primitive.volume * n == pytest.approx(crystal.volume)
        assert least_contact(primitive) == pytest.approx(least_contact(crystal))
        straight = build_primitive(made.protostructure, made.lattice, made.parameters)
        apart = straight.frac - primitive.frac
        assert apart - np.rint(apart) == pytest.approx(0, abs=1e-9)
        assert np.array_equal(straight.numbers, primitive.numbers)
        assert np.array_equal(straight.lattice, primitive.lattice)


def test_the_same_generator_gives_the_same_crystal_and_another_a_different_one():
    asked = parse_label("AB4C_oC24_63_c_fg_c:Ca-O-S")
    one, same, other = (realize(asked, generator(seed)).crystal for seed in (1, 1, 2))
    assert np.array_equal(one.frac, same.frac)
    assert np.array_equal(one.lattice, same.lattice)
    assert not np.allclose(one.frac, other.frac)


def test_a_collapsing_label_is_reported_as_such_after_one_trial():
    with pytest.raises(UnrealizedError, match="collapses") as caught:
        realize(parse_label(COLLAPSING), generator())
    assert [trial.outcome for trial in caught.value.trials] == ["collapses"]


def test_an_impossible_packing_is_reported_with_the_pair_that_has_no_room():
    with pytest.raises(UnrealizedError, match=r"has no room.*Cs and Cs come within") as caught:
        realize(parse_label(NO_ROOM), generator())
    assert [trial.outcome for trial in caught.value.trials] == ["overlap"]


def test_where_nothing_is_free_there_is_one_trial_and_more_free_parameters_get_more():
    rock_salt, anhydrite = parse_label("AB_cF8_225_a_b:Ca-O"), parse_label("AB4C_oC24_63_c_fg_c:Ca-O-S")
    assert most_trials(rock_salt) == 1
    assert most_trials(anhydrite) > most_trials(parse_label("ABC2_hP8_194_a_c_f:Na-Nb-O")) > 1


def test_the_check_refuses_a_crystal_of_more_symmetry_and_one_of_another_label():
    """Negative controls: body-centred tetragonal with c = a is cubic; CaF2 is not FCa2."""
    indium = parse_label("A_tI2_139_a:In")
    assert check(indium, build(indium, 3.5 * np.eye(3), np.zeros((1, 3)))).outcome == "supergroup"
    assert check(indium, build(indium, np.diag([3.2, 3.2, 4.9]), np.zeros((1, 3)))).outcome == "accepted"
    fluorite = build(parse_label("AB2_cF12_225_a_c:Ca-F"), 5.5 * np.eye(3), np.zeros((2, 3)))
    assert check(parse_label("A2B_cF12_225_c_a:Ca-F"), fluorite).outcome == "other label"
    assert check(parse_label("AB2_cF12_225_a_c:Ca-F"), fluorite).outcome == "accepted"


def test_a_crystal_with_overlapping_atoms_is_refused_and_not_labelled():
    asked = parse_label("AB4C_oC24_63_c_fg_c:Ca-O-S")
    crystal = build(asked, 6.0 * np.eye(3), np.zeros((len(asked.orbits), 3)))
    assert check(asked, crystal).outcome == "no symmetry"


SYSTEMS = {group.crystal_system: group for group in GROUPS}


@pytest.mark.parametrize("system", SYSTEMS)
def test_cells_have_the_volume_and_the_metric_of_their_crystal_system(system):
    lattices = unit_lattices(draw_shapes(system, "P", 50, generator()))
    assert np.linalg.det(lattices) == pytest.approx(1)
    # Their metric is invariant under the rotations of a group of the system, written in the cell's basis.
    rotations = operations(SYSTEMS[system].number).rotations
    metrics = lattices @ lattices.transpose(0, 2, 1)
    moved = rotations.transpose(0, 2, 1)[:, None] @ metrics @ rotations[:, None]
    assert moved == pytest.approx(np.broadcast_to(metrics, moved.shape))


@pytest.mark.parametrize("system", SYSTEMS)
def test_strains_keep_the_crystal_system_and_the_volume_and_are_projections(system):
    rng = generator()
    which = np.full(20, CRYSTAL_SYSTEMS.index(system))
    made = allowed_strain(which, rng.normal(size=(3, 3, 20)))
    assert allowed_strain(which, made) == pytest.approx(made)
    strains = made.transpose(2, 0, 1)
    assert np.trace(strains, axis1=1, axis2=2) == pytest.approx(0)
    lattices = unit_lattices(draw_shapes(system, "P", 20, rng))
    rotations = operations(SYSTEMS[system].number).rotations.transpose(0, 2, 1)
    # The group's rotations as Cartesian matrices leave the strain as it is.
    cartesian = np.linalg.inv(lattices)[:, None] @ rotations[None] @ lattices[:, None]
    moved = cartesian.transpose(0, 1, 3, 2) @ strains[:, None] @ cartesian
    assert moved == pytest.approx(np.broadcast_to(strains[:, None], moved.shape))


def test_pyxtal_realizes_labels_and_their_crystals_are_checked_like_ours():
    with PyxtalEngine(timeout=60) as engine:
        for label in ("AB_cF8_225_a_b:Ca-O", "ABC4_tI24_141_a_b_h:As-Nd-O"):
            asked = parse_label(label)
            made = engine.realize(asked, generator())
            assert find_protostructure(made.crystal, symprec=SYMPREC, profile="affine") == asked.canonical("affine")
            assert least_contact(made.crystal) == pytest.approx(made.contact)
        with pytest.raises(UnrealizedError, match="collapses"):
            engine.realize(parse_label(COLLAPSING), generator(3))
        engine._timeout = 0.01
        process = engine._process
        os.kill(process.pid, signal.SIGSTOP)  # however fast the machine, it gives no answer
        with pytest.raises(UnrealizedError, match="no answer within") as caught:
            engine.realize(parse_label("A_aP50_1_50a:Fe"), generator())
        assert [trial.outcome for trial in caught.value.trials] == ["timeout"]
        assert not process.is_alive()
