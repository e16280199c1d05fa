"""What samples are measured against: a reference pack, a dataset's training split, or a file of labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import CheckpointError, DatasetError, SpaceGroup
from wyckoffkit.canonical import canonical_label
from wyckoffkit.encoding import WyckoffColumns, to_columns
from wyckoffkit.metrics import CRYSTAL_SYSTEMS, DISTRIBUTIONS, categorise

from ..reference import ReferencePack, contains, fingerprints, prototype_labels, read_reference
from .facts import Facts, measure_facts, read_facts, write_facts
from .samples import Samples, is_hdf5, read_samples, require_file

if TYPE_CHECKING:
    from ..extractor.embed import Extractor

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
FACTS = "evaluation.safetensors"


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


Quiet: Callable[[int], None] = lambda n: None  # noqa: E731


def shipped_reference() -> Path:
    """The reference pack beside the shipped weights; DatasetError where there is none."""
    for name in ("reference.safetensors", "*.reference.safetensors"):
        found = sorted(WEIGHTS.glob(name))
        if found:
            return found[0]
    raise DatasetError(f"no reference pack (*.reference.safetensors) is shipped in {WEIGHTS}: give --reference FILE")


def read_against(
    path: Path | None,
    *,
    profile: str = "pymatgen",
    extractor: Extractor | None = None,
    progress: Callable[[int], None] = Quiet,
) -> Reference:
    """The reference in `path`: a pack (safetensors), a dataset (its training split) or labels, told by content.

    None is the shipped pack. The facts of a pack lie beside it; those of a dataset or of labels are measured once,
    which embeds every material (`progress` counts them), and kept in the user's cache. Raises DatasetError or
    CheckpointError.
    """
    path = shipped_reference() if path is None else path
    require_file(path)
    if not is_hdf5(path) and _is_safetensors(path):
        reference = of_pack(read_reference(path), str(path))
        return replace(reference, facts=_facts_beside(path, reference, extractor))
    nothing = to_columns([])
    if is_hdf5(path):
        reference, train, held_out = of_dataset(path, profile)
    else:
        samples = read_samples(path, profile=profile)
        if not samples.labels:
            raise DatasetError(f"{path}: none of its {samples.n_lines} lines is a label: {samples.rejected[0].reason}")
        reference, train, held_out = of_samples(samples), (samples.columns, samples.labels), (nothing, ())
    return replace(reference, facts=_kept_facts(reference, train, held_out, extractor, progress))


def _is_safetensors(path: Path) -> bool:
    """By content: 8 bytes of header length, then JSON."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def _facts_beside(path: Path, reference: Reference, extractor: Extractor | None) -> Facts | None:
    beside = path.with_name(FACTS)
    if not beside.exists():
        return None
    facts = read_facts(beside)
    if facts.dataset.get("labels") != reference.key:
        return None
    measured = facts.embedding.moments.digest if facts.embedding is not None else None
    if extractor is not None and measured != extractor.digest:
        raise CheckpointError(
            f"{beside} was measured with the extractor {str(measured)[:16]}…, this one is {extractor.digest[:16]}…: "
            "distances of two extractors do not compare. Give --reference with the training data, to be measured anew"
        )
    return facts


Part = tuple[WyckoffColumns, Sequence[str]]


def _kept_facts(
    reference: Reference,
    train: Part,
    held_out: Part,
    extractor: Extractor | None,
    progress: Callable[[int], None],
) -> Facts:
    """Measured, or read from the cache where the same was measured before."""
    contents = f"{reference.key} {reference.profile} {extractor.digest if extractor else ''} {sorted(held_out[1])}"
    name = hashlib.sha256(contents.encode()).hexdigest()[:32]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wyckoffkit" / "evaluation"
    path = cache / f"{name}.safetensors"
    if path.exists():
        try:
            return read_facts(path)
        except CheckpointError:  # of another version, or damaged: measure anew
            path.unlink()
    facts = measure_facts(
        *train,
        *held_out,
        profile=reference.profile,
        extractor=extractor,
        dataset={**reference.provenance, "labels": reference.key},
        progress=progress,
    )
    write_facts(path, facts)
    return read_facts(path)  # as the next run will see it: points are kept in half precision


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


def of_dataset(path: Path, profile: str) -> tuple[Reference, Part, Part]:
    """The training split of one of our HDF5 datasets, and both parts: training and held-out (test, else validation)."""
    from wyckoffkit.dataset import read_dataset

    dataset = read_dataset(path)
    train = dataset.indices("train")
    if len(train) == 0:
        raise DatasetError(f"{path}: no material is in the training split")
    held_out = dataset.indices("test") if len(dataset.indices("test")) else dataset.indices("validation")

    def part(rows: np.ndarray) -> Part:
        columns, labels = dataset.columns.select(rows), dataset.label[rows].tolist()
        if dataset.profile != profile:
            labels = [canonical_label(protostructure, profile) for protostructure in columns]
        return columns, labels

    parts = part(train), part(held_out)
    provenance = {
        k: str(dataset.attributes[k]) for k in ("licence", "sources", "split_rule") if k in dataset.attributes
    }
    return replace(of_columns(*parts[0], str(path), profile), provenance=provenance), *parts


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
