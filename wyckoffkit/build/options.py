"""What a build can be told; all that changes the result takes part in the name of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, tables
from ..dataset import random_split
from ..errors import DatasetError
from ..protostructure import DEFAULT_PROFILE
from ..sources import RULES, check_structure
from ..symmetry import DEFAULT_SYMPREC, check_search


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How entries become protostructures. Raises SymmetryError or DatasetError for values that cannot be."""

    symprec: float = DEFAULT_SYMPREC
    """Å."""
    angle_tolerance: float | None = None
    """Degrees; None: see `find_protostructure`."""
    engine: str = "moyopy"
    profile: str = DEFAULT_PROFILE
    structure: str = "org"
    """`org` before, `opt` after relaxation, where a source has both."""
    clean: tuple[str, ...] = ()
    """Rules of `sources.RULES` by which materials are rejected."""

    def __post_init__(self) -> None:
        check_search(self.symprec, self.angle_tolerance, self.engine)
        check_structure(self.structure)
        unknown = set(self.clean) - set(RULES)
        if unknown:
            raise DatasetError(f"the cleaning rules are {', '.join(RULES)}, got {min(unknown)!r}")

    def identity(self) -> dict[str, Any]:
        """All that the result of one entry depends on, this software included."""
        return {
            **asdict(self),
            "toolkit_version": __version__,
            "engine_version": version(self.engine),
            "tables": tables.digest(),
        }


@dataclass(frozen=True, slots=True)
class Split:
    """Who trains, validates and tests: by fractions or counts and a seed, or by material id."""

    fractions: tuple[float, float, float] | None = None
    counts: tuple[int, int] | None = None
    """Validation and test rows."""
    seed: int = 0
    by_id: Mapping[str, int] = field(default_factory=dict)
    """0, 1 or 2 for each material id named; the rest trains."""

    def assign(self, material_id: NDArray[np.bytes_]) -> NDArray[np.uint8]:
        """(N,) 0 train, 1 validation, 2 test. DatasetError for an id that no material has."""
        if not self.by_id:
            return random_split(len(material_id), fractions=self.fractions, counts=self.counts, seed=self.seed)
        names = [name.decode() for name in material_id.tolist()]
        unknown = set(self.by_id) - set(names)
        if unknown:
            raise DatasetError(f"the split names {len(unknown)} unknown material ids, {min(unknown)!r} among them")
        return np.array([self.by_id.get(name, 0) for name in names], np.uint8)

    def rule(self) -> str:
        """In words, for the file."""
        if self.by_id:
            return f"by material id, {len(self.by_id)} named"
        if self.counts:
            return f"random, {self.counts[0]} validation and {self.counts[1]} test, seed {self.seed}"
        if self.fractions:
            return f"random, fractions {self.fractions}, seed {self.seed}"
        return "all train"
