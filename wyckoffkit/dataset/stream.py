"""Datasets larger than memory: written from a spool and read by blocks, the same file as `write_dataset` makes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]  # ships no types
import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..encoding import WyckoffColumns
from ..errors import DatasetError
from ..spool import BLOCK, ColumnSpool
from .form import COLUMNS, NO_REJECTED, REJECTED_TEXTS, SPLITS, TEXTS
from .seal import seal
from .store import open_dataset, put_column, root_attributes


def write_spool(
    path: Path,
    spool: ColumnSpool,
    *,
    n_elements: int,
    profile: str,
    prefix: str = "",
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write a spool as a dataset of training rows, named by `prefix` and their number from 0.

    DatasetError for a full disk.
    """
    # HDF5 does not survive a disk that fills up while it writes; packed, the columns take less than they do spooled.
    if shutil.disk_usage(path.parent).free < spool.size:
        raise DatasetError(f"{path.parent}: no space left for a dataset of up to {spool.size:,} bytes")
    root = root_attributes(
        n_elements=n_elements,
        max_count=spool.max_count,
        n_written=spool.n_materials,
        n_rejected=len(NO_REJECTED),
        profile=profile,
    ) | dict(attributes or {})
    n = spool.n_materials
    with h5py.File(path, "w") as file:
        for name, value in root.items():
            file.attrs[name] = value
        for name in COLUMNS:
            narrow: DTypeLike = np.uint8 if name != "offset" else np.uint32 if spool.n_slots < 1 << 32 else np.int64
            _fill(file, name, spool.length(name), np.dtype(narrow), spool.blocks(name))
        _fill(file, "material_id", n, np.dtype(f"S{len(f'{prefix}{max(n - 1, 0)}')}"), _names(prefix, n))
        _fill(file, "label", n, np.dtype(f"S{spool.label_width}"), spool.labels())
        split = (np.zeros(min(BLOCK, n - start), np.uint8) for start in range(0, n, BLOCK))
        _fill(file, "split", n, np.dtype(np.uint8), split).attrs["values"] = list(SPLITS)
        group = file.create_group("rejected")
        for name in REJECTED_TEXTS:
            put_column(group, name, np.zeros(0, "S1"))
    seal(path)


def _names(prefix: str, n: int) -> Iterator[NDArray[np.bytes_]]:
    for start in range(0, n, BLOCK):
        yield np.char.add(prefix.encode(), np.arange(start, min(n, start + BLOCK)).astype("S"))


def _fill(file: h5py.File, name: str, length: int, kind: np.dtype[Any], blocks: Iterator[NDArray[Any]]) -> h5py.Dataset:
    """A column made of blocks."""
    dataset = put_column(file, name, kind=kind, length=length)
    start = 0
    for block in blocks:
        dataset[start : start + len(block)] = block
        start += len(block)
    if start != length:
        raise DatasetError(f"{file.filename}: {name} has {start} rows, there should be {length}")
    return dataset


def read_columns(path: Path) -> Iterator[WyckoffColumns]:
    """The columns of a dataset, at most BLOCK materials at a time. DatasetError as for `read_dataset`."""
    with open_dataset(path) as file:
        missing = [name for name in (*COLUMNS, *TEXTS, "split") if name not in file]
        if missing:
            raise DatasetError(f"{path}: the dataset lacks {', '.join(missing)}")
        n = len(file["space_group"])
        slots = len(file["position"])
        if file["offset"].shape != (n + 1,) or {len(file[name]) for name in ("element", "count")} != {slots}:
            raise DatasetError(f"{path}: columns of different lengths")
        if file["offset"][0] != 0 or file["offset"][-1] != slots:
            raise DatasetError(f"{path}: offsets must rise from 0 to {slots}, the number of occupied slots")
        for start in range(0, n, BLOCK):
            offset = file["offset"][start : start + BLOCK + 1].astype(np.int64)
            span = slice(int(offset[0]), int(offset[-1]))
            triples = (file[name][span] for name in ("position", "element", "count"))
            columns = WyckoffColumns(file["space_group"][start : start + BLOCK], offset - offset[0], *triples)
            columns.check(f"{path}, from material {start} on")
            yield columns
