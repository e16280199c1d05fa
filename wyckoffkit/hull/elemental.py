"""Reference energies of the elements under a calculator: their crystals, relaxed by it.

`elements.csv` says which: the structure each element has at low temperature (Donohue, The Structures of the Elements,
1974), two where those are close in energy; H2 and F2 are given the packing of a similar molecule. Starting coordinates
of the structures that have free ones are those of the AFLOW Encyclopedia (Mehl et al., Comput. Mater. Sci. 136, S1,
2017); cells and coordinates are relaxed, so they need only be near.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import DatasetError, RealizationError
from ..files import replacing
from ..label import parse_label
from ..realize.record import Record, Row
from ..realize.trial import build, primitive_cell
from ..relax.calculators import Calculator
from ..relax.outcome import CONVERGED, StageOptions
from ..relax.search import crystal_fields
from ..relax.stage import relax_crystal
from ..symmetry.crystal import Crystal, lattice_of
from .references import TOTAL, References, read_references

KIND = "elements"
RECORD_NAME = "elements.jsonl"
REFERENCES_NAME = "references.json"

_HERE = Path(__file__).resolve().parent
_STAGE = StageOptions(fmax=0.02, steps=500)


@dataclass(frozen=True, slots=True, eq=False)
class ElementalCrystal:
    """A crystal of one element, to start from."""

    label: str
    structure: str
    """Its name, as `A12, alpha manganese`."""
    crystal: Crystal
    """In a primitive cell."""

    @property
    def element(self) -> str:
        """Its symbol."""
        return self.label.partition(":")[2]


@cache
def elemental_crystals() -> tuple[ElementalCrystal, ...]:
    """The crystals of `elements.csv`, by atomic number: 89 elements."""
    with open(_HERE / "elements.csv", encoding="utf-8", newline="") as file:
        return tuple(_from_row(row) for row in csv.DictReader(file))


def _from_row(row: dict[str, str]) -> ElementalCrystal:
    protostructure = parse_label(row["label"])
    lengths, angles = ([float(x) for x in row[name].split()] for name in ("lengths", "angles"))
    parameters = np.array([[float(x) for x in triplet.split()] for triplet in row["parameters"].split(";")])
    crystal = build(protostructure, lattice_of(lengths, angles), parameters)
    return ElementalCrystal(row["label"], row["structure"], primitive_cell(protostructure, crystal))


def relax_elements(
    calculator: Calculator, folder: Path, elements: Iterable[str] | None = None, stage: StageOptions = _STAGE
) -> Iterator[Row]:
    """A row for each crystal (of these elements, or all), those of an earlier run first; writes `references.json`.

    Symmetry is held. A relaxation that fails is a row. Of all elements those that the calculator does not know are left
    out; RealizationError where it is asked for one of these.
    """
    wanted = None if elements is None else set(elements)
    if wanted is not None and (strange := wanted - {e.element for e in elemental_crystals()}):
        raise RealizationError(f"no elemental crystal is known here for {', '.join(sorted(strange))}")
    calculator.check(wanted or ())
    chosen = [e for e in elemental_crystals() if wanted is None or e.element in wanted]
    settings = {"calculator": calculator.name, "scale": calculator.scale, **asdict(stage)}
    with Record(folder / RECORD_NAME, KIND, settings) as record:
        done = {row["label"]: row for row in record.done}
        for elemental in chosen:
            if calculator.elements is not None and elemental.element not in calculator.elements:
                continue
            if elemental.label not in done:
                row = _relaxed(elemental, calculator, stage)
                record.append([row])
                done[elemental.label] = row
            yield done[elemental.label]
    rows = [row for row in done.values() if row["outcome"] == CONVERGED]
    if rows:
        write_elemental(folder / REFERENCES_NAME, calculator, rows)


def _relaxed(elemental: ElementalCrystal, calculator: Calculator, stage: StageOptions) -> Row:
    made = relax_crystal(elemental.crystal, calculator, stage, fix_symmetry=True)
    row: Row = {"label": elemental.label, "element": elemental.element, "structure": elemental.structure}
    row |= {"outcome": made.outcome, "reason": made.reason, "steps": made.steps}
    return row if made.crystal is None else row | {"energy": made.energy, **crystal_fields(made.crystal)}


def write_elemental(path: Path, calculator: Calculator, rows: Iterable[Row]) -> None:
    """The least energy of each element, with its structure and calculator, as JSON that `read_references` reads."""
    least: dict[str, Row] = {}
    for row in rows:
        if row["element"] not in least or row["energy"] < least[row["element"]]["energy"]:
            least[row["element"]] = row
    data = {
        "wyckoffkit": "references",
        "version": 1,
        "scale": calculator.scale,
        "kind": TOTAL,
        "calculator": calculator.name,
        "made_by": "wyckoffkit references: crystals of the elements, relaxed with their "
        "symmetry held; energies in eV/atom",
        "entries": [
            {
                "name": f"{symbol} ({row['structure']})",
                "composition": {symbol: 1.0},
                "energy": round(row["energy"], 6),
                "label": row["label"],
            }
            for symbol, row in least.items()
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def embedded_references(calculator: str) -> References:
    """The references that come with wyckoffkit for a calculator (its full name, as `chgnet-0.3.0`).

    Raises DatasetError, which says how to make them, where none do.
    """
    path = _HERE / f"{calculator}.json"
    if Path(calculator).name != calculator or not path.is_file():
        there = ", ".join(sorted(p.stem for p in _HERE.glob("*.json"))) or "none"
        raise DatasetError(
            f"elemental references come with wyckoffkit for {there}, not for {calculator or 'this calculator'}: make "
            "them with 'wyckoffkit references', or give known materials with --against"
        )
    return read_references(path)
