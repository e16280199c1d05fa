"""Append-only records of long work, as JSON lines: a line about the work, then a row each time something is done.

Whoever starts the same work again reads what is there and does the rest. A last line that was cut off is removed. The
last field of a line, `crc32`, is that of the bytes before it (from the opening brace), so that damage is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from zlib import crc32

from .. import tables
from ..errors import DatasetError
from ..files import hold

VERSION = 2
_CHECK = b', "crc32": "'

Row = dict[str, Any]


def header(kind: str, settings: Mapping[str, Any]) -> Row:
    """The first line: what kind of rows follow, made with which settings and tables."""
    return {"wyckoffkit": kind, "version": VERSION, "tables": tables.digest(), "settings": dict(settings)}


def read_rows(path: Path, kind: str) -> tuple[Row, Iterator[Row]]:
    """The header of a record and its rows. Raises DatasetError for a file that is no such record."""
    rows = _lines(path)
    first = next(rows, (0, {}))[1]
    _check_kind(path, kind, first)
    return first, (row for _, row in rows)


def _check_kind(path: Path, kind: str, first: Row) -> None:
    if first.get("wyckoffkit") != kind:
        raise DatasetError(f'{path}: not a record of {kind}, which starts with {{"wyckoffkit": "{kind}", …}}')
    if first.get("version") != VERSION:
        raise DatasetError(f"{path}: written in version {first.get('version')} of this format, read is {VERSION}")
    if first.get("damaged"):
        raise DatasetError(f"{path}:1: damaged: this line is not what was written (CRC-32)")


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    """(bytes up to its end, row) of every whole line."""
    end = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DatasetError(f"{path}:{number}: not a JSON object")
            before, check, found = line.rpartition(_CHECK)
            whole = bool(check) and found == b'%08x"}\n' % crc32(before)
            row.pop("crc32", None)
            if number == 1 and not whole:  # perhaps another file, or another version: the caller says so
                row["damaged"] = True
            elif not whole:
                raise DatasetError(f"{path}:{number}: damaged: this line is not what was written (CRC-32)")
            yield end, row


def _line(row: Row) -> bytes:
    text = json.dumps(row, ensure_ascii=False).encode()[:-1]
    return text + _CHECK + b'%08x"}\n' % crc32(text)


class Record:
    """A record that is open for appending; `done` are the rows it held.

    Raises DatasetError where the file holds other work, or the same work with other settings, and WyckoffkitError where
    another process is writing it.
    """

    def __init__(self, path: Path, kind: str, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.done: list[Row] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab")  # noqa: SIM115 - closed in __exit__
        try:
            hold(self._file, path)
            end = self._read(kind, settings)
            self._file.truncate(end)
            if not end:
                self.append([header(kind, settings)])
        except BaseException:
            self._file.close()
            raise

    def _read(self, kind: str, settings: Mapping[str, Any]) -> int:
        lines = _lines(self.path)
        end, first = next(lines, (0, {}))
        if not end:
            return 0
        _check_kind(self.path, kind, first)
        was = first.get("settings", {})
        wanted = json.loads(json.dumps(dict(settings)))
        if was != wanted:
            changed = [
                f"{k} = {was.get(k)}, now {wanted.get(k)}" for k in {**was, **wanted} if was.get(k) != wanted.get(k)
            ]
            raise DatasetError(
                f"{self.path}: begun with {'; '.join(changed)}. Go on with the same settings, or write elsewhere"
            )
        if first.get("tables") != tables.digest():
            raise DatasetError(f"{self.path}: begun with other tables of Wyckoff positions; write elsewhere")
        rows = list(lines)
        self.done = [row for _, row in rows]
        return rows[-1][0] if rows else end

    def append(self, rows: list[Row]) -> None:
        """Write rows, so that they survive the end of this process."""
        self._file.write(b"".join(map(_line, rows)))
        self._file.flush()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
