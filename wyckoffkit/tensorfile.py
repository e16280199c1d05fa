"""Files that hold tensors: what `wyckoffkit encode` writes and `wyckoffkit decode` reads.

JSON lines for programs without numpy, npz for those with it, HDF5 (see `dataset`) for everything larger.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .canonical import AS_GIVEN
from .canonical_columns import canonical_columns
from .encoding import COLUMN_TYPES, WyckoffArrays, WyckoffColumns, decode, encode, to_columns
from .errors import DatasetError, ProtostructureError
from .files import replacing
from .protostructure import DEFAULT_PROFILE, Protostructure
from .spacegroup import SpaceGroup
from .spool import BLOCK, ColumnSpool
from .textlines import HDF5, open_lines, starts_with

NPZ_FORMAT = 1
_CHUNK = 8_192  # protostructures in memory at a time

Labelled = tuple[str, Protostructure]


def write_tensors(
    materials: Iterable[Labelled], path: Path | None, *, n_elements: int, profile: str | None = None
) -> str:
    """Write (label, protostructure) pairs in the form that the suffix names: .h5, .npz, .jsonl; None is stdout.

    Memory does not grow with the number of materials. With a profile, all are made canonical under it; without, they
    stay as they are. Returns the profile that the file records: where materials stay as they are and one is not
    canonical under the default profile, AS_GIVEN. A file gets its name when it is complete, never before. DatasetError
    for another suffix.
    """
    if profile is not None:
        materials = _canonical(materials, profile)
    if path is None:
        for line in _json_lines(materials, n_elements):
            sys.stdout.write(line)
        return profile or AS_GIVEN
    writer = {".h5": _write_hdf5, ".hdf5": _write_hdf5, ".npz": _write_npz, ".jsonl": _write_jsonl}.get(path.suffix)
    if writer is None:
        raise DatasetError(f"{path}: tensors are written as .h5, .npz or .jsonl, got {path.suffix or 'no suffix'!r}")
    with replacing(path) as temporary:
        return writer(materials, temporary, n_elements, profile)


def _canonical(materials: Iterable[Labelled], profile: str) -> Iterator[Labelled]:
    for _, protostructure in materials:
        canonical = protostructure.canonical(profile)
        yield str(canonical), canonical


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


def _write_jsonl(materials: Iterable[Labelled], temporary: Path, n_elements: int, profile: str | None) -> str:
    with open(temporary, "w", encoding="utf-8") as file:
        file.writelines(_json_lines(materials, n_elements))
    return profile or AS_GIVEN


def _write_npz(materials: Iterable[Labelled], path: Path, n_elements: int, profile: str | None) -> str:
    with ColumnSpool(path.parent) as spool:
        recorded = _fill(spool, materials, profile)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in (("format", NPZ_FORMAT), ("n_elements", n_elements), ("profile", recorded)):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(value), allow_pickle=False)
            for name in COLUMN_TYPES:
                # numpy would gather each column in memory; what stands before its values is all that differs.
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    kind = np.dtype(COLUMN_TYPES[name])
                    header = {"descr": kind.str, "fortran_order": False, "shape": (spool.length(name),)}
                    np.lib.format.write_array_header_1_0(member, header)
                    for block in spool.blocks(name):
                        member.write(block.tobytes())
    return recorded


def _write_hdf5(materials: Iterable[Labelled], path: Path, n_elements: int, profile: str | None) -> str:
    from .dataset import write_spool

    with ColumnSpool(path.parent) as spool:
        recorded = _fill(spool, materials, profile)
        write_spool(path, spool, n_elements=n_elements, profile=recorded)
    return recorded


def _fill(spool: ColumnSpool, materials: Iterable[Labelled], profile: str | None) -> str:
    """Spool all materials, and find the profile to record: the one they were made canonical under, or the default."""
    recorded = profile or DEFAULT_PROFILE
    iterator = iter(materials)
    while chunk := list(islice(iterator, _CHUNK)):
        columns = to_columns(protostructure for _, protostructure in chunk)
        spool.append(columns, [label for label, _ in chunk])
        if profile is None and recorded != AS_GIVEN and canonical_columns(columns) != columns:
            recorded = AS_GIVEN
    return recorded


def read_tensors(path: Path) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    """(where, a function that decodes) for each material of a file that `write_tensors` or `build-dataset` wrote.

    The form is told by content; stdin ('-') and other pipes hold JSON lines. Decoding raises ProtostructureError where
    one material is wrong, so that the rest can go on; DatasetError for a file that is none of the three.
    """
    if str(path) == "-":
        yield from _read_jsonl(path)
        return
    if path.is_file() and not path.stat().st_size:
        raise DatasetError(f"{path}: the file is empty")
    if starts_with(path, HDF5):
        from .dataset import read_columns

        yield from _of_columns(path, read_columns(path))
    elif starts_with(path, b"PK"):
        yield from _of_columns(path, _read_npz(path))
    else:
        yield from _read_jsonl(path)


def _of_columns(path: Path, blocks: Iterable[WyckoffColumns]) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    start = 0
    for columns in blocks:
        for i in range(len(columns)):
            yield f"{path}: material {start + i}", partial(columns.protostructure, i)
        start += len(columns)


def _read_npz(path: Path) -> Iterator[WyckoffColumns]:
    """Columns of an npz file, some materials at a time."""
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as opened:
            missing = {f"{name}.npy" for name in ("format", *COLUMN_TYPES)} - set(archive.namelist())
            if missing:
                names = ", ".join(sorted(name.removesuffix(".npy") for name in missing))
                raise DatasetError(f"{path}: not an npz of `wyckoffkit encode`: it lacks {names}")
            with archive.open("format.npy") as member:
                version = int(np.lib.format.read_array(member, allow_pickle=False))
            if version != NPZ_FORMAT:
                raise DatasetError(f"{path}: npz format {version}, this version reads {NPZ_FORMAT}")
            members = {name: _Member(opened.enter_context(archive.open(f"{name}.npy"))) for name in COLUMN_TYPES}
            yield from _blocks(path, members)
    except Exception as error:  # on damaged data zipfile, zlib and numpy fail in any way there is
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: damaged or not an npz file ({error})") from None


class _Member:
    """A one-dimensional array in an npz file, read from its start."""

    def __init__(self, file: IO[bytes]) -> None:
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        version, _ = np.lib.format.read_magic(file)
        shape, _, self._kind = read[version](file)
        if len(shape) != 1 or self._kind.hasobject or version not in read:
            raise ValueError(f"a column of the shape {shape} and kind {self._kind}")
        self._file = file
        self.length = int(shape[0])

    def take(self, n: int) -> NDArray[Any]:
        """The next n values."""
        found = self._file.read(n * self._kind.itemsize)
        if len(found) < n * self._kind.itemsize:
            raise EOFError("a column ends early")
        return np.frombuffer(found, self._kind)


def _blocks(path: Path, members: dict[str, _Member]) -> Iterator[WyckoffColumns]:
    n, slots = members["space_group"].length, members["position"].length
    if members["offset"].length != n + 1 or {members[name].length for name in ("element", "count")} != {slots}:
        raise DatasetError(f"{path}: columns of different lengths")
    last = members["offset"].take(1).astype(np.int64)
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        offset = np.concatenate([last, members["offset"].take(rows)]).astype(np.int64)
        taken = int(offset[-1] - offset[0])
        begins, ends = start > 0 or offset[0] == 0, start + rows < n or offset[-1] == slots
        if not (begins and ends) or offset[-1] > slots or (np.diff(offset) < 0).any():
            raise DatasetError(f"{path}: offsets must rise from 0 to {slots}, the number of occupied slots")
        triples = (members[name].take(taken) for name in ("position", "element", "count"))
        columns = WyckoffColumns(members["space_group"].take(rows), offset - offset[0], *triples)
        columns.check(f"{path}, from material {start} on")
        last = offset[-1:]
        yield columns


def _read_jsonl(path: Path) -> Iterator[tuple[str, Callable[[], Protostructure]]]:
    with open_lines(path) as lines:
        first = next(lines, "")
        try:
            looks_right = isinstance(json.loads(first), dict)
        except (json.JSONDecodeError, RecursionError):
            looks_right = False
        called = "<stdin>" if str(path) == "-" else str(path)
        if not looks_right:
            raise DatasetError(f"{called}: neither HDF5, npz nor JSON lines, so not a file of tensors")
        for number, line in enumerate(chain([first], lines), start=1):
            if line.strip():
                yield f"{called}:{number}", partial(_of_record, line)


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
        reason = f"no field {error}" if isinstance(error, KeyError) else f"{type(error).__name__} {error}"
        raise ProtostructureError(f"not a record of `wyckoffkit encode`: {reason}") from None
    return decode(arrays)
