"""Training data as evaluation sees it: which labels and prototypes are known, and how they are distributed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, SpaceGroup
from wyckoffkit.canonical import canonical_label
from wyckoffkit.encoding import WyckoffColumns
from wyckoffkit.metrics import DISTRIBUTIONS, categorise
from wyckoffkit.spacegroup import CRYSTAL_SYSTEMS

from ..reference import ReferencePack, contains, fingerprints, prototype_labels
from .facts import Facts
from .samples import Samples


@dataclass(frozen=True, eq=False)
class Reference:
    """Known protostructures and prototypes as sorted 64-bit fingerprints, and how they are distributed."""

    source: str
    profile: str
    n: int
    """Materials, repeats included."""
    labels: np.ndarray
    """Sorted distinct fingerprints of canonical labels, uint64."""
    prototypes: np.ndarray
    """Sorted distinct fingerprints of prototype labels, uint64."""
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Counts of those of metrics.DISTRIBUTIONS that are known."""
    n_rejected: int = 0
    """Lines of a label file that are no label; they are left out."""
    facts: Facts | None = None
    """Held-out lines, embeddings and more; a pack without them beside it gives less."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def knows_labels(self, labels: Sequence[str]) -> np.ndarray:
        """(N,) bool."""
        return contains(self.labels, fingerprints(labels))

    def knows_prototypes(self, prototypes: Sequence[str]) -> np.ndarray:
        """(N,) bool."""
        return contains(self.prototypes, fingerprints(prototypes))

    @property
    def key(self) -> str:
        """SHA-256 of the distinct labels: two references with one key hold the same."""
        return hashlib.sha256(self.labels.astype("<u8").tobytes()).hexdigest()


def of_pack(pack: ReferencePack, source: str) -> Reference:
    """A pack knows groups, not elements."""
    groups = pack.space_group_count[1:]
    systems = np.zeros(len(CRYSTAL_SYSTEMS), np.int64)
    for number, count in enumerate(groups, start=1):
        systems[CRYSTAL_SYSTEMS.index(SpaceGroup.from_number(number).crystal_system)] += count
    return Reference(
        source,
        pack.profile,
        int(groups.sum()),
        pack.labels,
        pack.prototypes,
        {"space group": groups, "crystal system": systems},
        provenance=pack.dataset,
    )


def of_dataset(path: Path, profile: str) -> tuple[Reference, Samples, Samples]:
    """The training split of one of our HDF5 datasets, and both parts: training and held-out (test, else validation)."""
    from wyckoffkit.dataset import read_dataset

    dataset = read_dataset(path)
    train = dataset.indices("train")
    if len(train) == 0:
        raise DatasetError(f"{path}: no material is in the training split")
    held_out = dataset.indices("test") if len(dataset.indices("test")) else dataset.indices("validation")

    def part(rows: np.ndarray) -> Samples:
        columns, labels = dataset.columns.select(rows), dataset.label[rows].tolist()
        if dataset.profile != profile:
            labels = [canonical_label(protostructure, profile) for protostructure in columns]
        return as_samples(columns, labels, str(path), profile)

    parts = part(train), part(held_out)
    provenance = {
        k: str(dataset.attributes[k]) for k in ("licence", "sources", "split_rule") if k in dataset.attributes
    }
    return replace(of_samples(parts[0]), provenance=provenance), *parts


def as_samples(columns: WyckoffColumns, labels: Sequence[str], source: str, profile: str) -> Samples:
    """Materials with their canonical labels, of which none was rejected."""
    return Samples(source, profile, columns, tuple(labels), tuple(prototype_labels(labels, profile)))


def of_samples(samples: Samples) -> Reference:
    """All valid labels of a file."""
    return Reference(
        samples.source,
        samples.profile,
        len(samples.labels),
        np.unique(fingerprints(samples.labels)),
        np.unique(fingerprints(samples.prototypes)),
        {name: categorise(name, samples.columns).counts for name in DISTRIBUTIONS},
        n_rejected=len(samples.rejected),
    )
