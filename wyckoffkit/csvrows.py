"""Rows of CSV text as others leave it: between commas, tabs or semicolons, with quotes that may not be closed."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from .errors import DatasetError

DELIMITERS = ",\t;"
MAX_FIELD = 1 << 24
"""Characters of one field."""
_MAX_ROW = 1 << 26


def csv_rows(
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


def delimiter_of(first: str) -> str:
    """What stands between the headings in the first line of a table: what gives the most of them."""
    return max(DELIMITERS, key=lambda delimiter: len(_split(first, delimiter)))


def columns_of(first: str) -> list[str]:
    """The headings in the first line of a table."""
    return _split(first, delimiter_of(first))


def named_rows(lines: Iterator[str]) -> csv.DictReader[str]:
    """The rows of a table by its headings, between commas, tabs or semicolons; `line_num` counts from 1."""
    first = next(lines, "")
    return csv.DictReader(chain([first], lines), delimiter=delimiter_of(first))


def _split(first: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return []


def csv_column(
    path: Path, column: str, lines: Iterator[str], reject: Callable[[str, Exception], None]
) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of one column; blank cells are passed over, `reject` is told of broken rows.

    DatasetError, with the columns there are, where the column is missing or there twice.
    """
    first = next(lines, "")
    delimiter = next((d for d in DELIMITERS if column in _split(first, d)), None)
    if delimiter is None:
        there = ", ".join(columns_of(first))[:500] or "none"
        raise DatasetError(f"{path}: no column {column!r}; the columns are {there}")
    header = _split(first, delimiter)
    if header.count(column) > 1:
        raise DatasetError(f"{path}: {header.count(column)} columns are called {column!r}; give one another name")
    place = header.index(column)
    before = csv.field_size_limit(MAX_FIELD)
    try:
        for number, row, fault in csv_rows(lines, len(header), delimiter, place):
            if fault:
                reject(f"{path}:{number}", DatasetError(fault))
            elif row[place].strip():
                yield number, row[place].strip()
    finally:
        csv.field_size_limit(before)
