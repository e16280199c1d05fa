"""The decompressed bytes of a file in one pass, read ahead in a thread, hashed on the way."""

from __future__ import annotations

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..textlines import DAMAGE, MAGIC, decompressed

BLOCK = 1 << 20
_AHEAD = 8  # blocks
_NAMES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}


# Opens the bytes of a file, or of a part of an archive.
Opener = Callable[[], Any]


class ByteStream:
    """One file, gzip, bzip2, xz, zstd or plain as its first bytes say.

    `blocks()` gives all that can be read and then raises DatasetError where the file is damaged or cut off.
    Raises DatasetError for a file that is missing, empty or not readable.
    """

    def __init__(self, path: Path, member: Opener | None = None, size: int | None = None) -> None:
        """`member` opens the bytes where they are not those of the file `path` but of a part of it, `size` long."""
        self.path = path
        if path.is_dir():
            raise DatasetError(f"{path}: a folder, not a file")
        try:
            self._raw = _Counted(member or partial(io.FileIO, path))
            start = self._raw.start()
        except FileNotFoundError:
            raise DatasetError(f"{path}: no such file") from None
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
        if not start:
            raise DatasetError(f"{path}: the file is empty")
        self.size = path.stat().st_size if size is None else size
        """Bytes on disk."""
        self.compression = next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)
        self.name_claims = _NAMES.get(path.suffix)
        """The compression that the name promises."""

    @property
    def position(self) -> int:
        """Bytes on disk that have been read."""
        return self._raw.count

    @property
    def sha256(self) -> str:
        """Of the bytes on disk, once all blocks have been read."""
        return self._raw.hash.hexdigest()

    def blocks(self) -> Generator[bytes]:
        """Decompressed blocks of about a megabyte."""
        ahead: queue.Queue[bytes | Exception | None] = queue.Queue(_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(target=self._read_ahead, args=(ahead, stop), daemon=True)
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
            self._raw.close()

    def _read_ahead(self, ahead: queue.Queue[bytes | Exception | None], stop: threading.Event) -> None:
        parts: list[bytes] = []
        size = 0
        end: DatasetError | None = None
        try:
            with decompressed(io.BufferedReader(self._raw), self.compression, self.path) as file:
                while not stop.is_set() and (part := file.read1(BLOCK)):  # type: ignore[attr-defined]  # all have it
                    parts.append(part)
                    size += len(part)
                    if size >= BLOCK:
                        ahead.put(b"".join(parts))
                        parts, size = [], 0
                if not stop.is_set():
                    self._raw.drain()
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
        return DatasetError(f"{self.path}: {what} after {self._raw.count} of {self.size} bytes ({error})")


class _Counted(io.RawIOBase):
    """Bytes that are counted and hashed as they are read."""

    def __init__(self, opener: Opener) -> None:
        self._file = opener()
        self._start: bytes = self._file.read(8)
        self._unread = self._start
        self.count = 0
        self.hash = hashlib.sha256()

    def start(self) -> bytes:
        """The first bytes."""
        return self._start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unread or self._file.read(len(buffer))
        n = min(len(buffer), len(data))
        data, self._unread = data[:n], data[n:]
        buffer[:n] = data
        self.count += n
        self.hash.update(data)
        return n

    def drain(self) -> None:
        """Read what a decompressor left unread, so that the hash is that of the file."""
        while self.read(BLOCK):
            pass

    def close(self) -> None:
        self._file.close()
        super().close()
