"""CSV files with labels or CIF text in a column, and plain lists of labels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..csvrows import DELIMITERS, MAX_FIELD, columns_of, csv_rows
from ..errors import DatasetError
from .entry import ID_FIELDS, LABEL_COLUMNS, PROPERTIES, Entry, material_name, number_or_nan
from .stream import ByteStream

_STRUCTURE_COLUMNS = {"cif": "cif", "structure": "json", "initial_structure": "json"}
_LABEL = re.compile(r"[A-Za-z0-9]+_[a-z][A-Z][0-9]+_[0-9]+_\S+:[A-Z]\S*")

MAX_LINE = MAX_FIELD
"""Characters of one line."""

WREN = "wyckoff"
"""Column of Wren data: `('Br @ 24-e-225', …)`."""


def looks_like_labels(head: str) -> bool:
    """The first line that is not blank is a label, or nearly one."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return bool(_LABEL.match(first.strip())) and "," not in first


def looks_like_csv(head: str) -> bool:
    """The first line names a column that holds labels or structures, between commas, tabs or semicolons."""
    return _delimiter(head.splitlines()[0] if head else "") is not None


def check_no_other_table(path: Path, head: str) -> None:
    """Raise DatasetError for a heading and a row of as many fields, with no column that is known to hold anything."""
    lines = head.splitlines()
    columns = columns_of(lines[0] if lines else "")
    if 1 < len(columns) == len(columns_of(lines[1] if len(lines) > 1 else "")):
        raise DatasetError(
            f"{path}: a table with the columns {', '.join(columns)[:500]}, none of which has a known name: "
            f"{', '.join(LABEL_COLUMNS['org'])} for labels, {', '.join(_STRUCTURE_COLUMNS)} for structures "
            "(`wyckoffkit encode --column` takes any column of labels)"
        )


def _delimiter(first: str) -> str | None:
    known = {*LABEL_COLUMNS["org"], *_STRUCTURE_COLUMNS, WREN}
    return next((d for d in DELIMITERS if known & set(next(csv.reader([first], delimiter=d), []))), None)


def label_entries(path: Path, stream: ByteStream) -> Iterator[Entry]:
    """One entry a line that is not blank."""
    stem = path.name.partition(".")[0]
    for number, line in enumerate(text_lines(stream), start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield Entry(f"{stem}-{number}", f"{path}:{number}", "label", text.encode())


def csv_entries(path: Path, stream: ByteStream, structure: str) -> Iterator[Entry]:
    """One entry a row. Raises DatasetError where no column holds labels or structures."""
    before = csv.field_size_limit(MAX_FIELD)
    try:
        lines = text_lines(stream)
        first = next(lines)
        delimiter = _delimiter(first.lstrip("\ufeff")) or ","
        # The default reader keeps the material NaN (Na N) as the text it is.
        header = next(csv.reader([first], delimiter=delimiter))
        column, kind = _chosen(path, header, structure)
        names = [header.index(name) for name in ID_FIELDS if name in header]
        properties = {PROPERTIES[name]: i for i, name in enumerate(header) if name in PROPERTIES}
        rows = csv_rows(lines, len(header), delimiter, column if kind in ("label", "wren") else None)
        for number, (line, row, fault) in enumerate(rows, start=1):
            place = f"{path}:{line}"
            named = names and names[0] < len(row) and "\n" not in row[names[0]]
            name = material_name(row[names[0]]) if named else f"{path.name}-{number}"
            if fault:
                yield Entry(name, place, "fault", fault.encode())
                continue
            values = {called: number_or_nan(row[i]) for called, i in properties.items()}
            yield Entry(name, place, kind, row[column].encode(), values)
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
    """Lines of UTF-8 text. Other bytes become a replacement character, so that only their own row is refused.

    Of a line of more than MAX_LINE characters, which no memory may be enough for, only the beginning is kept.
    """
    raw = io.BufferedReader(_Raw(stream.blocks()))
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
    while line := text.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith("\n"):
            yield line
            continue
        while (rest := text.readline(MAX_LINE)) and not rest.endswith("\n"):
            pass
        yield f"{line[:100]}… (a line of more than {MAX_LINE >> 20} MB)\n"


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
