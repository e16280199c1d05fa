"""Formation energies to train the extractor on: WBM by label, and the Materials Project entries of Wren's data set.

A label is held out, with all its energies, if its fingerprint modulo 100 is below 8: no split file is needed, and no
held-out label was ever seen.
"""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import Protostructure, SpaceGroup, WyckoffkitError
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import format_label, parse_label
from wyckoffkit.wren import parse_wren

from .features import has_features, position_classes
from .sites import Featuriser, Rows

HELD_OUT_PERCENT = 8


@dataclass(frozen=True, eq=False)
class Energies:
    """Rows of training and held-out materials, and their energies."""

    train: list[Rows]
    test: list[Rows]
    energy: np.ndarray
    """(N,) eV/atom."""
    mean: float
    std: float
    standardised: np.ndarray
    """(N,) float32: (energy - mean) / std over the training materials."""
    facts: dict[str, Any]


def is_held_out(label: str) -> bool:
    """By the label's fingerprint."""
    fingerprint = int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little")
    return fingerprint % 100 < HELD_OUT_PERCENT


def read_energies(wbm: Path, wren: Path | None, relabelings: Path | None) -> Energies:
    """Read both sources; entries with elements without features, or beyond 5 eV/atom, are left out and counted."""
    materials: list[Protostructure] = []
    energies: list[float] = []
    held_out: list[bool] = []
    known = has_features()
    facts: dict[str, Any] = {"left_out": 0}
    from wyckoffkit.elements import ATOMIC_NUMBER

    for name, path, parse, column, energy_column in (
        ("wbm", wbm, parse_label, "label", "e_form_per_atom"),
        ("mp", wren, parse_wren, "wyckoff", "formation_energy_per_atom"),
    ):
        if path is None:
            continue
        before = len(materials)
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                try:
                    protostructure = parse(row[column])
                except WyckoffkitError:
                    facts["left_out"] += 1
                    continue
                energy = float(row[energy_column])
                if abs(energy) > 5 or not all(known[ATOMIC_NUMBER[e]] for e in protostructure.composition):
                    facts["left_out"] += 1
                    continue
                materials.append(protostructure)
                energies.append(energy)
                held_out.append(is_held_out(format_label(protostructure)))
        facts[name] = len(materials) - before
    energy, is_test = np.array(energies), np.array(held_out)
    rows = Featuriser(_relabelings(relabelings), position_classes()).rows(to_columns(materials))
    mean, std = float(energy[~is_test].mean()), float(energy[~is_test].std())
    facts |= {"held_out": int(is_test.sum()), "train": int((~is_test).sum()), "mean": mean, "std": std}
    return Energies(
        [_where(part, ~is_test[part.material]) for part in rows],
        [_where(part, is_test[part.material]) for part in rows],
        energy,
        mean,
        std,
        ((energy - mean) / std).astype(np.float32),
        facts,
    )


def _where(rows: Rows, mask: np.ndarray) -> Rows:
    return Rows(
        *(getattr(rows, name)[mask] for name in ("material", "weight", "element", "position", "ratio", "count"))
    )


def _relabelings(path: Path | None) -> Any:
    table = json.loads(path.read_text())

    def of(number: int) -> np.ndarray:
        group = SpaceGroup.from_number(number)
        return np.array([[group.index(t[letter]) for letter in group.letters] for t in table[str(number)]], np.uint8)

    return of
