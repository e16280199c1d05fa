"""The reference pack: what sampling and novelty need of the training data, without the data.

Counts of space groups and of tokens a material, marginals of the variables, and sorted 64-bit fingerprints of the
training labels and prototype labels. A given label falls on one of two million fingerprints by chance once in 1e13.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import CheckpointError, ProtostructureError

from .reweighting import novelty
from .tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    Array = np.ndarray[Any, np.dtype[Any]]

KIND = "reference pack"
FORMAT_VERSION = 1


def fingerprint(text: str) -> int:
    """First 8 bytes, little endian, of BLAKE2b with an 8-byte digest."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def fingerprints(texts: Iterable[str]) -> Array:
    """(N,) uint64, in the order given."""
    data = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64)


def contains(sorted_fingerprints: Array, wanted: Array) -> Array:
    """(N,) bool: is each fingerprint among the sorted ones?"""
    if len(sorted_fingerprints) == 0:
        return np.zeros(len(wanted), dtype=bool)
    place = np.searchsorted(sorted_fingerprints, wanted)
    return sorted_fingerprints[np.minimum(place, len(sorted_fingerprints) - 1)] == wanted


@dataclass(frozen=True, eq=False)
class ReferencePack:
    """Counts and fingerprints of a training set."""

    space_group_count: Array
    """(231,) int64 materials of each group; entry 0 is no group."""
    token_count: Array
    """(231, N + 1) int64 materials of a group with n occupied slots."""
    constrained_count: Array
    """(E + 1,) int64 constrained variables of each value, 0 for empty."""
    unconstrained_count: Array
    """(P + 1,) int64 unconstrained variables of each value."""
    labels: Array
    """Sorted distinct fingerprints of the training labels, uint64."""
    prototypes: Array
    """Sorted distinct fingerprints of the training prototype labels, uint64."""
    profile: str = "pymatgen"
    dataset: dict[str, Any] = field(default_factory=dict)

    @property
    def space_group_probability(self) -> Array:
        """p̂(s), (231,) float64."""
        return self.space_group_count / self.space_group_count.sum()

    @property
    def constrained_marginal(self) -> Array:
        """(E + 1,) float64: how often a constrained variable takes each value."""
        return self.constrained_count / self.constrained_count.sum()

    @property
    def unconstrained_marginal(self) -> Array:
        """(P + 1,) float64."""
        return self.unconstrained_count / self.unconstrained_count.sum()

    def knows_labels(self, labels: Iterable[str]) -> Array:
        """(N,) bool: labels (canonical in this profile) of the training set."""
        return contains(self.labels, fingerprints(labels))

    def knows_prototypes(self, prototypes: Iterable[str]) -> Array:
        """(N,) bool: prototype labels of the training set."""
        return contains(self.prototypes, fingerprints(prototypes))

    def novelty(self, labels: Sequence[str]) -> Array:
        """(N,) what of each label (canonical in this profile) the training set has: a `Novelty`."""
        prototypes = prototype_labels(labels, self.profile)
        return novelty(~self.knows_labels(labels), ~self.knows_prototypes(prototypes))


def build_reference(
    columns: WyckoffColumns,
    labels: Iterable[str],
    *,
    n_elements: int,
    max_count: int,
    profile: str = "pymatgen",
    dataset: dict[str, Any] | None = None,
) -> ReferencePack:
    """Count the training materials `columns` with their canonical `labels`.

    Raises ProtostructureError where an element lies beyond `n_elements` or a count beyond `max_count`.
    """
    from wyckoffkit.dataset import statistics

    for name, values, limit in (
        ("atomic number", columns.element, n_elements),
        ("orbit count", columns.count, max_count),
    ):
        if len(values) and values.max() > limit:
            row = int(np.searchsorted(columns.offset, int(values.argmax()), side="right")) - 1
            raise ProtostructureError(f"material {row} has {name} {values.max()}, the model ends at {limit}")
    counted = statistics(columns, n_elements=n_elements)
    unconstrained = np.zeros(max_count + 1, dtype=np.int64)
    unconstrained[: len(counted.unconstrained)] = counted.unconstrained
    labels = list(labels)
    return ReferencePack(
        space_group_count=counted.space_group,
        token_count=counted.tokens,
        constrained_count=counted.constrained,
        unconstrained_count=unconstrained,
        labels=np.unique(fingerprints(labels)),
        prototypes=np.unique(fingerprints(prototype_labels(labels, profile))),
        profile=profile,
        dataset=dataset or {},
    )


def prototype_labels(labels: Iterable[str], profile: str = "pymatgen") -> list[str]:
    """The prototype label of each label, each distinct pattern worked out once."""
    from wyckoffkit import parse_label

    known: dict[str, str] = {}
    result = []
    for label in labels:
        pattern = label.partition(":")[0]
        if pattern not in known:
            known[pattern] = str(parse_label(label).prototype(profile))
        result.append(known[pattern])
    return result


def write_reference(path: str | os.PathLike[str], pack: ReferencePack) -> None:
    """Write atomically."""
    arrays = {
        "space_group_count": pack.space_group_count,
        "token_count": pack.token_count,
        "constrained_count": pack.constrained_count,
        "unconstrained_count": pack.unconstrained_count,
        "labels": pack.labels,
        "prototypes": pack.prototypes,
    }
    write_tensors(path, KIND, FORMAT_VERSION, arrays, {"profile": pack.profile, "dataset": pack.dataset})


def read_reference(path: str | os.PathLike[str]) -> ReferencePack:
    """Read a pack; CheckpointError names the file and what is wrong with it."""
    arrays, header = read_tensors(path, KIND, FORMAT_VERSION, framework="np")
    try:
        return ReferencePack(**arrays, profile=header["profile"], dataset=header["dataset"])
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: not the arrays of a reference pack: {error}") from None


def reference_path(checkpoint: str | os.PathLike[str]) -> Path:
    """Where the pack of a checkpoint lies: `x.reference.safetensors` beside `x.safetensors`, or the folder's own."""
    path = Path(checkpoint)
    own = path.with_name(f"{path.stem}.reference.safetensors")
    return own if own.exists() else path.with_name("reference.safetensors")
