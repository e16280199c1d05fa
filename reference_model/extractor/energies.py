"""Formation energies to train the extractor on: WBM by label, and the Materials Project entries of Wren's data set.

A label is held out, with all its energies, if its fingerprint modulo 100 is below 8: no split file is needed, and no
held-out label was ever seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, Protostructure, WyckoffkitError
from wyckoffkit.csvrows import named_rows
from wyckoffkit.elements import ATOMIC_NUMBER
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.label import format_label, parse_label
from wyckoffkit.textlines import open_lines
from wyckoffkit.wren import parse_wren

from ..reference import fingerprint
from .features import has_features

HELD_OUT_PERCENT = 8
LARGEST_ENERGY = 5.0


@dataclass(frozen=True, eq=False)
class Energies:
    """Materials and their formation energies in eV/atom."""

    train: WyckoffColumns
    train_energy: np.ndarray
    test: WyckoffColumns
    test_energy: np.ndarray
    left_out: int
    """Rows that are no label, whose elements have no features, or beyond ±5 eV/atom."""

    @property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the training energies."""
        return float(self.train_energy.mean()), float(self.train_energy.std())


def is_held_out(label: str) -> bool:
    """By the label's fingerprint."""
    return fingerprint(label) % 100 < HELD_OUT_PERCENT


def read_energies(wbm: Path, wren: Path | None = None) -> Energies:
    """Read CSV files: `label` and `e_form_per_atom`; `wyckoff` and `formation_energy_per_atom`.

    Raises DatasetError for a table without these columns, and for an energy that is no number.
    """
    rows = _rows(wbm, parse_label, "label", "e_form_per_atom")
    if wren is not None:
        rows += _rows(wren, parse_wren, "wyckoff", "formation_energy_per_atom")
    known = has_features()
    parts: dict[bool, list[tuple[Protostructure, float]]] = {True: [], False: []}
    for protostructure, energy in rows:
        if protostructure is None or not abs(energy) <= LARGEST_ENERGY:
            continue
        if all(known[ATOMIC_NUMBER[element]] for element in protostructure.composition):
            parts[is_held_out(format_label(protostructure.canonical()))].append((protostructure, energy))
    (train, train_energy), (test, test_energy) = map(_split, (parts[False], parts[True]))
    return Energies(train, train_energy, test, test_energy, len(rows) - len(train) - len(test))


def _rows(
    path: Path, parse: Callable[[str], Protostructure], column: str, energy: str
) -> list[tuple[Protostructure | None, float]]:
    def attempt(text: str) -> Protostructure | None:
        try:
            return parse(text)
        except WyckoffkitError:
            return None

    with open_lines(path) as lines:
        table = named_rows(lines)
        if not {column, energy} <= set(table.fieldnames or ()):
            raise DatasetError(f"{path}: a table of energies has the columns {column} and {energy}")
        rows = []
        for row in table:
            try:
                rows.append((attempt(row[column]), float(row[energy])))
            except (TypeError, ValueError):
                raise DatasetError(f"{path}:{table.line_num}: {energy} is a number, got {row[energy]!r}") from None
        return rows


def _split(pairs: Iterable[tuple[Protostructure, Any]]) -> tuple[WyckoffColumns, np.ndarray]:
    materials, energies = zip(*pairs, strict=True)
    return to_columns(materials), np.array(energies)
