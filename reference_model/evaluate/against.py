"""Reading what samples are measured against: a reference pack, a dataset's training split, or a file of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wyckoffkit import CheckpointError, DatasetError
from wyckoffkit.encoding import to_columns
from wyckoffkit.textlines import HDF5, starts_with

from ..extractor.remembered import cache_folder
from ..reference import read_reference
from .facts import Facts, read_facts, write_facts
from .lines import measure_facts
from .samples import Samples, read_samples, require_file
from .trainingset import Reference, as_samples, of_dataset, of_pack, of_samples

if TYPE_CHECKING:
    from ..extractor.embed import Extractor

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
FACTS = "evaluation.safetensors"

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
    if starts_with(path, HDF5):
        reference, train, held_out = of_dataset(path, profile)
    elif _is_safetensors(path):
        reference = of_pack(read_reference(path), str(path))
        return replace(reference, facts=_facts_beside(path, reference, extractor))
    else:
        train = read_samples(path, profile=profile)
        if not train.labels:
            raise DatasetError(f"{path}: none of its {train.n_lines} lines is a label: {train.rejected[0].reason}")
        reference, held_out = of_samples(train), as_samples(to_columns([]), [], str(path), profile)
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


def _kept_facts(
    reference: Reference,
    train: Samples,
    held_out: Samples,
    extractor: Extractor | None,
    progress: Callable[[int], None],
) -> Facts:
    """Measured, or read from the cache where the same was measured before."""
    contents = (
        f"{reference.key} {reference.n} {reference.profile} {extractor.digest if extractor else ''} "
        f"{sorted(held_out.labels)}"
    )
    name = hashlib.sha256(contents.encode()).hexdigest()[:32]
    path = cache_folder("evaluation") / f"{name}.safetensors"
    if path.exists():
        try:
            return read_facts(path)
        except CheckpointError:  # of another version, or damaged: measure anew
            path.unlink()
    facts = measure_facts(
        reference,
        train,
        held_out,
        extractor=extractor,
        dataset={**reference.provenance, "labels": reference.key},
        progress=progress,
    )
    write_facts(path, facts)
    return read_facts(path)  # as the next run will see it: points are kept in half precision
