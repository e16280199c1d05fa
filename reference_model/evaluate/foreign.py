"""Samples in other projects' own formats; what many programs read (CIF, CSV with `cif` …) is wyckoffkit.sources' work.

Tensors of CDVAE and its kin (DiffCSP, DiffCSP++, SymmCD, FlowMM), columns of CrystalFormer, genes of the Wyckoff
Transformer (the arguments of pyxtal's `from_random`). Written from what the files hold.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import pathlib
import pickle  # only for UnpicklingError, which torch raises: nothing is unpickled
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wyckoffkit import DatasetError, Orbit, Protostructure, ProtostructureError, SpaceGroup
from wyckoffkit.elements import SYMBOLS
from wyckoffkit.symmetry import Crystal
from wyckoffkit.textlines import compression, decompressed, open_lines

Made = tuple[int, str, Callable[[], Protostructure | Crystal]]
"""Number of the material, how to show it, and a function that makes it or raises a named error."""

_SITE = re.compile(r"([0-9]+)([a-zA])")
_ARRAYS = ("frac_coords", "num_atoms", "atom_types", "lengths", "angles")


def foreign(path: Path) -> Iterator[Made] | None:
    """The materials of a file in one of these formats, told by content; None for a file in none of them."""
    if path.is_dir():
        return None
    with open(path, "rb") as file:
        start = file.read(2)
    if start == b"\x80\x02" or (start == b"PK" and _is_torch_archive(path)):
        return _of_tensors(path)
    try:
        with open(path, "rb") as file, decompressed(file, compression(path), path) as stream:
            head = stream.read(4096)
    except (OSError, EOFError):
        return None
    if head.lstrip()[:1] in (b"[", b"{") and b'"group"' in head and b'"sites"' in head and b'"species"' in head:
        return _of_genes(path)
    columns = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(",")
    if {"A", "W"} <= set(columns):
        return _of_columns(path)
    return None


def _is_torch_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _of_tensors(path: Path) -> Iterator[Made]:
    """Every structure of a `.pt` file; its settings may be an argparse namespace with paths, nothing else is built."""
    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace, pathlib.PosixPath]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise DatasetError(
                f"{path} holds Python objects besides tensors, and unpickling those can run any code, so it is "
                "refused. If you trust it, write its structures as CIF or extxyz first"
            ) from None
        raise DatasetError(f"{path} is no torch file, or is cut off: {error}") from None
    except Exception as error:  # on damaged data torch's restricted unpickler fails in any way there is
        raise DatasetError(f"{path} is no torch file, or is cut off: {error}") from None
    missing = [name for name in _ARRAYS if not isinstance(content, dict) or name not in content]
    if missing:
        raise DatasetError(f"{path} is no file of generated structures: it lacks {', '.join(missing)}")
    arrays = {name: _stacked(content[name]) for name in _ARRAYS}
    for k in range(len(arrays["num_atoms"])):
        yield from _of_batch(path, {name: value[k] for name, value in arrays.items()}, k)


def _stacked(value: Any) -> list[np.ndarray]:
    """One array for each evaluation: the files have (evaluations, …), (…) or a list of batches."""
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
        return list(value) if value.ndim > 1 and (value.ndim == 3 or not _is_rows(value)) else [value]
    return [np.asarray(v) for v in value]


def _is_rows(value: np.ndarray) -> bool:
    """(n, 3) floats: coordinates, lengths or angles, not evaluations of counts."""
    return value.ndim == 2 and np.issubdtype(value.dtype, np.floating)


def _of_batch(path: Path, arrays: Mapping[str, np.ndarray], k: int) -> Iterator[Made]:
    counts = arrays["num_atoms"].astype(np.int64).ravel()
    types = arrays["atom_types"]
    if types.ndim == 2:  # scores of elements 1 … E
        types = types.argmax(axis=1) + 1
    if counts.sum() != len(arrays["frac_coords"]) or len(types) != counts.sum():
        raise DatasetError(f"{path}: {counts.sum()} atoms by num_atoms, {len(arrays['frac_coords'])} coordinates")
    bounds = np.concatenate([[0], np.cumsum(counts)])
    for i in range(len(counts)):
        span = slice(bounds[i], bounds[i + 1])
        make = partial(_crystal, arrays["lengths"][i], arrays["angles"][i], arrays["frac_coords"][span], types[span])
        yield k * len(counts) + i, f"structure {i} of evaluation {k}", make


def _crystal(lengths: np.ndarray, angles: np.ndarray, frac: np.ndarray, numbers: np.ndarray) -> Crystal:
    a, b, c = map(float, lengths)
    cos_a, cos_b, cos_g = np.cos(np.radians(angles.astype(np.float64)))
    sin_g = np.sqrt(max(0.0, 1 - cos_g**2)) or np.nan
    x, y = c * cos_b, c * (cos_a - cos_b * cos_g) / sin_g
    z = np.sqrt(max(0.0, c * c - x * x - y * y))
    return Crystal(np.array([[a, 0, 0], [b * cos_g, b * sin_g, 0], [x, y, z]]), frac, numbers)


def _of_genes(path: Path) -> Iterator[Made]:
    try:
        with open(path, "rb") as file, decompressed(file, compression(path), path) as stream:
            content = json.load(stream)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: damaged, or not JSON: {error}") from None
    genes = [content] if isinstance(content, dict) else content
    for i, gene in enumerate(genes):
        yield i, json.dumps(gene)[:200], partial(_of_gene, gene)


def _of_gene(gene: Any) -> Protostructure:
    try:
        group = SpaceGroup.from_number(int(gene["group"]))
        orbits = [
            Orbit(str(species), _letter(group, site))
            for species, sites in zip(gene["species"], gene["sites"], strict=True)
            for site in sites
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProtostructureError):
            raise
        raise ProtostructureError(f"not a gene (group, species, sites): {error!r}") from None
    return Protostructure(group, tuple(orbits))


def _letter(group: SpaceGroup, site: Any) -> str:
    """`4a`, with the multiplicity that the position has, or the letter alone."""
    text = next(iter(site)) if isinstance(site, Mapping) else str(site)
    match = _SITE.fullmatch(text)
    letter = match[2] if match else text
    due = group.position(letter).multiplicity
    if match and int(match[1]) != due:
        raise ProtostructureError(f"position {letter} of {group.symbol} has multiplicity {due}, got {match[1]}")
    return letter


def _of_columns(path: Path) -> Iterator[Made]:
    """CrystalFormer's CSV: atomic numbers A and Wyckoff letters W (1 is a) of each orbit, 0 where there is none.

    The space group is column G, else it stands in the file's name (output_225.csv).
    """
    named = re.search(r"([0-9]{1,3})(?:_struct)?\.csv", path.name)
    with open_lines(path) as lines:
        for i, row in enumerate(csv.DictReader(lines)):
            group = row.get("G") or (named[1] if named else None)
            if group is None:
                raise DatasetError(f"{path}: the space group is neither in a column G nor in the name (output_225.csv)")
            yield i, f"A={row['A']} W={row['W']}"[:200], partial(_of_row, group, row["A"], row["W"])


def _of_row(group: str, elements: str, letters: str) -> Protostructure:
    space_group = SpaceGroup.from_number(int(group))
    try:
        numbers: Sequence[int] = [int(z) for z in ast.literal_eval(elements)]
        places: Sequence[int] = [int(w) for w in ast.literal_eval(letters)]
        pairs = [(z, w) for z, w in zip(numbers, places, strict=True) if z or w]
        orbits = [Orbit(SYMBOLS[z], space_group.letters[w - 1]) for z, w in pairs if z > 0 and w > 0]
    except (ValueError, SyntaxError, TypeError, IndexError) as error:
        raise ProtostructureError(f"not atomic numbers and Wyckoff letters of {space_group.symbol}: {error}") from None
    if len(orbits) != len(pairs):
        raise ProtostructureError("an orbit without an element, or an element without a position")
    return Protostructure(space_group, tuple(orbits))
