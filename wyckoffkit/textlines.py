"""Lines of text files, plain or compressed (gzip, bzip2, xz, zstd), told apart by their first bytes."""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from .errors import DatasetError

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}

LONGEST_LINE = 64 << 20  # characters: a packed file of kilobytes can hold one of gigabytes
LARGEST_DOCUMENT = 4 << 30  # bytes

HDF5 = b"\x89HDF"
"""First bytes of such a file."""

# What the decompressors raise on damaged or cut-off input.
DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def compression(raw: io.BufferedReader, path: Path) -> str | None:
    """gzip, bzip2, xz, zstd, or None, by content. Nothing of it is read, so a pipe keeps its start.

    Raises DatasetError where nothing, or no more than the first bytes of such a file, has the name of one.
    """
    start = raw.peek(6)
    named = SUFFIXES.get(path.suffix.lower())
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            return kind
        if kind == named and magic.startswith(start):
            raise DatasetError(f"{path}: cut off: {len(start)} bytes are no {kind} file")
    return None


def starts_with(path: Path, magic: bytes) -> bool:
    """Whether a file begins with these bytes. A pipe, which could not be read again, is not looked into."""
    if path.exists() and not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


class _ZstdReader(io.RawIOBase):
    """What a zstd stream holds. The reader of zstandard takes one that is cut off for one that ends there."""

    # A block of 4 bytes can hold 128 KiB, so what is unpacked at a time stays below 64 MiB.
    _STEP = 2048

    def __init__(self, raw: IO[bytes], zstandard: Any) -> None:
        self._raw = raw
        self._zstandard = zstandard
        self._frame: Any = None
        self._packed = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            self._packed = self._packed or self._raw.read(self._STEP)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the zstd stream ends before its end is marked")
                return 0
            self._unpack()
        n = min(len(buffer), len(self._unpacked))
        buffer[:n] = self._unpacked[:n]
        self._unpacked = self._unpacked[n:]
        return n

    def _unpack(self) -> None:
        if self._frame is None:
            self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        try:
            self._unpacked = memoryview(self._frame.decompress(self._packed))
        except self._zstandard.ZstdError as error:
            raise EOFError(f"not a zstd stream: {error}") from None
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None


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
            return io.BufferedReader(_ZstdReader(raw, zstandard))
        case _:
            return raw


def document(raw: IO[bytes], path: Path) -> bytes:
    """All that a file that must be read whole holds. Raises DatasetError where that is damaged or more than 4 GB."""
    data = bytearray()
    try:
        while len(data) <= LARGEST_DOCUMENT and (block := raw.read(1 << 20)):
            data += block
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(f"{path}: damaged or cut off ({error})") from None
    if len(data) > LARGEST_DOCUMENT:
        raise DatasetError(f"{path}: holds more than {LARGEST_DOCUMENT >> 30} GB")
    return bytes(data)


@contextmanager
def stream_lines(raw: io.BufferedReader, path: Path) -> Iterator[Iterator[str]]:
    """The lines of a stream that cannot be wound back, such as stdin, packed or plain; `path` is for messages."""
    with decompressed(raw, compression(raw, path), path) as unpacked:
        yield _lines(path, unpacked)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a UTF-8 text file, '-' is stdin. DatasetError, with the line, for damage or other encodings.

    Also where the block that reads them as CSV meets what is none.
    """
    source = sys.stdin.fileno() if str(path) == "-" else path
    called = Path("<stdin>") if str(path) == "-" else path
    with open(source, "rb", closefd=source is path) as file, stream_lines(file, called) as lines:
        try:
            yield lines
        except csv.Error as error:
            raise DatasetError(f"{called}: not a table in CSV: {error}") from None


def _lines(path: Path, raw: IO[bytes]) -> Iterator[str]:
    number = 1
    try:
        with io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
            while line := text.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise DatasetError(f"{path}:{number}: a line of more than {LONGEST_LINE >> 20} MB")
                yield line
                number += 1
    except UnicodeDecodeError as error:
        if error.object.startswith(HDF5):
            raise DatasetError(f"{path}: an HDF5 file, not text; `wyckoffkit decode` writes the labels in it") from None
        raise DatasetError(f"{path}: not UTF-8 text after line {number - 1}: {error.reason}") from None
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{path}: damaged or cut off after line {number - 1}; what came before was read ({error})"
        ) from None
