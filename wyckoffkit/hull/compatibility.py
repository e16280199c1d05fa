"""Energies with and without the Materials Project's corrections, by pymatgen.

MaterialsProject2020Compatibility (Wang et al., Sci. Rep. 11, 15496, 2021) corrects calculated energies for
anions and for the +U of some oxides and fluorides.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ..errors import RealizationError
from ..realize.files import structure_dict
from ..symmetry.crystal import Crystal

# MPRelaxSet's U values (eV), for these elements in oxides and fluorides.
_HUBBARD_U = {"Co": 3.32, "Cr": 3.7, "Fe": 5.3, "Mn": 3.9, "Mo": 4.38, "Ni": 6.2, "V": 3.25, "W": 6.2}
_HUBBARD_ANIONS = {"O", "F"}


@contextmanager
def quiet() -> Iterator[None]:
    """pymatgen warns of noble gases without an electronegativity, and of oxidation states that it guesses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def entries_on_scale(
    rows: Iterable[Mapping[str, Any]], *, corrected: bool
) -> Iterator[tuple[str, dict[str, float], float]]:
    """(name, amounts, eV/atom) of entries given as dictionaries, corrected or not.

    Entries that carry what the scheme needs (their run type) are corrected anew; of others the energy is taken as it
    stands, and RealizationError raised where it is not on the scale that is wanted.
    """
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

    classes: dict[str, Any] = {"PDEntry": PDEntry, "ComputedStructureEntry": ComputedStructureEntry}
    raw: list[Any] = []
    plain: list[Any] = []
    for row in rows:
        with quiet():
            made = classes.get(row.get("@class", ""), ComputedEntry).from_dict(without_foreign_modules(row))
        (raw if getattr(made, "parameters", {}).get("run_type") else plain).append(made)
    if raw and corrected:
        raw = _corrected(raw)
    for entry in [*raw, *plain]:
        energy = entry.energy if corrected else getattr(entry, "uncorrected_energy", entry.energy)
        name = getattr(entry, "entry_id", None) or entry.name
        amounts = {str(element): float(n) for element, n in entry.composition.items()}
        yield str(name), amounts, energy / entry.composition.num_atoms


def without_foreign_modules(value: Any) -> Any:
    """JSON in which "@module" names modules of pymatgen alone: its decoder imports whatever a file names."""
    if isinstance(value, Mapping):
        foreign = not str(value.get("@module", "pymatgen.")).startswith("pymatgen.") or "@callable" in value
        return {k: without_foreign_modules(v) for k, v in value.items() if not (foreign and str(k).startswith("@"))}
    if isinstance(value, list | tuple):
        return [without_foreign_modules(item) for item in value]
    return value


def _corrected(entries: list[Any]) -> list[Any]:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    scheme = MaterialsProject2020Compatibility(check_potcar=False)
    with quiet():
        return list(scheme.process_entries(entries, clean=True, inplace=False))


def corrected_energy(crystal: Crystal, energy: float) -> float:
    """An uncorrected PBE(+U) energy (eV/atom) of a crystal, corrected.

    As Matbench Discovery does for predictions: the entry is given the run type that the Materials Project would have
    used. Raises RealizationError where the scheme does not apply.
    """
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    structure = import_module("pymatgen.core").Structure.from_dict(structure_dict(crystal))
    elements = {str(element) for element in structure.composition.elements}
    hubbards = {e: _HUBBARD_U.get(e, 0.0) for e in elements} if elements & _HUBBARD_ANIONS else {}
    hubbard = any(hubbards.values())
    entry = ComputedStructureEntry(
        structure,
        energy * len(structure),
        parameters={
            "run_type": "GGA+U" if hubbard else "GGA",
            "is_hubbard": hubbard,
            "hubbards": hubbards if hubbard else {},
        },
    )
    processed = _corrected([entry])
    if not processed:
        raise RealizationError(f"the MP2020 corrections do not apply to {structure.composition.reduced_formula}")
    return float(processed[0].energy_per_atom)
