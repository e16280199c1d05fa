"""Files that hold tensors: what `wyckoffkit encode` writes and `wyckoffkit decode` reads.

JSON lines for programs without numpy, npz for those with it, HDF5 (see `dataset`) for everything larger.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from .encoding import WyckoffArrays, WyckoffColumns, concatenate, decode, encode, to_columns
from .errors import DatasetError, ProtostructureError
from .protostructure import Protostructure
from .spacegroup import SpaceGroup
from .textlines import open_lines

NPZ_FORMAT = 1
_COLUMNS = ("space_group", "offset", "position", "element", "count")
_CHUNK = 65_536

Labelled = tuple[str, Protostructure]


def write_tensors(materials: Iterable[Labelled], path: Path | None, *, n_elements: int) -> None:
    """Write (label, protostructure) pairs in the form that the suffix names: .h5, .npz, .jsonl; None is stdout.

    A file gets its name when it is complete, never before. DatasetError for another suffix.
    """
    if path is None:
        for line in _json_lines(materials, n_elements):
            sys.stdout.write(line)
        return
    writer = {".h5": _write_hdf5, ".hdf5": _write_hdf5, ".npz": _write_npz, ".jsonl": _write_jsonl}.get(path.suffix)
    if writer is None:
        raise DatasetError(f"{path}: tensors are written as .h5, .npz or .jsonl, got {path.suffix or 'no suffix'!r}")
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.partial{path.suffix}")
    try:
        writer(materials, partial_path, n_elements)
        os.replace(partial_path, path)
    finally:
        with suppress(FileNotFoundError):
            partial_path.unlink()


def _json_lines(materials: Iterable[Labelled], n_elements: int) -> Iterator[str]:
    for label, protostructure in materials:
        arrays = encode(protostructure, n_elements=n_elements)
        rows, columns = arrays.unconstrained.nonzero()
        counts = arrays.unconstrained[rows, columns]
        record = {
            "label": label,
            "space_group": arrays.space_group.number,
            "constrained": arrays.constrained.tolist(),
            # z∞ is nearly empty: [row, atomic number, orbits] for what is not.
            "unconstrained": np.stack([rows, columns + 1, counts], axis=1).tolist(),
            "n_elements": n_elements,
        }
        yield json.dumps(record) + "\n"


def _write_jsonl(materials: Iterable[Labelled], path: Path, n_elements: int) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(_json_lines(materials, n_elements))


def _columns(materials: Iterable[Labelled]) -> tuple[list[str], WyckoffColumns]:
    labels: list[str] = []
    chunks: list[WyckoffColumns] = []
    iterator = iter(materials)
    while chunk := list(islice(iterator, _CHUNK)):
        labels += [label for label, _ in chunk]
        chunks.append(to_columns(protostructure for _, protostructure in chunk))
    return labels, concatenate(chunks)


def _write_npz(materials: Iterable[Labelled], path: Path, n_elements: int) -> None:
    _, columns = _columns(materials)
    arrays = {name: getattr(columns, name) for name in _COLUMNS}
    np.savez_compressed(path, format=NPZ_FORMAT, n_elements=n_elements, **arrays)


def _write_hdf5(materials: Iterable[Labelled], path: Path, n_elements: int) -> None:
    from .dataset import write_dataset

    labels, columns = _columns(materials)
    write_dataset(path, columns, material_id=[str(i) for i in range(len(columns))], label=labels, n_elements=n_elements)


def read_tensors(path: Path) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    """(where, a function that decodes) for each material of a file that `write_tensors` or `build-dataset` wrote.

    The form is told by content. Decoding raises ProtostructureError where one material is wrong, so that the rest
    can go on; DatasetError for a file that is none of the three.
    """
    with open(path, "rb") as file:
        start = file.read(8)
    if not start:
        raise DatasetError(f"{path}: the file is empty")
    if start.startswith(b"\x89HDF"):
        from .dataset import read_dataset

        yield from _of_columns(path, read_dataset(path).columns)
    elif start.startswith(b"PK"):
        yield from _of_columns(path, _read_npz(path))
    else:
        yield from _read_jsonl(path)


def _of_columns(path: Path, columns: WyckoffColumns) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    for i in range(len(columns)):
        yield f"{path}: material {i}", partial(columns.protostructure, i)


def _read_npz(path: Path) -> WyckoffColumns:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("format", *_COLUMNS) if name not in arrays]
            if missing:
                raise DatasetError(f"{path}: not an npz of `wyckoffkit encode`: it lacks {', '.join(missing)}")
            if int(arrays["format"]) != NPZ_FORMAT:
                raise DatasetError(f"{path}: npz format {arrays['format']}, this version reads {NPZ_FORMAT}")
            columns = WyckoffColumns(*(arrays[name] for name in _COLUMNS))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: damaged or not an npz file ({error})") from None
    columns.check(str(path))
    return columns


def _read_jsonl(path: Path) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    with open_lines(path) as lines:
        first = next(lines, "")
        try:
            looks_right = isinstance(json.loads(first), dict)
        except (json.JSONDecodeError, RecursionError):
            looks_right = False
        if not looks_right:
            raise DatasetError(f"{path}: neither HDF5, npz nor JSON lines, so not a file of tensors")
        for number, line in enumerate(chain([first], lines), start=1):
            if line.strip():
                yield f"{path}:{number}", partial(_of_record, line)


def _of_record(line: str) -> Protostructure:
    try:
        record: dict[str, Any] = json.loads(line)
        group = SpaceGroup.from_number(record["space_group"])
        n_elements = record["n_elements"]
        unconstrained = np.zeros((len(group.unconstrained), n_elements), np.uint8)
        for row, z, count in record["unconstrained"]:
            if not (0 <= row < len(unconstrained) and 1 <= z <= n_elements and 1 <= count <= 255):
                raise ProtostructureError(f"[{row}, {z}, {count}] is no [row, atomic number, orbits] of this group")
            unconstrained[row, z - 1] = count
        arrays = WyckoffArrays(group, np.array(record["constrained"], np.uint8), unconstrained)
    except ProtostructureError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise ProtostructureError(f"not a record of `wyckoffkit encode`: {type(error).__name__} {error}") from None
    return decode(arrays)
