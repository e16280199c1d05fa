"""The first engine: our own. Builds crystals from representative coordinates and operations, exactly.

A trial draws many cells and free parameters at once, keeps the roomiest, moves their atoms apart within the Wyckoff
positions until they stand as far apart as they usually do, sets the volume, and has group and label found again.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..collapse import collapses
from ..elements import ATOMIC_NUMBER, SYMBOLS
from ..protostructure import Protostructure
from .cells import draw_shapes, standard_orientation
from .orbits import occupied
from .packing import Candidates, Packing
from .sizes import RADII, usual_distances, volume_of
from .trial import (
    ACCEPTED,
    COLLAPSES,
    LARGEST_GROWTH,
    LEAST_CONTACT,
    OTHER_LABEL,
    OVERLAP,
    SUPERGROUP,
    SYMPREC,
    Realization,
    Trial,
    UnrealizedError,
    build,
    check,
    grown,
    primitive_cell,
)

Floats = NDArray[np.float64]

# Vectors between atoms that are looked at in one draw; the number of candidates follows from it.
_DRAWN_VECTORS = 12_000
_MOST_CANDIDATES = 64
_FEWEST_CANDIDATES = 4
# Of the candidates, how many are kept, and for how many steps their atoms are moved apart, until there is this much
# room: the least distance over its usual value, of which known crystals have 0.88 (median).
_KEPT = 3
_STEPS = 20
_ENOUGH_ROOM = 0.8


class _Task(NamedTuple):
    """What all trials of a protostructure share."""

    protostructure: Protostructure
    packing: Packing
    radii: Floats
    """(O, N) Å, sums of covalent radii."""
    numbers: NDArray[np.int64]
    """(N,)"""
    volume: float
    """Å3"""


def most_trials(protostructure: Protostructure) -> int:
    """How many trials a protostructure is given, by its free parameters: one where nothing can be drawn."""
    if protostructure.dof == 0 and protostructure.space_group.crystal_system == "cubic":
        return 1
    return min(10 + 2 * protostructure.dof, 50)


def realize(
    protostructure: Protostructure,
    generator: np.random.Generator,
    *,
    trials: int | None = None,
    symprec: float = SYMPREC,
) -> Realization:
    """A crystal of a protostructure: cell and free coordinates are drawn, everything else is exact.

    The crystal's own protostructure, found at `symprec` (Å), is the one asked for (under the affine profile). Raises
    UnrealizedError (a RealizationError) with what became of the trials if none succeeds.
    """
    task = _task(protostructure)
    made: list[Trial] = []
    for _ in range(most_trials(protostructure) if trials is None else trials):
        lattice, parameters, contact, trial = _attempt(task, generator, symprec)
        made.append(trial)
        if trial.outcome == ACCEPTED:
            return Realization(protostructure, lattice, parameters, tuple(made), contact)
        if trial.outcome in (SUPERGROUP, OTHER_LABEL) and collapses(protostructure):
            made[-1] = Trial(COLLAPSES, trial.reason)
            break
    raise UnrealizedError(why_not(protostructure, made), tuple(made))


def _task(protostructure: Protostructure) -> _Task:
    group = protostructure.space_group
    layout = occupied(group.number, tuple(orbit.letter for orbit in protostructure.orbits))
    atomic = [ATOMIC_NUMBER[orbit.element] for orbit in protostructure.orbits]
    elements = tuple(dict.fromkeys(atomic))
    kind = np.array([elements.index(z) for z in atomic])
    amounts = np.bincount(kind, weights=layout.amounts)
    usual = usual_distances(elements, tuple(amounts.tolist()))[kind[:, None], kind[layout.orbit]]
    numbers = np.array(atomic)[layout.orbit]
    radii = RADII[atomic]
    sums = radii[:, None] + radii[layout.orbit]
    return _Task(protostructure, Packing(layout, group.crystal_system, usual), sums, numbers, volume_of(numbers))


def _attempt(task: _Task, generator: np.random.Generator, symprec: float) -> tuple[Floats, Floats, float, Trial]:
    packing = task.packing
    candidates = _draw(task, generator)
    contacts = packing.contacts(candidates)
    if len(candidates.lattices) > 1:
        room = packing.room(contacts)
        kept = np.argsort(-room)[:_KEPT]
        candidates, contacts = packing.separate(
            candidates[kept], contacts[kept], room[kept], enough=_ENOUGH_ROOM, steps=_STEPS
        )
    contact = float(packing.room(contacts, task.radii)[0])
    lattice, grown_contact = grown(standard_orientation(candidates.lattices[0]), contact)
    parameters = candidates.parameters[0] * packing.layout.free % 1.0
    if grown_contact < LEAST_CONTACT:
        return lattice, parameters, grown_contact, Trial(OVERLAP, _overlap(task, contacts.distances[0]))
    crystal = build(task.protostructure, lattice, parameters)
    trial = check(task.protostructure, primitive_cell(task.protostructure, crystal), symprec, overlap_free=True)
    return lattice, parameters, grown_contact, trial


def _draw(task: _Task, generator: np.random.Generator) -> Candidates:
    group = task.protostructure.space_group
    o, n = task.packing.usual.shape
    k = int(np.clip(_DRAWN_VECTORS // (o * n * task.packing.shifts), _FEWEST_CANDIDATES, _MOST_CANDIDATES))
    if most_trials(task.protostructure) == 1:
        k = 1
    shapes = draw_shapes(group.crystal_system, group.centring, k, generator)
    return Candidates(shapes * np.cbrt(task.volume), generator.random((k, o, 3)))


def _overlap(task: _Task, distances: Floats) -> str:
    o, n = np.unravel_index(int(np.argmin(distances / task.radii)), distances.shape)
    first = SYMBOLS[task.numbers[task.packing.layout.first[o]]]
    second = SYMBOLS[task.numbers[n]]
    return (
        f"{first} and {second} come within {distances[o, n]:.2f} Å at the volume expected, "
        f"{distances[o, n] / task.radii[o, n]:.2f} of their covalent radii's sum; {LEAST_CONTACT} are wanted, and "
        f"growth by {LARGEST_GROWTH:g} does not make them"
    )


def why_not(protostructure: Protostructure, trials: list[Trial]) -> str:
    """One sentence about trials that all failed."""
    counts = Counter(trial.outcome for trial in trials)
    told = ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common())
    common = counts.most_common(1)[0][0]
    last = next(trial.reason for trial in reversed(trials) if trial.outcome == common)
    if counts[COLLAPSES]:
        what = "collapses: whatever its free parameters, the crystal has more symmetry than the label says"
    elif counts[OVERLAP] == len(trials):
        what = "has no room: the packing is impossible, or too hard for this engine (PyXtal's is the second)"
    else:
        what = "could not be realized"
    return f"{protostructure} {what} ({told}; the last: {last})"
