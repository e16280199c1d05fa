"""A SHA-256 behind the end of a dataset, so that damage on a disk or the way is noticed.

HDF5 ignores what follows its own end. A program that changes the file cuts the seal off as it closes it, and a file
without a seal is read like one of before there were seals.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from ..errors import DatasetError

_NAME = b"\nwyckoffkit sha256 "
SEAL_LENGTH = len(_NAME) + 64 + 1
_BLOCK = 1 << 20


def seal_of(content: bytes) -> bytes:
    """What is put behind a file of this content."""
    return _closed(hashlib.sha256(content))


def seal(temporary: Path) -> None:
    """Put the seal behind a file that is complete but for it, and has not got its name yet."""
    with open(temporary, "rb+") as file:
        length = file.seek(0, 2)
        file.seek(0)
        file.write(_closed(_digest(file, length)))


def check_seal(path: Path) -> None:
    """Raise DatasetError where a file has a seal that is not its own."""
    with open(path, "rb") as file:
        length = file.seek(0, 2) - SEAL_LENGTH
        if length < 0:
            return
        file.seek(length)
        found = file.read()
        if not found.startswith(_NAME):
            return
        file.seek(0)
        if found != _closed(_digest(file, length)):
            raise DatasetError(
                f"{path}: the file is damaged: its content is not what was written (SHA-256). Get it again, or build "
                "it again"
            )


def _digest(file: IO[bytes], length: int) -> hashlib._Hash:
    """Over the first `length` bytes; the file then stands behind them."""
    sha = hashlib.sha256()
    while length > 0:
        block = file.read(min(length, _BLOCK))
        if not block:
            break
        sha.update(block)
        length -= len(block)
    return sha


def _closed(sha: hashlib._Hash) -> bytes:
    return _NAME + sha.hexdigest().encode() + b"\n"
