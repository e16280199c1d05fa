"""CSV files with labels or CIF text in a column, and plain lists of labels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .entry import ID_FIELDS, PROPERTIES, Entry, material_name, number_or_nan
from .stream import ByteStream

# Best first: labels found on the structure as computed, then as relaxed.
LABEL_COLUMNS = {
    "org": ("label", "protostructure", "wyckoff_spglib_initial_structure", "wyckoff_spglib", "protostructure_moyo",
            "protostructure_spglib", "aflow_label"),
    "opt": ("label", "protostructure", "wyckoff_spglib", "protostructure_moyo", "protostructure_spglib",
            "aflow_label"),
}  # fmt: skip
_STRUCTURE_COLUMNS = {"cif": "cif", "structure": "json", "initial_structure": "json"}
_LABEL = re.compile(r"[A-Za-z0-9]+_[a-z][A-Z][0-9]+_[0-9]+_\S+:[A-Z]\S*")
_MAX_FIELD = 1 << 24

WREN = "wyckoff"
"""Column of Wren data: `('Br @ 24-e-225', …)`."""


def looks_like_labels(head: str) -> bool:
    """The first line that is not blank is a label, or nearly one."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return bool(_LABEL.match(first.strip())) and "," not in first


def looks_like_csv(head: str) -> bool:
    """The first line names a column that holds labels or structures."""
    first = head.splitlines()[0] if head else ""
    return bool(set(next(csv.reader([first]), [])) & _known_columns())


def _known_columns() -> set[str]:
    return {*LABEL_COLUMNS["org"], *_STRUCTURE_COLUMNS, WREN}


def label_entries(path: Path, stream: ByteStream) -> Iterator[Entry]:
    """One entry a line that is not blank."""
    stem = path.name.partition(".")[0]
    for number, line in enumerate(text_lines(stream), start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield Entry(f"{stem}-{number}", f"{path}:{number}", "label", text.encode())


def csv_entries(path: Path, stream: ByteStream, structure: str) -> Iterator[Entry]:
    """One entry a row. Raises DatasetError, with the line, where the text is no CSV any more."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        # The default reader keeps the material NaN (Na N) as the text it is.
        rows = csv.reader(text_lines(stream))
        header = next(rows)
        column, kind = _chosen(path, header, structure)
        names = [header.index(name) for name in ID_FIELDS if name in header]
        properties = {PROPERTIES[name]: i for i, name in enumerate(header) if name in PROPERTIES}
        line = rows.line_num + 1
        for number, row in enumerate(rows, start=1):
            place = f"{path}:{line}"
            line = rows.line_num + 1
            if not row:
                continue
            name = material_name(row[names[0]]) if names and names[0] < len(row) else f"{path.name}-{number}"
            if len(row) != len(header):
                yield Entry(name, place, "fault", f"a row of {len(row)} fields under {len(header)} headings".encode())
                continue
            values = {called: number_or_nan(row[i]) for called, i in properties.items()}
            yield Entry(name, place, kind, row[column].encode(), values)
    except csv.Error as error:
        raise DatasetError(f"{path}:{rows.line_num}: not CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _chosen(path: Path, header: list[str], structure: str) -> tuple[int, str]:
    for name in LABEL_COLUMNS[structure]:
        if name in header:
            return header.index(name), "label"
    for name, kind in _STRUCTURE_COLUMNS.items():
        if name in header:
            return header.index(name), kind
    if WREN in header:
        return header.index(WREN), "wren"
    raise DatasetError(f"{path}: a CSV without a column of labels or structures; its columns are {', '.join(header)}")


def text_lines(stream: ByteStream) -> Iterator[str]:
    """Lines of UTF-8 text. Other bytes become a replacement character, so that only their own row is refused."""
    raw = io.BufferedReader(_Raw(stream.blocks()))
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")


class _Raw(io.RawIOBase):
    """Blocks as a file, for the text layer of the standard library."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n
