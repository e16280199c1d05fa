"""Datasets to and from HDF5: written whole or not at all, read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]  # ships no types
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__, tables
from ..encoding import DEFAULT_N_ELEMENTS, WyckoffColumns
from ..errors import DatasetError, WyckoffkitError
from ..files import replacing
from ..protostructure import DEFAULT_PROFILE
from .form import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    NO_REJECTED,
    REJECTED_TEXTS,
    SPLITS,
    TEXTS,
    Dataset,
    Rejected,
    positions_digest,
    unit_of,
)
from .seal import check_seal, seal_of

_CHUNK = 65_536  # rows; a chunk is what gzip packs at once
_REQUIRED = ("format_version", "positions_digest", "profile", "n_elements", "max_count")


def write_dataset(
    path: str | Path,
    columns: WyckoffColumns,
    *,
    material_id: Sequence[str] | NDArray[Any],
    label: Sequence[str] | NDArray[Any],
    split: ArrayLike | None = None,
    properties: Mapping[str, ArrayLike] | None = None,
    rejected: Rejected = NO_REJECTED,
    n_elements: int | None = None,
    profile: str = DEFAULT_PROFILE,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write N materials; the file gets its name when it is complete and on disk, never before.

    Without `split` all rows are training rows; without `n_elements` E is 100, or what the data need. `attributes`
    (engine, symprec, sources, licence …) are added to those that follow from the data. Raises DatasetError for columns
    of unequal length, and for a disk that cannot take the file.
    """
    path = Path(path)
    texts = {"material_id": _encoded(material_id), "label": _encoded(label)}
    splits = np.zeros(len(columns), np.uint8) if split is None else np.asarray(split, np.uint8)
    values = {name: np.asarray(column, np.float64) for name, column in (properties or {}).items()}
    for name, column in {**texts, "split": splits, **values}.items():
        if column.shape != (len(columns),):
            raise DatasetError(f"{path}: {name} has the shape {column.shape}, there are {len(columns)} materials")
    heaviest = int(columns.element.max(initial=0))
    if n_elements is not None and heaviest > n_elements:
        raise DatasetError(f"{path}: the data hold element {heaviest}, beyond the {n_elements} asked for")
    root = root_attributes(
        n_elements=n_elements or max(DEFAULT_N_ELEMENTS, heaviest),
        max_count=int(columns.count.max(initial=0)),
        n_written=len(columns),
        n_rejected=len(rejected),
        profile=profile,
    ) | dict(attributes or {})
    image = _image(root, columns, texts, splits, values, rejected)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(image + seal_of(image))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror or error}") from None


