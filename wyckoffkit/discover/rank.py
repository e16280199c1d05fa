"""Which candidates to relax first: those that a model finds likely, and whose predicted energy is low."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, RealizationError
from ..files import replacing
from ..hull import Hull
from ..label import format_label, parse_label
from ..protostructure import Protostructure
from ..relax.calculators import MP2020


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label and what was predicted of it; None where nothing was."""

    protostructure: Protostructure
    bits: float | None = None
    """-log2 of the probability that a generative model gives it (an upper bound)."""
    formation_energy: float | None = None
    """Predicted from the label alone, eV/atom, on the scale of the Materials Project's corrected energies."""
    above_hull: float | None = None
    """That energy above the hull of the references; None where they are on another scale, or lack an element."""


Judge = Callable[[Sequence[Protostructure]], Sequence[Candidate]]

_COLUMNS = ("label", "bits", "predicted_formation_energy", "predicted_above_hull")


def rank(protostructures: Sequence[Protostructure], hull: Hull, judge: Judge | None) -> tuple[Candidate, ...]:
    """Candidates by the sum of two ranks: that of their bits, and that of their predicted energy.

    The energy is the one above the hull where all have it, else the formation energy. What a judge says nothing of
    comes last; without a judge the order is kept.
    """
    if judge is None or not protostructures:
        return tuple(Candidate(p) for p in protostructures)
    judged = [_above(candidate, hull) for candidate in judge(protostructures)]
    above = all(candidate.above_hull is not None for candidate in judged)
    energies = [candidate.above_hull if above else candidate.formation_energy for candidate in judged]
    places = _places([candidate.bits for candidate in judged]) + _places(energies)
    return tuple(judged[i] for i in np.argsort(places, kind="stable"))


def _places(values: Sequence[float | None]) -> NDArray[np.int64]:
    """How many values are below each; None and NaN are above all."""
    numbers = np.array([np.inf if value is None or np.isnan(value) else value for value in values])
    return np.searchsorted(np.sort(numbers), numbers)


def _above(candidate: Candidate, hull: Hull) -> Candidate:
    if hull.references.scale != MP2020 or candidate.formation_energy is None:
        return candidate
    composition = {symbol: float(n) for symbol, n in candidate.protostructure.composition.items()}
    if not set(composition) <= set(hull.elements):
        return candidate
    try:
        return replace(candidate, above_hull=hull.above(composition, candidate.formation_energy)[0])
    except RealizationError:
        return candidate


def write_candidates(path: Path, candidates: Sequence[Candidate]) -> None:
    """As CSV, in their order."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for c in candidates:
            numbers = ("" if x is None else f"{x:.4f}" for x in (c.bits, c.formation_energy, c.above_hull))
            writer.writerow([format_label(c.protostructure), *numbers])


def read_candidates(path: Path) -> tuple[Candidate, ...]:
    """What `write_candidates` wrote. Raises DatasetError for anything else."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return tuple(
                Candidate(
                    parse_label(row[_COLUMNS[0]]), *(float(row[name]) if row[name] else None for name in _COLUMNS[1:])
                )
                for row in csv.DictReader(file)
            )
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: not what discover wrote: {error}") from None
