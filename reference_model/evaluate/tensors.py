"""Structures that diffusion models save as tensors: CDVAE, DiffCSP, DiffCSP++, SymmCD and FlowMM, in files of torch.

All hold fractional coordinates, atom types, lengths (Å) and angles (°) of the cell, and numbers of atoms, one after
another; some a further dimension or list for each evaluation. Nothing in such a file is run.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, Protostructure
from wyckoffkit.symmetry import Crystal, lattice_of

from ..torchfile import TorchFileError, conversion, read_torch_file

Made = tuple[int, str, Callable[[], Protostructure | Crystal]]
"""Number of the material, how to show it, and a function that makes it or raises a named error."""

Batch = Mapping[str, np.ndarray]

ARRAYS = ("frac_coords", "num_atoms", "atom_types", "lengths", "angles")
ELEMENT_SCORES, ELEMENT_BITS = 100, 7
"""Atom types of two dimensions: a score for each of the elements 1 … 100, or FlowMM's seven analog bits of Z - 1."""

# FlowMM's consolidated files hold what was asked for as graphs of torch_geometric, which are not needed. Batches of
# them, as in DiffCSP's eval_diff.pt, are pickled as calls of objects, and refused.
INERT = ("torch_geometric.", "numpy.", "_codecs.encode")
CONVERT = (
    f"If you trust it, keep its tensors alone, where it was written: {conversion(f'{{k: c[k] for k in {ARRAYS}}}')}"
)


def generated_tensors(path: Path) -> Iterator[Made]:
    """Every structure of a `.pt` file. Raises DatasetError for one with other objects, and for one of another shape."""
    number = 0
    for k, batch in enumerate(_batches(path, _plain(path))):
        for i, make in enumerate(_structures(path, batch)):
            yield number, f"structure {i} of evaluation {k}", make
            number += 1


def _plain(path: Path) -> Any:
    """Its settings may be an argparse namespace with paths; nothing else is built."""
    try:
        return read_torch_file(path, inert=INERT, allowed=(argparse.Namespace, pathlib.PosixPath))
    except TorchFileError as error:
        raise DatasetError(f"{error}. {CONVERT}" if error.has_objects else str(error)) from None


def _batches(path: Path, content: Any) -> Iterator[Batch]:
    """One for each evaluation: arrays (evaluations, …), (…) alone, lists of arrays, or lists of whole dictionaries."""
    if isinstance(content, list | tuple) and content:
        for part in content:
            yield from _batches(path, part)
        return
    missing = [name for name in ARRAYS if not isinstance(content, dict) or name not in content]
    if missing:
        raise DatasetError(f"{path} is no file of generated structures: it lacks {', '.join(missing)}")
    coordinates = content["frac_coords"]
    if not isinstance(coordinates, list | tuple) and coordinates.ndim == 2:
        yield {name: np.asarray(content[name]) for name in ARRAYS}
        return
    numbers = {len(content[name]) for name in ARRAYS}
    if len(numbers) > 1:
        raise DatasetError(f"{path}: its arrays are of {' and '.join(map(str, sorted(numbers)))} evaluations")
    for k in range(*numbers):
        yield {name: np.asarray(content[name][k]) for name in ARRAYS}


def _structures(path: Path, batch: Batch) -> Iterator[Callable[[], Crystal]]:
    counts = batch["num_atoms"].astype(np.int64).ravel()
    lengths, angles = (batch[name].reshape(-1, 3) for name in ("lengths", "angles"))
    types = _atomic_numbers(path, batch["atom_types"])
    if counts.sum() != len(batch["frac_coords"]) or len(types) != counts.sum():
        raise DatasetError(f"{path}: {counts.sum()} atoms by num_atoms, {len(batch['frac_coords'])} coordinates")
    if not len(lengths) == len(angles) == len(counts):
        raise DatasetError(f"{path}: {len(counts)} structures by num_atoms, {len(lengths)} cells")
    bounds = np.concatenate([[0], np.cumsum(counts)])
    for i in range(len(counts)):
        span = slice(bounds[i], bounds[i + 1])
        yield partial(_crystal, lengths[i], angles[i], batch["frac_coords"][span], types[span])


def _atomic_numbers(path: Path, types: np.ndarray) -> np.ndarray:
    """(N,) of (N,) atomic numbers, (N, 100) scores or (N, 7) bits, the least one first."""
    if types.ndim == 1:
        return types
    if types.shape[1:] == (ELEMENT_SCORES,):
        return types.argmax(axis=1) + 1
    if types.shape[1:] == (ELEMENT_BITS,):
        return (types > 0) @ (1 << np.arange(ELEMENT_BITS)) + 1
    raise DatasetError(
        f"{path}: atom_types has the shape {types.shape}, expected atomic numbers, scores of {ELEMENT_SCORES} elements "
        f"or {ELEMENT_BITS} bits for each atom"
    )


def _crystal(lengths: np.ndarray, angles: np.ndarray, frac: np.ndarray, numbers: np.ndarray) -> Crystal:
    return Crystal(lattice_of(lengths, angles), frac, numbers)
