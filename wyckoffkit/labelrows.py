"""Labels as files of text hold them: one a line, in a column of a table, or in a field of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from .csvrows import columns_of, csv_column
from .errors import DatasetError

FIELD = "label"
"""The column or field that `sample`, `encode` and `dataset export` write."""

Reject = Callable[[str, Exception], None]


def label_rows(
    path: Path, lines: Iterator[str], reject: Reject, column: str | None = None
) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of each label; blank ones are passed over, `reject` is told of rows that are broken.

    The first line tells the form: a brace begins JSON lines, a heading `label` a table. Labels are in `column`, or
    `label`. Raises DatasetError, naming the columns, for a table without it.
    """
    first = next(lines, "").removeprefix("\ufeff")
    lines = chain([first], lines)
    if first.lstrip().startswith("{"):
        yield from _json_field(path, column or FIELD, lines, reject)
        return
    columns = columns_of(first.strip()) if ":" not in first else []
    if column is not None or FIELD in columns:
        yield from csv_column(path, column or FIELD, lines, reject)
        return
    if len(columns) > 1:
        raise DatasetError(
            f"{path}: a table with the columns {', '.join(columns)[:500]}, none of them '{FIELD}'; "
            "encode and validate take --column for others"
        )
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.rstrip("\r\n")


def _json_field(path: Path, name: str, lines: Iterator[str], reject: Reject) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reject(f"{path}:{number}", DatasetError(f"not JSON: {getattr(error, 'msg', error)}"))
            continue
        text = record.get(name) if isinstance(record, dict) else None
        if isinstance(text, str):
            yield number, text
        else:
            reject(f"{path}:{number}", DatasetError(f"no text under {name!r} in this line of JSON"))
