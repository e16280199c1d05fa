"""Folders and zip archives: every file in them, in the order of their names."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from ..errors import DatasetError

# What `realize` and `relax` write: the record, all crystals in one file, and folders that hold them again.
_MADE = {"trials.jsonl": "realized.xyz", "relaxed.jsonl": "relaxed.xyz"}
_AGAIN = {"cif", "extxyz", "poscar", "json"}


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a collection."""

    name: str
    """Path within the collection."""
    path: Path
    """What to call it in messages."""
    open: Callable[[], io.RawIOBase | IO[bytes]]
    size: int


class Collection:
    """A folder or a zip archive. Raises DatasetError for an archive that is none, or where there is nothing in it.

    Of a folder, hidden files, unfinished builds (`*.partial`) and the file `except_for` are left out, and where
    `realize` or `relax` wrote, what holds their crystals a second time.
    """

    def __init__(self, path: Path, except_for: Path | None = None) -> None:
        self.path = path
        try:
            self.parts = list(_folder(path, except_for) if path.is_dir() else _archive(path))
        except (zipfile.BadZipFile, OSError) as error:
            raise DatasetError(f"{path}: not a zip archive that can be read ({error})") from None
        if not self.parts:
            raise DatasetError(f"{path}: nothing in it")
        self.size = sum(part.size for part in self.parts)
        self.position = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of an archive's bytes; for a folder of the names and digests of its files, as `sha256sum *` lists them."""
        if self.path.is_dir():
            return self._hash.hexdigest()
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def finished(self, part: Part, sha256: str) -> None:
        """Count a part that has been read."""
        self.position += part.size
        self._hash.update(f"{sha256}  {part.name}\n".encode("utf-8", "surrogateescape"))


def _folder(path: Path, except_for: Path | None) -> Iterator[Part]:
    output = except_for.resolve() if except_for else None
    files = sorted(path.rglob("*"))
    made = {file.parent for file in files if file.name in _MADE and (file.parent / _MADE[file.name]).is_file()}
    for file in files:
        name = file.relative_to(path)
        left_out = any(part.startswith(".") or part.endswith(".partial") for part in name.parts)
        left_out |= file.parent in made and file.name in _MADE
        left_out |= file.parent.parent in made and file.parent.name in _AGAIN
        if not left_out and file.is_file() and file.resolve() != output:
            yield Part(str(name), file, partial(io.FileIO, file), file.stat().st_size)


def _archive(path: Path) -> Iterator[Part]:
    archive = zipfile.ZipFile(path)
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        hidden = info.filename.startswith("__MACOSX/") or Path(info.filename).name.startswith(".")
        if not info.is_dir() and not hidden:
            yield Part(info.filename, path / info.filename, partial(archive.open, info), info.file_size)
