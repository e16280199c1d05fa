"""What a dataset holds, in memory and by name in the file (docs/dataset-format.md describes each field)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoding import COLUMN_TYPES, WyckoffColumns
from ..spacegroup import SpaceGroup

FORMAT = "wyckoffkit-dataset"
FORMAT_VERSION = 1

SPLITS = ("train", "validation", "test")
"""Names of the values 0, 1 and 2 of `split`."""

COLUMNS = tuple(COLUMN_TYPES)
TEXTS = ("material_id", "label")
REJECTED_TEXTS = ("material_id", "place", "reason")

_UNITS = {
    "band_gap": "eV",
    "e_above_hull": "eV/atom",
    "e_form_per_atom": "eV/atom",
    "energy_per_atom": "eV/atom",
    "year": "a",
}


def unit_of(name: str) -> str:
    """The unit of a property by its name; empty where none is known."""
    return _UNITS.get(name, "")


@dataclass(frozen=True, slots=True)
class Rejected:
    """The rows that were read and not taken, and why."""

    material_id: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    """File and line or entry."""
    reason: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.material_id)


NO_REJECTED = Rejected()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Materials as protostructures, N of them."""

    columns: WyckoffColumns
    split: NDArray[np.uint8]
    """(N,) 0 train, 1 validation, 2 test."""
    properties: Mapping[str, NDArray[np.float64]]
    """(N,) each, NaN where unknown; units by `unit_of` and in the file."""
    attributes: Mapping[str, Any]
    """Root attributes: versions, digests, profile, engine, tolerances, E, P, sources, counts."""
    rejected: Rejected = NO_REJECTED
    texts: Mapping[str, NDArray[np.bytes_]] = field(default_factory=dict, repr=False)
    """UTF-8 of `material_id` and `label`, (N,) each."""

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(self.indices(name)):,} {name}" for name in SPLITS)
        return f"<Dataset of {len(self):,} materials ({parts}), profile {self.attributes.get('profile')!r}>"

    @cached_property
    def material_id(self) -> NDArray[np.str_]:
        """(N,) names of the materials in their source."""
        return _decoded(self.texts["material_id"])

    @cached_property
    def label(self) -> NDArray[np.str_]:
        """(N,) labels, canonical under the profile in `attributes`."""
        return _decoded(self.texts["label"])

    @property
    def n_elements(self) -> int:
        """E: the tensor form has elements 1 … E."""
        return int(self.attributes["n_elements"])

    @property
    def max_count(self) -> int:
        """P: the largest number of orbits of one element on one position."""
        return int(self.attributes["max_count"])

    @property
    def profile(self) -> str:
        """Profile of the canonical form."""
        return str(self.attributes["profile"])

    def indices(self, split: str) -> NDArray[np.int64]:
        """Rows of one split, by name."""
        return np.flatnonzero(self.split == SPLITS.index(split))


def _decoded(text: NDArray[np.bytes_]) -> NDArray[np.str_]:
    if text.dtype.itemsize and not (text.view(np.uint8) & 0x80).any():
        return text.astype(np.str_)  # ASCII, five times as fast
    return np.char.decode(text, "utf-8")


@cache
def positions_digest() -> str:
    """SHA-256 of letters, multiplicities and freedoms of all positions: what the columns' numbers mean."""
    sha = hashlib.sha256()
    for number in range(1, 231):
        for p in SpaceGroup.from_number(number).positions:
            sha.update(f"{number} {p.letter} {p.multiplicity} {p.dof}\n".encode())
    return sha.hexdigest()
