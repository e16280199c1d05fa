"""The decompressed bytes of a file in one pass, read ahead in a thread, hashed on the way."""

from __future__ import annotations

import hashlib
import io
import queue
import threading
import zipfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..textlines import DAMAGE, MAGIC, SUFFIXES, decompressed

BLOCK = 1 << 20
_AHEAD = 8  # blocks
# Besides OSError, what a zip archive raises for a part that is encrypted, damaged or packed in another way.
_UNREADABLE = (OSError, RuntimeError, zipfile.BadZipFile)


class ByteStream:
    """One file, gzip, bzip2, xz, zstd or plain as its first bytes say.

    `blocks()` gives all that can be read and then raises DatasetError where the file is damaged or cut off.
    Raises DatasetError for a file that is missing, empty or not readable.
    """

    def __init__(self, path: Path, member: Callable[[], Any] | None = None, size: int | None = None) -> None:
        """`member` opens the bytes where they are not those of the file `path` but of a part of it, `size` long."""
        self.path = path
        self._opener = member or partial(io.FileIO, path)
        self._raw: _Counted | None = None
        start = self._start()
        if not start:
            raise DatasetError(f"{path}: the file is empty")
        self.size = path.stat().st_size if size is None else size
        """Bytes on disk."""
        self.compression = next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)
        self.name_claims = SUFFIXES.get(path.suffix.lower())
        """The compression that the name promises."""

    def _start(self) -> bytes:
        """The first bytes. The file is closed again: there may be more sources than a process may hold open."""
        try:
            if self.path.is_dir():
                raise DatasetError(f"{self.path}: a folder, not a file")
            if self.path.exists() and not self.path.is_file():
                raise DatasetError(f"{self.path}: a pipe or device; sources are read more than once, so save it first")
            with self._opener() as file:
                return bytes(file.read(8))
        except FileNotFoundError:
            raise DatasetError(f"{self.path}: no such file") from None
        except _UNREADABLE as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> DatasetError:
        return DatasetError(f"{self.path}: cannot be read: {(getattr(error, 'strerror', '') or str(error)).lower()}")

    @property
    def position(self) -> int:
        """Bytes on disk that have been read."""
        return self._raw.count if self._raw else 0

    @property
    def sha256(self) -> str:
        """Of the bytes on disk, once all blocks have been read."""
        return self._raw.hash.hexdigest() if self._raw else ""

    def blocks(self) -> Generator[bytes]:
        """Decompressed blocks of about a megabyte."""
        try:
            raw = self._raw = _Counted(self._opener())
        except _UNREADABLE as error:
            raise self._unreadable(error) from None
        ahead: queue.Queue[bytes | Exception | None] = queue.Queue(_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(target=self._read_ahead, args=(raw, ahead, stop), daemon=True)
        thread.start()
        try:
            while (block := ahead.get()) is not None:
                if isinstance(block, Exception):
                    raise block
                yield block
        finally:
            stop.set()
            while thread.is_alive():
                try:
                    ahead.get(timeout=0.01)
                except queue.Empty:
                    continue
            raw.close()

    def _read_ahead(self, raw: _Counted, ahead: queue.Queue[bytes | Exception | None], stop: threading.Event) -> None:
        parts: list[bytes] = []
        size = 0
        end: DatasetError | None = None
        try:
            with decompressed(io.BufferedReader(raw), self.compression, self.path) as file:
                while not stop.is_set() and (part := file.read1(BLOCK)):  # type: ignore[attr-defined]  # all have it
                    parts.append(part)
                    size += len(part)
                    if size >= BLOCK:
                        ahead.put(b"".join(parts))
                        parts, size = [], 0
                if not stop.is_set():
                    raw.drain()
        except (*DAMAGE, OSError) as error:
            end = self._damage(error)
        except DatasetError as error:
            end = error
        except Exception as error:  # zstandard's own error is no class of the standard library
            end = self._damage(error)
        if parts:
            ahead.put(b"".join(parts))
        if end:
            ahead.put(end)
        ahead.put(None)

    def _damage(self, error: Exception) -> DatasetError:
        what = f"damaged or cut off {self.compression} data" if self.compression else "cannot be read further"
        return DatasetError(f"{self.path}: {what} after {self.position} of {self.size} bytes ({error})")


class _Counted(io.RawIOBase):
    """Bytes that are counted and hashed as they are read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.count = 0
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        self.hash.update(data)
        return len(data)

    def drain(self) -> None:
        """Read what a decompressor left unread, so that the hash is that of the file."""
        while self.read(BLOCK):
            pass

    def close(self) -> None:
        self._file.close()
        super().close()
