"""CSV files with labels or CIF text in a column, and plain lists of labels."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
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
_DELIMITERS = ",\t;"
MAX_LINE = 1 << 24
"""Characters of one line, and of one field of a CSV."""
_MAX_ROW = 1 << 26

WREN = "wyckoff"
"""Column of Wren data: `('Br @ 24-e-225', …)`."""


def looks_like_labels(head: str) -> bool:
    """The first line that is not blank is a label, or nearly one."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return bool(_LABEL.match(first.strip())) and "," not in first


def looks_like_csv(head: str) -> bool:
    """The first line names a column that holds labels or structures, between commas, tabs or semicolons."""
    return _delimiter(head.splitlines()[0] if head else "") is not None


def _delimiter(first: str) -> str | None:
    known = {*LABEL_COLUMNS["org"], *_STRUCTURE_COLUMNS, WREN}
    return next((d for d in _DELIMITERS if known & set(next(csv.reader([first], delimiter=d), []))), None)


def label_entries(path: Path, stream: ByteStream) -> Iterator[Entry]:
    """One entry a line that is not blank."""
    stem = path.name.partition(".")[0]
    for number, line in enumerate(text_lines(stream), start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield Entry(f"{stem}-{number}", f"{path}:{number}", "label", text.encode())


def csv_entries(path: Path, stream: ByteStream, structure: str) -> Iterator[Entry]:
    """One entry a row. Raises DatasetError where no column holds labels or structures."""
    before = csv.field_size_limit(MAX_LINE)
    try:
        lines = text_lines(stream)
        first = next(lines)
        delimiter = _delimiter(first.lstrip("\ufeff")) or ","
        # The default reader keeps the material NaN (Na N) as the text it is.
        header = next(csv.reader([first], delimiter=delimiter))
        column, kind = _chosen(path, header, structure)
        names = [header.index(name) for name in ID_FIELDS if name in header]
        properties = {PROPERTIES[name]: i for i, name in enumerate(header) if name in PROPERTIES}
        rows = _rows(lines, len(header), delimiter, column if kind in ("label", "wren") else None)
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


def _rows(
    lines: Iterator[str], width: int, delimiter: str, one_line: int | None
) -> Iterator[tuple[int, list[str], str]]:
    """(line, fields, what is wrong) of each row of a CSV below its header.

    A quote that is not closed would swallow the rows after it. So text between a closing quote and the next field is a
    fault, and after a fault reading goes on at the line below the row's first; and the field `one_line` has none but
    the row's own line. Where fields do have many lines (None), those that follow a fault are passed over up to the
    next row.
    """
    source = _LinesAgain(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    lost = False
    while True:
        source.begin()
        try:
            row = next(reader, None)
            fault = ""
        except csv.Error as error:
            reader = csv.reader(source, delimiter=delimiter, strict=True)
            row, fault = [], f"not CSV: {error} (a quote that is not closed?)"
            if len(source.row) == 1:
                row = next(csv.reader(source.row, delimiter=delimiter))
                fault = ""
        if row is None:
            return
        if not row and not fault:
            continue
        if not fault and len(row) != width:
            fault = f"a row of {len(row)} fields under {width} headings"
        elif not fault and one_line is not None and "\n" in row[one_line]:
            fault = "a quote that is not closed on its line"
        if not (fault and lost):
            yield source.first, row, fault
        lost = bool(fault) and one_line is None and (lost or len(source.row) > 1)
        if fault:
            source.rewind()


class _LinesAgain:
    """Lines of which those of the present row can be had again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._ahead: deque[str] = deque()
        self._size = 0
        self.row: list[str] = []
        """The lines of the present row."""
        self.first = 1
        """Number of the first of them; the header is line 1."""

    def begin(self) -> None:
        """A row begins."""
        self.first += len(self.row) or 1
        self.row = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._lines)
        self.row.append(line)
        self._size += len(line)
        if self._size > _MAX_ROW:
            raise csv.Error(f"a row of more than {_MAX_ROW >> 20} MB")
        return line

    def rewind(self) -> None:
        """All lines of the row but its first come again."""
        self._ahead.extendleft(reversed(self.row[1:]))
        del self.row[1:]


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
