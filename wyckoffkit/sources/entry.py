"""What every source is made into: entries, each the text of one material, read in full only by a worker."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import DatasetError, LabelError, SymmetryError, WyckoffkitError
from ..label import parse_label
from ..protostructure import Protostructure
from ..symmetry import Crystal, crystal_from_dict
from ..wren import parse_wren
from .structure_text import crystal_by_ase, crystal_from_cif

# Names of properties in the wild, and what they are called here (units in `dataset.unit_of`).
PROPERTIES = {
    "e_form_per_atom": "e_form_per_atom",
    "e_form_per_atom_mp2020_corrected": "e_form_per_atom",
    "e_form_per_atom_wbm": "e_form_per_atom",
    "formation_energy_per_atom": "e_form_per_atom",
    "e_above_hull": "e_above_hull",
    "energy_above_hull": "e_above_hull",
    "e_above_hull_mp2020_corrected_ppd_mp": "e_above_hull",
    "e_above_hull_wbm": "e_above_hull",
    "energy_per_atom": "energy_per_atom",
    "heat_all": "heat_all",
    "band_gap": "band_gap",
    "bandgap_pbe": "band_gap",
    "year": "year",
    "keeps_space_group": "keeps_space_group",
}
# Columns and fields that hold labels, best first: labels found on the structure as computed, then as relaxed.
LABEL_COLUMNS = {
    "org": ("label", "protostructure", "wyckoff_spglib_initial_structure", "wyckoff_spglib", "protostructure_moyo",
            "protostructure_spglib", "aflow_label"),
    "opt": ("label", "protostructure", "wyckoff_spglib", "protostructure_moyo", "protostructure_spglib",
            "aflow_label"),
}  # fmt: skip
ID_FIELDS = ("material_id", "entry_id", "mat_id", "task_id", "id", "name")

_WBM_KEY = re.compile(r"step_(\d+)_(\d+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """The text of one material, or a fault in the file where one should be."""

    material_id: str
    """What the container calls it; a worker may find a better name inside."""
    place: str
    """File and line, key or number."""
    kind: str
    """Key of READERS, or `fault`, whose text is the reason."""
    text: bytes
    properties: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One material, read."""

    material_id: str
    crystal: Crystal | None
    protostructure: Protostructure | None
    """Where the source gives a label instead of a structure."""
    properties: Mapping[str, float]


class EntryError(WyckoffkitError):
    """An entry that holds no material; `material_id` is the best name known for it."""

    def __init__(self, message: str, material_id: str) -> None:
        super().__init__(message)
        self.material_id = material_id


def read_entry(entry: Entry, structure: str) -> Record:
    """The material of an entry. Raises EntryError, with its name and the rule, for one that holds none.

    `structure` is "org" or "opt", where a source has structures both before and after relaxation.
    """
    if entry.kind == "fault":
        raise EntryError(entry.text.decode("utf-8", "replace"), entry.material_id)
    try:
        return READERS[entry.kind](entry, structure)
    except (SymmetryError, LabelError) as error:
        raise EntryError(str(error), entry.material_id) from None


def material_name(key: str) -> str:
    """WBM's own keys in the numbering of Matbench Discovery, which begins at 1; other names as they are.

    >>> material_name("step_1_0")
    'wbm-1-1'
    """
    match = _WBM_KEY.fullmatch(key)
    return f"wbm-{match[1]}-{int(match[2]) + 1}" if match else key


