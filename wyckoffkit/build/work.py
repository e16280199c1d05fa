"""One chunk of entries into one shard of columns: the work that is spread over processes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoding import COLUMN_TYPES, WyckoffColumns, concatenate, to_columns
from ..errors import DatasetError, WyckoffkitError
from ..protostructure import Protostructure
from ..sources import Entry, EntryError, Record, broken_rule, read_entry
from ..symmetry import protostructure_of
from .options import BuildOptions

_MAX_NAME = 200
_MAX_REASON = 1000
"""Bytes. Text columns are as wide as their longest entry, so one entry must not decide for all."""
_TEXTS = ("material_id", "label", "rejected_id", "rejected_place", "rejected_reason")


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """What became of one chunk: M materials and R rejected rows."""

    columns: WyckoffColumns
    texts: Mapping[str, NDArray[np.bytes_]]
    """UTF-8: material_id and label (M,), rejected_id, rejected_place and rejected_reason (R,)."""
    properties: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(M,) each, NaN where unknown."""
    notes: int = 0
    """Materials about which something had to be decided (deuterium taken as H …)."""
    from_structures: int = 0
    """Materials whose label was found here; the others brought one."""

    def to_bytes(self) -> bytes:
        """As npz."""
        arrays: dict[str, Any] = {name: getattr(self.columns, name) for name in COLUMN_TYPES}
        arrays |= self.texts
        arrays |= {f"property_{name}": column for name, column in self.properties.items()}
        file = io.BytesIO()
        np.savez(file, notes=np.int64(self.notes), from_structures=np.int64(self.from_structures), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Shard:
        """Raises DatasetError for bytes that are no shard."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                columns = WyckoffColumns(*(arrays[name] for name in COLUMN_TYPES))
                texts = {name: arrays[name] for name in _TEXTS}
                properties = {
                    name.removeprefix("property_"): arrays[name] for name in arrays if name.startswith("property_")
                }
                return cls(columns, texts, properties, int(arrays["notes"]), int(arrays["from_structures"]))
        except Exception as error:  # on damaged data zipfile, zlib and numpy fail in any way there is
            raise DatasetError(f"not a shard: {error}") from None


def join(shards: Sequence[Shard]) -> Shard:
    """Several shards as one, in order."""
    texts = {name: np.concatenate([s.texts[name] for s in shards] or [np.zeros(0, "S1")]) for name in _TEXTS}
    names = dict.fromkeys(name for shard in shards for name in shard.properties)
    properties = {
        name: np.concatenate([s.properties.get(name, np.full(len(s.columns), np.nan)) for s in shards])
        for name in names
    }
    return Shard(
        concatenate([shard.columns for shard in shards]),
        texts,
        properties,
        sum(shard.notes for shard in shards),
        sum(shard.from_structures for shard in shards),
    )


def work(
    entries: Sequence[Entry],
    options: BuildOptions,
    quarantine: Mapping[int, str] | None = None,
    begin: Callable[[int], None] | None = None,
) -> Shard:
    """Read, label and encode every entry; those that hold no material are rejected with their reason.

    `quarantine` gives entries (by index) that have broken a worker, with the reason; `begin` hears of each entry.
    """
    names: list[str] = []
    found: list[Protostructure] = []
    values: list[Mapping[str, float]] = []
    rejected: list[tuple[str, str, str]] = []
    notes = from_structures = 0
    for i, entry in enumerate(entries):
        if begin:
            begin(i)
        try:
            if quarantine and i in quarantine:
                raise EntryError(quarantine[i], entry.material_id.removeprefix("#"))
            record, protostructure = _one(entry, options)
        except EntryError as error:
            rejected.append((_cut(error.material_id, _MAX_NAME), entry.place, _cut(str(error), _MAX_REASON)))
            continue
        names.append(record.material_id)
        found.append(protostructure)
        values.append(record.properties)
        if record.crystal is not None:
            from_structures += 1
            notes += bool(record.crystal.notes)
    texts = {
        "material_id": utf8(names),
        "label": utf8([str(p) for p in found]),
        **{name: utf8([row[k] for row in rejected]) for k, name in enumerate(_TEXTS[2:])},
    }
    keys = sorted({key for row in values for key in row})
    columns = {key: np.array([row.get(key, np.nan) for row in values], np.float64) for key in keys}
    return Shard(to_columns(found), texts, columns, notes, from_structures)


def _one(entry: Entry, options: BuildOptions) -> tuple[Record, Protostructure]:
    record = read_entry(entry, options.structure)
    if len(record.material_id.encode("utf-8", "replace")) > _MAX_NAME:
        raise EntryError(f"a name of more than {_MAX_NAME} bytes", record.material_id)
    if reason := broken_rule(options.clean, record.properties):
        raise EntryError(reason, record.material_id)
    try:
        if record.crystal is None:
            assert record.protostructure is not None
            return record, record.protostructure.canonical(options.profile)
        found = protostructure_of(
            record.crystal,
            symprec=options.symprec,
            angle_tolerance=options.angle_tolerance,
            engine=options.engine,
            profile=options.profile,
        )
    except WyckoffkitError as error:
        raise EntryError(str(error), record.material_id) from None
    return record, found


def _cut(text: str, n: int) -> str:
    return text if len(text) <= n else text[: n - 1] + "…"


def utf8(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """Text as a column of the file."""
    # HDF5 and numpy end fixed-length text at a NUL.
    return np.array([text.replace("\0", "\ufffd").encode("utf-8", "replace") for text in texts] or [], dtype=np.bytes_)
