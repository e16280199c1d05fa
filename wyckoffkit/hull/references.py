"""What crystals are compared with: energies of known materials, on a named scale.

Understood, and told apart by content: entries of the Materials Project (ComputedEntry and ComputedStructureEntry as
JSON, a list or a dictionary), a phase diagram of pymatgen as JSON (Matbench Discovery's, too), elemental energies (a
dictionary from symbols to eV/atom), our own datasets (HDF5) with formation energies, and CSV with composition (or
label) and formation energy.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..csvrows import named_rows
from ..elements import ATOMIC_NUMBER
from ..errors import DatasetError
from ..files import replacing
from ..label import format_label, parse_label
from ..relax.calculators import MP2020, PBE
from ..textlines import HDF5, compression, decompressed, document, open_lines, starts_with

FORMATION = "formation"
TOTAL = "total"

_PICKLE_MAGIC = b"\x80"
_SHORT = {"mp2020": MP2020, "pbe": PBE}
_FORMATION_COLUMNS = ("e_form_per_atom", "formation_energy_per_atom")
_FORMULA_COLUMNS = ("composition", "formula", "pretty_formula", "label")


@dataclass(frozen=True, slots=True)
class Reference:
    """A known material. Raises ValueError for amounts and energies that none has."""

    name: str
    composition: tuple[tuple[str, float], ...]
    """(symbol, amount), sorted."""
    energy: float
    """eV/atom: total or formation energy, as `References.kind` says."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.energy):
            raise ValueError(f"{self.name}: the energy is {self.energy}")
        if not (self.composition and all(n > 0 and math.isfinite(n) for _, n in self.composition)):
            raise ValueError(f"{self.name}: no amounts of elements: {dict(self.composition)}")


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Known materials whose energies are on one scale."""

    scale: str
    kind: str
    """total (energies as calculated) or formation (the elements are 0)."""
    entries: tuple[Reference, ...]
    source: str = ""
    calculator: str = ""
    """What computed them, as `chgnet-0.3.0`; "" where it is not said (DFT on the named scale, say)."""

    def elemental(self) -> dict[str, float]:
        """The least energy of each element (eV/atom); all 0 for formation energies."""
        least: dict[str, float] = {}
        for entry in self.entries:
            if len(entry.composition) == 1:
                symbol = entry.composition[0][0]
                least[symbol] = min(entry.energy, least.get(symbol, entry.energy))
            elif self.kind == FORMATION:
                least |= {symbol: 0.0 for symbol, _ in entry.composition if symbol not in least}
        return dict.fromkeys(least, 0.0) if self.kind == FORMATION else least


def check_scale(scale: str, references: References, calculator: str = "") -> None:
    """Raise DatasetError where energies on one scale would be compared with those on another.

    Nor are references that one calculator computed compared with crystals of another: its errors would not cancel.
    """
    if scale != references.scale:
        raise DatasetError(
            f"{references.source}: its energies are on the scale '{references.scale}', the crystals' on '{scale}'; "
            "energies of two scales say nothing about each other. Use references made with the same calculator, or one "
            "whose scale agrees"
        )
    if calculator and references.calculator and calculator != references.calculator:
        raise DatasetError(
            f"{references.source}: its energies were computed by {references.calculator}, the crystals' by "
            f"{calculator}; make references with the same calculator: 'wyckoffkit references'"
        )


def read_references(path: Path, *, scale: str | None = None) -> References:
    """References from a file, on a scale.

    Entries of the Materials Project are uncorrected and say how to correct them, so they can be on two scales: `scale`
    chooses (the corrected one if not given). Other files hold energies on one scale; where the file does not name it,
    `scale` must. Raises DatasetError for files that are none of these.
    """
    scale = _SHORT.get(scale, scale) if scale else None
    if starts_with(path, HDF5):
        return _from_dataset(path, scale)
    with open(path, "rb") as file:
        data = document(decompressed(file, compression(file, path), path), path)
    if data.startswith(_PICKLE_MAGIC):
        raise DatasetError(
            f"{path}: pickles run code when they are read, so they are not; write the phase diagram as JSON: "
            "monty.serialization.dumpfn(diagram, 'diagram.json.gz')"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: neither JSON, CSV nor HDF5: {error.reason}") from None
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(path, text, scale)
    return _from_csv(path, text, scale)


def _named(path: Path, scale: str | None) -> str:
    if not scale:
        raise DatasetError(
            f"{path}: names no energy scale; say which it is with --scale, as --scale mp2020 for '{MP2020}'"
        )
    return scale


def _from_json(path: Path, text: str, scale: str | None) -> References:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON: {error}") from None
    if isinstance(data, dict) and data.get("wyckoffkit") == "references":
        return _own(path, data)
    if isinstance(data, dict) and data and all(s in ATOMIC_NUMBER and _is_number(e) for s, e in data.items()):
        named = _named(path, scale)
        try:
            elements = tuple(Reference(s, ((s, 1.0),), float(e)) for s, e in data.items())
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from None
        return References(named, TOTAL, elements, str(path))
    if isinstance(data, dict) and str(data.get("@class", "")).endswith("PhaseDiagram"):
        data = data.get("all_entries", [])
    elif isinstance(data, dict):
        data = data.get("entries", list(data.values()))
    if not (isinstance(data, list) and data and all(isinstance(e, dict) and "composition" in e for e in data)):
        raise DatasetError(f"{path}: holds neither entries (ComputedEntry), a phase diagram nor elemental energies")
    return _from_entries(path, data, scale)


def _own(path: Path, data: Mapping[str, Any]) -> References:
    if data.get("version") != 1:
        raise DatasetError(f"{path}: references in version {data.get('version')} of the format; 1 is read")
    try:
        entries = tuple(
            Reference(row["name"], tuple(sorted(row["composition"].items())), row["energy"]) for row in data["entries"]
        )
        return References(data["scale"], data["kind"], entries, str(path), data.get("calculator", ""))
    except KeyError as error:
        raise DatasetError(f"{path}: references without a field {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: not the references that wyckoffkit writes: {error}") from None


def write_references(path: Path, references: References) -> None:
    """As JSON that names its scale."""
    rows = [{"name": e.name, "composition": dict(e.composition), "energy": e.energy} for e in references.entries]
    data = {
        "wyckoffkit": "references",
        "version": 1,
        "scale": references.scale,
        "kind": references.kind,
        "calculator": references.calculator,
        "entries": rows,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _from_entries(path: Path, rows: Iterable[Mapping[str, Any]], scale: str | None) -> References:
    from .compatibility import entries_on_scale

    wanted = scale or MP2020
    if wanted not in (MP2020, PBE):
        raise DatasetError(f"{path}: entries can be on the scales '{MP2020}' and '{PBE}', not on '{wanted}'")
    try:
        made = [
            Reference(name, tuple(sorted(amounts.items())), energy)
            for name, amounts, energy in entries_on_scale(rows, corrected=wanted == MP2020)
        ]
    except KeyError as error:
        raise DatasetError(f"{path}: an entry has no field {error.args[0]!r}") from None
    except MemoryError:
        raise
    except Exception as error:  # pymatgen raises what it will on what is no entry
        raise DatasetError(f"{path}: not entries: {str(error)[:500]}") from None
    return References(wanted, TOTAL, tuple(made), str(path))


def _from_csv(path: Path, text: str, scale: str | None) -> References:
    try:
        reader = named_rows(io.StringIO(text))
        columns, rows = reader.fieldnames or [], list(reader)
    except csv.Error as error:
        raise DatasetError(f"{path}: not a table in CSV: {error}") from None
    energy = next((c for c in _FORMATION_COLUMNS if c in columns), None)
    formula = next((c for c in _FORMULA_COLUMNS if c in columns), None)
    if energy is None or formula is None:
        raise DatasetError(
            f"{path}: CSV references have a column {' or '.join(_FORMULA_COLUMNS)} and one "
            f"{' or '.join(_FORMATION_COLUMNS)}, got {', '.join(columns[:8]) or 'none'}"
        )
    named = _named(path, scale)
    entries = []
    for number, row in enumerate(rows, start=2):
        try:
            amounts = _of_label(row[formula]) if formula == "label" else composition_of(row[formula])
            entries.append(Reference(row.get("material_id") or row[formula], amounts, float(row[energy])))
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path}:{number}: {error}") from None
    return References(named, FORMATION, tuple(entries), str(path))


def composition_of(formula: str) -> tuple[tuple[str, float], ...]:
    """(symbol, amount) of a chemical formula, sorted."""
    amounts = import_module("pymatgen.core").Composition(formula)
    return tuple(sorted((str(element), float(n)) for element, n in amounts.items()))


def _of_label(label: str) -> tuple[tuple[str, float], ...]:
    return tuple((symbol, float(n)) for symbol, n in sorted(parse_label(label).composition.items()))


def _from_dataset(path: Path, scale: str | None) -> References:
    from ..dataset import read_dataset

    data = read_dataset(path)
    name = next((c for c in _FORMATION_COLUMNS if c in data.properties), None)
    if name is None:
        raise DatasetError(f"{path}: the dataset has no column {' or '.join(_FORMATION_COLUMNS)}")
    named = str(data.attributes.get("energy_scale", "")) or _named(path, scale)
    entries = []
    for i, energy in enumerate(data.properties[name].tolist()):
        if energy == energy:  # not NaN
            protostructure = data.columns.protostructure(i)
            amounts = tuple((symbol, float(n)) for symbol, n in sorted(protostructure.composition.items()))
            try:
                entries.append(Reference(str(data.material_id[i]), amounts, energy))
            except ValueError as error:
                raise DatasetError(f"{path}: {error}") from None
    return References(named, FORMATION, tuple(entries), str(path))


def known_labels(path: Path) -> frozenset[str]:
    """The labels of a file (one a line) or of a dataset, canonical under the affine profile."""
    if starts_with(path, HDF5):
        from ..dataset import read_dataset

        labels = [str(label) for label in read_dataset(path).label]
    else:
        with open_lines(path) as lines:
            labels = [line.strip() for line in lines if line.strip()]
    return frozenset(format_label(parse_label(label).canonical("affine")) for label in labels)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