def number_or_nan(value: Any) -> float:
    """A property as a number; NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _read_json(entry: Entry, structure: str) -> Record:
    try:
        document = json.loads(entry.text)
    except (ValueError, RecursionError) as error:
        raise EntryError(f"not JSON: {error}", entry.material_id) from None
    if not isinstance(document, dict):
        raise EntryError(f"a structure is a JSON object, found {type(document).__name__}", entry.material_id)
    name = entry.material_id
    if name.startswith("#"):  # the container only numbers it
        inner = {**_mapping(document.get("data")), **document}
        name = next((str(inner[k]) for k in ID_FIELDS if inner.get(k) not in (None, "")), name[1:])
        name = material_name(name)
    properties = dict(entry.properties)
    for fields in (_mapping(document.get("data")), document):
        for key, called in () if PROPERTIES.keys().isdisjoint(fields) else PROPERTIES.items():
            if called not in properties and isinstance(fields.get(key), (int, float)):
                properties[called] = float(fields[key])
    try:
        if (label := _label_in(document, structure)) is not None:
            return Record(name, None, parse_label(label), properties)
        return Record(name, crystal_from_dict(_structure_in(document, structure)), None, properties)
    except (SymmetryError, LabelError) as error:
        raise EntryError(str(error), name) from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


_NESTED = {
    "org": ("org", "initial_structure", "structure", "input_structure"),
    "opt": ("opt", "relaxed_structure", "computed_structure_entry", "structure"),
}
_STRUCTURE_FIELDS = {key for keys in _NESTED.values() for key in keys}


def check_structure(structure: str) -> None:
    """Raise DatasetError for the name of neither structure."""
    if structure not in _NESTED:
        raise DatasetError(f"the structures are org (before relaxation) and opt (after), got {structure!r}")


def _label_in(document: Mapping[str, Any], structure: str) -> str | None:
    """The label of a row, as `sample`, `encode` and `dataset export` write it; None beside a structure."""
    if "sites" in document or any(isinstance(document.get(key), dict) for key in _STRUCTURE_FIELDS):
        return None
    return next((document[key] for key in LABEL_COLUMNS[structure] if isinstance(document.get(key), str)), None)


def _structure_in(document: Mapping[str, Any], structure: str) -> Mapping[str, Any]:
    """The dictionary with `sites`, however deep in the fields that are known to hold structures."""
    for _ in range(3):
        if "sites" in document:
            return document
        key = next((k for k in _NESTED[structure] if isinstance(document.get(k), dict)), None)
        if key is None:
            break
        document = document[key]
    if "org" in document or "opt" in document:
        raise SymmetryError(f"the entry has no structure {structure!r}")
    raise SymmetryError("the entry holds no structure (an object with lattice and sites)")


def _read_label(entry: Entry, structure: str) -> Record:
    del structure
    return Record(entry.material_id, None, parse_label(entry.text.decode()), entry.properties)


def _read_wren(entry: Entry, structure: str) -> Record:
    del structure
    return Record(entry.material_id, None, parse_wren(entry.text.decode()), entry.properties)


def _read_cif(entry: Entry, structure: str) -> Record:
    del structure
    return Record(entry.material_id, crystal_from_cif(entry.text.decode("utf-8", "replace")), None, entry.properties)


def _read_poscar(entry: Entry, structure: str) -> Record:
    del structure
    crystal, _ = crystal_by_ase(entry.text.decode("utf-8", "replace"), "vasp")
    return Record(entry.material_id, crystal, None, entry.properties)


def _read_extxyz(entry: Entry, structure: str) -> Record:
    del structure
    name = entry.material_id.removeprefix("#")
    try:
        crystal, facts = crystal_by_ase(entry.text.decode("utf-8", "replace"), "extxyz")
    except SymmetryError as error:
        raise EntryError(str(error), name) from None
    if entry.material_id.startswith("#"):
        name = material_name(next((str(facts[k]) for k in ID_FIELDS if k in facts), name))
    properties = {PROPERTIES[k]: number_or_nan(value) for k, value in facts.items() if k in PROPERTIES}
    return Record(name, crystal, None, {**properties, **entry.properties})


READERS: dict[str, Callable[[Entry, str], Record]] = {
    "cif": _read_cif,
    "extxyz": _read_extxyz,
    "json": _read_json,
    "label": _read_label,
    "poscar": _read_poscar,
    "wren": _read_wren,
}
