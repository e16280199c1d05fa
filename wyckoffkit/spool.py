"""Columns of many materials on disk, while it is not yet known how many there are: memory stays that of one block."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .encoding import COLUMN_TYPES, WyckoffColumns

BLOCK = 65_536
"""Rows read or written at a time."""


class ColumnSpool:
    """Takes columns and labels chunk by chunk, and gives each back as one column, block by block.

    A context: its temporary files, which lie in `folder` and have no name there, end with it.
    """

    def __init__(self, folder: Path) -> None:
        self.n_materials = 0
        self.n_slots = 0
        self.max_count = 0
        self.heaviest = 0
        """Largest atomic number."""
        self.label_width = 1
        """Bytes of the longest label."""
        self._files: dict[str, IO[bytes]] = {
            name: tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
            for name in (*COLUMN_TYPES, "label")
        }
        self._files["offset"].write(np.zeros(1, np.int64).tobytes())

    def __enter__(self) -> ColumnSpool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()

    def append(self, columns: WyckoffColumns, labels: Sequence[str]) -> None:
        """Add materials with their labels, which hold no line breaks."""
        for name in ("space_group", "position", "element", "count"):
            self._files[name].write(getattr(columns, name).tobytes())
        self._files["offset"].write((columns.offset[1:] + self.n_slots).astype(np.int64).tobytes())
        encoded = [label.encode() for label in labels]
        self._files["label"].writelines(label + b"\n" for label in encoded)
        self.n_materials += len(columns)
        self.n_slots += len(columns.position)
        self.max_count = max(self.max_count, int(columns.count.max(initial=0)))
        self.heaviest = max(self.heaviest, int(columns.element.max(initial=0)))
        self.label_width = max(self.label_width, *map(len, encoded)) if encoded else self.label_width

    @property
    def size(self) -> int:
        """Bytes of all columns."""
        return sum(file.tell() for file in self._files.values())

    def length(self, name: str) -> int:
        """Rows of a column."""
        return {"position": self.n_slots, "element": self.n_slots, "count": self.n_slots}.get(
            name, self.n_materials + (name == "offset")
        )

    def blocks(self, name: str) -> Iterator[NDArray[Any]]:
        """A column from its start, at most BLOCK rows at a time."""
        file = self._files[name]
        file.seek(0)
        size = BLOCK * np.dtype(COLUMN_TYPES[name]).itemsize
        while part := file.read(size):
            yield np.frombuffer(part, COLUMN_TYPES[name])

    def labels(self) -> Iterator[NDArray[np.bytes_]]:
        """The labels, at most BLOCK at a time, all of one width."""
        file = self._files["label"]
        file.seek(0)
        for start in range(0, self.n_materials, BLOCK):
            rows = min(BLOCK, self.n_materials - start)
            yield np.array([file.readline().rstrip(b"\n") for _ in range(rows)], f"S{self.label_width}")
