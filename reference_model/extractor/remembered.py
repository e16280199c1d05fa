"""Embeddings of labels, kept from one evaluation to the next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckoffkit import CheckpointError

from ..reference import contains, fingerprints
from ..tensorfile import read_tensors, write_tensors
from .embed import Embedded, Extractor

if TYPE_CHECKING:
    from wyckoffkit.encoding import WyckoffColumns

    Array = np.ndarray[Any, np.dtype[Any]]

KIND = "embeddings"
FORMAT_VERSION = 1
MOST = 100_000
"""Labels of one extractor that are kept; at 128 dimensions 53 MB."""


def cache_folder(name: str) -> Path:
    """Where things are kept that can be computed again: `$XDG_CACHE_HOME/wyckoffkit/NAME`, or under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wyckoffkit" / name


def embed_labels(extractor: Extractor, labels: Sequence[str], columns: WyckoffColumns) -> Embedded:
    """Embeddings of N materials and their labels, each label computed once, now or in an earlier evaluation.

    What is kept goes by the digest of the extractor's weights. A cache that cannot be read or written is done without.
    """
    path = cache_folder(KIND) / f"{extractor.digest[:32]}.safetensors"
    kept, seen = _read(path, extractor.n_dimensions)
    wanted, first, where = np.unique(fingerprints(labels), return_index=True, return_inverse=True)
    is_new = ~contains(kept, wanted)
    if is_new.any():
        new = extractor.embed(columns.select(np.sort(first[is_new])))
        order = np.argsort(np.argsort(first[is_new]))  # materials in their own order, results in that of `wanted`
        kept, seen = _merged(kept, seen, wanted[is_new], new[order])
        with suppress(OSError):
            _write(path, *_newest(kept, seen, wanted))
    return seen[np.searchsorted(kept, wanted)[where]]


def _merged(kept: Array, seen: Embedded, new: Array, embedded: Embedded) -> tuple[Array, Embedded]:
    both = np.concatenate([kept, new])
    order = np.argsort(both)
    embedding = np.concatenate([seen.embedding, embedded.embedding])
    return both[order], Embedded(embedding, np.concatenate([seen.energy, embedded.energy]))[order]


def _newest(kept: Array, seen: Embedded, wanted: Array) -> tuple[Array, Embedded]:
    """At most MOST of them, those of this evaluation before others."""
    if len(kept) <= MOST:
        return kept, seen
    rank = np.argsort(~contains(wanted, kept), kind="stable")[:MOST]
    rows = np.sort(rank)
    return kept[rows], seen[rows]


def _read(path: Path, n_dimensions: int) -> tuple[Array, Embedded]:
    nothing = np.zeros(0, np.uint64), Embedded(np.zeros((0, n_dimensions), np.float32), np.zeros(0))
    try:
        tensors, _ = read_tensors(path, KIND, FORMAT_VERSION, framework="np")
    except CheckpointError:
        return nothing
    return tensors["label"], Embedded(tensors["embedding"], tensors["energy"])


def _write(path: Path, kept: Array, seen: Embedded) -> None:
    tensors = {"label": kept, "embedding": seen.embedding, "energy": seen.energy}
    write_tensors(path, KIND, FORMAT_VERSION, tensors, {})
