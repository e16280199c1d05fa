"""Conditions that only finished materials can be asked: novelty, no collapse, charge neutrality, predicted energy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import Protostructure, WyckoffkitError, format_label
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.neutrality import balances_charges, has_smact

from ..conditioning import Filter
from ..extractor.embed import Extractor
from ..model import Model
from .draw import Sample
from .thinning import Thinning

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def novel(model: Model) -> Filter:
    """The label is not in the training set."""
    profile = model.checkpoint.profile

    def passed(columns: WyckoffColumns) -> Array:
        labels = [format_label(p.canonical(profile)) for p in columns]
        return ~np.asarray(model.reference.knows_labels(labels), bool)

    return passed


def reweighted(model: Model) -> Filter:
    """The weights for novelty that were fitted to the model."""
    profile, thinning = model.checkpoint.profile, Thinning(model)

    def weights(columns: WyckoffColumns) -> Array:
        canonical = [p.canonical(profile) for p in columns]
        return thinning.weights(canonical, [format_label(p) for p in canonical])

    return weights


def no_collapse() -> Filter:
    """No label that has more symmetry than it says."""
    from wyckoffkit.collapse import collapses

    return _each(lambda p: not collapses(p))


def charge_neutral() -> Filter:
    """SMACT finds oxidation states that add up to zero. WyckoffkitError where smact is not installed."""
    if not has_smact():
        raise WyckoffkitError("--charge-neutral needs smact: pip install 'wyckoffkit[evaluate]'")
    return _each(lambda p: balances_charges(p.composition))


def _each(holds: Callable[[Protostructure], bool]) -> Filter:
    return lambda columns: np.array([holds(p) for p in columns], bool)


@dataclass(frozen=True)
class EnergyRange:
    """Formation energies from `low` to `high` in eV/atom; an end that is not given is infinite."""

    low: float
    high: float

    def holds(self, energy: Array) -> Array:
        """(N,) bool; an energy that cannot be predicted (NaN) is in no range."""
        return (energy >= self.low) & (energy <= self.high)

    def filter(self) -> Filter:
        """By the shipped regressor."""
        return lambda columns: self.holds(predicted_energy(columns))


def parse_energy(text: str) -> EnergyRange | float:
    """A range, "< -1", ">= 0" or "-2..-1", or a number to steer towards; in eV/atom.

    >>> parse_energy("-2..-1")
    EnergyRange(low=-2.0, high=-1.0)
    """
    number = r"([+-]?(?:\d+\.?\d*|\.\d+))"
    if match := re.fullmatch(rf"\s*(<|>)=?\s*{number}\s*", text):
        value = float(match[2])
        return EnergyRange(-math.inf, value) if match[1] == "<" else EnergyRange(value, math.inf)
    if match := re.fullmatch(rf"\s*{number}\s*\.\.\s*{number}\s*", text):
        low, high = float(match[1]), float(match[2])
        if low > high:
            raise WyckoffkitError(f"a range of formation energies goes up, got {text}")
        return EnergyRange(low, high)
    if match := re.fullmatch(rf"\s*{number}\s*", text):
        return float(match[1])
    raise WyckoffkitError(f"a formation energy is '< -1', '> 0', '-2..-1' or a number, in eV/atom, got {text!r}")


@cache
def regressor() -> Extractor:
    """The shipped Wrenformer."""
    from ..extractor.weights import read_extractor

    return read_extractor()


def predicted_energy(columns: WyckoffColumns) -> Array:
    """(N,) formation energy in eV/atom by the shipped regressor, NaN where it does not know an element."""
    return regressor().embed(columns).energy if len(columns) else np.zeros(0)


@dataclass
class Energies:
    """Predicted formation energies of the samples so far, where one was asked for."""

    asked: EnergyRange | float | None
    n: int = 0
    unknown: int = 0
    """Samples with an element that the regressor does not know."""
    held: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, conditions: Mapping[str, Any]) -> Energies:
        text = conditions.get("e_form")
        return cls(None if text is None else parse_energy(str(text)))

    def add(self, samples: Sequence[Sample]) -> None:
        if self.asked is None:
            return
        energy = predicted_energy(to_columns([sample.protostructure for sample in samples]))
        known = energy[np.isfinite(energy)]
        self.n, self.unknown = self.n + len(known), self.unknown + len(energy) - len(known)
        self.total, self.squares = self.total + float(known.sum()), self.squares + float((known**2).sum())
        if isinstance(self.asked, EnergyRange):
            self.held += int(self.asked.holds(known).sum())

    def lines(self) -> list[str]:
        """What to tell of them."""
        if self.n == 0:
            return []
        mean = self.total / self.n
        spread = math.sqrt(max(self.squares / self.n - mean**2, 0.0))
        told = f"formation energy, predicted by the shipped regressor: {mean:.2f} ± {spread:.2f} eV/atom"
        if isinstance(self.asked, EnergyRange):
            told += f", in the range asked for {100 * self.held / (self.n + self.unknown):.1f} % of the samples"
        if self.unknown:
            told += f"; {self.unknown} samples have an element that it does not know"
        return [told]
