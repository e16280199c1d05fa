"""What samples are measured against: a reference pack, a dataset's training split, or a file of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, SpaceGroup
from wyckoffkit.canonical import canonical_label
from wyckoffkit.encoding import WyckoffColumns
from wyckoffkit.metrics import CRYSTAL_SYSTEMS, DISTRIBUTIONS, categorise

from ..reference import ReferencePack, contains, fingerprints, prototype_labels, read_reference
from .samples import Samples, is_hdf5, read_samples, require_file

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


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
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def knows_labels(self, labels: tuple[str, ...]) -> np.ndarray:
        """(N,) bool."""
        return contains(self.labels, fingerprints(labels))

    def knows_prototypes(self, prototypes: tuple[str, ...]) -> np.ndarray:
        """(N,) bool."""
        return contains(self.prototypes, fingerprints(prototypes))


def shipped_reference() -> Path:
    """The reference pack beside the shipped weights; DatasetError where there is none."""
    for name in ("reference.safetensors", "*.reference.safetensors"):
        found = sorted(WEIGHTS.glob(name))
        if found:
            return found[0]
    raise DatasetError(f"no reference pack (*.reference.safetensors) is shipped in {WEIGHTS}: give --reference FILE")


def read_against(path: Path | None, *, profile: str = "pymatgen") -> Reference:
    """The reference in `path`: a pack (safetensors), a dataset (its training split) or labels, told by content.

    None is the shipped pack. Raises DatasetError or CheckpointError.
    """
    if path is None:
        path = shipped_reference()
    require_file(path)
    if is_hdf5(path):
        return of_dataset(path, profile)
    if _is_safetensors(path):
        return of_pack(read_reference(path), str(path))
    samples = read_samples(path, profile=profile)
    if not samples.labels:
        raise DatasetError(f"{path}: none of its {samples.n_lines} lines is a label: {samples.rejected[0].reason}")
    return of_samples(samples)


def _is_safetensors(path: Path) -> bool:
    """By content: 8 bytes of header length, then JSON."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


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


def of_dataset(path: Path, profile: str) -> Reference:
    """The training split of one of our HDF5 datasets."""
    from wyckoffkit.dataset import read_dataset

    dataset = read_dataset(path)
    train = dataset.indices("train")
    if len(train) == 0:
        raise DatasetError(f"{path}: no material is in the training split")
    columns, labels = dataset.columns.select(train), dataset.label[train].tolist()
    if dataset.profile != profile:
        labels = [canonical_label(protostructure, profile) for protostructure in columns]
    return of_columns(columns, labels, str(path), profile)


def of_samples(samples: Samples) -> Reference:
    """All labels of a file."""
    reference = of_columns(samples.columns, samples.labels, samples.source, samples.profile)
    return replace(reference, n_rejected=len(samples.rejected))


def of_columns(columns: WyckoffColumns, labels: Sequence[str], source: str, profile: str) -> Reference:
    """Materials with their canonical labels."""
    return Reference(
        source,
        profile,
        len(labels),
        np.unique(fingerprints(labels)),
        np.unique(fingerprints(prototype_labels(labels, profile))),
        {name: categorise(name, columns).counts for name in DISTRIBUTIONS},
    )
