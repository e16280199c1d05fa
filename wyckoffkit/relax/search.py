"""From a label to the crystal of least energy that has it: realize and relax until two agree.

The stopping rule is the paper's (Ekström Kelvinius et al. 2025, section 5): new starting crystals until the two lowest
energies agree within 0.01 eV/atom. Then the symmetry is released, and the label found again.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from ..errors import RealizationError, SymmetryError
from ..label import format_label
from ..protostructure import Protostructure
from ..realize.engine import most_trials
from ..realize.many import RealizeOptions, generator_for, realization_of, realize_one
from ..realize.record import Row
from ..realize.trial import ACCEPTED
from ..symmetry.crystal import Crystal
from ..symmetry.search import protostructure_of
from .calculators import Calculator
from .outcome import CONVERGED, FAILED, Relaxed, StageOptions
from .stage import rattled, relax_crystal

# Streams of random numbers other than those of `realize`, which takes the copies from 0 on.
_RATTLE_STREAM = 1 << 40


@dataclass(frozen=True, slots=True)
class RelaxOptions:
    """How a label's best crystal is searched for. Raises RealizationError for what cannot be."""

    realize: RealizeOptions = field(default_factory=RealizeOptions)
    stage: StageOptions = field(default_factory=StageOptions)
    agreement: float = 0.01
    """eV/atom between the two lowest energies, at which the search ends."""
    attempts: int = 10
    """Starting crystals at most."""
    rattle: float = 0.03
    """Å, standard deviation: how far atoms are moved before the symmetry is released."""
    symprec: float = 0.1
    """Å, at which the label is found again afterwards."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or not (self.agreement > 0 and self.rattle >= 0 and self.symprec > 0):
            raise RealizationError(
                "attempts are 1 or more, agreement and symprec above 0, rattle not below 0; got "
                f"{self.attempts}, {self.agreement}, {self.symprec} and {self.rattle}"
            )


def agreed(energies: list[float], agreement: float) -> bool:
    """Whether the two lowest energies (eV/atom) are that close."""
    lowest = sorted(energies)[:2]
    return len(lowest) == 2 and lowest[1] - lowest[0] <= agreement


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A relaxation that a search asks for."""

    crystal: Crystal
    fix_symmetry: bool


Search = Generator[Request, Relaxed, Row]


def relax_label(protostructure: Protostructure, calculator: Calculator, options: RelaxOptions) -> Row:
    """The best crystal of a label and its energy, as a row; a failure is a row too.

    `energy` (eV/atom) is that of the crystal with its symmetry held, `energy_free` after it was released; `label_free`
    is the label found then, and `kept` whether it is still the one asked for. `lattice`, `frac` and `numbers` are the
    crystal after release, `fixed` the one before.
    """
    asking = search(protostructure, calculator, options)
    try:
        asked = next(asking)
        while True:
            made = relax_crystal(asked.crystal, calculator, options.stage, fix_symmetry=asked.fix_symmetry)
            asked = asking.send(made)
    except StopIteration as end:
        row: Row = end.value
        return row


def search(protostructure: Protostructure, calculator: Calculator, options: RelaxOptions) -> Search:
    """The search for a label's best crystal as a coroutine: asks for relaxations, returns the row of `relax_label`."""
    label = format_label(protostructure)
    row: Row = {"label": label, "calculator": calculator.name, "scale": calculator.scale, "attempts": []}
    try:
        calculator.check(protostructure.composition)
    except RealizationError as error:
        return row | {"outcome": FAILED, "reason": str(error)}
    best: Relaxed | None = None
    energies: list[float] = []
    reason = ""
    single = most_trials(protostructure) == 1
    for copy in range(1 if single else options.attempts):
        started = realize_one(protostructure, copy, options.realize)[-1]
        if started["outcome"] != ACCEPTED:
            row["attempts"].append({"copy": copy, "outcome": started["outcome"], "reason": started["reason"]})
            reason = f"{started['outcome']}: {started['reason']}"
            if started["outcome"] == "collapses":
                break
            continue
        relaxed = yield Request(realization_of(started).primitive(), True)
        row["attempts"].append(_attempt(copy, relaxed))
        if relaxed.outcome != CONVERGED:
            reason = f"{relaxed.outcome}: {relaxed.reason}"
            continue
        energies.append(relaxed.energy)
        if best is None or relaxed.energy < best.energy:
            best = relaxed
        if agreed(energies, options.agreement):
            break
    if best is None:
        return row | {"outcome": FAILED, "reason": reason}
    assert best.crystal is not None
    generator = generator_for(options.realize.seed, label, _RATTLE_STREAM)
    moved = rattled(best.crystal, options.rattle, generator) if options.rattle else best.crystal
    free = yield Request(moved, False)
    row |= {"outcome": CONVERGED, "reason": "", "agreed": single or agreed(energies, options.agreement)}
    return row | _released(protostructure, best, free, options)


def _attempt(copy: int, relaxed: Relaxed) -> Row:
    made: Row = {"copy": copy, "outcome": relaxed.outcome, "reason": relaxed.reason, "steps": relaxed.steps}
    return made | ({"energy": relaxed.energy} if relaxed.crystal else {})


def _released(protostructure: Protostructure, best: Relaxed, free: Relaxed, options: RelaxOptions) -> Row:
    """What the row says of the crystal after its symmetry was released.

    The crystal with its symmetry held is one of those that free atoms could take, so a free energy above its own, which
    an optimizer that stops early may give, is not taken.
    """
    assert best.crystal is not None
    taken = free if free.crystal is not None and free.energy < best.energy else best
    assert taken.crystal is not None
    label = label_of(taken.crystal, options.symprec)
    asked = format_label(protostructure.canonical("affine"))
    return {
        "energy": best.energy,
        "energy_free": taken.energy,
        "free_outcome": free.outcome,
        "free_steps": free.steps,
        "label_free": label,
        "kept": label == asked,
        "volume": taken.crystal.volume / len(taken.crystal.numbers),
        **crystal_fields(taken.crystal),
        "fixed": crystal_fields(best.crystal),
    }


def label_of(crystal: Crystal, symprec: float) -> str:
    """Under the affine profile; the error's words where there is none."""
    try:
        return format_label(protostructure_of(crystal, symprec=symprec, profile="affine"))
    except SymmetryError as error:
        return f"none: {error}"


def crystal_fields(crystal: Crystal) -> Row:
    """A crystal as plain lists: lattice (Å), frac, numbers."""
    return {
        "lattice": crystal.lattice.tolist(),
        "frac": crystal.frac.tolist(),
        "numbers": crystal.numbers.tolist(),
    }


def crystal_in(row: Row) -> Crystal:
    """The crystal that a row's lattice, frac and numbers are."""
    return Crystal(np.array(row["lattice"]), np.array(row["frac"]), np.array(row["numbers"]))
