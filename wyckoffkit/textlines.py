"""Lines of text files, plain or compressed (gzip, bzip2, xz, zstd), told apart by their first bytes."""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from .errors import DatasetError

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

# What the decompressors raise on damaged or cut-off input.
DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def compression(path: Path) -> str | None:
    """gzip, bzip2, xz, zstd, or None; by content, never by name."""
    with open(path, "rb") as file:
        start = file.read(6)
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)


def decompressed(raw: IO[bytes], kind: str | None, path: Path) -> IO[bytes]:
    """What a compressed stream holds; `path` is for messages. Closing it does not close `raw`, except where plain."""
    match kind:
        case "gzip":
            return cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="rb"))
        case "bzip2":
            return bz2.BZ2File(raw)
        case "xz":
            return lzma.LZMAFile(raw)
        case "zstd":
            try:
                zstandard = importlib.import_module("zstandard")
            except ImportError:
                raise DatasetError(f"{path}: zstd files need the package zstandard: pip install zstandard") from None
            reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
            return io.BufferedReader(reader)
        case _:
            return raw


@contextmanager
def stream_lines(raw: io.BufferedReader, path: Path) -> Iterator[Iterator[str]]:
    """The lines of a stream that cannot be wound back, such as stdin, packed or plain; `path` is for messages."""
    start = raw.peek(6)
    kind = next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)
    with decompressed(raw, kind, path) as unpacked:
        yield _lines(path, unpacked)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a UTF-8 text file. DatasetError, with the line, for damaged compression or other encodings."""
    with open(path, "rb") as file, decompressed(file, compression(path), path) as raw:
        yield _lines(path, raw)


def _lines(path: Path, raw: IO[bytes]) -> Iterator[str]:
    number = 1
    try:
        with io.TextIOWrapper(raw, encoding="utf-8") as text:
            for line in text:
                yield line
                number += 1
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text after line {number - 1}: {error.reason}") from None
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{path}: damaged or cut off after line {number - 1}; what came before was read ({error})"
        ) from None


def csv_column(path: Path, column: str, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of one column of CSV lines with a header; blank cells are passed over.

    DatasetError, with the columns there are, where it is missing; and for a row that is no CSV.
    """
    reader = csv.reader(iter(lines))
    try:
        header = next(reader, [])
        if column not in header:
            raise DatasetError(f"{path}: no column {column!r}; the columns are {', '.join(header)[:500] or 'none'}")
        place = header.index(column)
        for row in reader:
            if len(row) > place and row[place].strip():
                yield reader.line_num, row[place].strip()
    except csv.Error as error:
        raise DatasetError(f"{path}: not CSV at line {reader.line_num}: {error}") from None
