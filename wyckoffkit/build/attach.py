"""Properties from a table of their own, joined to the materials by id: WBM's structures come without energies."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..csvrows import columns_of, delimiter_of
from ..errors import DatasetError
from ..sources import ID_FIELDS, PROPERTIES, broken_rule, material_name, number_or_nan
from ..textlines import open_lines
from .work import Shard, utf8


@dataclass(frozen=True, slots=True)
class PropertyTable:
    """The known properties in a CSV, by material id."""

    path: Path
    sha256: str
    names: tuple[str, ...]
    """What the columns are called here."""
    rows: Mapping[str, tuple[float, ...]]

    def source(self) -> dict[str, Any]:
        """As the attribute `sources` has it."""
        size = self.path.stat().st_size
        return {"name": self.path.name, "sha256": self.sha256, "bytes": size, "kind": "properties"}


def read_properties(path: Path) -> PropertyTable:
    """Read a CSV, plain or compressed. DatasetError where it names no materials, one twice, or no known property."""
    rows: dict[str, tuple[float, ...]] = {}
    with open_lines(path) as lines:
        first = next(lines, "")
        header = columns_of(first)
        reader = csv.reader(lines, delimiter=delimiter_of(first))
        key = next((header.index(name) for name in ID_FIELDS if name in header), None)
        columns = {PROPERTIES[name]: header.index(name) for name in reversed(PROPERTIES) if name in header}
        if key is None or not columns:
            raise DatasetError(
                f"{path}: a table of properties has a column of ids ({', '.join(ID_FIELDS)}) and one of "
                f"{', '.join(PROPERTIES)}; its columns are {', '.join(header)[:500]}"
            )
        for row in filter(None, reader):  # a blank line is no row
            if len(row) != len(header):
                raise DatasetError(f"{path}:{reader.line_num + 1}: {len(row)} fields under {len(header)} headings")
            name = material_name(row[key])
            if name in rows:
                raise DatasetError(f"{path}:{reader.line_num + 1}: {name} stands twice")
            rows[name] = tuple(number_or_nan(row[i]) for i in columns.values())
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return PropertyTable(path, sha256, tuple(columns), rows)


def attach(shard: Shard, table: PropertyTable, clean: tuple[str, ...]) -> Shard:
    """The materials with the table's values where their sources gave none, less those that now break a rule."""
    names = [name.decode() for name in shard.texts["material_id"].tolist()]
    unknown = (np.nan,) * len(table.names)
    values = np.array([table.rows.get(name, unknown) for name in names]).reshape(len(names), len(table.names))
    properties = dict(shard.properties)
    for name, column in zip(table.names, values.T, strict=True):
        before = properties.get(name, np.full(len(names), np.nan))
        properties[name] = np.where(np.isnan(before), column, before)
    broken = dict(_broken(properties, len(names), clean))
    kept = np.setdiff1d(np.arange(len(names)), list(broken))
    rejected = {"rejected_id": [names[i] for i in broken], "rejected_place": [str(table.path)] * len(broken)}
    rejected["rejected_reason"] = list(broken.values())
    texts = {name: shard.texts[name][kept] for name in ("material_id", "label")}
    texts |= {name: np.concatenate([shard.texts[name], utf8(rows)]) for name, rows in rejected.items()}
    return replace(
        shard,
        columns=shard.columns.select(kept),
        texts=texts,
        properties={name: column[kept] for name, column in properties.items()},
        from_structures=min(shard.from_structures, len(kept)),
    )


def _broken(properties: Mapping[str, Any], n: int, clean: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for i in range(n if clean else 0):
        if reason := broken_rule(clean, {name: float(column[i]) for name, column in properties.items()}):
            yield i, reason
