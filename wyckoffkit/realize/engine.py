"""The first engine: our own. Builds crystals from representative coordinates and operations, exactly.

A trial draws many cells and free parameters at once, keeps the roomiest, moves their atoms apart within the Wyckoff
positions until they stand as far apart as they usually do, sets the volume, and has group and label found again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..elements import ATOMIC_NUMBER
from ..protostructure import Protostructure
from .cells import draw_shapes, standard_orientation, unit_lattices
from .crowd import Start
from .orbits import occupied
from .packing import Packing
from .separation import Separated, separate
from .sizes import RADII, usual_distances, volume_of
from .trial import (
    ACCEPTED,
    COLLAPSES,
    LARGEST_GROWTH,
    LEAST_CONTACT,
    OVERLAP,
    SYMPREC,
    Realization,
    Trial,
    UnrealizedError,
    grown,
    verdict,
)

Floats = NDArray[np.float64]

# Vectors between atoms that a draw would look at if it looked at all; the number of candidates follows from it.
_DRAWN_VECTORS = 12_000
_MOST_CANDIDATES = 64
_FEWEST_CANDIDATES = 4
# Of the candidates, how many are kept, and for how many steps their atoms are moved apart, until there is this much
# room: the least distance over its usual value, of which known crystals have 0.88 (median).
_KEPT = 3
_STEPS = 20
_ENOUGH_ROOM = 0.8


@dataclass(slots=True, eq=False)
class _Task:
    """A protostructure that is being realized."""

    protostructure: Protostructure
    generator: np.random.Generator
    most: int
    """Trials."""
    packing: Packing
    trials: list[Trial] = field(default_factory=list)


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
    (made,) = realize_batch([protostructure], [generator], trials=trials, symprec=symprec)
    if isinstance(made, UnrealizedError):
        raise made
    return made


def realize_batch(
    protostructures: Sequence[Protostructure],
    generators: Sequence[np.random.Generator],
    *,
    trials: int | None = None,
    symprec: float = SYMPREC,
) -> list[Realization | UnrealizedError]:
    """Crystals of many protostructures, side by side: to the last bit those that `realize` gives, more than
    twice as fast.

    One generator for each protostructure. Where none was found, the error says what became of the trials. A few hundred
    at a time are best.
    """
    tasks = [
        _Task(
            protostructure,
            generator,
            most_trials(protostructure) if trials is None else trials,
            packing_of(protostructure),
        )
        for protostructure, generator in zip(protostructures, generators, strict=True)
    ]
    made: dict[int, Realization] = {}
    waiting = list(range(len(tasks)))
    while waiting:
        found = _candidates([tasks[i] for i in waiting])
        lattices = standard_orientation(np.stack([candidate.lattice for candidate in found]))
        for i, lattice, candidate in zip(waiting, lattices, found, strict=True):
            realization = _tried(tasks[i], candidate._replace(lattice=lattice), symprec)
            if realization is not None:
                made[i] = realization
        waiting = [i for i in waiting if i not in made and not _given_up(tasks[i])]
    return [
        made[i] if i in made else UnrealizedError(why_not(task.protostructure, task.trials), tuple(task.trials))
        for i, task in enumerate(tasks)
    ]


def _given_up(task: _Task) -> bool:
    return len(task.trials) >= task.most or task.trials[-1].outcome == COLLAPSES


def packing_of(protostructure: Protostructure) -> Packing:
    """Sites, distances and volume that a protostructure's crystals share."""
    group = protostructure.space_group
    layout = occupied(group.number, tuple([orbit.letter for orbit in protostructure.orbits]))
    atomic = [ATOMIC_NUMBER[orbit.element] for orbit in protostructure.orbits]
    elements = tuple(dict.fromkeys(atomic))
    kind = np.array([elements.index(z) for z in atomic])
    amounts = np.bincount(kind, weights=layout.amounts).astype(np.float64)
    pairs = layout.pairs
    usual = usual_distances(elements, tuple(amounts.tolist()))[kind[pairs.orbit], kind[pairs.other]]
    radii = RADII[atomic]
    volume = volume_of(np.array(elements), amounts)
    return Packing(layout, group.crystal_system, usual, radii[pairs.orbit] + radii[pairs.other], volume)


def _candidates(tasks: Sequence[_Task]) -> list[Separated]:
    """One crystal for each task: the roomiest of a draw, its atoms moved apart."""
    drawn = [_draw(task) for task in tasks]
    ends = np.cumsum([cells.shape[1] for cells, _ in drawn])
    lattices = np.split(unit_lattices(np.concatenate([cells for cells, _ in drawn], axis=1)), ends[:-1])
    crowded: list[Start] = []
    roomy: dict[int, Separated] = {}
    for i, (task, shapes, (_, parameters)) in enumerate(zip(tasks, lattices, drawn, strict=True)):
        shapes *= np.cbrt(task.packing.volume)
        distances, lengths = task.packing.distances(shapes, parameters)
        room = task.packing.room(distances, lengths)
        best = int(room.argmax())
        if len(room) == 1 or room[best] >= _ENOUGH_ROOM:
            contact = task.packing.contact(distances[best : best + 1], lengths[best : best + 1])
            roomy[i] = Separated(shapes[best], parameters[best], float(contact[0]))
        else:
            kept = np.argsort(-room)[:_KEPT]
            crowded.append(Start(task.packing, shapes[kept], parameters[kept]))
    separated = iter(separate(crowded, enough=_ENOUGH_ROOM, steps=_STEPS))
    return [roomy[i] if i in roomy else next(separated) for i in range(len(tasks))]


def _draw(task: _Task) -> tuple[Floats, Floats]:
    """Cells (6, K) and parameters (K, O, 3)."""
    group, layout = task.protostructure.space_group, task.packing.layout
    o, n = len(layout.first), len(layout.orbit)
    k = _DRAWN_VECTORS // (o * n * task.packing.images)
    k = min(max(k, _FEWEST_CANDIDATES), _MOST_CANDIDATES)
    if most_trials(task.protostructure) == 1:
        k = 1
    cells = draw_shapes(group.crystal_system, group.centring, k, task.generator)
    return cells, task.generator.random((k, o, 3))


def _tried(task: _Task, found: Separated, symprec: float) -> Realization | None:
    """The crystal if it passes; what became of it is added to the task's trials."""
    lattice, contact = grown(found.lattice, found.contact)
    parameters = found.parameters * task.packing.layout.free % 1.0
    if contact < LEAST_CONTACT:
        task.trials.append(Trial(OVERLAP, _overlap(task, found)))
        return None
    trial = verdict(task.protostructure, lattice, parameters, symprec)
    task.trials.append(trial)
    if trial.outcome != ACCEPTED:
        return None
    return Realization(task.protostructure, lattice, parameters, tuple(task.trials), contact)


def _overlap(task: _Task, found: Separated) -> str:
    packing, orbits = task.packing, task.protostructure.orbits
    distances, _ = packing.distances(found.lattice[None], found.parameters[None])
    pairs = packing.layout.pairs
    ratios = distances[0] / packing.radii[pairs.once]
    least = int(ratios.argmin())
    pair = pairs.once[least]
    first, second = orbits[pairs.orbit[pair]].element, orbits[pairs.other[pair]].element
    return (
        f"{first} and {second} come within {distances[0, least]:.2f} Å at the volume expected, "
        f"{ratios[least]:.2f} of their covalent radii's sum; {LEAST_CONTACT} are wanted, and "
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