def root_attributes(
    *, n_elements: int, max_count: int, n_written: int, n_rejected: int, profile: str
) -> dict[str, Any]:
    """The attributes that every dataset has."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "toolkit_version": __version__,
        "table_digest": tables.digest(),
        "positions_digest": positions_digest(),
        "profile": profile,
        "n_elements": n_elements,
        "max_count": max_count,
        "n_read": n_written + n_rejected,
        "n_written": n_written,
        "n_rejected": n_rejected,
    }


def _image(
    root: Mapping[str, Any],
    columns: WyckoffColumns,
    texts: Mapping[str, NDArray[np.bytes_]],
    split: NDArray[np.uint8],
    properties: Mapping[str, NDArray[np.float64]],
    rejected: Rejected,
) -> bytes:
    """The file, made in memory: HDF5 itself does not survive a disk that is full."""
    with h5py.File("image", "w", driver="core", backing_store=False) as file:
        for name, value in root.items():
            file.attrs[name] = value
        for name in COLUMNS:
            column = getattr(columns, name)
            if name == "offset" and column[-1] < 1 << 32:
                column = column.astype(np.uint32)
            put_column(file, name, column)
        for name, text in texts.items():
            put_column(file, name, text)
        put_column(file, "split", split).attrs["values"] = list(SPLITS)
        for name, column in properties.items():
            dataset = put_column(file, name, column)
            dataset.attrs["kind"] = "property"
            dataset.attrs["units"] = unit_of(name)
        group = file.create_group("rejected")
        for name in REJECTED_TEXTS:
            put_column(group, name, _encoded(getattr(rejected, name)))
        file.flush()
        return bytes(file.id.get_file_image())


def put_column(
    where: h5py.Group,
    name: str,
    values: NDArray[Any] | None = None,
    *,
    kind: np.dtype[Any] | None = None,
    length: int | None = None,
) -> h5py.Dataset:
    """A packed column of these values; or an empty one of a kind and length, to be filled."""
    kind = kind if values is None else values.dtype
    length = length if values is None else len(values)
    assert kind is not None
    if not length:
        return where.create_dataset(name, data=np.zeros(0, kind) if values is None else values)
    # Shuffle gathers the slowly varying bytes of wider numbers; text packs better as it is.
    shuffle = kind.kind != "S" and kind.itemsize > 1
    packed = {"chunks": (min(_CHUNK, length),), "compression": "gzip", "compression_opts": 4, "shuffle": shuffle}
    return where.create_dataset(name, (length,), kind, data=values, **packed)


def _encoded(text: Sequence[str] | NDArray[Any]) -> NDArray[np.bytes_]:
    array = np.asarray(text)
    if array.dtype.kind == "S":
        return array
    if not array.size:
        return np.zeros(0, "S1")
    return np.char.encode(array.astype(np.str_), "utf-8")


def read_dataset(path: str | Path) -> Dataset:
    """The dataset in a file. DatasetError, in a sentence, for any file that is not one of this version."""
    with open_dataset(path) as file:
        return _read(Path(path), file)


@contextmanager
def open_dataset(path: str | Path) -> Iterator[h5py.File]:
    """The HDF5 file of a dataset, its attributes checked; what goes wrong while it is open is a DatasetError."""
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: no such file")
    if path.is_dir():
        raise DatasetError(f"{path}: a folder, not a dataset")
    if not path.stat().st_size:
        raise DatasetError(f"{path}: the file is empty")
    try:
        check_seal(path)
        with h5py.File(path, "r") as file:
            _check_root(path, file.attrs)
            _check_members(path, file)
            yield file
    except WyckoffkitError:
        raise
    except Exception as error:  # HDF5 and its binding raise whatever a damaged byte leads them to
        raise DatasetError(f"{path}: {_reason(path, error)}") from None


def _reason(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, PermissionError):
        return "the file may not be read"
    with open(path, "rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            return "not an HDF5 file, so not a dataset (`wyckoffkit build-dataset` makes one)"
    if "truncated" in text:
        return "the file is cut off; it is shorter than its header says"
    return f"the HDF5 file is damaged ({text})"


def _check_root(path: Path, root: Mapping[str, Any]) -> None:
    if root.get("format") != FORMAT:
        raise DatasetError(f"{path}: an HDF5 file, but not a {FORMAT} (its attribute format is {root.get('format')!r})")
    missing = [name for name in _REQUIRED if name not in root]
    if missing:
        raise DatasetError(f"{path}: the dataset lacks the attribute {missing[0]}")
    if root["format_version"] != FORMAT_VERSION:
        raise DatasetError(
            f"{path}: format version {root['format_version']}; this version of wyckoffkit ({__version__}) reads "
            f"{FORMAT_VERSION}"
        )
    if root["positions_digest"] != positions_digest():
        raise DatasetError(
            f"{path}: made with other tables of Wyckoff positions (digest {str(root['positions_digest'])[:12]}…, here "
            f"{positions_digest()[:12]}…), so its numbers mean other letters; build it again"
        )


def _check_members(path: Path, group: h5py.Group) -> None:
    """All data lie in the file itself: HDF5 would follow a name to other files."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DatasetError(f"{path}: {name} is a link to elsewhere, a dataset holds its data itself")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_members(path, item)
        elif item.external or item.is_virtual:
            raise DatasetError(f"{path}: {name} lies in another file, a dataset holds its data itself")


def _read(path: Path, file: h5py.File) -> Dataset:
    missing = [name for name in (*COLUMNS, *TEXTS, "split") if name not in file]
    if missing:
        raise DatasetError(f"{path}: the dataset lacks {', '.join(missing)}")
    offset = file["offset"][...].astype(np.int64)
    columns = WyckoffColumns(*(offset if name == "offset" else file[name][...] for name in COLUMNS))
    columns.check(str(path))
    texts = {name: file[name][...] for name in TEXTS}
    properties = {
        name: item[...]
        for name, item in file.items()
        if isinstance(item, h5py.Dataset) and item.attrs.get("kind") == "property"
    }
    split = file["split"][...]
    for name, column in {**texts, "split": split, **properties}.items():
        if column.shape != (len(columns),):
            raise DatasetError(f"{path}: {name} has {len(column)} rows, there are {len(columns)} materials")
    if split.size and split.max() >= len(SPLITS):
        raise DatasetError(f"{path}: split holds {split.max()}; it is 0 (train), 1 (validation) or 2 (test)")
    rejected = Rejected(*(_strings(file, f"rejected/{name}") for name in REJECTED_TEXTS))
    return Dataset(columns, split, properties, dict(file.attrs), rejected, texts)


def _strings(file: h5py.File, name: str) -> tuple[str, ...]:
    return tuple(text.decode() for text in file[name][...].tolist()) if name in file else ()
