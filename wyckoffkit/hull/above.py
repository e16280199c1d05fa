"""Formation energies and energies above the convex hull of known materials, through pymatgen's phase diagrams."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from ..errors import DatasetError, RealizationError
from ..label import format_label, parse_label
from ..realize.record import Row
from ..relax.calculators import MP2020, PBE
from ..relax.search import crystal_in
from .compatibility import quiet
from .references import FORMATION, Reference, References, check_scale

# Numerical zero, eV/atom.
_TOLERANCE = 1e-6


class Hull:
    """The hulls of a set of references, a chemical system at a time.

    `elements` gives elemental energies on the crystals' scale where the references are formation energies.
    """

    def __init__(self, references: References, elements: References | None = None) -> None:
        if elements is not None and elements.kind == FORMATION:
            raise DatasetError(
                f"{elements.source}: formation energies, of which those of the elements are 0; energies "
                "as a calculator gives them are needed"
            )
        if references.kind == FORMATION and elements is None:
            raise DatasetError(
                f"{references.source}: holds formation energies; to compare with them, elemental energies on the "
                "crystals' scale are needed as well"
            )
        self.references = references
        self._zero = elements or references
        self.elements = self._zero.elemental()
        self._diagrams: dict[frozenset[str], Any] = {}

    @cached_property
    def _by_system(self) -> dict[frozenset[str], list[Reference]]:
        """Which references hold exactly these elements; pymatgen's entries are made of those that are asked for."""
        found: dict[frozenset[str], list[Reference]] = {}
        for entry in self.references.entries:
            found.setdefault(frozenset(symbol for symbol, _ in entry.composition), []).append(entry)
        return found

    def _entries(self, system: frozenset[str]) -> Iterator[Any]:
        from pymatgen.analysis.phase_diagram import PDEntry

        Composition = import_module("pymatgen.core").Composition
        for symbol in system & set(self.elements):
            # The elements themselves are 0 in formation energies, whether or not the file lists them.
            yield PDEntry(Composition({symbol: 1}), 0.0, name=symbol)
        for key, some in self._by_system.items():
            if key <= system:
                for entry in some:
                    amounts = dict(entry.composition)
                    zero = 0.0 if self.references.kind == FORMATION else self._elemental(amounts)
                    if zero is not None:
                        energy = (entry.energy - zero) * sum(amounts.values())
                        yield PDEntry(Composition(amounts), energy, name=entry.name)

    def check(self, scale: str, calculator: str = "") -> None:
        """Raise DatasetError where crystals of this scale and calculator cannot be compared with the references."""
        check_scale(scale, self.references, calculator)
        check_scale(scale, self._zero, calculator)

    def _elemental(self, amounts: Mapping[str, float]) -> float | None:
        """eV/atom of the elements, apart; None where one has no reference."""
        if not set(amounts) <= set(self.elements):
            return None
        return sum(self.elements[symbol] * n for symbol, n in amounts.items()) / sum(amounts.values())

    def diagram(self, elements: Iterable[str]) -> Any:
        """pymatgen's PhaseDiagram of a chemical system, in formation energies."""
        from pymatgen.analysis.phase_diagram import PhaseDiagram

        system = frozenset(elements)
        if system not in self._diagrams:
            with quiet():
                self._diagrams[system] = PhaseDiagram(list(self._entries(system)))
        return self._diagrams[system]

    def formation_energy(self, composition: Mapping[str, float], energy: float) -> float:
        """eV/atom, from the energy in eV/atom. Raises RealizationError for an element without a reference."""
        zero = self._elemental(composition)
        if zero is None:
            missing = sorted(set(composition) - set(self.elements))
            raise RealizationError(f"no reference energy for {', '.join(missing)}")
        return energy - zero

    def above(self, composition: Mapping[str, float], formation: float) -> tuple[float, dict[str, float]]:
        """Energy above the hull of the references (eV/atom), negative below it; and what the crystal would turn into.

        The decomposition gives the share of atoms of each reference, by name.
        """
        diagram = self.diagram(composition)
        made = import_module("pymatgen.core").Composition(dict(composition))
        with quiet():
            shares = diagram.get_decomposition(made)
        hull = sum(float(entry.energy_per_atom) * float(share) for entry, share in shares.items())
        return formation - hull, {f"{e.name} ({e.composition.reduced_formula})": float(s) for e, s in shares.items()}


@dataclass(frozen=True, slots=True)
class Rates:
    """How many of N crystals are stable, unique and novel."""

    n: int
    stable: int
    """On or below the hull."""
    metastable: int
    """At most `metastable_up_to` above it."""
    sun: int
    """Stable, unique and novel."""
    msun: int
    """Metastable, unique and novel."""


def hull_rows(
    rows: Iterable[Row],
    hull: Hull,
    *,
    known: Collection[str] = frozenset(),
    metastable_up_to: float = 0.1,
    correct: bool = False,
) -> Iterator[Row]:
    """Relaxed rows (see `relax_label`) with formation energy and energy above hull; a failure is a row too.

    `known` are labels (canonical, affine) that are not novel; without any, novelty is None. With `correct`,
    uncorrected PBE energies are given the MP2020 corrections first. Raises DatasetError where scales differ.
    """
    seen: set[str] = set()
    for row in rows:
        scale, energy = row["scale"], row["energy_free"]
        made: Row = {"label": row["label"], "scale": scale}
        crystal = crystal_in(row)
        try:
            if correct and scale == PBE and hull.references.scale == MP2020:
                from .compatibility import corrected_energy

                energy, scale = corrected_energy(crystal, energy), MP2020
            hull.check(scale, row.get("calculator", ""))
            composition = {s: float(n) for s, n in parse_label(row["label"]).composition.items()}
            formation = hull.formation_energy(composition, energy)
            above, shares = hull.above(composition, formation)
        except RealizationError as error:
            yield made | {"outcome": "failed", "reason": str(error)}
            continue
        found = row["label_free"] if row["label_free"][:5] != "none:" else row["label"]
        label = format_label(parse_label(found).canonical("affine"))
        unique = label not in seen
        seen.add(label)
        yield made | {
            "outcome": "placed",
            "scale": scale,
            "energy": energy,
            "formation_energy": formation,
            "energy_above_hull": above,
            "decomposition": shares,
            "stable": above <= _TOLERANCE,
            "metastable": above <= metastable_up_to,
            "unique": unique,
            "novel": label not in known if known else None,
            "label_free": row["label_free"],
        }


def rates(rows: Iterable[Row]) -> Rates:
    """Counts over rows of `hull_rows`; rows that failed count among the N, as the definition of the rates has it."""
    rows = list(rows)
    placed = [row for row in rows if row["outcome"] == "placed"]
    new = [row for row in placed if row["unique"] and row["novel"] is not False]
    return Rates(
        n=len(rows),
        stable=sum(row["stable"] for row in placed),
        metastable=sum(row["metastable"] for row in placed),
        sun=sum(row["stable"] for row in new),
        msun=sum(row["metastable"] for row in new),
    )
