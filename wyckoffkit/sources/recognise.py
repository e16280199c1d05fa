"""Which kind of source a file is: by its content, never by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError
from .entry import Entry
from .json_layouts import json_entries
from .stream import ByteStream
from .tables_of_text import csv_entries, label_entries, looks_like_csv, looks_like_labels

_HEAD = 65_536


@dataclass(slots=True)
class Source:
    """One input file; raises DatasetError at once if it is missing, empty or of no known kind."""

    path: Path
    structure: str = "org"
    """Which structure to take where both are there: `org` before, `opt` after relaxation."""
    kind: str = field(init=False)
    """json, csv or labels."""
    stream: ByteStream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = ByteStream(self.path)
        self.kind = _kind(self.path, self.stream, _head(self.path))

    def entries(self) -> Iterator[Entry]:
        """All entries in order; raises DatasetError after the last good one where the file is damaged."""
        match self.kind:
            case "json":
                return json_entries(self.path, self.stream, lambda: ByteStream(self.path), self.structure)
            case "csv":
                return csv_entries(self.path, self.stream, self.structure)
            case _:
                return label_entries(self.path, self.stream)


def _head(path: Path) -> bytes:
    blocks = ByteStream(path).blocks()
    try:
        return next(blocks, b"")[:_HEAD]
    finally:
        blocks.close()  # type: ignore[attr-defined]  # a generator


def _kind(path: Path, stream: ByteStream, head: bytes) -> str:
    if not head.strip():
        raise DatasetError(f"{path}: the file is empty" + (" once decompressed" if stream.compression else ""))
    if head.lstrip()[:1] in (b"{", b"["):
        return "json"
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    if looks_like_csv(text):
        return "csv"
    if looks_like_labels(text):
        return "labels"
    claim = ""
    if stream.name_claims and stream.name_claims != stream.compression:
        claim = f"not {stream.name_claims}, although its name says so, and "
    raise DatasetError(
        f"{path}: {claim}no known kind of source: it begins with {head[:24]!r} (known are JSON of structures, CSV with "
        "a column of labels or CIF, and lists of labels)"
    )
